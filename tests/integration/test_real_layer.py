"""The real level of a socket: a worker's group sends reach the browser, over the layer on the test's Redis."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.celery_integration

FILE_DATABASE = """
    import os
    DATABASES["default"]["TEST"] = {"NAME": os.path.join(os.path.dirname(__file__), "test.sqlite3")}
"""
NOTIFY = """

@shared_task
def notify(room, text):
    from asgiref.sync import async_to_sync
    from channels.layers import get_channel_layer

    async_to_sync(get_channel_layer().group_send)(room, {"type": "room.message", "text": text})
"""


def test_a_workers_group_send_reaches_the_browser_at_each_level(project):
    project.settings(FILE_DATABASE)
    project.ini("asyncio_mode = auto")
    tasks = project.path / "shop" / "tasks.py"
    tasks.write_text(tasks.read_text() + NOTIFY)
    result = project.test(
        """
        import pytest
        from shop.tasks import notify

        both = pytest.mark.task_queue(broker=["stepped", "redis"])

        @both
        async def test_socket(db, websocket, task_queue):
            async with websocket("/ws/rooms/a/") as browser:
                notify.delay("a", "from the worker")
                await task_queue.arun()
                assert await browser.receive_json() == {"text": "from the worker"}
                await browser.receive_nothing()

        @both
        async def test_layer(db, task_queue, channel_layer):
            name = await channel_layer.new_channel()
            await channel_layer.group_add("a", name)
            notify.delay("a", "hello")
            await task_queue.arun()
            assert await channel_layer.receive(name) == {"type": "room.message", "text": "hello"}

        @both
        @pytest.mark.allow_lost("no_members", "unread")
        async def test_account(db, channel_layer, task_queue):
            await channel_layer.group_add("a", await channel_layer.new_channel())
            await channel_layer.group_send("a", {"type": "room.message"})
            channel_layer.assert_group_sent("a")

        async def test_a_worker_by_hand(websocket, worker_process):
            async with websocket("/ws/rooms/a/") as browser:
                worker_process()
                notify.delay("a", "by hand")
                assert await browser.receive_json(timeout=10) == {"text": "by hand"}

        def test_the_layer_is_the_projects_own_again():
            from channels.layers import get_channel_layer
            assert type(get_channel_layer()).__name__ == "InMemoryChannelLayer"
        """,
        "-rs",
    )
    result.assert_outcomes(passed=7, skipped=1)
    result.stdout.fnmatch_lines(["*SKIPPED*channel_layer.assert_group_sent can't be had with a real worker*"])
