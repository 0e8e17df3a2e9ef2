"""The tasks of the project parcels: what is broken is told, what only looks like it is not."""

from __future__ import annotations

BROKEN = {
    "tells_and_then_looks": ("BREAKS", "again: mail 'On its way' to jo@example.com"),
    "tells_and_then_marks": ("BREAKS", "twice: mail 'On its way' to jo@example.com"),
    "marks_and_then_tells": ("BREAKS", "never: mail 'On its way' to jo@example.com"),
    "tells_on_commit": ("BREAKS", "never: mail 'On its way' to jo@example.com"),
    "counts_in_python": ("BREAKS", "changes parcels_parcel.tries again: 1 → 2"),
    "counts_in_sql": ("BREAKS", "changes parcels_parcel.tries again: 1 → 2"),
    "prints_a_label": ("BREAKS", "inserts a row more of parcels_label"),
    "books_and_then_marks": ("BREAKS", "twice: call parcels.carrier.book(2, 7)"),
    "two_labels": ("BREAKS", "a row of parcels_label never written"),
    "cleans_up_when_it_fails": ("BREAKS", "again: mail 'On its way' to jo@example.com"),
    "enqueues_a_counter": ("LOOK", "again: enqueue parcels.tasks.counts_in_sql(1), and 1 more like it"),
    "drops_the_oldest": ("BREAKS", "deletes a row more of parcels_parcel"),
    "makes_a_token": ("LOOK", "gives parcels_parcel.token another value each time"),
}
RIGHT = (
    "finds_or_prints", "books_with_a_key", "two_labels_or_none", "sets_the_state", "notes_the_time",
    "enqueues_what_is_right",
)  # fmt: skip


def judged(found):
    return {name: task["verdict"] for name, task in found.items()}


EXPECTED = {name: verdict for name, (verdict, _) in BROKEN.items()} | dict.fromkeys(RIGHT, "NO DIFFERENCE FOUND")


def test_each_task(parcels):
    result, found = parcels.audit()
    result.assert_outcomes(passed=20)
    assert judged(found) == EXPECTED
    for name, (_, text) in BROKEN.items():
        assert text in [cause["text"] for cause in found[name]["causes"]], name
