"""``backchannel init``: show what a project lacks for its first tests, ask, write it, and run it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import BackchannelError

if TYPE_CHECKING:
    from ..setting_up.found_project import Project
    from ..setting_up.proposal import Proposal

NOTHING_TO_DO, PENDING, NOT_POSSIBLE, INTERRUPTED = 0, 1, 2, 130

EPILOG = """\
Nothing that exists is overwritten. A test is written for each task and each WebSocket route for which one has passed in
a copy of the project, where no network is reached; the rest is listed with the reason.

exit codes: 0 nothing to do, or written and green; 1 changes that are not written, tests that could not be tried, or a
test that failed at the end; 2 it could not be done; 130 interrupted

examples:
  backchannel init                                        show the changes, and ask
  backchannel init --yes                                  write them
  backchannel init --settings config.settings.production  where the settings are not found
"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare ``backchannel init``."""
    parser = commands.add_parser(
        "init",
        help="set a project up: test settings, pytest, first tests, a CI workflow",
        description="Look at the project in this folder, the one with manage.py, and write what it lacks: settings for "
        "tests, pytest's configuration, a conftest, first tests of its tasks and WebSocket routes, a workflow for "
        "GitHub's CI.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--settings", metavar="MODULE", help="the settings module of production (default: found)")
    answer = parser.add_mutually_exclusive_group()
    answer.add_argument("--yes", action="store_true", help="write without asking")
    answer.add_argument("--dry-run", action="store_true", help="show the changes, and write nothing")
    parser.add_argument("--no-run", action="store_true", help="do not run at the end what was written")
    parser.set_defaults(run=run, parser=parser, hint="")


def run(options: argparse.Namespace) -> int:
    """Look, show, ask, write, run; returns the exit code."""
    try:
        return _run(options)
    except BackchannelError as error:
        print(f"backchannel init: {error}", file=sys.stderr)
        return NOT_POSSIBLE
    except KeyboardInterrupt:
        print("\nbackchannel init: interrupted; nothing was written", file=sys.stderr)
        return INTERRUPTED


def _run(options: argparse.Namespace) -> int:
    from ..setting_up.found_project import find_project
    from ..setting_up.proposing import propose

    project = find_project(Path(), options.settings, _progress)
    proposal = propose(project, _progress)
    _show(project, proposal)
    if not proposal.changes:
        print("Nothing to do.")
        return PENDING if proposal.trouble else NOTHING_TO_DO
    if not _agreed(options, len(proposal.changes)):
        return PENDING
    proposal.write()
    print(f"Written: {', '.join(project.shown(change.path) for change in proposal.changes)}")
    code = NOTHING_TO_DO if options.no_run else _run_tests(project, proposal)
    return PENDING if proposal.trouble else code


def _progress(text: str) -> None:
    print(f"backchannel init: {text}", file=sys.stderr, flush=True)


def _show(project: Project, proposal: Proposal) -> None:
    for change in proposal.changes:
        for line in change.diff(project.root):
            print(line)
    if proposal.changes:
        print()
    for kept in proposal.kept:
        name = project.shown(kept.path)
        if not kept.lacks:
            print(f"Kept as it is: {name}")
            continue
        print(f"Kept as it is: {name}; it would have been given:")
        for line in kept.lacks:
            print(f"    {line}".rstrip())
    if any(proposal.tested):
        tasks, routes = proposal.tested
        print(f"Named in tests that are there: {tasks} of the tasks, {routes} of the WebSocket routes.")
    if proposal.unwritten:
        print("No test is written for")
        for one in proposal.unwritten:
            print(f"    {one.subject}{f'  [{one.where}]' if one.where else ''}: {one.reason}")
    if proposal.checked:
        print("backchannel check says of the project as it is:")
        for line in proposal.checked:
            print(f"    {line}")
        print("Those rules are in backchannel_check_ignore, so that it tells what is new: take one out to work it off.")
    for remark in proposal.remarks:
        print(f"Note: {remark}")


def _agreed(options: argparse.Namespace, count: int) -> bool:
    files = f"{count} file{'s' if count > 1 else ''}"
    if options.yes:
        return True
    if options.dry_run:
        print(f"Nothing was written: {files} to write, by backchannel init --yes.")
        return False
    if not sys.stdin.isatty():
        print(
            f"Nothing was written, since there is no terminal to ask at. To write the {files}: backchannel init --yes"
        )
        return False
    try:
        answer = input(f"Write {files}? [y/N] ")
    except EOFError:
        answer = ""
    if answer.strip().lower() in ("y", "yes"):
        return True
    print("Nothing was written.")
    return False


def _run_tests(project: Project, proposal: Proposal) -> int:
    from ..setting_up.final_run import final_run

    _progress("running what was written …")
    command, closing, is_green = final_run(project.root, proposal.tests)
    print(f"{command}: {closing}")
    if is_green:
        return NOTHING_TO_DO
    print("What was written does not pass here: run the command to see why.", file=sys.stderr)
    return PENDING
