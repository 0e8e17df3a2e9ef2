"""The text of test files, of what the probes have seen."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .cases import RouteCase, TaskCase

_WIDEST = 88


@dataclass(frozen=True, kw_only=True)
class FirstTest:
    """A test.

    Attributes:
        name: of its function.
        subject: what it is of, as shown.
        where: where that is.
        imports: modules, each with the name that is imported from it.
        lines: the function.
        asks_user: whether it asks for the fixture ``user``.
        uses_pytest: whether it names pytest.
    """

    name: str
    subject: str
    where: str
    imports: tuple[tuple[str, str], ...]
    lines: tuple[str, ...]
    asks_user: bool = False
    uses_pytest: bool = False


def task_test(case: TaskCase, seen: Mapping[str, Any]) -> FirstTest:
    """The test of a task.

    Args:
        case: the task.
        seen: what the probe says.
    """
    result = "result = " if any("result." in check for check in seen["checks"]) else ""
    body = [*seen["rows"], *([""] if seen["rows"] else []), f"{result}{seen['call']}"]
    body += ['assert task_queue.run_one() == {"SUCCESS": 1}', *seen["checks"]]
    name = f"test_{_identifier(case.attribute)}"
    return FirstTest(
        name=name,
        subject=case.name,
        where=case.where,
        imports=((case.module, case.attribute), *map(tuple, seen["imports"])),
        lines=(*seen["marks"], f"def {name}({', '.join(dict.fromkeys(seen['fixtures']))}):", *_indented(body)),
        uses_pytest=bool(seen["marks"]),
    )


def route_test(case: RouteCase, seen: Mapping[str, Any], *, signed_in: bool, is_marked: bool) -> FirstTest:
    """The test of a route.

    Args:
        case: the route.
        seen: what the probe says.
        signed_in: whether a user is.
        is_marked: whether an async test needs pytest-asyncio's mark.
    """
    outcome = seen["outcome"]
    verb = {"open": "opens", "closed": "closes", "refused": "is_refused"}[outcome]
    name = f"test_{_identifier(case.path)}_{verb}{'_to_a_user' if signed_in else ''}"
    call = f"websocket({seen['path']}{', user=user' if signed_in else ''})"
    body = [*seen["rows"], *([""] if seen["rows"] else [])]
    imports = [tuple(one) for one in seen["imports"]]
    if outcome == "refused":
        imports.append(("pytest_backchannel", "WebSocketRejected"))
        body += ["with pytest.raises(WebSocketRejected) as refused:", f"    await {call}.connect()"]
        body += [f"assert refused.value.http_status == {seen['status']}"]
    else:
        body += [f"async with {call} as browser:", *(f"    {frame}" for frame in seen["frames"])]
        last = "receive_nothing(within=0)" if outcome == "open" else f"expect_close()).code == {seen['code']}"
        body.append(f"    assert await browser.{last}" if outcome == "open" else f"    assert (await browser.{last}")
    asks = "db, user, websocket" if signed_in else "db, websocket"
    mark = ["@pytest.mark.asyncio"] if is_marked else []
    return FirstTest(
        name=name,
        subject=case.path,
        where=case.where,
        imports=tuple(imports),
        lines=(*mark, f"async def {name}({asks}):", *_indented(body)),
        asks_user=signed_in,
        uses_pytest=is_marked or outcome == "refused",
    )


def worker_test(case: TaskCase, seen: Mapping[str, Any]) -> FirstTest:
    """The test that a real worker runs a task.

    Args:
        case: the task.
        seen: what the probe says; it has a result.
    """
    value = next(check for check in seen["checks"] if "result.get()" in check).replace(
        "result.get()", "result.get(timeout=30)"
    )
    name = f"test_a_real_worker_runs_{_identifier(case.attribute)}"
    body = [*seen["rows"], *([""] if seen["rows"] else []), "worker = worker_process()"]
    body += [f"result = {seen['call']}", f"{value}, worker.log"]
    return FirstTest(
        name=name,
        subject=f"{case.name} on a real worker",
        where=case.where,
        imports=((case.module, case.attribute), *map(tuple, seen["imports"])),
        lines=("@pytest.mark.celery_integration", f"def {name}(worker_process):", *_indented(body)),
        uses_pytest=True,
    )


def file_text(about: str, tests: Sequence[FirstTest], fixture: Sequence[str] = ()) -> str:
    """A test module.

    Args:
        about: the end of the sentence of its docstring.
        tests: its tests; names that are the same are told apart.
        fixture: the lines of a fixture of its own.
    """
    imports = {one for test in tests for one in test.imports}
    has_pytest = bool(fixture) or any(test.uses_pytest for test in tests)
    parts = [f'"""First tests of {about}: each asserts what was seen when backchannel init tried it."""']
    above = _imports(imports, has_pytest=has_pytest)
    parts += ["", *above] if above else []
    if fixture:
        parts += ["", "", *fixture]
    for test in _told_apart(tests):
        parts += ["", "", *(line for one in test.lines for line in _wrapped(one))]
    return "\n".join([*parts, ""])


def _told_apart(tests: Sequence[FirstTest]) -> Iterable[FirstTest]:
    taken: set[str] = set()
    for test in tests:
        name, number = test.name, 2
        while name in taken:
            name, number = f"{test.name}_{number}", number + 1
        taken.add(name)
        lines = tuple(line.replace(f"def {test.name}(", f"def {name}(") for line in test.lines)
        yield replace(test, name=name, lines=lines)


def named_apart(tests: Sequence[FirstTest]) -> list[FirstTest]:
    """The tests, under the names that they have in one file."""
    return list(_told_apart(tests))


def _imports(imports: Iterable[tuple[str, ...]], *, has_pytest: bool) -> list[str]:
    names: dict[str, set[str]] = defaultdict(set)
    for module, name in imports:
        names[module].add(name)
    lines = [f"from {module} import {', '.join(sorted(names[module]))}" for module in sorted(names)]
    installed = [line for line in lines if line.split()[1].partition(".")[0] in ("django", "pytest_backchannel")]
    own = [line for line in lines if line not in installed]
    above = [*(["import pytest"] if has_pytest else []), *installed]
    return [*above, *([""] if above and own else []), *own]


def _identifier(text: str) -> str:
    plain = re.sub(r"<(?:\w+:)?(\w+)>|\(\?P<(\w+)>[^)]*\)", r"\1\2", text)
    return re.sub(r"\W+", "_", plain).strip("_").lower() or "root"


def _indented(lines: Iterable[str]) -> list[str]:
    return [f"    {line}" if line else "" for line in lines]


def _wrapped(line: str) -> list[str]:
    """A call that is too long, with its arguments on a line of their own."""
    opening = line.find("(")
    if len(line) <= _WIDEST or opening < 0 or not line.endswith(")") or line.lstrip().startswith(("assert", "with")):
        return [line]
    indent = " " * (len(line) - len(line.lstrip()))
    return [line[: opening + 1], f"{indent}    {line[opening + 1 : -1]}", f"{indent})"]
