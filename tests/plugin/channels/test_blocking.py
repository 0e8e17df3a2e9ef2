"""backchannel_blocking: what blocks the event loop is found with its line, and nothing else is."""

from __future__ import annotations

import pytest

APP = """
    import os
    import socket
    import threading
    import time
    import urllib.request
    from http.server import BaseHTTPRequestHandler, HTTPServer
    from pathlib import Path

    from asgiref.sync import sync_to_async
    from channels.db import database_sync_to_async
    from channels.generic.websocket import AsyncWebsocketConsumer
    from channels.testing import WebsocketCommunicator
    from django.contrib.auth.models import User
    from django.db import connection

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def sleep():
        time.sleep(0.001)

    def query():
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")

    def orm():
        list(User.objects.all())

    def http():
        urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/", timeout=5).read()

    def file():
        Path(__file__).read_bytes()

    class Consumer(AsyncWebsocketConsumer):
        async def receive(self, text_data=None, bytes_data=None):
            if text_data.startswith("thread "):
                await sync_to_async(globals()[text_data.split()[1]])()
            elif text_data.startswith("async "):
                [user async for user in User.objects.all()]
                await database_sync_to_async(orm)()
            else:
                globals()[text_data]()
            await self.send(text_data="done")

    async def ask(text):
        browser = WebsocketCommunicator(Consumer.as_asgi(), "/")
        await browser.connect()
        await browser.send_to(text_data=text)
        await browser.receive_from()
        await browser.disconnect()
"""
TESTS = """
    import os
    import pytest
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"  # without it, Django itself refuses
    from app import *

    pytestmark = [pytest.mark.django_db, pytest.mark.asyncio]

    @pytest.mark.parametrize("what", ["sleep", "query", "orm", "http", "file"])
    async def test_blocking(what):
        await ask(what)

    @pytest.mark.parametrize("what", ["thread sleep", "thread query", "thread orm", "thread http", "async orm"])
    async def test_not_blocking(what):
        await ask(what)

    @pytest.mark.allow_lost("blocked_loop")
    async def test_allowed():
        await ask("sleep")
"""
SYNC = """
    import socket
    import time

    import pytest
    from django.db.backends.utils import CursorWrapper

    def test_sync():
        time.sleep(0.001)

    @pytest.fixture
    def as_it_was():
        # Outside of the body of a test, where nothing is watched.
        assert time.sleep.__name__ == "sleep" and type(time.sleep).__name__ == "builtin_function_or_method"
        assert type(socket.socket.connect).__name__ == "method_descriptor"
        assert CursorWrapper.execute.__module__ == "django.db.backends.utils"
        assert CursorWrapper.execute.__name__ == "execute"

    def test_everything_is_as_it_was(as_it_was):
        pass
"""
FOUND = {
    "sleep": "time.sleep was called in async code: until it returns, every consumer of the process waits; "
    "await asyncio.sleep(...)",
    "query": "CursorWrapper.execute was called in async code",
    "orm": "use the async ORM (aget, acreate, async for), or database_sync_to_async",
    "http": "socket.socket.connect was called in async code",
    "file": "io.BufferedReader.read was called in async code",
}


@pytest.fixture
def app(project):
    project.write("app.py", APP)
    project.write("test_sync.py", SYNC)
    return project


def line_of(text):
    return next(number for number, line in enumerate(APP.splitlines(), 1) if text in line)


def test_error_fails_with_the_line_and_only_what_blocks(app):
    app.ini("backchannel_blocking = error")
    result = app.test(TESTS, "test_sync.py", "-rA")
    result.assert_outcomes(failed=5, passed=8)
    text = result.stdout.str()
    for what, said in FOUND.items():
        assert f"FAILED test_it.py::test_blocking[{what}]" in text
        assert said in text
    assert f"await asyncio.sleep(...)  [app.py:{line_of('time.sleep(0.001)')}]" in text
    assert f"[app.py:{line_of('SELECT 1')}]" in text
    assert f"[app.py:{line_of('list(User')}]" in text
    assert f"[app.py:{line_of('urlopen')}]" in text
    assert f"[app.py:{line_of('read_bytes')}]" in text


def test_warn_warns_at_the_line_and_off_is_silent(app):
    app.ini("backchannel_blocking = warn")
    result = app.test(TESTS, "test_sync.py", "-Wdefault::pytest_backchannel.errors.BlockedLoop")
    result.assert_outcomes(passed=13, warnings=result.parseoutcomes()["warnings"])
    result.stdout.fnmatch_lines(
        [f"*app.py:{line_of('time.sleep(0.001)')}: BlockedLoop: time.sleep was called in async*"]
    )
    app.ini()
    app.test(TESTS, "test_sync.py").assert_outcomes(passed=13)


def test_the_virtual_clock_still_rules(app):
    app.ini("backchannel_blocking = warn", "asyncio_mode = auto")
    result = app.test(
        """
        import time

        async def test_it(virtual_clock):
            time.sleep(300)
            assert len(virtual_clock.sleeps) == 1
        """,
        "-Wdefault::pytest_backchannel.errors.BlockedLoop",
    )
    result.assert_outcomes(passed=1, warnings=1)
    assert result.duration < 200


def test_a_bad_value_is_a_usage_error(app):
    app.ini("backchannel_blocking = yes")
    app.test("").stderr.fnmatch_lines(["*backchannel_blocking = 'yes': choose one of 'off', 'warn', 'error'"])


def test_without_the_package_it_says_what_to_install(app):
    app.ini("backchannel_blocking = error")
    app.write(
        "hide.py",
        """
        import importlib.util
        find_spec = importlib.util.find_spec
        importlib.util.find_spec = lambda name, *args: None if name == "blockbuster" else find_spec(name, *args)
        """,
    )
    result = app.test("", "-p", "hide")
    result.stderr.fnmatch_lines(
        ["*backchannel_blocking = 'error' needs blockbuster: pip install 'pytest-backchannel[[]blocking[]]'*"]
    )
