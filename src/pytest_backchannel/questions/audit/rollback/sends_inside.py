"""What was sent inside a transaction, as plain values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ....active import Slot

ENQUEUED, SENT = "enqueued_in_transaction", "sent_in_transaction"
"""The slugs under which it is told, as in a test that uses a double."""


@dataclass(frozen=True, kw_only=True, order=True)
class SendInside:
    """One line that sends inside a transaction of the code's own.

    Attributes:
        slug: ``enqueued_in_transaction`` or ``sent_in_transaction``.
        what: the name of the task or workflow, ``group_send``, ``send`` or ``mail``.
        where: the file and line that sends.
        block: who has begun the transaction, with file and line.
        later: whether the task has ``delay_on_commit``.
        mocked: whether a Mock stood in the place of what would have enqueued.
        allowed: why it is intended; empty where it is not.
    """

    slug: str
    what: str
    where: str
    block: str
    later: bool = False
    mocked: bool = False
    allowed: str = ""

    def as_data(self) -> list[Any]:
        """As values that pytest-xdist carries."""
        return [self.slug, self.what, self.where, self.block, self.later, self.mocked, self.allowed]


def from_data(values: list[Any]) -> SendInside:
    """What :meth:`SendInside.as_data` has given.

    Args:
        values: what it has given.
    """
    slug, what, where, block, later, mocked, allowed = values
    return SendInside(slug=slug, what=what, where=where, block=block, later=later, mocked=mocked, allowed=allowed)


@dataclass
class Found:
    """What one test has sent.

    Attributes:
        is_test: whether a file holds tests: what stands there is not the code's own.
        allowed_slugs: the slugs that are intended in it.
        reason: why what is found about a task is intended; empty where it is not.
        sends: what was found.
    """

    is_test: Callable[[str], bool]
    allowed_slugs: frozenset[str] = frozenset()
    reason: Callable[[str], str] = lambda task: ""
    sends: set[SendInside] = field(default_factory=set[SendInside])

    def add(self, slug: str, what: str, where: object, block: str, *, task: Any = None, mocked: bool = False) -> None:
        """Note one, unless it is intended by its slug.

        Args:
            slug: what it is told as.
            what: what was sent.
            where: the file and line.
            block: who has begun the transaction.
            task: the task, where it is one.
            mocked: whether a Mock stood there.
        """
        if slug not in self.allowed_slugs:
            self.sends.add(
                SendInside(
                    slug=slug,
                    what=what,
                    where=str(where or ""),
                    block=block,
                    later=hasattr(task, "delay_on_commit"),
                    mocked=mocked,
                    allowed=self.reason(what),
                )
            )


found: Slot[Found] = Slot("what a test sends inside a transaction")
