"""The Celery app of the generated scenarios: one fixed module whose tasks do what a scenario says.

A worker process imports it once and reads its scenario from the file of ``FUZZ_SCENARIO`` when it starts; the test's
own process makes an app of its own for each scenario with :func:`app_for`. Whatever happens to a task is written down
by :func:`note`: into the file of ``FUZZ_LOG`` where there are several processes, else into a list.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import celery
from celery import Celery, Task, signals
from celery.exceptions import Ignore, Reject
from kombu import Exchange, Queue

from .values import ERRORS, VALUES

DEFAULT_QUEUE = "main"
PREFIX = "fuzz."

_sink: list[dict[str, Any]] | None = None


def write_into(sink: list[dict[str, Any]] | None) -> None:
    """Let :func:`note` write into a list; into the file again where None."""
    global _sink
    _sink = sink


def note(event: str, task_id: Any, **what: Any) -> None:
    """Write down one thing that has happened to a task."""
    line = json.dumps({"event": event, "id": task_id, **what}, default=repr, sort_keys=True)
    if _sink is not None:
        _sink.append(json.loads(line))
        return
    handle = os.open(os.environ["FUZZ_LOG"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        os.write(handle, line.encode() + b"\n")  # one write, so that lines of several processes do not mix
    finally:
        os.close(handle)


# ------------------------------------------------------------------------------ the app


def app_for(scenario: dict[str, Any]) -> Celery:
    """A fresh app, configured for one scenario."""
    app = Celery("fuzz", set_as_current=False)
    configure(app, scenario)
    return app


def configure(app: Celery, scenario: dict[str, Any]) -> None:
    """Give an app the queues, routes, settings and tasks of one scenario."""
    vars(app).pop("amqp", None)  # it keeps the queues that it was made with
    app.conf.update(
        task_default_queue=DEFAULT_QUEUE,
        task_queues=[_queue(queue) for queue in scenario.get("queues", [{"name": DEFAULT_QUEUE}])],
        task_routes={PREFIX + name: route for name, route in scenario.get("routes", {}).items()},
        broker_connection_retry_on_startup=True,
        worker_cancel_long_running_tasks_on_connection_loss=True,
        worker_hijack_root_logger=False,
        # What is asked after every scenario, and costs a message each.
        worker_send_task_events=False,
        **{"worker_prefetch_multiplier": 4, **scenario.get("conf", {})},
    )
    for name, spec in scenario["tasks"].items():
        _add_task(app, name, spec)
    app.task(name=PREFIX + "errold", shared=False)(_errold(scenario))
    app.task(name=PREFIX + "errnew", shared=False)(_errnew(scenario))
    app.task(name=PREFIX + "errbound", bind=True, shared=False)(_errbound(scenario))


def _queue(queue: dict[str, Any]) -> Queue:
    name = queue["name"]
    arguments = {"x-max-priority": queue["max_priority"]} if "max_priority" in queue else None
    exchange = Exchange(queue["exchange"], type=queue["type"]) if "exchange" in queue else Exchange("")
    if "exchange" not in queue:
        return Queue(name, routing_key=name, queue_arguments=arguments)
    return Queue(name, exchange, routing_key=queue["key"], queue_arguments=arguments)


class Hooked(Task):
    """A task whose hooks are written down, and may fail."""

    abstract = True
    hooks: dict[str, str] = {}

    def _hook(self, name: str, task_id: Any, **what: Any) -> None:
        note(name, task_id, **what)
        if self.hooks.get(name) == "raise":
            raise RuntimeError(f"{name} fails")

    def before_start(self, task_id: Any, args: Any, kwargs: Any) -> None:
        self._hook("before_start", task_id, args=repr(args))

    def on_success(self, retval: Any, task_id: Any, args: Any, kwargs: Any) -> None:
        self._hook("on_success", task_id, result=repr(retval))

    def on_failure(self, exc: Any, task_id: Any, args: Any, kwargs: Any, einfo: Any) -> None:
        self._hook("on_failure", task_id, error=_error(exc))

    def on_retry(self, exc: Any, task_id: Any, args: Any, kwargs: Any, einfo: Any) -> None:
        self._hook("on_retry", task_id, error=_error(exc))

    def after_return(self, status: Any, retval: Any, task_id: Any, args: Any, kwargs: Any, einfo: Any) -> None:
        self._hook("after_return", task_id, state=status, result=_error(retval))


def _add_task(app: Celery, name: str, spec: dict[str, Any]) -> None:
    options = dict(spec.get("options", {}))
    if "autoretry_for" in options:
        options["autoretry_for"] = tuple(
            {"ValueError": ValueError, "Exception": Exception}[e] for e in options["autoretry_for"]
        )
    hooks = dict(spec.get("hooks", {}))
    base = type("HookedTask", (Hooked,), {"abstract": True, "hooks": hooks})

    if spec.get("takes") == "one":

        def function(self: Task, first: Any) -> Any:
            return _body(self, name, spec, (first,))
    else:

        def function(self: Task, *args: Any) -> Any:
            return _body(self, name, spec, args)

    function.__name__ = name
    app.task(name=PREFIX + name, bind=True, base=base, shared=False, **options)(function)


# --------------------------------------------------------------------------- the bodies


def _body(task: Task, name: str, spec: dict[str, Any], args: tuple[Any, ...]) -> Any:
    _meet_fault(name, "before_body")
    note("body", task.request.id, task=name, args=repr(args), request=_request(task.request))
    try:
        result = None
        for operation in spec["does"]:
            result = _OPERATIONS[operation[0]](task, name, args, *operation[1:])
        return result
    finally:
        _meet_fault(name, "after_body")


def _meet_fault(name: str, when: str) -> None:
    """In a real worker: the end that the scenario has planned for the first run of a task."""
    folder = os.environ.get("FUZZ_FAULTS")
    if _sink is not None or not folder:
        return
    for kind in ("kill_worker", "lose_child"):
        file = Path(folder) / f"{name} {kind} {when}"
        if file.exists():
            file.unlink()
            # Not in the moment of its beginning, when the worker may not have acknowledged it yet.
            time.sleep(0.25)
            if kind == "kill_worker":
                os.killpg(os.getpgid(0), signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)


def _return(task: Task, name: str, args: tuple[Any, ...], kind: str) -> Any:
    if kind == "tag":
        return f"{name} was here"
    return args if kind == "args" else VALUES[kind]


def _raise(task: Task, name: str, args: tuple[Any, ...], kind: str) -> None:
    raise ERRORS[kind]()


def _ignore(task: Task, name: str, args: tuple[Any, ...]) -> None:
    raise Ignore("not now")


def _reject(task: Task, name: str, args: tuple[Any, ...], what: str) -> None:
    if what == "requeue once":
        if not task.request.delivery_info.get("redelivered"):
            raise Reject("again", requeue=True)
        return
    raise Reject("no", requeue=False)


def _retry(task: Task, name: str, args: tuple[Any, ...], options: dict[str, Any]) -> None:
    options = dict(options)
    if "exc" in options:
        options["exc"] = ERRORS[options["exc"]]()
    raise task.retry(**options)


def _swallow_retry(task: Task, name: str, args: tuple[Any, ...]) -> str:
    try:
        if not task.request.retries:
            task.retry(countdown=0)
    except Exception:
        pass
    return "swallowed"


def _sleep(task: Task, name: str, args: tuple[Any, ...], seconds: float) -> None:
    time.sleep(seconds)


def _sleep_at_first(task: Task, name: str, args: tuple[Any, ...], seconds: float) -> None:
    if not task.request.delivery_info.get("redelivered"):
        time.sleep(seconds)


def _publish(task: Task, name: str, args: tuple[Any, ...], sig: dict[str, Any]) -> None:
    build(task.app, sig, of=task.request).apply_async()


def _replace(task: Task, name: str, args: tuple[Any, ...], sig: dict[str, Any]) -> None:
    raise task.replace(build(task.app, sig, of=task.request))


def _add_to_chord(task: Task, name: str, args: tuple[Any, ...], sig: dict[str, Any]) -> None:
    task.add_to_chord(build(task.app, sig, of=task.request))


def _state(task: Task, name: str, args: tuple[Any, ...], state: str) -> None:
    task.update_state(state=state, meta={"done": 1})


_OPERATIONS: dict[str, Any] = {
    "return": _return,
    "raise": _raise,
    "ignore": _ignore,
    "reject": _reject,
    "retry": _retry,
    "swallow retry": _swallow_retry,
    "sleep": _sleep,
    "sleep at first": _sleep_at_first,
    "publish": _publish,
    "replace": _replace,
    "add to chord": _add_to_chord,
    "state": _state,
}


def _errold(scenario: dict[str, Any]) -> Any:
    def errold(task_id: Any) -> str:
        note("errback", task_id, kind="old")
        return _errback_end(scenario)

    return errold


def _errnew(scenario: dict[str, Any]) -> Any:
    def errnew(request: Any, exc: Any, traceback: Any) -> str:
        note("errback", request.id, kind="new", error=_error(exc))
        return _errback_end(scenario)

    return errnew


def _errbound(scenario: dict[str, Any]) -> Any:
    def errbound(self: Task, *args: Any) -> str:
        note("errback", self.request.id, kind="bound", args=repr(args))
        return _errback_end(scenario)

    return errbound


def _errback_end(scenario: dict[str, Any]) -> str:
    if scenario.get("errbacks") == "raise":
        raise RuntimeError("the errback fails")
    return "handled"


# -------------------------------------------------------------------------- signatures


def build(app: Celery, sig: dict[str, Any], of: Any = None) -> Any:
    """Make Celery's signature of a scenario's.

    Args:
        app: the app.
        sig: as plain data: a task, or a ``chain``, ``group`` or ``chord`` of others.
        of: the request of the task that publishes it; its ids are then within the ids of that one.
    """

    def identity(sig: dict[str, Any]) -> str:
        if of is None:
            return str(sig["id"])
        again = f"#{of.retries}" if of.retries else ""
        return f"{of.id}{again}{'r' if of.delivery_info.get('redelivered') else ''}/{sig['id']}"

    def make(sig: dict[str, Any]) -> Any:
        if "chain" in sig:
            made = celery.chain(*map(make, sig["chain"]), app=app)
        elif "group" in sig:
            made = celery.group(*map(make, sig["group"]), app=app)
        elif "chord" in sig:
            made = celery.chord(list(map(make, sig["chord"])), make(sig["body"]), app=app)
        else:
            made = app.signature(
                PREFIX + sig["task"],
                args=tuple(VALUES[kind] for kind in sig.get("args", ())),
                immutable=sig.get("immutable", False),
            )
            made.set(**({"task_id": identity(sig)} if "id" in sig else {}), **sig.get("set", {}))
        for linked in sig.get("link", ()):
            made.link(make(linked))
        for linked in sig.get("link_error", ()):
            made.link_error(make(linked))
        return made

    return make(sig)


# ------------------------------------------------------------------- what is written down


def _error(value: Any) -> str:
    return f"{type(value).__name__}: {value}" if isinstance(value, BaseException) else repr(value)


# Of a request: what differs in every process, or tells a moment.
_LEFT_OUT = {"hostname", "logfile", "loglevel", "origin", "id", "_children", "_protected", "children", "task"}
_PRESENCE = ("eta", "expires", "chord", "chain", "callbacks", "errbacks")


def _request(request: Any) -> dict[str, Any]:
    found = {}
    for name in sorted({*vars(type(request)), *vars(request)} - _LEFT_OUT):
        value = getattr(request, name)
        if name.startswith("__") or callable(value) or isinstance(vars(type(request)).get(name), property):
            continue
        found[name] = _short(value) if name in _PRESENCE else value
    return found


def _short(value: Any) -> Any:
    """Instead of a whole signature its task and id; instead of a moment that there is one."""
    if isinstance(value, list | tuple):
        return [_short(each) for each in value]
    if isinstance(value, dict):
        return [value.get("task"), (value.get("options") or {}).get("task_id")]
    return value if value is None else "given"


def _message(headers: dict[str, Any]) -> dict[str, Any]:
    return {
        name: ("given" if value is not None else None) if name in ("eta", "expires") else value
        for name, value in headers.items()
        if name not in ("origin", "id")
    }


def receivers(scenario: dict[str, Any]) -> list[tuple[Any, Any]]:
    """The receivers of Celery's signals which write down what they are told, and fail where the scenario says so."""
    failing = scenario.get("receivers", {})

    def receiver(name: str, told: Any) -> Any:
        def receive(**values: Any) -> None:
            task_id, what = told(values)
            note(name, task_id, **what)
            if failing.get(name) == "raise":
                raise RuntimeError(f"a receiver of {name} fails")

        return receive

    return [(getattr(signals, name), receiver(name, told)) for name, told in _TOLD.items()]


