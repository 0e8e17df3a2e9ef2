"""A task that a consumer has made, and whether anybody keeps it."""

from __future__ import annotations

import asyncio
import weakref

import pytest
from channels.generic.websocket import AsyncWebsocketConsumer

from pytest_backchannel import WebSocketClient, events
from pytest_backchannel.channels.watch.kept_tasks import is_kept

pytestmark = pytest.mark.asyncio


async def soon():
    await asyncio.sleep(0.01)


async def at_once():
    pass


async def when_set(event):
    await event.wait()


async def for_another(task):
    await task


async def turns():
    for _ in range(3):
        await asyncio.sleep(0)


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("body", ["soon", "at_once", "when_set", "for_another", "turns"])
async def test_a_task_that_nobody_keeps_is_told_from_one_that_is_kept(body, begun):
    """CPython's own way of keeping a task that waits: fails clearly if a version does it otherwise."""
    event, other = asyncio.Event(), asyncio.ensure_future(soon())

    def made():
        arguments = {"when_set": (event,), "for_another": (other,)}.get(body, ())
        return asyncio.create_task(globals()[body](*arguments))

    kept = made()
    forgotten = weakref.ref(made())
    if begun:
        await asyncio.sleep(0)
    if body == "at_once" and begun:
        assert is_kept(forgotten)  # it has ended
    else:
        assert not is_kept(forgotten)
    assert is_kept(weakref.ref(kept))
    event.set()
    await asyncio.sleep(0.02)
    assert is_kept(forgotten)
    await asyncio.gather(kept, other)


class Starter(AsyncWebsocketConsumer):
    """Does what the text names."""

    task: asyncio.Task[None]

    async def connect(self):
        self.tasks = set()
        await self.accept()

    async def receive(self, text_data=None, bytes_data=None):
        await getattr(self, text_data)()

    async def work(self):
        await asyncio.sleep(0.01)

    async def forgets(self):
        asyncio.create_task(self.work())

    async def forgets_by_name(self):
        task = asyncio.ensure_future(self.work())
        task.add_done_callback(lambda task: None)

    async def forgets_the_loops(self):
        asyncio.get_running_loop().create_task(self.work())

    async def forgets_often(self):
        for _ in range(5):
            asyncio.create_task(self.work())

    async def forgets_what_a_library_wrote(self):
        asyncio.create_task(asyncio.sleep(0.01))

    async def keeps(self):
        self.task = asyncio.create_task(self.work())

    async def keeps_in_a_set(self):
        task = asyncio.create_task(self.work())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def awaits(self):
        await asyncio.create_task(self.work())

    async def awaits_several(self):
        await asyncio.gather(self.work(), self.work())

    async def awaits_a_group(self):
        async with asyncio.TaskGroup() as group:
            group.create_task(self.work())

    async def has_a_limit(self):
        await asyncio.wait_for(self.work(), 1)

    async def shields(self):
        await asyncio.shield(self.work())

    async def cancels(self):
        task = asyncio.create_task(self.work())
        await asyncio.sleep(0)
        task.cancel()

    async def asks_a_thread(self):
        await asyncio.to_thread(sum, [1])

    async def waits_for_its_end(self):
        asyncio.create_task(turns())
        await asyncio.sleep(0.01)

    async def keeps_one_that_awaits(self):
        self.task = asyncio.create_task(self.awaits())
        await asyncio.sleep(0)


@pytest.fixture
def log():
    return events.begin_log()


def told(log):
    return [problem for problem in log.of(events.Problem) if problem.slug == "task_not_kept"]


@pytest.mark.parametrize("what", [name for name in vars(Starter) if name.startswith("forgets")])
async def test_a_consumer_that_forgets_its_task_is_told(log, what):
    async with WebSocketClient(Starter) as client:
        await client.send_text(what)
        await client.wait_idle()
        await asyncio.sleep(0.02)
    (problem,) = told(log)
    assert problem.text.startswith("Starter (/) made a task of ")
    assert problem.where is not None
    assert problem.where.function == f"Starter.{what}"
    assert not problem.fatal


SOUND = ("keeps", "awaits", "has_a_limit", "shields", "cancels", "asks_a_thread", "waits_for_its_end")


@pytest.mark.parametrize("what", [name for name in vars(Starter) if name.startswith(SOUND)])
async def test_one_that_keeps_or_awaits_it_is_not(log, what):
    async with WebSocketClient(Starter) as client:
        await client.send_text(what)
        await client.wait_idle()
        await asyncio.sleep(0.02)
    assert told(log) == []


async def test_a_task_of_a_library_is_the_librarys(log, monkeypatch):
    from pytest_backchannel.channels.watch import kept_tasks

    monkeypatch.setattr(kept_tasks, "is_project_file", lambda path: False)
    async with WebSocketClient(Starter) as client:
        await client.send_text("forgets")
        await client.wait_idle()
        await asyncio.sleep(0.02)
    assert told(log) == []
