"""A task enqueued inside atomic(), without on_commit, is a warning that names the line."""

from __future__ import annotations

import pytest


@pytest.fixture
def celery_project(project):
    """A project whose broker and result backend are in memory, where what is published stays."""
    project.settings("""
        CELERY_BROKER_URL = "memory://"
        CELERY_RESULT_BACKEND = "cache+memory://"
    """)
    return project


CASES = """
    import contextlib

    import celery
    import pytest
    from asgiref.sync import sync_to_async
    from celery import chain, chord, group
    from config.celery import app
    from django.db import transaction
    from shop.models import Order
    from shop.tasks import add, confirm_order

    from pytest_backchannel.errors import EnqueuedInTransaction
    from pytest_backchannel.events import current_log

    ENQUEUE = {
        "delay": lambda: add.delay(1, 2),
        "apply_async": lambda: add.apply_async((1, 2), countdown=5),
        "send_task": lambda: app.send_task("shop.tasks.add", (1, 2)),
        "signature": lambda: add.s(1, 2).delay(),
        "foreign": lambda: app.signature("elsewhere.task").delay(),
        "chain": lambda: chain(add.s(1, 2), add.s(3)).delay(),
        "group": lambda: group(add.s(1, 2), add.s(3, 4)).delay(),
        "chord": lambda: chord([add.s(1, 2), add.s(3, 4)])(add.si(5, 6)),
        "chunks": lambda: add.chunks(zip(range(4), range(4)), 2).delay(),
        "map": lambda: add.starmap([(1, 2)]).delay(),
    }
    NAMES = {
        "foreign": "elsewhere.task",
        "chain": "the chain of shop.tasks.add, shop.tasks.add",
        "group": "the group of shop.tasks.add, shop.tasks.add",
        "chord": "the chord of shop.tasks.add, shop.tasks.add",
        # Celery 5.5 and 5.6 make the group of chunks when it is sent, so that nobody knows its members before.
        "chunks": "a group" if celery.VERSION < (5, 7) else "the group of celery.starmap, celery.starmap",
        "map": "celery.starmap",
    }

    @pytest.fixture
    def eager():
        before = app.conf.task_always_eager
        app.conf.task_always_eager = True
        yield
        app.conf.task_always_eager = before

    def told():
        return [event.text.splitlines()[0] for event in current_log().events if hasattr(event, "slug")]

    def forget():
        current_log().take_problems()

    def check(way):
        ENQUEUE[way]()
        assert told() == []
        with transaction.atomic():
            pass
        ENQUEUE[way]()
        with transaction.atomic():
            transaction.on_commit(ENQUEUE[way])
        assert told() == []
        with transaction.atomic():
            ENQUEUE[way]()
        first, = told()
        name = NAMES.get(way, "shop.tasks.add")
        assert first.startswith(name + " was enqueued inside transaction.atomic() (entered at test_it.py:")
        where = [event.where for event in current_log().events if hasattr(event, "slug")][0]
        assert where.path.endswith("test_it.py")
        forget()

    @pytest.mark.parametrize("way", ENQUEUE)
    def test_publishing(db_async, way):
        check(way)

    @pytest.mark.parametrize("way", sorted(set(ENQUEUE) - {"send_task", "foreign"}))
    def test_eager(db_async, eager, way):
        check(way)

    @pytest.mark.asyncio
    async def test_async(db):
        await sync_to_async(check)("delay")

    @pytest.mark.parametrize("way", sorted(set(ENQUEUE) - {"foreign", "send_task", "map", "chunks"}))
    def test_task_queue(db, task_queue, way):
        check(way)

    @pytest.mark.parametrize("way", ["delay", "chain"])
    def test_celery_eager(db, celery_eager, way):
        with transaction.atomic():
            ENQUEUE[way]()
        assert len(told()) == 1
        forget()

    def test_delay_on_commit_with_task_queue(db, task_queue):
        with transaction.atomic():
            confirm_order.delay_on_commit(Order.objects.create(reference="a").pk)
            assert not task_queue
        assert len(task_queue) == 1
        task_queue.run()
        assert told() == []
        assert Order.objects.get().confirmed

    @pytest.mark.asyncio
    async def test_task_queue_in_an_async_test(db, task_queue, async_client):
        order = await Order.objects.acreate(reference="a")
        await async_client.get(f"/orders/{order.pk}/confirm/")
        await task_queue.arun()
        await order.arefresh_from_db()
        assert order.confirmed
        assert told() == []

    def test_delay_on_commit(db_async):
        with transaction.atomic():
            add.delay_on_commit(1, 2)
            add.apply_async_on_commit((1, 2))
        assert told() == []

    def test_eager_task_that_enqueues_in_its_own_transaction(db_async, eager):
        @app.task
        def outer():
            with transaction.atomic():
                add.delay(1, 2)

        outer.delay()
        text, = told()
        assert text.startswith("shop.tasks.add was enqueued")
        forget()

    def test_retry_in_a_transaction(db_async):
        @app.task(bind=True)
        def again(self):
            self.request.called_directly = False
            with transaction.atomic():
                raise self.retry(countdown=5)

        from celery.exceptions import Retry
        with pytest.raises(Retry):
            again.run()
        assert told() == []

    def test_a_line_is_told_once(db_async):
        with transaction.atomic():
            for number in range(5):
                add.delay(number, number)
        assert len(told()) == 1
        forget()

    @pytest.mark.django_db(transaction=True)
    @pytest.mark.asyncio
    async def test_without_a_transaction_of_the_test():
        def work():
            with transaction.atomic():
                add.delay(1, 2)
        await sync_to_async(work)()
        text, = told()
        assert text.startswith("shop.tasks.add was enqueued inside transaction.atomic(), before the commit")
        forget()

    @pytest.fixture
    def setup_without_the_fixtures():
        from celery import Celery
        from celery.app.task import Task
        assert not hasattr(Task.apply_async, "__wrapped__")
        assert not hasattr(Celery.send_task, "__wrapped__")
        assert not hasattr(group.apply_async, "__wrapped__")

    def test_celery_is_as_it_was_before_a_test_without_the_fixtures(setup_without_the_fixtures, db):
        with transaction.atomic(), contextlib.suppress(Exception):
            add.apply_async((1, 2), retry=False)
        assert len(told()) == 1
        forget()
"""


