"""The test's connection, lent to every thread while it runs: which tests get that, when it begins and ends."""

from __future__ import annotations

import contextlib
import functools
import inspect
import os
import sys
from typing import TYPE_CHECKING, Any, TypeVar, cast

import pytest

from ..options import options_of
from . import late_hooks
from .testcases import given_to

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from ..database import ConnectionSharing, ThreadConnections  # noqa: F401  (named by the key below)

# The fixtures that bring that to a sync test too.
LENDING = frozenset({"db_async", "task_queue", "asgi_server", "websocket", "channel_layer"})

# What is lent or watched for the item.
_LENT = pytest.StashKey["ConnectionSharing | ThreadConnections"]()
# Set while the database of the item is set up: what a fixture of ours that is asked for later may lend.
_READY = pytest.StashKey[bool]()
# Set while tasks that are enqueued inside a transaction are told.
_WATCHED = pytest.StashKey[bool]()


def shares_connections(item: pytest.Item) -> bool:
    """Whether connections are lent to the test."""
    from ..database import ConnectionSharing

    return isinstance(item.stash.get(_LENT, None), ConnectionSharing)


# ------------------------------------------------------------- which tests


def wants_sharing(item: pytest.Item) -> bool:
    """Whether the test is to: it asks for a fixture of ours that brings that, is async, or the ini says so."""
    options = options_of(item.config)
    if options.on_commit or _asks_for_lending(item):
        return True
    return options.async_db == "shared" and is_async(item)


def is_async(item: pytest.Item) -> bool:
    """Whether the test, or a fixture that it uses, is a coroutine."""
    function = getattr(item, "obj", None)
    if function is not None and _is_coroutine(getattr(function, "__func__", function)):
        return True
    return any(_is_coroutine(definitions[-1].func) for definitions in _fixtures_of(item).values() if definitions)


def _asks_for_lending(item: pytest.Item) -> bool:
    fixtures = _fixtures_of(item)
    return any(_is_ours(fixtures[name][-1]) for name in LENDING if fixtures.get(name))


def uses_ours(item: pytest.Item) -> bool:
    """Whether the test asks for a fixture of ours."""
    return any(_is_ours(definitions[-1]) for definitions in _fixtures_of(item).values() if definitions)


def _is_ours(fixturedef: Any) -> bool:
    return str(getattr(fixturedef.func, "__module__", "")).startswith("pytest_backchannel.fixtures")


@functools.lru_cache(maxsize=1024)
def _is_coroutine(function: Callable[..., Any]) -> bool:
    # hypothesis puts the test aside on its wrapper.
    function = getattr(getattr(function, "hypothesis", None), "inner_test", function)
    function = inspect.unwrap(function)
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


def django_test_class(item: pytest.Item) -> type | None:
    """The test's class, where it is one of Django's with a database."""
    if "django.test" not in sys.modules or isinstance(item.parent, pytest.Module):
        return None  # known without a look for the class, which pytest makes among all that the item is in
    cls = getattr(item, "cls", None)
    if cls is None:
        return None
    from django.test import TransactionTestCase

    return cls if issubclass(cls, TransactionTestCase) else None


# --- private API: pytest's item._fixtureinfo.name2fixturedefs, pytest 8.2–9: which definition of a fixture a test
# will get is decided by it, and request.fixturenames gives only names, which a project may have overridden.


def _fixtures_of(item: pytest.Item) -> dict[str, Any]:
    info = getattr(item, "_fixtureinfo", None)
    return info.name2fixturedefs if info is not None else {}


# --------------------------------------------------------- beginning and end


# Not by the hook pytest_fixture_setup: around each of the ten fixtures that a test has with pytest-django, it would be
# most of what this plugin costs a test that does not use it.

F = TypeVar("F", bound="Callable[..., Any]")


def ours(fixture: F) -> F:
    """Decorates each fixture of ours for one test, which asks for ``request``.

    It lends if it can, watches, and is ``self.<name>`` in classes of unittest.
    """

    @functools.wraps(fixture)
    def around(*args: Any, **kwargs: Any) -> Generator[Any]:
        __tracebackhide__ = True
        item: pytest.Item = kwargs["request"].node
        if fixture.__name__ in LENDING and _READY in item.stash:
            # Asked for by getfixturevalue(), which no list of names shows.
            _begin(item)
        # Undone in the opposite order of what the fixture itself replaces in Celery; after it, if it imports Celery.
        with contextlib.ExitStack() as outer:
            outer.callback(_watch_enqueues(item))
            with _set_up(fixture, args, kwargs) as value, contextlib.ExitStack() as inner:
                inner.callback(_watch_enqueues(item))
                inner.enter_context(given_to(kwargs["request"].instance, fixture.__name__, value))
                yield value

    return cast("F", around)


