"""Each kind of effect: it is seen, a death after it is tried, and none of it happens for real in a shadow."""

from __future__ import annotations

from fnmatch import fnmatch
from textwrap import dedent, indent

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
    from fakeredis import FakeRedis

    KEPT = {}
    REDIS = FakeRedis()

    @pytest.fixture
    def parcel(db):
        return Parcel.objects.create()
"""


CALL = "task.delay(parcel.pk)"
# Each: the body of a task, and the test around a call of it.
BODIES = {
    "takes_a_lock": (
        """
        if cache.add("lock", 1):
            Label.objects.create(parcel_id=pk, text="a")
            cache.delete("lock")
        """,
        "task.delay(parcel.pk)\nassert cache.get('lock') is None",
    ),
    "caches_in_files": (
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
    ),
    "saves_files": (
        """
        name = default_storage.save("label.txt", ContentFile(b"one"))
        with default_storage.open(name) as file:
            assert file.read() == b"one" and default_storage.exists(name)
        Label.objects.create(parcel_id=pk, text="printed")
        default_storage.delete(name)
        """,
        """
        settings.MEDIA_ROOT = str(tmp_path)
        task.delay(parcel.pk)
        assert list(tmp_path.iterdir()) == []
        """,
    ),
    "sends": (
        """
        async_to_sync(get_channel_layer().group_send)("parcels", {"type": "parcel.moved"})
        Parcel.objects.filter(pk=pk).update(state="moved")
        """,
        CALL,
    ),
    "applies": ("tasks.counts_in_sql.apply_async((pk,), countdown=3)", CALL),
    "calls_a_signature": ("tasks.counts_in_sql.si(pk).delay()", CALL),
    "chains": ("chain(tasks.counts_in_sql.si(pk), tasks.prints_a_label.si(pk)).delay()", CALL),
    "groups": ("group(tasks.counts_in_sql.si(pk)).delay()", CALL),
    "is_mocked": (
        "tasks.counts_in_sql.delay(pk)",
        "with patch('parcels.tasks.counts_in_sql.delay') as delay: task.delay(parcel.pk)\ndelay.assert_called_once()",
    ),
    "sends_word": (
        "carrier.price(pk); carrier.send_word(pk)",
        """
        with patch("parcels.carrier.price"), patch("parcels.carrier.send_word", create=True, side_effect=[1]) as word:
            task.delay(parcel.pk)
        assert word.call_count == 1
        """,
    ),
    "works_in_a_folder": (
        """
        import os, tempfile
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "a.txt")
            open(path, "w").close()
            os.remove(path)
        with tempfile.NamedTemporaryFile("w") as file:
            file.write("x")
        Label.objects.create(parcel_id=pk, text="a")
        """,
        CALL,
    ),
    "leaves_files": (
        """
        import os, pathlib, tempfile
        folder = pathlib.Path(tempfile.gettempdir(), "backchannel-of-the-test")
        assert sorted(path.name for path in folder.iterdir()) == ["old.txt"]
        (folder / "new").mkdir()
        (folder / "new" / "a.txt").write_text("a")
        (folder / "b.txt").write_text("b")
        os.replace(folder / "b.txt", folder / "c.txt")
        os.symlink(folder / "old.txt", folder / "link")
        Label.objects.create(parcel_id=pk, text="a")
        """,
        """
        import pathlib, shutil, tempfile
        folder = pathlib.Path(tempfile.gettempdir(), "backchannel-of-the-test")
        folder.mkdir()
        (folder / "old.txt").write_text("old")
        try:
            task.delay(parcel.pk)
            assert sorted(path.name for path in folder.iterdir()) == ["c.txt", "link", "new", "old.txt"]
        finally:
            shutil.rmtree(folder)
        """,
    ),
    "prints_and_then_marks": (
        """
        if not Label.objects.filter(parcel_id=pk).exists():
            Label.objects.create(parcel_id=pk, text="a")
        with transaction.atomic():
            Parcel.objects.filter(pk=pk).update(state="printed")
        """,
        CALL,
    ),
    "waits_for_the_dead": (
        """
        import time
        while not cache.add("lock", 1):
            time.sleep(0.01)
        Label.objects.get_or_create(parcel_id=pk, text="a")
        cache.delete("lock")
        """,
        CALL,
    ),
    "locks_in_redis": (
        """
        if REDIS.set("done", 1, nx=True):
            Label.objects.create(parcel_id=pk, text="a")
        """,
        CALL,
    ),
    "counts_in_redis": (
        """
        with REDIS.pipeline() as pipeline:
            pipeline.incr("hits").expire("hits", 60).execute()
        REDIS.eval("return redis.call('incr', KEYS[1])", 1, "hits")
        """,
        "task.delay(parcel.pk)\nassert REDIS.get('hits') == b'2'",
    ),
    "changes_its_arguments": ("pk.append(1)\nassert len(pk) == 1", "task([])"),
    "does_otherwise_in_a_shadow": (
        """
        import os
        if os.getpid() == REAL:
            Label.objects.create(parcel_id=pk, text="a")
        else:
            Parcel.objects.filter(pk=pk).update(state="shadow")
        """,
        "import os, test_it\ntest_it.REAL = os.getpid()\ntask.delay(parcel.pk)",
    ),
    "asks_for_the_only_one": (
        """
        from parcels.models import Depot
        cache.set("depot", Depot.objects.get_or_create(pk=1)[0].name)
        Depot.objects.filter(pk=1).update(name="south")
        """,
        CALL,
    ),
    "finds_or_makes": (
        """
        if Parcel.objects.filter(pk=pk, state="packed").update(state="sent"):
            Label.objects.get_or_create(parcel_id=pk, text="a")
        """,
        CALL,
    ),
    "marks": ("Parcel.objects.filter(pk=pk).update(state='done')", CALL),
    "keeps_noise": (
        """
        import uuid
        KEPT.setdefault("word", KEPT.get("word") or uuid.uuid4().hex[:9])
        Parcel.objects.filter(pk=pk).update(state=KEPT["word"])
        """,
        CALL,
    ),
    "makes_noise": (
        """
        import uuid
        if not Label.objects.filter(parcel_id=pk).exists():
            Parcel.objects.filter(pk=pk).update(state="done")
            Label.objects.create(parcel_id=pk, text=uuid.uuid4().hex)
        """,
        CALL,
    ),
}
COUNTS = "enqueue parcels.tasks.counts_in_sql(1)"
PAIR = "enqueue chain of parcels.tasks.counts_in_sql, parcels.tasks.prints_a_label()"
WORD = "call parcels.carrier.send_word(1)"
# Of each: its verdict, its effects, and one of its findings.
EXPECTED = {
    "takes_a_lock": (
        "BREAKS",
        ["cache.add lock", "INSERT parcels_label", "cache.delete lock"],
        "the message that comes again does nothing",
    ),
    "caches_in_files": (
        "BREAKS",
        ["cache.set done", "INSERT parcels_label"],
        "the message that comes again does nothing",
    ),
    "saves_files": (
        "BREAKS",
        ["save the file label.txt", "INSERT parcels_label", "delete the file label.txt"],
        "again: save the file label.txt",
    ),
    "sends": (
        "NO DIFFERENCE FOUND",
        ["group_send parcels parcel.moved", "UPDATE parcels_parcel"],
        "again: group_send parcels parcel.moved",
    ),
    "applies": ("LOOK", [COUNTS], f"again: {COUNTS}"),
    "calls_a_signature": ("LOOK", [COUNTS], f"again: {COUNTS}"),
    "chains": ("LOOK", [PAIR], f"again: {PAIR}"),
    "groups": ("LOOK", ["enqueue group of parcels.tasks.counts_in_sql()"], None),
    "is_mocked": ("LOOK", [f"{COUNTS}, by a mock"], f"again: {COUNTS}, by a mock"),
    "sends_word": ("NO DIFFERENCE FOUND", [WORD], f"again: {WORD}"),
    "works_in_a_folder": ("BREAKS", ["INSERT parcels_label"], "inserts a row more of parcels_label"),
    "leaves_files": ("NO DIFFERENCE FOUND", ["INSERT parcels_label"], "raises AssertionError*"),
    "prints_and_then_marks": (
        "NO DIFFERENCE FOUND",
        ["INSERT parcels_label", "UPDATE parcels_parcel", "COMMIT"],
        None,
    ),
    "waits_for_the_dead": ("LOOK", None, "the message that comes again does not end: it waits at *"),
    "locks_in_redis": (
        "BREAKS",
        ["redis SET done", "INSERT parcels_label"],
        "the message that comes again does nothing",
    ),
    "counts_in_redis": ("LOOK", ["redis INCRBY hits, EXPIRE hits", "redis EVAL hits"], "again: redis EVAL hits"),
    "changes_its_arguments": ("NO EFFECT SEEN", [], None),
    "does_otherwise_in_a_shadow": ("NOT FAITHFUL", ["UPDATE parcels_parcel"], None),
    "asks_for_the_only_one": ("NO DIFFERENCE FOUND", ["cache.set depot", "UPDATE parcels_depot"], None),
    "finds_or_makes": (
        "LOOK",
        ["UPDATE parcels_parcel", "INSERT parcels_label", "COMMIT"],
        "a row of parcels_label never written, until get_or_create() is asked for it",
    ),
    "marks": ("NO DIFFERENCE FOUND", ["UPDATE parcels_parcel"], None),
    "keeps_noise": ("NO DIFFERENCE FOUND", ["UPDATE parcels_parcel"], None),
    "makes_noise": ("NO DIFFERENCE FOUND", ["UPDATE parcels_parcel", "INSERT parcels_label"], None),
}
OUTSIDE = {
    "connects": ("import socket; socket.create_connection(('127.0.0.1', 9))", "it opens a connection to 127.0.0.1"),
    "calls": (
        "import urllib.request as r; r.urlopen('http://localhost:9/')",
        "it calls localhost by HTTP (GET)",
    ),
    "starts": ("import subprocess; subprocess.run(['true'])", "it starts a process (subprocess.Popen)"),
    "writes": ("open('written.txt', 'w').close()", "it writes a file (written.txt)"),
    "removes": ("import os; os.remove('nothing.txt')", "it changes a file (os.remove nothing.txt)"),
    "removes_beside": (
        """
        import os, pathlib, tempfile
        folder = pathlib.Path(tempfile.gettempdir(), "backchannel-kept")
        folder.mkdir(exist_ok=True)
        (folder / "new.txt").write_text("x")
        (folder / "old.txt").unlink()
        """,
        "it changes a file (os.remove old.txt)",
    ),
    "cuts": (
        """
        import os, pathlib, tempfile
        folder = tempfile.mkdtemp()
        os.truncate(pathlib.Path(tempfile.gettempdir(), "backchannel-kept", "old.txt"), 3)
        """,
        "it changes a file (os.truncate old.txt)",
    ),
    "replaces": (
        """
        import os, pathlib, tempfile
        folder = pathlib.Path(tempfile.gettempdir(), "backchannel-kept")
        (folder / "newer.txt").write_text("x")
        os.replace(folder / "newer.txt", folder / "old.txt")
        """,
        "it changes a file (os.rename old.txt)",
    ),
    "touches": (
        "import pathlib, tempfile; pathlib.Path(tempfile.gettempdir(), 'backchannel-kept', 'old.txt').touch()",
        "it changes a file (os.utime old.txt)",
    ),
    "removes_all": (
        "import shutil, tempfile; tempfile.mkdtemp(); shutil.rmtree(tempfile.gettempdir() + '/backchannel-kept')",
        "it changes a file (shutil.rmtree backchannel-kept)",
    ),
    "opens": ("import sqlite3; sqlite3.connect('x.db').close()", "it opens another connection to a database"),
    "waits": ("tasks.counts_in_sql.delay(pk).get()", "it waits for the result of another task"),
}


def module_of(bodies):
    """A test module with a task and a test for each."""
    text = dedent(HEAD)
    for name, (body, test) in bodies.items():
        text += f"\n\n@shared_task\ndef {name}(pk):\n" + indent(dedent(body).strip(), "    ")
        text += f"\n\ndef test_{name}(parcel, tmp_path, settings):\n    task = {name}\n"
        text += indent(dedent(test).strip(), "    ") + "\n"
    return text


def test_each_kind(parcels):
    result, found = parcels.test(module_of(BODIES))
    result.assert_outcomes(passed=len(BODIES))
    for name, (verdict, effects, text) in EXPECTED.items():
        task = found[name]
        seen = [effect.rpartition(" (")[0] for call in task["calls"] for effect in call["effects"]]
        assert (name, task["verdict"]) == (name, verdict)
        assert effects is None or seen == effects, name
        texts = [cause["text"] for cause in task["causes"]]
        assert text is None or any(fnmatch(one, text) for one in texts), (name, texts)
    assert found["sends"]["calls"][0]["deaths"] == 1
    reason = found["does_otherwise_in_a_shadow"]["reason"]
    assert reason == "parcels_parcel.state ends otherwise: 'shadow' → 'packed'"


COUNTED = """
    import os
    forks, fork = [], os.fork
    with patch("os.fork", lambda: forks.append(1) or fork()):
        task.delay(parcel.pk)
    assert len(forks) == {}
