"""What one forgets in async tests: each is told in a sentence, with the fix."""

from __future__ import annotations

IMPORTS = """
    import asyncio
    import pytest
    from shop.tasks import add
"""


def lines(project, body, *expected, passed=0, **outcomes):
    result = project.test(IMPORTS + body, "-p", "anyio")
    result.assert_outcomes(passed=passed, **outcomes)
    result.stdout.fnmatch_lines([f"*{line}*" for line in expected])
    return result


def test_a_socket_in_a_sync_test(project):
    lines(
        project,
        """
    def test_with(websocket):
        with websocket("/ws/echo/") as browser:
            pass

    def test_by_hand(websocket):
        browser = websocket("/ws/echo/")
        browser.connect()
    """,
        "BackchannelError: a WebSocketClient is an async context manager. Fix: write `async with` in place of `with`, "
        "in an `async def` test.",
        "never_awaited: *.connect() was called and never awaited, so that it did nothing. Fix: make the function that "
        "calls it `async def`, and await it there.*test_it.py:*",
        failed=2,
    )


def test_a_forgotten_await(project):
    project.ini("asyncio_mode = auto")
    result = lines(
        project,
        """
    async def test_compared(websocket):
        async with websocket("/ws/echo/") as browser:
            await browser.send_json(1)
            assert browser.receive_json() == 1

    async def test_it_would_hold(websocket):
        async with websocket("/ws/echo/") as browser:
            await browser.send_json(1)
            assert browser.receive_nothing()

    async def test_a_step(task_queue):
        add.delay(1, 2)
        task_queue.arun()

    async def test_awaited_later_and_cancelled(websocket):
        async with websocket("/ws/echo/") as browser:
            later = browser.receive_json()
            never = asyncio.create_task(browser.receive_json())
            never.cancel()
            await browser.send_json(1)
            assert await later == 1
            one = asyncio.create_task(browser.receive_json())
            await browser.send_json(2)
            assert await asyncio.wait_for(one, 1) == 2

    @pytest.mark.allow_lost("never_awaited")
    async def test_meant(websocket):
        async with websocket("/ws/echo/") as browser:
            browser.send_json(1)
    """,
        "*.receive_json() was called and never awaited, so that it did nothing. Fix: await it.*test_it.py:9*",
        "never_awaited: *.receive_nothing() was called and never awaited*test_it.py:14*",
        "never_awaited: TaskQueue.arun() was called and never awaited*test_it.py:18*",
        passed=2,
        failed=3,
    )
    result.stdout.no_fnmatch_line("*RuntimeWarning*")


def test_a_forgotten_mode(project):
    result = lines(
        project,
        """
    async def test_it(websocket):
        pass

    async def test_other(tmp_path):
        pass
    """,
        "async def functions are not natively supported.",
        "Fix for a test with pytest-backchannel's fixtures: pytest-asyncio is here, in its strict mode. Set "
        "`asyncio_mode = auto` beside your other options for pytest, or mark the test with @pytest.mark.asyncio.",
        failed=2,
    )
    # In a CI, pytest repeats each message in its summary.
    failures = result.stdout.str().partition("short test summary info")[0]
    assert failures.count("Fix for a test") == 1


def test_a_forgotten_plugin(project):
    project.write("pytest.ini", "[pytest]\nDJANGO_SETTINGS_MODULE = config.settings\npythonpath = .\n")
    result = project.test(IMPORTS + "    async def test_it(task_queue): ...", "-p", "no:asyncio", "-p", "no:anyio")
    result.stdout.fnmatch_lines(["*Fix for a test with pytest-backchannel's fixtures: *asyncio_mode = auto*"])


def test_trio(project):
    project.ini()
    lines(
        project,
        """
    pytestmark = pytest.mark.anyio

    @pytest.fixture
    def anyio_backend():
        return "trio"

    async def test_socket(websocket):
        async with websocket("/ws/echo/") as browser:
            pass

    async def test_queue(task_queue):
        add.delay(1, 2)
        await task_queue.arun()
    """,
        "*BackchannelError: a WebSocketClient needs an asyncio loop, and this test runs on trio, *Fix: a fixture "
        "`anyio_backend` in conftest.py that returns 'asyncio'.",
        "*BackchannelError: task_queue.arun() needs an asyncio loop, and this test runs on trio*",
        failed=2,
    )