@contextlib.contextmanager
def _set_up(fixture: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Generator[Any]:
    """The value of a fixture, within its set-up and its teardown; as in pytest, it is told of no exception."""
    __tracebackhide__ = True
    if not inspect.isgeneratorfunction(fixture):
        yield fixture(*args, **kwargs)
        return
    generator = fixture(*args, **kwargs)
    value = next(generator)
    try:
        yield value
    finally:
        next(generator, None)


# --- private API: pytest's FixtureManager.getfixturedefs and FixtureDef.func, pytest 8.2–9, and pytest-django's
# _django_db_helper, pytest-django 4.8–4.14: the place at which the test's transaction has just been opened, and the one
# at which Django's capture of callbacks is given away.


def begin_session(session: Any) -> None:
    """Have two of pytest-django's fixtures do our part too."""
    for name, around in (("_django_db_helper", _lending), ("django_capture_on_commit_callbacks", _capturing)):
        for fixturedef in session._fixturemanager.getfixturedefs(name, session) or ():
            fixturedef.func = around(fixturedef.func)


# --- end of private API


def _lending(helper: Callable[..., Any]) -> Callable[..., Any]:
    """Lend as soon as pytest-django has opened the test's transaction, and take it back before the rollback."""

    @functools.wraps(helper)
    def around(*args: Any, **kwargs: Any) -> Generator[Any]:
        __tracebackhide__ = True
        with _set_up(helper, args, kwargs) as value, contextlib.ExitStack() as undo:
            _database_is_ready(kwargs["request"].node, undo)
            yield value

    return around


def _capturing(fixture: Callable[..., Any]) -> Callable[..., Any]:
    """It gives away Django's method, perhaps before anything is lent: ours knows when something is."""

    @functools.wraps(fixture)
    def around(*args: Any, **kwargs: Any) -> Generator[Any]:
        __tracebackhide__ = True
        from ..database import patches, sharing

        with patches.captures(sharing.find_shared), _set_up(fixture, args, kwargs) as value:
            yield value

    return around


def of_no_test() -> contextlib.AbstractContextManager[None]:
    """What begins in the block belongs to no test: a server for the session, say, that a test is the first to ask for.

    What a fixture leaves running, or holds, around the test is not the code's under test.
    """
    from ..database import threads

    return threads.of_no_test()


def adopt(item: pytest.Item) -> None:
    """Take over the blocks that fixtures hold open around the test.

    They are held in this thread, and every query of the test would wait for its lock in vain.
    """
    if _LENT in item.stash:
        item.stash[_LENT].adopt()


def _nothing() -> None:
    pass


def _watch_enqueues(item: pytest.Item) -> Callable[[], None]:
    """Tell of tasks enqueued in a transaction, if the project has imported Celery; returns what ends it."""
    if _WATCHED in item.stash or "celery" not in sys.modules:
        return _nothing
    enqueues = _enqueues()
    before = enqueues.begin()
    item.stash[_WATCHED] = True

    def end() -> None:
        del item.stash[_WATCHED]
        enqueues.end(before)

    return end


@functools.cache
def _enqueues() -> Any:
    from ..database.in_transaction import enqueues

    return enqueues


def watch_body(item: pytest.Item) -> Callable[[], None] | None:
    """From the body of any test on: tell of tasks that are enqueued, and messages sent, in a transaction of the code's.

    Returns:
        What ends it; None where neither Celery nor Channels is loaded, or no database: there is nothing to tell then.
    """
    loaded = sys.modules
    enqueues = "celery.app.task" in loaded
    if not (enqueues or "channels.layers" in loaded) or "django.db" not in loaded:
        return None
    holding = _holding()
    if not _names_settings() and not holding.any_connections():
        return None  # Channels loads Django, also where nobody uses it
    holding.hold_blocks()
    end_watch = _watch_enqueues(item) if enqueues else None

    def end() -> None:
        if end_watch is not None:
            end_watch()
        holding.release_blocks()

    return end


@functools.cache
def _names_settings() -> bool:
    return "DJANGO_SETTINGS_MODULE" in os.environ


@functools.cache
def _holding() -> Any:
    # Once: what every test does is not to go through the machinery of an import.
    from ..database import sharing

    return sharing


def _database_is_ready(item: pytest.Item, undo: contextlib.ExitStack) -> None:
    if django_test_class(item) is not None:
        return  # Django opens the transaction of its own classes when the test runs
    item.stash[_READY] = True
    undo.callback(_end, item)
    if wants_sharing(item):
        _begin(item)
        undo.callback(_watch_enqueues(item))


def _begin(item: pytest.Item) -> None:
    """Lend the connections if the test has a transaction; if not, watch what connections its threads open."""
    from ..database import WAIT_LIMIT, ConnectionSharing, ThreadConnections
    from ..database.made_connections import made_connections

    if _LENT in item.stash:
        return
    late_hooks.need(item.config, late_hooks.LENT)
    if any(connection.in_atomic_block for connection in made_connections()):
        item.stash[_LENT] = ConnectionSharing(item.nodeid, wait_limit=max(WAIT_LIMIT, options_of(item.config).timeout))
    else:
        item.stash[_LENT] = ThreadConnections(item.nodeid)
    item.stash[_LENT].start()


def _end(item: pytest.Item) -> None:
    lent = item.stash.get(_LENT, None)
    if lent is not None:
        del item.stash[_LENT]
        lent.stop()


def begin_body(item: pytest.Item) -> bool:
    """Lend in the methods of Django's test classes, which open their transaction when they run.

    Returns:
        Whether anything is lent, or will be.
    """
    if _LENT in item.stash:
        item.stash[_LENT].adopt()  # of a fixture that was being set up when the run's first sharing began
        return True
    if django_test_class(item) is None or not wants_sharing(item):
        return False
    testcase: Any = item.instance  # type: ignore[attr-defined]
    testcase.run = functools.partial(_run_lent, item, testcase)
    return True


def _run_lent(item: pytest.Item, testcase: Any, result: Any = None) -> Any:
    """``unittest.TestCase.run``, which Django calls between its setup and its teardown."""
    del testcase.run
    _begin(item)
    try:
        with contextlib.ExitStack() as watching:
            watching.callback(_watch_enqueues(item))
            return testcase.run(result)
    finally:
        try:
            _end(item)
        except Exception:
            # Raised, it would keep Django from rolling back.
            result.addError(testcase, sys.exc_info())
