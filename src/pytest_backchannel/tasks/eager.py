"""Eager mode, made exact: tasks run in-process, raise, and reach no broker.

What Celery's ``task_always_eager`` alone leaves out is added: it holds for every app of the process, for tasks sent by
name, and for what ``app.conf`` was assigned; a connection to a real broker raises; values that eager mode passes on
as they are have to be such that a message could carry them; and everything is as before afterwards.
"""

from __future__ import annotations

import inspect
import sys
import threading
import weakref
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from types import FrameType
from typing import Any

import celery._state
import celery.app.base
import celery.backends.cache
from celery import Celery
from celery.app.amqp import AMQP
from celery.app.backends import BACKEND_ALIASES
from celery.app.task import Task
from celery.backends.cache import CacheBackend
from celery.exceptions import Ignore, Reject, Retry
from kombu import Connection
from kombu import pools as kombu_pools
from kombu.utils.uuid import uuid

from ..active import Slot
from ..errors import AsyncTaskFunction, BackchannelError, RealBrokerContacted, UnknownTask
from ..events import Location, caller, caused_by, current_log
from ..restoring import MISSING, changed, exchange, put, replaced
from .broker_guard import needs_server
from .configuration import overridden
from .eager_records import CalledEagerly, EndedEagerly
from .expect.matching import did_you_mean
from .expect.messages import call_text, cut
from .extensions.batches import is_batch
from .serialising import carry_arguments, check_result
from .stepped.kept.eager_parts import EagerParts, known_parts, parts_of
from .stepped.producing import names_of_settings

#: Celery's result backends that reach no server of their own: they are left as the project has them.
LOCAL_BACKENDS = ("disabled", "django-db", "django-cache", "file", "filesystem")

_OVERRIDES = {"task_always_eager": True, "task_eager_propagates": True}
_state: Any = celery._state  # the type stubs leave out what is private
_pools: Any = kombu_pools
_cache: Any = celery.backends.cache


