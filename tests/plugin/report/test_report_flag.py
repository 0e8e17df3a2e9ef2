"""``--backchannel-report``, of suites that are written with whatever they are written with."""

from __future__ import annotations

import json
import sys

import pytest

TITLE = "*= backchannel: what no test has reached =*"
EAGER = "CELERY_TASK_ALWAYS_EAGER = CELERY_TASK_EAGER_PROPAGATES = True"


def sentences(result):
    lines = result.stdout.lines
    start = next(number for number, line in enumerate(lines) if "what no test has reached" in line)
    return [line.partition("  [")[0] for line in lines[start + 1 :] if ": " in line and not line.startswith(" ")]


def data(project, name="backchannel-report.json"):
    return json.loads((project.path / name).read_text())


def facets(report, key):
    """The reached facets of an item, each with the tests that did it."""
    [item] = [item for item in report["items"] if item["key"] == key]
    return {
        facet["name"]: [report["tests"][number]["id"].partition("::")[2] for number in facet["tests"]]
        for facet in item["facets"]
        if facet["tests"]
    }


def command(project, *arguments):
    return project.pytester.run(sys.executable, "-m", "pytest_backchannel.cli", "report", *arguments)


def run(project, text, *arguments):
    return project.test(text, "--backchannel-report=term", "--backchannel-report=json", *arguments)


SUITE = """
    from unittest.mock import patch

    import pytest
    from channels.testing import WebsocketCommunicator
    from config.asgi import application
    from shop.consumers import RoomConsumer
    from shop.tasks import add, confirm_order, fail

    def test_function():
        assert add(1, 2) == 3

    def test_eager(settings, db):
        settings.CELERY_TASK_ALWAYS_EAGER = True
        assert confirm_order.delay(1).get() == 1

    def test_view(client, db, django_capture_on_commit_callbacks):
        with patch("shop.views.confirm_order") as task, django_capture_on_commit_callbacks(execute=True):
            client.get("/orders/1/confirm/")
        task.delay.assert_called_once_with(1)

    def test_mock_that_lies():
        with patch.object(fail, "delay"):
            fail.delay(1, 2, 3)

    @pytest.mark.asyncio
    async def test_class():
        communicator = WebsocketCommunicator(RoomConsumer.as_asgi(), "/ws/rooms/x/")
        communicator.scope["url_route"] = {"args": (), "kwargs": {"room": "x"}}
        assert (await communicator.connect())[0]
        await communicator.disconnect()

    @pytest.mark.asyncio
    async def test_route(db):
        communicator = WebsocketCommunicator(application, "/ws/echo/", [(b"origin", b"http://testserver")])
        assert (await communicator.connect())[0]
        await communicator.send_json_to({"a": 1})
        assert await communicator.receive_json_from() == {"a": 1}
        await communicator.disconnect()
"""


@pytest.fixture(autouse=True)
def not_on_github(monkeypatch):
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)


@pytest.fixture
def suite(project):
    project.ini("asyncio_mode = auto", "backchannel_async_db = off")
    project.settings(EAGER)
    return project


def test_a_suite_that_uses_nothing_of_ours(suite):
    result = run(suite, SUITE)
    result.assert_outcomes(passed=6)
    assert result.ret == 0
    result.stdout.fnmatch_lines([TITLE])
    found = sentences(result)
    assert found[:5] == [
        "fail: never run, and mocked away",
        "fail: a mock took what no task could: shop.tasks.fail(1, 2, 3) does not fit its signature: "
        "fail() takes from 0 to 1 positional arguments but 3 were given",
        "ws/rooms/<str:room>/: only as a class, never through the application",
        "RoomConsumer.receive_json: never run",
        "RoomConsumer.room_message: never run",
    ]
    assert "add: only called as a function, never as a task" in found
    report = data(suite)
    assert facets(report, "task:shop.tasks.add") == {
        "run": ["test_function"], "succeeded": ["test_function"], "function": ["test_function"],
    }  # fmt: skip
    confirm = facets(report, "task:shop.tasks.confirm_order")
    assert confirm["eager"] == confirm["enqueued"] == ["test_eager"]
    assert confirm["mocked"] == confirm["mock_fits"] == ["test_view"]
    assert facets(report, "route:/ws/echo/") == {"connected": ["test_route"]}
    assert facets(report, "route:/ws/rooms/<str:room>/") == {"class": ["test_class"]}
    assert facets(report, "handler:shop.consumers.EchoConsumer.receive_json") == {"run": ["test_route"]}


