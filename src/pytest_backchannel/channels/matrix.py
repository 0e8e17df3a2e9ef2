"""Who may connect where: each WebSocket route, with and without a user, from its own origin, a foreign one and none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from ..errors import BackchannelError, ConsumerHung, NoFrame, NotIdle, OpenToStrangers, WebSocketRejected
from ..events import current_log
from .client.client import WebSocketClient
from .routes import Route, websocket_routes
from .watch.consumers import raised_at
from .watch.crash import is_crash, summary

FOREIGN_ORIGIN = "https://foreign.example"
ORIGINS = ("own", "foreign", "none")


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One handshake.

    Attributes:
        route: what was tried.
        path: the path that was asked for.
        signed_in: whether a user was signed in.
        origin: ``own`` (a page of the site), ``foreign`` (a page of another one) or ``none`` (no browser).
        outcome: ``open``, ``HTTP 403`` or another status, ``closed 4401`` (accepted, and closed at once),
            ``crashed: KeyError``, or ``no answer``.
    """

    route: Route
    path: str
    signed_in: bool
    origin: str
    outcome: str

    @property
    def is_open(self) -> bool:
        """Whether the caller was let in, and stayed in."""
        return self.outcome == "open"


class AccessMatrix:
    """What came of every attempt; ``print(matrix)`` shows it as a table.

    Args:
        attempts: all of them, a route after the other.
    """

    def __init__(self, attempts: Iterable[Attempt]) -> None:
        self.attempts = tuple(attempts)

    @property
    def anonymous(self) -> set[str]:
        """The paths of the routes that let in a caller who is not signed in, from whichever origin."""
        return {attempt.route.path for attempt in self.attempts if attempt.is_open and not attempt.signed_in}

    @property
    def foreign(self) -> set[str]:
        """The paths of the routes that let in a page of another site, with or without a user."""
        return {attempt.route.path for attempt in self.attempts if attempt.is_open and attempt.origin == "foreign"}

    def outcome(self, path: str, *, signed_in: bool, origin: str) -> str:
        """What came of one attempt.

        Args:
            path: the route's pattern, such as ``/ws/rooms/<str:room>/``.
            signed_in: with a user or without.
            origin: ``own``, ``foreign`` or ``none``.

        Raises:
            KeyError: nothing such was tried.
        """
        for attempt in self.attempts:
            if (attempt.route.path, attempt.signed_in, attempt.origin) == (path, signed_in, origin):
                return attempt.outcome
        raise KeyError(f"{path!r} was not tried with signed_in={signed_in} and origin={origin!r}\n{self}")

    def assert_open_to(self, *, anonymous: Iterable[str] = (), foreign: Iterable[str] = ()) -> None:
        """Exactly these routes let an anonymous caller in, and exactly those a page of another site.

        Args:
            anonymous: the patterns of the routes that are meant for everybody.
            foreign: those that are meant for pages of any site.

        Raises:
            OpenToStrangers: another route does, or one of these does not; the message has the table.
        """
        __tracebackhide__ = True
        lines: list[str] = []
        for who, found, meant in (
            ("an anonymous caller", self.anonymous, set(anonymous)),
            ("a page of another site", self.foreign, set(foreign)),
        ):
            lines += [f"{path} lets in {who}" for path in sorted(found - meant)]
            lines += [f"{path} does not let in {who}, though the test says so" for path in sorted(meant - found)]
        if lines:
            raise OpenToStrangers("\n".join([*lines, "", str(self)]))

    def __str__(self) -> str:
        columns = list(dict.fromkeys((attempt.signed_in, attempt.origin) for attempt in self.attempts))
        rows: dict[str, dict[tuple[bool, str], str]] = {}
        for attempt in self.attempts:
            rows.setdefault(attempt.route.path, {})[attempt.signed_in, attempt.origin] = attempt.outcome
        head = [f"{'signed in' if signed_in else 'anonymous'}, {_NAMES[origin]}" for signed_in, origin in columns]
        table = [["route", *head], *([path, *(row[column] for column in columns)] for path, row in rows.items())]
        widths = [max(len(line[index]) for line in table) for index in range(len(table[0]))]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in table
        )


_NAMES = {"own": "own origin", "foreign": "foreign origin", "none": "no origin"}