class EagerMode:
    """Runs tasks when they are called, in this process; a context manager.

    On every Celery app of the process, also on one that is made meanwhile:

    * ``.delay()``, ``.apply_async()``, chains, groups and chords, and ``send_task()`` and signatures by name, run the
      task at once, and raise what it raises. ``self.retry()`` raises ``Retry``.
    * A connection to a real broker raises, and is told at the end of the test where the code caught it.
    * Arguments in a canvas, those of ``.apply()``, and results are checked against the project's serialisers and
      ``accept_content``; a step of a canvas gets them as a worker would.
    * A result backend that is a server is replaced by one in memory, empty.

    Args:
        reuse: whether an app's pool of producers, and its settings as the result backend has read them, are used again
            by the next one, where nothing has changed.

    Raises:
        BackchannelError: eager mode is active already.

    Example:
        >>> with EagerMode():
        ...     assert add.delay(1, 2).get() == 3
    """

    def __init__(self, *, reuse: bool = True) -> None:
        self._reuse = reuse
        self._stack = ExitStack()
        self._apps: weakref.WeakSet[Celery] = weakref.WeakSet()

    def __enter__(self) -> EagerMode:
        if _active.value is not None:
            raise BackchannelError("eager mode is active already: one EagerMode at a time")
        try:
            self._stack.enter_context(_method(Task, "apply", _apply))
            self._stack.enter_context(_method(Celery, "send_task", _send_task))
            self._stack.enter_context(_no_pools(self._kept_parts))
            self._stack.enter_context(replaced(AMQP, "producer_pool", property(self._producer_pool)))
            self._stack.enter_context(_method(Connection, "_establish_connection", _establish_connection))
            self._stack.enter_context(_method(celery.app.base, "_register_app", self._register))
            for app in list(_state._get_active_apps()):
                self._adopt(app, load=True)
        except BaseException:
            self._stack.close()
            raise
        _active.value = self
        self._stack.callback(setattr, _active, "value", None)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stack.close()

    # --- private API: celery._state, celery.app.base.Celery, celery.app.task.Task.apply, kombu.pools and
    # --- kombu.Connection._establish_connection, seen on celery 5.5-5.7 and kombu 5.5-5.7: the apps of a process, and
    # --- what each keeps bound once it was used. tests/unit/tasks/test_eager.py compares all of it before and after.

    def _register(self, app: Celery, *, original: Callable[[Celery], None]) -> None:
        original(app)
        self._adopt(app, load=False)

    def _adopt(self, app: Any, *, load: bool) -> None:
        if app in self._apps:
            return
        self._apps.add(app)
        loaded = load and _loaded(app)
        self._set_aside(app)
        if loaded:
            self._override(app.conf)
        self._override_later(app)

    def _set_aside(self, app: Any) -> None:
        """Take away what the app keeps open or bound, such as its connections and its result backend."""
        own = vars(app)
        make_backend = app._get_backend
        changed: dict[str, Any] = {
            "_pool": None,
            "_backend_cache": None,
            "_local": threading.local(),
            "_get_backend": lambda: _backend(app, make_backend, parts_of(app) if self._reuse else EagerParts()),
        }
        before = exchange(own, changed)
        if "amqp" in own:
            self._stack.callback(setattr, own["amqp"], "_producer_pool", own["amqp"]._producer_pool)
            own["amqp"]._producer_pool = None
        else:
            before["amqp"] = MISSING
        self._stack.callback(_put_back, weakref.ref(app), before)

    def _producer_pool(self, amqp: Any) -> Any:
        app = amqp.app
        if amqp._producer_pool is None and self._reuse and app in self._apps:
            return parts_of(app).producer_pool(app, amqp, lambda: _make_producer_pool(amqp))
        return _make_producer_pool(amqp)

    def _kept_parts(self) -> list[EagerParts]:
        """What the apps keep for a later test; all of it is looked at first."""
        found = [parts for app in self._apps if (parts := known_parts(app)) is not None]
        for parts in found:
            parts.end_test()
        return found

    def _override_later(self, app: Any) -> None:
        """Override the configuration again when the app loads it anew."""

        def configured(sender: Any = None, source: Any = None, **kwargs: Any) -> None:
            self._override(source)

        if app.on_after_configure is not None:  # None while an app of a subclass is still being made
            app.on_after_configure.connect(configured, weak=False)
            self._stack.callback(app.on_after_configure.disconnect, configured)

    def _override(self, conf: Any) -> None:
        self._stack.enter_context(overridden(conf, _OVERRIDES))
        self._stack.enter_context(changed(vars(conf), names_of_settings(conf)))


_active = Slot[EagerMode]("eager mode")


def _loaded(app: Any) -> bool:
    """Bind the app's tasks and load its configuration: what is bound late would keep what holds in this test.

    An app that can't be loaded can't be used either; should it be, its configuration is overridden then.
    """
    try:
        # First, as in a worker: receivers of on_after_configure find no task while an app finalizes.
        app.conf.get("task_always_eager")
        if app.autofinalize:
            app.finalize()
    except Exception:
        return False
    return True


def _put_back(app: weakref.ref[Any], before: dict[str, Any]) -> None:
    target = app()
    if target is not None:
        put(vars(target), before)