def test_with_workers_it_is_the_same(suite):
    run(suite, SUITE, "-p", "no:xdist")
    alone = data(suite)
    result = run(suite, SUITE, "-p", "xdist", "-n", "2")
    result.assert_outcomes(passed=6)
    assert data(suite) == alone


def test_shards_are_combined_to_the_whole(suite):
    run(suite, SUITE)
    whole = data(suite)
    for name, tests in {"a": "function or eager or lies", "b": "not (function or eager or lies)"}.items():
        suite.test(SUITE, f"--backchannel-report=json:{name}.json", "-k", tests)
    result = command(suite, "combine", "a.json", "b.json", "--format=json:all.json")
    assert result.ret == 0
    assert data(suite, "all.json") == whole


def test_the_doubles(suite):
    result = run(
        suite,
        """
        import pytest
        from shop.tasks import add, confirm_order, fail
        from pytest_backchannel.errors import WebSocketRejected

        def test_worker(db, task_queue):
            task_queue.kill_worker(when="after_body")
            add.delay(1, 2)
            task_queue.run_until_idle()

        @pytest.mark.allow_lost("expired_task")
        def test_again(task_queue):
            confirm_order.apply_async((1,), expires=60)
            task_queue.run(after=120)

        async def test_socket(db, websocket, channel_layer):
            async with websocket("/ws/rooms/x/") as browser:
                await channel_layer.group_send("x", {"type": "room.message", "text": "hi"})
                await browser.receive_json()

        async def test_origin(db, websocket):
            with pytest.raises(WebSocketRejected):
                await websocket("/ws/echo/", origin="https://evil.example").connect()
        """,
    )
    result.assert_outcomes(passed=4)
    report = data(suite)
    assert set(facets(report, "task:shop.tasks.add")) >= {"stepped", "succeeded", "killed", "enqueued"}
    assert facets(report, "task:shop.tasks.confirm_order")["expired"] == ["test_again"]
    assert facets(report, "route:/ws/rooms/<str:room>/") == {"connected": ["test_socket"]}
    assert facets(report, "route:/ws/echo/") == {"refused": ["test_origin"]}
    assert facets(report, "message:room.message")["handled"] == ["test_socket"]


def test_without_the_flag_nothing_of_it_is_loaded(suite):
    result = suite.test(
        """
        import sys

        def test_it(db):
            import shop.tasks
            assert not [name for name in sys.modules if name.startswith("pytest_backchannel.questions.report.s")]
            assert "pytest_backchannel.harness.reporting" not in sys.modules
        """
    )
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*what no test has reached*")


# ------------------------------------------------------------------- what fails a run


PLAIN = """
    from shop.tasks import add

    def test_it():
        assert add(1, 2) == 3
"""


@pytest.mark.parametrize(("share", "code"), [("1", 0), ("99.5", 1)])
def test_fail_under(suite, share, code):
    result = suite.test(PLAIN, f"--backchannel-fail-under={share}")
    assert result.ret == code
    result.stdout.fnmatch_lines([TITLE])
    if code:
        result.stdout.fnmatch_lines(["FAILED: * % was reached, and 99.5 % is wanted."])


def test_fail_under_of_the_ini_file(project):
    project.ini("backchannel_fail_under = 99")
    assert project.test(PLAIN).ret == 0
    assert project.test(PLAIN, "--backchannel-report=term").ret == 1
    assert project.test(PLAIN, "--backchannel-report=term", "--backchannel-fail-under=1").ret == 0


def test_a_baseline(suite):
    suite.test(PLAIN, "--backchannel-report=json")
    written = command(suite, "baseline")
    suite.write("baseline.txt", written.stdout.str())
    result = suite.test(PLAIN, "--backchannel-report=term", "--backchannel-baseline=baseline.txt")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["Reached * %): no gaps, and * of the baseline."])
    result = suite.test(
        "def test_it():\n    pass\n", "--backchannel-report=term", "--backchannel-baseline=baseline.txt"
    )
    assert result.ret == 1
    result.stdout.fnmatch_lines([TITLE, "add: never run*", "FAILED: 1 gap not in baseline.txt."])
    assert len(sentences(result)) == 3


