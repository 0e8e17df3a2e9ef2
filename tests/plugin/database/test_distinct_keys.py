"""Primary keys that start apart for each table: in which kinds of test, and which stay as they are."""

from __future__ import annotations

import os

import pytest

MODELS = """

class Label(models.Model):
    text = models.CharField(max_length=20)
    orders = models.ManyToManyField(Order)


class Little(models.Model):
    id = models.SmallAutoField(primary_key=True)


class Named(models.Model):
    name = models.CharField(max_length=20, primary_key=True)


class Gift(Order):
    ribbon = models.BooleanField(default=True)
"""
TESTS = """
    import pytest
    from django.contrib.auth.models import Group, Permission, User
    from django.contrib.contenttypes.models import ContentType
    from django.test import TestCase, TransactionTestCase
    from shop.models import Gift, Label, Little, Named, Order

    def keys():
        order, user, label = Order.objects.create(), User.objects.create(), Label.objects.create()
        label.orders.add(order)
        return [order.pk, user.pk, label.pk, label.orders.through.objects.get().pk]

    def test_apart(db):
        found = keys()
        print("keys", found)
        assert [key % 100_000 for key in found] == [1] * 4
        assert len({key // 100_000 for key in found}) == 4 and min(found) > 100_000
        assert Order.objects.create().pk == found[0] + 1

    def test_transactional(transactional_db):
        assert min(keys()) > 100_000

    def test_transactional_again(transactional_db):
        assert min(keys()) > 100_000

    @pytest.mark.django_db(reset_sequences=True)
    def test_reset():
        assert keys()[:3] == [1, 1, 1]

    def test_after_the_reset(db):
        assert min(keys()) > 100_000

    def test_reset_by_fixture(django_db_reset_sequences):
        assert keys()[:3] == [1, 1, 1]

    class TestReset(TransactionTestCase):
        reset_sequences = True

        def test_reset(self):
            assert keys()[:3] == [1, 1, 1]

    class TestAfter(TestCase):
        @classmethod
        def setUpTestData(cls):
            cls.order = Order.objects.create()

        def test_after(self):
            assert self.order.pk > 100_000 and min(keys()) > 100_000

    def test_what_has_no_key_of_its_own(db):
        order = Gift.objects.create()
        assert order.pk == order.order_ptr_id > 100_000
        assert Little.objects.create().pk < 100
        assert Named.objects.create(name="x").pk == "x"

    class TestFixed(TestCase):
        fixtures = ["orders"]

        def test_fixed(self):
            assert Order.objects.get(pk=7).reference == "seven"
            assert Order.objects.create().pk > 7

    def test_rows_of_migrations(db):
        assert ContentType.objects.order_by("pk").first().pk < 1000
        assert Permission.objects.create(
            content_type=ContentType.objects.first(), codename="new", name="new"
        ).pk < 1000
"""


def with_models(project, settings):
    models = project.path / "shop" / "models.py"
    models.write_text(models.read_text() + MODELS)
    project.write("shop/fixtures/orders.json", '[{"model": "shop.order", "pk": 7, "fields": {"reference": "seven"}}]')
    project.settings(settings)
    project.ini("backchannel_distinct_keys = true")


def database(kind, request):
    if kind == "memory":
        return "\nDATABASES = {'default': {'ENGINE': 'django.db.backends.sqlite3', 'NAME': ':memory:'}}\n"
    options = {"NAME": f"test_distinct_keys_{os.getpid()}"}
    return f"\nDATABASES = {{'default': {request.getfixturevalue('postgres').settings(TEST=options)!r}}}\n"


@pytest.mark.parametrize("kind", ["memory", "postgresql"])
def test_the_keys_of_each_table_start_apart(project, kind, request):
    with_models(project, database(kind, request))
    result = project.test(TESTS, "-p", "no:randomly")
    result.assert_outcomes(passed=11)


def test_they_are_the_same_in_each_process_and_run(project, request):
    with_models(project, database("memory", request))
    test = TESTS.split("    def test_transactional(")[0]
    seen = []
    for arguments in ([], ["-n1"]):
        result = project.test(test, "-rP", *arguments)
        result.assert_outcomes(passed=1)
        seen += [line for line in result.outlines if line.startswith("keys [")]
    assert seen[0] == seen[1]


def test_without_the_option_they_start_at_one(project):
    project.test(
        """
        from shop.models import Order

        def test_it(db):
            assert Order.objects.create().pk == 1
        """
    ).assert_outcomes(passed=1)


def test_another_database_is_named(project):
    with_models(project, "")
    project.write(
        "strange/base.py",
        "from django.db.backends.sqlite3.base import DatabaseWrapper as Base\n"
        "class DatabaseWrapper(Base):\n    vendor = 'strange'\n    display_name = 'Strange'\n",
    )
    project.write("strange/__init__.py", "")
    project.settings("DATABASES['default']['ENGINE'] = 'strange'\n")
    result = project.test("def test_it(db): pass\n")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["*backchannel_distinct_keys knows SQLite and PostgreSQL, and the database 'default' is Strange. Fix: *"]
    )
