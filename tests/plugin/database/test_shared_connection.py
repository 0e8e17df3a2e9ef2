"""An async test with db, as a user sees it: nothing is left for the next test."""

from __future__ import annotations

import pytest


def test_rows_of_an_async_test_are_seen_everywhere_and_reach_no_later_test(project):
    project.ini("asyncio_mode = auto")
    result = project.test(
        """
        import threading

        import pytest
        from asgiref.sync import sync_to_async
        from django.db import transaction
        from shop.models import Order

        async def one_row(mode):
            assert await Order.objects.acount() == 0, "the last test's row is still there"
            if mode == "async":
                await Order.objects.acreate(reference=mode)
            elif mode == "thread":
                thread = threading.Thread(target=Order.objects.create, kwargs={"reference": mode})
                thread.start()
                thread.join()
            else:
                await sync_to_async(Order.objects.create, thread_sensitive=mode == "sensitive")(reference=mode)
            assert await Order.objects.acount() == 1
            assert await sync_to_async(Order.objects.count, thread_sensitive=False)() == 1

        @pytest.mark.parametrize("mode", ["async", "thread", "sensitive", "insensitive"])
        async def test_db(db, mode):
            await one_row(mode)

        @pytest.mark.django_db
        @pytest.mark.parametrize("mode", ["async", "thread"])
        async def test_marker(mode):
            await one_row(mode)

        @pytest.mark.parametrize("mode", ["async", "thread"])
        async def test_db_async(db_async, mode):
            await one_row(mode)

        def test_sync_after_all(db):
            assert not Order.objects.exists()
        """
    )
    result.assert_outcomes(passed=9)


def test_on_commit_runs_when_the_outermost_block_of_the_code_ends(project):
    project.ini("asyncio_mode = auto")
    result = project.test(
        """
        from asgiref.sync import sync_to_async
        from django.db import transaction

        def work():
            done = []
            with transaction.atomic():
                with transaction.atomic():
                    transaction.on_commit(lambda: done.append("inner"))
                try:
                    with transaction.atomic():
                        transaction.on_commit(lambda: done.append("rolled back"))
                        raise ValueError
                except ValueError:
                    pass
                assert done == []
            assert done == ["inner"]
            transaction.on_commit(lambda: done.append("at once"))
            assert done == ["inner", "at once"]

        async def test_async(db):
            await sync_to_async(work)()

        def test_sync_asking_for_it(db_async):
            work()

        def test_plain_sync_is_as_it_was(db):
            done = []
            with transaction.atomic():
                transaction.on_commit(lambda: done.append(1))
            assert done == []
        """
    )
    result.assert_outcomes(passed=3)


def test_a_block_that_a_fixture_holds_around_the_test_belongs_to_the_test(project):
    project.ini("asyncio_mode = auto")
    result = project.test(
        """
        import asyncio

        import pytest
        from asgiref.sync import sync_to_async
        from django.db import transaction
        from pytest_backchannel.database import in_code_transaction
        from shop.models import Order

        @pytest.fixture
        def rolled_back(db):
            Order.objects.create(reference="before")
            with transaction.atomic():
                Order.objects.create(reference="in the fixture's block")
                yield
                transaction.set_rollback(True)
            assert [order.reference for order in Order.objects.all()] == ["before"]
            assert not in_code_transaction()

        @pytest.fixture
        async def order(rolled_back):
            return await Order.objects.acreate(reference="of an async fixture")

        def commit(done):
            with transaction.atomic():
                transaction.on_commit(lambda: done.append("committed"))
                assert done == []

        async def test_async(rolled_back, order):
            assert await Order.objects.acount() == 3
            assert await asyncio.to_thread(Order.objects.count) == 3
            done = []
            await sync_to_async(commit, thread_sensitive=False)(done)
            assert done == ["committed"]
            with pytest.raises(ValueError):
                await sync_to_async(fail)()
            assert await Order.objects.acount() == 3

        def fail():
            with transaction.atomic():
                Order.objects.create(reference="taken back")
                raise ValueError

        def test_sync(rolled_back, db_async):
            done = []
            commit(done)
            assert done == ["committed"]
            transaction.on_commit(lambda: done.append("at once"))
            assert done == ["committed", "at once"]
            assert not in_code_transaction()

        @pytest.fixture
        def asks(request):
            request.getfixturevalue("db_async")

        @pytest.fixture
        def late(asks, rolled_back):
            yield

        def test_sharing_begun_by_a_fixture(late):
            assert asyncio.run(Order.objects.acount()) == 2

        async def test_nothing_is_left(db):
            assert not await Order.objects.aexists()
        """
    )
    result.assert_outcomes(passed=4)


@pytest.mark.parametrize(("fixture", "count"), [("held", 0), ("order", 1)])
def test_the_first_sharing_of_a_run_may_begin_within_the_set_up_of_a_fixture(project, fixture, count):
    """Before it there is no hook around fixtures: what they hold is taken over all the same."""
    result = project.test(
        """
        import asyncio
        import pytest
        from django.db import transaction
        from shop.models import Order

        @pytest.fixture
        def held(request):
            request.getfixturevalue("db_async")
            with transaction.atomic():
                yield

        @pytest.fixture
        def order(held):
            return asyncio.run(Order.objects.acreate(reference="of a loop in a fixture"))

        def test_of_no_sharing(db):
            '''pytest-django creates the databases that some test asks for by name.'''

        def test_first(FIRST):
            assert asyncio.run(Order.objects.acount()) == COUNT

        def test_second(held):
            assert asyncio.run(Order.objects.acount()) == 0
        """.replace("FIRST", fixture).replace("COUNT", str(count))
    )
    result.assert_outcomes(passed=3)
