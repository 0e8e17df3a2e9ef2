"""Every endpoint that an ASGI application reaches: through routers, nested routers and middleware.

Channels has no list of routes: an application is a nest of callables. The walk opens Channels' own routers (channels
4.2–4.3, routing.py) and looks for the application within any other callable: in its attributes, and in the closure of
a function.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

_EXAMPLES = {
    "int": "1",
    "str": "example",
    "slug": "example",
    "path": "example",
    "uuid": "00000000-0000-4000-8000-000000000000",
}
"""An example for each of Django's own path converters (Django 5.2–6.1, urls/converters.py)."""

_CANDIDATES = ("example", "1", _EXAMPLES["uuid"], "a", "2026")
"""What is tried for a group of a regular expression."""

_LIBRARIES = ("channels", "django", "asgiref", "builtins")


@dataclass(frozen=True, kw_only=True)
class Route:
    """One endpoint of an ASGI application.

    Attributes:
        protocol: ``websocket``, ``http``, ``channel`` (a worker consumer), ``lifespan`` or what else the
            ``ProtocolTypeRouter`` names; empty where nothing says.
        path: the pattern, such as ``/ws/rooms/<str:room>/``; for ``channel`` the channel's name.
        consumer: the class of the consumer, or None where the endpoint is another kind of application.
        name: the route's name, or None.
        middleware: the names of what stands before it, outermost first.
        handlers: the consumer's own methods that handle messages of a channel layer.
        example: a path that the pattern matches, made from its converters; None where one can't be made (a regular
            expression that is not plain, a converter of the project's own): give ``url_kwargs`` to :meth:`path_for`.
        parameters: the names of the parameters in the path.
    """

    protocol: str
    path: str
    consumer: type[Any] | None
    name: str | None
    middleware: tuple[str, ...]
    handlers: tuple[str, ...]
    example: str | None
    parameters: tuple[str, ...]

    def path_for(self, **url_kwargs: object) -> str:
        """The path with real values for its parameters.

        Args:
            url_kwargs: a value for each parameter that needs one; the others are made from their converters.

        Raises:
            ValueError: a parameter the path does not have, or a regular expression with more than groups and literals.

        Example:
            >>> route.path_for(room="7")  # doctest: +SKIP
            '/ws/rooms/7/'
        """
        unknown = sorted(set(url_kwargs) - set(self.parameters))
        if unknown:
            known = ", ".join(self.parameters) or "none"
            raise ValueError(f"{self.path} has no parameter {unknown[0]!r}; its parameters: {known}")
        path = _fill(self.path, url_kwargs)
        if path is None:
            missing = [name for name in self.parameters if name not in url_kwargs]
            raise ValueError(
                f"no example can be made for {self.path}"
                + (f": give url_kwargs for {', '.join(missing)}" if missing else "; give the path itself")
            )
        return path

    def __str__(self) -> str:
        return f"{self.protocol} {self.path}"


def routes_of(application: Any) -> list[Route]:
    """Every endpoint, in the order in which the routers try them.

    Args:
        application: an ASGI application, such as the one that ``ASGI_APPLICATION`` names.

    Example:
        >>> from config.asgi import application  # doctest: +SKIP
        >>> [str(route) for route in routes_of(application)]  # doctest: +SKIP
        ['http ', 'websocket /ws/echo/', 'channel thumbnails']
    """
    return list(_walk(application, _Step()))


def websocket_routes(application: Any) -> list[Route]:
    """The endpoints that speak WebSocket (those below no ``ProtocolTypeRouter`` too, if they are consumers)."""
    return [
        route
        for route in routes_of(application)
        if route.protocol == "websocket" or (not route.protocol and route.consumer is not None)
    ]


def first_routers(application: Any) -> list[Any]:
    """The routers of Channels' through which an application is entered: behind its middleware, before other routers."""
    from channels.routing import ProtocolTypeRouter, URLRouter

    pending, seen, found = [application], set[int](), list[Any]()
    while pending:
        current = pending.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        if isinstance(current, ProtocolTypeRouter | URLRouter):
            found.append(current)
        else:
            pending += _inner(current)
    return found


def handlers_of(consumer: type[Any]) -> tuple[str, ...]:
    """The methods of a consumer that handle messages of its own types: those that Channels' classes do not have."""
    known = {name for base in consumer.__mro__ if _root(base) in _LIBRARIES for name in vars(base)}
    own = {
        name
        for base in consumer.__mro__
        if _root(base) not in _LIBRARIES
        for name, value in vars(base).items()
        if not name.startswith("_") and inspect.isfunction(value) and _takes_one(value)
    }
    return tuple(sorted(own - known))


def _takes_one(function: Callable[..., Any]) -> bool:
    """Whether it can be called as a handler is: with the message alone."""
    try:
        inspect.signature(function).bind(None, None)
    except (TypeError, ValueError):
        return False
    return True


def _root(base: type[Any]) -> str:
    return base.__module__.partition(".")[0]


# ------------------------------------------------------------------- the walk


@dataclass(frozen=True)
class _Step:
    """Where the walk is."""

    path: str = ""
    protocol: str = ""
    name: str | None = None
    middleware: tuple[str, ...] = ()
    above: tuple[Any, ...] = ()

    def into(self, application: Any, **changes: Any) -> _Step:
        return replace(self, above=(*self.above, application), **changes)


