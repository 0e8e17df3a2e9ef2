"""``--backchannel-audit=rollback``: what is sent inside a transaction of the code's, by every way of sending."""

from __future__ import annotations

import json

import pytest

SENDERS = """
    from asgiref.sync import async_to_sync
    from celery import chain
    from channels.layers import get_channel_layer
    from django.core.mail import send_mail, send_mass_mail
    from django.db import transaction

    from .models import Order
    from .tasks import add

    def enqueue():
        with transaction.atomic():
            order = Order.objects.create()
            add.delay(1, 2)

    @transaction.atomic
    def workflow():
        chain(add.s(1, 2), add.s(3)).delay()

    def tell():
        with transaction.atomic():
            async_to_sync(get_channel_layer().group_send)("room", {"type": "room.message", "text": "x"})

    def mail():
        with transaction.atomic():
            send_mail("Paid", "Thank you", None, ["a@example.com"])

    def mails():
        with transaction.atomic():
            send_mass_mail([("Paid", "Thank you", None, ["a@example.com"])])

    def remove(order):
        order.delete()
"""
RECEIVERS = """
    from django.contrib.auth.models import User
    from django.db.models.signals import m2m_changed, post_delete

    from .models import Order
    from .tasks import add, fail

    def deleted(sender, **kwargs):
        add.delay(1, 2)

    def joined(sender, **kwargs):
        fail.delay()

    post_delete.connect(deleted, sender=Order)
    m2m_changed.connect(joined, sender=User.groups.through)
"""


@pytest.fixture
def site(project):
    project.write("shop/senders.py", SENDERS)
    return project


def audit(site, text, *arguments, outcome):
    """The run with the flag has the outcome of the one without."""
    site.write("test_it.py", text)
    site.run().assert_outcomes(**outcome)
    result = site.run("--backchannel-audit=rollback", "--backchannel-audit-json=audit.json", *arguments)
    result.assert_outcomes(**outcome)
    return result, json.loads((site.path / "audit.json").read_text())["rollback"]


def line(site, text, name="shop/senders.py", last=False):
    numbers = [
        number for number, each in enumerate((site.path / name).read_text().splitlines(), start=1) if text in each
    ]
    return f"{name}:{numbers[-1 if last else 0]}"


EAGER = """
    import pytest
    from shop import senders

    pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("eager")]

    @pytest.fixture
    def eager(settings):
        settings.CELERY_TASK_ALWAYS_EAGER = True

    @pytest.mark.parametrize("name", ["enqueue", "workflow", "tell", "mail", "mails"])
    def test_it(name):
        getattr(senders, name)()
"""


def test_each_kind_without_a_fixture_of_ours(site):
    result, found = audit(site, EAGER, outcome={"passed": 5})
    assert {(one["slug"], one["what"], one["where"]) for one in found} == {
        ("enqueued_in_transaction", "shop.tasks.add", line(site, "add.delay(1, 2)")),
        (
            "enqueued_in_transaction",
            "the chain of shop.tasks.add, shop.tasks.add",
            line(site, "chain(add.s"),
        ),
        ("sent_in_transaction", "group_send", line(site, "group_send)(")),
        ("sent_in_transaction", "mail", line(site, "send_mail(")),
        ("sent_in_transaction", "mail", line(site, "send_mass_mail([")),
    }
    by_where = {one["where"]: one["inside"] for one in found}
    assert by_where[line(site, "add.delay(1, 2)")] == f"transaction.atomic() at {line(site, 'with transaction.atomic')}"
    decorated = line(site, "@transaction.atomic")
    assert by_where[line(site, "chain(add.s")] == f"transaction.atomic() around workflow() at {decorated}"
    result.stdout.fnmatch_lines(
        [
            "*backchannel: sent before the commit*",
            "5 lines send inside a transaction: a rollback does not take it back, *",
            f"enqueued_in_transaction: shop.tasks.add  {line(site, 'add.delay(1, 2)')}",
            f"    inside transaction.atomic() at {line(site, 'with transaction.atomic')}   [[]*::test_it[[]enqueue]]",
            "    fix: add.delay_on_commit(...), or transaction.on_commit(lambda: add.delay(...))",
        ]
    )


MOCKS = """
    from unittest.mock import Mock, patch

    import pytest
    from shop import senders
    from shop.tasks import add

    pytestmark = pytest.mark.django_db

    def test_patched_where_it_is_used():
        with patch("shop.senders.add") as task:
            senders.enqueue()
        task.delay.assert_called_once()

    @patch.object(add, "delay")
    def test_patched_method(delay):
        senders.enqueue()

    @patch.object(add, "delay", autospec=True)
    def test_autospec(delay):
        senders.enqueue()

    def test_monkeypatch(monkeypatch):
        monkeypatch.setattr("shop.tasks.add.delay", Mock())
        senders.enqueue()

    def test_of_nothing_that_enqueues(monkeypatch):
        other = Mock()
        monkeypatch.setattr("shop.senders.Order", other)
        with patch("shop.senders.add.delay_on_commit"):
            pass
"""


