"""Which consumers are alive and which of their handlers run: a probe in Channels' own dispatch.

The probe sees every :class:`channels.consumer.AsyncConsumer` (the sync ones derive from it), however it was opened: by
our client, by Channels' communicators, by a worker or by a server in this process. It changes nothing that a consumer
can see. Nothing here imports Channels before :func:`install`.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import traceback
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from typing import Any
from weakref import ReferenceType

from ...active import Replaced, Replacement, tracked
from ...errors import BackchannelError
from ...events import Event, Location, caused_by, current_log, definition_of, is_project_file
from .crash import is_crash, summary
from .records import ConsumerCrashed, HandlerStarted

Message = Mapping[str, Any]
Dispatch = Callable[[dict[str, Any]], Awaitable[None]]


def _unseen() -> bool:
    return False


@dataclass(eq=False)
class Opening:
    """One run of an application for one connection: who asked for it, and what became of it.

    Attributes:
        kind: the name of the client's class, for messages.
        scope: the ASGI scope that the application is called with.
        where: the line of the project's own code that opened it.
        client: the client; a weak reference, since a client that is gone can no longer close anything.
        task: the task that runs the application.
        consumers: the consumers that it called, in order; usually one.
        sent: the types of the messages that the application sent.
        frames: how many frames it sent.
        last_input: the event of the message that the application took last from its client, where known.
        given_up: whether the client has cancelled the application knowingly: at a time out, or by its ``stop()``.
        only_logs: whether the client, as a server does, only logs what ends the application, so that no test sees it.
        crash_seen: says whether code of the test has got to see what ended the application.
        crash_told: whether what ended it is a problem of the test already.
        after_handler: called whenever one of its consumers' handlers has ended by itself.
    """

    kind: str
    scope: Mapping[str, Any]
    where: Location | None
    client: ReferenceType[Any]
    task: asyncio.Task[Any] | None = None
    consumers: list[LiveConsumer] = field(default_factory=list["LiveConsumer"])
    sent: set[str] = field(default_factory=set[str])
    frames: int = 0
    last_input: Event | None = None
    given_up: bool = False
    only_logs: bool = False
    crash_seen: Callable[[], bool] = _unseen
    crash_told: bool = False
    after_handler: Callable[[], None] | None = None

    def has_sent(self, kind: str) -> None:
        """The application has sent a message of this type."""
        self.sent.add(kind)
        self.frames += kind == "websocket.send"

    @property
    def test_saw_crash(self) -> bool:
        """Whether code of the test has seen what ended the application, before anybody had to tell."""
        return not self.crash_told and self.crash_seen()

    @property
    def name(self) -> str:
        """The name of the consumer's class; where there is no consumer (yet), ``the application``."""
        return self.consumers[-1].name if self.consumers else "the application"

    @property
    def path(self) -> str:
        """The path of the connection, or the channel's name."""
        return str(self.scope.get("path", self.scope.get("channel", "")))


#: Set in the context in which an application runs: it is inherited by every task that the application starts.
opening: ContextVar[Opening | None] = ContextVar("pytest_backchannel_opening", default=None)


@dataclass(eq=False)
class LiveConsumer:
    """One consumer, from its call to its end.

    Attributes:
        consumer: the instance.
        scope: the ASGI scope that it was called with.
        task: the task that runs it, or None outside of any.
        opening: who opened its connection, where known.
        handler: the name of the method that runs now, or None while it waits for a message.
        handled: the type of each message whose handler has ended, in order.
        failed_in: the name of the method that raised what ended it, or None.
        error: what ended it (``StopConsumer`` where it ended by itself), or None.
    """

    consumer: Any
    scope: Mapping[str, Any]
    task: asyncio.Task[Any] | None
    opening: Opening | None
    handler: str | None = None
    handled: list[str] = field(default_factory=list[str])
    failed_in: str | None = None
    error: BaseException | None = None

    @property
    def name(self) -> str:
        """The name of its class, without the function that it may be defined in."""
        return type(self.consumer).__qualname__.rpartition("<locals>.")[2]

    @property
    def path(self) -> str:
        """The path of its connection; the channel's name for a worker consumer; empty where there is neither."""
        return str(self.scope.get("path", self.scope.get("channel", "")))

    @property
    def channel_name(self) -> str | None:
        """The name of its channel, or None where it has no channel layer (or none yet)."""
        return getattr(self.consumer, "channel_name", None)

    def __repr__(self) -> str:
        return f"<LiveConsumer {self.name} {self.path}>"