_TOLD: dict[str, Any] = {
    "before_task_publish": lambda v: (
        v["headers"]["id"],
        {
            "task": v["sender"],
            "exchange": str(getattr(v["exchange"], "name", v["exchange"]) or ""),
            "routing_key": v["routing_key"],
            "headers": _message(v["headers"]),
            "properties": v["properties"],
            "body": repr(v["body"][:2]),
        },
    ),
    "after_task_publish": lambda v: (v["headers"]["id"], {"routing_key": v["routing_key"]}),
    "task_received": lambda v: (v["request"].id, {"redelivered": v["request"].delivery_info.get("redelivered")}),
    "task_prerun": lambda v: (v["task_id"], {"args": repr(v["args"])}),
    "task_postrun": lambda v: (v["task_id"], {"state": v["state"], "result": _error(v["retval"])}),
    "task_success": lambda v: (v["sender"].request.id, {"result": repr(v["result"])}),
    "task_failure": lambda v: (v["task_id"], {"error": _error(v["exception"]), "args": repr(v["args"])}),
    "task_retry": lambda v: (v["request"].id, {"reason": _error(v["reason"])}),
    "task_revoked": lambda v: (v["request"].id, {"expired": v["expired"], "terminated": v["terminated"]}),
    "task_internal_error": lambda v: (v["task_id"], {"error": _error(v["exception"])}),
    "task_unknown": lambda v: (v["id"], {"name": v["name"]}),
    "task_rejected": lambda v: ((v["message"].headers or {}).get("id"), {}),
}


