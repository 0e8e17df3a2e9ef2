"""A WebSocket client for tests: it drives an ASGI application in process, as a browser would through a real server."""

from __future__ import annotations

import asyncio
import json
import math
import weakref
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import TracebackType
from typing import Any, Literal

from .. import idle
from ..errors import (
    BackchannelError,
    ConsumerHung,
    NoFrame,
    NotIdle,
    UnexpectedFrame,
    WebSocketRejected,
)
from ..events import caller, current_log
from . import consumers, leftovers, messages, transaction
from .connection import ABNORMAL, Close, Connection, Frame
from .contract import State, may_be_sent
from .crash import add_note_once, own_traceback, short_traceback, summary
from .records import NothingReceived, shortened
from .scope import Headers, check_subprotocols, header_list, websocket_scope
from .session import check_session, consumer_scope, is_signed_in, session_cookies, set_cookies

#: How long ``receive_nothing`` waits where the loop can't be seen into, in seconds; as Channels' communicators do.
BLIND_WAIT = 0.1

Kind = Literal["json", "text", "bytes"]


class WebSocketClient:
    """One client of an ASGI application's WebSockets.

    An async context manager: it connects on entering; on leaving it disconnects, waits for the consumer's end, and
    raises what the consumer raised.

    Args:
        application: an ASGI application (routers, middleware), or a consumer class (or its ``as_asgi()``), which is
            then driven alone.
        path: path and query string, as a browser has them after the host.
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

    def __init__(
        self,
        application: Any,
        path: str = "/",
        *,
        user: Any = None,
        session: Any = None,
        headers: Headers = (),
        cookies: Mapping[str, str] | None = None,
        origin: str | None = None,
        subprotocols: Iterable[str] = (),
        url_kwargs: Mapping[str, Any] | None = None,
        timeout: float = 2.0,
    ) -> None:
        self._alone = hasattr(application, "consumer_class")
        if isinstance(application, type):
            if not hasattr(application, "as_asgi"):
                raise BackchannelError(f"{application!r} is neither a consumer class nor an ASGI application")
            application, self._alone = application.as_asgi(), True
        if not callable(application):
            raise BackchannelError(f"{application!r} is neither an ASGI application nor a consumer class")
        if url_kwargs is not None and not self._alone:
            raise BackchannelError(
                "url_kwargs is for a consumer alone: an application's routes take them from the path, here "
                f"{path!r}; leave url_kwargs out, or give the consumer's class instead of the application"
            )
        check_session(session)
        self._application = application
        self._user, self._session = user, session
        self._url_kwargs = dict(url_kwargs or {})
        self._cookies = dict(cookies or {})
        self._scope_args: dict[str, Any] = {
            "path": path,
            "headers": header_list(headers),
            "origin": origin,
            "subprotocols": check_subprotocols(subprotocols),
        }
        self._timeout = _check_timeout(timeout)
        self._connection: Connection | None = None
        self._session_made = False
        self._history: list[Frame] = []
        self._where = caller()
        self._release: Callable[[], None] = _nothing
        websocket_scope(cookies=self._cookies, **self._scope_args)  # a bad value raises here, at the project's own line

    # ----------------------------------------------------------------- what is so

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol that the application chose, or None."""
        accepted = self._opened().accepted
        return (accepted or {}).get("subprotocol") or None

    @property
    def scope(self) -> Mapping[str, Any]:
        """The scope as the consumer has it, with what routers and middleware put in; else as the server built it."""
        opening = self._opened().opening
        return opening.consumers[-1].scope if opening.consumers else opening.scope

    @property
    def frames(self) -> tuple[Frame, ...]:
        """Every frame so far, in both directions and in order, received or not, also before a reconnect."""
        return (*self._history, *(self._connection.frames if self._connection else ()))

    @property
    def response_headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """The headers that the application sent with its ``accept``."""
        return tuple(tuple(pair) for pair in (self._opened().accepted or {}).get("headers") or ())

    # ------------------------------------------------------------ from begin to end

    async def __aenter__(self) -> WebSocketClient:
        __tracebackhide__ = True
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        __tracebackhide__ = True
        if self._connection is None:
            return
        try:
            await self._leave(1000, "", patient=error is None)
        except Exception as trouble:
            if error is None:
                raise
            # The test has failed by itself: what it asserted comes first, and this may be why.
            if trouble is not error:
                add_note_once(error, f"And {self._connection.name}: {summary(trouble)}")
                for line in short_traceback(trouble):
                    add_note_once(error, f"    {line}")
        finally:
            self._end()

    async def connect(self) -> None:
        """Open the connection, as entering the context does.

        Raises:
            WebSocketRejected: the application refused it.
            NoFrame: it neither accepted nor refused it in time.
            Exception: what the application raised.
        """
        __tracebackhide__ = True
        loop = _running_loop()
        if self._connection is not None:
            if not self._connection.ended:
                raise BackchannelError("this client is connected already; reconnect() opens the connection again")
            self._history += self._connection.frames
            self._connection = None
        self._begin(loop)
        try:
            connection = self._connection = await self._start()
            done = await connection.wait(lambda: self._answered(connection), self._timeout)
            if not done:
                raise NoFrame(messages.no_answer(connection, "the handshake was not answered", self._timeout))
            if connection.accepted is None:
                self._raise_crash(connection)
                raise await self._rejection(connection)
            self._cookies.update(set_cookies(connection.accepted.get("headers")))
        except BaseException:
            await self._abandon()
            self._end()
            raise

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the connection from the client's side, and wait until the consumer has ended.

        Args:
            code: 1000, or another that a client may send.
            reason: at most 123 bytes in UTF-8.

        Raises:
            ConsumerHung: the consumer did not end in time.
            Exception: what the consumer raised.
        """
        __tracebackhide__ = True
        if not may_be_sent(code):
            raise BackchannelError(f"close(code={code!r}): no client may send it; use 1000, or one of 3000–4999")
        if len(reason.encode()) > 123:
            raise BackchannelError(f"close(reason=…): {len(reason.encode())} bytes; at most 123 fit a close frame")
        self._require_open()
        try:
            await self._leave(code, reason, patient=True)
        finally:
            self._end()

    async def drop(self) -> None:
        """Lose the connection, as a phone in a tunnel does: the consumer's ``disconnect`` gets code 1006.

        Nothing is waited for before: what the consumer is just sending fails, as on a server.

        Raises:
            ConsumerHung: the consumer did not end in time.
            Exception: what the consumer raised.
        """
        __tracebackhide__ = True
        self._require_open()
        try:
            await self._leave(ABNORMAL, "", patient=False)
        finally:
            self._end()

    async def reconnect(self) -> None:
        """Open the connection again with the same session and cookies; where it is still open, close it first.

        Raises:
            WebSocketRejected: the application refused it this time.
            Exception: what the consumer raised, before or now.
        """
        __tracebackhide__ = True
        if self._connection is None:
            raise BackchannelError("this client was never connected: enter it with 'async with', or await connect()")
        try:
            await self._leave(1000, "", patient=True)
        finally:
            self._end()
        await self.connect()

    # ------------------------------------------------------------------------ send

    async def send_json(self, data: Any) -> None:
        """Send a text frame with ``data`` as JSON, as ``socket.send(JSON.stringify(data))`` does.

        Raises:
            TypeError: it has no JSON.
            WebSocketClosed: the connection is closed.
            Exception: what the consumer has raised meanwhile.
        """
        __tracebackhide__ = True
        await self.send_text(json.dumps(data))

    async def send_text(self, text: str) -> None:
        """Send a text frame.

        Raises:
            WebSocketClosed: the connection is closed.
            Exception: what the consumer has raised meanwhile.
        """
        __tracebackhide__ = True
        if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise BackchannelError(f"send_text({text!r}): give a str; send_json and send_bytes take the others")
        self._require_open().send_frame(text)

    async def send_bytes(self, data: bytes) -> None:
        """Send a binary frame.

        Raises:
            WebSocketClosed: the connection is closed.
            Exception: what the consumer has raised meanwhile.
        """
        __tracebackhide__ = True
        if not isinstance(data, bytes | bytearray | memoryview):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise BackchannelError(f"send_bytes({data!r}): give bytes; send_json and send_text take the others")
        self._require_open().send_frame(bytes(data))

    # --------------------------------------------------------------------- receive

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

    async def receive_text(self, *, timeout: float | None = None) -> str:
        """The next frame, which must be text; arguments and errors as for :meth:`receive_json`."""
        __tracebackhide__ = True
        return str(await self._receive("text", timeout))

    async def receive_bytes(self, *, timeout: float | None = None) -> bytes:
        """The next frame, which must be binary; arguments and errors as for :meth:`receive_json`."""
        __tracebackhide__ = True
        return bytes(await self._receive("bytes", timeout))

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
        deadline = loop.time() + self._seconds(timeout)
        passed: list[Any] = []
        while True:
            try:
                frame = await self._receive(kind, max(deadline - loop.time(), 1e-6))
            except NoFrame as error:
                seen = "\n".join(f"    {shortened(item)}" for item in passed) or "    none"
                raise NoFrame(f"no frame satisfied the predicate. Received and passed over:\n{seen}\n{error}") from None
            if predicate(frame):
                return frame
            passed.append(frame)

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
                    + messages.told(connection)
                )
            self._raise_crash(connection)
            if connection.closed is not None or connection.ended:
                raise messages.closed(connection)
            if verdict is idle.Verdict.BUSY:
                raise NotIdle(messages.still_running(loop, self._timeout))
            timers = idle.timers(loop, ignoring=asyncio.current_task())
            due = [timer for timer in timers if timer.due_in <= deadline - loop.time()]
            if verdict is idle.Verdict.UNSEEN or not due:
                current_log().record(
                    NothingReceived, where=caller(), path=connection.path, timers=tuple(map(str, timers))
                )
                return True
            await connection.wait(news, due[0].due_in + 1e-3)

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
            raise NotIdle(messages.still_running(asyncio.get_running_loop(), self._timeout))
        if not connection.crash_seen:
            self._raise_crash(connection)

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
                f"{shortened(connection.unread[0].data)}\n" + messages.told(connection)
            )
        if connection.closed is None:
            raise NoFrame(messages.no_answer(connection, f"{connection.name} did not close the connection", seconds))
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
        if not isinstance(buffer, int) or buffer < 1:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise BackchannelError(f"pause_reading(buffer={buffer!r}): give the number of frames that fit, from 1 on")
        self._require_open().set_limit(buffer)
        return Paused(self)

    def resume_reading(self) -> None:
        """Read on after :meth:`pause_reading`: the frames that piled up can be received."""
        self._opened().set_limit(None)

    # ------------------------------------------------------------------- inner steps

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        idle.watch(loop)
        consumers.install()
        transaction.keep()

        self._release = partial(_release, loop)

    def _end(self) -> None:
        release, self._release = self._release, _nothing
        release()
        if self._connection is not None:
            leftovers.discard(self._connection.opening)

    async def _start(self) -> Connection:
        scope = await self._make_scope()
        connection = Connection(self._application, scope, self._where, weakref.ref(self), type(self).__name__)
        leftovers.add(connection.opening, connection.take_unseen_crash)
        connection.start()
        return connection

    async def _make_scope(self) -> dict[str, Any]:
        if self._alone:
            scope = websocket_scope(cookies=self._cookies, **self._scope_args)
            scope["url_route"] = {"args": (), "kwargs": dict(self._url_kwargs)}
            scope["cookies"] = dict(self._cookies)
            scope.update(consumer_scope(self._user, self._session))
            return scope
        if not self._session_made and (is_signed_in(self._user) or self._session is not None):
            self._cookies = {**await session_cookies(self._user, self._session), **self._cookies}
            self._session_made = True
        return websocket_scope(cookies=self._cookies, **self._scope_args)

    def _answered(self, connection: Connection) -> bool:
        return connection.accepted is not None or connection.response is not None or connection.ended

    async def _rejection(self, connection: Connection) -> WebSocketRejected:
        __tracebackhide__ = True
        response = connection.response
        if response is None:
            return WebSocketRejected(
                f"{connection.name} ended without accepting or refusing the connection to {connection.path}; a client "
                "sees HTTP 500",
                None,
                500,
            )
        await self._wait_for_end(connection)
        given = "" if response.code is None else f" (close code {response.code}, which no client sees)"
        return WebSocketRejected(
            f"{connection.name} refused the connection to {connection.path}: HTTP {response.status}{given}",
            response.code,
            response.status,
            response.headers,
            response.body,
        )

    async def _leave(self, code: int, reason: str, *, patient: bool) -> None:
        """Disconnect where the connection is open, wait for the consumer's end, and raise what it raised."""
        __tracebackhide__ = True
        connection = self._opened()
        if connection.state is State.OPEN and not connection.ended:
            if patient:
                # What the consumer has to do for the frames so far is done first, as for a client that waits for it.
                connection.set_limit(None)
                await idle.settle(self._timeout, until=lambda: connection.ended or connection.state is not State.OPEN)
            if connection.state is State.OPEN and not connection.ended:
                connection.disconnect(code, reason)
        await self._wait_for_end(connection)

    async def _wait_for_end(self, connection: Connection) -> None:
        __tracebackhide__ = True
        if not await connection.wait(lambda: connection.ended, self._timeout):
            text = messages.no_answer(
                connection, f"{connection.name} did not end after its client had gone", self._timeout
            )
            await self._abandon()
            raise ConsumerHung(text)
        if not connection.crash_seen:
            self._raise_crash(connection)

    async def _abandon(self) -> None:
        """Cancel an application that will not end by itself; what a wedged one does about it is not waited for."""
        task = self._connection.opening.task if self._connection else None
        if self._connection is not None and task is not None and not task.done():
            self._connection.opening.given_up = True
            task.cancel()
            await asyncio.wait([task], timeout=self._timeout)

    async def _receive(self, kind: Kind, timeout: float | None) -> Any:
        __tracebackhide__ = True
        connection = self._require_reading()
        seconds = self._seconds(timeout)
        await connection.wait(
            lambda: bool(connection.unread) or connection.closed is not None or connection.ended, seconds
        )
        if not connection.unread:
            self._raise_crash(connection)
            if connection.closed is not None or connection.ended:
                raise messages.closed(connection)
            raise NoFrame(messages.no_answer(connection, f"no frame came from {connection.name}", seconds))
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

    # ------------------------------------------------------------------------ checks

    def _opened(self) -> Connection:
        if self._connection is None:
            raise BackchannelError("this client is not connected: enter it with 'async with', or await connect() first")
        return self._connection

    def _require_open(self) -> Connection:
        __tracebackhide__ = True
        connection = self._opened()
        self._raise_crash(connection)
        if connection.state is not State.OPEN:
            raise messages.closed(connection)
        return connection

    def _require_reading(self) -> Connection:
        connection = self._opened()
        self._refuse_paused(connection)
        return connection

    def _refuse_paused(self, connection: Connection) -> None:
        if connection.limit is not None:
            raise BackchannelError("reading is paused: call resume_reading() first")

    def _seconds(self, timeout: float | None) -> float:
        return self._timeout if timeout is None else _check_timeout(timeout)

    def _raise_crash(self, connection: Connection) -> None:
        __tracebackhide__ = True
        error = connection.crash
        if error is None:
            return
        if not connection.crash_seen:
            connection.crash_seen = True
            connection.crash_traceback = own_traceback(error)
            add_note_once(error, messages.crashed(connection))
        raise error.with_traceback(connection.crash_traceback)


class Paused:
    """A client that does not read; as a context manager, until the block ends."""

    def __init__(self, client: WebSocketClient) -> None:
        self._client = client

    def __enter__(self) -> WebSocketClient:
        return self._client

    def __exit__(self, *exc_info: object) -> None:
        self._client.resume_reading()


def _nothing() -> None:
    pass


def _release(loop: asyncio.AbstractEventLoop) -> None:
    transaction.release()
    consumers.remove()
    idle.unwatch(loop)


def _running_loop() -> asyncio.AbstractEventLoop:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise BackchannelError(
            "a WebSocketClient needs a running asyncio loop: the test must be an 'async def', run by pytest-asyncio, "
            "by anyio's asyncio backend (Channels does not run on trio) or by a Django TestCase"
        ) from None


def _check_timeout(timeout: object) -> float:
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 < timeout < math.inf:
        raise BackchannelError(f"timeout={timeout!r}: give a number of seconds above 0")
    return float(timeout)


def _check_within(within: object) -> float:
    if isinstance(within, bool) or not isinstance(within, int | float) or not 0 <= within < math.inf:
        raise BackchannelError(f"receive_nothing(within={within!r}): give a number of seconds, 0 or above")
    return float(within)
