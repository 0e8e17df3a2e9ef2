"""Tests that use Channels' own communicators: what they leave behind is observed, and fails with backchannel_strict."""

from __future__ import annotations

import pytest

TESTS = """
    import asyncio
    import pytest
    from channels.testing import ApplicationCommunicator, WebsocketCommunicator
    from channels.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
    from channels.consumer import AsyncConsumer, SyncConsumer
    from channels.routing import ChannelNameRouter, URLRouter

    class Talker(AsyncWebsocketConsumer):
        async def receive(self, text_data=None, bytes_data=None):
            if text_data == "crash":
                raise ValueError("broken")
            if text_data == "sleep":
                await asyncio.sleep(60)
            if text_data == "close":
                await self.close()
                return
            await self.send(text_data=text_data)

    class Sync(WebsocketConsumer):
        def receive(self, text_data=None, bytes_data=None):
            raise ValueError("broken in a thread")

    class Wedged(AsyncWebsocketConsumer):
        async def disconnect(self, code):
            await asyncio.sleep(60)

    class Awaiting(AsyncWebsocketConsumer):
        async def disconnect(self, code):
            ticker = asyncio.create_task(asyncio.sleep(60))
            ticker.cancel()
            await ticker

    class Failing(AsyncWebsocketConsumer):
        async def receive(self, text_data=None, bytes_data=None):
            pytest.fail("must not be called")

    class Starting(AsyncWebsocketConsumer):
        async def receive(self, text_data=None, bytes_data=None):
            self.task = asyncio.create_task(self.crash())

        async def crash(self):
            raise ValueError("behind its back")

    class Refuses(AsyncWebsocketConsumer):
        async def connect(self):
            await self.close()

    class Worker(AsyncConsumer):
        async def make_thumbnail(self, message):
            self.scope["done"].append(message["type"])

    async def opened(consumer=Talker):
        communicator = WebsocketCommunicator(consumer.as_asgi(), "/ws/")
        await communicator.connect()
        return communicator

    # ------------------------------------------------------------------ wrong

    async def test_crash_unseen():
        communicator = await opened()
        await communicator.send_to(text_data="crash")
        await asyncio.sleep(0.1)

    async def test_crash_hidden_by_receive_nothing():
        communicator = await opened(Sync)
        await communicator.send_to(text_data="x")
        assert await communicator.receive_nothing()

    async def test_crash_in_a_router():
        communicator = WebsocketCommunicator(URLRouter([]), "/nowhere/")
        await communicator.send_input({"type": "websocket.connect"})
        await asyncio.sleep(0.1)

    async def test_left_open():
        communicator = await opened()
        await communicator.send_to(text_data="x")
        assert await communicator.receive_from() == "x"

    async def test_hung():
        communicator = await opened(Wedged)
        await communicator.disconnect(timeout=0.1)

    async def test_ended_by_itself():
        communicator = await opened(Awaiting)
        await communicator.disconnect()

    async def test_task_of_its_own():
        communicator = await opened(Starting)
        await communicator.send_to(text_data="x")
        await asyncio.sleep(0.1)
        await communicator.disconnect()

    async def test_what_must_not_be_called():
        communicator = await opened(Failing)
        await communicator.send_to(text_data="x")
        await asyncio.sleep(0.1)

    @pytest.fixture
    async def forgotten():
        yield await opened()

    async def test_left_open_by_a_fixture(forgotten):
        pass

    # ------------------------------------------------------------------ right

    async def right_round_trip():
        communicator = await opened()
        await communicator.send_to(text_data="x")
        assert await communicator.receive_from() == "x"
        assert await communicator.receive_nothing()
        await communicator.disconnect()

    async def right_crash_expected():
        communicator = await opened()
        await communicator.send_to(text_data="crash")
        with pytest.raises(ValueError):
            await communicator.receive_from()

    async def right_timeout_expected():
        communicator = await opened()
        await communicator.send_to(text_data="sleep")
        with pytest.raises(asyncio.TimeoutError):
            await communicator.receive_from(timeout=0.05)

    async def right_refused():
        connected, _ = await WebsocketCommunicator(Refuses.as_asgi(), "/ws/").connect()
        assert not connected

    async def right_closed_by_the_consumer():
        communicator = await opened()
        await communicator.send_to(text_data="close")
        assert (await communicator.receive_output())["type"] == "websocket.close"

    async def right_worker():
        done = []
        application = ChannelNameRouter({"thumbnails": Worker.as_asgi()})
        communicator = ApplicationCommunicator(application, {"type": "channel", "channel": "thumbnails", "done": done})
        await communicator.send_input({"type": "make.thumbnail"})
        await asyncio.sleep(0.1)
        assert done == ["make.thumbnail"]

    async def right_stopped():
        (await opened()).stop()

    @pytest.fixture
    async def closed():
        communicator = await opened()
        yield communicator
        await communicator.disconnect()

    @pytest.fixture
    async def factory():
        made = []
        async def make():
            made.append(await opened())
            return made[-1]
        yield make
        for communicator in made:
            await communicator.disconnect()

    async def right_fixture(closed):
        await closed.send_to(text_data="x")
        assert await closed.receive_from() == "x"

    async def right_factory(factory):
        await factory()
        await factory()

    @pytest.fixture(scope="module")
    def shared():
        return []

    for name in [name for name in globals() if name.startswith("right_")]:
        globals()["test_" + name] = globals().pop(name)
"""
WRONG = {
    "test_crash_unseen": "consumer_crashed: Talker (/ws/) raised ValueError: broken",
    "test_crash_hidden_by_receive_nothing": "consumer_crashed: Sync (/ws/) raised ValueError: broken in a thread",
    "test_crash_in_a_router": "consumer_crashed: the application (/nowhere/) raised ValueError: No route found",
    "test_left_open": "consumer_left_open: Talker (/ws/) was still open at the end of the test",
    "test_hung": "consumer_hung: Wedged.websocket_disconnect (/ws/) did not end, and was cancelled",
    "test_ended_by_itself": "consumer_crashed: a CancelledError ended Awaiting in websocket_disconnect",
    "test_task_of_its_own": "consumer_crashed: Starting.crash, a task that Starting (/ws/) started and nobody awaited,",
    "test_what_must_not_be_called": "consumer_crashed: Failing (/ws/) raised Failed: must not be called",
    "test_left_open_by_a_fixture": "consumer_left_open: Talker (/ws/) was still open at the end of the test",
}
RIGHT = 9