class Observer:
    """What may be told of every handler; derive and override what is needed.

    Example::

        class Count(Observer):
            def handled(self, consumer, message):
                self.seen[consumer.name] += 1

        with observing(Count()): ...
    """

    def will_handle(self, consumer: LiveConsumer, message: Message) -> Event | int | None:
        """The handler for ``message`` is about to run.

        Returns:
            What caused the message (its delivery, or the number of that event), where this observer knows it.
        """
        return None

    def handled(self, consumer: LiveConsumer, message: Message) -> None:
        """The handler has ended without an error."""

    def crashed(self, consumer: LiveConsumer, message: Message, error: BaseException) -> None:
        """The handler (or the search for it) has raised, which ends the consumer."""


_live: dict[int, LiveConsumer] = {}
_observers: list[Observer] = tracked("observers of consumers", [])
_current: ContextVar[LiveConsumer | None] = ContextVar("pytest_backchannel_consumer", default=None)


def live_consumers() -> tuple[LiveConsumer, ...]:
    """The consumers that run now, in the order in which they were called; empty while the probe is not installed."""
    return tuple(_live.values())


def consumer_of(channel_name: str) -> LiveConsumer | None:
    """The consumer that listens on a channel, or None.

    Args:
        channel_name: the consumer's own channel, or the name under which ``ChannelNameRouter`` knows a worker consumer.
    """
    for live in _live.values():
        if live.channel_name == channel_name or live.scope.get("channel") == channel_name:
            return live
    return None


def current_consumer() -> LiveConsumer | None:
    """The consumer whose code runs now (also in the tasks and threads that it started), or None."""
    return _current.get()


@contextlib.contextmanager
def observing(observer: Observer) -> Generator[None]:
    """Tell ``observer`` of every handler that begins or ends within the block; the probe must be installed."""
    tell(observer)
    try:
        yield
    finally:
        forget(observer)


@contextlib.contextmanager
def unobserved() -> Generator[None]:
    """Within the block, those who observe now are told of no handler."""
    before = list(_observers)
    _observers.clear()
    try:
        yield
    finally:
        _observers[:] = before


def tell(observer: Observer) -> None:
    """Tell ``observer`` of every handler from now on, until :func:`forget`."""
    _observers.append(observer)


def forget(observer: Observer) -> None:
    """Tell ``observer`` no more."""
    _observers.remove(observer)


def handler_name(message: Message) -> str:
    """The method that Channels calls for a message (channels 4.2–4.3, ``channels.consumer.get_handler_name``)."""
    return str(message.get("type", "")).replace(".", "_")


def definition(function: Any) -> Location | None:
    """Where a function of the project is defined; None for one of a library, or without Python code."""
    function = getattr(function, "func", function)
    if hasattr(function, "__wrapped__"):
        function = inspect.unwrap(function)
    return definition_of(getattr(function, "__code__", None))


def raised_at(error: BaseException) -> Location | None:
    """The innermost line of the project's own code in the traceback of an exception."""
    found = None
    for frame, line in traceback.walk_tb(error.__traceback__):
        code = frame.f_code
        if is_project_file(code.co_filename):
            found = Location(code.co_filename, line, code.co_qualname)
    return found


async def _handle(live: LiveConsumer, dispatch: Dispatch, message: dict[str, Any]) -> None:
    name = handler_name(message)
    causes = [observer.will_handle(live, message) for observer in tuple(_observers)]
    if live.opening is not None and str(message.get("type", "")).startswith("websocket."):
        causes.append(live.opening.last_input)  # a consumer handles one message at a time
    cause = next((cause for cause in causes if cause is not None), None)
    started = current_log().record(
        HandlerStarted,
        cause=cause.id if isinstance(cause, Event) else cause,
        where=definition(getattr(live.consumer, name, None)),
        consumer=live.name,
        path=live.path,
        handler=name,
        type=str(message.get("type", "")),
    )
    live.handler = name
    try:
        with caused_by(started):
            await dispatch(message)
    except BaseException as error:
        if not is_crash(error):
            raise
        live.handler = None
        if isinstance(error, _stop_consumer()):  # how a consumer says that it has ended
            _ended(live, message)
        else:
            _crashed(live, error, name, started.id)
            for observer in tuple(_observers):
                observer.crashed(live, message, error)
        raise
    live.handler = None
    _ended(live, message)


