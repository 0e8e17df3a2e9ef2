"""An async test with db, as a user sees it: nothing is left for the next test."""

from __future__ import annotations


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
