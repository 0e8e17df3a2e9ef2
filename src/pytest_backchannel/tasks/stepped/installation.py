"""Puts the simulated broker and a backend in the place of a Celery app's own, and puts everything back exactly."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, ExitStack
from datetime import UTC, datetime
from typing import Any

from celery import _state
from celery.result import task_join_will_block
from celery.worker import state as worker_state
from celery.worker.request import Request
from kombu import pools
from kombu.utils.imports import symbol_by_name

from ...active import tracked
from ...restoring import MISSING, Wrapper, changed, kept, put
from ..configuration import overridden
from ..extensions.worker_boot import Steps, plain_steps
from .kept.kit import Kit
from .producing import AROUND_SEND, AroundSend, keeping_connections, names_of_settings
from .transport import connect

# Settings that differ while the stepped worker is active, each with its reason.
OVERRIDES: dict[str, Any] = {
    "task_always_eager": False,  # the test settings often say True, and then nothing would be enqueued
    "broker_connection_retry_on_startup": False,  # left unset, Celery warns at each start of a worker
    "worker_state_db": None,  # a file that would outlive the test
    "worker_pool_restarts": False,
}

# What a task keeps of a setting when it is bound, by the setting (celery.app.task.Task.from_config, seen on celery
# 5.5–5.7; the time limits are there from 5.7 on, and have no effect before).
BOUND = {
    "task_serializer": "serializer",
    "task_time_limit": "time_limit",
    "task_soft_time_limit": "soft_time_limit",
}


class Installation:
    """One app, redirected; a context manager.

    Args:
        app: the Celery app.
        transport: the transport class of the simulated broker.
        backend: makes the result backend, once the app is redirected.
        kit: what is kept of an earlier queue, and for a later one; None keeps nothing.
        around_send: called in place of the app's ``AMQP.send_task_message``, with that one before its arguments.
        settings: further settings that hold while it is active, by Celery's own names.

    Attributes:
        steps: the app's own boot steps, of which it has only those that run meanwhile.
    """

    def __init__(
        self,
        app: Any,
        transport: Any,
        backend: Callable[[], Any],
        *,
        kit: Kit | None = None,
        around_send: AroundSend | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.app = app
        self._settings = settings or {}
        self.transport = transport
        self._make_backend = backend
        self.kit = kit
        self._around_send = around_send
        # Its own, also where this queue is inside of another one for the same app.
        self.amqp_cls: Any = next((other.amqp_cls for other in _installed if other.app is app), app.amqp_cls)
        self.steps: Steps = {}
        self._stack = ExitStack()
        self._traced: dict[Any, dict[str, Any]] = {}
        self._limits: dict[Any, dict[str, Any]] = {}

    # --- private API: celery.Celery and kombu.pools, seen on celery 5.5–5.7 and kombu 5.5–5.7: what an app, its
    # --- configuration and kombu's pools keep bound once it was used; there is no public way to redirect an app that
    # --- is in use already. tests/unit/tasks/test_installation.py compares all of it before and after.

    def __enter__(self) -> Installation:
        app, stack = self.app, self._stack
        # Bind the tasks and load the lazy configuration before anything is changed: what is bound late would keep
        # the changed values.
        # The configuration first, as in a worker: receivers of on_after_configure find no task while an app finalizes.
        conf = app.conf
        conf.get("task_always_eager")
        app.finalize()
        try:
            _installed.append(self)
            stack.callback(_installed.remove, self)
            # A worker's start writes it.
            stack.callback(put, conf.changes, kept(conf.changes, [conf._key("include")]))
            before = {name: conf.get(name) for name in BOUND if name in self._settings}
            stack.enter_context(overridden(conf, {**self._settings, **OVERRIDES}))
            for name, value in before.items():
                self._override_tasks(stack, BOUND[name], value, self._settings[name])
            observers = conf._observers
            stack.callback(observers.__setitem__, slice(None), list(observers))
            stack.callback(self._close_pools, pools._limit[0])
            self.steps = app.steps
            stack.enter_context(changed(vars(app), self._redirected()))
            stack.enter_context(changed(vars(conf), names_of_settings(conf)))
            for quiet in _quiet_django(app):
                stack.enter_context(quiet)
            stack.callback(_state._set_task_join_will_block, task_join_will_block())
            stack.callback(_WorkerState().put_back)
            stack.enter_context(_expiry.in_place())
            stack.callback(self._restore, self._traced)
            stack.callback(self._restore, self._limits)
        except BaseException:
            stack.close()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stack.close()

    def _override_tasks(self, stack: ExitStack, attribute: str, before: Any, value: Any) -> None:
        """Give a task the setting that it has of the app's, and not of its own."""
        for task in self.app.tasks.values():
            if getattr(task, attribute, None) == before:
                stack.enter_context(changed(vars(task), {attribute: value}))

    def _redirected(self) -> dict[str, Any]:
        """What an app keeps bound, replaced, or taken away to be made anew."""
        return {
            "_pool": None,
            "_backend_cache": None,
            "_local": threading.local(),
            "steps": plain_steps(self.steps),
            "use_fast_trace_task": True,
            "_get_backend": lambda: self.backend,
            "amqp": MISSING,
            "amqp_cls": f"{__name__}:amqp_of",  # by its name, for an app can be pickled
            "control": MISSING,
            AROUND_SEND: self._around_send,
        }

    @functools.cached_property
    def backend(self) -> Any:
        """The result backend, made when somebody first asks for it: it keeps many settings from then on."""
        return self._make_backend()

    def make_amqp(self) -> Any:
        """The app's AMQP, redirected, when somebody first asks for it: it keeps many settings from then on."""
        kept = self.kit.take_amqp() if self.kit is not None else None
        return self._new_amqp(self.transport) if kept is None else kept

    def _new_amqp(self, transport: Any) -> Any:
        kind: Any = symbol_by_name(self.amqp_cls)
        amqp = (keeping_connections(kind) if isinstance(kind, type) else kind)(app=self.app)
        amqp.Connection = lambda *args, **kwargs: connect(transport)
        if self.kit is not None:
            vars(self.app)["amqp"] = amqp
            self.kit.keep_amqp(amqp)
        return amqp

    def as_current(self) -> AbstractContextManager[None]:
        """Make the app the current one of this thread, as it is in a worker process."""
        return changed(vars(_state._tls), {"current_app": self.app})

    def trace(self, task: Any, tracer: Any) -> None:
        """Give a task the tracer of the stepped worker."""
        self._traced.setdefault(task, kept(vars(task), ["__trace__"]))
        task.__trace__ = tracer

    def forget_revoked(self) -> None:
        """Forget which tasks are revoked, as a new process does that has no other worker to ask."""
        worker_state.revoked.clear()
        worker_state.revoked_stamps.clear()
        worker_state.successful_requests.clear()

    def keep_limits(self) -> None:
        """Remember the limits of all tasks: remote control is about to come, which may set them on the task itself."""
        if not self._limits:
            names = ("rate_limit", "soft_time_limit", "time_limit")
            self._limits.update({task: kept(vars(task), names) for task in self.app.tasks.values()})

    @staticmethod
    def _restore(tasks: dict[Any, dict[str, Any]]) -> None:
        for task, before in tasks.items():
            put(vars(task), before)
        tasks.clear()

    def _close_pools(self, limit: int) -> None:
        for group in (pools.producers, pools.connections):
            for key, pool in list(dict.items(group)):
                connections = getattr(pool, "connections", pool)
                if connections.connection.transport_cls is self.transport:
                    if self.kit is None or not self.kit.keeps(pool):
                        pool.force_close_all()
                    dict.pop(group, key, None)
        pools._limit[0] = limit


