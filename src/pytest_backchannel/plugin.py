"""Every hook of pytest's that the plugin has; what they do is in harness/, markers.py and options.py.

Thin on purpose, and it imports neither Django, Celery nor Channels: the fixtures' modules, registered here, import
them when a test asks for a fixture. What a test that uses none of them pays is a few calls of hooks: one for each
phase, since what every test pays is mostly pytest's calling of hooks, and next to nothing where neither Celery nor
Channels is loaded.

Hooks of an object are registered later than those of this module: when pytest is configured, so that they come before
those of plugins and conftest files that are there by then, or when something needs them.
"""

from __future__ import annotations

from collections.abc import Generator
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

from .errors import BackchannelError, NotForReal
from .harness import (
    async_tests,
    judging,
    late_hooks,
    lending,
    project,
    queues,
    real_servers,
    testcases,
    watching,
)
from .harness.fresh import production_findings
from .markers import MARKERS, wrong_markers
from .options import add_audit_options, add_options, add_question_options, add_server_options, options_of

if TYPE_CHECKING:
    from .harness.asking.watch_of_tests import WatchOfTests
    from .harness.contracting.sends_watch import SendsWatch

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
    add_question_options(parser)
    add_audit_options(parser)
    add_server_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Declare the markers, check the options, and register the modules of the fixtures and the hooks below."""
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    blocking = options_of(config).blocking
    late_hooks.offer(
        config,
        {
            late_hooks.OBSERVED: _Observed,
            late_hooks.REPORTS: _Reports,
            late_hooks.LENT: _AroundFixtures,
            late_hooks.SERVERS: _WithServers,
        },
    )
    manager = config.pluginmanager
    manager.register(_First(), "backchannel-begin")
    for module in FIXTURE_MODULES:
        # Not by import_plugin(): a module that the project has imported already would be warned about, for pytest
        # can't rewrite its assertions any more, and there are none.
        if not manager.has_plugin(module) and not manager.is_blocked(module):
            manager.register(import_module(module), module)
    if options_of(config).distinct_keys and _has(config, "database"):
        manager.register(_DistinctKeys(), "backchannel-distinct-keys")
    if blocking != "off":
        manager.register(_WatchLoop(fails=blocking == "error"), "backchannel-blocking")
    if options_of(config).production_settings and not hasattr(config, "workerinput"):
        manager.register(_Production(), "backchannel-production")
    if options_of(config).odd_values:
        manager.register(_OddValues(), "backchannel-odd-values")
        manager.register(_OddValuesTried(), "backchannel-odd-values-tried")
    _register_questions(config)


def _register_questions(config: pytest.Config) -> None:
    manager = config.pluginmanager
    is_worker = hasattr(config, "workerinput")  # of pytest-xdist: it watches, and another process answers
    if options_of(config).contract:
        from .harness.contracting.sends_watch import SendsWatch

        sends = SendsWatch(config)
        manager.register(_Watches(sends), "backchannel-sends")
        manager.register(_CountsLeftOut(config, sends), "backchannel-left-out")
        if not is_worker:
            manager.register(_RecordsContract(config), "backchannel-contract")
    audit = options_of(config).audit
    if audit is not None:
        if audit.wants("twice", "crash"):
            from .harness.audits.audited_tests import AuditedTests

            manager.register(_Watches(AuditedTests(config)), "backchannel-audit")
        if audit.wants("rollback"):
            from .harness.audits.rollback_tests import RollbackTests

            manager.register(_Watches(RollbackTests(config)), "backchannel-transactions")
        if not is_worker:
            manager.register(_TellsAudit(config), "backchannel-audit-told")
    if options_of(config).reports:
        from .harness.reporting.gathering import Gathering

        manager.register(_Watches(Gathering()), "backchannel-gathers")
        manager.register(_TellsStories(), "backchannel-stories")
        if not is_worker:
            manager.register(_ReportsRun(config), "backchannel-report")


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
    """Before all others: what they record belongs to this test, and what they sort by is marked.

    The only hooks that every test pays for: a plain one costs half of one that is a wrapper, and no test gets more
    before there is a need.
    """

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
        """Begin an empty log, and observe the project's layers, consumers and connections to a real Redis."""
        judging.begin(item)
        if watching.begin(item):
            late_hooks.need(item.config, late_hooks.OBSERVED)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> None:
        """Observe the body, too."""
        if watching.begin_body(item) and late_hooks.need(item.config, late_hooks.OBSERVED):
            # A fixture has loaded what is observed: the hook for the end of this very body has come too late.
            late_hooks.need(item.config, late_hooks.REPORTS)

    @pytest.hookimpl(tryfirst=True)
    def pytest_unconfigure(self, config: pytest.Config) -> None:
        """End every process of the run."""
        watching.close()
        judging.close()
        real_servers.close(config)