def test_every_way_of_enqueuing(celery_project):
    result = celery_project.test(CASES)
    result.assert_outcomes(passed=35)


@pytest.mark.parametrize("filterwarnings", ["error", "default"])
def test_the_warning_names_the_line(celery_project, filterwarnings):
    text = """
        import pytest
        from django.db import transaction
        from shop.tasks import add

        pytestmark = pytest.mark.filterwarnings("%s")

        def test_warns(db_async):
            with transaction.atomic():
                add.delay(1, 2)

        @pytest.mark.allow_lost("enqueued_in_transaction")
        def test_declared(db_async):
            with transaction.atomic():
                add.delay(1, 2)
    """
    result = celery_project.test(text % filterwarnings)
    if filterwarnings == "error":
        result.assert_outcomes(passed=1, failed=1)
        result.stdout.fnmatch_lines(
            ["*EnqueuedInTransaction: shop.tasks.add was enqueued inside transaction.atomic() *"]
        )
    else:
        result.assert_outcomes(passed=2, warnings=1)
        result.stdout.fnmatch_lines(
            ["*test_it.py:10: EnqueuedInTransaction: shop.tasks.add was enqueued inside*(entered at test_it.py:9)*"]
        )


def test_without_a_fixture_it_is_summed_up(celery_project):
    result = celery_project.test(
        """
        import pytest
        from asgiref.sync import sync_to_async
        from django.db import transaction
        from shop.tasks import add

        @pytest.mark.asyncio
        async def test_it(db):
            def work():
                with transaction.atomic():
                    add.delay(1, 2)

            await sync_to_async(work)()
        """
    )
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*enqueued_in_transaction*shop.tasks.add was enqueued*"])


EAGER = """
    from contextlib import contextmanager

    import pytest
    from config.celery import app
    from django.db import transaction
    from django.test import TestCase, TransactionTestCase
    from shop.tasks import add

    @pytest.fixture(autouse=True)
    def eager(settings):
        settings.CELERY_TASK_ALWAYS_EAGER = True

    @pytest.fixture
    def held_around_the_test(transactional_db):
        with transaction.atomic():
            yield

    def wrong():
        with transaction.atomic():
            add.delay(1, 2)

    def test_wrong(db):
        wrong()

    def test_wrong_without_a_transaction_of_the_test(transactional_db):
        wrong()

    class Tests(TestCase):
        def test_wrong(self):
            wrong()

        def test_right(self):
            add.delay(1, 2)
            with self.captureOnCommitCallbacks(execute=True), transaction.atomic():
                add.delay_on_commit(1, 2)

    class Transactions(TransactionTestCase):
        def test_right(self):
            with transaction.atomic():
                transaction.on_commit(lambda: add.delay(1, 2))
            add.delay(1, 2)

    def test_right(db, django_capture_on_commit_callbacks):
        add.delay(1, 2)
        with django_capture_on_commit_callbacks(execute=True), transaction.atomic():
            add.delay_on_commit(1, 2)

    def test_right_within_what_a_fixture_holds(held_around_the_test):
        add.delay(1, 2)

    def test_right_without_a_database():
        add.delay(1, 2)

    def test_right_with_a_patch(db, monkeypatch):
        monkeypatch.setattr("celery.app.task.Task.apply_async", lambda *args, **kwargs: None)
        wrong()
"""


@pytest.mark.parametrize("strict", [False, True])
def test_an_eager_suite_that_uses_nothing_of_ours_is_observed(celery_project, strict):
    celery_project.ini(*["backchannel_strict = true"] * strict)
    result = celery_project.test(EAGER)
    result.assert_outcomes(passed=6 if strict else 9, failed=3 if strict else 0)
    if strict:
        result.stdout.fnmatch_lines(["enqueued_in_transaction: shop.tasks.add was enqueued inside *test_it.py:21*"])
    else:
        summary = result.stdout.str().partition("unseen behind the request")[2]
        assert summary.count("enqueued_in_transaction") == 1
        assert "and 2 more" in summary
        assert "right" not in summary
