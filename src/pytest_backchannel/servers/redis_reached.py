"""Notices that a test reaches a real Redis: by a channel layer, a result backend, or a client of the code's own.

The last is what locks of tasks do (celery-once, celery-singleton): they open the broker's URL by themselves, past
Celery. Told are connections to the addresses of a broker, a result backend or a layer; a cache elsewhere is not.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from ..active import Replaced, Replacement, Slot, Together
from ..errors import RealBrokerContacted
from ..events import caller, current_log

ADVICE = {
    "real_broker": "Ask for the fixture task_queue or celery_eager, with which tasks need no broker",
    "real_results": "Ask for the fixture task_queue or celery_eager, with which results are kept in memory",
    "real_layer": "Ask for the fixture channel_layer, with which messages stay in memory",
}
OWN_CLIENT = "Give that client a Redis in memory, fakeredis.FakeRedis()"
_WHAT = {"real_broker": "a real broker", "real_results": "a real result backend", "real_layer": "a real channel layer"}
# Who opens a connection, by the package below which it is opened.
_OPENERS = {"channels_redis": "real_layer", "celery.backends": "real_results", "kombu": "real_broker"}


class _Watch(NamedTuple):
    meant: Callable[[], bool]
    refuses: Callable[[], bool]
    told: set[tuple[str, str]]


_watching = Slot[_Watch]("watch of connections to Redis")


def begin(meant: Callable[[], bool], refuses: Callable[[], bool]) -> Callable[[], None] | None:
    """Watch connections from now on; nothing is looked at before there is one.

    Args:
        meant: whether the test means to use a real server.
        refuses: whether the test has an in-process double: then a client of the code's own to such an address raises.

    Returns:
        What ends it; None where redis-py is not loaded.
    """
    if "redis.asyncio.connection" not in sys.modules or "redis.connection" not in sys.modules:
        return None
    _around.install()
    _watching.value = _Watch(meant, refuses, set())
    return _end


def _end() -> None:
    _watching.value = None
    _around.remove()


class Address(NamedTuple):
    """Where a Redis is: host and port, or the path of a socket, and the number of the database."""

    host: str
    port: int
    database: int

    @classmethod
    def of(cls, url: object) -> Address | None:
        """The address in a URL; None where it is none of Redis."""
        parts = urlsplit(url.split(";")[0]) if isinstance(url, str) else None
        if parts is None or parts.scheme.partition("+")[0] not in ("redis", "rediss", "valkey", "unix", "socket"):
            return None
        try:
            number = parts.path.strip("/")
            return cls(_host(parts.hostname or ""), parts.port or 6379, int(number) if number.isdigit() else 0)
        except ValueError:
            return None

    def __str__(self) -> str:
        return f"redis://{self.host}:{self.port}/{self.database}"


def _host(name: str) -> str:
    return "127.0.0.1" if name in ("", "localhost", "::1") else name


def _known() -> Iterator[tuple[str, Address | None]]:
    """The addresses of the project's brokers, result backends and layers, by what they are."""
    state = sys.modules.get("celery._state")
    for app in list(state._get_active_apps()) if state is not None else ():
        conf = app.conf
        for name in ("broker_url", "broker_read_url", "broker_write_url"):
            urls = conf.get(name) or ()
            for url in [urls] if isinstance(urls, str) else urls:
                yield "real_broker", Address.of(url)
        yield "real_results", Address.of(conf.get("result_backend"))
    settings = getattr(sys.modules.get("django.conf"), "settings", None)
    layers = getattr(settings, "CHANNEL_LAYERS", None) if settings is not None and settings.configured else None
    for layer in (layers or {}).values():
        for host in layer.get("CONFIG", {}).get("hosts", ()):
            if isinstance(host, dict):
                host = host.get("address")
            if isinstance(host, (list, tuple)):
                host = f"redis://{host[0]}:{host[1]}/0"
            yield "real_layer", Address.of(host)


def _opener() -> tuple[str, bool]:
    """What opens the connection, as its callers tell: a slug; and whether it is a client of the code's own."""
    frame = sys._getframe(2)
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        for package, slug in _OPENERS.items():
            if module == package or module.startswith(package + "."):
                return slug, False
        frame = frame.f_back  # type: ignore[assignment]
    return "", True


def _look(connection: Any) -> str:
    """Tell of a connection that is about to be used; returns what it is for, or an empty text."""
    watch = _watching.value
    if watch is None or type(connection).__module__.startswith("fakeredis") or watch.meant():
        return ""
    address = Address(_host(getattr(connection, "host", "")), getattr(connection, "port", 0), int(connection.db or 0))
    slug, own_client = _opener()
    if own_client:
        slug = next((kind for kind, known in _known() if known == address), "")
        if not slug:
            return ""
    where = caller(2)
    text = f"this test connects to {_WHAT[slug]}, {address}"
    text += ", by a Redis client of the code's own, such as a lock" if own_client else ""
    advice = OWN_CLIENT if own_client and watch.refuses() else ADVICE[slug]
    text += f".\n{advice}; a test that means a real one asks for redis_server, or is marked celery_integration."
    if (slug, str(address)) not in watch.told:
        watch.told.add((slug, str(address)))
        if slug != "real_broker" or own_client:  # kombu's are told where kombu connects
            current_log().problem(slug, text, where=where)
    if own_client and watch.refuses():
        raise RealBrokerContacted(text)
    return slug


def _explain(error: BaseException, slug: str) -> None:
    note = f"Nothing answers there, and a unit test needs no Redis. {ADVICE.get(slug, '')}; or, for a real one, for "
    note += "redis_server."
    if slug and note not in getattr(error, "__notes__", ()):
        error.add_note(note)


# --- private API: redis.connection.AbstractConnection.connect and that of redis.asyncio, redis 5–8: every use of a
# connection of a pool begins with it, also where it is connected already ---


def _sync(original: Callable[..., Any]) -> Callable[..., Any]:
    def connect(self: Any, *args: Any, **kwargs: Any) -> Any:
        if _watching.value is None or not _connecting.rules(connect):
            return original(self, *args, **kwargs)
        slug = _look(self)
        try:
            return original(self, *args, **kwargs)
        except Exception as error:
            _explain(error, slug)
            raise

    return connect


def _async(original: Callable[..., Any]) -> Callable[..., Any]:
    async def connect(self: Any, *args: Any, **kwargs: Any) -> Any:
        if _watching.value is None or not _connecting.rules(connect):
            return await original(self, *args, **kwargs)
        slug = _look(self)
        try:
            return await original(self, *args, **kwargs)
        except Exception as error:
            _explain(error, slug)
            raise

    return connect


def _replacements() -> list[Replacement]:
    return [
        Replacement(sys.modules["redis.connection"].AbstractConnection, "connect", _sync),
        Replacement(sys.modules["redis.asyncio.connection"].AbstractConnection, "connect", _async),
    ]


_connecting = Replaced("connections to Redis", _replacements)
_around = Together(_connecting)


# --- end of private API ---
