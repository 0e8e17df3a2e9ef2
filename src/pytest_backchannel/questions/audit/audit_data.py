"""What an audit sees and finds, as plain data: it goes from a forked child to its parent, and through pytest-xdist."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Effect:
    """One thing that a body did.

    Attributes:
        kind: ``row``, ``commit``, ``mail``, ``enqueue``, ``send``, ``file``, ``cache`` or ``mock``.
        label: what it did, in words: ``INSERT shop_order``, ``mail 'Hello' to a@example.com``.
        where: the project's own line, as ``file:line``; empty where there is none.
        of: the table, the task or the mock that it is about; empty where there is none.
        open: whether it is inside of a transaction of the body's own, and gone with it.
        late: whether a callback of ``on_commit`` did it.
        outward: whether it reaches somebody outside, or is declared to.
        keyed: whether it carries a key by which the other side knows a repeated call.
        write: which of the body's statements that write it is, counted from 1; 0 for none.
        on_demand: whether it is a row that ``get_or_create()`` has made, as whoever needs it next would.
    """

    kind: str
    label: str
    where: str = ""
    of: str = ""
    open: bool = False
    late: bool = False
    outward: bool = False
    keyed: bool = False
    write: int = 0
    on_demand: bool = False


@dataclass(frozen=True, kw_only=True)
class Rows:
    """The rows of one table.

    Attributes:
        columns: their names.
        key: the column by which a row is known.
        rows: each row by its key, with its values as texts.
        kinds: of what kind a column is, where it matters: ``number``, ``time``, ``stamp``, or ``>table``, a reference;
            ``>`` alone is one to a row of any table.
        history: whether it is a log of changes, which a library keeps.
    """

    columns: tuple[str, ...]
    key: str
    rows: dict[str, tuple[str, ...]]
    kinds: dict[str, str] = field(default_factory=lambda: dict[str, str]())
    history: bool = False

    def contents(self, masked: Container[str]) -> dict[str, tuple[str, ...]]:
        """What is in each row, by its key.

        Args:
            masked: the columns that are left out.
        """
        places = [at for at, column in enumerate(self.columns) if column not in masked]
        return {key: tuple(row[at] for at in places) for key, row in self.rows.items()}


Tables = Mapping[str, Rows]
LEVELS = ("breaks", "look", "small")
"""How much a finding matters, the worst first; what is small makes no verdict."""


@dataclass(frozen=True, kw_only=True)
class BodyRun:
    """What one run of a body did.

    Attributes:
        effects: in their order.
        before: the tables that it writes, as they were.
        after: the same, as they are.
        aliases: the database of each.
        error: what it raised, as text; empty where it did not.
        seconds: how long it took.
        ignored: whether it has ended by Celery's Ignore, as a task does that puts another one in its place.
        unanswered: which double of the test had no answer left for it, such as a cassette; empty where none.
    """

    effects: tuple[Effect, ...] = ()
    before: dict[str, Rows] = field(default_factory=lambda: dict[str, Rows]())
    after: dict[str, Rows] = field(default_factory=lambda: dict[str, Rows]())
    aliases: dict[str, str] = field(default_factory=lambda: dict[str, str]())
    error: str = ""
    seconds: float = 0.0
    ignored: bool = False
    unanswered: str = ""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One difference that a second delivery or a death makes.

    Attributes:
        level: one of :data:`LEVELS`.
        kind: what it is, such as ``insert`` or ``lost-mail``.
        text: in words.
        where: the project's line that did it, as ``file:line``.
        of: the table, task or mock that it is about.
        after: after which effect the worker died, with its line; empty for a second delivery.
        before: before which effect.
        before_write: which of the body's statements that write this is, counted from 1; 0 where it is none.
    """

    level: str
    kind: str
    text: str
    where: str = ""
    of: str = ""
    after: str = ""
    before: str = ""
    before_write: int = 0

    @property
    def cause(self) -> tuple[str, str, str]:
        """What makes two findings of one task the same cause: a line that mails two people is one."""
        return (self.kind, self.of or ("" if self.where else self.text), self.where)


