"""From what is to be tried to tests that have passed: probes, test files, and runs of those until all of them pass."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path

from ..found_project import Project
from ..written.conftest_file import user_fixture
from .cases import Cases, RouteCase, TaskCase, cases_of
from .test_code import FirstTest, file_text, named_apart, route_test, task_test, worker_test
from .trial import Answers, Trial

_MOST_WORKERS = 3
"""How many tasks are tried on a real worker, until one passes."""


@dataclass(frozen=True, kw_only=True)
class Unwritten:
    """Something for which no test was written.

    Attributes:
        subject: a task or a route.
        where: where it is.
        reason: why.
    """

    subject: str
    where: str
    reason: str


@dataclass(kw_only=True)
class FirstTests:
    """What came of it.

    Attributes:
        files: the test modules, by their paths.
        count: how many tests they have.
        unwritten: what has no test.
        user: the lines that make a user; None where the project has none.
        has_integration: whether one of them has a real worker.
        tested: how many tasks and routes had a test already.
        has_tests: whether the project has any test, theirs included.
        trouble: why nothing could be tried; empty where it could.
    """

    files: dict[Path, str] = field(default_factory=dict)
    count: int = 0
    unwritten: list[Unwritten] = field(default_factory=list)
    user: list[str] | None = None
    has_integration: bool = False
    tested: tuple[int, int] = (0, 0)
    has_tests: bool = False
    trouble: str = ""


def first_tests(
    project: Project,
    files: Mapping[Path, str],
    folder: Path,
    *,
    conftest: Callable[[Sequence[str] | None], Mapping[Path, str]],
    is_marked: bool,
    progress: Callable[[str], None],
) -> FirstTests:
    """Try tests for all tasks and routes that have none.

    Args:
        project: whose.
        files: what is to be written beside them, by its path.
        folder: where tests belong.
        conftest: the conftest that is to be written, of the lines that make a user; empty where there is one already.
        is_marked: whether an async test needs a mark.
        progress: is told what takes time.
    """
    cases = cases_of(project)
    found = FirstTests(tested=cases.tested)
    found.has_tests = cases.has_tests
    if not cases.tasks and not cases.routes and not cases.live:
        return found
    progress(f"trying {_counted(cases)} in a copy of the project …")
    with Trial(project, files) as trial:
        answers = trial.probe(cases, folder)
        cases = replace(cases, routes=[*cases.routes, *answers.live])
        found.trouble = answers.trouble
        found.user = answers.user[0] if answers.user is not None else None
        shared = conftest(found.user)
        trial.write(shared)
        tests, seen = _tests_of(project, cases, answers, found, is_marked=is_marked)
        fixture = user_fixture(found.user) if found.user is not None and not shared else []
        modules = _modules(folder, tests, fixture, project)
        _keep_passing(trial, modules, found, progress)
        if find_spec("mirakuru") is not None:
            worker = _worker_module(trial, folder, cases, seen, found, progress)
            modules += [worker] if worker is not None else []
        found.files = {module.path: module.text() for module in modules if module.tests}
        found.count = sum(len(module.tests) for module in modules)
        found.has_tests = found.has_tests or found.count > 0
    return found


def _counted(cases: Cases) -> str:
    parts = [f"{len(one)} {what}{'s' if len(one) > 1 else ''}" for one, what in _kinds(cases) if one]
    return " and ".join([*parts, *(["the WebSocket routes"] if cases.live else [])])


def _kinds(cases: Cases) -> list[tuple[Sequence[object], str]]:
    return [(cases.tasks, "task"), (cases.routes, "WebSocket route")]


@dataclass(kw_only=True)
class _Module:
    path: Path
    about: str
    tests: list[FirstTest]
    fixture: Sequence[str] = ()

    def text(self) -> str:
        return file_text(self.about, self.tests, self.fixture if any(test.asks_user for test in self.tests) else ())


def _tests_of(
    project: Project, cases: Cases, answers: Answers, found: FirstTests, *, is_marked: bool
) -> tuple[dict[str, list[FirstTest]], list[tuple[TaskCase, Mapping[str, object]]]]:
    """The tests to try, by the module that they are of; a route is of the empty one. And the tasks that were seen."""
    tests: dict[str, list[FirstTest]] = defaultdict(list)
    seen: list[tuple[TaskCase, Mapping[str, object]]] = []
    for case in cases.tasks:
        answer = answers.tasks.get(
            case.name, {"reason": "it could not be tried" if answers.trouble else "its trial has ended early"}
        )
        if "reason" in answer:
            found.unwritten.append(Unwritten(subject=case.name, where=case.where, reason=str(answer["reason"])))
        else:
            tests[case.module].append(task_test(case, answer))
            seen.append((case, answer))
    for route in cases.routes:
        if not project.has_asyncio:
            reason = "an async test needs pytest-asyncio, which is not installed: pip install pytest-asyncio"
            found.unwritten.append(Unwritten(subject=route.path, where=route.where, reason=reason))
            continue
        tests[""] += _tests_of_route(route, answers, found, is_marked=is_marked)
    return tests, seen


def _tests_of_route(route: RouteCase, answers: Answers, found: FirstTests, *, is_marked: bool) -> list[FirstTest]:
    missing = {"reason": "it could not be tried" if answers.trouble else "its trial has ended early"}
    stranger = answers.routes.get((route.path, False), missing)
    user = answers.routes.get((route.path, True))
    tests = []
    if "reason" not in stranger:
        tests.append(route_test(route, stranger, signed_in=False, is_marked=is_marked))
    # A user who is let in as everybody is tells nothing new.
    if user is not None and "reason" not in user and user["outcome"] != stranger.get("outcome"):
        tests.append(route_test(route, user, signed_in=True, is_marked=is_marked))
    if not tests or "reason" in stranger:
        who = "" if not tests else " without a user"
        reason = f"{stranger['reason']}{who}"
        found.unwritten.append(Unwritten(subject=route.path, where=route.where, reason=reason))
    return tests


def _modules(
    folder: Path, tests: Mapping[str, Sequence[FirstTest]], fixture: Sequence[str], project: Project
) -> list[_Module]:
    modules = []
    for module, of_module in tests.items():
        stem = f"test_{module.replace('.', '_')}" if module else "test_websockets"
        path = _free(folder, stem, project)
        about = f"the tasks of {module}" if module else "the WebSocket routes"
        own = () if module else fixture
        modules.append(_Module(path=path, about=about, tests=named_apart(of_module), fixture=own))
    return modules


def _free(folder: Path, stem: str, project: Project) -> Path:
    """A path whose name no other test module has: without packages, pytest takes the two for one."""
    names = {path.name for path in project.root.rglob(f"{stem}*.py") if path.parent != folder}
    path = folder / f"{stem}.py"
    number = 2
    while path.exists() or path.name in names:
        path = folder / f"{stem}_{number}.py"
        number += 1
    return path


def _keep_passing(trial: Trial, modules: list[_Module], found: FirstTests, progress: Callable[[str], None]) -> None:
    """Run the tests, with keys that start apart and without, and drop those that fail, until none does."""
    ways: tuple[tuple[str, ...], ...] = (("-o", "backchannel_distinct_keys=true"), ())
    # Those that are left have to pass together: so the run that drops none is the last one.
    for way in (*ways, *ways[1:] * 3):
        files = [module.path for module in modules if module.tests]
        if not files:
            return
        progress(f"running {sum(len(module.tests) for module in modules)} tests there …")
        trial.write({module.path: module.text() for module in modules if module.tests})
        if not _drop(trial.run(files, *way), modules, found) and way == ways[-1]:
            return


def _drop(answer: tuple[dict[tuple[str, str], str], str], modules: list[_Module], found: FirstTests) -> bool:
    """Drop what has failed; whether something has."""
    outcomes, trouble = answer
    dropped = False
    for module in modules:
        for test in list(module.tests):
            why = outcomes.get((module.path.stem, test.name), trouble or "pytest did not run it")
            if why:
                module.tests.remove(test)
                reason = f"its test does not pass each time: {why[:200]}"
                found.unwritten.append(Unwritten(subject=test.subject, where=test.where, reason=reason))
                dropped = True
    return dropped


def _worker_module(
    trial: Trial,
    folder: Path,
    cases: Cases,
    seen: Sequence[tuple[TaskCase, Mapping[str, object]]],
    found: FirstTests,
    progress: Callable[[str], None],
) -> _Module | None:
    """A module with one task on a real worker: the first that comes back with its result."""
    path = folder / "test_real_worker.py"
    dropped = {one.subject for one in found.unwritten}
    plain = [
        (case, answer)
        for case, answer in seen
        if case.name not in dropped
        and any("result.get()" in check for check in answer["checks"])  # type: ignore[attr-defined]
        and not answer["marks"]
    ]
    if not plain or path.exists():
        return None
    progress("running one of the tasks on a real worker …")
    why = ""
    for case, answer in plain[:_MOST_WORKERS]:
        module = _Module(path=path, about="a real worker", tests=[worker_test(case, answer)])
        trial.write({path: module.text()})
        outcomes, trouble = trial.run([path], real=True)
        why = outcomes.get((path.stem, module.tests[0].name), trouble or "pytest did not run it")
        if not why:
            found.has_integration = True
            return module
        trial.remove(path)
    reason = f"its test does not pass: {why[:200]}"
    found.unwritten.append(Unwritten(subject="a task on a real worker", where="", reason=reason))
    return None
