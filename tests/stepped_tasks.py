"""A small Celery app for the tests of the task queue; `runs` tells which bodies ran."""

from __future__ import annotations

import time

from celery import Celery
from celery.exceptions import Ignore, Reject, SoftTimeLimitExceeded

app = Celery("stepped", broker="redis://127.0.0.1:1/0", backend="redis://127.0.0.1:1/1", set_as_current=False)
runs: list = []


def task(**options):
    return app.task(**options)


@task()
def add(x, y):
    runs.append(("add", x, y))
    return x + y


@task()
def total(numbers):
    return sum(numbers)


@task()
def boom(message="boom"):
    runs.append("boom")
    raise ValueError(message)


@task(acks_late=True)
def late(x=0):
    runs.append(("late", x))
    return x


@task(bind=True, max_retries=3)
def flaky(self):
    runs.append(self.request.retries)
    if self.request.retries < 2:
        raise self.retry(exc=OSError("not yet"), countdown=60 * (self.request.retries + 1))
    return "ok"


@task(bind=True, max_retries=None)
def never_ends(self):
    raise self.retry(countdown=0)


@task()
def ping():
    pong.delay()


@task()
def pong():
    ping.delay()


@task(bind=True, acks_late=True)
def comes_back(self):
    raise Reject("again", requeue=True)


@task(bind=True)
def swallows(self):
    try:
        if not self.request.retries:
            self.retry(countdown=5)
    except Exception:
        return "swallowed"


@task(bind=True)
def retries_politely(self):
    if not self.request.retries:
        self.retry(countdown=5, throw=False)
    return "done"


@task()
def ignores():
    raise Ignore


@task()
def waits():
    return add.delay(1, 1).get()


@task()
def waits_stubbornly():
    return add.delay(1, 1).get(disable_sync_subtasks=False)


@task(soft_time_limit=10, time_limit=20)
def slow(seconds, patient=False):
    runs.append("slow")
    try:
        time.sleep(seconds)
    except SoftTimeLimitExceeded:
        runs.append("soft")
        if patient:
            time.sleep(60)
        return "cut short"
    return "finished"


@task(rate_limit="1/m")
def rated(x):
    runs.append((x, time.time()))


@task(ignore_result=True)
def unstored():
    return "unstored"


@task()
async def asynchronous():
    runs.append("asynchronous")


class Unpicklable(Exception):
    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


@task()
def fails_oddly():
    raise Unpicklable("this", "that")


@task()
def leaves():
    raise SystemExit(3)
