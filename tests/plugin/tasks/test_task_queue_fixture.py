"""`task_queue` in a project's own suite: outcomes, and the text of failures."""

from __future__ import annotations

PASSING = """
    import pytest
    from celery.exceptions import Retry
    from django.db import connection, transaction
    from shop.models import Order
    from shop.tasks import add, confirm_order, fail


    def test_a_view_enqueues_when_it_commits(client, db, task_queue):
        order = Order.objects.create(reference="a")
        client.post(f"/orders/{order.pk}/confirm/")
        task_queue.assert_enqueued(confirm_order.s(order.pk))
        assert task_queue.run() == {"SUCCESS": 1}
        order.refresh_from_db()
        assert order.confirmed
        assert connection.in_atomic_block


    def test_nothing_is_left_of_the_test_before(db, task_queue):
        task_queue.assert_empty()
        assert Order.objects.count() == 0


    def test_a_rolled_back_view_enqueues_nothing(db, task_queue):
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            transaction.on_commit(lambda: add.delay(1, 1))
            1 / 0
        task_queue.assert_not_enqueued(add)


    def test_it_overrides_eager_mode_of_the_test_settings(task_queue, settings):
        assert add.delay(1, 2).state == "PENDING"
        assert add.delay(1, 2).get() == 3


    @pytest.mark.asyncio
    async def test_async(db, async_client, task_queue):
        order = await Order.objects.acreate(reference="b")
        await async_client.post(f"/orders/{order.pk}/confirm/")
        assert await task_queue.arun() == {"SUCCESS": 1}
        await order.arefresh_from_db()
        assert order.confirmed


    @pytest.mark.asyncio
    async def test_a_task_that_uses_async_to_sync(task_queue):
        from channels.layers import get_channel_layer
        from config.celery import app
        from asgiref.sync import async_to_sync

        layer = get_channel_layer()
        channel = await layer.new_channel()
        await layer.group_add("room", channel)

        @app.task(name="tells", shared=False)
        def tells():
            async_to_sync(get_channel_layer().group_send)("room", {"type": "x"})

        tells.delay()
        await task_queue.arun()
        assert await layer.receive(channel) == {"type": "x"}


    @pytest.mark.task_queue(profile="redis", visibility_timeout=60, queues=["celery", "other"])
    class TestMarked:
        def test_it(self, task_queue):
            assert task_queue._driver.broker.profile == "redis"
            assert task_queue._driver.broker.visibility_timeout == 60
            add.apply_async((1, 1), queue="other")
            assert task_queue.run() == {"SUCCESS": 1}

        @pytest.mark.task_queue(visibility_timeout=30)
        def test_what_is_nearer_wins(self, task_queue):
            assert task_queue._driver.broker.visibility_timeout == 30
            assert task_queue._driver.broker.profile == "redis"


    @pytest.mark.task_queue(workers={"fast": ["celery"], "slow": ["reports"]})
    def test_workers(task_queue):
        add.delay(1, 1)
        assert [len(task_queue.reserved(name)) for name in ("fast", "slow")] == [0, 0]
        task_queue.run(worker="fast")


    @pytest.mark.allow_lost("unserved_queue")
    @pytest.mark.task_queue(queues=["celery"])
    def test_an_unserved_queue_that_is_intended(task_queue):
        add.apply_async((1, 1), queue="of-another-service")


    def test_looking_at_a_failure(task_queue):
        fail.delay()
        assert task_queue.run(propagate=False)["FAILURE"] == 1


    def test_looking_at_the_result_of_a_failure(task_queue):
        result = fail.delay()
        task_queue.run(propagate=False)
        assert result.failed()


    def test_a_plain_context_manager(celery_app_of_the_project):
        from pytest_backchannel.tasks.queue import TaskQueue

        with TaskQueue(celery_app_of_the_project) as queue:
            add.delay(1, 1)
            assert queue.run() == {"SUCCESS": 1}


    @pytest.fixture
    def celery_app_of_the_project():
        from config.celery import app

        return app
"""

CLASSES = """
    import pytest
    from django.test import TestCase
    from shop.models import Order
    from shop.tasks import confirm_order


    @pytest.mark.usefixtures("task_queue")
    class OrderTests(TestCase):
        @classmethod
        def setUpTestData(cls):
            cls.order = Order.objects.create(reference="a")

        def test_confirm(self):
            self.client.post(f"/orders/{self.order.pk}/confirm/")
            self.task_queue.assert_enqueued(confirm_order.s(self.order.pk))
            self.task_queue.run()
            self.order.refresh_from_db()
            self.assertTrue(self.order.confirmed)

        def test_again(self):
            self.assertEqual(len(self.task_queue), 0)

        async def test_async(self):
            await self.async_client.post(f"/orders/{self.order.pk}/confirm/")
            await self.task_queue.arun()
            await self.order.arefresh_from_db()
            self.assertTrue(self.order.confirmed)
"""

