"""Every hook of pytest's that the plugin has; what they do is in harness/, markers.py and options.py.

Thin on purpose, and it imports neither Django, Celery nor Channels: the fixtures' modules, registered here, import
them when a test asks for a fixture. What a test that uses none of them pays is a few calls of hooks: one for each
phase, since what every test pays is mostly pytest's calling of hooks, and next to nothing where neither Celery nor
Channels is loaded.

Hooks of an object are registered later than those of this module: when pytest is configured, so that they come before
those of plugins and conftest files that are there by then, or when something needs them.
"""

from __future__ import annotations

import sys
from collections.abc import Generator
from importlib import import_module
from typing import Any

import pytest

from .errors import NotForReal
from .harness import (
    async_tests,
    judging,
    late_hooks,
    layers,
    lending,
    project,
    queues,
    real_servers,
    testcases,
    watching,
)
from .harness.fresh import production_findings
from .markers import MARKERS, wrong_markers
from .options import add_options, add_server_options, options_of

FIXTURE_MODULES = (
    "pytest_backchannel.fixtures.database",
    "pytest_backchannel.fixtures.tasks",
    "pytest_backchannel.fixtures.channels",
    "pytest_backchannel.fixtures.websocket",
    "pytest_backchannel.fixtures.servers",
)


# ---------------------------------------------------------------- the run


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options."""
    add_options(parser)
    add_server_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Declare the markers, check the options, and register the modules of the fixtures and the hooks below."""
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    blocking = options_of(config).blocking
    late_hooks.offer(config, {late_hooks.LENT: _AroundFixtures, late_hooks.SERVERS: _WithServers})
    manager = config.pluginmanager
    manager.register(_First(), "backchannel-begin")
    if not hasattr(config, "workerinput"):  # with pytest-xdist, only the controller sums up
        manager.register(_Summary(), "backchannel-observed")
    for module in FIXTURE_MODULES:
        # Not by import_plugin(): a module that the project has imported already would be warned about, for pytest
        # can't rewrite its assertions any more, and there are none.
        if not manager.has_plugin(module) and not manager.is_blocked(module):
            manager.register(import_module(module), module)
    if blocking != "off":
        manager.register(_WatchLoop(fails=blocking == "error"), "backchannel-blocking")


def _has(config: pytest.Config, fixtures: str) -> bool:
    """Whether a module of fixtures is registered: ``-p no:`` switches off what belongs to it, too."""
    return config.pluginmanager.has_plugin(f"pytest_backchannel.fixtures.{fixtures}")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Check what the options name, once Django is set up; with pytest-xdist, before it starts a worker."""
    project.check_named_modules(session.config, celery=_has(session.config, "tasks"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Check the arguments of the markers: a wrong one fails its own test, and no other."""
    wrong = wrong_markers(items, task_queue=_has(config, "tasks"))
    if wrong:
        config.pluginmanager.register(_WrongMarkers(wrong), "backchannel-markers")