def _walk(application: Any, step: _Step) -> Iterator[Route]:
    from channels.routing import ChannelNameRouter, ProtocolTypeRouter, URLRouter

    if any(application is above for above in step.above):
        return
    consumer = getattr(application, "consumer_class", None)
    if inspect.isclass(consumer):
        yield _route(step, consumer)
    elif isinstance(application, ProtocolTypeRouter):
        for protocol, inner in application.application_mapping.items():
            yield from _walk(inner, step.into(application, protocol=protocol))
    elif isinstance(application, URLRouter):
        patterns: list[Any] = application.routes
        for route in patterns:
            path = step.path + _pattern(route.pattern)
            name = route.name if getattr(route, "name", None) else step.name
            yield from _walk(route.callback, step.into(application, path=path, name=name))
    elif isinstance(application, ChannelNameRouter):
        for channel, inner in application.application_mapping.items():
            yield from _walk(inner, step.into(application, path=channel))
    else:
        inner_step = step.into(application, middleware=(*step.middleware, _name(application)))
        found = [route for inner in _inner(application) for route in _walk(inner, inner_step)]
        # Not every callable that a middleware holds is an application: what ends in no consumer, and came through no
        # router, is the middleware's own affair. Where nothing is left, this is no middleware, but an endpoint.
        here = _route(step, None)
        endpoints = [
            route for route in found if route.consumer or (route.protocol, route.path) != (here.protocol, here.path)
        ]
        yield from endpoints or [here]


def _route(step: _Step, consumer: type[Any] | None) -> Route:
    path = step.path if step.protocol == "channel" or not step.path else "/" + step.path
    return Route(
        protocol=step.protocol,
        path=path,
        consumer=consumer,
        name=step.name,
        middleware=step.middleware,
        handlers=handlers_of(consumer) if consumer else (),
        example=None if step.protocol == "channel" else _fill(path, {}),
        parameters=tuple(match["name"] for match in _PARAMETER.finditer(path)),
    )


def _inner(application: Any) -> list[Any]:
    """The callables that a middleware holds: in its attributes, and, for a function, in its closure."""
    if isinstance(application, partial):
        held: list[Any] = [application.func, *application.args, *application.keywords.values()]
    elif inspect.ismethod(application):
        held = list(_attributes(application.__self__).values())
    else:
        # A function that wraps another names it, as functools.wraps does; but what it calls is in its closure.
        held = [value for key, value in _attributes(application).items() if key != "__wrapped__"]
    for cell in getattr(application, "__closure__", None) or ():
        try:
            held.append(cell.cell_contents)
        except ValueError:  # a variable that is not set yet
            continue
    return [
        value
        for value in held
        if callable(value) and not inspect.isclass(value) and getattr(value, "__self__", None) is not application
    ]


def _attributes(owner: Any) -> dict[str, Any]:
    """What an object has in its attributes, those in slots included (Sentry's middleware has all in slots)."""
    slots = [name for base in type(owner).__mro__ for name in _slots(base)]
    return {name: getattr(owner, name) for name in slots if hasattr(owner, name)} | getattr(owner, "__dict__", {})


def _slots(base: type[Any]) -> tuple[str, ...]:
    names = vars(base).get("__slots__", ())
    return (names,) if isinstance(names, str) else tuple(names)


def _name(application: Any) -> str:
    if isinstance(application, partial):
        return _name(application.func)
    if inspect.isfunction(application) or inspect.ismethod(application):
        return application.__qualname__.partition(".<locals>")[0]
    return type(application).__qualname__


# ----------------------------------------------------------------- the patterns


_PARAMETER = re.compile(r"<(?:(?P<converter>[^<>:]+):)?(?P<name>[^<>]+)>")


# --- private API: django.urls.resolvers.RoutePattern._route and RegexPattern._regex, seen on Django 5.2–6.1 (Channels'
# own URLRouter reads them too): there is no other way to the text of a pattern ---


def _pattern(pattern: Any) -> str:
    route = getattr(pattern, "_route", None)
    return str(route) if route is not None else str(getattr(pattern, "_regex", pattern))


# --- end of private API ---


_GROUP = re.compile(r"\(\?P<(?P<name>\w+)>(?P<body>(?:[^()\\]|\\.)*)\)")
_ANCHORS = re.compile(r"\^|\$|\\[AZ]")
_ESCAPED = re.compile(r"\\([-./_])")


def _fill(path: str, values: Mapping[str, object]) -> str | None:
    """The path with a value for each parameter, or None where that can't be told.

    A regular expression is filled if it is made of literals and named groups only.
    """
    unknown: list[str] = []

    def group(match: re.Match[str]) -> str:
        candidates = (str(values[match["name"]]),) if match["name"] in values else _CANDIDATES
        for candidate in candidates:
            if match["name"] in values or re.fullmatch(match["body"], candidate):
                return candidate
        unknown.append(match["name"])
        return ""

    def parameter(match: re.Match[str]) -> str:
        if match["name"] in values:
            return str(values[match["name"]])
        example = _EXAMPLES.get(match["converter"] or "str")
        if example is None:
            unknown.append(match["name"])
        return example or ""

    # The literal parts are judged without the values: a value may hold any character.
    rest = _PARAMETER.sub("", _GROUP.sub("", path))
    if re.search(r"[\\()\[\]{}*+?|]", _ESCAPED.sub("", _ANCHORS.sub("", rest)).replace("/?", "")):
        return None
    literal = _ESCAPED.sub(r"\1", _ANCHORS.sub("", _GROUP.sub(group, path)).replace("/?", "/"))
    filled = _PARAMETER.sub(parameter, literal)
    return None if unknown else filled