FAILING = """
    import pytest
    from celery import chord
    from celery.exceptions import Ignore
    from config.celery import app
    from shop.tasks import add, confirm_order, fail


    @app.task(name="swallows", bind=True, shared=False)
    def swallows(self):
        try:
            if not self.request.retries:
                self.retry(countdown=0)
        except Exception:
            pass


    @app.task(name="ignores", shared=False)
    def ignores():
        raise Ignore


    def test_failed_task(task_queue):
        fail.delay("broken")
        task_queue.run(propagate=False)


    def test_failed_task_raises(task_queue):
        fail.delay("broken")
        task_queue.run()


    def test_unknown_task(task_queue):
        app.send_task("shop.tasks.confirm_oder", (1,))
        task_queue.run()


    @pytest.mark.task_queue(queues=["celery"])
    def test_unserved_queue(task_queue):
        add.apply_async((1, 1), queue="reports")


    def test_swallowed_retry(task_queue):
        swallows.delay()
        task_queue.run()


    def test_undecodable_message(task_queue):
        add.apply_async((1, 1), serializer="pickle")
        task_queue.run()


    def test_real_broker(task_queue):
        from celery import Celery

        other = Celery("other", broker="redis://127.0.0.1:1/0", set_as_current=False)
        try:
            other.send_task("far.away")
        except AssertionError:
            pass


    def test_pending_chord(task_queue):
        chord([ignores.s(), add.s(1, 1)], add.s(1))()
        task_queue.run()


    def test_not_enqueued(task_queue):
        confirm_order.delay(7)
        task_queue.assert_enqueued(confirm_order.s(8))
"""


def outcomes(result):
    """The outcome of each test by its name."""
    words = ("PASSED", "FAILED", "ERROR", "SKIPPED")
    return {
        line.split("::")[-1].split()[0]: word
        for line in result.stdout.lines
        for word in words
        if f" {word} " in line and "::" in line
    }


def test_what_passes(project):
    project.settings("CELERY_TASK_ALWAYS_EAGER = True")
    result = project.test(PASSING, "-v")
    failed = {name for name, word in outcomes(result).items() if word != "PASSED"}
    assert failed == set()
    result.assert_outcomes(passed=13)


def test_classes_of_django(project):
    result = project.test(CLASSES, "-v")
    result.assert_outcomes(passed=3)


def test_what_fails_without_being_asked(project):
    project.ini("    ignore::pytest_backchannel.errors.BackchannelWarning")
    result = project.test(FAILING, "-v")
    assert {name for name, word in outcomes(result).items() if word == "PASSED"} == {"test_pending_chord"}
    text = result.stdout.str()
    for expected in [
        "failed_task: shop.tasks.fail('broken') failed with ValueError('broken'), and the test has not looked",
        "unknown_task: no worker knows a task named 'shop.tasks.confirm_oder': its message was thrown away.",
        "Is 'shop.tasks.confirm_order' meant?",
        "unserved_queue: shop.tasks.add waits in queue 'reports', which no worker consumes ('worker' consumes",
        "swallowed_retry: swallows called self.retry(), and then caught the Retry that it raises: it ends as SUCCESS",
        "undecodable_message: the worker can't read the message of shop.tasks.add, and has thrown it away",
        "real_broker: this test connects to a real broker, redis://127.0.0.1:1/0.",
        "Not enqueued: shop.tasks.confirm_order(8)",
        'Intended? Say so with @pytest.mark.allow_lost("unknown_task").',
        "in task shop.tasks.fail('broken')",
        "└─ ran shop.tasks.fail('broken')  [shop/tasks.py:",
        "✗ FAILURE ValueError('broken')",
    ]:
        assert expected in text, expected
    for line in text.splitlines():
        if line.startswith(("failed_task:", "unknown_task:", "unserved_queue:", "real_broker:")):
            assert "[test_it.py:" in line, line


def test_a_pending_chord_warns(project):
    result = project.test(FAILING, "-v", "-k", "pending_chord")
    result.assert_outcomes(failed=1)
    assert "PendingChord: the callback shop.tasks.add of a chord can never run" in result.stdout.str()


