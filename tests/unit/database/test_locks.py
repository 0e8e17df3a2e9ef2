"""The lock of a shared connection: who waits, for how long, and what the error says."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from pytest_backchannel.database.locks import SharedLock
from pytest_backchannel.errors import SharedConnectionBusy, ThreadOutlivedTest


@pytest.fixture
def lock():
    return SharedLock("default", 0.1)


def hold(lock, *, atomic):
    """Take the lock in another thread, until the returned function is called."""
    taken, leave = threading.Event(), threading.Event()

    def holder():
        lock.acquire("be taken", atomic=atomic)
        taken.set()
        leave.wait(10)
        lock.release()

    thread = threading.Thread(target=holder, name="holder")
    thread.start()
    assert taken.wait(10)

    def stop():
        leave.set()
        thread.join(10)

    return stop


def test_one_thread_takes_it_again_and_gives_it_back_as_often(lock):
    lock.acquire("enter transaction.atomic()", atomic=True)
    line = lock.entered
    with lock.held("run a query"):
        assert lock.mine
        assert lock.entered == line
    assert lock.mine
    lock.release()
    assert not lock.mine
    assert lock.entered is None


def test_an_atomic_block_of_another_thread_is_named_with_its_lines(lock):
    stop = hold(lock, atomic=True)
    with pytest.raises(SharedConnectionBusy) as caught:
        lock.acquire("run a query")
    stop()
    message = str(caught.value)
    assert message.startswith("MainThread waited 0.1 s to run a query on the database 'default', which all threads of")
    assert "holder holds it, inside the atomic block entered at tests/unit/database/test_locks.py:" in message
    assert "(hold.<locals>.holder), and is now at tests/unit/database/test_locks.py:" in message
    assert "@pytest.mark.django_db(transaction=True)" in message
    lock.acquire("run a query")
    lock.release()


def test_a_query_of_another_thread_is_named_with_where_it_is(lock):
    stop = hold(lock, atomic=False)
    with pytest.raises(SharedConnectionBusy, match=r"holder holds it, and is now at tests/.*\.py:\d+ \(hold\."):
        lock.acquire("enter transaction.atomic()", atomic=True)
    stop()


def test_who_waits_when_the_test_ends_is_refused(lock):
    stop = hold(lock, atomic=True)
    lock.limit = 10
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(lock.acquire, "run a query")
        lock.ended = "test_x.py::test_one"
        stop()
        with pytest.raises(ThreadOutlivedTest, match=r"was started by test_x\.py::test_one and still runs"):
            waiting.result(10)
    lock.ended = None
    with lock.held("run a query"):
        pass


def test_nobody(lock):
    assert lock.describe_holder() == "nobody holds it now"
