"""A forked child: what it tells, how it ends, and what its parent does to the databases around it."""

from __future__ import annotations

import os
import random
import secrets
import time
import uuid
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from pytest_backchannel.questions.audit.audit_data import Effect
from pytest_backchannel.questions.audit.effects.row_effects import written_table
from pytest_backchannel.questions.audit.output.audit_test import code_to_show
from pytest_backchannel.questions.audit.shadows import forking, outside, parents_databases, told_parent
from pytest_backchannel.questions.audit.shadows.forking import NotAudited, Patience, forked
from pytest_backchannel.questions.audit.shadows.randomness import Randomness
from pytest_backchannel.questions.audit.shadows.stopwatch import Stopwatch


def test_it_tells_its_parent():
    here = os.getpid()
    assert forked(lambda: told_parent.tell({"parent": os.getppid() == here}), 5) == {"parent": True}
    assert not told_parent.is_shadow()


@pytest.mark.parametrize(
    ("work", "reason"),
    [
        (lambda: None, "the shadow has ended without a word"),
        (lambda: 1 / 0, "the audit itself failed: ZeroDivisionError: division by zero"),
        (lambda: told_parent.give_up("it starts a process"), "it starts a process"),
        (lambda: os._exit(3), "a shadow died without a word"),
    ],
)
def test_why_it_says_nothing(work, reason):
    with pytest.raises(NotAudited) as raised:
        forked(work, 5)
    assert str(raised.value) == reason


def told_and_then(*rest):
    told_parent.tell_first({"a": 1})
    for one in rest:
        one()


@pytest.mark.parametrize(
    ("rest", "told"),
    [
        (lambda: told_parent.tell_more({"b": 2}), {"a": 1, "b": 2}),
        (lambda: told_parent.give_up("it starts a process"), {"a": 1}),
        (lambda: told_parent.tell({"hangs_at": "a.py:1"}), {"a": 1}),
        (lambda: 1 / 0, {"a": 1}),
        (lambda: os._exit(3), {"a": 1}),
        (lambda: time.sleep(60), {"a": 1}),
    ],
)
def test_what_it_has_told_first_counts_however_it_ends(monkeypatch, rest, told):
    monkeypatch.setattr(forking, "GRACE", 0.1)
    assert forked(lambda: told_and_then(rest), 0.5) == told


@pytest.mark.parametrize(
    ("draw", "drawn"),
    [
        (lambda: None, [0, False]),
        (lambda: uuid.uuid4(), [16, False]),
        (lambda: secrets.randbits(16), [2, False]),
        (lambda: random.random(), [0, True]),
    ],
)
def test_how_much_randomness_is_asked_for(draw, drawn):
    def work():
        counted = Randomness()
        draw()
        told_parent.tell({"first": counted.drawn(), "then": counted.drawn()})

    assert forked(work, 5) == {"first": drawn, "then": [0, False]}


def test_the_time_of_an_audit_is_that_of_the_processor_or_a_share_of_the_clocks():
    waited, worked = Stopwatch(), Stopwatch()
    time.sleep(0.3)
    assert 0.1 <= waited.seconds <= waited.clock
    while worked.clock < 0.6:
        forked(lambda: told_parent.tell({"sum": sum(range(10**6))}), 5)
    assert worked.seconds > 0.1


@pytest.mark.parametrize(("seconds", "times"), [(0.05, 1), (3, 0)])
def test_it_is_said_that_somebody_waits(seconds, times):
    said = []
    work = lambda: (time.sleep(0.5), told_parent.tell({"a": 1}))  # noqa: E731
    assert forked(work, 5, Patience(seconds, lambda: said.append(1))) == {"a": 1}
    assert len(said) == times