class WebSocketMatrix(Protocol):
    """What the ``websocket_matrix`` fixture gives: await it to have every WebSocket route tried."""

    async def __call__(
        self,
        user: Any = None,
        *,
        application: Any = None,
        url_kwargs: Mapping[str, Any] | None = None,
        origin: str | None = None,
    ) -> AccessMatrix:
        """Try every WebSocket route, as :func:`access_matrix` does.

        Args:
            user: who is signed in where somebody is; None tries anonymous callers only.
            application: an ASGI application; the project's own by default.
            url_kwargs: real values for parameters of paths, by the parameter's name or by route.
            origin: the site's own origin; by default made of ``ALLOWED_HOSTS``.

        Raises:
            BackchannelError: there is no WebSocket route, or a route for which no path can be made up.
        """
        ...


async def access_matrix(
    application: Any,
    user: Any = None,
    *,
    url_kwargs: Mapping[str, Any] | None = None,
    origin: str | None = None,
    timeout: float = 2.0,
) -> AccessMatrix:
    """Try every WebSocket route of an application.

    Args:
        application: an ASGI application.
        user: who is signed in where somebody is, by a real session; None tries anonymous callers only.
        url_kwargs: real values for parameters of paths, by the parameter's name (``{"room": 42}``), or by route where
            one name means different things (``{"/ws/rooms/<int:id>/": {"id": 42}}``). Others are made up.
        origin: the site's own origin; by default made of ``ALLOWED_HOSTS``.
        timeout: how long each handshake may take, in seconds.

    Raises:
        BackchannelError: there is no WebSocket route, or a route for which no path can be made up.

    Example::

        matrix = await access_matrix(application, user, url_kwargs={"room": 42})
        matrix.assert_open_to(anonymous=["/ws/echo/"])
    """
    routes = websocket_routes(application)
    if not routes:
        raise BackchannelError(f"no WebSocket route was found in {application!r}")
    paths = _paths(routes, url_kwargs or {})
    origins = {"own": origin, "foreign": FOREIGN_ORIGIN, "none": ""}
    attempts: list[Attempt] = []
    for route, path in zip(routes, paths, strict=True):
        for signed_in in (True, False) if user is not None else (False,):
            for name in ORIGINS:
                client = WebSocketClient(
                    application, path, user=user if signed_in else None, origin=origins[name], timeout=timeout
                )
                outcome = await _outcome(client)
                attempts.append(Attempt(route=route, path=path, signed_in=signed_in, origin=name, outcome=outcome))
    return AccessMatrix(attempts)


async def _outcome(client: WebSocketClient) -> str:
    try:
        await client.connect()
    except WebSocketRejected as error:
        return f"HTTP {error.http_status}"
    except NoFrame:
        return "no answer"
    except BaseException as error:
        if not is_crash(error):
            raise
        return f"crashed: {type(error).__name__}"
    outcome = await _after_the_handshake(client)
    try:
        await client.__aexit__(None, None, None)
    except BaseException as error:
        if not is_crash(error):
            raise
        # It changes nothing about who was let in: the caller stayed until it left by itself.
        connection = client._opened()
        current_log().problem(
            "consumer_hung" if isinstance(error, ConsumerHung) else "consumer_crashed",
            f"{connection.name} ({connection.path}), tried for the access matrix, raised when its client left: "
            f"{summary(error)}",
            where=raised_at(error),
        )
    return outcome


async def _after_the_handshake(client: WebSocketClient) -> str:
    try:
        await client.wait_idle()
    except NotIdle:
        pass  # it goes on with something, for a caller who is in
    except BaseException as error:
        if not is_crash(error):
            raise
        return f"crashed: {type(error).__name__}"
    closed = client._opened().closed
    return f"closed {closed.code}" if closed else "open"


def _paths(routes: Iterable[Route], url_kwargs: Mapping[str, Any]) -> list[str]:
    by_route = {name: value for name, value in url_kwargs.items() if name.startswith("/")}
    by_name = {name: value for name, value in url_kwargs.items() if name not in by_route}
    known = {route.path: route for route in routes}
    for name in by_route:
        if name not in known:
            raise BackchannelError(f"url_kwargs: there is no route {name!r}; the routes: {', '.join(known)}")
    names = {name for route in known.values() for name in route.parameters}
    for name in by_name:
        if name not in names:
            raise BackchannelError(
                f"url_kwargs: no route has a parameter {name!r}; the parameters: {', '.join(sorted(names)) or 'none'}"
            )
    paths: list[str] = []
    for route in routes:
        given = {name: value for name, value in by_name.items() if name in route.parameters}
        try:
            paths.append(route.path_for(**{**given, **by_route.get(route.path, {})}))
        except ValueError as error:
            raise BackchannelError(str(error)) from None
    return paths
