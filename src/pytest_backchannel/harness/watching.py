"""What is watched during a test, whether or not it uses anything of ours: from its setup, and from its body on.

Every test of a project passes here. Where neither Django, Celery nor Channels is loaded it pays a few look-ups, and
elsewhere no machinery of imports, no context managers and nothing that a log would need.
"""

from __future__ import annotations

import functools
import sys
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from .. import events
from ..active import Slot
from ..events import current_log
from . import judging, layers, lending, queues

if TYPE_CHECKING:
    from collections.abc import Callable

# Set while consumers and communicators are watched for the item.
_WATCHED = pytest.StashKey[bool]()


class _Probes(NamedTuple):
    installed: tuple[Any, ...]
    leftovers: Any


@functools.cache
def _probes() -> _Probes:
    from ..channels.watch import communicators, consumers, leftovers, stateless

    return _Probes((consumers, communicators, stateless), leftovers)


def watch(item: pytest.Item) -> None:
    """Watch consumers and communicators until the test's fixtures are gone."""
    if _WATCHED in item.stash:
        return
    installed: list[Any] = []
    try:
        for probe in _probes().installed:
            probe.install()
            installed.append(probe)
    except BaseException:
        for probe in installed:
            probe.remove()
        raise
    item.stash[_WATCHED] = True


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
    if "channels.consumer" in loaded:
        watch(item)
        _probes().leftovers.begin(setup=True)
        watched = True
    return layers.begin(item) or watched


def end(item: pytest.Item) -> None:
    """The fixtures are gone: judge what they have left behind, and watch no more."""
    queues.end_redis_watch(item)
    # Only where a module of ours for Channels is loaded has anything begun.
    if "pytest_backchannel.channels.watch.consumers" in sys.modules:
        try:
            _end_probes(item)
        finally:
            layers.end(item)


def _end_probes(item: pytest.Item) -> None:
    if _WATCHED not in item.stash:
        return
    del item.stash[_WATCHED]
    probes = _probes()
    try:
        probes.leftovers.check_all()
    finally:
        for probe in reversed(probes.installed):
            probe.remove()


# ---------------------------------------------------------- from the body on


class _Body(NamedTuple):
    item: pytest.Item
    end_brokers: Callable[[], None] | None
    end_enqueues: Callable[[], None] | None


_body = Slot[_Body]("body of a test that is watched")


def begin_body(item: pytest.Item) -> bool:
    """Watch what only the body's own doing counts for: connections to brokers, and enqueues inside of a transaction.

    Returns:
        Whether the end of the body has to be seen to.
    """
    loaded = sys.modules
    if "celery" not in loaded and "django.db" not in loaded and events.log_in_use() is None:
        return False  # Channels loads Django's database
    end_brokers = queues.watch_brokers(item)
    _body.value = _Body(item, end_brokers, None)  # what follows may raise
    watched = _WATCHED in item.stash
    if watched:
        # What the body leaves behind and nobody can reach any more is judged when it has ended.
        _probes().leftovers.begin(setup=False)
    lent = lending.begin_body(item)
    end_enqueues = lending.watch_body(item)
    _body.value = _Body(item, end_brokers, end_enqueues)
    return watched or lent or end_brokers is not None or events.log_in_use() is not None


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
        if body is not None and body.end_brokers is not None:
            body.end_brokers()


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
