"""The server's half of one WebSocket connection, in process: it runs the application and carries its messages."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import Context
from types import TracebackType
from typing import Any, NamedTuple
from weakref import ReferenceType

from ...clock import patience
from ...errors import ClientDisconnected, ConsumerCancelled
from ...events import E_, Event, Location, caller, caused_by, current_log
from ..watch.consumers import Opening, opening, record_crash
from ..watch.crash import cancelled_itself, is_crash
from ..watch.records import FrameEvent, SocketAccepted, SocketClosed, SocketOpened, SocketRejected
from .server_rules import State, check

#: What a client of a connection sees that ended without a close frame (RFC 6455, section 7.1.5).
ABNORMAL = 1006


class Frame(NamedTuple):
    """One frame of a connection.

    Attributes:
        data: the text or the bytes.
        to_client: whether the consumer sent it; else the client did.
    """

    data: str | bytes
    to_client: bool


class Close(NamedTuple):
    """How a connection was closed.

    Attributes:
        code: the close code, as a client sees it.
        reason: the reason, or an empty text.
    """

    code: int
    reason: str


class Response(NamedTuple):
    """What the client of a refused handshake sees.

    Attributes:
        code: the close code that the application gave; None where it sent an HTTP response, or ended.
        status: the HTTP status.
        headers: the headers of the response.
        body: its body.
    """

    code: int | None
    status: int
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = b""


class Connection:
    """One run of an application for one connection.

    Args:
        application: any ASGI application.
        scope: the scope of the connection.
        where: the line that opened it.
        client: the client, weakly.

    Attributes:
        path: the path with its query string, as the client gave it.
        opening: what the probe knows of it.
        state: where the connection is, as the server sees it.
        unread: the frames that the client has not received yet.
        frames: every frame in both directions, in order.
        accepted: the ``websocket.accept`` message, once there is one.
        response: what the client of a refused handshake sees, once there is one.
        closed: how it was closed, once it is.
        ended: whether the application has ended.
        crash: the exception that ended it, or None.
        crash_seen: whether the test's code has seen the crash.
        crash_traceback: what it was shown of the crash.
        limit: how many unread frames fit, where the client does not read; None where it does.
    """

    def __init__(
        self, application: Any, scope: dict[str, Any], where: Location | None, client: ReferenceType[Any], kind: str
    ) -> None:
        self._application = application
        self.scope = scope
        raw_path, query = scope["raw_path"].decode("ascii"), scope["query_string"].decode("ascii")
        self.path = f"{raw_path}?{query}" if query else raw_path
        self.opening = Opening(kind, scope, where, client)
        self.state = State.CONNECTING
        self.unread: deque[Frame] = deque()
        self.frames: list[Frame] = []
        self.accepted: dict[str, Any] | None = None
        self.response: Response | None = None
        self.closed: Close | None = None
        self.ended = False
        self.crash: BaseException | None = None
        self.crash_seen = False
        self.crash_traceback: TracebackType | None = None
        self.limit: int | None = None
        self._inbox: asyncio.Queue[tuple[dict[str, Any], Event | None]] = asyncio.Queue()
        self._waiters: set[asyncio.Future[None]] = set()
        self._response_start: dict[str, Any] = {}
        self._response_body = b""

    @property
    def name(self) -> str:
        """The name of the consumer's class, or ``the application``."""
        return self.opening.name

    def take_unseen_crash(self) -> BaseException | None:
        """What ended the application, if no code of the test has seen it; from now on it is seen."""
        if self.crash is None or self.crash_seen:
            return None
        self.crash_seen = True
        return self.crash

    # --------------------------------------------------------- the client's side

    def start(self) -> None:
        """Run the application, and ask for the connection."""
        opened = current_log().record(SocketOpened, where=self.opening.where, path=self.path)
        self._loop = asyncio.get_running_loop()
        # An empty context, as in a server: what the test has set there does not reach the application.
        context = Context()
        context.run(opening.set, self.opening)
        self._deliver({"type": "websocket.connect"}, opened)
        self.opening.task = self._loop.create_task(self._run(opened), context=context, name=f"websocket {self.path}")

    def send_frame(self, data: str | bytes) -> None:
        """Carry one frame to the application."""
        event = self._record(FrameEvent, data=data, to_client=False)
        self.frames.append(Frame(data, to_client=False))
        kind = "text" if isinstance(data, str) else "bytes"
        self._deliver({"type": "websocket.receive", kind: data}, event)

    def receive_frame(self) -> Frame:
        """Take the first unread frame."""
        frame = self.unread.popleft()
        self._changed()
        return frame

    def disconnect(self, code: int, reason: str = "") -> None:
        """Tell the application that the client is gone."""
        event = self._record(SocketClosed, code=code, reason=reason, by_client=True)
        self.state = State.GONE
        self.closed = Close(code, reason)
        self._deliver({"type": "websocket.disconnect", "code": code, "reason": reason}, event)
        self._changed()

    def set_limit(self, limit: int | None) -> None:
        """Let the unread frames pile up to a limit (the application's next send waits), or without one."""
        self.limit = limit
        self._changed()

    async def wait(self, until: Callable[[], bool], timeout: float | None) -> bool:
        """Wait until something is so.

        Args:
            until: looked at whenever something has changed.
            timeout: how long to wait, in seconds; None for as long as it takes.

        Returns:
            Whether it is so.
        """
        loop = asyncio.get_running_loop()
        deadline = None if timeout is None else patience.now(loop) + timeout
        while not until():
            waiter: asyncio.Future[None] = loop.create_future()
            timer = None
            if deadline is not None:
                if deadline <= patience.now(loop):
                    return False
                timer = patience.call_at(loop, deadline, _wake, waiter)
            self._waiters.add(waiter)
            try:
                await waiter
            finally:
                self._waiters.discard(waiter)
                if timer is not None:
                    timer.cancel()
        return True

    # ---------------------------------------------------- the application's side

    async def _run(self, opened: Event) -> None:
        try:
            with caused_by(opened):
                await self._application(self.scope, self._receive, self._send)
        except BaseException as error:
            if not is_crash(error):
                raise
            self._crashed(error)
        finally:
            self._ended()

    async def _receive(self) -> dict[str, Any]:
        message, self.opening.last_input = await self._inbox.get()
        return message

    async def _send(self, message: Any) -> None:
        __tracebackhide__ = True
        if asyncio.get_running_loop() is self._loop:
            await self._carry(message)
        else:
            # From a thread of the consumer's own: there async_to_sync runs in an event loop of its own.
            carried = asyncio.run_coroutine_threadsafe(self._carry(message), self._loop)
            await asyncio.wrap_future(carried)

    async def _carry(self, message: Any) -> None:
        __tracebackhide__ = True
        if self.state is State.GONE:
            self._refuse_gone(message)
        check(message, self.state, self.scope["subprotocols"])
        message = dict(message)
        self.opening.has_sent(message["type"])
        if message["type"] == "websocket.send":
            while self.limit is not None and len(self.unread) >= self.limit:
                await self.wait(self._has_room, None)
                if self.state is not State.OPEN:
                    self._refuse_gone(message)
        getattr(self, "_" + message["type"].replace(".", "_"))(message)
        self._changed()

    def _has_room(self) -> bool:
        return self.limit is None or len(self.unread) < self.limit or self.state is not State.OPEN

    def _refuse_gone(self, message: Any) -> None:
        __tracebackhide__ = True
        kind = message.get("type") if isinstance(message, dict) else message
        raise ClientDisconnected(
            f"{kind} to a client that is gone (code {self.closed.code if self.closed else ABNORMAL}). On uvicorn this "
            "error ends the consumer before the rest of its code, and a disconnect that has not begun yet, have run; "
            "daphne drops the frame. Send nothing in disconnect(), and handle OSError around a send that may come late."
        )

    def _websocket_accept(self, message: dict[str, Any]) -> None:
        self.state = State.OPEN
        self.accepted = message
        self._record(SocketAccepted, subprotocol=message.get("subprotocol") or None)

    def _websocket_send(self, message: dict[str, Any]) -> None:
        text = message.get("text")
        frame = Frame(bytes(message["bytes"]) if text is None else text, to_client=True)
        self.frames.append(frame)
        self.unread.append(frame)
        self._record(FrameEvent, data=frame.data, to_client=True)

    def _websocket_close(self, message: dict[str, Any]) -> None:
        code = message.get("code")
        if self.state is State.CONNECTING:
            self._reject(Response(1000 if code is None else code, 403))
            return
        self.closed = Close(1000 if code is None else code, message.get("reason") or "")
        self.state = State.CLOSED
        event = self._record(SocketClosed, by_client=False, **self.closed._asdict())
        # Servers tell the application that the connection has ended: its disconnect handler runs.
        self._deliver({"type": "websocket.disconnect", **self.closed._asdict()}, event)

    def _websocket_http_response_start(self, message: dict[str, Any]) -> None:
        self.state = State.RESPONDING
        self._response_start = message

    def _websocket_http_response_body(self, message: dict[str, Any]) -> None:
        self._response_body += message.get("body", b"")
        if not message.get("more_body", False):
            start = self._response_start
            headers = tuple((bytes(name), bytes(value)) for name, value in start.get("headers") or ())
            self._reject(Response(None, start["status"], headers, self._response_body))

    def _reject(self, response: Response) -> None:
        self.state = State.CLOSED
        self.response = response
        event = self._record(SocketRejected, code=response.code, http_status=response.status)
        self._deliver({"type": "websocket.disconnect", "code": ABNORMAL, "reason": ""}, event)

    # ------------------------------------------------------------------ plumbing

    def _record(self, kind: type[E_], **fields: Any) -> E_:
        return current_log().record(kind, where=caller(), path=self.path, **fields)

    def _deliver(self, message: dict[str, Any], event: Event | None) -> None:
        self._inbox.put_nowait((message, event))

    def _changed(self) -> None:
        for waiter in self._waiters:
            _wake(waiter)

    def _crashed(self, error: BaseException) -> None:
        self.crash = error
        if isinstance(error, asyncio.CancelledError):
            # Raised as it is it would seem to cancel the test, and many would take it for that.
            text = cancelled_itself(self.name, self.opening.consumers[-1].failed_in if self.opening.consumers else None)
            self.crash = ConsumerCancelled(text).with_traceback(error.__traceback__)
        if not any(live.error is error for live in self.opening.consumers):
            # Outside of any consumer: in a router, in middleware, or in an application without Channels.
            record_crash(error, self.opening.name, self.path)

    def _ended(self) -> None:
        self.ended = True
        if self.state is State.OPEN:
            # uvicorn and daphne drop the TCP connection where the application has ended without closing.
            self.closed = Close(ABNORMAL, "")
            self.state = State.CLOSED
        self._changed()


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
