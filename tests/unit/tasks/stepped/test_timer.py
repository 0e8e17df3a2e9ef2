"""The worker's timer, whose entries are due by the virtual clock."""

from __future__ import annotations

import pytest

from pytest_backchannel.clock.virtual import VirtualClock
from pytest_backchannel.events import begin_log, end_log
from pytest_backchannel.tasks.stepped.worker import VirtualTimer


@pytest.fixture
def clock():
    begin_log()
    with VirtualClock() as clock:
        yield clock
    end_log()


def work(timer):
    while (entry := timer.due()) is not None:
        timer.apply_entry(entry)


def test_what_is_called_repeatedly_is_so_in_virtual_time(clock):
    timer, calls = VirtualTimer(), []
    entry = timer.call_repeatedly(30, calls.append, ("tick",))
    for seconds, count in ((29, 0), (1, 1), (29, 1), (1, 2), (30, 3)):
        clock.shift(seconds)
        work(timer)
        assert len(calls) == count
    entry.cancel()
    clock.shift(30)
    work(timer)
    assert len(calls) == 3
    assert timer.next_moment() is None


def test_one_that_ends_itself_is_not_called_again(clock):
    timer, calls = VirtualTimer(), []

    def once():
        calls.append("tick")
        entry.cancel()

    entry = timer.call_repeatedly(30, once)
    clock.shift(30)
    work(timer)
    assert calls == ["tick"]
    assert timer.next_moment() is None
