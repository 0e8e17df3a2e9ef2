"""Every exception and warning of the project, and the slugs by which a test may declare one intended.

A *slug* is the short, documented name of one way in which a test fails, or warns, without being asked:
``@pytest.mark.allow_lost("no_members")`` allows it for one test. ``docs/reference/slugs.md`` lists them all.
"""

from __future__ import annotations

from dataclasses import dataclass


class BackchannelError(Exception):
    """Base of the errors that say the tool was used wrongly, or that the project cannot be tested as it is."""


class BadExpectation(BackchannelError, TypeError):
    """What an assertion was given can't describe what was enqueued; the message says what to pass instead."""


class BackchannelFailure(AssertionError):
    """Base of the failures: what the test expected of the project did not happen."""


class BackchannelWarning(UserWarning):
    """Base of the warnings, so that one line of pytest's ``filterwarnings`` addresses them all."""


class UnexpectedLoss(BackchannelFailure):
    """The test's own assertions held, but something was lost or broke behind the request, unseen.

    Raised at the end of a test that uses one of the fixtures. The message lists every problem with its slug,
    the file and line that caused it, and how to declare it intended.
    """


class SharedConnectionBusy(BackchannelError):
    """A thread waited too long for the test's shared database connection, or the test ended while it was in use.

    The message names the thread that holds it, and the file and line.
    """


class ThreadOutlivedTest(BackchannelError):
    """A thread that an earlier test left running asked for the database; the message names that test."""


class EnqueuedInTransaction(BackchannelWarning):
    """A task was enqueued inside ``transaction.atomic()``, and not through ``on_commit``.

    A worker may run it before the commit, and not find the rows; a rollback does not take it back.
    """


@dataclass(frozen=True, slots=True)
class Slug:
    """One way of failing without being asked.

    Args:
        name: what ``allow_lost`` takes.
        summary: one sentence, for messages and for the reference.
        fatal: True fails the test; False warns, so that ``filterwarnings`` decides.
        warning: the category of the warning, where it is not fatal.
    """

    name: str
    summary: str
    fatal: bool = True
    warning: type[BackchannelWarning] = BackchannelWarning


SLUGS: dict[str, Slug] = {}


def declare_slug(
    name: str, summary: str, *, fatal: bool = True, warning: type[BackchannelWarning] = BackchannelWarning
) -> Slug:
    """Add one slug to the list that ``allow_lost`` accepts.

    Raises:
        ValueError: the name is taken.
    """
    if name in SLUGS:
        raise ValueError(f"the slug {name!r} is declared twice")
    SLUGS[name] = slug = Slug(name, summary, fatal, warning)
    return slug


declare_slug(
    "enqueued_in_transaction",
    "A task was enqueued inside transaction.atomic() and not through on_commit.",
    fatal=False,
    warning=EnqueuedInTransaction,
)
