"""``backchannel check``: let the rules read the code, and print what they say."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from ..checks.check_tree import CheckedResult, check_tree
from ..checks.diagnostic import Diagnostic
from ..checks.fixing.fix_tree import fix_tree
from ..checks.of_production import check_production, needs_production
from ..checks.pytest_configuration import configuration_of, words_of
from ..checks.remembered import FOLDER
from ..checks.rule_table import RULES
from ..checks.saying.output_formats import FORMATS, explanation, statistics
from ..errors import BackchannelError

EXAMPLE = """\
examples:
  backchannel check                        the project in this folder
  backchannel check src --select BC2,BC301 one family, and one rule
  backchannel check --explain BC201        what a rule says, and how it should be

# noqa: BC201 at the end of a line allows it there. In pytest's configuration, backchannel_check_select and
backchannel_check_ignore take the same codes as --select and --ignore.
exit codes: 0 nothing found, 1 found, 2 could not run
"""
_MOST_ROUNDS = 10
"""Of --fix: what was mended may let another rule see more."""
_PATIENCE = 1.0
"""Seconds; a run that takes longer says how far it is."""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare ``backchannel check``."""
    parser = commands.add_parser(
        "check",
        help="read the code and say what will hurt in production",
        description="Read the project's code, without importing it, and say what will hurt in production. Where "
        "production's settings are named, they are imported in a process of their own that can reach nothing.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("paths", nargs="*", type=Path, metavar="PATH", help="files or folders (default: this folder)")
    parser.add_argument("--select", action="append", metavar="CODES", help="these rules alone: BC201, or a family: BC2")
    parser.add_argument("--ignore", action="append", metavar="CODES", help="not these rules")
    parser.add_argument("--format", choices=tuple(FORMATS), default="text", help="how to print (default: text)")
    parser.add_argument("--statistics", action="store_true", help="only how often each rule spoke")
    parser.add_argument("--explain", metavar="CODE", help="print what a rule says of itself, and check nothing")
    parser.add_argument("--fix", action="store_true", help="mend what can be mended safely, and say what is left")
    parser.add_argument("--static", action="store_true", help="only rules that read the code, and import nothing of it")
    parser.add_argument(
        "--production-settings",
        default="",
        metavar="MODULE",
        help="the settings module of production (default: the ini option backchannel_production_settings)",
    )
    parser.add_argument("--no-cache", action="store_true", help=f"remember nothing in {FOLDER}/, and read all anew")
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="processes (default: one for each core)"
    )
    parser.set_defaults(run=run, parser=parser, hint="")


def run(options: argparse.Namespace) -> int:
    """Check, print, and return the exit code."""
    try:
        if options.explain is not None:
            print(explanation(_codes((options.explain,))[0]))
            return 0
        if options.jobs < 1:
            raise BackchannelError(f"--jobs {options.jobs}: give a number of processes, from 1")
        found, files, skipped = _check(options)
    except BackchannelError as error:
        print(f"backchannel check: {error}", file=sys.stderr)
        return 2
    except KeyError as error:
        print(f"backchannel check: --explain takes the code of one rule, not {error.args[0]!r}", file=sys.stderr)
        return 2
    for line in statistics(found) if options.statistics else FORMATS[options.format](found, files, skipped):
        print(line)
    if skipped:
        print(f"not run: rules that need production's settings ({skipped})", file=sys.stderr)
    return 1 if found else 0


@dataclass(frozen=True)
class _Project:
    """What one of the paths belongs to.

    Attributes:
        folder: that of pytest's configuration, or the path itself where there is none.
        configuration: what pytest is configured with.
        select: the codes to apply; empty for all.
        ignore: those to leave out.
    """

    folder: Path
    configuration: Mapping[str, str]
    select: tuple[str, ...]
    ignore: tuple[str, ...]

    def chooses(self, code: str) -> bool:
        """Whether the findings of a rule are wanted."""
        return code.startswith(self.select or ("BC",)) and not (self.ignore and code.startswith(self.ignore))


