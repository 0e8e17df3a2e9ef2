"""A WebSocket client for tests: it drives an ASGI application in process, as a browser would through a real server."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable
from typing import Any, Literal

from ...awaiting import must_await
from ...clock import idle, patience
from ...errors import BackchannelError, NoFrame, NotIdle, UnexpectedFrame
from ...events import caller, current_log
from ..watch.records import NothingReceived, shortened
from . import failure_text
from .connection import Close
from .lifecycle import BLIND_WAIT, ConnectedClient

Kind = Literal["json", "text", "bytes"]


class WebSocketClient(ConnectedClient):
    """One client of an ASGI application's WebSockets.

    An async context manager: it connects on entering; on leaving it disconnects, waits for the consumer's end, and
    raises what the consumer raised.

    Args:
        application: an ASGI application (routers, middleware), or a consumer class (or its ``as_asgi()``), which is
            then driven alone.
        path: path and query string, as a browser has them after the host.
        query: parameters for the query string, behind those of the path: a mapping or pairs, which are encoded, or the
            text itself; ``{"token": "…"}`` for instance.
        user: who is signed in. Through an application: by a real session and its cookie, which needs a saved user. A
            consumer alone: put into its scope.
        session: what the session holds, or a session store.
        headers: a mapping or pairs, names in any case; they replace the default ones.
        cookies: sent beside those of the session.
        origin: the ``Origin`` header. None sends the host's own, as a page of the same site does; an empty text sends
            none, as clients do that are no browsers.
        subprotocols: offered, the preferred one first.
        url_kwargs: what the route would have captured from the path; for a consumer alone.
        timeout: how long a receive and each other step waits, in seconds.

    Raises:
        BackchannelError: a value that no client could send.

    Example::

        async with WebSocketClient(application, "/ws/rooms/42/") as browser:
            await browser.send_json({"text": "hello"})
            assert await browser.receive_json() == {"text": "hello"}
    """

    # ------------------------------------------------------------------------ send

    @must_await
    async def send_json(self, data: Any) -> None:
        """Send a text frame with ``data`` as JSON, as ``socket.send(JSON.stringify(data))`` does.

        Raises:
            TypeError: it has no JSON.
            WebSocketClosed: the connection is closed.
            Exception: what the consumer has raised meanwhile.
        """
        __tracebackhide__ = True
        await self.send_text(json.dumps(data))

    @must_await
    async def send_text(self, text: str) -> None:
        """Send a text frame.

        Raises:
            WebSocketClosed: the connection is closed.
            Exception: what the consumer has raised meanwhile.
        """
        __tracebackhide__ = True
        if not isinstance(text, str):
            raise BackchannelError(f"send_text({text!r}): give a str; send_json and send_bytes take the others")
        self._require_open().send_frame(text)

    @must_await
    async def send_bytes(self, data: bytes) -> None:
        """Send a binary frame.

        Raises:
            WebSocketClosed: the connection is closed.
            Exception: what the consumer has raised meanwhile.
        """
        __tracebackhide__ = True
        if not isinstance(data, bytes | bytearray | memoryview):
            raise BackchannelError(f"send_bytes({data!r}): give bytes; send_json and send_text take the others")
        self._require_open().send_frame(bytes(data))

    # --------------------------------------------------------------------- receive

    @must_await
    async def receive_json(self, *, timeout: float | None = None) -> Any:
        """The next frame, which must be text with JSON in it, decoded.

        Args:
            timeout: how long to wait, in seconds; None for the client's own.

        Raises:
            NoFrame: none came in time; the consumer lives on.
            UnexpectedFrame: the next frame is binary, or no JSON.
            WebSocketClosed: the consumer has closed the connection.
            Exception: what the consumer raised.
        """
        __tracebackhide__ = True
        return await self._receive("json", timeout)

    @must_await
    async def receive_text(self, *, timeout: float | None = None) -> str:
        """The next frame, which must be text; arguments and errors as for :meth:`receive_json`."""
        __tracebackhide__ = True
        return str(await self._receive("text", timeout))

    @must_await
    async def receive_bytes(self, *, timeout: float | None = None) -> bytes:
        """The next frame, which must be binary; arguments and errors as for :meth:`receive_json`."""
        __tracebackhide__ = True
        return bytes(await self._receive("bytes", timeout))

    @must_await
    async def receive_until(
        self, predicate: Callable[[Any], object], *, kind: Kind = "json", timeout: float | None = None
    ) -> Any:
        """Receive frames until one satisfies ``predicate``, and give that one; those before it are let go.

        Args:
            predicate: called with each frame.
            kind: how to read the frames: ``json``, ``text`` or ``bytes``.
            timeout: how long to wait in all, in seconds; None for the client's own.

        Raises:
            NoFrame: none of those that came in time satisfies it; the message lists them.
            UnexpectedFrame: a frame is of another kind.
            WebSocketClosed: the consumer has closed the connection.
            Exception: what the consumer raised.

        Example::

            done = await browser.receive_until(lambda message: message["status"] == "done")
        """
        __tracebackhide__ = True
        if not callable(predicate):
            raise BackchannelError(f"receive_until({predicate!r}): give a function of one frame")
        if kind not in ("json", "text", "bytes"):
            raise BackchannelError(f"receive_until(kind={kind!r}): choose 'json', 'text' or 'bytes'")
        loop = asyncio.get_running_loop()
        seconds = self._seconds(timeout)
        deadline = patience.now(loop) + seconds
        passed: list[Any] = []
        while True:
            try:
                frame = await self._receive(kind, max(deadline - patience.now(loop), 1e-6), told=seconds)
            except NoFrame as error:
                seen = "\n".join(f"    {shortened(item)}" for item in passed) or "    none"
                raise NoFrame(f"no frame satisfied the predicate. Received and passed over:\n{seen}\n{error}") from None
            if predicate(frame):
                return frame
            passed.append(frame)

    @must_await
    async def receive_nothing(self, *, within: float | None = None) -> Literal[True]:
        """Make sure that no frame comes.

        Decided by looking, not by waiting: nothing is ready in the event loop, no executor job runs, and no timer is
        due within the given time. Only for timers that are, it waits. Where the loop can't be seen into (uvloop), or
        a socket is open in it (a real Redis layer), it waits 0.1 s instead.

        Args:
            within: how far ahead to look, in seconds: a frame that a timer may bring later does not count. None for the
                client's timeout; 0 for what happens without any timer.

        Returns:
            True, so that ``assert await ….receive_nothing()`` reads well.

        Raises:
            UnexpectedFrame: a frame came, or was there.
            NotIdle: it can't be said, since something still runs.
            WebSocketClosed: the consumer has closed the connection.
            Exception: what the consumer raised.
        """
        __tracebackhide__ = True
        connection = self._require_reading()
        ahead = self._timeout if within is None else _check_within(within)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + ahead

        def news() -> bool:
            return bool(connection.unread) or connection.ended or connection.closed is not None

        while True:
            verdict = await idle.settle(self._timeout, until=news)
            if verdict is idle.Verdict.UNSEEN:
                await connection.wait(news, min(BLIND_WAIT, ahead or BLIND_WAIT))
            if connection.unread:
                raise UnexpectedFrame(
                    f"expected no frame, but {connection.name} sent {shortened(connection.unread[0].data)}\n"
                    + failure_text.told(connection)
                )
            self._raise_crash(connection)
            if connection.closed is not None or connection.ended:
                raise failure_text.closed(connection)
            if verdict is idle.Verdict.BUSY:
                raise NotIdle(failure_text.still_running(loop, self._timeout))
            timers = idle.timers(loop, ignoring=asyncio.current_task())
            due = [timer for timer in timers if timer.due_in <= deadline - loop.time()]
            if verdict is idle.Verdict.UNSEEN or not due:
                current_log().record(
                    NothingReceived, where=caller(), path=connection.path, timers=tuple(map(str, timers))
                )
                return True
            if patience.is_stopped(loop):
                raise NotIdle(f"{due[0]} would come next, and {patience.STOPPED}")
            await connection.wait(news, due[0].due_in + 1e-3)

    @must_await
    async def wait_idle(self) -> None:
        """Let the consumer do what it can do now, until it waits for a message, a timer, or a client that reads.

        Raises:
            NotIdle: something still runs after the client's timeout.
            Exception: what the consumer raised.

        Example::

            with browser.pause_reading(buffer=1):
                await browser.send_json({"subscribe": "prices"})
                await browser.wait_idle()
        """
        __tracebackhide__ = True
        connection = self._opened()
        if await idle.settle(self._timeout, until=lambda: connection.ended) is idle.Verdict.BUSY:
            raise NotIdle(failure_text.still_running(asyncio.get_running_loop(), self._timeout))
        if not connection.crash_seen:
            self._raise_crash(connection)

    @must_await
    async def expect_close(self, *, timeout: float | None = None) -> Close:
        """Wait until the consumer closes the connection, and has run its ``disconnect``.

        Args:
            timeout: how long to wait, in seconds; None for the client's own.

        Returns:
            The close code and the reason, as a client sees them.

        Raises:
            UnexpectedFrame: a frame came first.
            NoFrame: it did not close in time; it lives on.
            ConsumerHung: it closed, and did not end in time.
            Exception: what the consumer raised.
        """
        __tracebackhide__ = True
        connection = self._opened()
        seconds = self._seconds(timeout)
        self._refuse_paused(connection)
        await connection.wait(lambda: bool(connection.unread) or connection.closed is not None, seconds)
        if connection.unread:
            raise UnexpectedFrame(
                f"expected {connection.name} to close the connection, but it sent "
                f"{shortened(connection.unread[0].data)}\n" + failure_text.told(connection)
            )
        if connection.closed is None:
            raise NoFrame(
                failure_text.no_answer(connection, f"{connection.name} did not close the connection", seconds)
            )
        await self._wait_for_end(connection)
        return connection.closed

    def pause_reading(self, *, buffer: int = 4) -> Paused:
        """Stop reading, as a slow client does: the frames pile up, and when they fill the buffer, ``send`` blocks.

        uvicorn blocks a consumer's ``send`` when its write buffer (64 KiB) and the sockets' are full; daphne never
        does, and takes as much memory as it needs.

        Args:
            buffer: how many unread frames fit before the consumer's next ``send`` waits.

        Returns:
            A context manager that reads on when it is left; :meth:`resume_reading` does so too.

        Example::

            with browser.pause_reading(buffer=1):
                await channel_layer.group_send("news", {"type": "news.item", "text": "…"})
                await browser.wait_idle()
        """
        if not isinstance(buffer, int) or buffer < 1:
            raise BackchannelError(f"pause_reading(buffer={buffer!r}): give the number of frames that fit, from 1 on")
        self._require_open().set_limit(buffer)
        return Paused(self)

    def resume_reading(self) -> None:
        """Read on after :meth:`pause_reading`: the frames that piled up can be received."""
        self._opened().set_limit(None)

    # ------------------------------------------------------------------- inner step

    async def _receive(self, kind: Kind, timeout: float | None, *, told: float | None = None) -> Any:
        __tracebackhide__ = True
        connection = self._require_reading()
        seconds = self._seconds(timeout)
        await connection.wait(
            lambda: bool(connection.unread) or connection.closed is not None or connection.ended, seconds
        )
        if not connection.unread:
            self._raise_crash(connection)
            if connection.closed is not None or connection.ended:
                raise failure_text.closed(connection)
            raise NoFrame(failure_text.no_answer(connection, f"no frame came from {connection.name}", told or seconds))
        data = connection.unread[0].data
        value: Any = data
        if kind == "bytes":
            if isinstance(data, str):
                raise UnexpectedFrame(f"expected a binary frame, but the next one is text: {shortened(data)}")
        elif isinstance(data, bytes):
            raise UnexpectedFrame(f"expected a text frame, but the next one is binary: {shortened(data)}")
        elif kind == "json":
            try:
                value = json.loads(data)
            except ValueError as error:
                raise UnexpectedFrame(f"the frame is no JSON ({error}): {shortened(data)}") from None
        connection.receive_frame()
        return value


class Paused:
    """A client that does not read; as a context manager, until the block ends."""

    def __init__(self, client: WebSocketClient) -> None:
        self._client = client

    def __enter__(self) -> WebSocketClient:
        return self._client

    def __exit__(self, *exc_info: object) -> None:
        self._client.resume_reading()


def _check_within(within: object) -> float:
    if isinstance(within, bool) or not isinstance(within, int | float) or not 0 <= within < math.inf:
        raise BackchannelError(f"receive_nothing(within={within!r}): give a number of seconds, 0 or above")
    return float(within)
