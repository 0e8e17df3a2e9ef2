"""The test's own process, redirected to the test's broker and result backend, and restored exactly."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Generator, Mapping
from typing import Any

from ..restoring import MISSING, changed


@contextlib.contextmanager
def redirected(app: Any, conf: Mapping[str, Any]) -> Generator[None]:
    """Within the block, ``app`` has this configuration, and connections, producers and result backend to match.

    Args:
        app: the project's Celery app.
        conf: Celery's settings by their lower-case names.
    """
    # The lazy configuration must be loaded before it is changed: what is set before is merged differently.
    app.conf.finalize()
    with contextlib.ExitStack() as stack:
        stack.enter_context(changed(os.environ, _url_variables(conf)))
        stack.enter_context(_overlay(app, conf))
        stack.enter_context(_fresh_connections(app))
        yield


def _url_variables(conf: Mapping[str, Any]) -> dict[str, Any]:
    # celery/app/utils.py, Settings: these variables win over every configuration (5.5–5.7).
    wins = {"CELERY_BROKER_URL": "broker_url", "CELERY_RESULT_BACKEND": "result_backend"}
    values = {name: conf.get(key) or MISSING for name, key in wins.items() if name in os.environ}
    return {**values, "CELERY_BROKER_READ_URL": MISSING, "CELERY_BROKER_WRITE_URL": MISSING}


@contextlib.contextmanager
def _overlay(app: Any, conf: Mapping[str, Any]) -> Generator[None]:
    overlay = dict(conf)
    maps = app.conf.maps
    maps.insert(0, overlay)
    try:
        yield
    finally:
        maps[:] = [found for found in maps if found is not overlay]


# --- private API: celery.app.base.Celery, celery.app.amqp.AMQP, seen on celery 5.5–5.7: the app keeps its connections,
# --- producers and result backend, and offers no way to set them aside and put them back.


@contextlib.contextmanager
def _fresh_connections(app: Any) -> Generator[None]:
    amqp = app.amqp
    before = app._pool, amqp._producer_pool, app._local, app._backend_cache
    app._pool = amqp._producer_pool = app._backend_cache = None
    app._local = threading.local()
    try:
        yield
    finally:
        close_connections(app)
        app._pool, amqp._producer_pool, app._local, app._backend_cache = before


def close_connections(app: Any) -> None:
    """Close what the app has open to broker and result backend; the next use opens it again."""
    backend = getattr(app._local, "backend", None) or app._backend_cache
    if backend is not None:
        _close_backend(backend)
    if hasattr(app._local, "backend"):
        del app._local.backend
    app._backend_cache = None
    for pool in (app.amqp._producer_pool, app._pool):
        if pool is not None:
            with contextlib.suppress(Exception):  # a broker that is gone
                pool.force_close_all()
            _forget(pool)
    app._pool = app.amqp._producer_pool = None


def _forget(pool: Any) -> None:
    from kombu import pools

    # kombu keeps one pool for each broker address, for the life of the process.
    for group in (pools.connections, pools.producers):
        for key in [key for key, found in dict.items(group) if found is pool]:
            dict.__delitem__(group, key)


def _close_backend(backend: Any) -> None:
    # A result that outlives the test unsubscribes when it is collected, and would connect once more for that.
    backend.on_result_fulfilled = lambda *args, **kwargs: None
    consumer = getattr(backend, "result_consumer", None)
    with contextlib.suppress(Exception):  # a server that is gone
        if consumer is not None:
            consumer.stop()
    client = vars(backend).get("client")
    with contextlib.suppress(Exception):
        if client is not None:
            client.connection_pool.disconnect()


# --- end of private API ---
