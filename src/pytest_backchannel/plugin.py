"""pytest's hooks: options, markers, the log of each test, and what fails a test without being asked.

Thin on purpose, and it imports neither Django, Celery nor Channels: the fixtures' modules, registered here, import
them when a test asks for a fixture. What a test that uses none of them pays is a few calls of hooks.
"""

from __future__ import annotations

import sys
import warnings
from importlib import import_module
from typing import TYPE_CHECKING

import pytest

from . import events
from .errors import SLUGS
from .fixtures import channels, database, tasks, websocket
from .options import add_options, add_server_options, marked, options_of

if TYPE_CHECKING:
    from collections.abc import Generator

FIXTURE_MODULES = (
    "pytest_backchannel.fixtures.database",
    "pytest_backchannel.fixtures.tasks",
    "pytest_backchannel.fixtures.channels",
    "pytest_backchannel.fixtures.websocket",
    "pytest_backchannel.fixtures.servers",
    "pytest_backchannel.fixtures.blocking",
)

MARKERS = (
    "celery_integration: needs a real broker and a real worker; for the slower job of the CI.",
    "allow_lost(slug, ...): what is lost or breaks under these slugs is intended in this test.",
)

_OBSERVED = pytest.StashKey[list[dict[str, str]]]()
_FAILED = pytest.StashKey[bool]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options."""
    add_options(parser)
    add_server_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Declare the markers, check the options, and register the modules of the fixtures."""
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    options_of(config)
    config.pluginmanager.register(_Begin(), "backchannel-begin")
    if not hasattr(config, "workerinput"):  # with pytest-xdist, only the controller sums up
        from .questions.report.terminal import ObservedSummary

        config.pluginmanager.register(ObservedSummary(), "backchannel-observed")
    for module in FIXTURE_MODULES:
        # Not by import_plugin(): a module that the project has imported already would be warned about, for pytest
        # can't rewrite its assertions any more, and there are none.
        if not config.pluginmanager.has_plugin(module) and not config.pluginmanager.is_blocked(module):
            config.pluginmanager.register(import_module(module), module)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Check the arguments of ``allow_lost``, before any test has run."""
    for item in marked(items, "allow_lost"):
        for marker in item.iter_markers("allow_lost"):
            unknown = [slug for slug in marker.args if slug not in SLUGS]
            if unknown or not marker.args or marker.kwargs:
                raise pytest.UsageError(
                    f"{item.nodeid}: allow_lost takes one or more slugs"
                    + (f", and {unknown[0]!r} is none" if unknown else "")
                    + f"; choose from {', '.join(sorted(SLUGS))}"
                )


# ------------------------------------------------------ the log of each test

# One hook for each phase, and it calls the fixtures' modules: what every test pays is mostly pytest's calling of hooks,
# and next to nothing where neither Celery nor Channels is loaded.


class _Begin:
    """Before all others: what they record belongs to this test."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Begin an empty log."""
        events.expect_log(item.nodeid, enforced=options_of(item.config).strict)
        if _FAILED in item.stash:
            del item.stash[_FAILED]  # a plugin runs the item again


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Observe the project's own layers and consumers, or hold the test to the strict layer."""
    websocket.begin(item)
    channels.begin(item)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """At the end of the body, ask the doubles in use what went unseen."""
    end_watch = tasks.watch_brokers(item)
    try:
        websocket.begin_body(item)
        try:
            database.begin_body(item)
            result = yield
        except BaseException:
            # The test has failed by itself: what went unseen is told in its report, and fails nothing once more.
            item.stash[_FAILED] = True
            log = events.log_in_use()
            if log is not None:
                log.run_checks()
                log.take_problems()
            raise
        log = events.log_in_use()
        if log is not None:
            log.run_checks()
            _judge(item, log)
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
        # Only where a module of ours for Channels is loaded has anything begun.
        if "pytest_backchannel.channels.watch.consumers" in sys.modules:
            try:
                websocket.end(item)
            finally:
                channels.end(item)
    log = events.log_in_use()
    # A test that failed half-way leaves things open: that is its failure, and no error beside it.
    if log is not None and _FAILED not in item.stash:
        _judge(item, log)
    return result


def _judge(item: pytest.Item, log: events.EventLog) -> None:
    problems = log.take_problems()
    if not problems:
        return
    allowed = {slug for marker in item.iter_markers("allow_lost") for slug in marker.args}
    problems = [problem for problem in problems if problem.slug not in allowed]
    if not log.enforced:
        seen = item.stash.setdefault(_OBSERVED, [])
        seen += [{"slug": p.slug, "text": p.text, "where": str(p.where or "")} for p in problems if p.decided is None]
        problems = [problem for problem in problems if problem.decided is not None]
    for problem in problems:
        if not problem.fatal:
            _warn(problem)
    fatal = [problem for problem in problems if problem.fatal]
    if fatal:
        # Without a traceback: it would show the plugin's own frames, and the message names the project's lines.
        pytest.fail(events.unexpected_loss(fatal), pytrace=False)


def _warn(problem: events.Problem) -> None:
    category = SLUGS[problem.slug].warning
    if problem.where is None:
        warnings.warn(category(problem.text), stacklevel=1)
    else:
        warnings.warn_explicit(category(problem.text), None, problem.where.path, problem.where.line)


# --------------------------------------------------------------- the reports


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Tell the story of a failed test, and carry what was observed to where the summary is made."""
    report = yield
    if call.when != "teardown" and call.excinfo is None:
        return report
    if report.failed and call.excinfo is not None:
        from .questions.report.story import story

        log = events.log_in_use()
        text = story(log) if log is not None else ""
        if text:
            report.sections.append(("Behind the request", text))
    if call.when == "teardown":
        observed = item.stash.get(_OBSERVED, None)
        if observed:
            # A plain attribute of plain values: pytest-xdist sends it to the controller with the report.
            report.backchannel_observed = observed  # type: ignore[attr-defined]
        events.end_log()
    return report
