"""Result backends that behave as the project's configured kind does, in memory, and step the worker in ``get()``.

* ``redis``: Celery's own ``RedisBackend``, over a dictionary or fakeredis (redis_results.py). Chords are joined in
  Redis itself, so that one whose header has ``ignore_result`` works there, and only there.
* ``django-db``, ``django-cache``: those of django-celery-results, where it is installed in the tests' settings, too.
* ``cache``, ``memcached``, ``dynamodb`` … : Celery's own key-value backend with a counter for chords.
* ``db``, ``mongodb``, ``file`` …: no counter; a chord polls with ``celery.chord_unlock``.
* ``rpc``: no chords at all.
* ``disabled``: nothing is stored; ``get()`` says so.

Source: celery 5.5 to 5.7, ``celery/backends/``.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import Any, Protocol

from celery import states
from celery.backends.base import DisabledBackend, KeyValueStoreBackend
from celery.result import ResultSet

from ...errors import BackchannelError, ResultUnavailable
from ..extensions import django_results
from .redis_results import ResultsClient

REDIS = ("redis", "rediss", "sentinel")
RPC = ("rpc", "amqp")
POLLING = (
    "db", "database", "sqlalchemy", "mongodb", "file", "filesystem", "cassandra", "elasticsearch", "couchdb",
    "couchbase", "cosmosdbsql", "azureblockblob", "s3", "consul", "arangodb",
)  # fmt: skip


class Stepper(Protocol):
    """Who makes the worker work while somebody waits for a result."""

    def wait_until(self, timeout: float | None) -> float | None:
        """The moment at which a wait that begins now is over, in seconds since the epoch; None without a timeout."""

    def wait_step(self, task_id: str, until: float | None = None) -> None:
        """Do one step, moving time as far as the moment ``until``; or raise the reason why the result does not come."""

    def looked_at(self, task_id: str) -> None:
        """Somebody asked for the state of a task."""


class Stepped:
    """What every backend here does instead of sleeping."""

    stepper: Stepper
    is_async = False

    # --- private API: celery.backends.base.Backend and celery.result, seen on celery 5.5–5.7: these are the methods
    # --- by which AsyncResult.get(), GroupResult.get() and chords wait.

    def wait_for(
        self,
        task_id: str,
        timeout: float | None = None,
        on_interval: Callable[[], Any] | None = None,
        until: float | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """The stored meta data, once it is ready."""
        if until is None:
            until = self.stepper.wait_until(timeout)
        while True:
            meta: dict[str, Any] = self.get_task_meta(task_id)
            if meta["status"] in states.READY_STATES:
                return meta
            if on_interval is not None:
                on_interval()
            self.stepper.wait_step(task_id, until)

    def wait_for_pending(
        self,
        result: Any,
        callback: Callable[..., Any] | None = None,
        propagate: bool = True,
        on_message: Callable[..., Any] | None = None,
        on_interval: Callable[[], Any] | None = None,
        timeout: float | None = None,
        **kwargs: Any,
    ) -> Any:
        """What ``AsyncResult.get()`` calls."""
        meta = self.wait_for(result.id, timeout=timeout, on_interval=on_interval)
        if on_message is not None:
            on_message(meta)
        result._maybe_set_cache(meta)
        return result.maybe_throw(propagate=propagate, callback=callback)

    def iter_native(
        self, result: Any, timeout: float | None = None, on_message: Any = None, **kwargs: Any
    ) -> Iterator[tuple[str, Any]]:
        """What ``GroupResult.get()`` and the join of a chord call."""
        until = self.stepper.wait_until(timeout)
        for node in result.results:
            if isinstance(node, ResultSet):
                yield node.id, node.results
            else:
                meta = self.wait_for(node.id, until=until)
                if on_message is not None:
                    on_message(meta)
                yield node.id, meta

    def add_pending_result(self, result: Any, *args: Any, **kwargs: Any) -> Any:
        """Nothing listens in the background."""
        return result

    def add_pending_results(self, results: Any, *args: Any, **kwargs: Any) -> Any:
        """Nothing listens in the background."""
        return results

    def remove_pending_result(self, result: Any) -> Any:
        """Nothing listens in the background."""
        return result

    def get_task_meta(self, task_id: str, cache: bool = True) -> Any:
        """The stored meta data: the test has looked at this task."""
        self.stepper.looked_at(task_id)
        return super().get_task_meta(task_id, cache=cache)  # type: ignore[misc]

    # --- end of private API


class MemoryBackend(Stepped, KeyValueStoreBackend):
    """Celery's key-value backend over a dictionary, with a counter for chords."""

    implements_incr = True
    forgets = True
    supports_native_join = True
    supports_autoexpire = True

    def __init__(self, **kwargs: Any) -> None:
        self._store: dict[Any, Any] = {}
        self._until: dict[Any, float] = {}
        # While a part of a chord counts: the ids of the header, as stored and as restored.
        self._counting = False
        self._header: tuple[Any, Any] | None = None
        super().__init__(**kwargs)

    def get(self, key: Any) -> Any:
        """One value, or None."""
        if self._until.get(key, math.inf) <= time.time():
            self.delete(key)
        return self._store.get(key)

    def mget(self, keys: Any) -> Any:
        """The values of several keys."""
        return {key: value for key in keys if (value := self.get(key)) is not None}

    def set(self, key: Any, value: Any) -> None:
        """Keep one value, for as long as ``result_expires`` says where the backend forgets by itself."""
        self._store[key] = value
        if self.forgets and self.expires:
            self._until[key] = time.time() + self.expires

    def delete(self, key: Any) -> None:
        """Forget one value."""
        self._store.pop(key, None)
        self._until.pop(key, None)

    # --- private API: celery.backends.base.KeyValueStoreBackend, seen on celery 5.5–5.7: each part of a chord restores
    # --- the whole header, only to know how many parts it has.

    def on_chord_part_return(self, request: Any, state: Any, result: Any, **kwargs: Any) -> None:
        """Count a part, and send the body after the last one."""
        self._counting = True
        try:
            super().on_chord_part_return(request, state, result, **kwargs)
        finally:
            self._counting = False

    def _restore_group(self, group_id: Any) -> Any:
        if not self._counting:
            return super()._restore_group(group_id)
        stored = self.get(self.get_key_for_group(group_id))
        if stored is None or self._header is None or self._header[0] is not stored:
            self._header = stored, super()._restore_group(group_id)
        return self._header[1]

    # --- end of private API

    def incr(self, key: Any) -> int:
        """Count one up."""
        self._store[key] = self._store.get(key, 0) + 1
        return int(self._store[key])

    def as_uri(self, include_password: bool = False) -> str:
        """What Celery prints as its address."""
        return "cache+memory://"


