"""What thousands of tests in one process leave behind: nothing, or the end is 1.

    python benchmarks/leaks.py [--tests 5000] [--warm-up 100]

A suite of mixed tests runs in one pytest process: eager tasks, stepped workers (with retries, kills, failures, chords
and time that moves), WebSockets, the channel layer, the virtual clock and the async ORM. After the tests of the warm-up
(everything is imported and made once by then), and again after the last test, these are taken: open file descriptors,
threads, sockets, Django's connections, kombu's pools, the receivers of the signals of Celery and Django, and the
modules that are imported.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SAMPLE = Path(__file__).resolve().parent.parent / "tests" / "sample"

SUITE = """
import asyncio
import os
import time

import pytest
from celery import chain, chord
from channels.layers import get_channel_layer
from config.celery import app
from shop.models import Order
from shop.tasks import add, confirm_order, fail

COUNT = int(os.environ["LEAKS_COUNT"])


@app.task
def total(numbers):
    return sum(numbers)


@app.task(bind=True, max_retries=2)
def stubborn(self):
    raise self.retry(countdown=10)


@pytest.mark.parametrize("n", range(COUNT))
def test_eager(n, celery_eager, db):
    assert add.delay(n, 1).get() == n + 1
    assert app.send_task(add.name, (n, 2)).get() == n + 2
    order = Order.objects.create(reference=str(n))
    confirm_order.delay(order.pk)
    with pytest.raises(ValueError):
        fail.delay()


@pytest.mark.parametrize("n", range(COUNT))
def test_stepped(n, task_queue, db, client):
    order = Order.objects.create(reference=str(n))
    client.post(f"/orders/{order.pk}/confirm/")
    task_queue.assert_enqueued(confirm_order.s(order.pk))
    assert task_queue.run() == {"SUCCESS": 1}
    assert chord([add.s(1, 1), add.s(2, 2)])(total.s()).get() == 6
    assert chain(add.s(1, 1), add.s(n)).delay().get() == 2 + n


@pytest.mark.parametrize("n", range(COUNT))
def test_killed(n, task_queue, db):
    task_queue.kill_worker(when="before_body" if n % 2 else "after_body")
    add.delay(1, 1)
    task_queue.run_until_idle()
    assert app.control.inspect().stats()


@pytest.mark.parametrize("n", range(COUNT))
def test_later(n, task_queue, virtual_clock):
    stubborn.delay()
    add.apply_async((1, 1), countdown=3600)
    task_queue.run_until_idle(propagate=False)
    assert len(task_queue.failures) == 1


@pytest.mark.parametrize("n", range(COUNT))
def test_clock(n, virtual_clock):
    time.sleep(3600)
    assert [sleep.seconds for sleep in virtual_clock.sleeps] == [3600]


@pytest.mark.parametrize("n", range(COUNT))
@pytest.mark.asyncio
async def test_clock_in_a_loop(n, virtual_clock):
    await asyncio.sleep(60)


@pytest.mark.parametrize("n", range(COUNT))
@pytest.mark.asyncio
async def test_websocket(n, websocket):
    async with websocket("/ws/rooms/one/") as first, websocket("/ws/rooms/one/") as second:
        await first.send_json({"text": "hello"})
        assert await second.receive_json() == {"text": "hello"}
        assert await first.receive_json() == {"text": "hello"}
        await second.receive_nothing()


@pytest.mark.parametrize("n", range(COUNT))
@pytest.mark.asyncio
async def test_layer(n, channel_layer):
    layer = get_channel_layer()
    name = await layer.new_channel()
    await layer.group_add("group", name)
    await layer.group_send("group", {"type": "a"})
    assert (await layer.receive(name))["type"] == "a"


@pytest.mark.parametrize("n", range(COUNT))
@pytest.mark.asyncio
async def test_async_database(n, db):
    await Order.objects.acreate(reference="a")
    assert await Order.objects.acount() == 1


@pytest.mark.parametrize("n", range(COUNT))
@pytest.mark.asyncio
async def test_all_together(n, db, task_queue, websocket, async_client):
    order = await Order.objects.acreate(reference="a")
    async with websocket("/ws/echo/") as browser:
        await async_client.post(f"/orders/{order.pk}/confirm/")
        await task_queue.arun()
        await browser.send_json(1)
        assert await browser.receive_json() == 1