_installed: list[Installation] = tracked("stepped apps", [])


def is_installed(app: Any) -> bool:
    """Whether an app is redirected now, so that its tasks are run by the stepped worker."""
    return any(installation.app is app for installation in _installed)


def amqp_of(app: Any) -> Any:
    """What an app calls for its AMQP, while it is redirected."""
    return next(installation for installation in reversed(_installed) if installation.app is app).make_amqp()


class _NullFixup:
    """Takes the place of celery.fixups.django.DjangoWorkerFixup.

    That one closes the database connections and the caches around each task, and so would close the test's own, in
    the middle of its transaction; and it runs Django's system checks at the start of a worker.
    """

    worker = None

    def install(self) -> _NullFixup:
        return self

    def validate_models(self) -> None:
        pass


def _quiet_django(app: Any) -> Generator[AbstractContextManager[None]]:
    for fixup in app._fixups:
        if not hasattr(fixup, "_worker_fixup"):
            continue
        installed = fixup._worker_fixup
        if installed is not None:
            # A real worker was started in this process before: its signal receivers are still connected.
            quiet = {"close_database": lambda **kwargs: None, "close_cache": lambda: None}
            yield changed(vars(installed), quiet)
        yield changed(vars(fixup), {"_worker_fixup": _NullFixup()})


def _at_its_moment(before: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Let a task expire at its very moment: virtual time can stand there, and real time is past it by then."""

    def maybe_expire(request: Any) -> Any:
        if before(request):
            return True
        expires = request.expires
        if expires and datetime.now(UTC if expires.tzinfo else None) >= expires:
            worker_state.revoked.add(request.id)
            return True
        return None

    return maybe_expire


_expiry = Wrapper(Request, "maybe_expire", _at_its_moment)


class _WorkerState:
    """What Celery keeps of all workers in a process, to be put back."""

    def __init__(self) -> None:
        self._mappings = [
            (mapping, dict(mapping))
            for mapping in (worker_state.requests, worker_state.total_count, worker_state.revoked_stamps)
        ]
        self._revoked = list(worker_state.revoked)
        self._successful = list(worker_state.successful_requests)
        self._total = worker_state.all_total_count[:]

    def put_back(self) -> None:
        """Leave it as it was."""
        worker_state.reset_state()
        for mapping, old in self._mappings:
            mapping.update(old)
        worker_state.revoked.update(self._revoked)
        worker_state.successful_requests.update(self._successful)
        worker_state.all_total_count[:] = self._total


# --- end of private API
