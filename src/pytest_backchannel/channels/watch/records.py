"""The events of consumers and of WebSocket connections."""

from __future__ import annotations

from dataclasses import dataclass

from ...events import Event


def shortened(value: object, width: int = 80) -> str:
    """The value's ``repr``, cut to ``width`` characters: what fits a line of a report."""
    text = repr(value)
    return text if len(text) <= width else text[: width - 1] + "…"


@dataclass(frozen=True, kw_only=True)
class ConsumerEvent(Event):
    """Something that a consumer did, or that was done to it.

    Attributes:
        consumer: the name of its class.
        path: the path of its connection; the channel's name for a worker consumer; empty where there is neither.
    """

    consumer: str
    path: str


@dataclass(frozen=True, kw_only=True)
class HandlerStarted(ConsumerEvent):
    """A consumer began to handle a message; what the handler does has this event as its cause.

    Attributes:
        handler: the name of the method.
        type: the message's type.
    """

    handler: str
    type: str

    def headline(self) -> str:
        """Consumer and method."""
        return f"{self.consumer}.{self.handler}"


@dataclass(frozen=True, kw_only=True)
class ConsumerCrashed(ConsumerEvent):
    """An exception ended a consumer.

    Attributes:
        error: the exception, as ``type: message``.
        handler: the method that raised it; empty where it was raised outside of any.
    """

    error: str
    handler: str

    def headline(self) -> str:
        """Consumer, method and exception."""
        return f"{self.consumer}{'.' if self.handler else ''}{self.handler} raised {self.error}"

    @property
    def broke(self) -> bool:
        """A crash always breaks the chain."""
        return True


@dataclass(frozen=True, kw_only=True)
class SocketEvent(Event):
    """Something that passed over a WebSocket connection.

    Attributes:
        path: the connection's path.
    """

    path: str


@dataclass(frozen=True, kw_only=True)
class SocketOpened(SocketEvent):
    """The client asked for a connection, as a browser's ``new WebSocket(...)`` does."""

    def headline(self) -> str:
        """The request."""
        return f"connect {self.path}"


@dataclass(frozen=True, kw_only=True)
class SocketAccepted(SocketEvent):
    """The application accepted the connection.

    Attributes:
        subprotocol: the subprotocol that it chose, or None.
    """

    subprotocol: str | None

    def headline(self) -> str:
        """The answer."""
        return f"accept {self.path}" + (f" ({self.subprotocol})" if self.subprotocol else "")


@dataclass(frozen=True, kw_only=True)
class SocketRejected(SocketEvent):
    """The application refused the connection.

    Attributes:
        code: the close code that it gave, or None; no client ever sees it.
        http_status: what the client sees.
    """

    code: int | None
    http_status: int

    def headline(self) -> str:
        """The answer, as the client sees it."""
        return f"refuse {self.path}: HTTP {self.http_status}"


@dataclass(frozen=True, kw_only=True)
class FrameEvent(SocketEvent):
    """A frame was sent.

    Attributes:
        data: the text or the bytes.
        to_client: whether the consumer sent it, or the client.
    """

    data: str | bytes
    to_client: bool

    def headline(self) -> str:
        """The direction and the data, shortened."""
        return f"frame {'to' if self.to_client else 'from'} the client: {shortened(self.data)}"


@dataclass(frozen=True, kw_only=True)
class SocketClosed(SocketEvent):
    """The connection ended.

    Attributes:
        code: the close code; 1006 where it broke.
        reason: the reason, or an empty text.
        by_client: whether the client ended it, or the application.
    """

    code: int
    reason: str
    by_client: bool

    def headline(self) -> str:
        """Who, and the code."""
        return f"close {self.code} by the {'client' if self.by_client else 'consumer'}"


@dataclass(frozen=True, kw_only=True)
class NothingReceived(SocketEvent):
    """It was decided that no frame will come.

    Attributes:
        timers: what still waits for its time in the event loop, a line each.
    """

    timers: tuple[str, ...]

    def headline(self) -> str:
        """What was found, with the first timers."""
        if not self.timers:
            return "nothing received: the loop is idle, no timer is set"
        return f"nothing received: the loop is idle, timers: {'; '.join(self.timers[:3])}"
