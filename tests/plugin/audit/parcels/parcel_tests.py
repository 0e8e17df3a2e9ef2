from unittest.mock import patch

import pytest

from parcels import tasks
from parcels.models import Parcel

ONE = [
    tasks.tells_and_then_looks,
    tasks.tells_and_then_marks,
    tasks.marks_and_then_tells,
    tasks.tells_on_commit,
    tasks.counts_in_python,
    tasks.counts_in_sql,
    tasks.prints_a_label,
    tasks.books_and_then_marks,
    tasks.two_labels,
    tasks.cleans_up_when_it_fails,
    tasks.makes_a_token,
    tasks.finds_or_prints,
    tasks.books_with_a_key,
    tasks.two_labels_or_none,
    tasks.sets_the_state,
    tasks.notes_the_time,
]
ALL = [tasks.enqueues_a_counter, tasks.enqueues_what_is_right, tasks.drops_the_oldest]


@pytest.fixture
def parcel(db):
    Parcel.objects.create()
    return Parcel.objects.create()


@pytest.mark.parametrize("task", ONE, ids=lambda task: task.__name__)
def test_of_one(parcel, task):
    with patch("parcels.carrier.book") as book:
        task.delay(parcel.pk)
    assert book.call_count == task.__name__.startswith("books")


@pytest.mark.parametrize("task", ALL, ids=lambda task: task.__name__)
def test_of_all(parcel, task):
    task.delay()
    assert Parcel.objects.count() == (1 if task is tasks.drops_the_oldest else 2)


def test_next_key(parcel):
    """The shadows have taken none."""
    assert Parcel.objects.create().pk == parcel.pk + 1
