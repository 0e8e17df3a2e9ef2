"""What a test leaves behind: a crash that nobody saw, a connection that nobody closed, a disconnect that hung.

Connections of our client are judged here, and those of Channels' communicators. A connection whose client is still held
by somebody (a fixture) when the body of the test ends may yet be closed: it is judged when the fixtures are gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from ...active import Slot, tracked
from ...events import Location, current_log
from . import background
from .consumers import Opening, raised_at
from .crash import cancelled_itself, short_traceback, summary


@dataclass(eq=False)
class _Entry:
    opening: Opening
    unseen_crash: Callable[[], BaseException | None]
    in_setup: bool


@dataclass
class _Phase:
    """The setup or the body of a test; one of each is kept, since every test begins both.

    Attributes:
        setup: whether it is the setup.
        unjudged: whether it is a body whose end nothing judges so far, since it has no connection.
    """

    setup: bool
    unjudged: bool = False


# A connection of a fixture of a wider scope stays open between two tests.
_entries: list[_Entry] = tracked("connections to judge", [], of_the_run=True)
_phase = Slot[_Phase]("phase of a test with connections to judge")
_setup, _body = _Phase(setup=True), _Phase(setup=False)


def begin(*, setup: bool) -> None:
    """A phase of a test begins: its setup, or its body, which is judged when it has ended."""
    phase = _phase.value = _setup if setup else _body
    phase.unjudged = not setup
    if _entries:
        _judge_at_end(phase)


def _judge_at_end(phase: _Phase) -> None:
    if phase.unjudged:
        phase.unjudged = False
        current_log().at_end(check_body)


def add(opening: Opening, unseen_crash: Callable[[], BaseException | None]) -> None:
    """Judge one connection when the test ends.

    Args:
        opening: the connection.
        unseen_crash: gives what ended the application, if no code of the test has seen it.
    """
    phase = _phase.value
    _entries.append(_Entry(opening, unseen_crash, in_setup=phase is not None and phase.setup))
    if phase is not None:
        _judge_at_end(phase)


def discard(opening: Opening) -> None:
    """A client has ended its connection, and raised what there was to raise: nothing is left to judge."""
    _entries[:] = [entry for entry in _entries if entry.opening is not opening]


def check_body() -> None:
    """The body of the test has ended: judge what nobody can close or look at any more, and crashes of our clients."""
    for entry in tuple(_entries):
        opening = entry.opening
        reachable = opening.client() is not None
        final = not reachable or (opening.task is not None and opening.task.done())
        if _judge_crash(entry, reachable) or (final and _judge_open(entry)):
            _entries.remove(entry)


def check_all() -> None:
    """The fixtures are gone: judge the rest.

    A connection that the setup opened and that lives on belongs to a fixture of a wider scope, and is left alone.
    """
    _phase.value = None
    if not _entries:
        return
    for entry in tuple(_entries):
        task = entry.opening.task
        if entry.in_setup and task is not None and not task.done() and not task.get_loop().is_closed():
            continue
        _entries.remove(entry)
        if not _judge_crash(entry, reachable=False):
            _judge_open(entry)


def _judge_crash(entry: _Entry, reachable: bool) -> bool:
    if reachable and entry.opening.kind != "WebSocketClient" and not entry.opening.only_logs:
        return False  # a fixture's teardown may still await its communicator, and then it raises there
    for crash in background.take_crashes(entry.opening):
        background.record(entry.opening, crash)
        starter = f"{entry.opening.name} ({entry.opening.path})"
        _tell_crash(entry, f"{crash.name}, a task that {starter} started and nobody awaited,", crash.error)
    error = entry.unseen_crash()
    if error is None:
        return False
    _tell_crash(entry, f"{entry.opening.name} ({entry.opening.path})", error)
    return True


def _tell_crash(entry: _Entry, name: str, error: BaseException) -> None:
    entry.opening.crash_told = True
    lines = "".join(f"\n    {line}" for line in short_traceback(error))
    _tell(entry, "consumer_crashed", f"{name} raised {summary(error)}{lines}", where=raised_at(error))


def _judge_open(entry: _Entry) -> bool:
    """Tell what is wrong with a connection whose application has not ended by itself; returns whether anything is."""
    opening = entry.opening
    if opening.scope.get("type") != "websocket" or opening.given_up or opening.task is None:
        return False
    live = opening.consumers[-1] if opening.consumers else None
    cancelled = opening.task.cancelled() or (live is not None and isinstance(live.error, asyncio.CancelledError))
    if opening.task.done() and not cancelled:
        return False
    if live is not None and live.failed_in is not None and isinstance(live.error, asyncio.CancelledError):
        text = f"{cancelled_itself(opening.name, live.failed_in)} ({opening.path})"
        _tell(entry, "consumer_crashed", text, where=raised_at(live.error))
    elif live is not None and live.handler == "websocket_disconnect":
        text = f"{opening.name}.websocket_disconnect ({opening.path}) did not end, and was cancelled"
        _tell(entry, "consumer_hung", text)
    elif opening.sent & {"websocket.close", "websocket.http.response.start"}:
        return False  # the application has closed it by itself
    else:
        text = f"{opening.name} ({opening.path}) was still open at the end of the test: its disconnect has not run"
        ours = opening.kind == "WebSocketClient"
        fix = (
            "Enter the client with 'async with', or await its close()."
            if ours
            else "Await the communicator's disconnect()."
        )
        _tell(entry, "consumer_left_open", text, advice=f"\n{fix}")
    return True


def _tell(entry: _Entry, slug: str, text: str, *, where: Location | None = None, advice: str = "") -> None:
    opening = entry.opening
    verb = "run" if opening.only_logs else "opened"
    opened = f"It was {verb} by {opening.kind}" + (f" at {opening.where}." if opening.where else ".")
    current_log().problem(slug, f"{text}\n{opened}{advice}", where=where or opening.where)
