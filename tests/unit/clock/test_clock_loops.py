"""asyncio's loops under a virtual clock."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from types import SimpleNamespace

import pytest

from pytest_backchannel.clock.virtual import VirtualClock
from pytest_backchannel.events import begin_log, end_log

# In an object: the clock would replace a plain reference.
real = SimpleNamespace(sleep=time.sleep, perf_counter=time.perf_counter)


@pytest.fixture(autouse=True)
def log():
    yield begin_log()
    end_log()


@pytest.fixture(autouse=True)
def quick():
    started = real.perf_counter()
    yield
    assert real.perf_counter() - started < 3


@pytest.fixture
def clock():
    with VirtualClock() as clock:
        yield clock


def test_sleep_moves_the_clock_and_is_recorded(clock):
    async def main():
        start = clock.time()
        assert await asyncio.sleep(60, "value") == "value"
        assert clock.time() - start == 60

    asyncio.run(main())
    (sleep,) = clock.sleeps
    assert (sleep.seconds, sleep.kind) == (60, "asyncio.sleep")
    assert sleep.where is not None
    assert sleep.where.path == __file__


def test_sleepers_wake_in_the_order_of_their_deadlines(clock):
    woken = []

    async def sleeper(*naps):
        start = clock.time()
        for nap in naps:
            await asyncio.sleep(nap)
            woken.append((nap, clock.time() - start))

    async def main():
        await asyncio.gather(sleeper(10, 10), sleeper(3, 9), sleeper(15))

    asyncio.run(main())
    assert woken == [(3, 3), (10, 10), (9, 12), (15, 15), (10, 20)]


def test_a_bare_sleep_given_to_gather_counts_as_the_callers(clock):
    async def main():
        start = clock.time()
        await asyncio.gather(asyncio.sleep(5), asyncio.sleep(7))
        return clock.time() - start

    assert asyncio.run(main()) == 7
    assert [sleep.where.function.rpartition(".")[2] for sleep in clock.sleeps] == ["main", "main"]


def test_a_timeout_fires_before_a_longer_sleep(clock):
    async def main():
        start = clock.time()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await asyncio.sleep(60)
        assert clock.time() - start == 5
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.sleep(60), 7)
        assert clock.time() - start == 12

    asyncio.run(main())


def test_shift_fires_the_timers_that_it_passes(clock):
    async def main():
        fired = []
        loop = asyncio.get_running_loop()
        loop.call_later(10, fired.append, 10)
        loop.call_later(30, fired.append, 30)
        clock.shift(9)
        await asyncio.sleep(0)
        assert fired == []
        clock.shift(2)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert fired == [10]

    asyncio.run(main())


def test_ashift_lets_each_timer_fire_at_its_own_time(clock):
    async def main():
        fired = []
        loop = asyncio.get_running_loop()
        start = clock.time()

        def first():
            fired.append(("first", clock.time() - start))
            loop.call_later(5, lambda: fired.append(("second", clock.time() - start)))

        loop.call_later(10, first)
        await clock.ashift(60)
        assert fired == [("first", 10), ("second", 15)]
        assert clock.time() - start == 60

    asyncio.run(main())
    assert clock.sleeps == []


def test_a_timeout_fires_at_once_when_nothing_else_can_happen(clock):
    async def main():
        start = clock.time()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 3600)
        assert clock.time() - start == 3600

    asyncio.run(main())


def test_a_timeout_does_not_fire_while_a_thread_works(clock):
    async def main():
        start = clock.time()
        async with asyncio.timeout(5):
            assert await asyncio.to_thread(lambda: real.sleep(0.1) or "done") == "done"
        assert clock.time() == start

    asyncio.run(main())


def test_a_timeout_does_not_fire_while_a_thread_of_the_tests_own_works(clock):
    async def main():
        future = asyncio.get_running_loop().create_future()
        loop = asyncio.get_running_loop()

        def work():
            real.sleep(0.1)
            loop.call_soon_threadsafe(future.set_result, "done")

        threading.Thread(target=work).start()
        assert await asyncio.wait_for(future, 5) == "done"

    asyncio.run(main())


def test_a_new_thread_is_not_taken_for_an_old_one_with_its_number():
    numbers = []

    async def main():
        loop = asyncio.get_running_loop()
        future = loop.create_future()

        def work():
            numbers.append(threading.get_ident())
            real.sleep(0.05)
            loop.call_soon_threadsafe(future.set_result, "done")

        thread = threading.Thread(target=work)
        thread.start()
        assert await asyncio.wait_for(future, 5) == "done"
        thread.join()

    release = threading.Event()
    old = threading.Thread(target=lambda: numbers.append(threading.get_ident()) or release.wait())
    old.start()
    with VirtualClock():
        release.set()
        old.join()
        asyncio.run(main())
    if len(set(numbers)) > 1:
        pytest.skip("the platform gave the new thread another number")


def test_a_timeout_over_a_thread_that_hangs_fires_in_real_time(clock):
    release = threading.Event()

    async def main():
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.to_thread(release.wait), 0.05)
        release.set()

    asyncio.run(main())


def test_a_timeout_over_a_quiet_socket_fires_in_real_time(clock):
    ours, theirs = socket.socketpair()

    async def main():
        loop = asyncio.get_running_loop()
        ours.setblocking(False)
        start = clock.time()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(loop.sock_recv(ours, 10), 0.05)
        timer = threading.Timer(0.05, theirs.send, [b"late"])
        timer.start()
        assert await asyncio.wait_for(loop.sock_recv(ours, 10), 5) == b"late"
        timer.join()
        assert clock.time() == start

    with ours, theirs:
        asyncio.run(main())


def test_a_sleep_beside_a_working_thread_is_exact(clock):
    async def main():
        start = clock.time()
        work = asyncio.create_task(asyncio.to_thread(real.sleep, 0.1))
        await asyncio.gather(asyncio.sleep(10), asyncio.sleep(10))
        assert clock.time() - start == 10
        assert work.done()

    asyncio.run(main())


def test_a_thread_that_waits_for_a_sleeper_of_the_loop_does_not_stop_time(clock):
    async def nap():
        await asyncio.sleep(300)
        return "slept"

    async def main():
        loop = asyncio.get_running_loop()

        def work():
            return asyncio.run_coroutine_threadsafe(nap(), loop).result(timeout=5)

        return await asyncio.to_thread(work)

    assert asyncio.run(main()) == "slept"


def test_a_cancelled_sleeper_no_longer_moves_the_clock(clock):
    async def main():
        start = clock.time()
        task = asyncio.create_task(asyncio.sleep(60))
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.sleep(2)
        assert task.cancelled()
        return clock.time() - start

    assert asyncio.run(main()) == 3


def test_a_pending_timer_keeps_what_was_left_of_its_wait_when_the_clock_ends():
    async def main():
        fired = asyncio.Event()
        with VirtualClock() as clock:
            asyncio.get_running_loop().call_later(60.2, fired.set)
            clock.shift(60)
            await asyncio.sleep(0)
            assert not fired.is_set()
        started = real.perf_counter()
        await asyncio.wait_for(fired.wait(), 30)
        return real.perf_counter() - started

    assert 0.1 < asyncio.run(main()) < 20


def test_a_timer_set_before_the_clock_began_follows_it():
    async def main():
        fired = asyncio.Event()
        asyncio.get_running_loop().call_later(60, fired.set)
        with VirtualClock() as clock:
            clock.shift(61)
            await asyncio.sleep(0.001)
            assert fired.is_set()

    asyncio.run(main())


def test_moving_far_ahead_loses_no_timer(clock):
    async def main():
        clock.shift(86400 * 365 * 50)
        start = clock.time()
        for _ in range(20):
            await asyncio.sleep(0.1)
        assert abs(clock.time() - start - 2) < 1e-5

    asyncio.run(main())


def test_many_sleeps_are_exact(clock):
    async def main():
        start = clock.time()
        for _ in range(1000):
            await asyncio.sleep(0.125)
        assert clock.time() - start == 125

    asyncio.run(main())


def test_a_loop_in_another_thread_follows(clock):
    results = []

    async def main():
        event = asyncio.Event()
        ready.set()
        try:
            await asyncio.wait_for(event.wait(), 30)
        except TimeoutError:
            results.append("timed out")

    ready = threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    assert ready.wait(5)
    clock.shift(31)
    thread.join(5)
    assert results == ["timed out"]


def test_asgirefs_bridges_both_ways(clock):
    from asgiref.sync import async_to_sync, sync_to_async

    async def inner():
        await asyncio.sleep(20)
        return clock.time()

    @sync_to_async
    def middle():
        time.sleep(5)
        return async_to_sync(inner)()

    async def main():
        start = clock.time()
        async with asyncio.timeout(100):
            return await middle() - start

    assert asyncio.run(main()) == 25
    assert async_to_sync(main)() == 25


def test_anyios_sleep_follows(clock):
    anyio = pytest.importorskip("anyio")

    async def main():
        start = clock.time()
        with anyio.move_on_after(5) as scope:
            await anyio.sleep(60)
        assert scope.cancelled_caught
        assert clock.time() - start == 5

    async def again():
        start = clock.time()
        await anyio.sleep(60)
        assert clock.time() - start == 60

    anyio.run(main)
    with VirtualClock():  # anyio's backend is imported by now
        pass
    anyio.run(again)


def test_what_freezegun_leaves_at_the_loops_class_does_not_hide_the_clock():
    # What freeze_time(real_asyncio=True) does at its end; itself it takes too long to load.
    loop = asyncio.new_event_loop()
    loop.close()
    setattr(type(loop), "time", type(loop).time)  # noqa: B010 - a method, for type checkers

    async def wait():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(30):
                await asyncio.sleep(3600)

    with VirtualClock() as clock:
        started = clock.time()
        asyncio.run(wait())
        assert clock.time() - started == 30
    assert "time" not in vars(type(loop))
