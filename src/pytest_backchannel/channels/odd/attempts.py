"""Opening a test's connections again with odd values, and what kills the consumer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from asgiref.sync import sync_to_async

from ...clock import patience
from ...database import current_sharing
from ...errors import BackchannelError, BackchannelFailure, ConsumerCancelled, ContractViolation
from ..client.client import WebSocketClient
from ..client.failure_text import is_unrouted
from ..watch.crash import is_crash
from .odd_inputs import FRAMES, mutations, shape_of
from .visits import Visit

MOST_ATTEMPTS = 150
"""How many values one consumer is sent at most, for one test."""
TIME_LIMIT = 20.0
"""How long one consumer is tried at most, for one test, in seconds."""

# What raised it stands in for something else in the test, or keeps the test from something.
_OF_TESTS = ("unittest", "pytest", "_pytest", "pytest_django", "pytest_socket", "pytest_backchannel", "responses")


@dataclass(eq=False)
class Tried:
    """What was tried in this run, so that nothing is tried or told twice.

    Attributes:
        places: the consumers with the routes whose paths were tried, as somebody who is signed in or not.
        shapes: the consumers with the messages whose fields were tried; a message without any stands for other frames.
        told: the faults that were told.
    """

    places: set[tuple[Any, ...]] = field(default_factory=set[tuple[Any, ...]])
    shapes: set[tuple[Any, ...]] = field(default_factory=set[tuple[Any, ...]])
    told: set[tuple[object, ...]] = field(default_factory=set[tuple[object, ...]])


@dataclass(frozen=True, kw_only=True)
class Death:
    """A consumer that died of an odd value.

    Attributes:
        visit: the connection.
        value: the path, or the frame.
        in_path: whether it was the path.
        error: what ended the consumer.
    """

    visit: Visit
    value: str | bytes
    in_path: bool
    error: BaseException


@dataclass
class _Bounds:
    """How much is left to do."""

    attempts: int
    until: float

    def spend(self) -> bool:
        """Count one more; False where no more may be tried."""
        self.attempts -= 1
        return self.attempts >= 0 and patience.now(asyncio.get_running_loop()) < self.until


async def deaths(visits: Iterable[Visit], tried: Tried) -> list[Death]:
    """Open each connection again, with odd values that were not tried yet.

    The database is as it was after each connection, where the test has a transaction.

    Args:
        visits: the connections.
        tried: what was tried before; it is added to.
    """
    found: list[Death] = []
    for visit in visits:
        frames, paths = list(_new_frames(visit, tried)), _new_paths(visit, tried)
        # A connection that does not come about without an odd value, now that the test has ended, says nothing.
        if (not frames and not paths) or not await _is_sound(visit):
            continue
        bounds = _Bounds(MOST_ATTEMPTS, patience.now(asyncio.get_running_loop()) + TIME_LIMIT)
        for path in paths:
            if not bounds.spend():
                break
            error = await _open(visit.client.twin(path))
            if error is not None:
                found.append(Death(visit=visit, value=path, in_path=True, error=error))
        found += await _send_all(visit, frames, bounds)
    return found


def _new_paths(visit: Visit, tried: Tried) -> list[str]:
    key = visit.consumer, visit.place, visit.signed_in
    if key in tried.places:
        return []
    tried.places.add(key)
    return visit.odd_paths()


def _new_frames(visit: Visit, tried: Tried) -> Iterator[str | bytes]:
    if not _takes_frames(visit.consumer):
        return
    for message in [None, *visit.messages()]:
        shape = visit.consumer, visit.signed_in, None if message is None else shape_of(message)
        if shape not in tried.shapes:
            tried.shapes.add(shape)
            yield from FRAMES if message is None else mutations(message)


def _takes_frames(consumer: type[Any]) -> bool:
    from channels.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer

    return issubclass(consumer, AsyncWebsocketConsumer | WebsocketConsumer)


async def _is_sound(visit: Visit) -> bool:
    async with _database_as_it_was():
        client = visit.client.twin()
        if await _outcome(client.connect()) is not _OPEN:
            return False
        idle = await _outcome(client.wait_idle())
        return await _outcome(client.__aexit__(None, None, None)) is _OPEN and idle is _OPEN


async def _open(client: WebSocketClient) -> BaseException | None:
    async with _database_as_it_was():
        error = await _outcome(client.connect())
        if error is _OPEN:
            error = await _outcome(client.wait_idle())
            left = await _outcome(client.__aexit__(None, None, None))
            error = left if error is _OPEN else error
        return error if isinstance(error, BaseException) else None


async def _send_all(visit: Visit, frames: list[str | bytes], bounds: _Bounds) -> list[Death]:
    """Send one frame after the other; where the consumer dies of one, the next goes over a new connection."""
    found: list[Death] = []
    waiting = iter(frames)
    while True:
        async with _database_as_it_was():
            client = visit.client.twin()
            if await _outcome(client.connect()) is not _OPEN:
                return found
            last = await _send_until_death(client, waiting, bounds)
            left = await _outcome(client.__aexit__(None, None, None))
        if last is None:
            return found
        frame, error = last
        error = error if isinstance(error, BaseException) else left
        if isinstance(error, BaseException):
            found.append(Death(visit=visit, value=frame, in_path=False, error=error))


async def _send_until_death(
    client: WebSocketClient, frames: Iterator[str | bytes], bounds: _Bounds
) -> tuple[str | bytes, object] | None:
    """Returns the frame after which the connection was not open any more, and why; None where none is left to send."""
    for frame in frames:
        if not bounds.spend():
            return None
        sending = client.send_text(frame) if isinstance(frame, str) else client.send_bytes(frame)
        outcome = await _outcome(sending)
        if outcome is _OPEN:
            outcome = await _outcome(client.wait_idle())
        if outcome is not _OPEN or client._opened().closed is not None:
            return frame, outcome
    return None


# ------------------------------------------------------------------- one step

_OPEN, _NOTHING = object(), object()


async def _outcome(step: Any) -> object:
    """``_OPEN``, or the exception of the project's that the step raised, or ``_NOTHING`` that says more about it."""
    try:
        await step
    except BaseException as error:
        if not is_crash(error):
            raise
        return error if _is_the_projects(error) else _NOTHING
    return _OPEN


def _is_the_projects(error: BaseException) -> bool:
    if isinstance(error, ContractViolation | ConsumerCancelled):
        return True
    if isinstance(error, BackchannelError | BackchannelFailure) or is_unrouted(error):
        return False
    traceback, raised_in = error.__traceback__, ""
    while traceback is not None:
        raised_in = str(traceback.tb_frame.f_globals.get("__name__", ""))
        traceback = traceback.tb_next
    # The strict layer refuses what the production layer does.
    return raised_in.startswith("pytest_backchannel.channels.layer.") or raised_in.partition(".")[0] not in _OF_TESTS


@contextlib.asynccontextmanager
async def _database_as_it_was() -> AsyncGenerator[None]:
    """Afterwards the rows are those of before, where the test has a transaction that every thread shares."""
    saved = await sync_to_async(_save)()
    try:
        yield
    finally:
        await sync_to_async(_roll_back)(saved)


def _save() -> list[tuple[Any, str]]:
    sharing = current_sharing()
    shared = sharing.shared.values() if sharing is not None else ()
    return [(one.connection, one.connection.savepoint()) for one in shared]


def _roll_back(saved: list[tuple[Any, str]]) -> None:
    for connection, savepoint in saved:
        if savepoint:
            connection.savepoint_rollback(savepoint)
            connection.needs_rollback = False
