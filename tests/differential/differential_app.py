"""The Celery app of the differential suite: a worker process can import it, and so can the tests.

Each task writes a line into the file of ``DIFFERENTIAL_EFFECTS`` when its body runs, so that bodies are counted
wherever they run. Where ``DIFFERENTIAL_PLAN`` names a file, a body that finds itself there does what the plan says:
it kills its worker, or itself, or stays too long. That is for real worker processes; in the stepped worker the test
arms the same faults by the queue's own methods.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from pathlib import Path

from celery import Celery, Task, chain, chord, group
from celery.exceptions import Ignore, Reject, SoftTimeLimitExceeded
from kombu import Exchange, Queue

app = Celery(
    "differential",
    broker=os.environ.get("DIFFERENTIAL_BROKER", "memory://"),
    backend=os.environ.get("DIFFERENTIAL_BACKEND", "cache+memory://"),
    set_as_current=False,
)
TOPIC = Exchange("differential_topic", type="topic")
app.conf.update(
    task_default_queue="differential",
    task_queues=[
        Queue("differential", routing_key="differential"),
        Queue("other", routing_key="other"),
        Queue("ranked", routing_key="ranked", queue_arguments={"x-max-priority": 9}),
        Queue("topic_begin", TOPIC, routing_key="a.#"),
        Queue("topic_end", TOPIC, routing_key="*.c"),
    ],
    task_routes={
        "differential.routed": {"queue": "other"},
        "differential.ranked": {"queue": "ranked"},
        "differential.spawns": {"queue": "ranked"},
    },
    broker_connection_retry_on_startup=True,
    worker_prefetch_multiplier=1,
    broker_transport_options=json.loads(os.environ.get("DIFFERENTIAL_BROKER_OPTIONS", "{}")),
)


def note(*what):
    """Write one side effect."""
    path = os.environ.get("DIFFERENTIAL_EFFECTS")
    if path:
        line = json.dumps(what).encode() + b"\n"
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            os.write(handle, line)
        finally:
            os.close(handle)


@contextlib.contextmanager
def body(name, *what):
    """The body of a task: counted, and the place where a real process meets its planned end."""
    _meet(name, "before_body")
    note(name, *what)
    yield
    _meet(name, "after_body")


def _meet(name, when):
    path = os.environ.get("DIFFERENTIAL_PLAN")
    if not path or not Path(path).exists():
        return
    plan = json.loads(Path(path).read_text())
    if (plan["task"], plan["when"]) != (name, when):
        return
    Path(path).unlink()  # once
    if plan["kind"] == "kill_worker":
        os.kill(os.getppid(), signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)
    elif plan["kind"] == "lose_child":
        os.kill(os.getpid(), signal.SIGKILL)
    else:  # time_limit
        time.sleep(60)


def task(name, **options):
    return app.task(name=f"differential.{name}", **options)


@task("early")
def early(x=0):
    with body("early", x):
        return x


@task("late", acks_late=True)
def late(x=0):
    with body("late", x):
        return x


@task("late_again", acks_late=True, reject_on_worker_lost=True)
def late_again(x=0):
    with body("late_again", x):
        return x


@task("limited", time_limit=2)
def limited():
    with body("limited"):
        return "done"


@task("limited_late", time_limit=2, acks_late=True)
def limited_late():
    with body("limited_late"):
        return "done"


@task("slow", soft_time_limit=1)
def slow():
    with body("slow"):
        try:
            time.sleep(5)
        except SoftTimeLimitExceeded:
            note("cleaned up")
            return "cut short"
        return "finished"


@task("slow_and_deaf", soft_time_limit=1)
def slow_and_deaf():
    with body("slow_and_deaf"):
        time.sleep(5)


@task("add")
def add(x, y):
    with body("add", x, y):
        return x + y


@task("total")
def total(numbers):
    with body("total", numbers):
        return sum(numbers)


@task("boom")
def boom(*args):
    with body("boom"):
        raise ValueError("boom")


@task("seen")
def seen(*args):
    with body("seen"):
        return "seen"


@task("errback")
def errback(task_id):
    with body("errback"):
        return


@task("twice_then_fine", bind=True, max_retries=3)
def twice_then_fine(self):
    with body("twice_then_fine", self.request.retries):
        if self.request.retries < 2:
            raise self.retry(exc=ValueError("not yet"), countdown=1)
        return "fine"


@task("hopeless", bind=True, max_retries=2)
def hopeless(self):
    with body("hopeless", self.request.retries):
        raise self.retry(exc=ValueError("never"), countdown=0)


@task("auto", autoretry_for=(ValueError,), retry_backoff=1, retry_jitter=False, max_retries=2)
def auto():
    with body("auto"):
        raise ValueError("always")


@task("swallows", bind=True, max_retries=1)
def swallows(self):
    with body("swallows", self.request.retries):
        try:
            if self.request.retries == 0:
                self.retry(countdown=0)
        except Exception:
            pass
        return "ended"


@task("reject")
def reject():
    with body("reject"):
        raise Reject("no", requeue=False)


@task("reject_late", acks_late=True)
def reject_late():
    with body("reject_late"):
        raise Reject("no", requeue=False)


@task("requeue_early")
def requeue_early():
    with body("requeue_early"):
        raise Reject("again", requeue=True)


@task("requeue_once", bind=True, acks_late=True)
def requeue_once(self):
    with body("requeue_once"):
        if not self.request.delivery_info["redelivered"]:
            raise Reject("again", requeue=True)
        return "done"


@task("ignore")
def ignore():
    with body("ignore"):
        raise Ignore


@task("routed")
def routed():
    with body("routed"):
        return


@task("a_set")
def a_set():
    with body("a_set"):
        return {1, 2}


class Thing:
    """What no serialiser knows."""


@task("a_thing")
def a_thing():
    with body("a_thing"):
        return Thing()


@task("waits_inside")
def waits_inside():
    with body("waits_inside"):
        return add.delay(1, 1).get(timeout=1)


@task("replaced", bind=True)
def replaced(self):
    with body("replaced"):
        raise self.replace(chain(add.s(1, 1), add.s(2)))


@task("expanded", bind=True)
def expanded(self):
    with body("expanded"):
        return self.add_to_chord(add.s(2, 2))


@task("rated", rate_limit="60/m")
def rated(x):
    with body("rated", x):
        return x


@task("unstored", ignore_result=True)
def unstored():
    with body("unstored"):
        return "unstored"


@task("ranked")
def ranked(x):
    with body("ranked", x):
        return x


@task("loose", typing=False)
def loose(x):
    with body("loose"):
        return x


@task("exits")
def exits():
    with body("exits"):
        raise SystemExit(3)


class Hooked(Task):
    """Notes when Celery calls its handlers."""

    def before_start(self, *args):
        note("before_start")

    def on_failure(self, exc, *args):
        note("on_failure", type(exc).__name__, repr(exc.args))

    def after_return(self, status, *args):
        note("after_return", status)


class BadFailure(Task):
    """Its handler fails."""

    def on_failure(self, *args):
        note("on_failure")
        raise RuntimeError("on_failure")


class BadSuccess(Task):
    """Its handler fails."""

    def on_success(self, *args):
        note("on_success")
        raise RuntimeError("on_success")


class Odd(BaseException):
    """No Exception."""


@task("limited_hooked", base=Hooked, time_limit=1)
def limited_hooked():
    with body("limited_hooked"):
        try:
            time.sleep(4)
        finally:
            note("unwound")


@task("slow_hooked", base=Hooked, soft_time_limit=1)
def slow_hooked():
    with body("slow_hooked"):
        time.sleep(4)


@task("tracked", base=Hooked, track_started=True)
def tracked():
    with body("tracked"):
        return "tracked"


@task("fails_badly", base=BadFailure)
def fails_badly():
    with body("fails_badly"):
        raise ValueError("body")


@task("succeeds_badly", base=BadSuccess)
def succeeds_badly():
    with body("succeeds_badly"):
        return "fine"


@task("odd")
def odd():
    with body("odd"):
        raise Odd("odd")


@task("spawns")
def spawns(x):
    with body("ranked", x):
        time.sleep(0.5)
        ranked.apply_async(("child",), priority=9)


@task("outlives", bind=True, acks_late=True)
def outlives(self):
    with body("outlives"):
        if not self.request.delivery_info["redelivered"]:
            time.sleep(4.5)


@task("asks", bind=True)
def asks(self):
    with body("asks"):
        note("asked", self.request.delivery_info["priority"], sorted(self.request.properties))


# ------------------------------------------------------------------ workflows

WORKFLOWS = {
    "chain": lambda: chain(add.s(1, 1), add.s(2), add.s(3)),
    "chain_fails": lambda: chain(add.s(1, 1), boom.s(), seen.s()).on_error(errback.s()),
    "chain_passes_a_set": lambda: chain(a_set.s(), seen.s()),
    "group": lambda: group(add.s(1, 1), add.s(2, 2)),
    "chord": lambda: chord([add.s(1, 1), add.s(2, 2)], total.s()),
    "chord_fails": lambda: chord([add.s(1, 1), boom.s()], total.s().on_error(errback.s())),
    "chord_of_chains": lambda: chord([chain(add.s(1, 1), add.s(1)), add.s(2, 2)], total.s()),
    "chord_ignores": lambda: chord([add.s(1, 1).set(ignore_result=True), add.s(2, 2)], total.s()),
    "chord_part_ignores": lambda: chord([ignore.s(), add.s(2, 2)], total.s()),
    "chord_body_fails": lambda: chord([add.s(1, 1), add.s(2, 2)], boom.s().on_error(errback.s())),
    "group_then_task": lambda: chain(group(add.s(1, 1), add.s(2, 2)), total.s()),
    "link": lambda: add.s(1, 1).on_error(errback.s()).set(link=[seen.s()]),
    "fails_with_errback": lambda: boom.s().on_error(errback.s()),
    "replaced": lambda: replaced.s(),
    "limited_with_errback": lambda: limited_hooked.s().on_error(errback.s()),
    "fails_badly": lambda: fails_badly.s().on_error(errback.s()),
    "a_thing_with_errback": lambda: a_thing.s().on_error(errback.s()),
    "chord_of_a_thing": lambda: chord([a_thing.s()], total.s().on_error(errback.s())),
}