def test_mocks_of_delay(site):
    result, [found] = audit(site, MOCKS, outcome={"passed": 5})
    assert (found["what"], found["where"], found["mocked"]) == (
        "shop.tasks.add",
        line(site, "add.delay(1, 2)"),
        True,
    )
    assert len(found["tests"]) == 4
    result.stdout.fnmatch_lines(["*shop.tasks.add (a Mock stands for it)  *", "*and 2 more]"])


def test_a_test_that_uses_the_doubles(site):
    text = """
        import pytest
        from shop import senders

        pytestmark = [pytest.mark.django_db, pytest.mark.filterwarnings("ignore")]

        def test_queue(task_queue):
            senders.enqueue()
            task_queue.run()
    """
    _, [found] = audit(site, text, outcome={"passed": 1})
    assert found["inside"] == f"transaction.atomic() at {line(site, 'with transaction.atomic')}"


def test_a_signal_of_a_delete_is_always_inside(site):
    site.write("shop/receivers.py", RECEIVERS)
    text = """
        import pytest
        import shop.receivers
        from django.contrib.auth.models import Group
        from shop import senders
        from shop.models import Order

        pytestmark = pytest.mark.django_db

        def test_code(celery_eager):
            senders.remove(Order.objects.create())

        def test_itself(celery_eager):
            Order.objects.create().delete()

        def test_relation(django_user_model, monkeypatch):
            from unittest.mock import Mock

            monkeypatch.setattr("shop.receivers.fail", Mock())
            django_user_model.objects.create().groups.add(Group.objects.create(name="a"))
    """
    site.write("test_it.py", text)
    result = site.run("--backchannel-audit=rollback", "-W", "ignore")
    result.assert_outcomes(passed=3)
    where = line(site, "add.delay(1, 2)", "shop/receivers.py")
    result.stdout.fnmatch_lines(
        [
            f"*: shop.tasks.add  {where}",
            "*Django's own transaction in Collector.delete()*",
            "*: shop.tasks.fail (a Mock stands for it)*",
            "*Django's own transaction in ManyRelatedManager._add_items()*",
        ]
    )


def test_a_view_in_the_transaction_of_its_request(site):
    site.settings("DATABASES['default']['ATOMIC_REQUESTS'] = True")
    site.write(
        "shop/views.py",
        """
        from django.http import HttpResponse
        from django.views import View

        from .tasks import add, confirm_order

        def confirm(request, order_id):
            confirm_order.delay(order_id)
            return HttpResponse("ok")

        class Add(View):
            def get(self, request):
                add.delay(1, 2)
                return HttpResponse("ok")
        """,
    )
    site.write(
        "config/urls.py",
        """
        from django.urls import path
        from shop import views

        urlpatterns = [path("<int:order_id>/", views.confirm), path("add/", views.Add.as_view())]
        """,
    )
    text = """
        from unittest.mock import patch

        import pytest

        @pytest.mark.django_db
        def test_views(client):
            with patch("shop.views.add.delay"), patch("shop.views.confirm_order"):
                assert client.get("/add/").status_code == client.get("/7/").status_code == 200
    """
    _, found = audit(site, text, outcome={"passed": 1})
    around = {one["what"]: one["inside"] for one in found}
    view = line(site, "def confirm", "shop/views.py")
    assert around == {
        "shop.tasks.add": "the transaction of the request, around shop.views.Add",
        "shop.tasks.confirm_order": f"the transaction of the request, around confirm() at {view}",
    }


MAILS = """
    import pytest
    from shop import senders

    @pytest.mark.django_db
    def test_mail():
        senders.mail()
"""


@pytest.mark.parametrize(
    ("backend", "told"), [("django.core.mail.backends.smtp", True), ("post_office", False), ("mailer.backend", False)]
)
def test_a_backend_that_keeps_mails_in_rows_is_taken_back_with_them(site, backend, told):
    name = f"{backend}.EmailBackend"
    site.settings(
        "import django\n"
        f"if django.VERSION >= (6, 1):\n    MAILERS = {{'default': {{'BACKEND': {name!r}}}}}\n"
        f"else:\n    EMAIL_BACKEND = {name!r}"
    )
    site.write("test_it.py", MAILS)
    result = site.run("--backchannel-audit=rollback")
    result.assert_outcomes(passed=1)
    assert ("1 line sends inside a transaction" in result.stdout.str()) is told


def test_a_mock_of_what_the_audit_asks_itself(site):
    site.write(
        "test_it.py",
        """
        from unittest.mock import Mock, patch
        from django.db import connections

        def test_it(db):
            with patch.object(connections, "all", return_value=[Mock()]) as every:
                Mock()()
                assert len(every()) == 1
            every.assert_called_once_with()
        """,
    )
    site.run("--backchannel-audit").assert_outcomes(passed=1)
    site.run().assert_outcomes(passed=1)
