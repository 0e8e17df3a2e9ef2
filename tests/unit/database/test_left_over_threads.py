"""Which threads are said to outlive a test: those whose work began in it and still runs."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.pool import ThreadPool

import pytest
from support.django_settings import configure

from pytest_backchannel.database import connection_local, in_code_transaction, threads
from pytest_backchannel.errors import ThreadOutlivedTest


@pytest.fixture
def work():
    """Work that lasts until it is told to end, and then asks for the database."""
    begun, end = threading.Event(), threading.Event()

    def run():
        begun.set()
        end.wait(10)
        try:
            threads.check()
        except ThreadOutlivedTest as error:
            return str(error)
        return None

    run.begun, run.end = begun, end
    yield run
    end.set()
    assert not threads.any_left()


def in_thread(function):
    box = []
    thread = threading.Thread(target=lambda: box.append(function()), name="worker")
    thread.start()

    def result():
        thread.join(10)
        return box[0]

    return result


def test_a_thread_started_in_the_test(work):
    watch = threads.ThreadsOfTest("test_a")
    result = in_thread(work)
    watch.end()
    assert threads.any_left()
    work.end.set()
    assert result().startswith("worker was started by test_a and still runs after its end; it may not touch")


def test_a_thread_that_ran_before_is_none_of_the_test(work):
    result = in_thread(work)
    watch = threads.ThreadsOfTest("test_a")
    watch.end()
    assert not threads.any_left()
    work.end.set()
    assert result() is None


def test_a_thread_that_ended(work):
    watch = threads.ThreadsOfTest("test_a")
    result = in_thread(work)
    work.end.set()
    result()
    watch.end()
    assert not threads.any_left()


@pytest.mark.parametrize("make", [ThreadPoolExecutor, ThreadPool])
def test_the_idle_thread_of_a_pool_is_not_left_over(work, make):
    with make(1) as pool:
        submit = getattr(pool, "submit", None) or pool.apply_async
        wait = "result" if make is ThreadPoolExecutor else "get"
        watch = threads.ThreadsOfTest("test_a")
        getattr(submit(int), wait)(10)
        watch.end()
        assert not threads.any_left()

        watch = threads.ThreadsOfTest("test_b")
        job = submit(work)
        assert work.begun.wait(10)
        watch.end()
        assert threads.any_left()
        work.end.set()
        assert "was started by test_b" in getattr(job, wait)(10)
        # The next job of the same thread belongs to a later test.
        assert getattr(submit(work), wait)(10) is None


def test_anyios_worker_threads_are_a_pool(work):
    from anyio import run, to_thread

    async def scenario():
        watch = threads.ThreadsOfTest("test_a")
        await to_thread.run_sync(int)
        watch.end()
        assert not threads.any_left()
        watch = threads.ThreadsOfTest("test_b")
        job = asyncio.ensure_future(to_thread.run_sync(work))
        assert await to_thread.run_sync(work.begun.wait, 10)
        watch.end()
        assert threads.any_left()
        work.end.set()
        return await job

    assert "was started by test_b" in run(scenario)


def test_a_thread_left_over_may_be_asked_whether_it_is_in_a_transaction():
    configure()
    begun, end = threading.Event(), threading.Event()

    def ask():
        begun.set()
        end.wait(10)
        return in_code_transaction()

    watch = threads.ThreadsOfTest("test_a")
    result = in_thread(ask)
    begun.wait(10)
    watch.end()
    connection_local.install_if_needed()
    try:
        end.set()
        assert result() is False
    finally:
        assert not threads.any_left()
        connection_local.install_if_needed()
