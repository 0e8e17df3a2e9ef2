"""What is watched during a test: consumers and communicators, whichever client opened them, and the event loop.

And what is tried when its body has ended, with the connections that it opened.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Generator, Iterable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import pytest

from ..events import aside, current_log
from ..options import once_per_config
from .layers import production_layer
from .lending import django_test_class
from .project import project_application
from .queues import has_real_broker

if TYPE_CHECKING:
    from ..channels.odd.attempts import Tried
    from ..channels.odd.visits import Visit

# Set while consumers and communicators are watched for the item.
_WATCHED = pytest.StashKey[bool]()


def watch(item: pytest.Item) -> None:
    """Watch consumers and communicators until the test's fixtures are gone."""
    if _WATCHED in item.stash:
        return
    from ..channels.watch import communicators, consumers, stateless

    installed: list[Any] = []
    try:
        for probe in (consumers, communicators, stateless):
            probe.install()
            installed.append(probe)
    except BaseException:
        for probe in installed:
            probe.remove()
        raise
    item.stash[_WATCHED] = True


# ------------------------------------------------------- around each test


def begin(item: pytest.Item) -> None:
    """Watch, where the project has loaded Channels."""
    if "channels.consumer" in sys.modules:
        watch(item)
        from ..channels.watch import leftovers

        leftovers.begin(setup=True)


def begin_body(item: pytest.Item) -> None:
    """Judge, when the body has ended, what it leaves behind and nobody can reach any more."""
    if _WATCHED in item.stash:
        from ..channels.watch import leftovers

        leftovers.begin(setup=False)


def end(item: pytest.Item) -> None:
    """Judge the rest, when the fixtures are gone."""
    if _WATCHED in item.stash:
        from ..channels.watch import communicators, consumers, leftovers, stateless

        del item.stash[_WATCHED]
        try:
            leftovers.check_all()
        finally:
            stateless.remove()
            communicators.remove()
            consumers.remove()


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


@contextlib.contextmanager
def odd_values(item: pytest.Item) -> Generator[None]:
    """Try the connections that the body opens within the block with odd values, if it passes.

    Not in Django's test classes, whose transaction has ended by then, nor where a real worker shares the layer.
    """
    if "channels.consumer" not in sys.modules or django_test_class(item) is not None or has_real_broker(item):
        yield
        return
    from ..channels.odd.visits import noted

    with noted() as visits:
        yield
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
