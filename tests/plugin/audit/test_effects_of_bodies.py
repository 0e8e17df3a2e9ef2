"""Each kind of effect: it is seen, a death after it is tried, and none of it happens for real in a shadow."""

from __future__ import annotations

from textwrap import dedent, indent

import pytest

HEAD = """
    from unittest.mock import Mock, patch

    import pytest
    from asgiref.sync import async_to_sync
    from celery import chain, group, shared_task
    from channels.layers import get_channel_layer
    from django.core.cache import cache
    from django.core.files.base import ContentFile
    from django.core.files.storage import default_storage
    from django.db import connection, transaction
    from parcels import carrier, tasks
    from parcels.models import Label, Parcel

    @pytest.fixture
    def parcel(db):
        return Parcel.objects.create()
"""


def effects(task):
    [call] = task["calls"]
    return [effect.rpartition(" (")[0] for effect in call["effects"]]


def texts(task):
    return [cause["text"] for cause in task["causes"]]


@pytest.fixture
def one(parcels):
    """Audits one task: its body, and the test around a call of it."""

    def audit(body, test="task.delay(parcel.pk)"):
        text = dedent(HEAD) + "\n@shared_task\ndef task(pk):\n" + indent(dedent(body).strip(), "    ")
        text += "\n\ndef test_it(parcel, tmp_path, settings):\n" + indent(dedent(test).strip(), "    ") + "\n"
        result, found = parcels.test(text)
        result.assert_outcomes(passed=1)
        return found["task"]

    return audit


def test_a_lock_in_the_cache_that_a_death_leaves(one):
    task = one(
        """
        if cache.add("lock", 1):
            Label.objects.create(parcel_id=pk, text="a")
            cache.delete("lock")
        """,
        "task.delay(parcel.pk)\nassert cache.get('lock') is None",
    )
    assert effects(task) == ["cache.add lock", "INSERT parcels_label", "cache.delete lock"]
    assert "a row of parcels_label never written" in texts(task)


def test_a_cache_in_files_is_read_and_not_written(one):
    task = one(
        """
        if not cache.get("done"):
            cache.set("done", True)
            Label.objects.create(parcel_id=pk, text=cache.get("word"))
        """,
        """
        settings.CACHES = {"default": {
            "BACKEND": "django.core.cache.backends.filebased.FileBasedCache", "LOCATION": str(tmp_path)}}
        cache.set("word", "read")
        task.delay(parcel.pk)
        assert Label.objects.get().text == "read" and cache.get("done") is True
        """,
    )
    assert task["verdict"] == "BREAKS"
    assert texts(task) == ["a row of parcels_label never written"]


def test_files(one):
    task = one(
        """
        name = default_storage.save("label.txt", ContentFile(b"one"))
        assert default_storage.open(name).read() == b"one" and default_storage.exists(name)
        Label.objects.create(parcel_id=pk, text="printed")
        default_storage.delete(name)
        """,
        """
        settings.MEDIA_ROOT = str(tmp_path)
        task.delay(parcel.pk)
        assert list(tmp_path.iterdir()) == []
        """,
    )
    assert effects(task) == ["save the file label.txt", "INSERT parcels_label", "delete the file label.txt"]
    assert "again: save the file label.txt" in texts(task)


def test_what_it_sends_to_a_group(one):
    task = one(
        """
        async_to_sync(get_channel_layer().group_send)("parcels", {"type": "parcel.moved"})
        Parcel.objects.filter(pk=pk).update(state="moved")
        """
    )
    assert effects(task) == ["group_send parcels parcel.moved", "UPDATE parcels_parcel"]
    assert [call["deaths"] for call in task["calls"]] == [1]
    assert (task["verdict"], texts(task)) == (
        "NO DIFFERENCE FOUND",
        ["again: group_send parcels parcel.moved"],
    )


@pytest.mark.parametrize(
    ("enqueue", "label"),
    [
        ("tasks.counts_in_sql.apply_async((pk,), countdown=3)", "enqueue parcels.tasks.counts_in_sql(1)"),
        ("tasks.counts_in_sql.si(pk).delay()", "enqueue parcels.tasks.counts_in_sql(1)"),
        ("task.app.send_task('elsewhere', [pk])", "enqueue elsewhere(1)"),
        (
            "chain(tasks.counts_in_sql.si(pk), tasks.prints_a_label.si(pk)).delay()",
            "enqueue chain of parcels.tasks.counts_in_sql, parcels.tasks.prints_a_label()",
        ),
        ("group(tasks.counts_in_sql.si(pk)).delay()", "enqueue group of parcels.tasks.counts_in_sql()"),
    ],
)
def test_enqueues(one, enqueue, label):
    test = "with patch.object(task.app, 'send_task'): task.delay(parcel.pk)"
    task = one(f"{enqueue}", test if "send_task" in enqueue else "task.delay(parcel.pk)")
    if "send_task" in enqueue:
        label = "enqueue elsewhere('elsewhere', [1]), by a mock"
    assert effects(task) == [label]
    assert task["verdict"] == "LOOK"


