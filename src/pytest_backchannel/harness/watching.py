"""What is watched during a test, whether or not it uses anything of ours: from its setup, and from its body on.

Every test of a project passes here. Where neither Django, Celery nor Channels is loaded it pays a few look-ups, and
elsewhere no machinery of imports, no context managers and nothing that a log would need. By a flag, its connections are
opened again with odd values when its body has ended.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Generator, Iterable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import pytest

from .. import events
from ..active import Slot, Together
from ..events import aside, current_log
from ..options import once_per_config
from . import judging, layers, lending, queues
from .layers import production_layer
from .lending import django_test_class
from .project import project_application
from .queues import has_real_broker

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..channels.layer.observe import LayerObserver
    from ..channels.odd.attempts import Tried
    from ..channels.odd.visits import Visit


class _Probes:
    """What watches Channels: one for the whole run, since it stands around every test of a project.

    Attributes:
        around: what is put in place.
        leftovers: the module that judges connections.
        observer: of the project's layers, for the next test that has none so far.
    """

    def __init__(self) -> None:
        from ..channels.layer.observe import methods
        from ..channels.watch import communicators, consumers, leftovers, stateless

        self.around = Together(consumers.probe, communicators.watch, stateless.watch, methods)
        self.leftovers: Any = leftovers
        self.observer: LayerObserver | None = None


class _Watched:
    """One test that is watched.

    Args:
        observer: of the project's layers; None where they are not observed.
    """

    __slots__ = ("observer",)

    def __init__(self, observer: LayerObserver | None = None) -> None:
        self.observer = observer


# Set while consumers and communicators are watched for the item.
_WATCHED = pytest.StashKey[_Watched]()


@once_per_config
def _probes(config: pytest.Config) -> _Probes:
    return _Probes()


def watch(item: pytest.Item) -> None:
    """Watch consumers and communicators until the test's fixtures are gone."""
    if _WATCHED not in item.stash:
        _probes(item.config).around.install()
        item.stash[_WATCHED] = _Watched()


def _watch_all(item: pytest.Item) -> bool:
    """The same for the project's own layers too; False where Channels is not installed."""
    try:
        probes = _probes(item.config)
    except ImportError:
        return False  # there are settings for it
    observer = probes.observer or layers.observer(item.config)
    probes.observer = None
    probes.around.install()
    item.stash[_WATCHED] = _Watched(observer)
    probes.leftovers.begin(setup=True)
    observer.start()
    return True


# -------------------------------------------------------- from the setup on


def begin(item: pytest.Item) -> bool:
    """Watch what the project has loaded: connections to a real Redis, consumers, its own layers.

    Returns:
        Whether anything is watched, whose end has to be seen to.
    """
    loaded = sys.modules
    if "django.conf" not in loaded and "celery" not in loaded and "redis.connection" not in loaded:
        return False  # Channels loads Django's settings
    watched = queues.begin_redis_watch(item) or "celery" in loaded  # which is of the body alone
    return (("channels.layers" in loaded or layers.in_use(item)) and _watch_all(item)) or watched


def end(item: pytest.Item) -> None:
    """The fixtures are gone: judge what they have left behind, and watch no more."""
    queues.end_redis_watch(item)
    watched = item.stash.get(_WATCHED, None)
    try:
        if watched is not None:
            del item.stash[_WATCHED]
            _probes(item.config).leftovers.check_all()
    finally:
        try:
            layers.end(item)
        finally:
            if watched is not None:
                _end_probes(_probes(item.config), watched.observer)


def _end_probes(probes: _Probes, observer: LayerObserver | None) -> None:
    try:
        if observer is not None and observer.stop():
            probes.observer = observer
    finally:
        probes.around.remove()


# ---------------------------------------------------------- from the body on


class _Body:
    __slots__ = ("brokers", "end_enqueues", "item")

    def __init__(self, item: pytest.Item) -> None:
        self.item = item
        self.brokers = False
        self.end_enqueues: Callable[[], None] | None = None


_body = Slot[_Body]("body of a test that is watched")


def begin_body(item: pytest.Item) -> bool:
    """Watch what only the body's own doing counts for: connections to brokers, and enqueues inside of a transaction.

    Returns:
        Whether the end of the body has to be seen to.
    """
    loaded = sys.modules
    if "celery" not in loaded and "django.db" not in loaded and events.log_in_use() is None:
        return False  # Channels loads Django's database
    body = _Body(item)
    _body.value = body  # what follows may raise
    body.brokers = queues.watch_brokers(item)
    watched = _WATCHED in item.stash
    if watched:
        # What the body leaves behind and nobody can reach any more is judged when it has ended.
        _probes(item.config).leftovers.begin(setup=False)
    lent = lending.begin_body(item)
    body.end_enqueues = lending.watch_body(item)
    return watched or lent or body.brokers or events.log_in_use() is not None


