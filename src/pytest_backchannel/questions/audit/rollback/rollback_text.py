"""What is sent inside a transaction, in the terminal and as data."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any

from .sends_inside import ENQUEUED, SendInside

TITLE = "backchannel: sent before the commit"
_TESTS = 2

Sends = Mapping[SendInside, Sequence[str]]
"""What was found, each with the tests that have seen it."""


def rollback_lines(sends: Sends, known: Container[SendInside] = ()) -> Iterator[str]:
    """What to print.

    Args:
        sends: what was found.
        known: what of it is in a baseline: it is only counted.
    """
    found = [one for one in sorted(sends) if not one.allowed]
    told = [one for one in found if one not in known]
    if not found:
        yield "In what these tests ran, nothing was sent inside a transaction of the code's own."
    elif told:
        yield (
            f"{len(told)} {'line sends' if len(told) == 1 else 'lines send'} inside a transaction: a rollback does not "
            "take it back, and who receives it may not find the rows."
        )
    for one in told:
        yield ""
        yield f"{one.slug}: {_subject(one)}  {one.where or '(no line of the project)'}"
        yield f"    inside {one.block}   [{_tests(sends[one])}]"
        yield f"    fix: {fix_of(one)}"
    if len(found) > len(told):
        yield f"known, by the baseline: {len(found) - len(told)}{' more' if told else ''}"
    for one in sorted(sends):
        if one.allowed:
            yield f"allowed: {one.what} at {one.where}: {one.allowed}"


def rollback_data(sends: Sends, keys: Mapping[SendInside, str], baseline: Container[str] = ()) -> list[dict[str, Any]]:
    """The same as plain data, for JSON.

    Args:
        sends: what was found.
        keys: of each.
        baseline: the keys of what is known.
    """
    return [
        {
            "key": keys[one],
            "in_baseline": keys[one] in baseline,
            "slug": one.slug,
            "what": one.what,
            "where": one.where,
            "inside": one.block,
            "mocked": one.mocked,
            "allowed": one.allowed,
            "tests": list(sends[one]),
            "fix": fix_of(one),
        }
        for one in sorted(sends)
    ]


def fix_of(one: SendInside) -> str:
    """How it waits for the commit.

    Args:
        one: what is sent.
    """
    if one.slug == ENQUEUED:
        name = one.what.rpartition(".")[2] if " " not in one.what else "the workflow"
        # Celery gives it to the tasks of an app with its own class for Django.
        first = f"{name}.delay_on_commit(...), or " if one.later and " " not in one.what else ""
        call = f"{name}.delay(...)" if " " not in one.what else "...apply_async()"
        return f"{first}transaction.on_commit(lambda: {call})"
    call = "message.send()" if one.what == "mail" else f"async_to_sync(layer.{one.what})(...)"
    return f"transaction.on_commit(lambda: {call})"


def _subject(one: SendInside) -> str:
    what = "a mail" if one.what == "mail" else one.what
    return f"{what} (a Mock stands for it)" if one.mocked else what


def _tests(tests: Sequence[str]) -> str:
    more = f" and {len(tests) - _TESTS} more" if len(tests) > _TESTS else ""
    return ", ".join(tests[:_TESTS]) + more
