"""The share of the tasks that ran about which the audit has something to say, and does not say that they break."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .weighing.task_verdicts import BREAKS, NOT_AUDITED, NOT_FAITHFUL

_LEFT_OUT = (BREAKS, NOT_FAITHFUL, NOT_AUDITED)


@dataclass(frozen=True)
class Share:
    """How many of the tasks that ran were audited without a BREAKS.

    Attributes:
        audited: these.
        ran: all that ran.
    """

    audited: int
    ran: int

    @property
    def percent(self) -> float:
        """0 to 100, rounded down to a tenth: 100 is all of them, or of none."""
        return 100.0 if not self.ran else self.audited * 1000 // self.ran / 10

    def __str__(self) -> str:
        return (
            f"{self.percent:g} % of the tasks that ran ({self.audited} of {self.ran}) "
            f"{'was' if self.audited == 1 else 'were'} audited without a BREAKS"
        )


def share_of(verdicts: Iterable[str], ran: int) -> Share:
    """The share of a run.

    Args:
        verdicts: the words for its tasks, where what is allowed or in the baseline is no BREAKS.
        ran: how many tasks ran.

    Example:
        >>> str(share_of(["BREAKS", "NO EFFECT SEEN", "NOT AUDITED"], 3))
        '33.3 % of the tasks that ran (1 of 3) was audited without a BREAKS'
    """
    return Share(sum(word not in _LEFT_OUT for word in verdicts), ran)