class PollingBackend(MemoryBackend):
    """The same without a counter: a chord waits by ``celery.chord_unlock``, which retries every second."""

    implements_incr = False
    forgets = False  # it is the task celery.backend_cleanup that deletes what is old


class RpcBackend(MemoryBackend):
    """The same without chords."""

    forgets = False

    def ensure_chords_allowed(self) -> None:
        """Refuse, with the words of Celery's rpc backend."""
        from celery.backends.rpc import E_NO_CHORD_SUPPORT

        raise NotImplementedError(E_NO_CHORD_SUPPORT.strip())


class NoBackend(Stepped, DisabledBackend):
    """The project stores no results."""

    def get_task_meta(self, task_id: str, cache: bool = True) -> Any:
        """Raise the reason: there is nothing to read.

        Raises:
            ResultUnavailable: always.
        """
        raise ResultUnavailable(
            f"the result of task {task_id} can't be read: no result backend is configured (CELERY_RESULT_BACKEND is "
            "empty in the settings that count). In production this call fails as well. Look at "
            "task_queue.succeeded and task_queue.failures instead, or configure a result backend."
        )

    get_state = get_status = get_result = get_traceback = get_task_meta

    def wait_for(self, task_id: str, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Raise the reason."""
        meta: dict[str, Any] = self.get_task_meta(task_id)
        return meta


def backend_for(kind: str, app: Any) -> Any:
    """The backend of one kind; its ``stepper`` is to be set.

    Args:
        kind: the kind, as in Celery's URLs: ``redis``, ``rpc``, ``cache``, ``db``, ``disabled`` …
        app: the Celery app.

    Raises:
        BackchannelError: the kind is ``redis``, and fakeredis or lupa is missing.
    """
    return _class_for(kind)(app=app)


#: What backends of one kind may share: they do not change it.
SHARED = ("app", "result_consumer", "connparams")


def _class_for(kind: str) -> Any:
    if kind in django_results.KINDS and (found := django_results.django_class(kind, Stepped)) is not None:
        return found
    if kind in REDIS:
        return _redis_class()
    if kind == "disabled":
        return NoBackend
    if kind in RPC:
        return RpcBackend
    return PollingBackend if kind in POLLING else MemoryBackend


@functools.cache
def _redis_class() -> type:
    try:
        import_module("lupa")  # without it, fakeredis knows no scripts, and Celery's chords are scripts
        import fakeredis
        from celery.backends.redis import RedisBackend
    except ImportError as error:
        raise BackchannelError(
            f"the project stores results in Redis, and its double needs fakeredis and lupa: {error}. "
            "Fix: pip install 'pytest-backchannel[celery]' 'celery[redis]'"
        ) from error

    class _Idle:
        """Nothing waits for Redis: the stepped worker is asked instead."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            pass

        def consume_from(self, task_id: Any) -> None:
            """Of each task that is enqueued."""

        def __getattr__(self, name: str) -> Callable[..., None]:
            return lambda *args, **kwargs: None

    class SteppedRedisBackend(Stepped, RedisBackend):
        """Celery's own Redis backend over a dictionary, and over fakeredis for more than plain results."""

        ResultConsumer: Any = _Idle

        # --- private API: celery.backends.redis.RedisBackend, seen on celery 5.5–5.7: where it gets its client, and
        # --- how it stores one result.

        def _create_client(self, **params: Mapping[str, Any]) -> Any:
            return ResultsClient(lambda: fakeredis.FakeStrictRedis(server=fakeredis.FakeServer()))

        def ensure(self, fun: Callable[..., Any], args: Any, **policy: Any) -> Any:
            return fun(*args)  # a dictionary does not lose its connection

        def _set(self, key: Any, value: Any, *expires: Any) -> None:
            # Celery's own calls SETEX, of which redis-py 8 warns, and publishes for listeners that do not exist here.
            # Celery 5.7 hands over that of this one result, or None.
            seconds = expires[0] if expires and expires[0] is not None else self.expires
            self.client.set(key, value, ex=seconds or None)

        # --- end of private API

    return SteppedRedisBackend