def test_observed_by_default(project):
    project.ini("asyncio_mode = auto")
    result = project.test(TESTS)
    result.assert_outcomes(passed=len(WRONG) + RIGHT)
    result.stdout.fnmatch_lines(["*backchannel: unseen behind the request*"])
    out = result.stdout.str()
    for text in WRONG.values():
        assert text in out
    summary = out.partition("unseen behind the request")[2]
    assert "test_right" not in summary
    assert "None of it failed a test" in summary


def test_failing_with_strict(project):
    project.ini("asyncio_mode = auto", "backchannel_strict = true")
    result = project.test(TESTS, "-rpfE")
    # What a fixture's teardown might still see is judged after it: an error there, where the test itself passed.
    result.assert_outcomes(passed=RIGHT + 1, failed=len(WRONG) - 1, errors=1)
    out = result.stdout.str()
    for name, text in WRONG.items():
        kind = "ERROR" if name == "test_left_open_by_a_fixture" else "FAILED"
        assert f"{kind} test_it.py::{name} - Failed: {text[:9]}" in out
        assert text in out
    result.stdout.fnmatch_lines(["*It was opened by WebsocketCommunicator at test_it.py:*"])
    result.stdout.fnmatch_lines(["*Await the communicator's disconnect().*"])


@pytest.mark.parametrize("ini", ["", "backchannel_strict = true"])
def test_under_django_testcase_and_anyio(project, ini):
    project.ini(ini)
    result = project.test(
        """
    import pytest
    from channels.testing import WebsocketCommunicator
    from django.test import TestCase
    from shop.consumers import EchoConsumer

    async def opened():
        communicator = WebsocketCommunicator(EchoConsumer.as_asgi(), "/ws/echo/")
        await communicator.connect()
        return communicator

    class Tests(TestCase):
        async def test_left_open_in_a_testcase(self):
            await opened()

        async def test_right_in_a_testcase(self):
            communicator = await opened()
            await communicator.send_json_to({})
            await communicator.receive_json_from()
            await communicator.disconnect()

    @pytest.fixture
    def anyio_backend():
        return "asyncio"

    @pytest.mark.anyio
    async def test_left_open_with_anyio():
        await opened()

    @pytest.mark.anyio
    async def test_right_with_anyio():
        await (await opened()).disconnect()
    """
    )
    if ini:
        result.assert_outcomes(passed=2, failed=2)
    else:
        result.assert_outcomes(passed=4)
        result.stdout.fnmatch_lines(["consumer_left_open: EchoConsumer (/ws/echo/)*", "    in *left_open* and 1 more"])


def test_a_consumer_of_a_wider_fixture_is_left_alone(project):
    project.ini("asyncio_mode = auto", "backchannel_strict = true")
    result = project.test(
        """
    import pytest
    import pytest_asyncio
    from channels.testing import WebsocketCommunicator
    from shop.consumers import EchoConsumer

    pytestmark = pytest.mark.asyncio(loop_scope="module")

    @pytest_asyncio.fixture(loop_scope="module", scope="module")
    async def shared():
        communicator = WebsocketCommunicator(EchoConsumer.as_asgi(), "/ws/echo/")
        await communicator.connect()
        yield communicator
        await communicator.disconnect()

    @pytest.mark.parametrize("number", [1, 2])
    async def test_it(shared, number):
        await shared.send_json_to(number)
        assert await shared.receive_json_from() == number
    """
    )
    result.assert_outcomes(passed=2)


def test_a_project_without_channels_pays_nothing(project):
    project.settings("INSTALLED_APPS = [app for app in INSTALLED_APPS if app not in ('channels', 'shop')]")
    project.ini()
    result = project.test(
        """
    import sys

    def test_it():
        assert not [name for name in sys.modules if name.split(".")[0] == "channels"]
        assert "pytest_backchannel.channels" not in sys.modules
    """
    )
    result.assert_outcomes(passed=1)