def test_a_mocked_delay_is_an_enqueue(one):
    task = one(
        "tasks.counts_in_sql.delay(pk)",
        "with patch('parcels.tasks.counts_in_sql.delay') as delay: task.delay(parcel.pk)\ndelay.assert_called_once()",
    )
    assert effects(task) == ["enqueue parcels.tasks.counts_in_sql(1), by a mock"]


def test_a_mock_that_is_not_declared_is_told_beside(one):
    task = one(
        "carrier.price(pk); carrier.send_word(pk)",
        """
        with patch("parcels.carrier.price"), patch("parcels.carrier.send_word", create=True, side_effect=[1]) as word:
            task.delay(parcel.pk)
        assert word.call_count == 1
        """,
    )
    assert effects(task) == ["call parcels.carrier.send_word(1)"]
    assert (task["verdict"], texts(task)) == (
        "NO DIFFERENCE FOUND",
        ["again: call parcels.carrier.send_word(1)"],
    )


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("import socket; socket.create_connection(('127.0.0.1', 9))", "it opens a connection to 127.0.0.1"),
        ("import urllib.request as r; r.urlopen('http://localhost:9/')", "it calls localhost by HTTP (GET)"),
        ("import subprocess; subprocess.run(['true'])", "it starts a process (subprocess.Popen)"),
        ("open('written.txt', 'w').close()", "it writes a file (written.txt)"),
        ("import os; os.remove('nothing.txt')", "it changes a file (os.remove nothing.txt)"),
        ("import sqlite3; sqlite3.connect('other.db')", "it opens another connection to a database"),
        ("group(tasks.add_.s(1) for _ in [1])", "it raises AttributeError: module 'parcels.tasks' has no attribute 'add_'"),
        ("tasks.counts_in_sql.delay(pk).get()", "it waits for the result of another task"),
    ],
)  # fmt: skip
def test_what_reaches_outside_is_not_audited(one, body, reason):
    task = one(body, "import contextlib\nwith contextlib.suppress(Exception): task.delay(parcel.pk)")
    assert (task["verdict"], task["reason"]) == ("NOT AUDITED", reason)


def test_temporary_files_are_its_own_business(one):
    task = one(
        """
        import os, tempfile
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "a.txt")
            open(path, "w").close()
            os.remove(path)
        with tempfile.NamedTemporaryFile("w") as file:
            file.write("x")
        Label.objects.create(parcel_id=pk, text="a")
        """
    )
    assert task["verdict"] == "BREAKS"


def test_a_redelivery_that_waits_for_what_the_dead_one_holds(one):
    task = one(
        """
        import time
        while not cache.add("lock", 1):
            time.sleep(0.01)
        Label.objects.get_or_create(parcel_id=pk, text="a")
        cache.delete("lock")
        """
    )
    assert "the message that comes again does not end: it waits at test_it.py:24" in texts(task)


def test_arguments_are_those_of_the_message_again(one):
    task = one("numbers = pk\nnumbers.append(1)\nassert len(numbers) == 1", "task([])")
    assert task["verdict"] == "NO EFFECT SEEN"


def test_a_shadow_that_does_otherwise_is_not_believed(one):
    task = one(
        """
        import os
        if os.getpid() == REAL:
            Label.objects.create(parcel_id=pk, text="a")
        else:
            Parcel.objects.filter(pk=pk).update(state="shadow")
        """,
        "import os, test_it\ntest_it.REAL = os.getpid()\ntask.delay(parcel.pk)",
    )
    assert (task["verdict"], task["reason"]) == (
        "NOT FAITHFUL",
        "parcels_parcel.state ends otherwise: 'shadow' → 'packed'",
    )


def test_noise_is_no_finding(one):
    task = one(
        """
        import uuid
        if not Label.objects.filter(parcel_id=pk).exists():
            Parcel.objects.filter(pk=pk).update(state="done")
            Label.objects.create(parcel_id=pk, text=uuid.uuid4().hex)
        """
    )
    assert task["verdict"] == "NO DIFFERENCE FOUND"
