"""Which tests get the shared connection, and which are left as pytest-django has them."""

from __future__ import annotations

import pytest

SHARED = """
    import contextvars
    import threading

    import pytest
    import pytest_asyncio
    from django.db import connection, transaction
    from shop.models import Order

    def shared():
        return connection.allow_thread_sharing

    def commits():
        done = []
        with transaction.atomic():
            transaction.on_commit(lambda: done.append(1))
        return bool(done)
"""


def test_sync_tests_share_only_with_a_fixture_of_ours(project):
    project.write(
        "conftest.py",
        """
        import pytest

        @pytest.fixture
        def task_queue():
            \"\"\"The project's own: it has nothing to do with the plugin's.\"\"\"
        """,
    )
    result = project.test(
        SHARED
        + """
    def test_plain(db):
        assert not shared()
        assert not commits()

    def test_own_fixture_of_the_same_name(db, task_queue):
        assert not shared()

    def test_db_async(db_async):
        assert shared()
        assert commits()

    def test_db_async_beside_db(db, db_async):
        assert shared()

    def test_asked_for_late(db, request):
        assert not shared()
        request.getfixturevalue("db_async")
        assert shared()
        assert commits()

    def test_after_it(db):
        assert not shared()
        assert not commits()

    @pytest.mark.usefixtures("db_async")
    class TestClass:
        def test_method(self):
            assert shared()

    @pytest_asyncio.fixture
    async def order(db):
        return await Order.objects.acreate(reference="a")

    def test_async_fixture(order):
        assert shared()
        assert Order.objects.get() == order

    @pytest.mark.asyncio
    async def test_async(db):
        assert shared()

    def test_async_to_sync_by_a_decorator(db):
        assert not Order.objects.exists()
        """
    )
    result.assert_outcomes(passed=10)


def test_fixtures_that_bring_it(project):
    from pytest_backchannel.harness.lending import LENDING

    assert set(LENDING) == {"db_async", "task_queue", "asgi_server", "websocket", "channel_layer"}
    result = project.test(
        SHARED
        + """
    from pytest_backchannel.harness.lending import LENDING

    @pytest.mark.parametrize("name", LENDING)
    def test_late(db, request, name):
        request.getfixturevalue(name)
        assert shared() and commits()
        """
    )
    result.assert_outcomes(passed=5)


def test_off_leaves_async_tests_as_pytest_django_has_them(project):
    project.ini("backchannel_async_db = off")
    result = project.test(
        SHARED
        + """
    @pytest.mark.asyncio
    async def test_plain(db):
        assert not shared()

    @pytest.mark.asyncio
    async def test_asking_for_it(db_async):
        assert shared()
        """
    )
    result.assert_outcomes(passed=2)


def test_on_commit_for_all(project):
    project.ini("backchannel_on_commit = true")
    result = project.test(
        SHARED
        + """
    from django.test import TestCase

    def test_sync(db):
        assert commits()

    @pytest.mark.django_db(transaction=True)
    def test_transactional():
        assert commits()
        assert not shared()

    class Tests(TestCase):
        def test_method(self):
            assert commits()
            with self.captureOnCommitCallbacks() as callbacks:
                transaction.on_commit(int)
            assert callbacks == [int]

    def test_without_a_database():
        pass
        """
    )
    result.assert_outcomes(passed=4)


@pytest.mark.parametrize("asks", ["transactional_db", "live_server", "django_db_reset_sequences"])
def test_db_async_without_a_transaction_is_refused(project, asks):
    result = project.test(f"def test_it(db_async, {asks}): pass")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["*UsageError: test_it.py::test_it: db_async lends the connection of the test's own transaction, and this*"]
    )


def test_a_suite_without_async_tests_loads_nothing_of_it(project):
    result = project.test(
        """
        import sys

        import pytest
        from shop.models import Order

        def test_db(db):
            assert not Order.objects.exists()

        @pytest.mark.django_db(transaction=True)
        def test_transactional():
            assert not Order.objects.exists()

        def test_nothing_was_imported():
            assert not [name for name in sys.modules if name.startswith("pytest_backchannel.database")]
        """
    )
    result.assert_outcomes(passed=3)
