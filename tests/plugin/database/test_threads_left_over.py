"""A thread that outlives its test gets an error that names the test; a test that ends while its database is in use."""

from __future__ import annotations

OUTLIVING = """
    import asyncio
    import threading
    import time
    from concurrent.futures import ThreadPoolExecutor

    import pytest
    from asgiref.local import Local
    from asgiref.sync import sync_to_async
    from django.db import connections, transaction
    from django.test import TestCase
    from shop.models import Order

    from pytest_backchannel.errors import ThreadOutlivedTest

    go = threading.Event()
    errors = []
    threads = []
    pool = ThreadPoolExecutor(1, thread_name_prefix="pool-of-the-project")

    def late(name):
        go.wait(30)
        try:
            Order.objects.create(reference=name)
        except BaseException as error:
            errors.append(error)

    def start(name):
        thread = threading.Thread(target=late, args=(name,), name=name)
        thread.start()
        threads.append(thread)

    def finish():
        go.set()
        while threads:
            threads.pop().join(30)
        pool.submit(int).result(30)
        found = sorted(errors, key=str)
        errors.clear()
        go.clear()
        return found
"""


def test_a_thread_that_outlives_its_test_touches_no_later_one(project):
    result = project.test(
        OUTLIVING
        + """
    @pytest.mark.asyncio
    async def test_a_leaves_threads(db):
        start("thread-of-a")
        pool.submit(late, "job-of-a")
        assert await Order.objects.acount() == 0

    @pytest.mark.asyncio
    async def test_b_is_not_touched(db):
        found = await asyncio.to_thread(finish)
        assert await Order.objects.acount() == 0
        assert [type(error) for error in found] == [ThreadOutlivedTest] * 2
        for error, name in zip(found, ("pool-of-the-project_0", "thread-of-a")):
            assert str(error).startswith(
                f"{name} was started by test_it.py::test_a_leaves_threads and still runs after its end; it may not"
            )

    @pytest.mark.asyncio
    async def test_c_the_pool_works_again(db):
        pool.submit(Order.objects.create, reference="c").result(10)
        assert await Order.objects.acount() == 1

    @pytest.mark.asyncio
    async def test_d_leaves_a_thread(db):
        start("thread-of-d")

    def test_e_a_sync_test_is_not_touched_either(db):
        error, = finish()
        assert "test_d_leaves_a_thread" in str(error)
        assert not Order.objects.exists()

    @pytest.mark.asyncio
    @pytest.mark.django_db(transaction=True)
    async def test_f_transactional_leaves_a_thread():
        start("thread-of-f")

    @pytest.mark.django_db(transaction=True)
    def test_g_is_not_touched():
        error, = finish()
        assert "test_f_transactional_leaves_a_thread" in str(error)
        assert not Order.objects.exists()

    class Tests(TestCase):
        async def test_a_leaves_a_thread(self):
            start("thread-of-a-method")

        async def test_b_is_not_touched(self):
            error, = await asyncio.to_thread(finish)
            assert "Tests::test_a_leaves_a_thread" in str(error)
            assert await Order.objects.acount() == 0

    def test_h_nothing_is_left_of_it():
        assert isinstance(connections._connections, Local)
        pool.shutdown()
        """,
    )
    result.assert_outcomes(passed=10)


def test_the_error_of_an_unwatched_thread_is_told_by_pytest(project):
    result = project.test(
        OUTLIVING
        + """
    def unwatched():
        go.wait(30)
        Order.objects.create(reference="late")

    @pytest.mark.asyncio
    async def test_a(db):
        threads.append(threading.Thread(target=unwatched))
        threads[0].start()

    def test_b(db):
        finish()
        """
    )
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*ThreadOutlivedTest: Thread-* was started by test_it.py::test_a and still runs*"])


def test_a_test_that_ends_inside_an_atomic_block_names_the_holder(project):
    project.ini("backchannel_timeout = 0.2")
    result = project.test(
        OUTLIVING
        + """
    from pytest_backchannel.database import current_sharing

    def shorten():
        current_sharing().shared["default"].lock.limit = 0.2

    def hold():
        try:
            with transaction.atomic():
                Order.objects.create(reference="held")
                go.wait(30)
        except BaseException as error:
            errors.append(error)

    def start_holder(name):
        thread = threading.Thread(target=hold, name=name)
        thread.start()
        threads.append(thread)
        while current_sharing().shared["default"].lock.entered is None:
            time.sleep(0.01)

    @pytest.mark.asyncio
    async def test_a_holds(db):
        shorten()
        start_holder("holder-of-a")

    @pytest.mark.asyncio
    async def test_b_is_clean(db):
        assert await Order.objects.acount() == 0
        error, = await asyncio.to_thread(finish)
        assert "test_a_holds" in str(error)
        assert await Order.objects.acount() == 0
        await Order.objects.acreate(reference="b")

    @pytest.mark.asyncio
    async def test_c_leaves_its_own_block_open(db):
        shorten()
        block = transaction.atomic()
        await sync_to_async(block.__enter__)()
        await Order.objects.acreate(reference="c")

    class Tests(TestCase):
        async def test_d_holds(self):
            shorten()
            start_holder("holder-of-d")

        async def test_e_is_clean(self):
            assert await Order.objects.acount() == 0
            error, = await asyncio.to_thread(finish)
            assert "test_d_holds" in str(error)

    def test_f_sync_is_clean(db):
        assert not Order.objects.exists()
        pool.shutdown()
        """
    )
    result.assert_outcomes(passed=5, failed=1, errors=2)
    result.stdout.fnmatch_lines(
        [
            "*SharedConnectionBusy: test_it.py::test_a_holds ended while its database 'default' was in use: "
            "holder-of-a holds it, inside the atomic block entered at test_it.py:*(hold), and is now at test_it.py:*",
            "*SharedConnectionBusy: test_it.py::test_c_leaves_its_own_block_open ended while*ThreadPoolExecutor-*",
            "*SharedConnectionBusy: test_it.py::Tests::test_d_holds ended while*holder-of-d*",
        ],
    )


def test_a_thread_of_a_fixture_of_wider_scope_serves_later_tests(project):
    project.settings(
        'CELERY_BROKER_URL = "memory://"; CELERY_RESULT_BACKEND = "cache+memory://"; STATIC_URL = "/static/"'
    )
    result = project.test(
        OUTLIVING
        + """
    import queue
    import urllib.request

    @pytest.fixture(scope="session")
    def importer():
        jobs, results = queue.SimpleQueue(), queue.SimpleQueue()

        def serve():
            while (name := jobs.get()) is not None:
                try:
                    results.put(Order.objects.create(reference=name))
                except BaseException as error:
                    results.put(error)

        thread = threading.Thread(target=serve)
        thread.start()

        def run(name):
            jobs.put(name)
            return results.get(timeout=10)

        yield run
        jobs.put(None)
        thread.join()

    @pytest.mark.asyncio
    @pytest.mark.parametrize("again", [1, 2])
    async def test_importer(db, request, again):
        order = await asyncio.to_thread(request.getfixturevalue("importer"), "a")
        assert await Order.objects.aget() == order

    @pytest.mark.asyncio
    @pytest.mark.parametrize("again", [1, 2])
    async def test_live_server(live_server, again):
        order = await Order.objects.acreate(reference="a")

        def get():
            with urllib.request.urlopen(f"{live_server.url}/orders/{order.pk}/confirm/", timeout=10) as response:
                return response.read()

        assert await asyncio.to_thread(get) == b"ok"

    def test_last():
        assert isinstance(connections._connections, Local)
        pool.shutdown()
        """
    )
    result.assert_outcomes(passed=5)