"""

CONFTEST = '''
import gc, os, sys, threading

import psutil
import pytest

WARM_UP = int(os.environ["LEAKS_WARM_UP"])
state = {"ran": 0}


def pytest_collection_modifyitems(items):
    """One of each kind after the other."""
    kinds = {}
    for item in items:
        kinds.setdefault(item.originalname, []).append(item)
    items[:] = [item for turn in zip(*kinds.values()) for item in turn]


def receivers():
    from celery.utils.dispatch import Signal as CelerySignal
    from django.dispatch import Signal as DjangoSignal

    kinds = (CelerySignal, DjangoSignal)
    # By their type, since a lazy object of Django's would be made where isinstance() asks it.
    found = [thing for thing in gc.get_objects() if issubclass(type(thing), kinds)]
    return {f"{type(signal).__module__} {id(signal)}": len(signal.receivers or ()) for signal in found}


def kind(path):
    try:
        return os.readlink(path).partition(":[")[0]
    except FileNotFoundError:  # that of the listing itself
        return ""


def taken():
    from django.db.backends.base.base import BaseDatabaseWrapper
    from kombu import pools

    gc.collect()
    process = psutil.Process()
    folder = "/proc/self/fd"
    return {
        "file descriptors": sorted(kind(f"{folder}/{number}") for number in os.listdir(folder)),
        "threads": sorted(thread.name for thread in threading.enumerate()),
        "connections of Django": sum(issubclass(type(thing), BaseDatabaseWrapper) for thing in gc.get_objects()),
        "sockets": len(process.net_connections(kind="all")),
        "pools": (len(pools.connections), len(pools.producers)),
        "receivers": receivers(),
        "modules": sorted(sys.modules),
    }


@pytest.hookimpl(trylast=True)
def pytest_runtest_logfinish(nodeid, location):
    state["ran"] += 1
    if state["ran"] == WARM_UP:
        state["before"] = taken()


def pytest_sessionfinish(session, exitstatus):
    after = taken()
    before = state["before"]
    print()
    for name, value in after.items():
        size = len(value) if isinstance(value, (list, dict)) else value
        if name == "receivers":
            size = sum(value.values())
        same = value == before[name]
        print(f"{name}: {size}, {'as before' if same else 'CHANGED'}")
        if not same:
            session.exitstatus = 1
            if isinstance(value, list):
                print("   fresh:", sorted(set(value) - set(before[name])) or (len(before[name]), len(value)))
            elif isinstance(value, dict):
                print("   fresh:", {key: value[key] for key in value if value[key] != before[name].get(key)})
            else:
                print("   before:", before[name])
    print(state["ran"], "tests")
'''

INI = """
[pytest]
DJANGO_SETTINGS_MODULE = config.settings
pythonpath = .
asyncio_default_fixture_loop_scope = function
filterwarnings = error
"""
KINDS = 10


def main() -> int:
    """Run the suite, and print what has changed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tests", type=int, default=5000)
    parser.add_argument("--warm-up", type=int, default=100)
    options = parser.parse_args()
    if options.tests < options.warm_up + KINDS:
        parser.error(f"--tests={options.tests}: more than those of the warm-up ({options.warm_up}) are needed")
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "project"
        shutil.copytree(SAMPLE, project, ignore=shutil.ignore_patterns("__pycache__"))
        (project / "test_mixed.py").write_text(SUITE)
        (project / "conftest.py").write_text(CONFTEST)
        (project / "pytest.ini").write_text(INI)
        env = {**os.environ, "LEAKS_COUNT": str(options.tests // KINDS), "LEAKS_WARM_UP": str(options.warm_up)}
        command = [
            "-q",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:randomly",
            "-p",
            "no:faker",
            "-p",
            "no:valkey",
            "--tb=short",
        ]
        done = subprocess.run([sys.executable, "-m", "pytest", *command], cwd=project, env=env, check=False)
        return done.returncode


if __name__ == "__main__":
    sys.exit(main())
