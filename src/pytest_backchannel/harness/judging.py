"""What fails a test, warns, or is only noted, of what nobody asked about; and what a failed test's report tells."""

from __future__ import annotations

import functools
import warnings

import pytest

from .. import events
from ..active import Slot
from ..errors import SLUGS
from ..markers import allowed_slugs
from ..options import options_of
from . import late_hooks
from .fresh.fresh_worker import take_failure

_OBSERVED = pytest.StashKey[list[dict[str, str | int]]]()


# The item whose body has been judged, or has failed.
_ended = Slot[pytest.Item]("test whose body has ended", of_the_run=True)
_failed = Slot[pytest.Item]("test whose body has failed", of_the_run=True)


def begin(item: pytest.Item) -> None:
    """Begin an empty log, which is made when something asks for it; and the hooks that judge it, then."""
    _ended.value = _failed.value = None
    events.expect_log(functools.partial(_log_of, item))


def _log_of(item: pytest.Item) -> events.EventLog:
    late_hooks.need(item.config, late_hooks.OBSERVED)
    late_hooks.need(item.config, late_hooks.REPORTS)
    strict = options_of(item.config).strict
    return events.EventLog(item.nodeid, enforced=strict, strict=strict)


def close() -> None:
    """The run has ended: forget its last test."""
    events.end_log()
    _ended.value = _failed.value = None


def body_has_ended(item: pytest.Item) -> bool:
    """Whether the body was judged, or has failed."""
    return _ended.value is item


def body_failed(item: pytest.Item, error: BaseException) -> None:
    """The test has failed by itself: what went unseen is told in its report, and fails nothing once more."""
    _ended.value = _failed.value = item
    log = events.log_in_use()
    if log is None:
        return
    log.run_checks()
    for problem in log.take_problems():
        if problem.slug == "never_awaited":
            # Most likely that is why: a coroutine equals nothing.
            error.add_note(f"{problem.text}  [{problem.where}]")


def judge_body(item: pytest.Item) -> None:
    """The body has ended, and the fixtures still stand: ask the doubles in use what went unseen."""
    _ended.value = item
    log = events.log_in_use()
    if log is not None:
        log.run_checks()
        _judge(item, log)


def judge_fixtures(item: pytest.Item) -> None:
    """The fixtures are gone: report what only their end has shown."""
    log = events.log_in_use()
    # A test that failed half-way leaves things open: that is its failure, and no error beside it.
    if log is not None and _failed.value is not item:
        _judge(item, log)


def _judge(item: pytest.Item, log: events.EventLog) -> None:
    problems = log.take_problems()
    if not problems:
        return
    allowed = allowed_slugs(item)
    problems = [problem for problem in problems if problem.slug not in allowed]
    if not log.enforced:
        seen = item.stash.setdefault(_OBSERVED, [])
        seen += [
            {"slug": p.slug, "text": p.text, "where": str(p.where or ""), "count": p.count}
            for p in problems
            if p.decided is None
        ]
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


def tell_story(item: pytest.Item, report: pytest.TestReport) -> None:
    """Show in the report of a failed test what happened behind the request; in a JUnit XML file, too."""
    from ..questions.report.story import story

    log = events.log_in_use()
    text = story(log) if log is not None else ""
    if text:
        report.sections.append(("Behind the request", text))
        if getattr(item.config.option, "xmlpath", None) and "backchannel_story" not in dict(item.user_properties):
            # pytest takes those that the report of the teardown has, which is made of the item's.
            item.user_properties.append(("backchannel_story", text))


def end(item: pytest.Item, report: pytest.TestReport) -> None:
    """End the log; what was observed goes with the report of the teardown to where the summary is made."""
    observed = item.stash.get(_OBSERVED, None)
    if observed:
        # A plain attribute of plain values: pytest-xdist sends it to the controller with the report.
        report.backchannel_observed = observed  # type: ignore[attr-defined]
    failure = take_failure(item.config)
    if failure is not None:
        report.backchannel_not_known = failure  # type: ignore[attr-defined]
    events.end_log()