def _method(owner: Any, name: str, replacement: Callable[..., Any]) -> AbstractContextManager[None]:
    """Replace a function or method by one that gets the original as ``original=``."""
    original = vars(owner)[name]

    def calls(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        return replacement(*args, original=original, **kwargs)

    return replaced(owner, name, calls)


_make_producer_pool: Any = vars(AMQP)["producer_pool"].fget


@contextmanager
def _no_pools(kept: Callable[[], list[EagerParts]]) -> Generator[None]:
    """Take kombu's pools away: a connection in one of them may be open already.

    Args:
        kept: what may stay open at the end.
    """
    before = {id(group): dict(group) for group in (_pools.connections, _pools.producers)}
    limit = _pools._limit[0]
    for group in (_pools.connections, _pools.producers):
        dict.clear(group)
    try:
        yield
    finally:
        parts = kept()
        for group in (_pools.producers, _pools.connections):
            for pool in dict.values(group):
                if not any(one.keeps(pool) for one in parts):
                    _close_poller(getattr(pool, "connection", None))
                    pool.force_close_all()
            dict.clear(group)
            dict.update(group, before[id(group)])
        _pools._limit[0] = limit


def _close_poller(connection: Any) -> None:
    """Close what kombu's transport for Redis makes with itself, and never closes: a file descriptor of epoll."""
    cycle = getattr(getattr(connection, "_transport", None), "cycle", None)
    poller = getattr(cycle, "poller", None)
    if poller is not None:
        poller.close()


def _backend(app: Any, make: Callable[[], Any], parts: EagerParts) -> Any:
    name = app.backend_cls or app.conf.result_backend
    if not isinstance(name, str):
        return make()
    scheme = name.partition("://")[0]
    kind = scheme.partition("+")[0]
    local = kind in LOCAL_BACKENDS or scheme in ("cache+memory", "cache+dummy") or name in ("cache+memory", "memory")
    if local or kind not in BACKEND_ALIASES or (kind in ("db", "database") and "sqlite" in name):
        return make()
    backend = parts.backend(app, lambda: CacheBackend(app=app, backend="memory://"))
    client = _cache.DummyClient()
    client.cache = {}
    vars(backend)["client"] = client
    return backend


def _establish_connection(connection: Any, *, original: Callable[..., Any]) -> Any:
    __tracebackhide__ = True
    if _active.value is None or not needs_server(connection):
        return original(connection)
    where = caller(3)
    text = (
        f"a test in eager mode connects to a real broker, {connection.as_uri()}"
        + (f", at {where}" if where else "")
        + ".\nTasks run in the process of the test here; what needs a broker is remote control (app.control), a "
        "connection of one's own, or a task that is sent to another queue system. Fix: test that code with "
        "task_queue, which brings a simulated broker, or mark the test celery_integration and use redis_server."
    )
    current_log().problem("real_broker", text, where=where)
    raise RealBrokerContacted(text)


# --- end of private API


def _send_task(
    app: Any, name: str, args: Any = None, kwargs: Any = None, *rest: Any, original: Callable[..., Any], **options: Any
) -> Any:
    __tracebackhide__ = True
    if _active.value is None or not app.conf.task_always_eager:
        return original(app, name, args, kwargs, *rest, **options)
    task = _registered(app, name)
    if rest:
        # countdown, eta, task_id: eager mode has no use for when, and an id is all that is left.
        options = {**dict(zip(("countdown", "eta", "task_id"), rest, strict=False)), **options}
    for name_of_option in ("task_type", "connection", "router", "result_cls", "producer", "publisher"):
        options.pop(name_of_option, None)
    return task.apply_async(args, kwargs, **options)


def _registered(app: Any, name: str) -> Any:
    __tracebackhide__ = True
    if name not in app.tasks:
        # A worker imports every module of tasks when it starts; a test may not have imported this one yet.
        app.loader.import_default_modules()
    if name in app.tasks:
        return app.tasks[name]
    raise UnknownTask(
        f"send_task({name!r}): no task of that name is registered, so that it can't run here, and no worker of this "
        f"project would know it.{did_you_mean(name, app)}\n"
        "If another project's worker runs it, test the call with task_queue.assert_enqueued(...)."
    )


def _apply(
    task: Any, args: Any = None, kwargs: Any = None, *rest: Any, original: Callable[..., Any], **options: Any
) -> Any:
    __tracebackhide__ = True
    app = task._get_app()
    if _active.value is None or not app.conf.task_always_eager:
        return original(task, args, kwargs, *rest, **options)
    called_by = _called_by(sys._getframe(1))
    args, kwargs = _as_carried(task, tuple(args or ()), dict(kwargs or {}), options, called_by)
    options["task_id"] = options.get("task_id") or uuid()
    call = _RecordedCall(task, args, kwargs, options["task_id"], caller(3))
    with caused_by(call.event):
        try:
            result = original(task, args, kwargs, *rest, **options)
        except Exception as error:
            call.raised(error)
            raise
    _refuse_coroutine(task, result._result)
    if result.state == "SUCCESS" and _stores_result(task, app, options):
        check_result(task, result._result)
    call.returned(result)
    return result


def _called_by(frame: FrameType | None) -> tuple[str, str]:
    """The module and function of Celery's that have called ``apply``, by way of whatever others have put around it.

    Where the project has called it, what is found is the tracer that runs the calling task, or nothing.
    """
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module.startswith("celery."):
            return module, frame.f_code.co_name
        frame = frame.f_back
    return "", ""


def _as_carried(
    task: Any, args: tuple[Any, ...], kwargs: dict[str, Any], options: dict[str, Any], called_by: tuple[str, str]
) -> tuple[Any, Any]:
    """The arguments as the task gets them; they are checked against what a message can carry."""
    __tracebackhide__ = True
    if is_batch(task):  # these are no longer what was sent, but what its worker makes of it
        return args, kwargs
    dump = getattr(task, "_dump_pydantic_arguments", None)  # since celery 5.7; apply_async() has done it already
    if dump is not None and called_by != ("celery.app.task", "apply_async"):
        args, kwargs = dump(args, kwargs)
    carried = carry_arguments(task, args, kwargs, options.get("serializer"))
    return carried if called_by[0] == "celery.canvas" else (args, kwargs)


class _RecordedCall:
    """The events of one task that was called."""

    def __init__(self, task: Any, args: Any, kwargs: Any, task_id: str, where: Location | None) -> None:
        self._fields: dict[str, Any] = {"task": task.name, "task_id": task_id}
        self._log = current_log()
        call = call_text(task.name, args, kwargs)
        self.event = self._log.record(CalledEagerly, where=where, call=call, **self._fields)

    def raised(self, error: Exception) -> None:
        """An exception ended it: a signal to Celery, such as ``Retry``, or a failure."""
        if isinstance(error, (Retry, Ignore, Reject)):
            self._ended(type(error).__name__.upper(), str(error))
            return
        if type(error).__name__ == "SynchronousOnlyOperation" or "AsyncToSync" in str(error):
            error.add_note(_IN_A_LOOP.format(self._fields["task"]))
        self._ended("FAILURE", f"{type(error).__name__}: {error}")

    def returned(self, result: Any) -> None:
        """Celery made a result of it: its value, or where it does not propagate the exception."""
        value = result._result
        if result.state == "SUCCESS":
            self._ended("SUCCESS", "" if value is None else cut(repr(value)))
        else:
            self._ended(result.state, f"{type(value).__name__}: {value}")

    def _ended(self, state: str, result: str) -> None:
        self._log.record(EndedEagerly, cause=self.event.id, state=state, result=result, **self._fields)


def _refuse_coroutine(task: Any, value: Any) -> None:
    __tracebackhide__ = True
    if inspect.iscoroutine(value):
        value.close()
        raise AsyncTaskFunction(
            f"{task.name} is async def: Celery does not await it, a worker would run nothing of it. "
            "Fix: make it a plain function that calls async_to_sync(...)."
        )


_IN_A_LOOP = (
    "{} was called inside a running event loop, and celery_eager runs it there, where neither the ORM nor "
    "async_to_sync works. In an async test use task_queue, and `await task_queue.arun()`."
)


def _stores_result(task: Any, app: Any, options: dict[str, Any]) -> bool:
    backend = app.backend_cls or app.conf.result_backend
    ignored = options.get("ignore_result", task.ignore_result)
    return not ignored and bool(backend) and not str(backend).startswith("disabled")