# ------------------------------------------------------ once there is a need


class _Observed:
    """Once anything is observed, or a log is in use: the end of each test."""

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_call(self, item: pytest.Item) -> None:
        """At the end of a body that has not failed, ask the doubles in use what went unseen."""
        watching.end_body(item)

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, object, object]:
        """After the fixtures are gone, report what only their end has shown."""
        watching.end_failed_body(item)
        try:
            result = yield
        finally:
            watching.end(item)
        judging.judge_fixtures(item)
        return result


class _Reports:
    """Once a log is in use: what is in it belongs to the report of its test."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Tell the story of a failed test, and carry what was observed to where the summary is made."""
        if call.when == "call":
            watching.end_body_late(item, call)
        report = yield
        if report.failed and call.excinfo is not None:
            judging.tell_story(item, report)
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


class _OddValues:
    """With ``--backchannel-odd-values``: try the consumers that a test has connected to, when its body has ended."""

    def __init__(self) -> None:
        self._tried: set[str] = set()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        """Note what the body connects to."""
        with watching.visits_noted(item):
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Carry which consumers were tried to where the summary is made."""
        report = yield
        if call.when == "teardown":
            report.backchannel_odd = watching.tried_odd_values(item)  # type: ignore[attr-defined]
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take what the report of a teardown carries."""
        self._tried.update(getattr(report, "backchannel_odd", ()))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say what was tried: what no test connects to was not."""
        terminalreporter.section("backchannel: odd values")
        for line in sorted(self._tried) or ["nothing was tried: no test opens a connection by websocket"]:
            terminalreporter.write_line(line)
        for route in watching.routes_without(self._tried):
            terminalreporter.write_line(f"{route}: not tried, since no test is let in there by websocket")


class _DistinctKeys:
    """With ``backchannel_distinct_keys``: the primary keys of each table start at a number of its own."""

    _unblock: Any = None

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any, request: Any) -> Generator[None, object, object]:
        """Once the test databases are there, in each process of the run, whoever has made them."""
        result = yield
        if fixturedef.argname == "django_db_setup":
            self._unblock = request.getfixturevalue("django_db_blocker").unblock
            self._start_apart()
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> Generator[None, object, object]:
        """Again after a test whose keys began elsewhere, since it has asked for it."""
        try:
            return (yield)
        finally:
            # After the last test the databases are gone.
            if nextitem is not None and self._unblock is not None and testcases.resets_sequences(item):
                self._start_apart()

    def _start_apart(self) -> None:
        from .database.distinct_keys import start_apart

        try:
            with self._unblock():
                start_apart()
        except BackchannelError as error:
            raise pytest.UsageError(str(error)) from None


class _OddValuesTried:
    """With ``--backchannel-odd-values``: after a body that has passed."""

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_call(self, item: pytest.Item) -> None:
        """While the doubles are in place, and before it is judged what went unseen: that hook is registered later."""
        watching.try_visits(item)


# ------------------------------------------------------- questions about each test


class _Watches:
    """With the flag of a question: watch each test, and let its last report carry what was seen of it.

    Args:
        watch: of the question.
    """

    def __init__(self, watch: WatchOfTests) -> None:
        self._watch = watch
        self._seen = pytest.StashKey[Any]()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """What happens from now on is of this test."""
        self._watch.begin(item)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        """Watch also what a fixture has loaded, and look at what the body has patched."""
        self._watch.watch()
        try:
            return (yield)
        finally:
            self._watch.end_body(item)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, object, object]:
        """When the fixtures are gone, take what was seen."""
        try:
            return (yield)
        finally:
            item.stash[self._seen] = self._watch.end(item)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Carry it to where the question is answered."""
        report = yield
        if call.when == "teardown":
            setattr(report, self._watch.CARRIED, item.stash.get(self._seen, None))
        return report

    def pytest_unconfigure(self) -> None:
        """Watch no more."""
        self._watch.close()


