"""The broker, the workers, every queue and task, and a canary through each queue and back."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Generator, Iterator
from typing import Any

from ...servers.urls import without_secrets
from .expected import Expected, expected_tasks
from .limits import TooSlow, limited
from .live_workers import Workers, ask_workers
from .results import PASSED, Check, Outcome
from .stored_schedule import stored_entries

# Every Celery app has it (celery/app/builtins.py, 5.5–5.7): it returns its arguments and touches nothing.
CANARY = "celery.accumulate"
READY = ("SUCCESS", "FAILURE", "REVOKED")


def apply_time_limits(app: Any, timeout: float) -> None:
    """Tell Celery, kombu and redis-py not to wait longer, nor to try again for ever.

    Args:
        app: the project's Celery app, in the process of the command alone.
        timeout: in seconds.
    """
    app.conf.finalize()
    options = dict(app.conf.broker_transport_options or {})
    if "".join(_broker_urls(app)[:1]).startswith(("redis", "rediss", "sentinel", "valkey")):
        options |= {"socket_timeout": timeout, "socket_connect_timeout": timeout, "max_retries": 1}
    else:
        options |= {"read_timeout": timeout, "write_timeout": timeout}
    overlay = {
        "broker_transport_options": options,
        "broker_connection_timeout": timeout,
        "broker_connection_max_retries": 1,
        "redis_socket_timeout": timeout,
        "redis_socket_connect_timeout": timeout,
        "redis_retry_on_timeout": False,
        "result_backend_always_retry": False,
        "task_always_eager": False,
    }
    app.conf.maps.insert(0, overlay)


def _broker_urls(app: Any) -> list[str]:
    """Where the project publishes: one URL, or several to fail over to; none leaves Celery its default."""
    urls = app.conf.broker_write_url or []
    return [part for url in ([urls] if isinstance(urls, str) else urls) for part in str(url).split(";")]


def celery_checks(app: Any, *, timeout: float, results: bool = True) -> Iterator[Outcome]:
    """Check everything that can be seen of Celery from outside.

    Args:
        app: the project's Celery app.
        timeout: how long each answer may take, in seconds.
        results: whether a result backend is expected; without one, a canary has arrived when a worker has counted it.
    """
    broker = yield from _broker(app, timeout)
    wanted = expected_tasks(app, (yield from stored_entries(app, timeout)))
    if not broker:
        yield Check("worker").skipped("not asked, since there is no broker to ask by")
        return
    queues = _queues(wanted)
    check = Check("worker")
    try:
        workers = limited(lambda: ask_workers(app, queues, timeout), timeout)
    except Exception as error:
        yield check.failed(f"the workers can't be asked: {_say(error)}")
        return
    yield from _live(workers, check)
    if not workers.by_name:
        return
    yield from _queues_served(queues, workers)
    # Celery's own tasks are in every worker, and none lists them.
    yield from _tasks_known(wanted, workers, frozenset(name for name in app.tasks if name.startswith("celery.")))
    if any(expected.beat for expected in wanted):
        yield Check("beat").skipped("whether beat itself runs is not checked: it answers no question")
    yield from _canaries(app, [queue for queue in queues if workers.consuming(queue)], timeout, results)


def _broker(app: Any, timeout: float) -> Generator[Outcome, None, bool]:
    urls = _broker_urls(app)
    # Without one, Celery's default.
    url = "; ".join(map(without_secrets, urls)) or str(app.connection_for_write().as_uri())
    check = Check("broker", url)
    if url.startswith("memory"):
        yield check.failed(
            "it lives in the memory of one process: no worker gets what another process sends",
            "Set broker_url to the Redis or RabbitMQ of the deployment. Are these its settings?",
        )
        return False

    def connect() -> None:
        with app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, interval_start=0, interval_step=0, timeout=timeout)
            # A server that accepts connections and does nothing else is found here.
            connection.default_channel.close()

    try:
        limited(connect, timeout)
    except Exception as error:
        yield check.failed(
            f"no connection: {_say(error)}", "Is the broker up, does its address resolve from here, is the login right?"
        )
        return False
    yield check.passed("answers")
    return True


def _queues(wanted: list[Expected]) -> dict[str, list[str]]:
    queues: dict[str, list[str]] = {}
    for expected in wanted:
        if expected.queue:
            queues.setdefault(expected.queue, []).append(expected.task)
    return queues


def _live(workers: Workers, check: Check) -> Iterator[Outcome]:
    if not workers.by_name:
        yield check.failed(
            "none answers",
            "Is any worker running, on this broker? One whose worker_enable_remote_control is off, and a busy one with "
            "the pool 'solo', do not answer.",
        )
    for worker in sorted(workers.by_name.values(), key=lambda worker: worker.name):
        queues = ", ".join(sorted(worker.queues)) or "nothing"
        yield Outcome("worker", worker.name, PASSED, f"consumes {queues}", seconds=check.seconds)


def _queues_served(queues: dict[str, list[str]], workers: Workers) -> Iterator[Outcome]:
    for queue, tasks in sorted(queues.items()):
        names = [worker.name for worker in workers.consuming(queue)]
        if names:
            yield Check("queue", queue).passed(f"consumed by {', '.join(sorted(names))}")
        else:
            consumed = sorted({name for worker in workers.by_name.values() for name in worker.queues})
            yield Check("queue", queue).failed(
                f"no live worker consumes it, and these tasks go there: {', '.join(sorted(set(tasks)))}",
                f"Start a worker with -Q {queue}, or correct the route; consumed are {', '.join(consumed) or 'none'}.",
            )


def _tasks_known(wanted: list[Expected], workers: Workers, own: frozenset[str]) -> Iterator[Outcome]:
    for expected in wanted:
        check = Check("beat", expected.beat) if expected.beat else Check("task", expected.task)
        if expected.problem:
            fix = "Correct the route, or declare the queue in task_queues."
            yield check.failed(f"it can't be routed: {expected.problem}", fix)
            continue
        if not expected.queue:
            yield check.skipped("its route names an exchange that no declared queue is bound to")
            continue
        consuming = workers.consuming(expected.queue)
        silent = [worker.name for worker in consuming if worker.tasks is None]
        ignorant = [w.name for w in consuming if w.tasks is not None and expected.task not in w.tasks | own]
        named = f"its task {expected.task}" if expected.beat else "it"
        if not consuming:
            yield check.failed(f"goes to the queue {expected.queue!r}, which nobody consumes")
        elif ignorant:
            yield check.failed(
                f"{', '.join(ignorant)} consumes {expected.queue!r} and does not know {named}: "
                "the message is thrown away",
                "Does that worker run older code, or does it not import the task's module?",
            )
        elif silent:
            yield check.skipped(f"{', '.join(silent)} has not said which tasks it knows")
        else:
            yield check.passed(f"known to {', '.join(w.name for w in consuming)}")


# ------------------------------------------------------------------- canaries


def _canaries(app: Any, queues: list[str], timeout: float, results: bool) -> Iterator[Outcome]:
    from celery.backends.base import DisabledBackend

    try:
        disabled = isinstance(limited(lambda: app.backend, timeout), DisabledBackend)
    except Exception as error:
        yield Check("results").failed(f"the result backend can't be loaded: {_say(error)}")
        return
    if results and disabled:
        yield Check("results").failed(
            "there is no result backend: chords never end and .get() has nothing to wait for",
            "Set result_backend, or say --no-results if that is meant.",
        )
    way = _by_result if results and not disabled else _by_count
    for queue in sorted(queues):
        yield _canary(app, queue, way, timeout)


def _canary(app: Any, queue: str, way: Callable[[Any, str, float], str], timeout: float) -> Outcome:
    check = Check("canary", queue)
    try:
        found = limited(lambda: way(app, queue, timeout), timeout)
    except Exception as error:
        late = isinstance(error, TooSlow) or type(error).__name__ == "TimeoutError"
        text = f"has not come back within {timeout:g} s" if late else f"lost: {_say(error)}"
        waiting = _waiting(app, queue, timeout) if late else None
        if waiting:
            text += f"; {waiting} messages wait in the queue"
        return check.failed(
            text, "Is every process of the worker busy, or is the result backend not the one that the worker writes to?"
        )
    return check.passed(f"{found} in {check.seconds:.2f} s")


def _send(app: Any, queue: str, token: str, timeout: float, **options: Any) -> Any:
    # It expires: one that nobody takes now is thrown away by whoever takes it later.
    return app.send_task(
        CANARY, args=(token,), kwargs={"index": 0}, queue=queue, expires=timeout + 5, retry=False, **options
    )


def _by_result(app: Any, queue: str, timeout: float) -> str:
    token = uuid.uuid4().hex
    result = _send(app, queue, token, timeout, ignore_result=False)
    try:
        if not str(app.conf.result_backend).startswith("rpc"):
            # What is stored, and not what is announced: Redis announces results across its databases, and a .get() here
            # would succeed where everybody else finds nothing.
            _stored(result, timeout)
        found = result.get(timeout=timeout, interval=0.1, disable_sync_subtasks=False)
    finally:
        result.forget()
    if found != token:
        raise ValueError("it came back as something else")
    return "came back"


def _stored(result: Any, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while result.backend.get_task_meta(result.id, cache=False)["status"] not in READY:
        if time.monotonic() > deadline:
            raise TooSlow
        time.sleep(0.02)


def _by_count(app: Any, queue: str, timeout: float) -> str:
    deadline = time.monotonic() + timeout
    before = _count(app)
    _send(app, queue, uuid.uuid4().hex, timeout, ignore_result=True)
    while time.monotonic() < deadline:
        if _count(app) > before:
            return "was counted by a worker"
    raise TooSlow


def _count(app: Any) -> int:
    replies = app.control.inspect(timeout=0.5).stats() or {}
    return sum(int(stats.get("total", {}).get(CANARY, 0)) for stats in replies.values())


def _waiting(app: Any, queue: str, timeout: float) -> int | None:
    def count() -> int:
        with app.connection_for_read() as connection:
            return int(connection.default_channel.queue_declare(queue, passive=True).message_count)

    try:
        return limited(count, timeout)
    except Exception:
        return None


def _say(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
