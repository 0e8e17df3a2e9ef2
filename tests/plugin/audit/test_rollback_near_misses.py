"""``--backchannel-audit=rollback``: what looks alike and is not told, what is allowed, and pytest-xdist."""

from __future__ import annotations

import pytest

CODE = """
    import logging

    from django.core.mail import send_mail
    from django.db import transaction

    from .models import Order
    from .tasks import add, outer

    def on_commit():
        with transaction.atomic():
            transaction.on_commit(lambda: add.delay(1, 2))
            transaction.on_commit(lambda: send_mail("Paid", "", None, ["a@example.com"]))

    def delay_on_commit():
        with transaction.atomic():
            add.delay_on_commit(1, 2)

    def outside():
        send_mail("Paid", "", None, ["a@example.com"])
        add.delay(1, 2)

    def after():
        with transaction.atomic():
            Order.objects.create()
        add.delay(1, 2)
        send_mail("Paid", "", None, ["a@example.com"])

    def body():
        outer.delay()

    def failing():
        with transaction.atomic():
            logging.getLogger("django").error("out of paper")

    def inside():
        with transaction.atomic():
            add.delay(1, 2)
"""
TASKS = """

@shared_task
def outer():
    add.delay(1, 2)
"""
NEAR = """
    from unittest.mock import patch

    import pytest
    from django.db import transaction
    from django.test import TestCase, TransactionTestCase
    from shop import code
    from shop.models import Order
    from shop.tasks import add

    NAMES = ["on_commit", "delay_on_commit", "outside", "after", "body", "failing"]

    @pytest.fixture
    def held(db):
        with transaction.atomic():
            yield

    @pytest.mark.parametrize("name", NAMES)
    def test_db(db, name, django_capture_on_commit_callbacks):
        with django_capture_on_commit_callbacks(execute=True):
            getattr(code, name)()

    @pytest.mark.parametrize("name", NAMES)
    def test_transactional(transactional_db, name):
        getattr(code, name)()

    @pytest.mark.parametrize("name", ["outside", "after", "body"])
    def test_held_by_a_fixture(held, name):
        getattr(code, name)()

    @pytest.mark.django_db(transaction=True)
    def test_in_a_transaction_of_its_own():
        with transaction.atomic(durable=True):
            code.outside()
            code.after()
            add.delay(1, 2)

    @pytest.mark.django_db
    def test_in_a_block_that_it_calls_code_in():
        with transaction.atomic(), patch("shop.code.add") as task:
            code.outside()
        task.delay.assert_called_once()

    @pytest.mark.django_db
    def test_rows_that_it_makes_itself():
        Order.objects.get_or_create(reference="x")
        code.outside()

    class Cases(TestCase):
        @classmethod
        def setUpTestData(cls):
            code.outside()

        def setUp(self):
            code.outside()

        def test_all(self):
            for name in NAMES:
                getattr(code, name)()

        def test_callbacks(self):
            with self.captureOnCommitCallbacks(execute=True):
                code.on_commit()
            with transaction.atomic():
                code.outside()
                add.delay(1, 2)

    class Transactional(TransactionTestCase):
        def test_all(self):
            for name in NAMES:
                getattr(code, name)()
"""


@pytest.fixture
def site(project):
    project.write("shop/code.py", CODE)
    project.settings(
        """
        CELERY_TASK_ALWAYS_EAGER = True
        ADMINS = ["a@example.com" if django.VERSION >= (6, 0) else ("a", "a@example.com")]
        LOGGING = {
            "version": 1,
            "handlers": {"mail": {"class": "django.utils.log.AdminEmailHandler"}},
            "loggers": {"django": {"handlers": ["mail"]}},
        }
        """
    )
    tasks = project.path / "shop" / "tasks.py"
    tasks.write_text(tasks.read_text() + TASKS)
    return project


def test_near_misses_are_silent(site):
    site.write("test_it.py", NEAR)
    outcome = {"passed": 21}
    site.run().assert_outcomes(**outcome)
    result = site.run("--backchannel-audit=rollback")
    result.assert_outcomes(**outcome)
    result.stdout.fnmatch_lines(
        [
            "*sent before the commit*",
            "In what these tests ran, nothing was sent inside a transaction of the code's own.",
        ]
    )


TWO = """
    import pytest
    from shop import code

    pytestmark = pytest.mark.django_db

    def test_one():
        code.inside()

    {marker}
    def test_two():
        code.inside()
"""


def test_xdist_tells_a_line_once_with_all_its_tests(site):
    site.write("test_it.py", TWO.format(marker=""))
    result = site.run("--backchannel-audit=rollback", "-n", "2", "-p", "xdist")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["1 line sends inside a transaction: *", "*test_it.py::test_*, test_it.py::test_*]"])


@pytest.mark.parametrize(
    ("marker", "tests"),
    [
        ('@pytest.mark.allow_lost("enqueued_in_transaction")', ["test_it.py::test_one"]),
        ('@pytest.mark.allow_audit("shop.tasks.*", reason="it may come early")', ["test_it.py::test_one"]),
    ],
)
def test_what_is_intended_in_a_test(site, marker, tests):
    site.write("test_it.py", TWO.format(marker=marker))
    result = site.run("--backchannel-audit=rollback")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines([f"    inside transaction.atomic() at shop/code.py:*   [[]{tests[0]}]"])
    assert (": it may come early" in result.stdout.str()) is ("allow_audit" in marker)


def test_what_is_intended_in_the_project(site):
    site.ini("backchannel_audit_allow = shop.tasks.add: it may come early")
    site.write("test_it.py", TWO.format(marker=""))
    result = site.run("--backchannel-audit=rollback")
    result.stdout.fnmatch_lines(["*nothing was sent inside*", "allowed: shop.tasks.add at shop/code.py:*: it may*"])


def test_other_kinds_do_not_watch_it(site):
    site.write("test_it.py", TWO.format(marker=""))
    assert "sent before the commit" not in site.run("--backchannel-audit=crash").stdout.str()
