"""The life of a client's connection: opened, left, lost, opened again, and what is raised for its consumer."""

from __future__ import annotations

import asyncio
import copy
import math
import weakref
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Any, NoReturn, Self

from ...active import Slot
from ...awaiting import must_await, require_loop
from ...clock import idle
from ...errors import BackchannelError, ConsumerHung, NoFrame, WebSocketRejected
from ...events import caller, current_log
from ..watch import background, consumers, leftovers
from ..watch.crash import add_note_once, own_traceback, short_traceback, summary
from . import failure_text, transaction
from .connection import ABNORMAL, Connection, Frame
from .scope import Headers, Query, split_path, websocket_scope, with_cookies, with_query
from .server_rules import State, may_be_sent
from .session import check_session, consumer_scope, is_signed_in, session_cookies, set_cookies

#: How long is waited where the loop can't be seen into, in seconds; as Channels' communicators do.
BLIND_WAIT = 0.1


#: Told of each client whose connection was accepted.
accepted: Slot[Callable[[ConnectedClient], None]] = Slot("observer of accepted connections")


class ConnectedClient:
    """What :class:`~pytest_backchannel.WebSocketClient` is, without frames; its arguments are there."""

    def __init__(
        self,
        application: Any,
        path: str = "/",
        *,
        query: Query | None = None,
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
        self._scope = websocket_scope(
            with_query(path, query), headers=headers, origin=origin, subprotocols=subprotocols
        )
        with_cookies([], self._cookies)  # a bad one raises here, at the project's own line
        self._timeout = check_timeout(timeout)
        self._connection: Connection | None = None
        self._session_made = False
        self._history: list[Frame] = []
        self._where = caller()
        self._watching = ExitStack()

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

    def twin(self, path: str | None = None) -> Self:
        """Another client with the same application, session, cookies and headers, not connected.

        Args:
            path: another path and query string.
        """
        twin = copy.copy(self)
        twin._connection, twin._history, twin._watching = None, [], ExitStack()
        twin._cookies = dict(self._cookies)
        if path is not None:
            decoded, raw_path, query = split_path(path)
            twin._scope = {**self._scope, "path": decoded, "raw_path": raw_path, "query_string": query}
        return twin

    # ------------------------------------------------------------ from begin to end

    def __enter__(self) -> NoReturn:
        """Say that it is an async context manager."""
        raise BackchannelError(
            "a WebSocketClient is an async context manager. Fix: write `async with` in place of `with`, in an "
            "`async def` test."
        )

    def __exit__(self, *exc_info: object) -> None:
        """Never reached; Python looks for it before it enters."""

    async def __aenter__(self) -> Self:
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
        except BaseException as trouble:
            if error is None or (trouble is not self._connection.crash and not isinstance(trouble, Exception)):
                raise
            # The test has failed by itself: what it asserted comes first, and this may be why.
            if trouble is not error:
                add_note_once(error, f"And {self._connection.name}: {summary(trouble)}")
                for line in short_traceback(trouble):
                    add_note_once(error, f"    {line}")

    @must_await
    async def connect(self) -> None:
        """Open the connection, as entering the context does.

        Raises:
            WebSocketRejected: the application refused it.
            NoFrame: it neither accepted nor refused it in time.
            Exception: what the application raised.
        """
        __tracebackhide__ = True
        loop = require_loop("a WebSocketClient")
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
                raise NoFrame(failure_text.no_answer(connection, "the handshake was not answered", self._timeout))
            if connection.accepted is None:
                self._raise_crash(connection)
                raise await self._rejection(connection)
            self._cookies.update(set_cookies(connection.accepted.get("headers")))
            if accepted.value is not None:
                accepted.value(self)
        except BaseException:
            await self._abandon()
            self._end()
            raise

    @must_await
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
        await self._leave(code, reason, patient=True)

    @must_await
    async def drop(self) -> None:
        """Lose the connection, as a phone in a tunnel does: the consumer's ``disconnect`` gets code 1006.

        Nothing is waited for before: what the consumer is just sending fails, as on a server.

        Raises:
            ConsumerHung: the consumer did not end in time.
            Exception: what the consumer raised.
        """
        __tracebackhide__ = True
        self._require_open()
        await self._leave(ABNORMAL, "", patient=False)

    @must_await
    async def reconnect(self) -> None:
        """Open the connection again with the same session and cookies; where it is still open, close it first.

        Raises:
            WebSocketRejected: the application refused it this time.
            Exception: what the consumer raised, before or now.
        """
        __tracebackhide__ = True
        if self._connection is None:
            raise BackchannelError("this client was never connected: enter it with 'async with', or await connect()")
        await self._leave(1000, "", patient=True)
        await self.connect()

    # ------------------------------------------------------------------- inner steps

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        idle.watch(loop)
        self._watching.callback(idle.unwatch, loop)
        consumers.install()
        self._watching.callback(consumers.remove)
        transaction.keep()
        self._watching.callback(transaction.release)

    def _end(self) -> None:
        self._watching.close()
        if self._connection is not None:
            leftovers.discard(self._connection.opening)

    async def _start(self) -> Connection:
        scope = await self._make_scope()
        connection = Connection(self._application, scope, self._where, weakref.ref(self), "WebSocketClient")
        connection.opening.crash_seen = lambda: connection.crash_seen
        leftovers.add(connection.opening, connection.take_unseen_crash)
        connection.start()
        background.watch(connection.opening)
        return connection

    async def _make_scope(self) -> dict[str, Any]:
        if self._alone:
            scope = self._with_cookies()
            scope["url_route"] = {"args": (), "kwargs": dict(self._url_kwargs)}
            scope["cookies"] = dict(self._cookies)
            scope.update(consumer_scope(self._user, self._session))
            return scope
        if not self._session_made and (is_signed_in(self._user) or self._session is not None):
            self._cookies = {**await session_cookies(self._user, self._session), **self._cookies}
            self._session_made = True
        return self._with_cookies()

    def _with_cookies(self) -> dict[str, Any]:
        """A scope of its own for each connection."""
        headers = with_cookies(self._scope["headers"], self._cookies)
        return {**self._scope, "headers": headers, "asgi": dict(self._scope["asgi"]), "state": {}}

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
        try:
            if patient and _is_open(connection):
                # What the consumer has to do for the frames so far is done first, as for a client that waits for it.
                connection.set_limit(None)
                await idle.settle(self._timeout, until=lambda: not _is_open(connection))
            if _is_open(connection):
                connection.disconnect(code, reason)
            await self._wait_for_end(connection)
        finally:
            self._end()

    async def _wait_for_end(self, connection: Connection) -> None:
        __tracebackhide__ = True
        if not await connection.wait(lambda: connection.ended, self._timeout):
            text = failure_text.no_answer(
                connection, f"{connection.name} did not end after its client had gone", self._timeout
            )
            await self._abandon()
            raise ConsumerHung(text)
        if not connection.crash_seen:
            self._raise_crash(connection)
        await self._judge_tasks(connection)

    async def _judge_tasks(self, connection: Connection) -> None:
        """Raise what ended a task that the consumer started and nobody awaited; tell of those that it left running."""
        __tracebackhide__ = True
        found = connection.opening
        if background.any_running(found):
            # Those that are cancelled, or about to end, are let do so.
            verdict = await idle.settle(self._timeout, until=lambda: not background.any_running(found))
            if verdict is idle.Verdict.UNSEEN:
                await background.wait(found, BLIND_WAIT)
        for left in background.take_running(found):
            current_log().problem("task_left_running", failure_text.left_running(connection, left), where=left.where)
        for crash in background.take_crashes(found):
            background.record(found, crash)
            add_note_once(crash.error, failure_text.task_crashed(connection, crash))
            raise crash.error.with_traceback(own_traceback(crash.error))

    async def _abandon(self) -> None:
        """Cancel an application that will not end by itself; what a wedged one does about it is not waited for."""
        task = self._connection.opening.task if self._connection else None
        if self._connection is not None and task is not None and not task.done():
            self._connection.opening.given_up = True
            task.cancel()
            await self._connection.wait(task.done, self._timeout)

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
            raise failure_text.closed(connection)
        return connection

    def _require_reading(self) -> Connection:
        connection = self._opened()
        self._refuse_paused(connection)
        return connection

    def _refuse_paused(self, connection: Connection) -> None:
        if connection.limit is not None:
            raise BackchannelError("reading is paused: call resume_reading() first")

    def _seconds(self, timeout: float | None) -> float:
        return self._timeout if timeout is None else check_timeout(timeout)

    def _raise_crash(self, connection: Connection) -> None:
        __tracebackhide__ = True
        error = connection.crash
        if error is None:
            return
        if not connection.crash_seen:
            connection.crash_seen = True
            connection.crash_traceback = own_traceback(error)
            add_note_once(error, failure_text.crashed(connection))
            if failure_text.is_unrouted(error):
                add_note_once(error, failure_text.routes(self._application, connection.path))
        raise error.with_traceback(connection.crash_traceback)


def _is_open(connection: Connection) -> bool:
    return connection.state is State.OPEN and not connection.ended


def check_timeout(timeout: object) -> float:
    """A number of seconds above 0.

    Raises:
        BackchannelError: it is none.
    """
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 < timeout < math.inf:
        raise BackchannelError(f"timeout={timeout!r}: give a number of seconds above 0")
    return float(timeout)
