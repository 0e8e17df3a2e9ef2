"""What a failure tells of a connection: where its consumer waits, and what passed over it."""

from __future__ import annotations

import asyncio
from difflib import get_close_matches
from typing import Any

from ...clock import idle, patience
from ...errors import WebSocketClosed
from ...events import current_log
from ..routes import websocket_routes
from ..watch.background import Crash, Running
from ..watch.crash import short_traceback, summary
from ..watch.records import shortened
from .connection import ABNORMAL, Close, Connection
from .server_rules import State

_FRAMES = 10
_BROKEN = 3
_LISTED = 20


def no_answer(connection: Connection, what: str, seconds: float) -> str:
    """Something did not happen in time: what, where the consumer waits, and the frames so far."""
    first = f"{what} within {seconds:g} s ({connection.path})"
    stopped = [patience.STOPPED] if patience.is_stopped(asyncio.get_running_loop()) else []
    return "\n".join([*_broke_before(), first, *stopped, *waiting(connection), told(connection)])


def _broke_before() -> list[str]:
    """What was lost or broke in this test, each once: it is the likely reason, and so it comes first."""
    broken = [event for event in current_log().events if event.broke]
    lines: dict[str, None] = {}
    for event in broken:
        task = getattr(event, "task", "")
        where = f"  [{event.where}]" if event.where else ""
        lines[f"    {f'{task}: ' if task else ''}{event.headline()}{where}"] = None
    return ["this broke before:", *list(lines)[-_BROKEN:]] if lines else []


def waiting(connection: Connection) -> list[str]:
    """The lines at which the consumer waits now, the innermost last."""
    opening = connection.opening
    if opening.task is None or opening.task.done():
        return [f"{connection.name} has ended"]
    live = opening.consumers[-1] if opening.consumers else None
    stack = idle.awaiting(opening.task)
    if live is not None and live.handler is None and (not stack or live.error is None):
        last = f"; it handled {live.handled[-1]} last" if live.handled else ""
        return [f"{connection.name} waits for a message{last}"]
    doing = connection.name
    if live is not None and live.handler is not None:
        doing = f"{live.name}.{live.handler} runs, and"
    if not stack:
        return [f"{doing} waits at a line outside of the project's code"]
    return [f"{doing} waits at:", *(f"    {where} in {where.function}" for where in stack)]


def told(connection: Connection) -> str:
    """The frames so far, the last ones in full lines."""
    frames = connection.frames
    if not frames:
        return "frames so far: none"
    shown = frames[-_FRAMES:]
    more = f" (the last {len(shown)} of {len(frames)})" if len(frames) > len(shown) else ""
    unread = f", {len(connection.unread)} not received yet" if connection.unread else ""
    lines = [f"    {'from' if frame.to_client else 'to'} the consumer: {shortened(frame.data)}" for frame in shown]
    return "\n".join([f"frames so far{more}{unread}:", *lines])


def closed(connection: Connection) -> WebSocketClosed:
    """The error for a connection that is closed: by whom, and with which code."""
    close = connection.closed or Close(ABNORMAL, "")
    reason = f", {close.reason!r}" if close.reason else ""
    if connection.state is State.GONE:
        text = f"the connection to {connection.path} is closed: this client closed it (code {close.code}{reason})"
    elif close.code == ABNORMAL:
        text = f"{connection.name} ended without closing the connection to {connection.path}; a client sees code 1006"
        text += _caught_crash(connection)
    else:
        text = f"{connection.name} closed the connection to {connection.path} (code {close.code}{reason})"
    return WebSocketClosed(f"{text}\n{told(connection)}", close.code, close.reason)


def _caught_crash(connection: Connection) -> str:
    """What ended a consumer, where the code around it has caught that."""
    live = connection.opening.consumers[-1] if connection.opening.consumers else None
    if live is None or live.error is None or live.failed_in is None:
        return ""
    lines = "".join(f"\n    {line}" for line in short_traceback(live.error))
    return f".\n{live.name}.{live.failed_in} raised {summary(live.error)}, and middleware has caught it:{lines}"


def _opened(connection: Connection) -> str:
    where = connection.opening.where
    return f"connection {connection.path}" + (f", opened at {where}" if where else "")


def crashed(connection: Connection) -> str:
    """What a consumer did when it crashed, and for which connection."""
    consumers = connection.opening.consumers
    doing = f" in {consumers[-1].failed_in}" if consumers and consumers[-1].failed_in else ""
    return f"It ended {connection.name}{doing} ({_opened(connection)})."


# --- private API: the words of channels.routing.URLRouter where no pattern matches; channels 4.2–4.3


def is_unrouted(error: BaseException) -> bool:
    """Whether a URLRouter has found no route."""
    return type(error) is ValueError and str(error).startswith("No route found for path")


# --- end of private API


def routes(application: Any, path: str) -> str:
    """Which routes an application has, and which of them comes near a path."""
    found = websocket_routes(application)
    known = list(dict.fromkeys(route.path for route in found))
    if not known:
        return "No WebSocket route is found in the application."
    examples = {route.example or route.path: route.path for route in found}
    near = get_close_matches(path.partition("?")[0], examples, n=1, cutoff=0.8)
    guess = f" Did you mean {examples[near[0]]}?" if near else ""
    listed = ", ".join(known[:_LISTED]) + (f" and {len(known) - _LISTED} more" if len(known) > _LISTED else "")
    return f"The application's WebSocket routes: {listed}.{guess}"


def task_crashed(connection: Connection, crash: Crash) -> str:
    """Which task crashed, and for which connection."""
    return (
        f"It ended {crash.name}, a task that {connection.name} started and nobody awaited: in production, a line in a "
        f"log at most ({_opened(connection)})."
    )


def left_running(connection: Connection, left: Running) -> str:
    """Which task still runs, and where it waits."""
    stack = idle.awaiting(left.task)
    waits = f"; it waits at {stack[-1]}" if stack else ""
    return (
        f"{left.name}, a task that {connection.name} ({connection.path}) started, still runs though the connection has "
        f"ended{waits}: in production it does so for each connection. Cancel it in disconnect()."
    )


def still_running(loop: asyncio.AbstractEventLoop, seconds: float) -> str:
    """Why it can't be said that nothing more will happen."""
    lines: list[str] = []
    for job in idle.jobs(loop):
        where = job.where()
        lines.append(f"    a job in an executor{f', at {where} in {where.function}' if where else ''}")
    what = "\n".join(lines) or "    tasks that never wait for anything"
    return f"can't say that nothing more will happen: after {seconds:g} s there still run\n{what}"