def test_what_is_left_out(suite):
    suite.ini("backchannel_report_omit =", "    task:*", "    shop/consumers.py", "    enqueue:*")
    result = suite.test(PLAIN, "--backchannel-report=term")
    result.stdout.fnmatch_lines(["Nothing was found that could be reached: no task, no route."])


def test_a_project_that_cannot_be_loaded(suite):
    suite.write("config/production.py", "from .settings import *\n\nCELERY_IMPORTS = ['shop.no_such_module']\n")
    suite.ini("backchannel_production_settings = config.production")
    result = suite.test(PLAIN, "--backchannel-report=term")
    result.assert_outcomes(passed=1)
    assert result.ret == 2
    result.stdout.fnmatch_lines(["*= backchannel: no report =*", "*ModuleNotFoundError*"])


@pytest.mark.parametrize(
    ("argument", "text"),
    [
        ("--backchannel-report=xml", "*--backchannel-report=xml: choose one of term, html, json, github*"),
        ("--backchannel-report=term:x", "*--backchannel-report=term:x: term writes no file: give 'term' alone*"),
        (
            "--backchannel-fail-under=lots",
            "*--backchannel-fail-under = 'lots': give a number from 0 to 100, such as 85*",
        ),
        ("--backchannel-fail-under=101", "*--backchannel-fail-under = '101': give a number*"),
    ],
)
def test_values_that_cannot_be_used(project, argument, text):
    result = project.test(PLAIN, argument)
    assert result.ret == 4
    result.stderr.fnmatch_lines([text])


def test_a_baseline_that_is_not_there(project):
    result = project.test(PLAIN, "--backchannel-report=term", "--backchannel-baseline=no.txt")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*--backchannel-baseline: the baseline no.txt can't be read*"])


def test_annotations_come_by_themselves_on_github(suite, monkeypatch):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    result = suite.test(PLAIN, "--backchannel-report=json")
    result.stdout.fnmatch_lines(["::warning file=shop/tasks.py,line=*,title=backchannel::confirm_order: never run*"])


# ------------------------------------------------------------------------- story


FAILING = """
    from shop.tasks import add

    def test_it(task_queue):
        add.delay(1, 2)
        task_queue.run()
        assert False, "on purpose"

    def test_fine(task_queue):
        pass
"""


def test_the_story_of_a_failed_test(suite):
    result = suite.test(FAILING, "--backchannel-report=json", "--junitxml=junit.xml")
    result.assert_outcomes(passed=1, failed=1)
    report = data(suite)
    fine, failed = report["tests"]
    assert (fine["id"], fine["outcome"], fine["story"]) == ("test_it.py::test_fine", "passed", [])
    assert (failed["outcome"], failed["message"]) == ("failed", "AssertionError: on purpose")
    assert failed["story"][0]["text"] == "enqueued shop.tasks.add(1, 2) to 'celery'"
    assert failed["story"][0]["where"] == {"file": "test_it.py", "line": 5}
    shown = command(suite, "show", "test_it")
    assert shown.ret == 1
    shown.stdout.fnmatch_lines(
        [
            "test_it.py::test_it: failed: AssertionError: on purpose",
            "*0 s  enqueued shop.tasks.add(1, 2)*",
            "*SUCCESS 3*",
        ]
    )
    xml = (suite.path / "junit.xml").read_text()
    assert 'name="backchannel_story"' in xml
    assert "enqueued shop.tasks.add(1, 2)" in xml


def test_the_story_is_in_the_xml_without_the_flag_too(suite):
    suite.test(FAILING, "--junitxml=junit.xml")
    assert "enqueued shop.tasks.add(1, 2)" in (suite.path / "junit.xml").read_text()


def test_a_test_that_is_not_there(suite):
    suite.test(FAILING, "--backchannel-report=json")
    result = command(suite, "show", "no_such_test")
    assert result.ret == 2
    result.stderr.fnmatch_lines(["backchannel report: backchannel-report.json has no test 'no_such_test'; those that*"])
