"""celery_eager as a project sees it: what is tested with it, settings of every kind, and a clean end."""

from __future__ import annotations

import pytest

BILLING = """
    from celery import shared_task
    from django.core.mail import send_mail
    from shop.models import Order

    class MailServerBusy(Exception):
        pass

    class Mail:
        @staticmethod
        def confirm(order):
            send_mail(order.reference, "It is on its way.", None, ["customer@example.com"])

    @shared_task(bind=True, default_retry_delay=10, max_retries=3)
    def mail_order(self, order_id):
        order = Order.objects.get(pk=order_id)
        try:
            Mail.confirm(order)
        except MailServerBusy as busy:
            self.retry(exc=busy)
        Order.objects.filter(pk=order_id).update(confirmed=True)
        return order_id

    @shared_task
    def check_order(order_id):
        return Order.objects.only("pk").get(pk=order_id).pk
"""

# What the article does in eager mode, as a project's own tests would.
EAGER_TESTS = """
    from unittest.mock import patch

    import pytest
    from celery import chain
    from celery.exceptions import Retry
    from shop.billing import MailServerBusy, check_order, mail_order
    from shop.models import Order

    @pytest.fixture
    def order_id(db):
        return Order.objects.create(reference="A1").pk

    def confirmed():
        return Order.objects.filter(confirmed=True).exists()

    def test_the_body_runs_in_the_call(order_id, celery_eager, mailoutbox):
        assert mail_order.delay(order_id).get() == order_id
        assert confirmed()
        assert [mail.subject for mail in mailoutbox] == ["A1"]

    def test_the_retry_is_raised(order_id, celery_eager, mailoutbox):
        with patch("shop.billing.Mail.confirm", side_effect=MailServerBusy), pytest.raises(Retry):
            mail_order.delay(order_id).get()
        assert not confirmed()
        assert not mailoutbox

    def test_a_chain_runs_to_its_end(order_id, celery_eager):
        steps = chain(check_order.s(order_id), mail_order.s())
        assert steps.apply_async().get() == order_id
        assert confirmed()

    def test_the_call_site_may_be_patched(celery_eager):
        with patch("shop.billing.mail_order.delay") as delay:
            mail_order.delay(7)
        delay.assert_called_once_with(7)
"""

EAGER_SETTINGS = """
    CELERY_BROKER_URL, CELERY_RESULT_BACKEND = "memory://", "cache+memory://"
    CELERY_TASK_EAGER_PROPAGATES = CELERY_TASK_ALWAYS_EAGER = True
    EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
"""

# A project that had a fixture of this name before it had the plugin.
OWN_FIXTURE = """
    import pytest

    EAGER = {"TASK_ALWAYS_EAGER": True, "TASK_EAGER_PROPAGATES": True, "BROKER_URL": "memory://"}

    @pytest.fixture
    def celery_eager(settings):
        for name, value in EAGER.items():
            setattr(settings, f"CELERY_{name}", value)
        yield
"""


@pytest.mark.parametrize("conftest", ["", OWN_FIXTURE], ids=["ours", "the project's own"])
@pytest.mark.parametrize("settings", ["", EAGER_SETTINGS], ids=["real broker", "eager settings"])
def test_what_is_tested_in_eager_mode_passes_with_either_fixture_and_any_settings(project, conftest, settings):
    project.write("shop/billing.py", BILLING)
    project.settings(settings)
    project.write("conftest.py", conftest)
    # Django 6.1 warns about EMAIL_BACKEND.
    project.test(EAGER_TESTS, "-W", "default").assert_outcomes(passed=4)


def test_with_the_settings_fixture_in_either_order_and_with_what_is_assigned(project):
    project.test(
        """
        import pytest
        from celery import Celery, chord, shared_task
        from celery.exceptions import Retry
        from config.celery import app
        from shop.tasks import add, fail

        @shared_task(bind=True)
        def retrying(self):
            raise self.retry()

        @shared_task
        def total(numbers):
            return sum(numbers)

        @pytest.fixture
        def not_eager(settings):
            settings.CELERY_TASK_ALWAYS_EAGER = False
            settings.CELERY_TASK_EAGER_PROPAGATES = False

        def test_settings_first(not_eager, celery_eager):
            assert add.delay(1, 2).get() == 3
            with pytest.raises(ValueError):
                fail.delay()

        def test_settings_last(celery_eager, settings):
            settings.CELERY_BROKER_URL, settings.CELERY_RESULT_BACKEND = "memory://", "cache+memory://"
            assert chord([add.s(1, 1), add.s(2, 2)], total.s()).delay().get() == 6
            assert type(app.backend).__name__ == "CacheBackend"

        def test_the_backend_of_that_test_is_gone():
            assert type(app.backend).__name__ == "RedisBackend"

        def test_assigned(celery_eager):
            app.conf.task_eager_propagates = False
            assert fail.delay().state == "FAILURE"

        def test_what_was_assigned_is_gone(celery_eager):
            with pytest.raises(ValueError):
                fail.delay()
            with pytest.raises(Retry):
                retrying.delay()

        def test_an_app_of_the_tests_own(celery_eager):
            other = Celery("other", broker="redis://127.0.0.1:1/0")
            @other.task(shared=False)
            def double(x):
                return 2 * x
            assert double.delay(2).get() == 4
            assert other.send_task(double.name, (3,)).get() == 6

        def test_without_it_the_settings_hold():
            assert app.conf.task_always_eager is False
            assert "task_always_eager" not in app.conf.changes
        """
    ).assert_outcomes(passed=7)


