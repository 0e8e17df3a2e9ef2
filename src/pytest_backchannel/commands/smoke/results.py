"""What a check found, and how it is shown: a line as soon as it is known, or one JSON document at the end."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import TextIO

from ...masking import masked_data

FORMAT = 1
PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"
_WORDS = {PASSED: "ok", FAILED: "FAIL", SKIPPED: "skip"}


@dataclass(frozen=True)
class Outcome:
    """One check.

    Attributes:
        check: what was looked at: ``broker``, ``eager``, ``worker``, ``queue``, ``task``, ``beat``, ``canary``,
            ``results``, ``site``, ``websocket``, ``layer`` or ``message``.
        target: which one of them, such as the name of a queue.
        status: ``passed``, ``failed`` or ``skipped``.
        text: what was found.
        fix: what to do about it; empty where nothing is to be done.
        seconds: how long it took.
    """

    check: str
    target: str
    status: str
    text: str
    fix: str = ""
    seconds: float = 0.0


class Check:
    """One check that has begun: it makes its outcome.

    Args:
        check: what is looked at, as in :class:`Outcome`.
        target: which one of them.
    """

    def __init__(self, check: str, target: str = "") -> None:
        self._what = (check, target)
        self._begin = time.monotonic()

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return time.monotonic() - self._begin

    def passed(self, text: str) -> Outcome:
        """It is as it should be."""
        return Outcome(*self._what, PASSED, text, seconds=self.seconds)

    def failed(self, text: str, fix: str = "") -> Outcome:
        """It is not, and what to do about it."""
        return Outcome(*self._what, FAILED, text, fix, self.seconds)

    def skipped(self, text: str) -> Outcome:
        """It was not looked at, and why."""
        return Outcome(*self._what, SKIPPED, text)


class Report:
    """Shows outcomes, without any secret, and knows the exit code.

    Args:
        secrets: strings that are never shown.
        as_json: whether standard output gets one JSON document; the lines then go to standard error.
        out: standard output.
        err: standard error.
    """

    def __init__(
        self,
        *,
        secrets: Iterable[str] = (),
        as_json: bool = False,
        out: TextIO | None = None,
        err: TextIO | None = None,
    ) -> None:
        # The longest first: one secret may be a part of another.
        self._secrets = sorted({s for s in secrets if len(s) > 2}, key=len, reverse=True)
        self._as_json = as_json
        self._out = out or sys.stdout
        self._lines = (err or sys.stderr) if as_json else self._out
        self._begin = time.monotonic()
        self.outcomes: list[Outcome] = []

    def hide(self, secrets: Iterable[str]) -> None:
        """Never show these either."""
        self._secrets = sorted({*self._secrets, *(s for s in secrets if len(s) > 2)}, key=len, reverse=True)

    def clean(self, text: str) -> str:
        """The text with every secret replaced by ``***``."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return masked_data(text)

    def add(self, outcome: Outcome) -> None:
        """Take one outcome in and show it at once."""
        shown = {name: self.clean(getattr(outcome, name)) for name in ("target", "text", "fix")}
        outcome = replace(outcome, **shown, seconds=round(outcome.seconds, 3))
        self.outcomes.append(outcome)
        first, *more = outcome.text.splitlines() or [""]
        name = f"{outcome.check} {outcome.target}".strip()
        print(f"{_WORDS[outcome.status]:<4}  {name}: {first}", file=self._lines)
        for line in [*more, *([outcome.fix] if outcome.fix else [])]:
            print(f"      {line}", file=self._lines)
        self._lines.flush()

    def close(self) -> int:
        """Show the sum.

        Returns:
            The exit code: 0 where nothing failed, 1 where something did.
        """
        count = Counter(outcome.status for outcome in self.outcomes)
        seconds = time.monotonic() - self._begin
        print(
            f"{len(self.outcomes)} checks in {seconds:.1f} s: {count[PASSED]} passed, {count[FAILED]} failed, "
            f"{count[SKIPPED]} skipped",
            file=self._lines,
            flush=True,
        )
        if self._as_json:
            document = {
                "format": FORMAT,
                "passed": count[PASSED],
                "failed": count[FAILED],
                "skipped": count[SKIPPED],
                "seconds": round(seconds, 3),
                "checks": [asdict(outcome) for outcome in self.outcomes],
            }
            print(json.dumps(document, indent=1), file=self._out, flush=True)
        return 1 if count[FAILED] else 0
