"""What two runs of a body differ in: noise, rows, effects; and what is said of a task."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import pytest

from pytest_backchannel.questions.audit.audit_budget import Budget
from pytest_backchannel.questions.audit.audit_data import (
    AuditedCall,
    BodyRun,
    Effect,
    Finding,
    KnownTask,
    Rows,
    call_from,
    plain_run,
    run_from,
    to_plain,
)
from pytest_backchannel.questions.audit.audit_options import AuditOptions
from pytest_backchannel.questions.audit.auditing import known_tasks
from pytest_backchannel.questions.audit.output.audit_text import audit_lines
from pytest_backchannel.questions.audit.run_audit import RunAudit
from pytest_backchannel.questions.audit.weighing.call_findings import (
    death_points,
    left_undone,
    of_death,
    of_second_delivery,
)
from pytest_backchannel.questions.audit.weighing.faithfulness import difference
from pytest_backchannel.questions.audit.weighing.noise import Noise, noise_of
from pytest_backchannel.questions.audit.weighing.steadiness import is_plain, is_steady, leaves_rows
from pytest_backchannel.questions.audit.weighing.task_verdicts import verdicts_of

KINDS = {"n": "number", "attempts": "number", "at": "time", "made": "stamp", "order_id": ">orders"}


def rows(*values, columns=("id", "word"), kinds=KINDS):
    found = {repr(row[0]): tuple(map(repr, row)) for row in values}
    return Rows(columns=columns, key="id", rows=found, kinds=kinds)


def run(before, after, *effects, error=""):
    return BodyRun(effects=effects, before={"t": before}, after={"t": after}, error=error)


def told(findings):
    return [(finding.level, finding.text) for finding in findings]


def mail(label="mail 'A' to a@example.com"):
    return Effect(kind="mail", label=label, where="a.py:1", outward=True)


def row(verb="INSERT", **options):
    return Effect(kind="row", label=f"{verb} t", of="t", where="a.py:2", **options)


# ---------------------------------------------------------------------- noise


def test_two_equal_runs_have_no_noise():
    one = run(rows(), rows((1, "a")), row())
    assert noise_of(one, one) == Noise()


def test_a_value_that_differs_between_two_clean_runs_is_noise():
    one, other = run(rows(), rows((1, "a"))), run(rows(), rows((1, "b")))
    assert noise_of(one, other).cells == {("t", "word")}
    changed = (run(rows((1, "x")), rows((1, word))) for word in "ab")
    assert noise_of(*changed).cells == {("t", "word")}


def test_a_number_of_rows_that_differs_is_noise_of_the_table():
    one, other = run(rows(), rows((1, "a"))), run(rows(), rows((1, "a"), (2, "a")))
    assert noise_of(one, other).tables == {"t"}


def test_the_order_of_new_rows_is_none():
    one, other = run(rows(), rows((1, "a"), (2, "b"))), run(rows(), rows((1, "b"), (2, "a")))
    assert noise_of(one, other).tables == frozenset()
    assert ("t", "word") not in noise_of(one, other).cells


@pytest.mark.parametrize(
    "varying",
    ["0x7f00aa", "8e1f4c1e-0d3c-4d3a-9f5e-0a1b2c3d4e5f", "8e1f4c1e0d3c4d3a9f5e0a1b2c3d4e5f", "2026-11-26 10:00:01"],
)
def test_an_effect_is_known_without_its_times_and_addresses(varying):
    one, other = BodyRun(effects=(mail(f"mail {varying}"),)), BodyRun(effects=(mail("mail 0x7f00bb"),))
    assert noise_of(one, other).effects == frozenset()


# ----------------------------------------------------------- a second delivery


def second(before, after, columns=("id", "word"), noise=Noise(), error=""):  # noqa: B008
    first = run(rows(), rows(*before, columns=columns))
    again = run(rows(*before, columns=columns), rows(*after, columns=columns), error=error)
    return told(of_second_delivery(first, again, noise))


@pytest.mark.parametrize(
    ("columns", "before", "after", "finding"),
    [
        (("id", "word"), [(1, "a")], [(1, "a"), (2, "a")], ("breaks", "inserts a row more of t")),
        (("id", "word"), [(1, "a"), (2, "b")], [(2, "b")], ("breaks", "deletes a row more of t")),
        (("id", "n"), [(1, 1)], [(1, 2)], ("breaks", "changes t.n again: 1 → 2")),
        (("id", "attempts"), [(1, 1)], [(1, 2)], ("look", "changes t.attempts again: 1 → 2")),
        (("id", "n"), [(1, 1764150000)], [(1, 1764150009)], ("small", "gives t.n another time")),
        (("id", "n"), [(1, 1764150000123)], [(1, 1764150000456)], ("small", "gives t.n another time")),
        (("id", "n"), [(1, 1764150000)], [(1, 1764250000)], ("breaks", "changes t.n again: 1764150000 → 1764250000")),
        (
            ("id", "word"),
            [(1, "at 2026-11-26T10:30:00.5+00:00")],
            [(1, "at 2026-11-26T10:30:01Z")],
            ("small", "gives t.word another time"),
        ),
        (
            ("id", "word"),
            [(1, "2026-11-26 10:30:00 a")],
            [(1, "2026-11-26 10:30:01 b")],
            ("look", "changes t.word again: '2026-11-26 10:30:00 a' → '2026-11-26 10:30:01 b'"),
        ),
        (("id", "n"), [(1, 5)], [(1, 1764150000)], ("breaks", "changes t.n again: 5 → 1764150000")),
        (("id", "word"), [(1, "a")], [(1, "b")], ("look", "changes t.word again: 'a' → 'b'")),
        (("id", "at"), [(1, 10)], [(1, 11)], ("small", "gives t.at another time")),
        (("id", "at"), [(1, None)], [(1, 11)], ("look", "changes t.at again: None → 11")),
        (("id", "made"), [(1, None)], [(1, 11)], ("small", "gives t.made another time")),
    ],
)
def test_what_a_second_delivery_does_to_rows(columns, before, after, finding):
    assert second(before, after, columns) == [finding]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ([(1, "a"), (2, "b")], [(3, "b"), (4, "a")], []),
        ([(1, "a"), (2, "a")], [(3, "a")], [("breaks", "deletes a row more of t")]),
        ([(1, "a")], [(2, "a"), (3, "a")], [("breaks", "inserts a row more of t")]),
        ([(1, "a")], [(2, "b")], [("breaks", "deletes a row more of t"), ("breaks", "inserts a row more of t")]),
    ],
)
def test_rows_that_are_deleted_and_made_again_are_the_same(before, after, expected):
    assert second(before, after) == expected


def test_rows_that_are_made_again_refer_to_others_that_are():
    def of(order):
        return tables(orders=([(order, "o")], {}), lines=([(order, order)], {"word": ">orders"}))

    empty = tables(orders=([], {}), lines=([], {}))
    first = BodyRun(before=empty, after=of(1))
    assert of_second_delivery(first, BodyRun(before=of(1), after=of(2)), Noise()) == []


def test_a_second_delivery_that_goes_on_with_other_rows():
    columns = ("id", "n", "word")

    def at(*values):
        return rows(*values, columns=columns)

    start, first, goes_on = at((1, 0, "x"), (2, 0, "x")), at((1, 1, "y"), (2, 0, "x")), at((1, 1, "y"), (2, 1, "y"))
    found = told(of_second_delivery(run(start, first), run(first, goes_on), Noise()))
    assert found == [
        ("look", "changes t.n again: 0 → 1, in a row that the first delivery left alone"),
        ("small", "changes t.word again: 'x' → 'y', in a row that the first delivery left alone"),
    ]
    again = at((1, 2, "z"), (2, 1, "y"))
    found = told(of_second_delivery(run(start, first), run(first, again), Noise()))
    assert found == [("breaks", "changes t.n again: 1 → 2"), ("look", "changes t.word again: 'y' → 'z'")]


def test_a_file_that_is_deleted_and_saved_under_its_name_is_none_more():
    def file(label):
        return Effect(kind="file", label=label)

    def levels(*labels):
        return [one.level for one in of_second_delivery(BodyRun(), BodyRun(effects=tuple(map(file, labels))), Noise())]

    assert levels("delete the file a.png", "save the file a.png") == ["small", "small"]
    assert levels("save the file a.png", "delete the file b.png") == ["look", "look"]
    assert levels("save the file a.png", "delete the file a.png") == ["look", "look"]


def test_a_fresh_value_each_time_is_worth_a_look():
    noise = Noise(cells=frozenset({("t", "word")}))
    assert second([(1, "a")], [(1, "b")], noise=noise) == [("look", "gives t.word another value each time")]


def test_the_same_rows_and_an_error_are_what_a_guard_does():
    assert second([(1, "a")], [(1, "a")], error="IntegrityError: no") == [("small", "raises IntegrityError: no")]
    found = second([(1, "a")], [(1, "b")], error="ValueError: no")
    assert found[-1] == ("look", "raises ValueError: no")


@pytest.mark.parametrize(
    ("effect", "level"),
    [
        (mail(), "breaks"),
        (Effect(kind="enqueue", label="enqueue b()", of="b"), "look"),
        (Effect(kind="send", label="group_send a"), "small"),
        (Effect(kind="cache", label="cache.set a"), "small"),
        (Effect(kind="cache", label="cache.incr a"), "look"),
        (Effect(kind="mock", label="call gateway.charge()"), "small"),
        (Effect(kind="mock", label="call gateway.charge()", outward=True), "breaks"),
        (Effect(kind="mock", label="call gateway.charge(key=1)", outward=True, keyed=True), "small"),
    ],
)
def test_what_a_second_delivery_does_once_more(effect, level):
    found = of_second_delivery(BodyRun(effects=(effect,)), BodyRun(effects=(effect,)), Noise())
    assert [finding.level for finding in found] == [level]
    assert found[0].text.startswith(f"again: {effect.label}")


def test_a_loop_is_told_by_the_first_and_by_how_many_there_are():
    loop = [Effect(kind="enqueue", label=f"enqueue b({row})", of="b", where="a.py:3") for row in (7, 8, 9)]
    other = Effect(kind="enqueue", label="enqueue c(7)", of="c", where="a.py:4")
    again = of_second_delivery(BodyRun(), BodyRun(effects=(*loop, other)), Noise())
    assert told(again) == [
        ("look", "again: enqueue b(7), and 2 more like it"),
        ("look", "again: enqueue c(7)"),
    ]
    never = of_death(BodyRun(effects=(mail(), *loop)), [mail()], BodyRun(), Noise(), [])
    assert told(never) == [("breaks", "never: enqueue b(7), and 2 more like it")]


# --------------------------------------------------------------------- a death


def test_a_death_is_tried_after_what_it_does_not_take_back():
    effects = (
        row(open=True), mail(), row(open=True), Effect(kind="commit", label="COMMIT"), row(),
        Effect(kind="mock", label="call send()"), row(),
    )  # fmt: skip
    assert death_points(effects, 12) == [2, 4, 5]
    assert death_points([row()] * 21, 4) == [1, 6, 11, 16]
    assert death_points((row(),), 12) == []
    assert left_undone((mail(), row())) == "mail 'A' to a@example.com (a.py:1), and not INSERT t (a.py:2)"
    assert left_undone((row(open=True), Effect(kind="commit", label="COMMIT"))) == ""


CLEAN = run(rows(), rows((1, "a")), mail(), row())


def death(dead, after, *effects, known=(), error=""):
    again = run(rows(), after, *effects, error=error)
    return of_death(CLEAN, dead, again, Noise(), known)


def test_a_death_after_a_mail():
    [found] = death([mail()], rows((1, "a")), mail(), row())
    assert (found.level, found.text) == ("breaks", "twice: mail 'A' to a@example.com")
    assert (found.after, found.before) == ("mail 'A' to a@example.com (a.py:1)", "INSERT t (a.py:2)")
    assert death([mail()], rows((1, "a")), mail(), row(), known=[found]) == []


def test_a_death_that_loses_the_rest():
    assert told(death([mail()], rows())) == [("breaks", "a row of t never written")]
    clean = run(rows(), rows((1, "a")), row(), mail())
    found = of_death(clean, [row()], run(rows(), rows((1, "a"))), Noise(), [])
    assert told(found) == [("breaks", "never: mail 'A' to a@example.com")]


def test_what_is_never_written_has_the_line_that_would_have_written_it():
    [found] = death([mail()], rows())
    assert found.where == "a.py:2"
    [found] = death([mail()], rows(), Effect(kind="row", label="UPDATE t", of="t", where="a.py:9"))
    assert found.where == "a.py:9"


def test_a_lock_that_keeps_the_message_out_is_one_cause():
    lock = Effect(kind="cache", label="cache.add lock", of="cache.add", where="a.py:1")
    clean = run(rows(), rows((1, "a")), lock, mail(), row())
    nothing = run(rows(), rows())
    [found] = of_death(clean, [lock], nothing, Noise(), [])
    assert (found.level, found.kind, found.text) == ("breaks", "kept-out", "the message that comes again does nothing")
    assert (found.after, found.before) == ("cache.add lock (a.py:1)", "mail 'A' to a@example.com (a.py:1)")
    [found] = of_death(clean, [lock], run(rows(), rows(), error="BlockingIOError"), Noise(), [])
    assert (found.level, found.text) == (
        "breaks",
        "the message that comes again does nothing, but raises BlockingIOError",
    )
    assert of_death(clean, [lock, mail()], nothing, Noise(), [found]) == []
    assert told(of_death(clean, [mail(), lock], nothing, Noise(), [])) == [("breaks", "a row of t never written")]
    harmless = run(rows(), rows(), lock, Effect(kind="cache", label="cache.set b", of="cache.set"))
    assert told(of_death(harmless, [lock], nothing, Noise(), [])) == [("small", "never: cache.set b")]


def test_a_death_that_the_next_run_mends_is_none():
    assert death([mail()], rows((2, "a")), row()) == []  # another key is the same row


def test_the_same_effect_with_another_number_is_the_same():
    clean = BodyRun(effects=(row(), mail("mail 7")))
    found = of_death(clean, [row()], BodyRun(effects=(row(), mail("mail 8"))), Noise(), [])
    assert found == []


def tables(**of):
    return {name: rows(*values, kinds=kinds) for name, (values, kinds) in of.items()}


LINES = {"order_id": ">orders"}


def lost(*, on_demand=(), **of):
    """What is said of new rows of several tables which a death leaves unwritten."""
    before = tables(**{name: ([], kinds) for name, (_, kinds) in of.items()})
    written = [
        Effect(kind="row", label=f"INSERT {name}", of=name, where="a.py:2", on_demand=name in on_demand) for name in of
    ]
    clean = BodyRun(effects=(mail(), *written), before=before, after=tables(**of))
    return told(of_death(clean, [mail()], BodyRun(before=before, after=before), Noise(), []))


def test_rows_that_refer_to_one_another_are_one_cause():
    assert lost(orders=([(1, "o")], {}), lines=([(1, "x"), (2, "y")], LINES)) == [
        ("breaks", "a row of orders never written, and of lines with it")
    ]
    assert lost(orders=([(1, "o")], {}), others=([(1, "x")], {})) == [
        ("breaks", "a row of orders never written"),
        ("breaks", "a row of others never written"),
    ]
    deep = {"lines": ([(1, "x")], LINES), "orders": ([(1, "o")], {"by": ">people"}), "people": ([(1, "p")], {})}
    assert lost(**deep) == [("breaks", "a row of people never written, and of lines, orders with it")]


def test_tables_that_refer_to_each_other_are_told_by_one():
    ring = {"lines": ([(1, "x")], LINES), "orders": ([(1, "o")], {"last": ">lines", "self": ">orders"})}
    assert lost(**ring) == [("breaks", "a row of lines never written, and of orders with it")]


def test_what_get_or_create_makes_when_it_is_asked_for_is_worth_a_look():
    people = ([(1, "p")], {})
    assert lost(on_demand={"people"}, people=people) == [
        ("look", "a row of people never written, until get_or_create() is asked for it")
    ]
    assert lost(on_demand={"people"}, people=people, log=([(1, "x")], {"by": ">people"})) == [
        ("breaks", "a row of log never written, and of people with it")
    ]


def test_a_table_that_is_written_otherwise_too_is_not_made_on_demand():
    clean = run(rows(), rows((1, "a")), mail(), row(on_demand=True), row())
    found = of_death(clean, [mail()], run(rows(), rows()), Noise(), [])
    assert told(found) == [("breaks", "a row of t never written")]


def test_a_reference_to_a_new_row_of_any_table_is_not_compared():
    def of(order):
        return tables(orders=([(order, "o")], {}), log=([(1, order)], {"word": ">"}))

    before = tables(orders=([], {}), log=([], {"word": ">"}))
    clean = BodyRun(effects=(row(), row()), before=before, after=of(1))
    assert of_death(clean, [row()], BodyRun(before=before, after=of(2)), Noise(), []) == []
    known = {**before, "orders": of(1)["orders"]}
    found = of_death(
        BodyRun(effects=(row(), row()), before=known, after=of(1)), [row()],
        BodyRun(before=known, after={"orders": of(1)["orders"], "log": of(2)["log"]}), Noise(), [],
    )  # fmt: skip
    assert told(found) == [("look", "a row of log ends otherwise (word: 1 → 2)")]


def test_a_log_of_changes_that_a_library_keeps_may_say_it_twice():
    before, after = (replace(rows(*values), history=True) for values in ([(1, "a")], [(1, "a"), (2, "a")]))
    found = of_second_delivery(run(rows(), before), run(before, after), Noise())
    assert told(found) == [("small", "inserts a row more of t, a log of changes")]


def test_references_to_rows_that_are_new_themselves_are_not_compared():
    def lines(order):
        return {
            "t": rows((1, order), columns=("id", "order_id")),
            "orders": rows((order, "o")),
        }

    before = {"t": rows(columns=("id", "order_id")), "orders": rows()}
    clean = BodyRun(effects=(row(), row()), before=before, after=lines(1))
    found = of_death(clean, [row()], BodyRun(before=before, after=lines(2)), Noise(), [])
    assert found == []


# ---------------------------------------------------------------- faithfulness


def test_a_shadow_that_does_what_the_test_did():
    assert difference(CLEAN, {"t": rows((1, "a"))}, 1, Noise()) == ""
    assert difference(CLEAN, {}, None, Noise()) == ""


def test_a_shadow_that_does_otherwise():
    assert difference(CLEAN, {"t": rows()}, 1, Noise()) == "a row of t never written"
    assert difference(CLEAN, {"t": rows((1, "a"))}, 0, Noise()) == "1 mails in the shadow, 0 in the test"


def test_what_waits_for_the_commit_may_run_in_a_test_or_not():
    late = Effect(kind="mail", label="mail", late=True)
    clean = run(rows(), rows((1, "a")), row(late=True), late)
    for mails in (0, 1):
        assert difference(clean, {"t": rows()}, mails, Noise()) == ""


# --------------------------------------------------------------------- a task


def call(task="a", *findings, **options):
    return AuditedCall(
        task=task, test="t.py::test_a", call="a()", findings=findings, **{"effects": (row(),), **options}
    )


def found(level, kind="insert", of="t", **options):
    return Finding(level=level, kind=kind, text=f"{kind} of {of}", of=of, **options)


def words(*calls, skipped=None, allowed=None):
    return {verdict.task: verdict.verdict for verdict in verdicts_of(calls, skipped or {}, allowed or {})}


def test_the_worst_rules():
    assert words(call("a", found("look"), found("breaks", of="u"))) == {"a": "BREAKS"}
    assert words(call("a", found("small"))) == {"a": "NO DIFFERENCE FOUND"}
    assert words(call("a", effects=())) == {"a": "NO EFFECT SEEN"}
    assert words(call("a", unfaithful="it differs")) == {"a": "NOT FAITHFUL"}
    assert words(call("a", found("breaks"), unfaithful="it differs")) == {"a": "LOOK"}
    assert words(call("a"), skipped={"a": ["why"], "b": ["why"]}) == {"a": "NO DIFFERENCE FOUND", "b": "NOT AUDITED"}


def test_to_enqueue_again_what_takes_it_is_no_finding():
    def again(of):
        return found("look", "enqueue", of)

    assert words(call("a", again("b")), call("b")) == {"a": "NO DIFFERENCE FOUND", "b": "NO DIFFERENCE FOUND"}
    assert words(call("a", again("b")), call("b", found("breaks"))) == {"a": "LOOK", "b": "BREAKS"}
    assert words(call("a", again("b"))) == {"a": "LOOK"}
    assert words(call("a", again("b, c")), call("b"), call("c", effects=()))["a"] == "NO DIFFERENCE FOUND"
    assert words(call("a", again("b")), call("b", again("c")), call("c"))["a"] == "NO DIFFERENCE FOUND"
    assert words(call("a", again("a"))) == {"a": "NO DIFFERENCE FOUND"}
    assert words(call("a", again("b")), call("b", again("a"), found("look"))) == {"a": "LOOK", "b": "LOOK"}
    assert words(call("a", again("b")), call("b", unfaithful="it differs"))["a"] == "LOOK"
    assert words(call("a", again("b")), skipped={"b": ["why"]})["a"] == "LOOK"


def test_that_no_time_was_left_is_the_last_reason():
    audit = RunAudit(skipped={"a": Counter({"no time was left for it (x)": 9, "it asks for a retry": 1})})
    [verdict] = audit.verdicts(AuditOptions())
    assert verdict.reason == "it asks for a retry"


def test_what_is_allowed_is_said_with_its_reason():
    [verdict] = verdicts_of([call("a", found("breaks"))], {}, {"a": "a toy"})
    assert (verdict.verdict, verdict.reason, verdict.causes) == ("ALLOWED", "a toy", ())
    assert words(call("a", found("breaks"), allowed="here"), call("a", found("breaks"))) == {"a": "BREAKS"}


def test_a_cause_names_all_tests_that_show_it():
    calls = [AuditedCall(task="a", test=f"t.py::test_{n}", call="", findings=(found("breaks"),)) for n in (1, 2)]
    [verdict] = verdicts_of(calls, {}, {})
    assert [cause.tests for cause in verdict.causes] == [("t.py::test_1", "t.py::test_2")]


def test_a_batch_that_does_not_go_on_is_worth_a_look():
    assert words(call("a", found("breaks", "lost-enqueue", "a"))) == {"a": "LOOK"}
    assert words(call("a", found("breaks", "lost-enqueue", "b"))) == {"a": "BREAKS"}


def test_a_cleaner_on_a_schedule_that_deletes_more_is_worth_a_look():
    def said(finding):
        return verdicts_of([call("a", finding)], {}, {}, {"a"})[0].verdict

    assert said(found("breaks", "delete")) == "LOOK"
    assert said(found("breaks", "delete", after="mail 'A'")) == "BREAKS"
    assert said(found("breaks", "kept-out", after="cache.add lock")) == "LOOK"
    assert said(found("breaks")) == "BREAKS"
    assert words(call("a", found("breaks", "delete"))) == {"a": "BREAKS"}


def test_one_line_that_mails_several_people_is_one_cause():
    def mail(to, where="shop/mail.py:3"):
        return Finding(level="breaks", kind="mail", text=f"twice: mail 'Hello' to {to}", where=where)

    [verdict] = verdicts_of([call("a", mail("ada@example.com"), mail("grace@example.com"))], {}, {})
    assert len(verdict.causes) == 1
    [verdict] = verdicts_of([call("a", mail("ada@example.com"), mail("ada@example.com", "shop/mail.py:9"))], {}, {})
    assert len(verdict.causes) == 2
    [verdict] = verdicts_of([call("a", mail("ada@example.com", ""), mail("grace@example.com", ""))], {}, {})
    assert len(verdict.causes) == 2  # nothing says that they are of one line


def test_plain_values_and_back():
    one = run(rows(), rows((1, "a")), row())
    assert run_from(to_plain(one)) == one
    whole = call("a", found("look"), undone="x", unfinished=("y",))
    assert call_from(to_plain(whole)) == whole


# --------------------------------------------------------------- all of a run


def test_the_text():
    audit = RunAudit()
    audit.calls = [
        call("shop.a", found("breaks", after="mail (a.py:1)", before="INSERT t (a.py:2)"), points=1, undone="x"),
        call("shop.b", effects=()),
    ]
    audit.ran.update({"shop.a": 3, "shop.b": 1, "shop.c": 1})
    audit.skipped = {
        "shop.a": Counter({"it asks for a retry": 2, "it raises KeyError": 1}),
        "shop.b": Counter({"it asks for a retry": 1}),
        "shop.c": Counter({"it asks for a retry": 1}),
    }
    audit.known = {"shop.a": KnownTask(where="shop.py:1", acks="late")}
    assert audit_lines(audit, AuditOptions()) == [
        "2 of 3 tasks that ran are audited, of 1 that there are: 2 ways through them, 1 deaths, 0.0 s.",
        "",
        "BREAKS shop.a  shop.py:1  (acks_late)",
        "    dies after mail (a.py:1),",
        "        before INSERT t (a.py:2):",
        "      insert of t   [test_a]",
        "    not audited in 3 other calls: it asks for a retry; and for 1 other reason",
        "",
        "NO EFFECT SEEN, so nothing is known (1): shop.b",
        "    shop.b: not audited in 1 other call: it asks for a retry",
        "NOT AUDITED (1):",
        "    shop.c: it asks for a retry",
        "Left half done by a death after which no message comes again (1; each with its effects in the JSON): shop.a",
        "acks_late: redelivered when the worker dies; a child that is lost is acked as failed (WorkerLostError).",
    ]


def test_the_deaths_that_say_nothing_are_told():
    audit = RunAudit(calls=[call("shop.a", points=2, points_left=3, unfinished=("it opens a connection to x",))])
    audit.ran.update({"shop.a": 1})
    assert audit_lines(audit, AuditOptions())[-1] == (
        "    shop.a: not all of its deaths are audited: it opens a connection to x; no time was left for 3 of them"
    )


# --------------------------------------------------------------------- budget


def test_each_way_once_and_a_few_repeats():
    budget = Budget(AuditOptions())
    assert budget.is_new("a", "t.py::a", ("one",))
    for _ in range(5):
        assert budget.wants("a", "t.py::b")
        assert not budget.is_new("a", "t.py::b", ("one",))
    assert not budget.wants("a", "t.py::c")
    assert budget.wants("a", "other.py::c")
    assert budget.wants("b", "t.py::c")


def test_what_is_refused_for_one_reason_again_and_again_is_tried_in_other_modules_alone():
    budget = Budget(AuditOptions())
    budget.refused("a", "t.py::a", "it talks to Redis itself")
    for _ in range(5):
        assert budget.wants("a", "t.py::b")
        budget.refused("a", "t.py::b", "it talks to Redis itself")
    assert not budget.wants("a", "t.py::c")
    assert budget.wants("a", "other.py::c")
    budget.refused("a", "other.py::c", "it raises KeyError")
    assert budget.wants("a", "other.py::d")


def test_the_seconds_of_a_task_and_of_the_run():
    budget = Budget(AuditOptions(task_seconds=2, suite_seconds=3))
    budget.spend("a", 1.5)
    assert (budget.refusal("a"), budget.left("a")) == ("", 0.5)
    budget.spend("a", 1)
    assert "task_seconds" in budget.refusal("a")
    assert budget.left("b") == 0.5
    budget.spend("b", 1)
    assert "suite_seconds" in budget.refusal("c")


@pytest.mark.parametrize(
    ("value", "plain"),
    [(1, True), ("a", True), ([1, {"a": (None, 2.5)}], True), (object(), False), ({"a": [object()]}, False)],
)
def test_arguments_that_keep_nothing_of_a_run(value, plain):
    assert is_plain(value) is plain


def test_a_second_delivery_that_leaves_the_rows():
    before, after = {"orders": rows((1, "open"))}, {"orders": rows((1, "done"))}
    first = BodyRun(before=before, after=after)
    assert leaves_rows(first, BodyRun(before=after, after=after))
    assert leaves_rows(first, BodyRun())
    assert not leaves_rows(first, BodyRun(before=after, after=before))
    assert not leaves_rows(BodyRun(), BodyRun(before=before, after=after))
    assert leaves_rows(BodyRun(), BodyRun(before=before, after=before))


def test_steady_is_what_has_no_noise():
    first = BodyRun(after={"orders": rows((1, "done"))}, effects=(Effect(kind="row", label="UPDATE orders"),))
    assert is_steady(first, first)
    assert not is_steady(first, replace(first, error="KeyError"))
    assert not is_steady(first, replace(first, effects=()))
    assert not is_steady(first, replace(first, after={"orders": rows((1, "other"))}))


def test_a_run_is_the_same_behind_the_pipe():
    run = BodyRun(
        effects=(Effect(kind="row", label="UPDATE orders"),),
        before={"orders": rows((1, "open"))},
        after={"orders": rows((1, "done"))},
        aliases={"orders": "default"},
    )
    assert run_from(json.loads(json.dumps(plain_run(run)))) == run


def test_what_is_known_of_tasks_is_told_once():
    def task():
        app = SimpleNamespace(conf=SimpleNamespace(beat_schedule={}))
        return SimpleNamespace(run=len, acks_late=False, reject_on_worker_lost=None, app=app)

    bodies = SimpleNamespace(tasks={"a": task(), "b": task()})
    assert known_tasks(bodies) == {name: KnownTask(where="", acks="early") for name in ("a", "b")}
    assert list(known_tasks(bodies, {"a"})) == ["b"]
