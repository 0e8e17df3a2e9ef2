"""The tasks that a consumer starts by itself: a crash that nobody awaits, and what it leaves running."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
import traceback

import pytest
from channels.generic.websocket import AsyncWebsocketConsumer

from pytest_backchannel import WebSocketClient, errors, events
from pytest_backchannel.channels.watch.records import ConsumerCrashed
from pytest_backchannel.clock import idle

pytestmark = pytest.mark.asyncio


class Starter(AsyncWebsocketConsumer):
    """Starts the task that the text names."""

    task: asyncio.Task[object]

    async def receive(self, text_data=None, bytes_data=None):
        self.task = asyncio.create_task(getattr(self, text_data)())
        await self.send(text_data="started")

    async def crash(self):
        raise ValueError("behind the consumer's back")

    async def tick(self):
        await asyncio.sleep(60)

    async def end_soon(self):
        await asyncio.to_thread(sum, [1])

    async def send_late(self):
        await asyncio.Event().wait()


def client(consumer=Starter, **options):
    return WebSocketClient(consumer, "/ws/start/", **options)


@pytest.fixture
def log():
    return events.begin_log()


async def start(ws, what):
    await ws.send_text(what)
    assert await ws.receive_text() == "started"


async def test_a_crash_that_nobody_awaits_is_raised_on_leaving(log):
    ws = client()

    async def test():
        async with ws:
            await start(ws, "crash")
            await ws.receive_nothing()

    with pytest.raises(ValueError, match="behind the consumer's back") as crash:
        await test()
    (note,) = crash.value.__notes__
    assert note.startswith(
        "It ended Starter.crash, a task that Starter started and nobody awaited: in production, a line"
    )
    assert note.endswith(f"(connection /ws/start/, opened at {ws._where}).")
    assert traceback.extract_tb(crash.value.__traceback__)[-1].name == "crash"
    (event,) = log.of(ConsumerCrashed)
    assert event.headline() == "Starter.crash raised ValueError: behind the consumer's back"


async def test_it_is_told_where_a_frame_did_not_come():
    async def failing_test():
        async with client() as ws:
            await start(ws, "crash")
            await ws.receive_text(timeout=0.05)

    with pytest.raises(errors.NoFrame) as failed:
        await failing_test()
    assert failed.value.__notes__[0] == "And Starter: ValueError: behind the consumer's back"


async def test_a_crash_is_raised_though_nobody_holds_the_task():
    class Forgetful(Starter):
        async def receive(self, text_data=None, bytes_data=None):
            asyncio.create_task(self.crash())

    with pytest.raises(ValueError, match="behind the consumer's back"):
        async with client(Forgetful) as ws:
            await ws.send_text("x")


async def test_a_crash_that_the_consumer_sees_later_is_its_own_business(log):
    class Careful(Starter):
        async def disconnect(self, code):
            with contextlib.suppress(ValueError):
                await self.task

    async with client(Careful) as ws:
        await start(ws, "crash")
        await ws.receive_nothing()
    assert not log.of(ConsumerCrashed)


async def test_groups_of_tasks_and_gather_are_awaited(log):
    class Grouping(Starter):
        async def receive(self, text_data=None, bytes_data=None):
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self.crash())
            except* ValueError:
                pass
            await asyncio.gather(self.crash(), self.crash(), return_exceptions=True)
            await self.send(text_data="started")

    async with client(Grouping) as ws:
        await start(ws, "x")
    assert not log.of(ConsumerCrashed)


async def test_what_is_left_running_is_told_with_its_line_once(log):
    async with client() as ws:
        await start(ws, "tick")
        await ws.close()
    (problem,) = log.of(events.Problem)
    assert problem.slug == "task_left_running"
    assert problem.text.startswith("Starter.tick, a task that Starter (/ws/start/) started, still runs though the conn")
    assert "it waits at tests/unit/channels/watch/test_background.py:" in problem.text
    assert problem.where.function == "Starter.tick"


async def test_a_task_that_is_cancelled_or_ends_soon_is_none(log):
    class Tidy(Starter):
        async def disconnect(self, code):
            if not self.task.done():
                self.task.cancel()

    async with client(Tidy) as ws:
        await start(ws, "tick")
    async with client() as ws:
        await start(ws, "end_soon")
    assert not log.of(events.Problem)


async def test_a_frame_that_a_task_sends_too_late_is_no_crash_of_it(log):
    released = asyncio.Event()

    class Late(Starter):
        async def tick(self):
            await released.wait()
            await self.send(text_data="late")

        async def disconnect(self, code):
            released.set()

    async with client(Late) as ws:
        await start(ws, "tick")
    assert not log.of(ConsumerCrashed)


async def test_tasks_of_a_library_are_let_run(log, tmp_path):
    library = tmp_path / "site-packages" / "library.py"
    library.parent.mkdir()
    library.write_text("import asyncio\nasync def listen():\n    await asyncio.sleep(60)\n")
    module = {}
    exec(compile(library.read_text(), str(library), "exec"), module)

    class Listening(Starter):
        async def tick(self):
            self.listener = asyncio.create_task(module["listen"]())

    async with client(Listening) as ws:
        await start(ws, "tick")
    assert not log.of(events.Problem)


async def test_the_loops_task_factory_is_used_and_put_back():
    loop = asyncio.get_running_loop()
    made = []

    def factory(loop, coroutine, **options):
        task = asyncio.Task(coroutine, loop=loop, **options)
        made.append(task)
        return task

    loop.set_task_factory(factory)
    try:
        async with client() as ws:
            assert loop.get_task_factory() is not factory
            before = len(made)
            await start(ws, "end_soon")
            assert len(made) > before
        await asyncio.sleep(0)
        assert loop.get_task_factory() is factory
    finally:
        loop.set_task_factory(None)
    async with client(), client():
        pass
    await asyncio.sleep(0)
    assert loop.get_task_factory() is None


async def test_a_loop_that_cannot_be_seen_into_gives_them_a_moment(log, monkeypatch):
    class Slow(Starter):
        async def end_soon(self):
            await asyncio.to_thread(time.sleep, 0.02)

    monkeypatch.setattr(idle, "visible", lambda loop: False)
    async with client(Slow) as ws:
        await start(ws, "end_soon")
    assert not log.of(events.Problem)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")
async def test_eager_tasks():
    loop = asyncio.get_running_loop()
    loop.set_task_factory(asyncio.eager_task_factory)
    try:
        with pytest.raises(ValueError, match="behind the consumer's back"):
            async with client() as ws:
                await start(ws, "crash")
    finally:
        loop.set_task_factory(None)
