"""BC1xx: the tests themselves."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import ClassVar

from ....source.reading.source_file import Function, literal
from ....source.reading.surroundings import last_name
from ...checked_file import CheckedFile
from ...checked_tree import CheckedTree
from ...rule import FileRule, Found, Spot, TreeRule
from ..task_bodies import waited_for

REAL_WORKERS = frozenset({"celery_worker", "celery_session_worker", "worker_process"})
"""Fixtures that start one."""
_NO_KIND = frozenset(
    {"django_db", "parametrize", "asyncio", "anyio", "usefixtures", "skip", "skipif", "xfail", "filterwarnings"}
    | {"allow_lost", "allow_audit", "urls", "ignore_template_errors", "timeout", "flaky"}
)
_SHORTEST = 0.1


def tests_of(file: CheckedFile) -> Iterator[Function]:
    """The functions that pytest collects, by their names."""
    for function in file.source.functions():
        parent = file.source.parent(function)
        if function.name.startswith("test") and isinstance(parent, ast.Module | ast.ClassDef):
            yield function


def parameters_of(function: Function) -> set[str]:
    """The names of what a test asks for."""
    return {one.arg for one in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)}


def marks_of(file: CheckedFile, function: Function) -> set[str]:
    """The names of the marks of a test, of its class and of its module."""
    nodes: list[ast.expr] = list(function.decorator_list)
    owner = file.source.class_of(function)
    bodies = [file.source.tree.body]
    if owner is not None:
        nodes += owner.decorator_list
        bodies.append(owner.body)
    for body in bodies:
        for one in body:
            if isinstance(one, ast.Assign) and any(last_name(target) == "pytestmark" for target in one.targets):
                nodes += one.value.elts if isinstance(one.value, ast.List | ast.Tuple) else [one.value]
    return {last_name(one.func if isinstance(one, ast.Call) else one) for one in nodes}


class UnboundedGetInTest(FileRule):
    """BC103."""

    code = "BC103"
    name = "unbounded-get-in-test"
    summary = "A test with a real worker waits for a result without a timeout."
    why = "Where the worker did not start or the message went astray, the CI job hangs until it is killed."
    fix = "`.get(timeout=5)`."
    path = "tests/test_shop.py"
    page = "how-to/integration-tests.md"
    of: ClassVar = "tests"
    worth: ClassVar = ((b"celery_worker", b"celery_session_worker", b"worker_process"),)
    wrong = """
import pytest
from shop.tasks import send


@pytest.mark.celery_integration
def test_send(celery_worker):
    assert send.delay(7).get() == 7
"""
    right = wrong.replace(".get()", ".get(timeout=5)")

    def check(self, file: CheckedFile) -> Iterator[Spot]:
        """Of tests that ask for a worker by its fixture."""
        tests = {one for one in tests_of(file) if parameters_of(one) & REAL_WORKERS}
        for call in file.calls():
            if file.source.function_of(call) not in tests or waited_for(file, call) is None:
                continue
            if not call.args and not any(one.arg in ("timeout", None) for one in call.keywords):
                yield call, "waits for a real worker without a timeout: for ever, if that did not start"


class SleepInTest(FileRule):
    """BC105."""

    code = "BC105"
    name = "sleep-in-test"
    summary = "A test of tasks or consumers sleeps."
    why = "It waits in real time, for longer than is needed on a good day and not long enough on a bad one."
    fix = "Step the worker (`task_queue.run()`, `advance(60)`), or wait for a frame with a timeout."
    path = "tests/test_shop.py"
    page = "how-to/time-travel.md"
    of: ClassVar = "tests"
    worth: ClassVar = (
        (b"sleep(",),
        (b"celery", b"channels", b"Communicator", b".delay(", b".apply_async("),
    )
    wrong = """
import time
from shop.tasks import send


def test_send(worker):
    send.delay(7)
    time.sleep(2)
    assert worker.sent == [7]
"""
    right = """
from shop.tasks import send


def test_send(db, task_queue):
    send.delay(7)
    task_queue.run()
    assert task_queue.succeeded
