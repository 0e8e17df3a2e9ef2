"""Idle: nothing ready, no job, and what is left listed."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time

import anyio
import pytest
import pytest_asyncio

from pytest_backchannel.clock import idle
from pytest_backchannel.clock.idle import Verdict

pytestmark = pytest.mark.asyncio


@contextlib.contextmanager
def watching(loop):
    idle.watch(loop)
    try:
        yield
    finally:
        idle.unwatch(loop)


@pytest_asyncio.fixture
async def loop():
    loop = asyncio.get_running_loop()
    with watching(loop):
        yield loop


async def test_the_queues_that_it_reads_exist_in_this_python(loop):
    assert idle.visible(loop)
    assert not idle.has_sockets(loop)
    assert await idle.settle(1) is Verdict.IDLE


async def test_ready_tasks_run_first(loop):
    steps = []

    async def work():
        for step in range(5):
            await asyncio.sleep(0)
            steps.append(step)

    task = asyncio.create_task(work())
    assert await idle.settle(1) is Verdict.IDLE
    assert steps == [0, 1, 2, 3, 4]
    await task


async def test_executor_jobs_are_awaited_and_what_they_lead_to(loop):
    found = []

    async def work():
        await asyncio.to_thread(time.sleep, 0.05)
        await loop.run_in_executor(None, time.sleep, 0.01)
        found.append("done")

    task = asyncio.create_task(work())
    assert await idle.settle(2) is Verdict.IDLE
    assert found == ["done"]
    await task


async def test_a_job_that_does_not_end_is_named(loop):
    release = threading.Event()

    def wait_for_release():
        release.wait(5)

    future = loop.run_in_executor(None, wait_for_release)
    assert await idle.settle(0.1) is Verdict.BUSY
    (job,) = idle.jobs(loop)
    assert job.where().function.endswith("wait_for_release")
    release.set()
    await future
    assert idle.jobs(loop) == []
    assert await idle.settle(1) is Verdict.IDLE


async def test_timers_are_listed_and_not_waited_for(loop):
    async def sleeper():
        await asyncio.sleep(50)

    async def with_timeout():
        async with asyncio.timeout(70):
            await asyncio.Event().wait()

    tasks = [asyncio.create_task(sleeper()), asyncio.create_task(with_timeout())]
    handle = loop.call_later(60, handle_it)
    start = time.perf_counter()
    assert await idle.settle(5) is Verdict.IDLE
    assert time.perf_counter() - start < 20
    first, second, third = idle.timers(loop)
    assert first.what.endswith("sleeper")
    assert "test_idle.py:" in str(first)
    assert 30 < first.due_in <= 50
    assert second.what == "handle_it"
    assert second.where.line == handle_it.__code__.co_firstlineno
    assert third.what.endswith("with_timeout")
    handle.cancel()
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    assert idle.timers(loop) == []


def handle_it():
    pass


async def test_the_askers_own_timers_can_be_left_out(loop):
    async with asyncio.timeout(5):
        await asyncio.sleep(0)
        assert len(idle.timers(loop)) == 1
        assert idle.timers(loop, ignoring=asyncio.current_task()) == []


async def _asks(found):
    found.append(idle.timers(asyncio.get_running_loop(), ignoring=asyncio.current_task()))


async def _in_a_group(found):
    async with asyncio.TaskGroup() as group:
        group.create_task(_asks(found))


async def _in_anyios_group(found):
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(_asks, found)


@pytest.mark.parametrize(
    "asked",
    [
        lambda found: asyncio.wait_for(_asks(found), 5),
        lambda found: asyncio.wait_for(asyncio.create_task(_asks(found)), 5),
        lambda found: asyncio.wait_for(asyncio.shield(_asks(found)), 5),
        lambda found: asyncio.wait_for(asyncio.gather(_asks(found), asyncio.sleep(0)), 5),
        lambda found: asyncio.wait([asyncio.ensure_future(_asks(found))], timeout=5),
        lambda found: asyncio.wait_for(_in_a_group(found), 5),
        _in_anyios_group,
    ],
    ids=["wait_for", "task", "shield", "gather", "wait", "task group", "anyio"],
)
async def test_so_can_the_timers_of_those_that_await_the_asker(loop, asked):
    found = []
    async with asyncio.timeout(5):
        await asked(found)
    assert found == [[]]
    other = asyncio.create_task(asyncio.sleep(5))
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await asked(found)
    assert [timer.what for timer in found[1]] == ["sleep"]
    other.cancel()


async def test_an_open_socket_makes_it_unseen(loop):
    one, other = socket.socketpair()
    with one, other:
        one.setblocking(False)
        loop.add_reader(one, lambda: None)
        try:
            assert idle.has_sockets(loop)
            assert await idle.settle(1) is Verdict.UNSEEN
        finally:
            loop.remove_reader(one)
    assert await idle.settle(1) is Verdict.IDLE


async def test_a_loop_that_never_rests_is_busy(loop):
    stop = False

    async def spin():
        while not stop:  # noqa: ASYNC110 - a loop that never rests is the point
            await asyncio.sleep(0)

    task = asyncio.create_task(spin())
    assert await idle.settle(0.05) is Verdict.BUSY
    stop = True
    await task


async def test_it_stops_when_the_callers_condition_is_true(loop):
    found = []
    task = asyncio.create_task(asyncio.to_thread(time.sleep, 0.05))
    loop.call_soon(found.append, 1)
    assert await idle.settle(1, until=lambda: bool(found)) is Verdict.STOPPED
    await task


async def test_several_that_ask_at_once_do_not_wait_for_each_other(loop):
    assert await asyncio.gather(*(idle.settle(1) for _ in range(5))) == [Verdict.IDLE] * 5


async def test_the_stack_of_a_task_goes_through_the_tasks_that_it_awaits(loop):
    async def innermost():
        await asyncio.Event().wait()

    async def middle():
        await asyncio.gather(asyncio.create_task(innermost()), asyncio.sleep(0))

    async def outer():
        await asyncio.create_task(middle())

    task = asyncio.create_task(outer())
    await idle.settle(1)
    names = [where.function.rpartition(".")[2] for where in idle.awaiting(task)]
    assert names == ["outer", "middle", "innermost"]
    task.cancel()
    await asyncio.wait([task])
    assert idle.awaiting(task) == []


async def test_the_loop_is_left_as_it_was():
    loop = asyncio.get_running_loop()
    with watching(loop), watching(loop):
        assert "run_in_executor" in vars(loop)
    assert "run_in_executor" not in vars(loop)
    calls = []
    original = loop.run_in_executor

    def theirs(executor, function, *args):
        calls.append(function)
        return original(executor, function, *args)

    loop.run_in_executor = theirs
    with watching(loop):
        await asyncio.to_thread(int)
    assert vars(loop)["run_in_executor"] is theirs
    assert len(calls) == 1
    del loop.run_in_executor


async def test_a_loop_that_cannot_be_seen_into_is_unseen():
    class Opaque:
        """What uvloop shows of itself."""

    assert not idle.visible(Opaque())
    assert idle.timers(Opaque()) == []