BAD_MARKERS = [
    ("profile='kafka'", "task_queue(profile='kafka'): choose one of 'redis', 'rabbitmq'"),
    ("visibility_timeout=0", "task_queue(visibility_timeout=0): give a number of seconds above 0"),
    ("queues='celery'", "task_queue(queues='celery'): give a list of the names of queues, such as ['celery']"),
    ("order='lifo'", "task_queue(order='lifo'): choose one of 'fifo', 'random'"),
    ("seed='x'", "task_queue(seed='x'): give a whole number"),
    ("redeliver_all=1", "task_queue(redeliver_all=1): give True or False"),
    ("workers=['a']", "task_queue(workers=['a']): give the queues of each worker, such as"),
    ("broker=['kafka']", "task_queue(broker=['kafka']): choose one of 'stepped', 'redis', 'rabbitmq'"),
    ("speed=3", "task_queue has no argument 'speed'; choose from"),
    ("queues=['a'], workers={'b': ['c']}", "give one of them"),
    ("profile='rabbitmq', visibility_timeout=5", "visibility_timeout= is for profile='redis'"),
]


def test_a_marker_that_cannot_be_used_fails_its_own_test(project):
    for number, (marker, _) in enumerate(BAD_MARKERS):
        project.write(
            f"test_marker_{number}.py",
            f"""
            import pytest

            @pytest.mark.task_queue({marker})
            def test_it(task_queue):
                pass

            def test_beside_it(task_queue):
                pass
            """,
        )
    result = project.run()
    result.assert_outcomes(errors=len(BAD_MARKERS), passed=len(BAD_MARKERS))
    text = result.stdout.str()
    for _, message in BAD_MARKERS:
        assert message in text, message
    # The sentence alone.
    assert "Traceback" not in text
    assert "/pytest_backchannel/" not in text


def test_the_configuration_of_production_decides(project):
    project.write(
        "config/production.py",
        """
        from .settings import *

        CELERY_BROKER_URL = "redis://redis.example/0"
        CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 120}
        CELERY_RESULT_BACKEND = "rpc://"
        """,
    )
    project.settings('CELERY_BROKER_URL = "memory://"\nCELERY_RESULT_BACKEND = "cache+memory://"')
    project.ini("backchannel_production_settings = config.production", "backchannel_worker_queues = celery mail")
    result = project.test(
        """
        def test_it(task_queue):
            broker = task_queue._driver.broker
            assert (broker.profile, broker.visibility_timeout) == ("redis", 120)
            assert type(task_queue.app.backend).__name__ == "RpcBackend"
            assert task_queue._driver.engine.workers["worker"].queues == ("celery", "mail")
        """
    )
    result.assert_outcomes(passed=1)


def test_without_an_app_the_failure_says_where_it_was_looked_for(project):
    project.write("config/__init__.py", "")
    (project.path / "config" / "celery.py").unlink()
    result = project.test("def test_it(task_queue):\n    pass\n")
    result.assert_outcomes(errors=1)
    assert "found no Celery app in config.celery or config" in result.stdout.str()


def test_a_test_without_our_fixtures_is_only_summed_up(project):
    project.settings('CELERY_RESULT_BACKEND = "cache+memory://"')
    result = project.test(
        """
        import pytest
        from shop.tasks import add

        def test_it():
            with pytest.raises(Exception, match="refused"):
                add.apply_async((1, 1), retry=False)

        @pytest.mark.celery_integration
        def test_that_means_it():
            test_it()
        """
    )
    result.assert_outcomes(passed=2)
    text = result.stdout.str()
    assert "test_that_means_it" not in text
    assert "real_broker: this test connects to a real broker, redis://127.0.0.1:1/0. [test_it.py:" in text
    assert "None of it failed a test" in text


def test_a_worker_of_celerys_own_that_was_there_before_is_told(project):
    """It leaves its app the current one, to which the project's shared tasks go from then on."""
    result = project.test(
        """
        import pytest
        from celery import Celery
        from celery.contrib.testing.worker import start_worker
        from pytest_backchannel.errors import BackchannelFailure, NothingToRun
        from shop.tasks import add

        own = Celery("own", broker="memory://", backend="cache+memory://", set_as_current=False)

        def test_a_worker():
            with start_worker(own, pool="solo", perform_ping_check=False):
                pass

        def test_b_what_would_have_been_content(task_queue):
            add.delay(1, 2)
            told = "went to another Celery app: 'own' is the current one"
            with pytest.raises(BackchannelFailure, match=told):
                task_queue.assert_not_enqueued(add)
            with pytest.raises(BackchannelFailure, match=told):
                task_queue.assert_empty()
            with pytest.raises(NothingToRun, match=told):
                task_queue.run()
        """,
        "-p",
        "no:randomly",
    )
    result.assert_outcomes(passed=2)
