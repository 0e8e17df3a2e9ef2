"""Who may connect where: each WebSocket route, with and without a user, from its own origin, a foreign one and none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from ..errors import BackchannelError, ConsumerHung, NoFrame, NotIdle, OpenToStrangers, WebSocketRejected
from ..events import caller, current_log
from .client.client import WebSocketClient
from .routes import Route, websocket_routes
from .watch.consumers import raised_at
from .watch.crash import is_crash, summary

FOREIGN_ORIGIN = "https://foreign.example"
ORIGINS = ("own", "foreign", "none")
SIGNED_IN, ANONYMOUS = "signed in", "anonymous"
_SHOWN = ("user", "session", "query", "headers", "cookies", "subprotocols")

Clients = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One handshake.

    Attributes:
        route: what was tried.
        path: the path that was asked for.
        client: the name of the client, such as ``anonymous``.
        signed_in: whether it had anything to show: a user, a session, a token.
        origin: ``own`` (a page of the site), ``foreign`` (a page of another one) or ``none`` (no browser).
        outcome: ``open``, ``HTTP 403`` or another status, ``closed 4401`` (accepted, and closed at once),
            ``crashed: KeyError``, or ``no answer``.
    """

    route: Route
    path: str
    client: str
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

    def open_to(self, client: str) -> set[str]:
        """The paths of the routes that let in a client, from whichever origin.

        Args:
            client: its name.

        Raises:
            KeyError: there was no client of this name.
        """
        self._check_client(client)
        return {attempt.route.path for attempt in self.attempts if attempt.is_open and attempt.client == client}

    def outcome(
        self, path: str, *, signed_in: bool | None = None, client: str | None = None, origin: str = "own"
    ) -> str:
        """What came of one attempt.

        Args:
            path: the route's pattern, such as ``/ws/rooms/<str:room>/``.
            signed_in: with a user (or another client that has something to show) or without; either by default.
            client: the name of the client; the first that fits by default.
            origin: ``own``, ``foreign`` or ``none``.

        Raises:
            KeyError: nothing such was tried.
        """
        if client is not None:
            self._check_client(client)
        for attempt in self.attempts:
            if (attempt.route.path, attempt.origin) != (path, origin):
                continue
            if signed_in in (None, attempt.signed_in) and client in (None, attempt.client):
                return attempt.outcome
        raise KeyError(f"{path!r} was not tried with signed_in={signed_in}, {client=} and {origin=}\n{self}")

    def _check_client(self, name: str) -> None:
        known = list(dict.fromkeys(attempt.client for attempt in self.attempts))
        if name not in known:
            raise KeyError(f"there was no client {name!r}; there were {', '.join(map(repr, known))}")

    def assert_open_to(
        self,
        *,
        anonymous: Iterable[str] = (),
        foreign: Iterable[str] = (),
        clients: Mapping[str, Iterable[str]] | None = None,
    ) -> None:
        """Exactly these routes let an anonymous caller in, and exactly those a page of another site.

        Args:
            anonymous: the patterns of the routes that are meant for everybody.
            foreign: those that are meant for pages of any site.
            clients: likewise exactly those that are meant for a client, by the client's name.

        Raises:
            OpenToStrangers: another route does, or one of these does not; the message has the table.
            KeyError: there was no such client.
        """
        __tracebackhide__ = True
        lines: list[str] = []
        for who, found, meant in (
            ("an anonymous caller", self.anonymous, set(anonymous)),
            ("a page of another site", self.foreign, set(foreign)),
            *((f"the client {name!r}", self.open_to(name), set(paths)) for name, paths in (clients or {}).items()),
        ):
            lines += [f"{path} lets in {who}" for path in sorted(found - meant)]
            lines += [f"{path} does not let in {who}, though the test says so" for path in sorted(meant - found)]
        if lines:
            raise OpenToStrangers("\n".join([*lines, "", str(self)]))

    def __str__(self) -> str:
        columns = list(dict.fromkeys((attempt.client, attempt.origin) for attempt in self.attempts))
        rows: dict[str, dict[tuple[str, str], str]] = {}
        for attempt in self.attempts:
            rows.setdefault(attempt.route.path, {})[attempt.client, attempt.origin] = attempt.outcome
        head = [f"{client}, {_NAMES[origin]}" for client, origin in columns]
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
        clients: Clients | None = None,
        application: Any = None,
        url_kwargs: Mapping[str, Any] | None = None,
        origin: str | None = None,
        odd_values: bool = False,
    ) -> AccessMatrix:
        """Try every WebSocket route, as :func:`access_matrix` does.

        Args:
            user: who is signed in where somebody is; None tries anonymous callers only.
            clients: in place of the user, who connects, by name.
            application: an ASGI application; the project's own by default.
            url_kwargs: real values for parameters of paths, by the parameter's name or by route.
            origin: the site's own origin; by default made of ``ALLOWED_HOSTS``.
            odd_values: whether to open each connection that was let in once more, with odd paths and frames, as
                ``--backchannel-odd-values`` does: a consumer that dies of one fails the test, as ``odd_value``.

        Raises:
            BackchannelError: there is no WebSocket route, or a route for which no path can be made up.
        """
        ...