# ------------------------------------------------------------------ in a worker process

# What a worker imports only when it starts: once here, and not in each of its forks.
for _module in (
    "celery.app.amqp", "celery.app.control", "celery.app.events", "celery.app.log", "celery.app.routes",
    "celery.backends.redis", "celery.events.dispatcher", "celery.worker.autoscale", "celery.worker.components",
    "celery.worker.consumer.delayed_delivery", "celery.worker.strategy", "billiard.popen_fork", "billiard.heap",
    "billiard.synchronize", "kombu.pidbox", "kombu.transport.pyamqp", "kombu.transport.redis", "kombu.utils.scheduling",
    "concurrent.futures.thread", "encodings.idna", "redis.asyncio",
):  # fmt: skip
    importlib.import_module(_module)

app = Celery("fuzz", set_as_current=False)
_kept: list[Any] = []


@signals.celeryd_init.connect
def _become(**_: Any) -> None:
    path = os.environ.get("FUZZ_SCENARIO")
    if path:
        scenario = json.loads(Path(path).read_text())
        configure(app, scenario)
        for signal_, receiver in receivers(scenario):
            signal_.connect(receiver, weak=False)


@signals.worker_ready.connect
def _show_what_it_has(sender: Any = None, **_: Any) -> None:
    """Write down some fifty times a second what this worker still has to do: nobody outside can see it."""
    if not os.environ.get("FUZZ_SCENARIO"):
        return
    import threading

    from celery.worker import state
    from celery.worker.request import Request

    file = os.open(os.environ["FUZZ_STATUS"], os.O_WRONLY | os.O_CREAT)
    main = threading.get_ident()

    def show() -> None:
        while True:
            now = time.monotonic()
            waits = [entry for entry in list(sender.timer.schedule.queue) if not entry.entry.canceled]
            etas = [w.eta - now for w in waits for a in w.entry.args if isinstance(a, Request)]
            limited = sum(len(bucket.contents) for bucket in sender.task_buckets.values() if bucket)
            soon = sum(eta < 30 for eta in etas)
            # Not only without requests: the last one may be counted as done before it is acknowledged.
            frame = sys._current_frames().get(main)
            # The acknowledgement itself may wait for the next turn of the loop.
            works = frame is None or "eventio" not in frame.f_code.co_filename or bool(sender.hub._ready)
            status = (len(state.reserved_requests), len(state.active_requests), limited, soon, len(etas), int(works))
            os.pwrite(file, json.dumps([os.getpid(), *status]).ljust(80).encode(), 0)
            time.sleep(0.02)

    threading.Thread(target=show, daemon=True).start()