"""


def test_another_shadow_looks_for_noise_only_where_it_matters(parcels):
    bodies = {
        "does_nothing": ("pass", 1),
        "mails": ("from django.core.mail import send_mail; send_mail('a', 'b', 'a@example.com', ['b@example.com'])", 1),
        "marks": (BODIES["marks"][0], 1),
        "keeps_noise": (BODIES["keeps_noise"][0], 2),
        "inserts": ("Label.objects.create(parcel_id=pk, text='a')", 2),
        "dies": ("Label.objects.get_or_create(parcel_id=pk, text='a'); " + BODIES["marks"][0], 2),
    }
    tests = {name: (body, dedent(COUNTED).format(shadows)) for name, (body, shadows) in bodies.items()}
    result, found = parcels.test(module_of(tests))
    result.assert_outcomes(passed=len(bodies))
    assert {name: found[name]["verdict"] for name in bodies} == {
        "does_nothing": "NO EFFECT SEEN",
        "mails": "BREAKS",
        "marks": "NO DIFFERENCE FOUND",
        "keeps_noise": "NO DIFFERENCE FOUND",
        "inserts": "BREAKS",
        "dies": "NO DIFFERENCE FOUND",
    }


KEEPS = """import pathlib, tempfile
    old = pathlib.Path(tempfile.gettempdir(), "backchannel-kept", "old.txt")
    old.parent.mkdir(exist_ok=True)
    old.write_text("kept")
    """


def test_what_reaches_outside_is_not_audited(parcels, tmp_path, monkeypatch):
    call = "import contextlib\nwith contextlib.suppress(Exception): task.delay(parcel.pk)"
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    bodies = module_of({name: (body, call) for name, (body, _) in OUTSIDE.items()})
    result, found = parcels.test(bodies.replace("import contextlib", KEEPS + "import contextlib"))
    result.assert_outcomes(passed=len(OUTSIDE))
    told = {
        name: (task["verdict"], task["reason"].partition(", at test_it.py:")[0])
        for name, task in found.items()
        if name in OUTSIDE
    }
    assert all(", at test_it.py:" in found[name]["reason"] for name in OUTSIDE)
    assert told == {name: ("NOT AUDITED", reason) for name, (_, reason) in OUTSIDE.items()}


SCHEDULED = """
    from celery import current_app, shared_task
    from parcels.models import Parcel

    @shared_task
    def cleans():
        Parcel.objects.order_by("pk").first().delete()

    def test_it(db):
        Parcel.objects.create()
        Parcel.objects.create()
        cleans.delay()
        assert Parcel.objects.count() == 1
"""


def test_a_cleaner_on_a_schedule_is_worth_a_look(parcels):
    entry = "{'cleans': {'task': 'test_it.cleans', 'schedule': 60}}"
    parcels.project.settings(f"CELERY_BEAT_SCHEDULE = {entry}")
    result, found = parcels.test(SCHEDULED)
    result.assert_outcomes(passed=1)
    [cause] = found["cleans"]["causes"]
    assert (cause["level"], cause["text"]) == ("look", "deletes a row more of parcels_parcel")