def end_body(item: pytest.Item, error: BaseException | None = None) -> None:
    """The body has ended, and the fixtures still stand: judge what went unseen.

    Args:
        item: the test.
        error: what the body has raised, if anything.
    """
    body, _body.value = _body.value, None
    try:
        if body is not None and body.end_enqueues is not None:
            body.end_enqueues()
        if error is None:
            judging.judge_body(item)
        else:
            judging.body_failed(item, error)
    finally:
        if body is not None and body.brokers:
            queues.end_broker_watch()


def end_failed_body(item: pytest.Item) -> None:
    """See to the end of a body that has failed, where nobody has needed its report."""
    body = _body.value
    if body is not None:
        end_body(item, AssertionError())


def close() -> None:
    """The run has ended, perhaps in the midst of a test."""
    body = _body.value
    if body is not None:
        end_failed_body(body.item)


def end_body_late(item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    """See to the end of a body that has failed, or that has begun before there were hooks for its end."""
    if judging.body_has_ended(item):
        return
    if call.excinfo is not None:
        end_body(item, call.excinfo.value)
        return
    judged = pytest.CallInfo[None].from_call(lambda: end_body(item), "call")
    call.excinfo = judged.excinfo


# ------------------------------------------------------------- the event loop


def event_loop(*, fails: bool) -> AbstractContextManager[None]:
    """Within the block, find the calls of the project that block a running event loop.

    Args:
        fails: whether such a call fails the test, or warns.
    """
    from ..channels.watch.blocking import watching_the_loop

    return watching_the_loop(current_log(), fails=fails)


# -------------------------------------------------------------- odd values

_TRIED = pytest.StashKey[list[str]]()


_VISITS = pytest.StashKey["list[Visit]"]()


@contextlib.contextmanager
def visits_noted(item: pytest.Item) -> Generator[None]:
    """Note the connections that the body opens within the block, for :func:`try_visits`.

    Not in Django's test classes, whose transaction has ended by then, nor where a real worker shares the layer.
    """
    if "channels.consumer" not in sys.modules or django_test_class(item) is not None or has_real_broker(item):
        yield
        return
    from ..channels.odd.visits import noted

    with noted() as visits:
        item.stash[_VISITS] = visits
        try:
            yield
        finally:
            del item.stash[_VISITS]


def try_visits(item: pytest.Item) -> None:
    """Try with odd values what the body has connected to."""
    visits = item.stash.get(_VISITS, None)
    if visits:
        from asgiref.sync import async_to_sync

        # In an event loop of its own, in another thread: that of the test may have ended.
        async_to_sync(try_odd_values)(item, visits)


async def try_odd_values(item: pytest.Item, visits: list[Visit]) -> None:
    """Open connections again with odd values; what kills a consumer is a problem of the test.

    The layer, its account and the log of the test know nothing of it, and the rows are those of before.
    """
    from ..channels.layer.install import layers_in_memory
    from ..channels.odd import attempts, deaths_told
    from ..channels.odd.visits import unnoted
    from ..channels.watch.consumers import unobserved

    with aside(), unobserved(), unnoted(), layers_in_memory(lambda: production_layer(item.config)):
        tried = _tried(item.config)
        found = await attempts.deaths(visits, tried)
    deaths_told.tell(current_log(), found, tried.told)
    seen = item.stash.setdefault(_TRIED, [])
    seen += {f"{visit.place}: {visit.consumer.__qualname__}" for visit in visits} - set(seen)


@once_per_config
def _tried(config: pytest.Config) -> Tried:
    from ..channels.odd.attempts import Tried

    return Tried()


def tried_odd_values(item: pytest.Item) -> list[str]:
    """What was tried after the test: of each consumer the route or path, and its name."""
    return item.stash.get(_TRIED, [])


def routes_without(tried: Iterable[str]) -> list[str]:
    """The WebSocket routes of the project that are not among what was tried; empty where that can't be said."""
    if "channels.consumer" not in sys.modules:
        return []
    from ..channels.routes import websocket_routes

    try:
        routes = websocket_routes(project_application())
    except Exception:
        return []
    known = {line.partition(": ")[0] for line in tried}
    return [route.path for route in routes if route.path not in known and route.consumer is not None]
