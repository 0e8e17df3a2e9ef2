"""inline-snapshot and syrupy: what was enqueued and sent, as a snapshot."""

from __future__ import annotations

TESTS = """
    import pytest
    {import_}
    from shop.tasks import add, confirm_order

    def test_what_a_view_enqueues(db, client, task_queue{fixture}):
        client.post("/orders/7/confirm/")
        assert [(task.name, task.args, task.kwargs) for task in task_queue] == {snapshot}

    def test_failures(task_queue{fixture}):
        add.delay("a", 1)
        task_queue.run(propagate=False)
        assert [(failure.call, repr(failure.exception)) for failure in task_queue.failures] == {snapshot}

    @pytest.mark.asyncio
    async def test_frames(websocket{fixture}):
        async with websocket("/ws/echo/") as browser:
            await browser.send_json({{"text": "hello"}})
            assert await browser.receive_json() == {snapshot}
"""


def test_inline_snapshot_writes_them_and_holds_tests_to_them(library, monkeypatch):
    monkeypatch.setenv("CI", "")  # there it writes nothing, and beside xdist it refuses to
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    project = library("inline_snapshot", plugins=("inline_snapshot",))
    tests = TESTS.format(import_="from inline_snapshot import snapshot", fixture="", snapshot="snapshot()")
    project.test(tests, "--inline-snapshot=create")
    # How it is written hangs on what formats it there.
    written = (project.path / "test_it.py").read_text().replace(", )", ",)").replace('"', "'")
    assert "snapshot([('shop.tasks.confirm_order', (7,), {})])" in written
    assert "snapshot({'text': 'hello'})" in written
    project.write("test_it.py", (project.path / "test_it.py").read_text().replace("(7,", "(8,"))
    project.run("test_it.py").assert_outcomes(passed=2, failed=1, errors=1)  # the error is its own, at the end


def test_syrupy_writes_them_and_holds_tests_to_them(library):
    project = library("syrupy", plugins=("syrupy",))
    tests = TESTS.format(import_="", fixture=", snapshot", snapshot="snapshot")
    project.test(tests, "--snapshot-update").assert_outcomes(passed=3)
    project.write("test_it.py", (project.path / "test_it.py").read_text().replace("orders/7", "orders/8"))
    project.run("test_it.py").assert_outcomes(passed=2, failed=1)
