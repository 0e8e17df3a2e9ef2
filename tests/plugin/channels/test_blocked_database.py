"""Consumer tests that have no database, after a fixture of the module has opened a connection."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize("consumer", ["Async", "Sync"])
def test_a_connection_that_a_module_fixture_has_left_open_is_let_be(project, consumer):
    project.ini("asyncio_mode = auto")
    name = str(project.path / "test.sqlite3")
    project.settings(f"DATABASES['default'].update(NAME={name!r}, TEST={{'NAME': {name!r}}})")
    result = project.test(
        f"""
        import pytest
        import pytest_asyncio
        from asgiref.sync import sync_to_async
        from channels.generic.websocket import AsyncJsonWebsocketConsumer, JsonWebsocketConsumer
        from shop.models import Order

        class Async(AsyncJsonWebsocketConsumer):
            async def receive_json(self, content):
                await self.send_json(content)

        class Sync(JsonWebsocketConsumer):
            def receive_json(self, content):
                self.send_json(content)

        class Reads(JsonWebsocketConsumer):
            def receive_json(self, content):
                self.send_json(Order.objects.count())

        @pytest.fixture(scope="module")
        def seeded(django_db_setup, django_db_blocker):
            with django_db_blocker.unblock():
                order = Order.objects.create(reference="seed")
            yield
            with django_db_blocker.unblock():
                order.delete()

        @pytest_asyncio.fixture(scope="module", loop_scope="module")
        async def seeded_too(django_db_setup, django_db_blocker):
            with django_db_blocker.unblock():
                order = await Order.objects.acreate(reference="seed")
            yield
            with django_db_blocker.unblock():
                await order.adelete()

        def test_for_which_pytest_django_makes_the_database(db):
            pass

        @pytest.mark.asyncio(loop_scope="module")
        async def test_it(seeded, seeded_too, websocket):
            async with websocket({consumer}) as browser:
                await browser.send_json(1)
                assert await browser.receive_json() == 1

        @pytest.mark.asyncio(loop_scope="module")
        async def test_that_it_may_not_read_stays(seeded, seeded_too, websocket):
            with pytest.raises(RuntimeError, match="Database access not allowed"):
                async with websocket(Reads) as browser:
                    await browser.send_json(1)
                    await browser.receive_json()
        """
    )
    result.assert_outcomes(passed=3)