class _WrongMarkers:
    """Where a marker is wrong; a suite whose markers are right does not pay for the hook.

    Args:
        wrong: what to say of a test, by its item.
    """

    def __init__(self, wrong: dict[pytest.Item, str]) -> None:
        self._wrong = wrong

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Fail the test before anything is set up for it."""
        if item in self._wrong:
            pytest.fail(self._wrong[item], pytrace=False)


class _First:
    """Before all others: what they record belongs to this test, and what they sort by is marked."""

    @pytest.hookimpl(trylast=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Have pytest-django's fixtures lend the test's connection."""
        if _has(session.config, "database"):
            lending.begin_session(session)

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run a test against each of the brokers that its marker lists."""
        if _has(metafunc.config, "servers"):
            queues.parametrise(metafunc)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Mark what needs a real broker, before pytest-django sorts by its own marker."""
        if _has(config, "servers"):
            queues.mark_integration_tests(items)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Begin an empty log."""
        judging.begin(item)

    @pytest.hookimpl(tryfirst=True)
    def pytest_unconfigure(self, config: pytest.Config) -> None:
        """End every process of the run."""
        real_servers.close(config)


# --------------------------------------------------------------- each test


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Observe the project's own layers and consumers, and connections to a real Redis."""
    queues.begin_redis_watch(item)
    watching.begin(item)
    layers.begin(item)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """At the end of the body, ask the doubles in use what went unseen."""
    end_watch = queues.watch_brokers(item)
    try:
        watching.begin_body(item)
        try:
            lending.begin_body(item)
            with lending.watch_body(item):
                result = yield
        except BaseException as error:
            judging.body_failed(item, error)
            raise
        judging.judge_body(item)
        return result
    finally:
        if end_watch is not None:
            end_watch()


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    """After the fixtures are gone, report what only their end has shown."""
    try:
        result = yield
    finally:
        queues.end_redis_watch(item)
        # Only where a module of ours for Channels is loaded has anything begun.
        if "pytest_backchannel.channels.watch.consumers" in sys.modules:
            try:
                watching.end(item)
            finally:
                layers.end(item)
    judging.judge_fixtures(item)
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Tell the story of a failed test, and carry what was observed to where the summary is made."""
    report = yield
    if report.failed and call.excinfo is not None:
        judging.tell_story(report)
    if call.when == "call" and not report.passed:
        async_tests.explain(item, report)
    if call.when == "teardown":
        judging.end(item, report)
    return report


class _WatchLoop:
    """With ``backchannel_blocking``: find the calls that block the event loop.

    Args:
        fails: whether such a call fails the test, or warns.
    """

    def __init__(self, fails: bool) -> None:
        self._fails = fails

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Generator[None, object, object]:
        """Watch while the test runs."""
        with watching.event_loop(fails=self._fails):
            return (yield)


# ------------------------------------------------------ once there is a need


class _AroundFixtures:
    """Once something was lent: a suite that lends nothing does not pay for a hook around each fixture."""

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any, request: Any) -> Generator[None, object, object]:
        """What a fixture leaves running, or holds, around the test is not the code's under test."""
        __tracebackhide__ = True
        if fixturedef.scope != "function":
            with lending.of_no_test():
                return (yield)
        lending.adopt(request.node)  # of the fixture that is being set up, and has asked for this one
        result = yield
        lending.adopt(request.node)
        return result


class _WithServers:
    """Once a server runs: a suite that starts none does not pay for these hooks."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self) -> None:
        """What the servers write from now on belongs to this test."""
        real_servers.mark_logs()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        """Give the servers to a class of unittest; what can't be had for real is skipped, with its reason."""
        testcases.give_servers(item)
        try:
            return (yield)
        except NotForReal as error:
            pytest.skip(str(error))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> Generator[None, object, object]:
        """Make the servers as they were found."""
        try:
            return (yield)
        finally:
            if nextitem is not None:
                real_servers.restore(item.config)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Show what servers and workers wrote during a failed test."""
        report = yield
        if report.failed:
            real_servers.add_logs(report)
        return report


# --------------------------------------------------------------- the summary


class _Summary:
    """At the end of a run: what went unseen in tests that use none of the fixtures, and what could not be known."""

    def __init__(self) -> None:
        from .questions.report.terminal import Observed

        self._observed = Observed()
        self._not_known: list[str] = []
        self._ran = False
        self._told: production_findings.Told | None = None

    @pytest.hookimpl(trylast=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Begin to read the settings of production."""
        production_findings.begin(session.config)

    def pytest_unconfigure(self, config: pytest.Config) -> None:
        """Leave no process behind."""
        production_findings.end(config)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take what the report of a teardown carries."""
        self._ran = True
        self._observed.add(report.nodeid, getattr(report, "backchannel_observed", ()))
        not_known = getattr(report, "backchannel_not_known", None)
        if not_known is not None and not_known not in self._not_known:
            self._not_known.append(not_known)

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Judge the settings of production: with ``backchannel_strict``, what is found fails the run."""
        if not self._ran or exitstatus not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            return
        self._told = production_findings.tell(session.config)
        self._not_known += [line for line in self._told.not_known if line not in self._not_known]
        if self._told.findings and options_of(session.config).strict:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print it."""
        if self._told is not None and self._told.findings:
            options = options_of(terminalreporter.config)
            terminalreporter.section(f"backchannel: the settings of production ({options.production_settings})")
            for line in production_findings.lines(self._told, strict=options.strict):
                terminalreporter.write_line(line)
        if self._observed:
            terminalreporter.section(self._observed.TITLE)
            for line in self._observed.lines():
                terminalreporter.write_line(line)
        for line in self._not_known:
            terminalreporter.write_line(f"backchannel: {line}")
