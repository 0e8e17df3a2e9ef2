"""``backchannel report``: reads the JSON files of ``--backchannel-report=json``: combine, show, baseline."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

from ..errors import UnreadableReport
from ..questions.audit.output.audit_json import is_audit, read_keys
from ..questions.report.baseline import baseline_text, read_baseline
from ..questions.report.combining import combined
from ..questions.report.formats import json_file, load
from ..questions.report.model import Report, TestRun
from ..questions.report.story_tree import steps_text
from .verbs import FOUND, NOTHING_FOUND, run_verb

EPILOG = """\
exit codes: 0 nothing found, 1 gaps that are not wanted or a test that failed, 2 it could not be done

examples:
  backchannel report combine shard-*.json --format=term --format=json:all.json
  backchannel report show test_the_page_shows_sent
  backchannel report baseline backchannel-report.json > backchannel-baseline.txt
  backchannel report baseline backchannel-report.json audit.json > backchannel-baseline.txt
"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare ``backchannel report``."""
    parser = commands.add_parser(
        "report",
        help="combine reports, show the story of a test, write a baseline",
        description="Read the files that pytest --backchannel-report=json has written.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    _add_combine(verbs)
    _add_show(verbs)
    _add_baseline(verbs)
    parser.set_defaults(run=run_verb, parser=parser, hint="")


def _add_combine(verbs: Any) -> None:
    combine = verbs.add_parser("combine", help="the report of several runs: shards, jobs, a fast and a slow suite")
    combine.add_argument("files", nargs="+", metavar="FILE")
    combine.add_argument(
        "--format",
        action="append",
        default=[],
        metavar="FORMAT[:TARGET]",
        help="as --backchannel-report of pytest: term, json[:FILE], html[:FOLDER], github (default: term)",
    )
    combine.add_argument("--baseline", default="", metavar="FILE", help="the gaps that are known")
    combine.add_argument("--fail-under", type=float, metavar="PERCENT", help="the share that has to be reached")
    combine.set_defaults(verb_run=_combine)


def _add_show(verbs: Any) -> None:
    show = verbs.add_parser("show", help="what happened behind the request in a test that failed")
    show.add_argument("test", metavar="TEST", help="its node id, or the end of it")
    show.add_argument("--file", default=json_file.TARGET, help=f"the report (default: {json_file.TARGET})")
    show.set_defaults(verb_run=_show)


def _add_baseline(verbs: Any) -> None:
    baseline = verbs.add_parser(
        "baseline", help="print the keys of all that is open, or was found: the file for --backchannel-baseline"
    )
    baseline.add_argument(
        "files",
        nargs="*",
        default=[json_file.TARGET],
        metavar="FILE",
        help=f"reports, and what --backchannel-audit-json has written (default: {json_file.TARGET})",
    )
    baseline.set_defaults(verb_run=_baseline)


# ------------------------------------------------------------------------- verbs


def _combine(options: argparse.Namespace) -> int:
    baseline = read_baseline(options.baseline) if options.baseline else None
    report = combined([json_file.read(file) for file in options.files], baseline)
    for one in options.format or ["term"]:
        name, _, target = str(one).partition(":")
        module = load(name)
        for line in module.write(report, target or module.TARGET):
            print(line)
    too_little = options.fail_under is not None and report.percent < options.fail_under
    if too_little:
        print(f"FAILED: {report.percent:g} % was reached, and {options.fail_under:g} % is wanted.")
    fresh = options.baseline and any(not gap.in_baseline for gap in report.gaps)
    return FOUND if too_little or fresh else NOTHING_FOUND


def _show(options: argparse.Namespace) -> int:
    test = _test(json_file.read(options.file), options.test, options.file)
    print(f"{test.id}: {test.outcome}" + (f": {test.message}" if test.message else ""))
    if test.story:
        print(steps_text(test.story))
    elif test.outcome in ("failed", "error"):
        print("Nothing happened behind the request.")
    else:
        print("Only of a test that failed is there a story.")
    return FOUND if test.outcome in ("failed", "error") else NOTHING_FOUND


def _test(report: Report, wanted: str, file: str) -> TestRun:
    """The test that is meant.

    Raises:
        UnreadableReport: there is none, or there are several.
    """
    exact = [test for test in report.tests if test.id == wanted]
    found = exact or [test for test in report.tests if _is_meant(test.id, wanted)]
    failed = [test for test in found if test.outcome in ("failed", "error")]
    found = failed if len(found) > 1 and len(failed) == 1 else found
    if len(found) == 1:
        return found[0]
    if found:
        raise UnreadableReport(f"{wanted!r} may be {_listed([test.id for test in found])}: give the whole id")
    near = get_close_matches(wanted, [test.id for test in report.tests], n=3, cutoff=0.3)
    failures = [test.id for test in report.tests if test.outcome in ("failed", "error")]
    hint = f"; those that failed: {_listed(failures)}" if failures else f"; near is {_listed(near)}" if near else ""
    raise UnreadableReport(f"{file} has no test {wanted!r}{hint}")


def _is_meant(test: str, wanted: str) -> bool:
    return test.endswith(wanted) or test.partition("[")[0].endswith(wanted)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _baseline(options: argparse.Namespace) -> int:
    audits = [file for file in options.files if is_audit(file)]
    reports = [json_file.read(file) for file in options.files if file not in audits]
    # What one shard has reached is not open in another; an audit's finding is one wherever it was seen.
    report = combined(reports) if reports[1:] else next(iter(reports), None)
    findings = [key for file in audits for key in read_keys(file)] if audits else None
    print(baseline_text(report, findings), end="")
    return NOTHING_FOUND
