"""A block that only waits for a thread lends it the connection meanwhile; all other threads wait."""

from __future__ import annotations

import concurrent.futures
import queue
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from asgiref.sync import async_to_sync, sync_to_async

from pytest_backchannel.database.locks import SharedLock
from pytest_backchannel.errors import SharedConnectionBusy


@pytest.fixture
def lock():
    return SharedLock("default", 10)


def query(lock, done):
    with lock.held("run a query"):
        done.append(threading.get_ident())


def by_join(lock, done):
    threads = [threading.Thread(target=query, args=(lock, done)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def by_result(lock, done):
    with ThreadPoolExecutor(3) as pool:
        for job in [pool.submit(query, lock, done) for _ in range(3)]:
            job.result()


def by_exception(lock, done):
    with ThreadPoolExecutor(1) as pool:
        for _ in range(3):
            assert pool.submit(query, lock, done).exception() is None


def by_map(lock, done):
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: query(lock, done), range(3)))


def by_wait(lock, done):
    with ThreadPoolExecutor(3) as pool:
        concurrent.futures.wait([pool.submit(query, lock, done) for _ in range(3)])


def by_as_completed(lock, done):
    with ThreadPoolExecutor(3) as pool:
        list(concurrent.futures.as_completed([pool.submit(query, lock, done) for _ in range(3)]))


def by_shutdown(lock, done):
    with ThreadPoolExecutor(3) as pool:
        for _ in range(3):
            pool.submit(query, lock, done)


def by_queue(lock, done):
    answers = queue.Queue()
    for _ in range(3):
        threading.Thread(target=lambda: answers.put(query(lock, done))).start()
    for _ in range(3):
        answers.get(timeout=20)


def by_asgiref(lock, done):
    async def three():
        for _ in range(3):
            await sync_to_async(query, thread_sensitive=False)(lock, done)

    async_to_sync(three)()


WAYS = [by_join, by_result, by_exception, by_map, by_wait, by_as_completed, by_shutdown, by_queue, by_asgiref]


@pytest.mark.parametrize("way", WAYS)
def test_the_threads_that_a_block_waits_for_get_through(lock, way):
    done: list[int] = []
    lock.acquire("enter transaction.atomic()", atomic=True)
    began = time.monotonic()
    way(lock, done)
    assert len(done) == 3
    assert lock.mine
    assert lock.entered is not None
    lock.release()
    assert not lock.mine
    assert time.monotonic() - began < 5


def test_a_thread_that_has_the_number_of_one_that_has_ended_is_another(lock):
    ended = threading.Event()
    first = threading.Thread(target=ended.wait)
    first.start()
    lock.acquire("enter transaction.atomic()", atomic=True)
    ended.set()
    first.join()
    done: list[int] = []
    by_queue(lock, done)  # the system gives the first of its threads the number of the one that has ended
    assert len(done) == 3
    lock.release()


def test_a_thread_that_the_block_does_not_wait_for_waits(lock):
    lock.limit = 0.2
    refused = []

    def other():
        with pytest.raises(SharedConnectionBusy):
            query(lock, [])
        refused.append(True)

    bystander = threading.Thread(target=other)
    busy = threading.Thread(target=lambda: time.sleep(0.6))
    lock.acquire("enter transaction.atomic()", atomic=True)
    bystander.start()
    busy.start()
    busy.join()  # it waits, but for another thread
    lock.release()
    bystander.join()
    assert refused == [True]


def test_a_block_that_works_lends_nothing(lock):
    lock.limit = 0.2
    with ThreadPoolExecutor(1) as pool:
        lock.acquire("enter transaction.atomic()", atomic=True)
        job = pool.submit(query, lock, [])
        time.sleep(0.6)
        lock.release()
        assert isinstance(job.exception(), SharedConnectionBusy)


def test_the_holder_waits_until_it_has_it_back(lock):
    order: list[str] = []
    inside = threading.Event()

    def slow():
        with lock.held("run a query"):
            inside.set()
            time.sleep(0.3)
            order.append("lent")

    with ThreadPoolExecutor(1) as pool:
        lock.acquire("enter transaction.atomic()", atomic=True)
        job = pool.submit(slow)
        with pytest.raises(concurrent.futures.TimeoutError):
            job.result(0.1)
        assert inside.is_set()
        assert lock.lent
        with lock.held("run a query"):
            order.append("back")
        lock.release()
    assert order == ["lent", "back"]
    assert not lock.mine


@pytest.mark.parametrize("again", range(5))
def test_stress_of_nested_blocks_and_pools(lock, again):
    """Three blocks at once, each with a pool whose jobs open blocks and pools of their own: one at a time."""
    count, inside, most = [0], [0], [0]

    def step():
        with lock.held("run a query"):
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            before = count[0]
            time.sleep(0)
            count[0] = before + 1
            inside[0] -= 1

    def block(depth):
        lock.acquire("enter transaction.atomic()", atomic=True)
        try:
            step()
            if depth:
                with ThreadPoolExecutor(3) as pool:
                    list(pool.map(block, [depth - 1] * 3))
            step()
        finally:
            lock.regain()
            lock.release()

    threads = [threading.Thread(target=block, args=(2,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert count[0] == 3 * 2 * (1 + 3 + 9)
    assert most[0] == 1
    assert not lock.mine
    assert lock.describe_holder() == "nobody holds it now"