async def access_matrix(
    application: Any,
    user: Any = None,
    *,
    clients: Clients | None = None,
    url_kwargs: Mapping[str, Any] | None = None,
    origin: str | None = None,
    timeout: float = 2.0,
) -> AccessMatrix:
    """Try every WebSocket route of an application.

    Args:
        application: an ASGI application.
        user: who is signed in where somebody is, by a real session; None tries anonymous callers only.
        clients: in place of the user, who connects: by a name, the arguments of :class:`WebSocketClient` that make the
            client what it is (``user``, ``session``, ``query``, ``headers``, ``cookies``, ``subprotocols``). One with
            none of them is anonymous; where there is none such, ``anonymous`` is tried as well.
        url_kwargs: real values for parameters of paths, by the parameter's name (``{"room": 42}``), or by route where
            one name means different things (``{"/ws/rooms/<int:id>/": {"id": 42}}``). Others are made up.
        origin: the site's own origin; by default made of ``ALLOWED_HOSTS``.
        timeout: how long each handshake may take, in seconds.

    Raises:
        BackchannelError: there is no WebSocket route, or a route for which no path can be made up; or a client has an
            argument that it can't have.

    Example::

        matrix = await access_matrix(application, user, url_kwargs={"room": 42})
        matrix.assert_open_to(anonymous=["/ws/echo/"])
    """
    who = _clients(user, clients)
    routes = websocket_routes(application)
    if not routes:
        raise BackchannelError(f"no WebSocket route was found in {application!r}")
    paths = _paths(routes, url_kwargs or {})
    origins = {"own": origin, "foreign": FOREIGN_ORIGIN, "none": ""}
    attempts: list[Attempt] = []
    for route, path in zip(routes, paths, strict=True):
        for name, arguments in who.items():
            for place in ORIGINS:
                client = WebSocketClient(application, path, origin=origins[place], timeout=timeout, **arguments)
                attempt = Attempt(
                    route=route,
                    path=path,
                    client=name,
                    signed_in=bool(arguments),
                    origin=place,
                    outcome=await _outcome(client),
                )
                attempts.append(attempt)
    matrix = AccessMatrix(attempts)
    _tell_if_closed_to_all(matrix)
    return matrix


def _clients(user: Any, clients: Clients | None) -> dict[str, Mapping[str, Any]]:
    if clients is None:
        return {**({} if user is None else {SIGNED_IN: {"user": user}}), ANONYMOUS: {}}
    if user is not None:
        raise BackchannelError(
            "a user and clients= were given: name the user as one of the clients, {'owner': {'user': user}, …}"
        )
    if not isinstance(clients, Mapping) or not all(isinstance(one, Mapping) for one in clients.values()):
        raise BackchannelError(
            f"clients={clients!r}: give a dict of names, each with the client's arguments, such as "
            "{'anonymous': {}, 'owner': {'user': user}, 'token': {'query': {'token': '…'}}}"
        )
    for name, arguments in clients.items():
        for argument in arguments:
            if argument not in _SHOWN:
                raise BackchannelError(
                    f"clients: {name!r} has {argument!r}; choose from {', '.join(_SHOWN)} (each origin is tried anyway)"
                )
        if name == ANONYMOUS and arguments:
            raise BackchannelError(f"clients: {name!r} is who has nothing to show, and here has {arguments!r}")
    found = dict(clients)
    if all(found.values()):
        found[ANONYMOUS] = {}
    return found


def _tell_if_closed_to_all(matrix: AccessMatrix) -> None:
    """Where not even a client with a user or a token gets in anywhere, that strangers do not either says nothing."""
    tried = [attempt for attempt in matrix.attempts if attempt.signed_in]
    if not tried or any(attempt.is_open for attempt in matrix.attempts):
        return
    outcomes = ", ".join(dict.fromkeys(attempt.outcome for attempt in tried))
    current_log().problem(
        "nobody_let_in",
        f"no route let in anybody ({outcomes}), so that the matrix says nothing about strangers. Where a token or a "
        "header lets one in, give it: clients={'token': {'query': {'token': '…'}}}; where a consumer looks something "
        "up, real url_kwargs=; or the site's own origin=.\n" + str(matrix),
        where=caller(),
    )


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