def _project_of(root: Path, options: argparse.Namespace) -> _Project:
    start = root if root.is_dir() else root.parent
    file, configuration = configuration_of(start)
    return _Project(
        folder=start if file is None or file.parent == start.resolve() else file.parent,
        configuration=configuration,
        select=_codes(options.select or words_of(configuration, "backchannel_check_select")),
        ignore=_codes(options.ignore or words_of(configuration, "backchannel_check_ignore")),
    )


def _check(options: argparse.Namespace) -> tuple[list[Diagnostic], int, str]:
    """What is found, in how many files, and why some rules could not look."""
    found: dict[tuple[object, ...], Diagnostic] = {}
    projects: dict[Path, _Project] = {}
    files = 0
    for root in dict.fromkeys(options.paths or [Path()]):
        project = _project_of(root, options)
        projects.setdefault(project.folder, project)
        result = _check_code(root, project, options)
        files += result.files
        for one in result.diagnostics:
            if project.chooses(one.code):
                shown = replace(one, path=_shown(root, one.path))
                # Two of the paths may have the file; its modules may have other names there.
                found.setdefault((shown.path, shown.line, shown.column, shown.code), shown)
    of_production, skipped = _check_production(list(projects.values()), list(found.values()), options)
    return sorted([*found.values(), *of_production]), files, skipped


def _check_code(root: Path, project: _Project, options: argparse.Namespace) -> CheckedResult:
    check = partial(
        check_tree,
        root,
        cache=None if options.no_cache else Path(FOLDER),
        processes=options.jobs,
        progress=_Progress(),
        configuration=project.configuration,
    )
    result = check()
    for _ in range(_MOST_ROUNDS if options.fix else 0):
        mended = fix_tree(root, [one for one in result.diagnostics if project.chooses(one.code)])
        for one in mended:
            print(f"fixed {_shown(root, one.path)}:{one.line}: {one.code} {one.message}", file=sys.stderr)
        if not mended:
            break
        result = check()
    return result


def _check_production(
    projects: list[_Project], known: list[Diagnostic], options: argparse.Namespace
) -> tuple[list[Diagnostic], str]:
    """Once for each project, where a folder was asked for and one of the chosen rules looks at production."""
    found: list[Diagnostic] = []
    skipped = ""
    folders = any(path.is_dir() for path in options.paths or [Path()])
    for project in projects if folders and not options.static else ():
        if any(needs_production(rule) and project.chooses(rule.code) for rule in RULES):
            result = check_production(
                project.folder, project.configuration, settings=options.production_settings, known=known
            )
            chosen = [one for one in result.diagnostics if project.chooses(one.code)]
            found += [replace(one, path=_shown(project.folder, one.path)) for one in chosen]
            skipped = skipped or result.skipped
    return found, skipped


def _shown(root: Path, path: str) -> str:
    return root.as_posix() if root.is_file() else (root / path).as_posix()


def _codes(given: Sequence[str]) -> tuple[str, ...]:
    """Codes, or the beginnings of some.

    Raises:
        BackchannelError: no rule has such a code.
    """
    codes = tuple(code.upper() for one in given for code in one.replace(",", " ").split())
    for code in codes:
        if not any(rule.code.startswith(code) for rule in RULES):
            known = ", ".join(rule.code for rule in RULES)
            raise BackchannelError(f"there is no rule {code!r}: choose of {known}, or a family such as BC2")
    return codes


class _Progress:
    """Says on a terminal, now and then, how far a long run is."""

    def __init__(self) -> None:
        self._next = time.monotonic() + _PATIENCE
        self._shows = sys.stderr.isatty()

    def __call__(self, done: int, of: int) -> None:
        """So many files were looked at, of so many."""
        if self._shows and time.monotonic() >= self._next:
            self._next = time.monotonic() + _PATIENCE
            print(f"checked {done} of {of} files", file=sys.stderr, flush=True)
