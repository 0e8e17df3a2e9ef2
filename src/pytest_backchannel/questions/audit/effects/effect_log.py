"""The effects of the body that runs in this shadow, in order; and the death after one of them.

All modules of this folder run in a forked child alone, which ends by ``os._exit``: what they replace is never put back.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from typing import Any

from ....active import Slot
from ....events import Location, caller
from ....masking import masked
from ..audit_data import Effect


class EffectLog:
    """What one run of a body does.

    Args:
        dies_after: after which effect its worker dies, counted from 1; 0 for none.
        die: what the death is; it does not return.
    """

    def __init__(self, dies_after: int = 0, die: Callable[[], None] | None = None) -> None:
        self.effects: list[Effect] = []
        self.before: dict[str, Any] = {}
        self.written: set[tuple[str, str]] = set()
        self.late = 0
        self.begun = 0
        self.writes = 0
        self.statement: Any = None
        self.unanswered = ""
        self._quiet = 0
        self._dies_after = dies_after
        self._die = die

    @property
    def listens(self) -> bool:
        """Whether effects are noted now: not those of the audit itself."""
        return not self._quiet

    @contextlib.contextmanager
    def quiet(self) -> Generator[None]:
        """Within the block, note nothing."""
        self._quiet += 1
        try:
            yield
        finally:
            self._quiet -= 1

    def end_statement(self) -> None:
        """End the statement after which it dies: SQLite opens no savepoint beside one whose rows were not read."""
        if self.statement is not None:
            self.statement.close()

    def add(self, effect: Effect) -> None:
        """Note one, and die if it is the one."""
        self.effects.append(effect)
        if self._die is not None and len(self.effects) == self._dies_after:
            self._die()


_running: Slot[EffectLog] = Slot("effects of a shadow")


_of_doubles: Slot[Callable[[str], bool]] = Slot("which files hold the doubles of a test")


def begin(log: EffectLog) -> EffectLog:
    """From now on, effects are those of this log."""
    _running.value = log
    return log


def without_doubles(is_of_a_double: Callable[[str], bool]) -> None:
    """From now on, note nothing of what a double of the test does: it stands for something else.

    Args:
        is_of_a_double: whether a file holds such.
    """
    _of_doubles.value = is_of_a_double


def running() -> EffectLog | None:
    """The log of the body that runs; None where none does, or nothing is to be noted."""
    log = _running.value
    if log is None or not log.listens or is_of_a_double(caller(1)):
        return None
    return log


def is_of_a_double(where: Location | None) -> bool:
    """Whether a line is one of a double, and not of the body."""
    known = _of_doubles.value
    return known is not None and where is not None and known(where.path)


def note(
    kind: str, label: str, *, of: str = "", outward: bool = False, keyed: bool = False, on_demand: bool = False
) -> None:
    """Note an effect of the body that runs."""
    log = running()
    if log is None:
        return
    from ..shadows.body_transactions import in_body_transaction

    where = caller(2)
    log.add(
        Effect(
            kind=kind,
            label=_short(masked(label)),
            where="" if where is None else str(where),
            of=of,
            open=kind == "row" and in_body_transaction(),
            late=log.late > 0,
            outward=outward,
            keyed=keyed,
            write=log.writes if kind == "row" else 0,
            on_demand=on_demand,
        )
    )


def _short(text: str, most: int = 200) -> str:
    return text if len(text) <= most else f"{text[: most // 2]}…{text[-most // 2 :]}"
