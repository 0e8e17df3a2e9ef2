"""``backchannel contract``: record what a project sends and accepts, and compare it with another release."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..questions.contract.comparing import ROLLING, WAITING, breaks
from ..questions.contract.contents import Contract
from ..questions.contract.contract_file import NAME, read
from ..questions.contract.explaining import explained
from ..questions.contract.released import contract_of
from ..questions.contract.showing import FORMATS, show
from ..questions.contract.signatures import parse
from ..source import SourceIndex, read_tree
from .verbs import FOUND, NOT_POSSIBLE, NOTHING_FOUND, run_verb

_FOUND = "here or in a folder above, up to that of the git repository"
EPILOG = """\
exit codes: 0 nothing breaks, 1 something does, 2 it could not be done

examples:
  pytest --backchannel-contract=backchannel-contract.json
  backchannel contract check --against origin/main --format github
  backchannel contract check --against v2.3 --only waiting
  backchannel contract record
"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare ``backchannel contract``."""
    parser = commands.add_parser(
        "contract",
        help="would the messages of the release that runs do on this code, and the other way round?",
        description="Compare what this code sends and accepts with what another release does; no old code is run.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    _add_check(verbs)
    _add_record(verbs)
    parser.set_defaults(run=run_verb, parser=parser, hint="")


def _add_check(verbs: Any) -> None:
    check = verbs.add_parser("check", help="compare the contract of this code with that of a release")
    check.add_argument(
        "--against",
        required=True,
        metavar="FILE|REV",
        help="the contract of the release: a file, or a revision of git in which it is committed",
    )
    check.add_argument("--file", metavar="FILE", help=f"the contract of this code (default: {NAME}, {_FOUND})")
    check.add_argument(
        "--only",
        choices=(WAITING, ROLLING),
        help="one direction: waiting, the release's messages on this code; rolling, this code's on its workers",
    )
    check.add_argument("--format", choices=FORMATS, default="text", help="default: text")
    check.set_defaults(verb_run=_check)


def _add_record(verbs: Any) -> None:
    record = verbs.add_parser(
        "record",
        help="bring the file up to date without running a test: what the code and its settings say; what tests have "
        "seen is kept",
    )
    record.add_argument("--file", metavar="FILE", help=f"the file (default: {NAME}, {_FOUND})")
    record.set_defaults(verb_run=_record)


# ------------------------------------------------------------------------- verbs


def _file(options: argparse.Namespace) -> Path:
    if options.file is not None:
        return Path(options.file)
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / NAME).is_file():
            return Path(os.path.relpath(folder / NAME, here))
        if (folder / ".git").exists():
            break
    return Path(NAME)


def _check(options: argparse.Namespace) -> int:
    file = _file(options)
    code, release = read(file), contract_of(options.against, file)
    root = file.parent
    index = read_tree(root)
    directions = (options.only,) if options.only else (WAITING, ROLLING)
    told = list(explained(breaks(release, code, directions), release=release, code=code, index=index))
    # Annotations name a file from the root of the repository, wherever the step runs.
    workspace = Path(os.environ.get("GITHUB_WORKSPACE") or ".")
    lines = show(
        told, against=options.against, directions=directions, style=options.format, root=root, workspace=workspace
    )
    for line in lines:
        print(line)
    for line in _older_than_the_code(code, index):
        print(f"backchannel contract: {line}", file=sys.stderr)
    return FOUND if told else NOTHING_FOUND


def _older_than_the_code(code: Contract, index: SourceIndex) -> Iterator[str]:
    """What the code says otherwise than its own contract: that may have been recorded before a change."""
    for name, task in index.tasks.items():
        if name not in code.accepts.tasks:
            if task.name_known and task.registered and code.accepts.all_tasks:
                yield f"{task.place}: {name} is not in the contract of this code: if it is new, record it anew"
            continue
        parsed = parse(code.accepts.tasks[name])
        said = {one.name for one in task.parameters}
        if parsed is not None and said and not said <= set(parsed.parameters):
            yield f"{task.place}: the parameters of {name} are others in the contract of this code: record it anew"


def _record(options: argparse.Namespace) -> int:
    # pytest has the settings of the project, and loads it as its tests do; no test is even collected.
    command = [sys.executable, "-m", "pytest", "-q", "--collect-only", "--ignore-glob=*", "-p", "no:cacheprovider"]
    command.append(f"--backchannel-contract={_file(options)}")
    env = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    start = next((number for number, line in enumerate(lines) if "backchannel: contract" in line), None)
    for line in lines[start + 1 :] if start is not None and done.returncode == 0 else lines:
        if line.strip() and not line.startswith("no tests collected"):
            print(line)
    if done.returncode != 0:
        print(done.stderr, file=sys.stderr, end="")
        return NOT_POSSIBLE
    return NOTHING_FOUND