"""

    def check(self, file: CheckedFile) -> Iterator[Spot]:
        """Of a literal tenth of a second or more, in a test's own body, where nothing replaces the function."""
        if re.search(rb"""['"](?:[\w.]*\.)?(?:time\.|asyncio\.)?sleep['"]|virtual_clock|time_machine""", file.text):
            return
        tests = set(tests_of(file))
        for call in file.calls():
            if last_name(call.func) != "sleep" or file.source.function_of(call) not in tests or not call.args:
                continue
            seconds = literal(call.args[0])[1]
            known = file.scopes.dotted(call.func) in ("time.sleep", "asyncio.sleep")
            if known and isinstance(seconds, int | float) and seconds >= _SHORTEST:
                yield call, f"the test waits {seconds:g} s in real time"


class AsyncTestNotRun(TreeRule):
    """BC106."""

    code = "BC106"
    name = "async-test-without-loop"
    severity: ClassVar = "error"
    summary = "An async test has no mark, and `asyncio_mode` is not `auto`."
    why = "pytest does not run it: it fails from pytest 8.4 on, and is only skipped before."
    fix = "`asyncio_mode = auto` in pytest's configuration, or `@pytest.mark.asyncio`."
    path = "tests/test_shop.py"
    page = "how-to/set-up.md"
    wrong = """
async def test_send():
    assert await send(7)
"""
    right = """
import pytest


@pytest.mark.asyncio
async def test_send():
    assert await send(7)
"""

    def check(self, tree: CheckedTree) -> Iterator[Found]:
        """Where pytest's configuration was found, and no conftest gives the mark or another plugin runs them."""
        modes = {tree.configuration.get(name, "") for name in ("asyncio_mode", "anyio_mode", "trio_mode")}
        words = " ".join(tree.configuration.values())
        if (
            not tree.configuration
            or "auto" in modes
            or "asyncio-mode" in words
            or "aio" in words.replace("asyncio", "")
        ):
            return
        if tree.says(b"pytest_collection_modifyitems", b"pytest_pyfunc_call", b"def anyio_backend"):
            return
        for path, text in tree.texts.items():
            name = path.rpartition("/")[2]
            if b"async def test" not in text or not (name.startswith("test_") or name.endswith("_test.py")):
                continue
            file = tree.file(path)
            for function in tests_of(file) if file is not None else ():
                if file is not None and isinstance(function, ast.AsyncFunctionDef) and _lacks_loop(file, function):
                    yield file.source.place(function), f"{function.name} runs on no event loop: pytest does not run it"


def _lacks_loop(file: CheckedFile, function: Function) -> bool:
    # A class may be a TestCase, which runs its own; one without bases is pytest's.
    owner = file.source.class_of(function)
    decorated = [last_name(one.func if isinstance(one, ast.Call) else one) for one in function.decorator_list]
    own = {"parametrize", "django_db", "skip", "skipif", "xfail", "usefixtures"}
    is_pytests = owner is None or not owner.bases
    return (
        is_pytests and set(decorated) <= own and not marks_of(file, function) & {"asyncio", "anyio", "trio", "gen_test"}
    )


class IntegrationUnmarked(FileRule):
    """BC107."""

    code = "BC107"
    name = "integration-test-unmarked"
    summary = "A test has a real worker, and no mark says so."
    why = "The fast job of the CI can't leave it out: it runs, or fails, with each push."
    fix = '`@pytest.mark.celery_integration`, and `-m "not celery_integration"` in the fast job.'
    path = "tests/test_shop.py"
    page = "how-to/integration-tests.md"
    of: ClassVar = "tests"
    worth: ClassVar = ((b"celery_worker", b"celery_session_worker", b"worker_process"),)
    wrong = """
from shop.tasks import send


def test_send(celery_session_worker):
    assert send.delay(7).get(timeout=5) == 7
"""
    right = """
import pytest
from shop.tasks import send


@pytest.mark.celery_integration
def test_send(celery_session_worker):
    assert send.delay(7).get(timeout=5) == 7
"""

    def check(self, file: CheckedFile) -> Iterator[Spot]:
        """Of tests in no folder whose name says it, that have no mark of the project's."""
        if re.search(r"integration|e2e|end_to_end|functional|slow|smoke", file.path):
            return
        for function in tests_of(file):
            used = sorted(parameters_of(function) & REAL_WORKERS)
            marks = marks_of(file, function)
            unknown = marks - _NO_KIND - {"celery"}
            if used and not unknown:
                yield function, f"{function.name} uses {', '.join(used)}, and no mark tells it apart from fast tests"
