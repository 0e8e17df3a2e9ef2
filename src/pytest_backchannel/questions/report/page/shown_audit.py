"""What the page shows of the audit: the tasks that ran, the worst first, and the lines that send before the commit."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...audit.output.audit_found import AuditFound
from ...audit.output.audit_text import ACKS, ACKS_SHORT
from ...audit.weighing.task_verdicts import (
    ALLOWED,
    BREAKS,
    KNOWN,
    LOOK,
    NO_DIFFERENCE,
    NO_EFFECT,
    NOT_AUDITED,
    NOT_FAITHFUL,
)
from .excerpts import Excerpt, Excerpts
from .page_links import Link, Names, short

MEANINGS = {
    BREAKS: "Something is doubled or lost that reaches somebody, or that counts.",
    LOOK: "Something is otherwise, and only you know whether it matters.",
    KNOWN: "It breaks, and the baseline knows it.",
    NOT_FAITHFUL: "A copy did something else than the test's own run, so nothing is concluded.",
    NOT_AUDITED: "It could not be tried, with the reason.",
    ALLOWED: "Something was found, and is intended, with your reason.",
    NO_DIFFERENCE: "In what these tests ran, one after another; two deliveries at once are not tried.",
    NO_EFFECT: "The body did nothing that is watched, so nothing is known.",
}
"""What each verdict means, in the order in which they are shown."""
_WEIGHTS = {BREAKS: "much", LOOK: "some"}


@dataclass(frozen=True)
class At:
    """Something with its line."""

    text: str
    where: str
    source: Excerpt | None


@dataclass(frozen=True)
class ShownCause:
    """One cause, with the tests that show it."""

    level: str
    state: str
    what: At
    tests: Sequence[Link]
    known: bool
    code: str


@dataclass(frozen=True)
class Moment:
    """A second delivery, or one death, and what is otherwise then."""

    after: At | None
    before: At | None
    causes: Sequence[ShownCause]


@dataclass(frozen=True)
class ShownCall:
    """One way through a task: what its body did."""

    call: str
    test: Link
    effects: Sequence[str]
    deaths: str
    remarks: Sequence[str]


@dataclass(frozen=True)
class AuditedTask:
    """One task that ran."""

    id: str
    task: str
    verdict: str
    meaning: str
    state: str
    weight: str
    reason: str
    acks: str
    of_acks: str
    part: Link | None
    definition: At
    moments: Sequence[Moment]
    beside: Sequence[str]
    half_done: str
    not_audited: Sequence[tuple[str, int]]
    calls: Sequence[ShownCall]


@dataclass(frozen=True)
class ShownSend:
    """One line that sends inside a transaction."""

    id: str
    subject: str
    slug: str
    line: At
    inside: str
    fix: str
    allowed: str
    known: bool
    tests: Sequence[Link]


@dataclass(frozen=True)
class ShownAudit:
    """All of it; ``tasks`` or ``sends`` is None where that was not asked for."""

    figures: str
    tasks: Sequence[AuditedTask] | None
    sends: Sequence[ShownSend] | None
    known_sends: Sequence[ShownSend]
    verdicts: Sequence[tuple[str, str, int]]
    not_run: Sequence[str]

    @property
    def tried(self) -> int:
        """How many tasks were audited, be it in one call of many."""
        return sum(bool(task.calls) for task in self.tasks or ())

    def count(self, verdict: str) -> int:
        """How many tasks have a verdict."""
        return sum(count for _, word, count in self.verdicts if word == verdict)


@dataclass(frozen=True)
class AuditPage:
    """A page of the audit alone."""

    audit: ShownAudit
    excerpts: Excerpts


def audit_page_of(found: AuditFound, excerpts: Excerpts) -> AuditPage:
    """What such a page shows.

    Args:
        found: by the audit.
        excerpts: reads the code.
    """
    return AuditPage(shown_audit(found, Names(), excerpts), excerpts)


def audit_ids(found: AuditFound) -> dict[str, Link]:
    """A link to each task that ran, with its verdict."""
    tasks = found.data.get("tasks", ())
    return {task["task"]: Link(f"a{number}", _verdict(task, found)) for number, task in enumerate(tasks)}


def shown_audit(found: AuditFound, names: Names, excerpts: Excerpts) -> ShownAudit:
    """What the page shows of an audit.

    Args:
        found: by the audit.
        names: of the other parts of the page.
        excerpts: reads the code.
    """
    data, show = found.data, _Show(names, excerpts)
    tasks = sorted(
        (show.task(task, link) for task, link in zip(data.get("tasks", ()), audit_ids(found).values(), strict=True)),
        key=lambda task: list(MEANINGS).index(task.verdict),
    )
    sends = [show.send(number, send) for number, send in enumerate(data.get("rollback", ()))]
    counts = Counter(task.verdict for task in tasks)
    return ShownAudit(
        figures=found.figures,
        tasks=tasks if "tasks" in data else None,
        sends=[send for send in sends if not send.known and not send.allowed] if "rollback" in data else None,
        known_sends=[send for send in sends if send.known or send.allowed],
        verdicts=[(state_of(word), word, counts[word]) for word in MEANINGS if counts[word]],
        not_run=data.get("not_run", ()),
    )


def state_of(verdict: str) -> str:
    """By what the style sheet knows a verdict, or the level of a cause; none has the colour of what was reached."""
    return {BREAKS: "open", LOOK: "not_known"}.get(verdict, "seen")


def _verdict(task: Mapping[str, Any], found: AuditFound) -> str:
    word: str = found.words.get(task["task"], task["verdict"])
    return word


class _Show:
    """Makes the parts, with their links."""

    def __init__(self, names: Names, excerpts: Excerpts) -> None:
        self._names = names
        self._excerpts = excerpts

    def task(self, task: Mapping[str, Any], link: Link) -> AuditedTask:
        causes = task["causes"]
        return AuditedTask(
            id=link.to,
            task=task["task"],
            verdict=link.text,
            meaning=MEANINGS[link.text],
            state=state_of(link.text),
            weight=_WEIGHTS.get(link.text, "little"),
            reason=task["reason"],
            acks=ACKS_SHORT.get(task["acks"], ""),
            of_acks=ACKS.get(task["acks"], ""),
            part=self._names.items.get(f"task:{task['task']}"),
            definition=self._at("", task["where"]),
            moments=list(self._moments(cause for cause in causes if cause["level"] != "small")),
            beside=list(dict.fromkeys(cause["text"] for cause in causes if cause["level"] == "small")),
            # The message of such a task comes again whichever process dies.
            half_done="" if task["acks"] in ("", "late+lost") else task["half_done"],
            not_audited=list(task["not_audited"].items()),
            calls=[self._call(call) for call in task["calls"]],
        )

    def _moments(self, causes: Iterable[Mapping[str, Any]]) -> Iterator[Moment]:
        by_death: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
        for cause in causes:
            by_death.setdefault((cause["after"], cause["before"]), []).append(cause)
        for (after, before), found in sorted(by_death.items()):  # a second delivery first, which has neither
            yield Moment(
                after=self._effect(after) if after else None,
                before=self._effect(before) if before else None,
                causes=[self._cause(cause) for cause in found],
            )

    def _cause(self, cause: Mapping[str, Any]) -> ShownCause:
        return ShownCause(
            level=cause["level"].upper(),
            state=state_of(cause["level"].upper()),
            what=self._at(cause["text"], cause["where"]),
            tests=self._tests(cause["tests"]),
            known=cause["in_baseline"],
            code=cause["paste"],
        )

    def _call(self, call: Mapping[str, Any]) -> ShownCall:
        died = f"{call['deaths']} {'death' if call['deaths'] == 1 else 'deaths'} tried"
        unfaithful = [call["unfaithful"]] if call["unfaithful"] else []
        return ShownCall(
            call=call["call"],
            test=self._tests([call["test"]])[0],
            effects=call["effects"],
            deaths=f"{died}, {call['deaths_left']} more not" if call["deaths_left"] else died,
            remarks=[*unfaithful, *call["unfinished"]],
        )

    def send(self, number: int, send: Mapping[str, Any]) -> ShownSend:
        subject = "a mail" if send["what"] == "mail" else send["what"]
        return ShownSend(
            id=f"b{number}",
            subject=f"{subject} (a Mock stands for it)" if send["mocked"] else subject,
            slug=send["slug"],
            line=self._at("", send["where"]),
            inside=send["inside"],
            fix=send["fix"],
            allowed=send["allowed"],
            known=send["in_baseline"],
            tests=self._tests(send["tests"]),
        )

    def _tests(self, tests: Iterable[str]) -> list[Link]:
        return [self._names.tests.get(test) or Link("", short(test)) for test in tests]

    def _at(self, text: str, where: str) -> At:
        return At(text, where, self._excerpts.at(where))

    def _effect(self, text: str) -> At:
        found = _WITH_LINE.fullmatch(text)
        return self._at(found["what"], found["where"]) if found else At(text, "", None)


# An effect as it is told: with its line behind it.
_WITH_LINE = re.compile(r"(?P<what>.*) \((?P<where>[^()]+:\d+)\)", re.DOTALL)
