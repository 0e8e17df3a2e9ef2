"""What is watched during a test: consumers and communicators, whichever client opened them, and the event loop."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from typing import Any

import pytest

from ..events import current_log

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
