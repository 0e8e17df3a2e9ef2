"""What audits have found, for the tests of their page: each verdict once; and one in which all texts are markup."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

from pytest_backchannel.questions.audit.audit_data import AuditedCall, Effect, Finding, KnownTask
from pytest_backchannel.questions.audit.audit_options import AuditOptions
from pytest_backchannel.questions.audit.finding_keys import send_keys
from pytest_backchannel.questions.audit.output.audit_found import AuditFound
from pytest_backchannel.questions.audit.output.audit_json import audit_data
from pytest_backchannel.questions.audit.output.audit_text import figures
from pytest_backchannel.questions.audit.rollback.rollback_text import rollback_data
from pytest_backchannel.questions.audit.rollback.sends_inside import SendInside
from pytest_backchannel.questions.audit.run_audit import RunAudit
from pytest_backchannel.questions.audit.weighing.task_verdicts import without_known

SHIPS = "tests/test_shop.py::test_ship"
KNOWN_KEYS = frozenset({"audit:shop.tasks.idle#insert:shop_idle", "rollback:mail#sent_in_transaction@shop/views.py"})
MAIL = "mail 'Shipped' to jo@example.com (shop/tasks.py:7)"


def audited(name, *findings, test=SHIPS, **options):
    """One call of a task of the module shop.tasks."""
    effects = (Effect(kind="mail", label="mail 'Shipped'", where="shop/tasks.py:7"),)
    return AuditedCall(
        task=f"shop.tasks.{name}",
        test=test,
        call=f"{name}(1)",
        findings=findings,
        **{"effects": effects, "points": 1, **options},
    )


def found(kind, of, level="breaks", **options):
    return Finding(level=level, kind=kind, of=of, **{"text": f"{kind} of {of}", "where": "shop/tasks.py:6", **options})


def small_run() -> RunAudit:
    """A task of each verdict."""
    run = RunAudit(seconds=1.5)
    run.calls = [
        audited(
            "ship",
            found("insert", "shop_label", text="inserts a row more of shop_label"),
            found("mail", "", text="twice: mail 'Shipped'", where="shop/tasks.py:7", after=MAIL, before="COMMIT"),
            found("send", "group order.1", level="small", text="again: group_send order.1"),
            undone=f"{MAIL}, and not COMMIT",
        ),
        audited("bill", found("token", "shop_bill.token", level="look"), test="tests/test_gone.py::test_bill"),
        audited("idle", found("insert", "shop_idle")),
        audited("drifts", unfaithful="it mails another address"),
        audited("pings", found("mail", ""), allowed="one mail more does no harm"),
        audited("right", points_left=3, unfinished=("a shadow took too long",)),
        audited("adds", effects=(), points=0),
    ]
    run.ran.update({call.task: 2 for call in run.calls})
    run.ran["shop.tasks.fetches"] = 1
    run.skipped = {
        "shop.tasks.fetches": Counter({"it opens a connection to 127.0.0.1": 1}),
        "shop.tasks.ship": Counter({"it asks for a retry": 2}),
    }
    run.known = {
        "shop.tasks.ship": KnownTask(where="shop/tasks.py:4", acks="late"),
        "shop.tasks.bill": KnownTask(where="shop/tasks.py:11", acks="early"),
        "shop.tasks.never": KnownTask(where="", acks="early"),
    }
    return run


def small_sends() -> dict[SendInside, list[str]]:
    """A line that is new, one that the baseline knows, and one that is intended."""
    enqueues = SendInside(
        slug="enqueued_in_transaction",
        what="shop.tasks.ship",
        where="shop/tasks.py:7",
        block="atomic() at shop/views.py:3",
        mocked=True,
    )
    return {
        enqueues: [SHIPS],
        replace(enqueues, slug="sent_in_transaction", what="mail", where="shop/views.py:9", mocked=False): [SHIPS],
        replace(enqueues, what="shop.tasks.bill", where="", allowed="it waits itself"): [SHIPS],
    }


def found_by(run: RunAudit | None, sends: dict[SendInside, list[str]] | None, root: Path) -> AuditFound:
    """What a run would give to its page.

    Args:
        run: None where no task was to be audited.
        sends: None where the lines that send were not asked for.
        root: of the project.
    """
    options, data, words, line = AuditOptions(), {}, {}, ""
    if run is not None:
        verdicts = [without_known(verdict, KNOWN_KEYS) for verdict in run.verdicts(options)]
        data |= audit_data(run, options, KNOWN_KEYS)
        words = {verdict.task: verdict.verdict for verdict in verdicts}
        line = figures(run, verdicts)
    if sends is not None:
        data["rollback"] = rollback_data(sends, send_keys(sends, Path.cwd()), KNOWN_KEYS)
    return AuditFound(data=data, words=words, figures=line, root=str(root))


def small_audit(root: Path) -> AuditFound:
    """Each verdict, each kind of line."""
    return found_by(small_run(), small_sends(), root)


def evil_audit(root: Path, text: str) -> AuditFound:
    """One in which everything that is somebody's text is the same.

    Args:
        root: of the project.
        text: of them.
    """
    effect = Effect(kind="mail", label=text, where=f"{text}.py:1")
    cause = Finding(
        level="breaks", kind="mail", text=text, where=f"{text}.py:2", of=text, after=f"{text} ({text}:3)", before=text
    )
    call = AuditedCall(
        task=text,
        test=f"a.py::{text}",
        call=text,
        effects=(effect,),
        findings=(cause, replace(cause, level="small", kind="send", text=f"beside {text}")),
        unfinished=(text,),
        undone=text,
    )
    run = RunAudit(calls=[call])
    run.ran.update({text: 1, f"{text}2": 1})
    run.skipped = {text: Counter({text: 1}), f"{text}2": Counter({text: 1})}
    run.known = {text: KnownTask(where=f"{text}:1", acks="late"), f"{text}3": KnownTask(where="", acks="early")}
    send = SendInside(slug=text, what=text, where=f"{text}:1", block=text, mocked=True)
    sends = {send: [f"a.py::{text}"], replace(send, allowed=text): [f"a.py::{text}"]}
    return found_by(run, sends, root)