def _ended(live: LiveConsumer, message: Message) -> None:
    live.handled.append(str(message.get("type", "")))
    if live.opening is not None and live.opening.after_handler is not None:
        live.opening.after_handler()
    for observer in tuple(_observers):
        observer.handled(live, message)


def _crashed(live: LiveConsumer, error: BaseException, handler: str, cause: int | None) -> None:
    live.error = error
    live.failed_in = handler or None
    record_crash(error, live.name, live.path, handler, cause=cause)


def record_crash(
    error: BaseException, consumer: str, path: str, handler: str = "", *, cause: int | None = None
) -> None:
    """Make what ended a consumer a part of the test's story.

    Args:
        error: the exception.
        consumer: the name of its class.
        path: of its connection.
        handler: the method that raised it; empty where it was raised outside of any.
        cause: the number of the event that caused it; by default what rules where this is called.
    """
    current_log().record(
        ConsumerCrashed,
        cause=cause,
        where=raised_at(error),
        consumer=consumer,
        path=path,
        error=summary(error),
        handler=handler,
    )


# --- private API: channels.consumer.await_many_dispatch, seen on channels 4.2–4.3: the one place through which every
# message to every consumer passes, whichever class overrides dispatch. It is called with the consumer's own dispatch:
# a bound method, or for sync consumers asgiref's partial with the consumer as its argument ---


def _stop_consumer() -> type[Exception]:
    from channels.exceptions import StopConsumer

    return StopConsumer


def _consumer_with(dispatch: Any) -> Any:
    if hasattr(dispatch, "__self__"):
        return dispatch.__self__
    arguments = getattr(dispatch, "args", ())
    return arguments[0] if arguments else None


def _probed(original: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    async def await_many_dispatch(consumer_callables: Sequence[Any], dispatch: Dispatch) -> None:
        consumer = _consumer_with(dispatch)
        if consumer is None or not probe.rules(await_many_dispatch):
            await original(consumer_callables, dispatch)
        else:
            await _observe(original, consumer_callables, dispatch, consumer)

    return await_many_dispatch


async def _observe(
    original: Callable[..., Awaitable[None]], consumer_callables: Sequence[Any], dispatch: Dispatch, consumer: Any
) -> None:
    live = LiveConsumer(consumer, consumer.scope, asyncio.current_task(), opening.get())
    _live[id(live)] = live
    if live.opening is not None:
        live.opening.consumers.append(live)
    token = _current.set(live)
    try:
        await original(consumer_callables, partial(_handle, live, dispatch))
    except BaseException as error:
        if live.error is None and is_crash(error) and not isinstance(error, _stop_consumer()):
            _crashed(live, error, "", None)
        live.error = error
        raise
    finally:
        _current.reset(token)
        del _live[id(live)]


def _replacement() -> tuple[Replacement]:
    consumer = import_module("channels.consumer")
    if not hasattr(consumer, "await_many_dispatch"):
        raise BackchannelError(
            "channels.consumer has no await_many_dispatch: this version of Channels is not supported; install "
            "channels>=4.2,<4.4"
        )
    return (Replacement(consumer, "await_many_dispatch", _probed),)


probe = Replaced("probe of consumers", _replacement)


def install() -> None:
    """Install the probe; each call needs its :func:`remove`.

    Raises:
        BackchannelError: this version of Channels is built differently.
    """
    probe.install()


def remove() -> None:
    """Undo one :func:`install`; the last one restores Channels exactly.

    Where somebody has patched the same place meanwhile, theirs is kept, and ours below it only passes through.
    """
    probe.remove()


# --- end of private API ---


@contextlib.contextmanager
def probing() -> Generator[None]:
    """Install the probe for a block; blocks may nest.

    Example::

        with probing():
            communicator = WebsocketCommunicator(application, "/ws/rooms/7/")
            await communicator.connect()
            assert live_consumers()[0].name == "RoomConsumer"
    """
    install()
    try:
        yield
    finally:
        remove()
