"""The keys by which a baseline knows what an audit has found, and what is told beside it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_backchannel.errors import UnreadableReport
from pytest_backchannel.questions.audit.audit_data import AuditedCall, Finding
from pytest_backchannel.questions.audit.audit_options import AuditOptions
from pytest_backchannel.questions.audit.finding_keys import keys_in, keys_of, send_keys
from pytest_backchannel.questions.audit.output.audit_json import audit_data, is_audit, read_keys
from pytest_backchannel.questions.audit.output.audit_text import audit_lines
from pytest_backchannel.questions.audit.rollback.rollback_text import rollback_lines
from pytest_backchannel.questions.audit.rollback.sends_inside import SendInside
from pytest_backchannel.questions.audit.run_audit import RunAudit
from pytest_backchannel.questions.audit.weighing.task_verdicts import fresh, mended, verdicts_of
from pytest_backchannel.questions.report.baseline import read_baseline


def finding(kind="insert", *, of="t", where="shop/tasks.py:3", level="breaks", **options):
    return Finding(level=level, kind=kind, text=f"{kind} {of}", where=where, of=of, **options)


def audit(*findings, task="ship"):
    found = RunAudit()
    found.calls.append(AuditedCall(task=task, test="t.py::test_it", call=f"{task}()", findings=findings))
    found.ran[task] = 1
    return found


def send(where="shop/views.py:7", **options):
    return SendInside(slug="enqueued_in_transaction", what="shop.tasks.ship", where=where, block="atomic()", **options)


# ------------------------------------------------------------------------ keys


@pytest.mark.parametrize(
    ("found", "key"),
    [
        (finding(), "insert:t"),
        (finding("update", of="t.tries"), "update:t.tries"),
        (finding("insert", of="auth2_user7"), "insert:auth2_user7"),
        (finding("enqueue", of="shop.a, shop.b"), "enqueue:shop.a, shop.b"),
        (finding("mock", of="shop.gateway.charge"), "mock:shop.gateway.charge"),
        (finding("mail", of="mail 'Order #' to kim@example.com"), "mail"),
        (finding("lost-mail", of="mail 'Order #' to kim@example.com"), "lost-mail"),
        (finding("http", of="https://api.example.com/v2/orders/17/pay"), "http:https://api.example.com/#/orders/#/pay"),
        (finding("lost-http", of="https://a.example/1f0c9e0a-aa/x"), "lost-http:https://a.example/#/x"),
        (finding("send", of="group room_7"), "send:group #"),
        (finding("raises", of="", level="look"), "raises"),
    ],
)
def test_a_key_has_no_line_and_nothing_of_the_tests_data(found, key):
    assert keys_of("shop.tasks.ship", [found]) == [f"audit:shop.tasks.ship#{key}"]


def test_keys_survive_lines_that_move():
    before = keys_of("ship", [finding("mail", where="a.py:9"), finding("mail", where="a.py:20"), finding()])
    after = keys_of("ship", [finding("mail", where="b.py:109"), finding("mail", where="b.py:121"), finding()])
    assert before == after == ["audit:ship#mail", "audit:ship#mail#2", "audit:ship#insert:t"]


def test_numbers_follow_the_lines_and_one_line_is_one_key():
    lines = [finding("mail", of=f"to {at}", where=f"a.py:{at}") for at in (100, 20, 20, 3)]
    assert keys_of("ship", lines) == ["audit:ship#mail#3", "audit:ship#mail#2", "audit:ship#mail#2", "audit:ship#mail"]


def test_how_it_was_seen_makes_no_other_key():
    assert len({*keys_of("ship", [finding()]), *keys_of("ship", [finding(after="mail", before="row")])}) == 1


def test_a_send_is_known_by_its_file_wherever_it_is_run_from(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    expected = "rollback:shop.tasks.ship#enqueued_in_transaction@shop/views.py"
    assert list(send_keys([send()], tmp_path).values()) == [expected]
    assert list(send_keys([send(where=f"{tmp_path}/shop/views.py:70")], tmp_path).values()) == [expected]
    (tmp_path / "shop").mkdir()
    monkeypatch.chdir("shop")
    assert list(send_keys([send(where="views.py:7")], tmp_path).values()) == [expected]
    assert list(send_keys([send(where="")], tmp_path).values()) == [expected.partition("@")[0]]


def test_each_line_that_sends_has_its_own_key(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    keys = send_keys([send(where="a.py:20"), send(where="a.py:7"), send(where="b.py:1")], Path(tmp_path))
    assert sorted(key.partition("@")[2] for key in keys.values()) == ["a.py", "a.py#2", "b.py"]
    assert keys[send(where="a.py:20")].endswith("#2")


def test_each_key_is_one_that_a_baseline_may_have(tmp_path):
    keys = {*keys_of("ship", [finding("mail"), finding()]), *send_keys([send()], Path.cwd()).values()}
    path = tmp_path / "baseline.txt"
    path.write_text("".join(f"{key}\n" for key in keys))
    assert read_baseline(path) == keys


# ------------------------------------------------------------------ what is told


def test_what_breaks_and_is_known_is_counted_and_no_more():
    found = audit(finding("mail"), finding(), finding("update", of="t.x", level="look"))
    text = "\n".join(audit_lines(found, AuditOptions(), {"audit:ship#mail"}))
    assert "BREAKS ship" in text
    assert "insert t" in text
    assert "mail t" not in text
    assert "    known, by the baseline: 1 more" in text
    text = "\n".join(audit_lines(found, AuditOptions(), {"audit:ship#mail", "audit:ship#insert:t"}))
    assert "BREAKS" not in text
    assert "LOOK   ship" in text
    assert "    known, by the baseline: 2 more" in text


def test_a_task_of_which_all_is_known():
    lines = audit_lines(audit(finding("mail"), finding()), AuditOptions(), {"audit:ship#mail", "audit:ship#insert:t"})
    assert "KNOWN, by the baseline (1): ship (2)" in lines
    assert not [line for line in lines if "BREAKS" in line]


def test_only_what_breaks_is_new_or_known():
    [verdict] = verdicts_of(audit(finding(), finding("fresh", level="look")).calls, {}, {})
    assert [cause.key for cause in fresh([verdict], ())] == ["audit:ship#insert:t"]
    assert fresh([verdict], {"audit:ship#insert:t"}) == []
    text = "\n".join(audit_lines(audit(finding("fresh", level="look")), AuditOptions(), {"audit:ship#fresh:t"}))
    assert "LOOK   ship" in text


def test_what_is_allowed_is_not_new():
    assert fresh(verdicts_of(audit(finding()).calls, {}, {"ship": "they go"}), ()) == []


def test_what_is_found_no_more_is_told_of_tasks_that_were_audited():
    baseline = ["audit:ship#mail", "audit:ship#insert:t", "audit:ship_it#mail", "task:ship#run", "rollback:ship#x"]
    verdicts = verdicts_of(audit(finding()).calls, {"ship_it": ["no time"]}, {})
    assert mended(verdicts, baseline) == ["audit:ship#mail"]


def test_sends_that_are_known_are_counted():
    one, other, third = send(), send(where="b.py:1"), send(where="c.py:1", allowed="they go")
    lines = list(rollback_lines({one: ["test"], other: ["test"], third: ["test"]}, {other}))
    assert lines[0].startswith("1 line sends inside a transaction")
    assert "known, by the baseline: 1 more" in lines
    assert lines[-1] == "allowed: shop.tasks.ship at c.py:1: they go"
    assert list(rollback_lines({one: ["test"], other: ["test"]}, {one, other})) == ["known, by the baseline: 2"]


# -------------------------------------------------------------------- the file


def test_the_keys_of_a_file(tmp_path):
    found = audit(finding("mail"), finding("fresh", level="look"))
    data = audit_data(found, AuditOptions(), {"audit:ship#mail"})
    causes = data["tasks"][0]["causes"]
    assert [(cause["key"], cause["in_baseline"]) for cause in causes] == [
        ("audit:ship#mail", True),
        ("audit:ship#fresh:t", False),
    ]
    data["rollback"] = [{"key": "rollback:a#b", "allowed": ""}, {"key": "rollback:c#d", "allowed": "they go"}]
    path = tmp_path / "audit.json"
    path.write_text(json.dumps(data))
    assert is_audit(path)
    assert read_keys(path) == keys_in(data) == ["audit:ship#mail", "rollback:a#b"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 1, "items": []}'])
def test_no_audit(tmp_path, text):
    path = tmp_path / "report.json"
    path.write_text(text)
    assert not is_audit(path)
    assert not is_audit(tmp_path / "no.json")


def test_a_file_without_keys(tmp_path):
    path = tmp_path / "audit.json"
    path.write_text('{"kinds": [], "tasks": [{"causes": [{"level": "breaks"}]}]}')
    with pytest.raises(UnreadableReport, match="write it anew by pytest --backchannel-audit-json"):
        read_keys(path)