# --------------------------------------------------------------- the report


class _TellsStories:
    """With ``--backchannel-report``: let the report of a phase that has failed carry what happened."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Carry it to where the report of the run is made: plain values, which pytest-xdist sends."""
        from .harness.reporting.gathering import story

        report = yield
        if report.failed:
            report.backchannel_story = story(report)  # type: ignore[attr-defined]
        return report


class _ReportsRun:
    """With ``--backchannel-report``: make the report, in the process that has the reports of all tests."""

    def __init__(self, config: pytest.Config) -> None:
        from .harness.reporting.run_report import RunReport

        self._run = RunReport(config)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionstart(self) -> None:
        """Begin to ask what the project is."""
        self._run.begin()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take what a report carries."""
        self._run.add(report)

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Make and write it; what is below the wanted share, or new, fails the run."""
        if not self._run.ran() or exitstatus not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            return
        manager = session.config.pluginmanager
        reporter: Any = manager.getplugin("terminalreporter")
        audit: _TellsAudit | None = manager.get_plugin("backchannel-audit-told")
        say = reporter.write_line if reporter is not None else lambda line: None
        try:
            fine = self._run.finish(say, audit.audit.found if audit is not None else None)
        except BackchannelError:
            session.exitstatus = pytest.ExitCode.INTERRUPTED
            return
        if not self._run.written:
            session.exitstatus = pytest.ExitCode.INTERRUPTED
        elif not fine:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Print it."""
        if self._run.failed is not None:
            terminalreporter.section("backchannel: no report")
            for line in (str(self._run.failed), *self._run.failed.traceback):
                terminalreporter.write_line(line)
        elif self._run.report is not None:
            terminalreporter.section("backchannel: what no test has reached")
            left_out = len(terminalreporter.stats.get("deselected", ()))
            if left_out:
                terminalreporter.write_line(f"By the tests that ran: {left_out} more were deselected.")
            for line in self._run.lines:
                terminalreporter.write_line(line)

    def pytest_unconfigure(self) -> None:
        """Leave no process behind."""
        self._run.close()


# ------------------------------------------------------------- the contract


class _CountsLeftOut:
    """With ``--backchannel-contract``: tests that are deselected send nothing, and the contract says so."""

    def __init__(self, config: pytest.Config, watch: SendsWatch) -> None:
        self._watch = watch
        self._manager = config.pluginmanager

    def pytest_deselected(self, items: list[pytest.Item]) -> None:
        """Count what is left out."""
        self._watch.left_out(len(items))

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Tell what was left out."""
        count = self._watch.tell_left_out()
        contract: _RecordsContract | None = self._manager.get_plugin("backchannel-contract")
        if contract is not None:
            contract.run.deselected(count)


