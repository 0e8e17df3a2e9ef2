"""Worker consumers, which listen to a channel with a fixed name: what waits for one, run as `runworker` runs it.

Channels' own worker (``channels.worker.Worker``, channels 4.2–4.3) listens for ever, and looks once a second at what
became of the application. Here it does what waits, and ends.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from contextvars import Context
from difflib import get_close_matches
from typing import Any

from ..clock import idle, patience
from ..errors import BackchannelError, NotIdle
from ..events import caller
from .routes import routes_of
from .watch import background
from .watch.consumers import Opening, opening, probing
from .watch.crash import add_note_once, is_crash

Message = Mapping[str, Any]


class WorkerRun:
    """One run of an application for one channel.

    Args:
        layer: the channel layer, for messages.
        channel: the channel's name.
        application: what handles the messages, such as a ``ChannelNameRouter``, or a consumer's ``as_asgi()``.
        timeout: how long each message may take, in seconds of real time.
    """

    def __init__(self, layer: Any, channel: str, application: Any, timeout: float) -> None:
        self._channel = channel
        self._application = application
        self._timeout = timeout
        self._opening = Opening(
            "channel_layer.run", {"type": "channel", "channel": channel}, caller(), weakref.ref(layer)
        )
        self._inbox: asyncio.Queue[Message] = asyncio.Queue()
        self._given = 0

    async def until_idle(self, waits: Callable[[], bool], receive: Callable[[], Any]) -> int:
        """Hand over one message after the other until none waits, and nothing more will happen.

        Args:
            waits: whether a message waits.
            receive: takes it; a coroutine.

        Returns:
            How many messages were handled.

        Raises:
            NotIdle: a handler has not ended in time.
            Exception: what ended the consumer.
        """
        __tracebackhide__ = True
        loop = asyncio.get_running_loop()
        if not waits():
            return 0
        with ExitStack() as stack:
            idle.watch(loop)
            stack.callback(idle.unwatch, loop)
            stack.enter_context(probing())
            context = Context()  # what the test has set does not reach another process
            context.run(opening.set, self._opening)
            task = self._opening.task = loop.create_task(
                self._application(dict(self._opening.scope), self._inbox.get, _refuse), context=context
            )
            background.watch(self._opening)
            try:
                while waits():
                    self._inbox.put_nowait(await receive())
                    self._given += 1
                    await self._settle(task)
            finally:
                task.cancel()
                await patience.wait([task], self._timeout)
            for crash in background.take_crashes(self._opening):
                background.record(self._opening, crash)
                raise crash.error
        return self._given

    async def _settle(self, task: asyncio.Task[None]) -> None:
        """Wait until the message is handled and nothing more happens by itself."""
        __tracebackhide__ = True
        loop = asyncio.get_running_loop()
        deadline = patience.now(loop) + self._timeout
        while True:
            verdict = await idle.settle(self._timeout, until=task.done)
            if task.done():
                self._raise_end(task)
            if self._is_handled():
                if verdict is idle.Verdict.BUSY:
                    raise NotIdle(self._still("still does something"))
                return
            if patience.now(loop) > deadline:
                raise NotIdle(self._still("has not handled a message"))
            # It waits for a timer, or for something outside of this loop.
            await patience.wait([task], 0.005)

    def _is_handled(self) -> bool:
        consumers = self._opening.consumers
        if not consumers:
            return self._inbox.empty()  # an application without a consumer: it has taken what there was
        return sum(len(live.handled) for live in consumers) >= self._given

    def _raise_end(self, task: asyncio.Task[None]) -> None:
        __tracebackhide__ = True
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is None:
            if self._is_handled():
                return  # a StopConsumer
            raise BackchannelError(f"{self._opening.name} ended before it had handled what waited on {self._channel!r}")
        if is_crash(error):
            add_note_once(error, f"It ended {self._opening.name}, which handles the channel {self._channel!r}.")
        raise error

    def _still(self, what: str) -> str:
        task = self._opening.task
        stack = idle.awaiting(task) if task is not None else []
        at = f"; it waits at {stack[-1]}" if stack else ""
        stopped = f"\n{patience.STOPPED}" if patience.is_stopped(asyncio.get_running_loop()) else ""
        return f"{self._opening.name} ({self._channel!r}) {what} after {self._timeout:g} s{at}{stopped}"


async def _refuse(message: Any) -> None:
    # As Channels' worker does (asgiref.server.StatelessServer.handle_reply): nobody is there.
    raise NotImplementedError("a worker consumer has no client to which it could send()")


def application_for(channel: str, application: Any) -> Any:
    """What handles a channel.

    Args:
        channel: its name.
        application: a consumer class, or an ASGI application; None for that of ``ASGI_APPLICATION``.

    Raises:
        BackchannelError: the project's application has no such channel; the message lists those that it has.
    """
    __tracebackhide__ = True
    if application is not None:
        return application.as_asgi() if hasattr(application, "as_asgi") else application
    from channels.routing import get_default_application

    found = get_default_application()
    names = [route.path for route in routes_of(found) if route.protocol == "channel"]
    if channel in names:
        return found
    near = get_close_matches(channel, names, n=1)
    guess = f" Did you mean {near[0]!r}?" if near else ""
    has = f"its ChannelNameRouter has {', '.join(map(repr, names))}" if names else "it has no ChannelNameRouter"
    raise BackchannelError(
        f"no worker consumer of ASGI_APPLICATION listens to {channel!r}: {has}.{guess} Add it below the entry "
        f"'channel' of the ProtocolTypeRouter, or give the consumer: run({channel!r}, Consumer)."
    )