def test_failures_name_what_to_do(project):
    result = project.test(
        """
        import pytest
        from celery import chain
        from config.celery import app
        from shop.tasks import add, confirm_order
        from shop.models import Order

        def test_control(celery_eager):
            app.control.revoke("x")

        def test_swallowed(celery_eager):
            try:
                app.control.revoke("x")
            except BaseException:
                pass

        @pytest.mark.allow_lost("real_broker")
        def test_swallowed_and_intended(celery_eager):
            try:
                app.control.revoke("x")
            except BaseException:
                pass

        def test_by_name(celery_eager):
            app.send_task("shop.tasks.ad", (1, 2))

        def test_an_instance_in_a_chain(db, celery_eager):
            order = Order.objects.create(reference="a")
            chain(add.s(1, 2), confirm_order.si(order)).apply_async()

        def test_in_a_view(client, db, celery_eager, django_capture_on_commit_callbacks):
            with django_capture_on_commit_callbacks(execute=True):
                client.get("/orders/1/confirm/")
            assert False
        """
    )
    result.assert_outcomes(failed=5, passed=1)
    for pattern in (
        "*a test in eager mode connects to a real broker, redis://*127.0.0.1:1/0, at test_it.py:9.*",
        "real_broker: a test in eager mode connects to a real broker*test_it.py:13*",
        "*UnknownTask: send_task('shop.tasks.ad')*Did you mean 'shop.tasks.add'*",
        "*NotSerialisable: shop.tasks.confirm_order is called with order_id = <Order: Order object (1)> (Order), "
        "which the serialiser 'json' can't encode*",
    ):
        result.stdout.fnmatch_lines([pattern])
    result.stdout.fnmatch_lines(
        [
            "*Behind the request*",
            "*ran shop.tasks.confirm_order(1), eagerly*shop/views.py:9*",
            "*└─ SUCCESS 1*",
        ]
    )


def test_without_celery_it_says_what_to_install(project):
    project.write(
        "conftest.py",
        """
        import importlib.util
        found = importlib.util.find_spec
        importlib.util.find_spec = lambda name, *rest: None if name == "celery" else found(name, *rest)
        import pytest_backchannel.fixtures.tasks as tasks
        tasks.find_spec = importlib.util.find_spec
        """,
    )
    result = project.test("def test_it(celery_eager): pass\n")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*the fixture celery_eager needs celery, which is not installed: pip install*"])


def test_in_an_async_test_a_failure_says_what_to_use(project):
    project.ini("asyncio_mode = auto")
    result = project.test(
        """
        from asgiref.sync import async_to_sync
        from celery import shared_task
        from shop.tasks import add, confirm_order, fail

        async def coroutine():
            pass

        @shared_task
        def bridge():
            async_to_sync(coroutine)()

        async def test_plain(celery_eager):
            assert add.delay(1, 2).get() == 3

        async def test_orm(db, celery_eager):
            confirm_order.delay(7)

        async def test_bridge(celery_eager):
            bridge.delay()

        async def test_another_error(celery_eager):
            fail.delay()
        """
    )
    result.assert_outcomes(passed=1, failed=3)
    result.stdout.fnmatch_lines(
        [
            "*SynchronousOnlyOperation*",
            "*shop.tasks.confirm_order was called inside a running event loop*async_to_sync works.*task_queue*",
        ]
    )
    result.stdout.fnmatch_lines(["*test_it.bridge was called inside a running event loop*"])
    assert "shop.tasks.fail was called inside" not in result.stdout.str()


def test_unittest_classes_and_xdist(project):
    project.test(
        """
        import pytest
        from django.test import TestCase
        from shop.tasks import add

        @pytest.mark.usefixtures("celery_eager")
        class TestIt(TestCase):
            def test_it(self):
                assert add.delay(1, 2).get() == 3

        def test_other(celery_eager):
            assert add.delay(1, 2).get() == 3
        """,
        "-n2",
    ).assert_outcomes(passed=2)