class _RecordsContract:
    """With ``--backchannel-contract``: write it, in the process that has the reports of all tests."""

    def __init__(self, config: pytest.Config) -> None:
        from .harness.contracting.contract_run import ContractRun

        self.run = ContractRun(config)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take what a report carries."""
        self.run.add(report)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """A worker of pytest-xdist has ended, and says what it has left out."""
        self.run.deselected(int((getattr(node, "workeroutput", None) or {}).get("backchannel_deselected", 0)))

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Write the file; what was asked for and can't be had fails the run."""
        if not self.run.finish(exitstatus):
            session.exitstatus = exitstatus or pytest.ExitCode.INTERRUPTED
        elif self.run.collected_only:
            session.exitstatus = pytest.ExitCode.OK

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Say what was written."""
        terminalreporter.section("backchannel: contract")
        for line in self.run.lines:
            terminalreporter.write_line(line)


# --------------------------------------------------------------- the audit


class _TellsAudit:
    """With ``--backchannel-audit``: tell what was found, in the process that has the reports of all tests."""

    def __init__(self, config: pytest.Config) -> None:
        from .harness.audits.whole_audit import WholeAudit

        self.audit = WholeAudit(config)

    def pytest_report_header(self) -> list[str]:
        """Say what makes the run longer."""
        return [part.header for part in self.audit.parts if part.header]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take what a report carries."""
        for part in self.audit.parts:
            part.add(report)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Weigh and write it; what is not in the baseline fails the run."""
        self.audit.finish()
        if exitstatus not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            return
        if not self.audit.written:
            session.exitstatus = pytest.ExitCode.INTERRUPTED
        elif not self.audit.fine:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Print it."""
        for part in self.audit.parts:
            if part.lines:
                terminalreporter.section(part.TITLE)
            for line in part.lines:
                terminalreporter.write_line(line)


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


class _Production:
    """At the end of a run: what the settings of production would do, where the project names them."""

    def __init__(self) -> None:
        self._told: production_findings.Told | None = None

    @pytest.hookimpl(trylast=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Begin to read the settings of production."""
        production_findings.begin(session.config)

    def pytest_unconfigure(self, config: pytest.Config) -> None:
        """Leave no process behind."""
        production_findings.end(config)

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Judge the settings of production: with ``backchannel_strict``, what is found fails the run."""
        reporter: Any = session.config.pluginmanager.getplugin("terminalreporter")
        ran = reporter is not None and any(
            isinstance(report, pytest.TestReport) for reports in reporter.stats.values() for report in reports
        )
        if not ran or exitstatus not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            return
        self._told = production_findings.tell(session.config)
        if self._told.findings and options_of(session.config).strict:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl(tryfirst=True)
    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Print it, above what went unseen in the tests."""
        if self._told is not None and self._told.findings:
            options = options_of(terminalreporter.config)
            terminalreporter.section(f"backchannel: the settings of production ({options.production_settings})")
            for line in production_findings.lines(self._told, strict=options.strict):
                terminalreporter.write_line(line)

    @property
    def not_known(self) -> list[str]:
        """Why there may be more to tell, each in one line."""
        return [] if self._told is None else list(self._told.not_known)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """What went unseen in tests that use none of the fixtures, and what could not be known."""
    # All reports are with pytest, those of the workers of pytest-xdist too: no test pays for a hook that gathers them.
    reports = [
        report
        for of_category in terminalreporter.stats.values()
        for report in of_category
        if hasattr(report, "backchannel_observed") or hasattr(report, "backchannel_not_known")
    ]
    production: _Production | None = terminalreporter.config.pluginmanager.get_plugin("backchannel-production")
    not_known = [] if production is None else production.not_known
    if reports or not_known:
        _write_summary(terminalreporter, sorted(reports, key=lambda report: report.start), not_known)


def _write_summary(terminalreporter: Any, reports: list[Any], not_known: list[str]) -> None:
    from .questions.report.terminal import Observed

    observed = Observed()
    for report in reports:
        observed.add(report.nodeid, getattr(report, "backchannel_observed", ()))
    if observed:
        terminalreporter.section(observed.TITLE)
        for line in observed.lines():
            terminalreporter.write_line(line)
    told = [getattr(report, "backchannel_not_known", None) for report in reports]
    for text in dict.fromkeys([*told, *not_known]):
        if text is not None:
            terminalreporter.write_line(f"backchannel: {text}")
