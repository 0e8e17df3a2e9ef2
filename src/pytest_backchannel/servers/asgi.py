"""The project's ASGI application on a real server and port, in a thread of the test's own process.

In a thread, and not in a process as Channels' own live server: then it shares the test's connection and transaction,
nothing is pickled, and it starts in 50 ms.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Generator, Iterator
from typing import Any, cast

from ..errors import BackchannelError, ServerFailed
from .process import LOOPBACK, free_port

START_TIMEOUT = 30.0
GRACE = 1
SERVERS = ("uvicorn", "daphne")

Application = Callable[[Any, Any, Any], Awaitable[None]]


class AsgiServer:
    """A real server with the project's application; what the ``asgi_server`` fixture gives.

    Args:
        application: what it serves.
        server: ``uvicorn`` or ``daphne``.

    Raises:
        BackchannelError: no such server, or it is not installed.
    """

    def __init__(self, application: Application, server: str = "uvicorn") -> None:
        if server not in SERVERS:
            raise BackchannelError(f"asgi server {server!r}: choose one of {', '.join(map(repr, SERVERS))}")
        self.application = application
        self.server = server
        self._running: _Uvicorn | _Daphne | None = None
        self.port = 0

    @property
    def url(self) -> str:
        """Where it is, such as ``http://127.0.0.1:23456``."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def ws_url(self) -> str:
        """The same for WebSockets, such as ``ws://127.0.0.1:23456``."""
        return f"ws://{LOOPBACK}:{self.port}"

    def __str__(self) -> str:
        return self.url

    def start(self) -> None:
        """Start it, at the same port as before where it was stopped; a no-op where it runs.

        Raises:
            ServerFailed: it did not start within 10 s.
        """
        if self._running is not None:
            return
        make = _Uvicorn if self.server == "uvicorn" else _Daphne
        self._running = make(self.application, self.port)
        self.port = self._running.port

    def stop(self) -> None:
        """Close every connection and stop, as a deployment does; WebSockets are closed with 1012 by uvicorn."""
        running, self._running = self._running, None
        if running is not None:
            running.stop()


class _Uvicorn:
    def __init__(self, application: Application, port: int) -> None:
        import uvicorn

        # lifespan "auto": most Django applications refuse that scope, and uvicorn goes on.
        config = uvicorn.Config(
            application,
            ws=_websocket_implementation(),
            lifespan="auto",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=GRACE,
        )
        self._server = uvicorn.Server(config)
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind((LOOPBACK, port))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._run, name="asgi_server", daemon=True)
        self._thread.start()
        deadline = time.monotonic() + START_TIMEOUT
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                self._socket.close()
                raise ServerFailed(f"uvicorn did not start within {START_TIMEOUT:g} s: its log is in the test's report")
            time.sleep(0.002)

    def _run(self) -> None:
        self._server.run(sockets=[self._socket])

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(START_TIMEOUT + GRACE)
        self._socket.close()


def _websocket_implementation() -> str:
    # uvicorn's default is built on an API that websockets has deprecated, and importing it warns.
    from uvicorn.config import WS_PROTOCOLS

    return "websockets-sansio" if "websockets-sansio" in WS_PROTOCOLS else "auto"


