"""A write of a task fails: which one, what is left of the others, and what the test can do afterwards."""

from __future__ import annotations

import os

import pytest

from pytest_backchannel.database.failing_write import writes

TASKS = """

@shared_task
def book(*references):
    from shop.models import Order

    for reference in references:
        Order.objects.create(reference=reference)


@shared_task
def book_all(*references):
    from django.db import transaction

    with transaction.atomic():
        book(*references)


@shared_task
def book_politely(*references):
    from django.db import OperationalError, transaction
    from shop.models import Order

    failed = 0
    for reference in references:
        try:
            Order(reference=reference).save()
        except OperationalError:
            failed += 1
            try:
                with transaction.atomic():
                    Order(reference="undone").save()
                    raise ZeroDivisionError
            except ZeroDivisionError:
                pass
    return failed


@shared_task
def move():
    from django.contrib.contenttypes.models import ContentType

    # Two statements: more rows than fit into one.
    ContentType.objects.bulk_create([ContentType(app_label="moved", model=name) for name in "ab"], batch_size=1)


@shared_task
def by_hand():
    from django.db import connection
    from shop.models import Order

    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        cursor.execute("DELETE FROM shop_order WHERE 1 = 0")
        Order.objects.filter(pk=0).update(reference="x")
        Order.objects.bulk_create([Order(reference="a"), Order(reference="b")])
"""
TESTS = """
    import pytest
    from django.db import OperationalError, InterfaceError, connection
    from shop.models import Order
    from django.contrib.contenttypes.models import ContentType
    from shop.tasks import book, book_all, book_politely, by_hand, move

    pytestmark = pytest.mark.django_db(transaction=TRANSACTION)

    def references():
        return sorted(Order.objects.values_list("reference", flat=True))

    def test_those_before_it_are_written(task_queue):
        task_queue.fail_write(nth=2)
        book.delay("a", "b", "c")
        with pytest.raises(OperationalError, match="fail_write.nth=2.: the test lets this statement fail: INSERT INTO"):
            task_queue.run()
        assert references() == ["a"]
        Order.objects.create(reference="by the test")
        book.delay("d")
        assert task_queue.run() == {"SUCCESS": 1}
        assert references() == ["a", "by the test", "d"]

    def test_it_is_the_first_by_default(task_queue):
        task_queue.fail_write()
        book.delay("a")
        assert task_queue.run(propagate=False) == {"FAILURE": 1}
        assert references() == []

    def test_an_atomic_block_is_rolled_back(task_queue):
        task_queue.fail_write(nth=2)
        book_all.delay("a", "b")
        assert task_queue.run(propagate=False) == {"FAILURE": 1}
        assert references() == []

    def test_what_django_does_in_one_transaction_is_undone_as_a_whole(task_queue):
        task_queue.fail_write(nth=2)
        move.delay()
        assert task_queue.run(propagate=False) == {"FAILURE": 1}
        assert references() == []
        assert list(ContentType.objects.filter(app_label="moved")) == []

    def test_a_task_that_goes_on_can(task_queue):
        task_queue.fail_write(nth=2)
        result = book_politely.delay("a", "b", "c")
        task_queue.run()
        assert (result.get(), references()) == (1, ["a", "c"])

    @pytest.mark.parametrize("nth", [1, 2, 3])
    def test_each_kind_of_write_counts(task_queue, nth):
        task_queue.fail_write(nth=nth)
        by_hand.delay()
        assert task_queue.run(propagate=False) == {"FAILURE": 1}
        assert references() == []

    def test_the_next_body_with_as_many_writes_meets_it(task_queue):
        task_queue.fail_write(nth=2)
        for number in (1, 2, 2):
            book.delay(*"ab"[:number])
        assert task_queue.run(propagate=False) == {"SUCCESS": 2, "FAILURE": 1}
        assert references() == ["a", "a", "a", "b"]

    def test_it_can_be_for_one_task_and_of_another_kind(task_queue):
        task_queue.fail_write(error=InterfaceError("connection already closed"), task=book_all)
        book.delay("a")
        book_all.delay("b")
        with pytest.raises(InterfaceError, match="connection already closed"):
            task_queue.run()
        assert references() == ["a"]

    def test_nothing_is_left(task_queue):
        before = list(connection.execute_wrappers)
        task_queue.fail_write(nth=9)
        book.delay("a")
        task_queue.run()
        assert connection.execute_wrappers == before

    def test_the_story(task_queue):
        task_queue.fail_write(nth=2)
        book.delay("a", "b")
        task_queue.run()

    @pytest.mark.parametrize("arguments, error", [
        ({"nth": 0}, ValueError), ({"nth": "2"}, TypeError), ({"nth": True}, TypeError), ({"error": "x"}, TypeError),
        ({"error": KeyboardInterrupt}, TypeError), ({"worker": "other"}, ValueError),
    ])
    def test_wrong_arguments(task_queue, arguments, error):
        with pytest.raises(error, match="fail_write|there is no worker"):
            task_queue.fail_write(**arguments)
"""


@pytest.mark.parametrize("transaction", [False, True])
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_the_nth_write_fails(project, kind, transaction, request):
    if kind == "postgresql":
        name = {"NAME": f"test_failing_write_{os.getpid()}"}
        project.settings(f"DATABASES['default'] = {request.getfixturevalue('postgres').settings(TEST=name)!r}")
    tasks = project.path / "shop" / "tasks.py"
    tasks.write_text(tasks.read_text() + TASKS)
    result = project.test(TESTS.replace("TRANSACTION", str(transaction)), "-q")
    result.assert_outcomes(passed=17, failed=1)  # the test of the story fails on purpose
    result.stdout.fnmatch_lines(["*write 2 of the body failed: INSERT INTO*"])


@pytest.mark.parametrize(
    ("sql", "is_one"),
    [
        ('INSERT INTO "a" VALUES (1)', True),
        ("  update a set b = 1", True),
        ("DELETE FROM a", True),
        ("-- why\n/* what\n for */ REPLACE INTO a VALUES (1)", True),
        ("WITH x AS (DELETE FROM a RETURNING *) SELECT * FROM x", True),
        ("(INSERT INTO a VALUES (1))", True),
        ("SELECT * FROM a FOR UPDATE", False),
        ("WITH x AS (SELECT 1) SELECT * FROM x FOR UPDATE", False),
        ("SELECT updated, deleted FROM insert_log", False),
        ("SAVEPOINT a", False),
        ("UPDATED", False),
        ("", False),
    ],
)
def test_what_counts_as_a_write(sql, is_one):
    assert writes(sql) == is_one