def test_it_is_killed_and_waited_for(monkeypatch):
    children = []

    def fork():
        children.append(original())
        return children[-1]

    original = forking._fork
    monkeypatch.setattr(forking, "_fork", fork)
    monkeypatch.setattr(forking, "GRACE", 0.1)
    with pytest.raises(NotAudited, match="did not end in its time"):
        forked(lambda: time.sleep(60), 0.1)
    (child,) = children
    with pytest.raises(ChildProcessError):  # it has been waited for
        os.waitpid(child, os.WNOHANG)


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ('INSERT INTO "shop_order" ("a") VALUES (1)', ("INSERT", "shop_order")),
        ('insert or ignore into "shop_order" VALUES (1)', ("INSERT", "shop_order")),
        ('UPDATE "public"."shop_order" SET "a" = 1', ("UPDATE", "shop_order")),
        ('DELETE FROM "shop_order" WHERE 1', ("DELETE", "shop_order")),
        ("TRUNCATE TABLE shop_order", ("TRUNCATE", "shop_order")),
        ("WITH x AS (SELECT 1) UPDATE shop_order SET a = 1", ("UPDATE", "shop_order")),
        ('SELECT "a" FROM "shop_order" FOR UPDATE', None),
        ("SAVEPOINT a", None),
    ],
)
def test_which_table_a_statement_writes(sql, found):
    assert written_table(sql) == found


def connection(**options):
    raw = SimpleNamespace(
        info=SimpleNamespace(transaction_status=options.pop("status", 2)),
        pgconn=SimpleNamespace(ssl_in_use=options.pop("tls", False)),
    )
    return SimpleNamespace(
        **{"alias": "default", "vendor": "postgresql", "display_name": "X", "needs_rollback": False, **options},
        connection=raw,
    )


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"vendor": "mysql"}, "the database 'default' is X"),
        ({"needs_rollback": True}, "the test's transaction is broken already"),
        ({"status": 3}, "the test's transaction is broken already"),
        ({"tls": True}, "the connection to the database 'default' is encrypted"),
        ({"vendor": "sqlite"}, "this SQLite can't be copied"),
    ],
)
def test_databases_of_which_no_shadow_is_made(monkeypatch, options, reason):
    monkeypatch.setattr(parents_databases, "open_connections", lambda: [connection(**options)])
    with pytest.raises(NotAudited, match=reason):
        parents_databases.check_databases()


def test_a_plain_connection_to_postgresql_can_be_shared(monkeypatch):
    monkeypatch.setattr(parents_databases, "open_connections", lambda: [connection()])
    parents_databases.check_databases()


def test_a_test_to_paste_is_python():
    from pytest_backchannel.questions.audit.audit_data import AuditedCall, Finding

    call = AuditedCall(
        task="shop.tasks.ship", test="t.py::test_a", call="ship(1)", effects=(Effect(kind="row", label=""),)
    )
    for options in ({}, {"after": "a", "before": "mail (a.py:1)"}, {"after": "a", "before": "b", "before_write": 2}):
        text = code_to_show(call, Finding(level="look", kind="insert", text="inserts", **options))
        compile(text, "paste", "exec")
        assert "ship.delay(...)" in text
    text = code_to_show(call, Finding(level="look", kind="insert", text="inserts"), acks="late")
    assert 'kill_worker(when="after_body")' in text


# ------------------------------------------------------ files that a body changes


@pytest.fixture
def guard(tmp_path, monkeypatch):
    """What is let through, where the folder for temporary files is ``tmp_path / "temporary"``."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(outside.tempfile, "gettempdir", lambda: str(tmp_path / "temporary"))
    return outside._Guard()


@pytest.fixture
def refused(monkeypatch):
    found = []
    monkeypatch.setattr(told_parent, "refuse", found.append)
    return found


def test_what_is_compiled_is_not_removed_by_the_parent(guard, refused, tmp_path):
    outside._changes(guard, "os.mkdir", (str(tmp_path / "shop" / "__pycache__"), 0o777, -1))
    assert (guard.made, refused) == (set(), [])
    outside._changes(guard, "os.mkdir", (str(tmp_path / "shop" / "media"), 0o777, -1))
    assert refused == ["it changes a file (os.mkdir media)"]


def test_a_folder_of_its_own_is_left_by_names_below_a_descriptor(guard, refused, tmp_path, monkeypatch):
    folder = tmp_path / "temporary" / "own"
    outside._changes(guard, "os.mkdir", (str(folder), 0o777, -1))
    folder.mkdir()
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        outside._changes(guard, "os.remove", ("a.txt", descriptor))
        monkeypatch.setattr(outside.os, "readlink", Mock(side_effect=OSError))  # as where the system tells no name
        outside._changes(guard, "os.remove", ("a.txt", descriptor))
        assert refused == []
    finally:
        os.close(descriptor)