@dataclass(frozen=True, kw_only=True)
class AuditedCall:
    """One call of a task that was audited.

    Attributes:
        task: its name.
        test: the test that ran it.
        call: the call, as text.
        effects: what its body did, in order.
        findings: what a second delivery or a death changes.
        points: after how many effects it died.
        points_left: how many there were no time for.
        unfaithful: how the clean shadow differs from the real run; empty where it does not.
        unfinished: why some of its shadows say nothing.
        undone: what a death leaves undone where its message does not come again; empty where it leaves nothing.
        allowed: why its findings are intended; empty where they are not.
    """

    task: str
    test: str
    call: str
    effects: tuple[Effect, ...] = ()
    findings: tuple[Finding, ...] = ()
    points: int = 0
    points_left: int = 0
    unfaithful: str = ""
    unfinished: tuple[str, ...] = ()
    undone: str = ""
    allowed: str = ""

    def signature(self) -> tuple[str, ...]:
        """The sequence of its effects, without what differs from call to call."""
        return signature_of(self.effects)


@dataclass(frozen=True, kw_only=True)
class KnownTask:
    """What the audit knows of a task.

    Attributes:
        where: the line of its body.
        acks: ``early``, ``late``, or ``late+lost`` where a lost child lets the message come again, too.
        scheduled: whether it is in the beat schedule, so that it runs again and again by itself.
    """

    where: str
    acks: str
    scheduled: bool = False


def signature_of(effects: tuple[Effect, ...]) -> tuple[str, ...]:
    """The sequence of effects, without what differs from call to call."""
    return tuple(f"{effect.kind} {effect.of} {effect.where}" for effect in effects)


def way_of(first: BodyRun, second: BodyRun) -> tuple[str, ...]:
    """What makes two calls of a task the same to an audit: the effects of their first and of their second delivery."""
    return (*signature_of(first.effects), *sorted(signature_of(second.effects)))


def to_plain(value: Any) -> Any:
    """Lists, texts and numbers alone, of an object of this module."""
    return asdict(value)


def plain_run(run: BodyRun) -> dict[str, Any]:
    """The same of a run, whose tables may be large: nothing of them is copied."""
    return {
        **vars(run),
        "effects": [vars(effect) for effect in run.effects],
        "before": {name: vars(rows) for name, rows in run.before.items()},
        "after": {name: vars(rows) for name, rows in run.after.items()},
    }


def effect_from(data: Mapping[str, Any]) -> Effect:
    """The opposite of :func:`to_plain`."""
    return Effect(**data)


def run_from(data: Mapping[str, Any]) -> BodyRun:
    """The opposite of :func:`to_plain`."""
    return BodyRun(
        effects=tuple(map(effect_from, data["effects"])),
        before={name: _rows_from(rows) for name, rows in data["before"].items()},
        after={name: _rows_from(rows) for name, rows in data["after"].items()},
        aliases=dict(data["aliases"]),
        error=data["error"],
        seconds=data["seconds"],
        ignored=data["ignored"],
        unanswered=data["unanswered"],
    )


def _rows_from(data: Mapping[str, Any]) -> Rows:
    return Rows(
        columns=tuple(data["columns"]),
        key=data["key"],
        rows={key: tuple(row) for key, row in data["rows"].items()},
        kinds=dict(data["kinds"]),
        history=data["history"],
    )


def call_from(data: Mapping[str, Any]) -> AuditedCall:
    """The opposite of :func:`to_plain`."""
    values: dict[str, Any] = {
        **data,
        "effects": tuple(map(effect_from, data["effects"])),
        "findings": tuple(Finding(**finding) for finding in data["findings"]),
        "unfinished": tuple(data["unfinished"]),
    }
    return AuditedCall(**values)
