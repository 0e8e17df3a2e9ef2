"""In the parent: what a shadow has written in Redis is put back, when the shadow has ended in whatever way."""

from __future__ import annotations

import contextlib
import select
import sys
from collections.abc import Generator, Iterable

from ....active import Slot
from ....errors import RedisNotPutBack
from ..shadows.forking import NotAudited, now
from .redis_journal import Held, Journal, journal_of_shadow
from .redis_link import ErrorReply, Link, Place

_PATIENCE = 10.0
"""How long a server that does not answer is asked again, in seconds."""
_failed: Slot[str] = Slot("a Redis that an audit could not put back", of_the_run=True)


@contextlib.contextmanager
def redis_put_back() -> Generator[None]:
    """Around a fork: each key that the child has written holds afterwards what it held before, and expires when it did.

    Raises:
        NotAudited: an earlier one could not be put back.
        RedisNotPutBack: this one can't.
    """
    if _failed.value is not None:
        raise NotAudited(_failed.value)
    if "redis.connection" not in sys.modules and "valkey.connection" not in sys.modules:
        yield
        return
    journal = journal_of_shadow.value = Journal()
    try:
        yield
    finally:
        journal_of_shadow.value = None
        try:
            _put_back(*journal.read())
        finally:
            journal.close()


def _put_back(found: list[Held], clients: Iterable[tuple[Place, str]]) -> None:
    by_place: dict[Place, list[Held]] = {}
    for held in reversed(found):  # of two names of one server, the first note is the true one
        by_place.setdefault(held.place, []).append(held)
    for place, of_place in by_place.items():
        until = now() + _PATIENCE
        addresses = [address for at, address in clients if at == place]
        reason = _try(place, of_place, addresses)
        while reason and now() < until:
            select.select([], [], [], 0.1)  # time.sleep() may be that of a test
            reason = _try(place, of_place, addresses)
        if reason:
            _fail(place, of_place, reason)


def _try(place: Place, found: list[Held], addresses: list[str]) -> str:
    """Put back what one place held; why it can't be, or an empty text."""
    try:
        link = Link(place)
        try:
            # What a killed child has sent may not be read yet: it is lost with its connection.
            link.ask([b"PING"], *([b"CLIENT", b"KILL", b"ADDR", address.encode()] for address in addresses))
            answers = link.ask(*map(_command, found))
        finally:
            link.close()
    except OSError as error:
        return str(error)
    return next((answer.text for answer in answers if isinstance(answer, ErrorReply)), "")


def _command(held: Held) -> list[bytes]:
    if held.dump is None:
        return [b"DEL", held.key]
    return [b"RESTORE", held.key, str(held.expires).encode(), held.dump, b"REPLACE", b"ABSTTL"]


def _fail(place: Place, found: list[Held], reason: str) -> None:
    keys = ", ".join(held.key.decode("utf-8", "backslashreplace") for held in found[:10])
    more = f" and {len(found) - 10} more" if len(found) > 10 else ""
    _failed.value = "an earlier audit could not put back what it had written to Redis"
    raise RedisNotPutBack(
        "the audit has run a task in a copy of this process, and can't put back what the copy wrote to "
        f"{place}: {reason}.\n"
        f"These keys may hold something else than before: {keys}{more}.\n"
        "Nothing is audited from here on. Empty that database before the next run, and see why its server does not "
        "answer; or run the tests of that task without --backchannel-audit."
    )