class _Daphne:
    """Twisted's reactor runs once in a process: one thread for the run, and each server opens a port in it."""

    _thread: threading.Thread | None = None

    def __init__(self, application: Application, port: int) -> None:
        try:
            from daphne import server as daphne_server
        except ImportError as error:
            raise BackchannelError("daphne is not installed: pip install daphne, or choose 'uvicorn'") from error
        from twisted.internet import reactor

        self._reactor: Any = reactor
        self._failure = ""
        port = port or free_port()
        self._server: Any = daphne_server.Server(
            application,
            endpoints=[f"tcp:port={port}:interface={LOOPBACK}"],
            signal_handlers=False,
            application_close_timeout=GRACE,
        )
        ready = threading.Event()
        if _Daphne._thread is None:
            self._server.ready_callable = ready.set
            _Daphne._thread = threading.Thread(target=self._server.run, name="daphne", daemon=True)
            _Daphne._thread.start()
        else:
            self._reactor.callFromThread(self._open)
        deadline = time.monotonic() + START_TIMEOUT
        while not self._server.listening_addresses:
            if self._failure or time.monotonic() > deadline:
                raise ServerFailed(f"daphne did not start at port {port}: {self._failure or 'no answer in 10 s'}")
            time.sleep(0.002)
        self.port = port

    # --- private API: daphne.server.Server.run(), seen on daphne 4.1–4.2: what it does before it runs the reactor ---

    def _open(self) -> None:
        from daphne.http_protocol import HTTPFactory
        from daphne.ws_protocol import WebSocketFactory
        from twisted.internet.endpoints import serverFromString

        server = self._server
        server.connections = {}
        server.http_factory = HTTPFactory(server)
        server.ws_factory = WebSocketFactory(server, server=server.server_name)
        self._reactor.callLater(1, server.application_checker)
        for endpoint in server.endpoints:
            listener: Any = serverFromString(self._reactor, endpoint).listen(server.http_factory)  # type: ignore[no-untyped-call]
            listener.addCallbacks(self._opened, self._not_opened)
            server.listeners.append(listener)

    def _opened(self, port: Any) -> Any:
        self._server.listen_success(port)
        return port

    def _not_opened(self, failure: Any) -> None:
        self._failure = failure.getErrorMessage()

    # --- end of private API ---

    def stop(self) -> None:
        done = threading.Event()
        self._reactor.callFromThread(self._close, done.set)
        done.wait(START_TIMEOUT)

    def _close(self, done: Callable[[], object]) -> None:
        for port in [reader for reader in self._reactor.getReaders() if self._listens(reader)]:
            port.stopListening()
        for protocol, details in list(self._server.connections.items()):
            application = details.get("application_instance")
            if application is not None and not application.done():
                application.cancel()
            transport = getattr(protocol, "transport", None)
            if transport is not None:
                transport.abortConnection()
        # A few turns of the loop, so that cancelled applications end before the test's database is taken away.
        self._reactor.callLater(0.02, done)

    def _listens(self, reader: Any) -> bool:
        return getattr(reader, "factory", None) is self._server.http_factory and hasattr(reader, "stopListening")


# ------------------------------------------------------------- the application


def project_application() -> Application:
    """The project's own application (``ASGI_APPLICATION``), with static files as Django's live server serves them.

    Raises:
        BackchannelError: it can't be imported; the message says why.
    """
    from django.conf import settings
    from django.utils.module_loading import import_string

    path = getattr(settings, "ASGI_APPLICATION", None)
    application: Application
    if path:
        try:
            application = import_string(path)
        except ImportError as error:
            raise BackchannelError(f"ASGI_APPLICATION = {path!r} can't be imported: {error}") from error
    else:
        from django.core.asgi import get_asgi_application

        application = cast(Application, get_asgi_application())
    if "django.contrib.staticfiles" in settings.INSTALLED_APPS:
        from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler

        application = cast(Application, ASGIStaticFilesHandler(cast(Any, application)))
    return application


@contextlib.contextmanager
def allowing_loopback() -> Generator[None]:
    """Within the block, Django and Channels accept the test's server as host of requests and origin of WebSockets."""
    from django.test import modify_settings

    project_application()  # imported before the change: what it keeps of the settings is the project's own
    with modify_settings(ALLOWED_HOSTS={"append": LOOPBACK}), _allowing_origin():
        yield


@contextlib.contextmanager
def _allowing_origin() -> Generator[None]:
    # Channels' AllowedHostsOriginValidator keeps the list of hosts that it saw when the application was imported
    # (channels/security/websocket.py, 4.2–4.3): a later change of the setting does not reach it.
    import sys

    application = project_application()
    websocket = sys.modules.get("channels.security.websocket")
    lists: list[list[str]] = []
    for part in _chain(application):
        if websocket is not None and isinstance(part, websocket.OriginValidator):
            hosts: Any = getattr(part, "allowed_origins", None)
            if isinstance(hosts, list) and LOOPBACK not in hosts and not any("://" in host for host in hosts):
                hosts.append(LOOPBACK)
                lists.append(hosts)
    try:
        yield
    finally:
        for hosts in lists:
            hosts.remove(LOOPBACK)


def _chain(application: object) -> Iterator[object]:
    """The application and what it wraps, from the outside in, as far as a websocket goes."""
    current: Any = application
    for _ in range(50):
        if current is None:
            return
        yield current
        mapping = getattr(current, "application_mapping", None)
        if isinstance(mapping, dict):
            current = mapping.get("websocket")
        else:
            current = getattr(current, "application", None) or getattr(current, "inner", None)
