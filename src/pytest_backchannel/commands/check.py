"""``backchannel check``: let the rules read the code, and print what they say."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from ..checks.check_tree import check_tree
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


def _check(options: argparse.Namespace) -> tuple[list[Diagnostic], int, str]:
    roots: list[Path] = list(dict.fromkeys(options.paths or [Path()]))
    found: dict[tuple[object, ...], Diagnostic] = {}
    files, skipped = 0, ""
    for root in roots:
        configuration = configuration_of(root if root.is_dir() else root.parent)[1]
        select = _codes(options.select or words_of(configuration, "backchannel_check_select"))
        ignore = _codes(options.ignore or words_of(configuration, "backchannel_check_ignore"))
        check = partial(
            check_tree,
            root,
            cache=None if options.no_cache else Path(FOLDER),
            processes=options.jobs,
            progress=_Progress(),
            configuration=configuration,
        )
        result = check()
        for _ in range(_MOST_ROUNDS if options.fix else 0):
            mended = fix_tree(root, [one for one in result.diagnostics if _is_chosen(one.code, select, ignore)])
            for one in mended:
                print(f"fixed {_shown(root, one.path)}:{one.line}: {one.code} {one.message}", file=sys.stderr)
            if not mended:
                break
            result = check()
        files += result.files
        diagnostics = list(result.diagnostics)
        if not options.static and root.is_dir() and _wants_production(select, ignore):
            of_production = check_production(
                root, configuration, settings=options.production_settings, known=diagnostics
            )
            diagnostics += of_production.diagnostics
            skipped = skipped or of_production.skipped
        for one in diagnostics:
            if _is_chosen(one.code, select, ignore):
                shown = replace(one, path=_shown(root, one.path))
                # Two of the paths may have the file; its modules may have other names there.
                found.setdefault((shown.path, shown.line, shown.column, shown.code), shown)
    return sorted(found.values()), files, skipped


def _wants_production(select: tuple[str, ...], ignore: tuple[str, ...]) -> bool:
    """Whether one of the rules that were chosen looks at production."""
    return any(needs_production(rule) and _is_chosen(rule.code, select, ignore) for rule in RULES)


def _is_chosen(code: str, select: tuple[str, ...], ignore: tuple[str, ...]) -> bool:
    return code.startswith(select or ("BC",)) and not (ignore and code.startswith(ignore))


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
