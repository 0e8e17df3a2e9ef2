"""Each fixture is an attribute of the test in classes of unittest, which take none as arguments."""

from __future__ import annotations

import pytest

CLASSES = """
    import unittest
    import pytest
    from django.test import TestCase, TransactionTestCase
    from shop.models import Order
    from shop.tasks import add, confirm_order

    ALL = ("task_queue", "websocket", "channel_layer", "websocket_matrix", "virtual_clock", "asgi_server")


    @pytest.mark.usefixtures(*ALL, "db_async")
    class OrderTests(TestCase):
        websocket: object

        def setUp(self):
            assert all(hasattr(self, name) for name in ALL)
            assert not hasattr(self, "db_async")

        def test_sync(self):
            add.apply_async((1, 2), countdown=60)
            self.virtual_clock.shift(61)
            assert self.task_queue.run() == {"SUCCESS": 1}

        async def test_async(self):
            order = await Order.objects.acreate(reference="A")
            confirm_order.delay(order.pk)
            await self.task_queue.arun()
            async with self.websocket("/ws/echo/") as browser:
                await browser.send_json({"text": "hello"})
                assert await browser.receive_json() == {"text": "hello"}
            await self.channel_layer.send("c", {"type": "x"})
            assert await self.channel_layer.receive("c") == {"type": "x"}

        def test_url(self):
            assert self.asgi_server.url.startswith("http://127.0.0.1")



    class OnOneMethod(unittest.TestCase):
        @pytest.mark.usefixtures("virtual_clock")
        def test_it(self):
            self.virtual_clock.shift(1)

        def test_another(self):
            assert not hasattr(self, "virtual_clock")


    @pytest.mark.usefixtures("websocket", "task_queue")
    class Asyncio(unittest.IsolatedAsyncioTestCase):
        async def test_it(self):
            async with self.websocket("/ws/echo/") as browser:
                await browser.send_json({"text": "hello"})
                assert await browser.receive_json() == {"text": "hello"}
            add.delay(1, 2)
            assert await self.task_queue.arun() == {"SUCCESS": 1}


    @pytest.mark.usefixtures("task_queue")
    class HasOneItself(TransactionTestCase):
        @property
        def task_queue(self):
            return "its own"

        def test_it(self):
            assert self.task_queue == "its own"
"""


def test_each_fixture_is_an_attribute(project):
    project.test(CLASSES).assert_outcomes(passed=7)


@pytest.mark.celery_integration
def test_servers_too(project):
    result = project.test("""
    import pytest
    from django.test import TestCase

    @pytest.mark.usefixtures("redis_server")
    class Tests(TestCase):
        def setUp(self):
            assert self.redis_server.url.startswith("redis://127.0.0.1")

        def test_it(self):
            self.redis_server.stop()
    """)
    result.assert_outcomes(passed=1)
