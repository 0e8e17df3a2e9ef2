"""Waiting on an event loop, also where freezegun has stopped its clock."""

from __future__ import annotations

import asyncio
import time

import pytest
from freezegun import freeze_time

from pytest_backchannel.clock import patience
from pytest_backchannel.clock.virtual import VirtualClock
from pytest_backchannel.events import begin_log, end_log

perf_counter = time.perf_counter


@pytest.fixture(autouse=True)
def log():
    yield begin_log()
    end_log()


def run(function):
    return asyncio.run(function())


def test_only_a_loop_that_freezegun_has_stopped_is_stopped():
    async def stopped():
        return patience.is_stopped(asyncio.get_running_loop())

    assert not run(stopped)
    with freeze_time("2031-05-06"):
        assert run(stopped)
    for how in ({"real_asyncio": True}, {"tick": True}, {"auto_tick_seconds": 1}):
        with freeze_time("2031-05-06", **how):
            assert not run(stopped), how
    with VirtualClock():  # that one moves as the loop waits
        assert not run(stopped)


@pytest.mark.parametrize("frozen", [True, False])
def test_a_wait_ends_by_real_time(frozen):
    async def waits():
        loop = asyncio.get_running_loop()
        never = loop.create_future()
        before = patience.now(loop)
        await patience.wait([never], 0.05)
        assert patience.now(loop) - before >= 0.04
        soon = asyncio.ensure_future(asyncio.sleep(0))
        await patience.wait([never, soon], 60, asyncio.FIRST_COMPLETED)
        assert soon.done()
        await patience.wait([soon], 60)
        cancelled = []
        patience.call_at(loop, patience.now(loop) + 0.01, cancelled.append, 1).cancel()
        await patience.wait([never], 0.03)
        assert cancelled == []

    if frozen:
        with freeze_time("2031-05-06"):
            run(waits)
    else:
        run(waits)


def test_a_timer_of_a_loop_that_has_ended_is_silent():
    async def forgets():
        loop = asyncio.get_running_loop()
        return patience.call_at(loop, patience.now(loop) + 0.02, print)

    with freeze_time("2031-05-06"):
        timer = run(forgets)
    timer.join(5)
    assert not timer.is_alive()
