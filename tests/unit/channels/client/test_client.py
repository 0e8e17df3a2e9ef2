"""The client: one connection from connect to disconnect, as a browser has it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import threading
import time
import traceback

import pytest
from channels import consumer as channels_consumer
from channels import db as channels_db
from channels.consumer import AsyncConsumer
from channels.db import database_sync_to_async
from channels.exceptions import AcceptConnection, DenyConnection, StopConsumer
from channels.generic.websocket import (
    AsyncJsonWebsocketConsumer,
    AsyncWebsocketConsumer,
    JsonWebsocketConsumer,
    WebsocketConsumer,
)
from channels.routing import ProtocolTypeRouter, URLRouter
from django.urls import path

from pytest_backchannel import WebSocketClient, errors, events
from pytest_backchannel.channels.watch import consumers

pytestmark = pytest.mark.asyncio


class Talker(AsyncWebsocketConsumer):
    """Does what the text says."""

    log: list[str]

    async def connect(self):
        self.log = self.scope["state"].setdefault("log", [])
        await self.accept()

    async def receive(self, text_data=None, bytes_data=None):
        if text_data is None:
            await self.send(bytes_data=bytes_data)
            return
        command, _, argument = text_data.partition(" ")
        await getattr(self, f"do_{command}")(argument)

    async def do_echo(self, argument):
        await self.send(text_data=argument)

    async def do_crash(self, argument):
        raise ValueError(argument or "broken")

    async def do_sleep(self, argument):
        await asyncio.sleep(float(argument))

    async def do_later(self, argument):
        await asyncio.sleep(float(argument))
        await self.send(text_data="late")

    async def do_close(self, argument):
        await self.close(int(argument or 1000), reason="enough")

    async def do_many(self, argument):
        for number in range(int(argument)):
            await self.send(text_data=str(number))
            self.log.append(f"sent {number}")

    async def do_thread(self, argument):
        await database_sync_to_async(time.sleep)(float(argument))
        await self.send(text_data="from a thread")

    async def do_stop(self, argument):
        raise StopConsumer

    async def disconnect(self, code):
        self.log.append(f"disconnect {code}")


def client(application=Talker, path="/ws/talk/", **options):
    return WebSocketClient(application, path, **options)


# ------------------------------------------------------------ both directions


async def test_frames_go_both_ways():
    async with client() as ws:
        await ws.send_text("echo hello")
        assert await ws.receive_text() == "hello"
        await ws.send_json("echo [1]")
        with pytest.raises(AttributeError, match="do_"):
            await ws.receive_text()
    async with client() as ws:
        await ws.send_bytes(b"\x00\x01")
        assert await ws.receive_bytes() == b"\x00\x01"
        await ws.send_text('echo {"a": 1}')
        assert await ws.receive_json() == {"a": 1}
        assert [(frame.data, frame.to_client) for frame in ws.frames] == [
            (b"\x00\x01", False),
            (b"\x00\x01", True),
            ('echo {"a": 1}', False),
            ('{"a": 1}', True),
        ]


@pytest.mark.parametrize("base", [AsyncJsonWebsocketConsumer, JsonWebsocketConsumer])
async def test_generic_json_consumers_sync_and_async(base):
    if base is AsyncJsonWebsocketConsumer:

        class Echo(base):
            async def receive_json(self, content, **kwargs):
                await self.send_json(content)
    else:

        class Echo(base):
            def receive_json(self, content, **kwargs):
                self.send_json(content)

    async with client(Echo) as ws:
        await ws.send_json({"a": [1, None]})
        assert await ws.receive_json() == {"a": [1, None]}
        assert await ws.receive_nothing()


async def test_a_plain_consumer_and_a_plain_asgi_application():
    class Plain(AsyncConsumer):
        async def websocket_connect(self, message):
            await self.send({"type": "websocket.accept"})

        async def websocket_receive(self, message):
            assert message == {"type": "websocket.receive", "text": "x"}
            await self.send({"type": "websocket.send", "text": "plain"})

        async def websocket_disconnect(self, message):
            raise StopConsumer

    async def application(scope, receive, send):
        assert (await receive()) == {"type": "websocket.connect"}
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": "plain"})
        assert message == {"type": "websocket.disconnect", "code": 1000, "reason": ""}

    for target in (Plain, application):
        async with client(target) as ws:
            await ws.send_text("x")
            assert await ws.receive_text() == "plain"


async def test_through_nested_routers_and_middleware_as_functions_and_classes():
    def as_function(inner):
        async def middleware(scope, receive, send):
            await inner({**scope, "first": 1}, receive, send)

        return middleware

    class AsClass:
        def __init__(self, inner):
            self.inner = inner

        async def __call__(self, scope, receive, send):
            await self.inner({**scope, "second": scope["first"] + 1}, receive, send)

    inner = URLRouter([path("<int:number>/", Talker.as_asgi())])
    application = ProtocolTypeRouter({"websocket": as_function(AsClass(URLRouter([path("ws/", inner)])))})
    async with client(application, "/ws/7/") as ws:
        assert ws.scope["url_route"]["kwargs"] == {"number": 7}
        assert ws.scope["second"] == 2
    with pytest.raises(ValueError, match="No route found for path 'nowhere/'"):
        async with client(application, "/nowhere/"):
            pass


async def test_a_context_variable_of_the_test_does_not_reach_the_application():
    import contextvars

    var = contextvars.ContextVar("var", default="unset")
    seen = []

    async def application(scope, receive, send):
        seen.append(var.get())
        await receive()
        await send({"type": "websocket.close"})

    var.set("the test's")
    with pytest.raises(errors.WebSocketRejected):
        await client(application).connect()
    assert seen == ["unset"]


# ---------------------------------------------------------------- the handshake


@pytest.mark.parametrize(
    ("outcome", "code"), [(DenyConnection, 1000), (AcceptConnection, None)], ids=["DenyConnection", "AcceptConnection"]
)
async def test_the_exceptions_that_answer_a_handshake(outcome, code):
    class Answers(AsyncWebsocketConsumer):
        async def connect(self):
            raise outcome

    if code is None:
        async with client(Answers):
            return
    with pytest.raises(errors.WebSocketRejected) as refused:
        await client(Answers).connect()
    assert (refused.value.code, refused.value.http_status) == (code, 403)


async def test_close_before_accept_is_http_403_for_the_client():
    seen = []

    class Refuses(AsyncWebsocketConsumer):
        async def connect(self):
            await self.close(code=4003)

        async def disconnect(self, code):
            seen.append(code)

    with pytest.raises(errors.WebSocketRejected) as refused:
        async with client(Refuses):
            pytest.fail("entered")
    assert (refused.value.code, refused.value.http_status) == (4003, 403)
    assert str(refused.value) == (
        "Refuses refused the connection to /ws/talk/: HTTP 403 (close code 4003, which no client sees)"
    )
    assert seen == [1006]  # as uvicorn and daphne say it


async def test_a_refusal_by_http_response():
    async def application(scope, receive, send):
        await receive()
        await send({"type": "websocket.http.response.start", "status": 401, "headers": [(b"www-authenticate", b"x")]})
        await send({"type": "websocket.http.response.body", "body": b"not ", "more_body": True})
        await send({"type": "websocket.http.response.body", "body": b"you"})

    with pytest.raises(errors.WebSocketRejected) as refused:
        await client(application).connect()
    error = refused.value
    assert (error.code, error.http_status, error.headers, error.body) == (
        None,
        401,
        ((b"www-authenticate", b"x"),),
        b"not you",
    )


async def test_an_application_that_ends_without_an_answer_is_http_500():
    async def application(scope, receive, send):
        await receive()

    with pytest.raises(errors.WebSocketRejected, match="sees HTTP 500") as refused:
        await client(application).connect()
    assert refused.value.http_status == 500


async def test_a_crash_in_connect_is_raised_by_connect():
    class Crashes(AsyncWebsocketConsumer):
        async def connect(self):
            raise KeyError("room")

    with pytest.raises(KeyError, match="room"):
        await client(Crashes).connect()


async def test_a_handshake_that_is_not_answered_says_where_the_consumer_waits():
    class Ponders(AsyncWebsocketConsumer):
        async def connect(self):
            await asyncio.sleep(60)

    with pytest.raises(errors.NoFrame) as late:
        await client(Ponders, timeout=0.05).connect()
    assert "the handshake was not answered within 0.05 s (/ws/talk/)" in str(late.value)
    assert "Ponders.websocket_connect runs, and waits at:" in str(late.value)
    assert "test_client.py:" in str(late.value)
    assert "Ponders.connect" in str(late.value)
    assert consumers.live_consumers() == ()


async def test_a_subprotocol_that_was_offered_is_chosen():
    class Picks(AsyncWebsocketConsumer):
        async def connect(self):
            await self.accept(subprotocol=self.scope["subprotocols"][1], headers=[(b"x-a", b"b")])

    async with client(Picks, subprotocols=["v2.chat", "v1.chat"]) as ws:
        assert ws.subprotocol == "v1.chat"
        assert ws.response_headers == ((b"x-a", b"b"),)
        assert dict(ws.scope["headers"])[b"sec-websocket-protocol"] == b"v2.chat, v1.chat"
    async with client() as ws:
        assert ws.subprotocol is None


# --------------------------------------------------------------------- crashes


async def test_a_crash_raises_at_once_with_the_consumers_own_lines_and_nothing_chained():
    ws = client(timeout=60)
    async with ws:
        await ws.send_text("crash")
        start = time.perf_counter()
        with pytest.raises(ValueError, match="broken") as crash:
            await ws.receive_text()
        assert time.perf_counter() - start < 20  # a third of the timeout
    text = "".join(traceback.format_exception(crash.value))
    assert "CancelledError" not in text
    assert crash.value.__context__ is None
    names = [frame.name for frame in traceback.extract_tb(crash.value.__traceback__)]
    assert names[-2:] == ["receive", "do_crash"]
    assert "await_many_dispatch" not in names
    assert crash.value.__notes__ == [
        f"It ended Talker in websocket_receive (connection /ws/talk/, opened at {ws._where})."
    ]


async def test_a_crash_that_nobody_read_is_raised_on_leaving():
    with pytest.raises(ValueError, match="broken"):
        async with client() as ws:
            await ws.send_text("crash")


async def test_a_crash_that_was_seen_is_not_raised_again_on_leaving_but_by_each_later_step():
    async with client() as ws:
        await ws.send_text("crash")
        for step in (ws.receive_text, ws.receive_nothing, lambda: ws.send_text("x"), ws.receive_json):
            with pytest.raises(ValueError, match="broken") as crash:
                await step()
            assert len(traceback.extract_tb(crash.value.__traceback__)) < 8  # it does not grow


async def test_frames_sent_before_the_crash_can_be_read_before_it():
    async with client() as ws:
        await ws.send_text("echo 1")
        await ws.send_text("crash")
        assert await ws.receive_text() == "1"
        with pytest.raises(ValueError, match="broken"):
            await ws.receive_text()


async def test_a_failing_test_keeps_its_own_error_and_is_told_of_the_crash():
    async def failing_test():
        async with client() as ws:
            await ws.send_text("crash")
            raise AssertionError("the test's own")

    with pytest.raises(AssertionError) as failed:
        await failing_test()
    assert str(failed.value) == "the test's own"
    notes = "\n".join(failed.value.__notes__)
    assert notes.startswith("And Talker: ValueError: broken")
    assert "in Talker.do_crash" in notes


async def test_a_crash_in_disconnect_is_raised_on_leaving():
    class Careless(AsyncWebsocketConsumer):
        async def disconnect(self, code):
            raise KeyError("never joined")

    with pytest.raises(KeyError, match="never joined"):
        async with client(Careless):
            pass


async def test_an_exception_that_is_none_of_exception_is_a_crash_too():
    # What pytest.fail() raises, in a function that the test has put in the consumer's way.
    class Failing(AsyncWebsocketConsumer):
        async def receive(self, text_data=None, bytes_data=None):
            pytest.fail("must not be called")

    with pytest.raises(pytest.fail.Exception, match="must not be called"):
        async with client(Failing) as ws:
            await ws.send_text("x")
    async with client(Failing) as ws:
        await ws.send_text("x")
        with pytest.raises(pytest.fail.Exception, match="must not be called"):
            await ws.receive_text()

    async def failing_test():
        async with client(Failing) as ws:
            await ws.send_text("x")
            raise AssertionError("the test's own")

    with pytest.raises(AssertionError, match="the test's own") as failed:
        await failing_test()
    assert failed.value.__notes__[0] == "And Failing: Failed: must not be called"


class Awaiting(AsyncWebsocketConsumer):
    """Awaits the task that it has cancelled: whoever does so is ended by its CancelledError."""

    async def connect(self):
        self.ticker = asyncio.create_task(asyncio.sleep(100))
        await self.accept()

    async def receive(self, text_data=None, bytes_data=None):
        await self.stop()

    async def disconnect(self, code):
        await self.stop()

    async def stop(self):
        self.ticker.cancel()
        await self.ticker


async def test_a_consumer_that_is_ended_by_its_own_cancelled_error_has_crashed():
    with pytest.raises(errors.ConsumerCancelled, match="a CancelledError ended Awaiting in .*_disconnect") as ended:
        async with client(Awaiting):
            pass
    assert "though nobody had cancelled it" in str(ended.value)
    assert "contextlib.suppress(asyncio.CancelledError)" in str(ended.value)
    assert [frame.name for frame in traceback.extract_tb(ended.value.__traceback__)][-3:-1] == ["disconnect", "stop"]
    async with client(Awaiting) as ws:
        await ws.send_text("x")
        with pytest.raises(errors.ConsumerCancelled, match="websocket_receive"):
            await ws.receive_text()


async def test_a_test_that_is_cancelled_is_no_crash_of_the_consumer():
    log = events.begin_log()

    async def test():
        async with client() as ws:
            await ws.receive_text()

    running = asyncio.create_task(test())
    await asyncio.sleep(0.01)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not log.of(consumers.ConsumerCrashed)


async def test_a_crash_in_a_thread_of_a_sync_consumer():
    class Sync(WebsocketConsumer):
        def receive(self, text_data=None, bytes_data=None):
            raise ValueError("in a thread")

    async with client(Sync) as ws:
        await ws.send_text("x")
        with pytest.raises(ValueError, match="in a thread") as crash:
            await ws.receive_text()
        assert traceback.extract_tb(crash.value.__traceback__)[-1].name == "receive"


async def test_an_unknown_message_type_is_the_receivers_crash():
    from channels.layers import get_channel_layer

    async with client() as ws:
        (live,) = consumers.live_consumers()
        await get_channel_layer().send(live.channel_name, {"type": "no.such.handler"})
        with pytest.raises(ValueError, match="No handler for message type no.such.handler"):
            await ws.receive_text()


# -------------------------------------------------------------------- time outs


class Broken(events.Event):
    def headline(self):
        return "lost for Talker: no_members"

    @property
    def broke(self):
        return True


async def test_no_frame_leads_with_what_was_lost_before():
    async with client() as ws:
        for _ in range(2):
            events.current_log().record(Broken, where=events.caller())
        with pytest.raises(errors.NoFrame) as late:
            await ws.receive_text(timeout=0.05)
        lines = str(late.value).splitlines()
        assert lines[0] == "this broke before:"
        assert lines[1].startswith("    lost for Talker: no_members  [")
        assert lines[2] == "no frame came from Talker within 0.05 s (/ws/talk/)"


async def test_a_timeout_names_the_line_and_the_frames_and_leaves_the_consumer_alive():
    async with client() as ws:
        await ws.send_text("echo 1")
        await ws.receive_text()
        await ws.send_text("later 0.2")
        with pytest.raises(errors.NoFrame) as late:
            await ws.receive_text(timeout=0.05)
        assert isinstance(late.value, TimeoutError)
        lines = str(late.value).splitlines()
        assert lines[0] == "no frame came from Talker within 0.05 s (/ws/talk/)"
        assert lines[1] == "Talker.websocket_receive runs, and waits at:"
        assert lines[2].endswith(" in Talker.receive")
        assert lines[3].endswith(" in Talker.do_later")
        assert "test_client.py:" in lines[3]
        assert lines[4:] == [
            "frames so far:",
            "    to the consumer: 'echo 1'",
            "    from the consumer: '1'",
            "    to the consumer: 'later 0.2'",
        ]
        assert await ws.receive_text() == "late"
        await ws.send_text("echo alive")
        assert await ws.receive_text() == "alive"


async def test_a_timeout_on_an_idle_consumer_says_so():
    async with client() as ws:
        with pytest.raises(errors.NoFrame, match="Talker waits for a message; it handled websocket.connect last"):
            await ws.receive_text(timeout=0.02)


async def test_a_timeout_on_an_idle_consumer_behind_middleware_names_no_line_of_the_middleware():
    def with_token(application):
        async def middleware(scope, receive, send):
            return await application({**scope, "token": "t"}, receive, send)

        return middleware

    async with client(with_token(Talker.as_asgi())) as ws:
        with pytest.raises(errors.NoFrame) as late:
            await ws.receive_text(timeout=0.02)
        assert str(late.value).splitlines()[1] == "Talker waits for a message; it handled websocket.connect last"


async def test_a_timeout_names_the_line_that_a_thread_runs():
    running = threading.Event()
    done = threading.Event()

    class Sync(WebsocketConsumer):
        def receive(self, text_data=None, bytes_data=None):
            running.set()
            done.wait(5)

    async with client(Sync) as ws:
        await ws.send_text("x")
        with pytest.raises(errors.NoFrame, match=r"test_client.py:\d+ in .*Sync.receive"):
            await ws.receive_text(timeout=0.2)
        assert running.is_set()
        done.set()


async def test_a_frame_from_a_thread_of_the_consumers_own_wakes_the_client():
    # asgiref runs its send in an event loop of its own, in yet another thread.
    class Threaded(WebsocketConsumer):
        def connect(self):
            self.accept()
            self.thread = threading.Thread(target=self.work)
            self.thread.start()

        def work(self):
            time.sleep(0.05)
            self.send(text_data="from a thread")

        def disconnect(self, code):
            self.thread.join()

    start = time.perf_counter()
    async with client(Threaded, timeout=60) as ws:
        assert await ws.receive_text() == "from a thread"
    assert time.perf_counter() - start < 20  # a third of the timeout


async def test_a_consumer_that_is_closed_by_a_thread_of_its_own_ends():
    class Threaded(WebsocketConsumer):
        def connect(self):
            self.accept()
            threading.Thread(target=self.work).start()

        def work(self):
            time.sleep(0.05)
            self.close(4001)

    start = time.perf_counter()
    async with client(Threaded, timeout=60) as ws:
        assert await ws.expect_close() == (4001, "")
    assert time.perf_counter() - start < 20


async def test_a_slow_client_lets_a_thread_of_the_consumer_wait():
    class Threaded(WebsocketConsumer):
        def connect(self):
            self.accept()
            self.thread = threading.Thread(target=self.work)

        def receive(self, text_data=None, bytes_data=None):
            self.thread.start()

        def work(self):
            for number in range(3):
                self.send(text_data=str(number))

        def disconnect(self, code):
            self.thread.join()

    async with client(Threaded) as ws:
        with ws.pause_reading(buffer=1):
            await ws.send_text("go")
            await asyncio.sleep(0.1)
            assert [frame.data for frame in ws.frames] == ["go", "0"]
        assert [await ws.receive_text() for _ in range(3)] == ["0", "1", "2"]


async def test_receive_until_passes_over_and_lists_what_it_passed():
    async with client() as ws:
        await ws.send_text("many 3")
        assert await ws.receive_until(lambda number: number == 2) == 2
        await ws.send_text("many 2")
        with pytest.raises(errors.NoFrame) as late:
            await ws.receive_until(lambda number: number == 9, timeout=0.05)
        assert str(late.value).startswith("no frame satisfied the predicate. Received and passed over:\n    0\n    1\n")
        assert "\nno frame came from Talker within 0.05 s (/ws/talk/)\n" in str(late.value)
        await ws.send_text("echo abc")
        assert await ws.receive_until(str.isalpha, kind="text") == "abc"


async def test_a_frame_of_another_kind_is_named_and_can_still_be_received():
    async with client() as ws:
        await ws.send_text("echo no json")
        with pytest.raises(errors.UnexpectedFrame, match="the frame is no JSON .*: 'no json'"):
            await ws.receive_json()
        with pytest.raises(
            errors.UnexpectedFrame, match="expected a binary frame, but the next one is text: 'no json'"
        ):
            await ws.receive_bytes()
        assert await ws.receive_text() == "no json"
        await ws.send_bytes(b"x")
        with pytest.raises(errors.UnexpectedFrame, match="expected a text frame, but the next one is binary: b'x'"):
            await ws.receive_text()
        assert await ws.receive_bytes() == b"x"


async def test_overlapping_receives_each_get_a_frame_and_leave_channels_as_it_was():
    before = channels_db.close_old_connections
    async with client() as ws:
        one, two = asyncio.create_task(ws.receive_text()), asyncio.create_task(ws.receive_text())
        await asyncio.sleep(0)
        await ws.send_text("many 2")
        assert sorted([await one, await two]) == ["0", "1"]
    assert channels_db.close_old_connections is before


# --------------------------------------------------------------- receive_nothing


async def test_receive_nothing_is_decided_without_waiting():
    async with client() as ws:
        await ws.receive_nothing()
        start = time.perf_counter()
        for _ in range(50):
            assert await ws.receive_nothing()
        assert time.perf_counter() - start < 50 * 0.1  # 0.1 s each where the loop can't be seen


async def test_receive_nothing_fails_for_a_frame_that_is_there_and_leaves_it():
    async with client() as ws:
        await ws.send_text("echo x")
        with pytest.raises(errors.UnexpectedFrame, match="expected no frame, but Talker sent 'x'"):
            await ws.receive_nothing()
        assert await ws.receive_text() == "x"


async def test_receive_nothing_does_not_miss_a_frame_due_in_150_ms():
    async with client() as ws:
        await ws.send_text("later 0.15")
        with pytest.raises(errors.UnexpectedFrame, match="late"):
            await ws.receive_nothing()
        await ws.receive_text()


async def test_receive_nothing_within_looks_no_further_and_lists_the_timers():
    async with client() as ws:
        await ws.send_text("sleep 0.3")
        assert await ws.receive_nothing(within=0.05)
        (event,) = [e for e in events.current_log().events if e.headline().startswith("nothing received")]
        assert "timers: Talker.do_sleep in 0." in event.headline()
        assert "test_client.py:" in event.headline()


async def test_receive_nothing_waits_for_a_thread():
    async with client() as ws:
        await ws.send_text("thread 0.1")
        with pytest.raises(errors.UnexpectedFrame, match="from a thread"):
            await ws.receive_nothing()
        await ws.receive_text()


async def test_receive_nothing_ignores_the_timeouts_of_the_test_itself():
    async with client() as ws, asyncio.timeout(60):
        start = time.perf_counter()
        await ws.receive_nothing()
        assert time.perf_counter() - start < 20


async def test_receive_nothing_ignores_the_timeouts_of_what_awaits_it():
    async with client() as ws, client() as other:
        async with asyncio.timeout(1):
            await asyncio.wait_for(ws.receive_nothing(), 1)
            await asyncio.gather(ws.receive_nothing(), other.receive_nothing())


async def test_receive_nothing_raises_a_crash_and_a_close():
    async with client() as ws:
        await ws.send_text("crash")
        with pytest.raises(ValueError, match="broken"):
            await ws.receive_nothing()
    async with client() as ws:
        await ws.send_text("close 4001")
        with pytest.raises(errors.WebSocketClosed, match=r"Talker closed the connection .* \(code 4001, 'enough'\)"):
            await ws.receive_nothing()


async def test_receive_nothing_says_what_never_rests():
    stop = False

    class Busy(AsyncWebsocketConsumer):
        async def receive(self, text_data=None, bytes_data=None):
            while not stop:  # noqa: ASYNC110 - a loop that never rests is the point
                await asyncio.sleep(0)

    async with client(Busy, timeout=0.1) as ws:
        await ws.send_text("x")
        with pytest.raises(errors.NotIdle, match="tasks that never wait for anything"):
            await ws.receive_nothing()
        stop = True


async def test_two_tasks_may_ask_for_nothing_at_once():
    async with client() as ws, client() as other:
        assert await asyncio.gather(ws.receive_nothing(), other.receive_nothing()) == [True, True]


# --------------------------------------------------------------- close and leave


async def test_leaving_runs_disconnect_after_what_the_consumer_has_to_do():
    ws = client()
    async with ws:
        log = ws.scope["state"]["log"]
        await ws.send_text("many 2")
    assert log == ["sent 0", "sent 1", "disconnect 1000"]
    with pytest.raises(errors.WebSocketClosed, match=r"this client closed it \(code 1000\)"):
        await ws.send_text("x")


async def test_close_with_a_code_and_drop():
    async with client() as ws:
        log = ws.scope["state"]["log"]
        await ws.close(4000, "bye")
        assert log == ["disconnect 4000"]
        with pytest.raises(errors.WebSocketClosed) as closed:
            await ws.receive_text()
        assert (closed.value.code, closed.value.reason) == (4000, "bye")
    async with client() as ws:
        log = ws.scope["state"]["log"]
        await ws.drop()
        assert log == ["disconnect 1006"]


@pytest.mark.parametrize("code", [0, 999, 1005, 1006, 1015, 2999, 5000, "1000", True])
async def test_a_code_that_no_client_may_send(code):
    async with client() as ws:
        with pytest.raises(errors.BackchannelError, match="no client may send it"):
            await ws.close(code)


async def test_the_consumer_closes():
    async with client() as ws:
        log = ws.scope["state"]["log"]
        await ws.send_text("close 4001")
        assert await ws.expect_close() == (4001, "enough")
        assert log == ["disconnect 4001"]
        for step in (ws.receive_text, lambda: ws.send_text("x"), ws.close, ws.drop):
            with pytest.raises(errors.WebSocketClosed) as closed:
                await step()
            assert closed.value.code == 4001


async def test_expect_close_fails_for_a_frame_and_for_silence():
    async with client() as ws:
        await ws.send_text("echo x")
        with pytest.raises(errors.UnexpectedFrame, match="expected Talker to close the connection, but it sent 'x'"):
            await ws.expect_close()
        await ws.receive_text()
        with pytest.raises(errors.NoFrame, match="Talker did not close the connection within 0.02 s"):
            await ws.expect_close(timeout=0.02)


async def test_a_consumer_that_stops_without_closing_is_1006_for_the_client():
    async with client() as ws:
        await ws.send_text("stop")
        with pytest.raises(errors.WebSocketClosed, match="ended without closing") as closed:
            await ws.receive_text()
        assert closed.value.code == 1006


async def test_a_crash_that_middleware_has_caught_is_told_where_the_connection_is_found_closed():
    def swallowing(application):
        async def middleware(scope, receive, send):
            with contextlib.suppress(ValueError):
                await application(scope, receive, send)

        return middleware

    async with client(swallowing(Talker.as_asgi())) as ws:
        await ws.send_text("crash")
        with pytest.raises(errors.WebSocketClosed, match="Talker ended without closing") as closed:
            await ws.receive_text()
        lines = str(closed.value).splitlines()
        assert lines[1] == "Talker.websocket_receive raised ValueError: broken, and middleware has caught it:"
        assert lines[4].endswith(" in Talker.do_crash")


async def test_a_disconnect_that_hangs_is_a_failure_with_its_line():
    class Wedged(AsyncWebsocketConsumer):
        async def disconnect(self, code):
            await asyncio.Event().wait()

    with pytest.raises(errors.ConsumerHung) as hung:
        async with client(Wedged, timeout=0.05):
            pass
    assert "Wedged did not end after its client had gone within 0.05 s" in str(hung.value)
    assert "Wedged.websocket_disconnect runs, and waits at:" in str(hung.value)
    assert "test_client.py:" in str(hung.value)
    assert consumers.live_consumers() == ()


async def test_reconnect_keeps_the_cookies_and_the_frames():
    class Remembers(Talker):
        async def connect(self):
            self.log = []
            await self.accept(headers=[(b"Set-Cookie", b"seen=yes; Path=/; HttpOnly")])

    async with client(Remembers, cookies={"a": "1"}) as ws:
        assert dict(ws.scope["headers"])[b"cookie"] == b"a=1"
        await ws.send_text("echo 1")
        await ws.receive_text()
        await ws.reconnect()
        assert dict(ws.scope["headers"])[b"cookie"] == b"a=1; seen=yes"
        await ws.send_text("echo 2")
        assert await ws.receive_text() == "2"
        assert [frame.data for frame in ws.frames] == ["echo 1", "1", "echo 2", "2"]
        await ws.drop()
        await ws.reconnect()
        await ws.send_text("echo 3")
        assert await ws.receive_text() == "3"


# ------------------------------------------------------------------ slow clients


async def test_a_client_that_does_not_read_blocks_the_consumers_send():
    async with client() as ws:
        log = ws.scope["state"]["log"]
        with ws.pause_reading(buffer=2):
            await ws.send_text("many 5")
            await ws.wait_idle()
            assert log == ["sent 0", "sent 1"]
            with pytest.raises(errors.BackchannelError, match=r"reading is paused: call resume_reading\(\) first"):
                await ws.receive_text()
        assert [await ws.receive_text() for _ in range(5)] == ["0", "1", "2", "3", "4"]


async def test_a_client_that_is_lost_while_it_does_not_read_fails_the_send_and_skips_disconnect():
    async with client() as ws:
        log = ws.scope["state"]["log"]
        ws.pause_reading(buffer=1)
        await ws.send_text("many 5")
        await ws.wait_idle()
        with pytest.raises(errors.ClientDisconnected, match=r"websocket.send to a client that is gone \(code 1006\)"):
            await ws.drop()
        assert log == ["sent 0"]


async def test_a_frame_sent_in_disconnect_is_refused_as_on_uvicorn():
    class Farewell(AsyncWebsocketConsumer):
        async def disconnect(self, code):
            await self.send(text_data="bye")

    with pytest.raises(errors.ClientDisconnected, match="Send nothing in disconnect"):
        async with client(Farewell):
            pass


# --------------------------------------------------------------- wrong use, clean-up


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"path": "ws/"}, "path='ws/': give the path of a URL, beginning with '/'"),
        ({"path": "/ws/#x"}, "a WebSocket URL has no fragment"),
        ({"headers": "x"}, "headers='x': give a mapping, or pairs"),
        ({"headers": [("a b", "c")]}, "'a b' can't be the name of a header"),
        ({"headers": {"a": "b\r\nc: d"}}, "has a line break"),
        ({"headers": {"a": 1}}, "1 is int; give str or bytes"),
        ({"subprotocols": "chat"}, "subprotocols='chat': give a list of names"),
        ({"subprotocols": ["a", "a"]}, "a name is given twice"),
        ({"cookies": {"a": "b; c=d"}}, "can't be a cookie"),
        ({"session": "key"}, "session='key': give a dict of what the session holds"),
        ({"timeout": 0}, "timeout=0: give a number of seconds above 0"),
        ({"timeout": True}, "timeout=True: give a number of seconds above 0"),
        ({"application": 7}, "7 is neither an ASGI application nor a consumer class"),
        ({"application": dict}, "is neither a consumer class nor an ASGI application"),
        ({"application": URLRouter([]), "url_kwargs": {}}, "url_kwargs is for a consumer alone"),
    ],
)
async def test_a_bad_argument_is_a_clear_error_at_once(options, message):
    with pytest.raises(errors.BackchannelError, match=message.replace("(", r"\(")):
        client(**options)


async def test_using_a_client_that_is_not_connected():
    with pytest.raises(errors.BackchannelError, match="not connected: enter it with 'async with'"):
        await client().receive_text()
    with pytest.raises(errors.BackchannelError, match="never connected"):
        await client().reconnect()
    async with client() as ws:
        with pytest.raises(errors.BackchannelError, match="connected already"):
            await ws.connect()
        for wrong in (ws.send_text(b"x"), ws.send_bytes("x"), ws.receive_until(1), ws.receive_nothing(within=-1)):
            with pytest.raises(errors.BackchannelError, match="give"):
                await wrong
        with pytest.raises(errors.BackchannelError, match=r"pause_reading\(buffer=0\)"):
            ws.pause_reading(buffer=0)
        with pytest.raises(TypeError, match="not JSON serializable"):
            await ws.send_json({1, 2})


async def test_everything_is_as_before_after_it_all():
    loop = asyncio.get_running_loop()
    before = channels_consumer.await_many_dispatch, channels_db.close_old_connections
    tasks = asyncio.all_tasks()
    async with client() as ws:
        assert "run_in_executor" in vars(loop)
        await ws.send_text("crash")
        with pytest.raises(ValueError, match="broken"):
            await ws.receive_text()
    with pytest.raises(RuntimeError, match="interrupted"):
        async with client(), client():
            raise RuntimeError("interrupted")
    assert (channels_consumer.await_many_dispatch, channels_db.close_old_connections) == before
    assert "run_in_executor" not in vars(loop)
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == tasks


async def test_consumers_memory_is_freed():
    import weakref

    references = []
    for _ in range(10):
        async with client() as ws:
            (live,) = consumers.live_consumers()
            references.append(weakref.ref(live.consumer))
            await ws.send_text("echo x")
            await ws.receive_text()
        del ws, live
    gc.collect()
    # The context of a thread that waits for its next job may hold the last one.
    assert sum(reference() is not None for reference in references) <= 1


async def test_the_story_goes_from_frame_to_handler_to_frame():
    async with client() as ws:
        await ws.send_text(json.dumps("x"))
        with pytest.raises(AttributeError):
            await ws.receive_text()
        # a broken chain: the crash hangs below its handler, which hangs below the frame
    log = events.current_log().events
    crash = next(event for event in log if event.broke)
    handler = next(event for event in log if event.id == crash.cause)
    frame = next(event for event in log if event.id == handler.cause)
    assert handler.headline() == "Talker.websocket_receive"
    assert frame.headline() == "frame from the client: '\"x\"'"
