"""``backchannel demo``: copy the example project to a folder of the user's, and run its suite or the site there."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Sequence
from fnmatch import fnmatch
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

from ..errors import BackchannelError
from ..questions.report.formats import load

# Which files were copied, and with what content: a later run brings them up to date, and leaves alone what the user
# has changed.
MANIFEST = ".backchannel-demo.json"
NEEDED = {  # module: distribution
    **dict.fromkeys(("celery", "lupa", "channels", "msgpack", "mirakuru", "uvicorn"), "pytest-backchannel[all]"),
    "channels_redis": "channels-redis",
    "daphne": "daphne",  # channels.testing imports it
    "factory": "factory-boy",
    "fpdf": "fpdf2",
    "pytest_asyncio": "pytest-asyncio",
}
# What a run leaves behind in a checkout, where the example is also the source.
UNWANTED = ("__pycache__", ".*", "*.py[cod]", "*.sqlite3*", "media", "backchannel-report*")


AFTER_DASHES = "Arguments after -- go to pytest, or to run_site.py: backchannel demo -- -k retries -v"


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare ``backchannel demo``."""
    parser = commands.add_parser(
        "demo",
        help="copy the example project to a folder and run its suite, or its site",
        description="Copy the example project to a folder and run its test suite there; with --serve, the site.",
        epilog=AFTER_DASHES,
    )
    parser.add_argument(
        "--folder",
        type=Path,
        help="where to copy it; a second run updates it (default: demo; inside a copy, that copy)",
    )
    parser.add_argument("--serve", action="store_true", help="run the site: Redis, an ASGI server, a worker and beat")
    parser.add_argument("--no-run", action="store_true", help="copy only")
    parser.add_argument("arguments", nargs="*", metavar="ARGUMENT", help="passed on to pytest, or to run_site.py")
    parser.set_defaults(run=run, parser=parser, hint=f"\n{AFTER_DASHES}")


def run(options: argparse.Namespace) -> int:
    """Copy the example and become what the options ask for; returns an exit code where there is nothing to become."""
    folder = options.folder or Path("." if Path(MANIFEST).exists() else "demo")
    try:
        kept = copy_example(example_folder(), folder)
        if kept:
            print(f"Kept as you changed them: {', '.join(kept)}")
        if options.no_run:
            print(f"The example project is in {folder}: cd there and run pytest, or python run_site.py.")
            return 0
        check_needed()
    except BackchannelError as error:
        print(f"backchannel demo: {error}", file=sys.stderr)
        return 2
    program = ["run_site.py"] if options.serve else ["-m", "pytest", *report_flags(options.arguments)]
    return become([sys.executable, *program, *options.arguments], folder)


def report_flags(arguments: Sequence[str]) -> list[str]:
    """What ends the run with a report, in each format that can be had, unless the arguments ask for another."""
    if any(argument.startswith("--backchannel-report") for argument in arguments):
        return []
    found = []
    for name in ("term", "json", "html"):
        try:
            load(name)
        except BackchannelError:
            continue
        found.append(f"--backchannel-report={name}")
    return found


def example_folder() -> Path:
    """Where the example is: in the installed package, or in the checkout of an editable installation.

    Raises:
        BackchannelError: it is in neither.
    """
    here = Path(__file__).parents[1]
    for folder in (here / "_example", here.parents[1] / "example"):
        if (folder / "manage.py").exists():
            return folder
    raise BackchannelError(f"the example project is not part of this installation ({here}): install the package anew")


def copy_example(source: Path, target: Path) -> list[str]:
    """Copy the example, or bring an earlier copy up to date.

    Args:
        source: the example's folder.
        target: made if missing.

    Returns:
        The files that are not as they come, because the user has changed them.

    Raises:
        BackchannelError: the target has files that did not come from here, or can't be written.
    """
    manifest = target / MANIFEST
    if target.exists() and not manifest.exists() and (not target.is_dir() or any(target.iterdir())):
        raise BackchannelError(f"{target} is there already, and is no copy of the example: choose another --folder")
    try:
        copied: dict[str, str] = json.loads(manifest.read_text(encoding="utf-8")) if manifest.exists() else {}
        kept = []
        files = {path.relative_to(source).as_posix(): path.read_bytes() for path in wanted_files(source)}
        for name, content in files.items():
            file = target / name
            there = digest(file.read_bytes()) if file.exists() else None
            if there in (None, copied.get(name), digest(content)):
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
                copied[name] = digest(content)
            else:
                kept.append(name)
        for name in copied.keys() - files.keys():
            file = target / name
            if file.exists() and digest(file.read_bytes()) == copied[name]:
                file.unlink()
            del copied[name]
        manifest.write_text(json.dumps(copied, indent=1, sort_keys=True), encoding="utf-8")
    except (OSError, ValueError) as error:
        raise BackchannelError(f"can't copy the example to {target}: {error}") from error
    return kept


def wanted_files(folder: Path) -> list[Path]:
    """The example's own files, in order, without what runs have left there."""
    found = []
    for path in sorted(folder.iterdir()):
        if any(fnmatch(path.name, pattern) for pattern in UNWANTED):
            continue
        found += wanted_files(path) if path.is_dir() else [path]
    return found


def digest(content: bytes) -> str:
    """What the content is known by."""
    return hashlib.sha256(content).hexdigest()


def check_needed() -> None:
    """Make sure that what the example imports is installed.

    Raises:
        BackchannelError: something is missing; the message has the command that installs it.
    """
    missing = {distribution for module, distribution in NEEDED.items() if find_spec(module) is None}
    if missing:
        packages = " ".join(f"'{name}'" for name in sorted(missing))
        raise BackchannelError(f"the example needs more than is installed: {sys.executable} -m pip install {packages}")


def become(command: list[str], folder: Path) -> NoReturn:
    """Replace this process: Ctrl-C and the exit code are then the command's own affair."""
    sys.stdout.flush()
    os.chdir(folder)
    os.environ.pop("DJANGO_SETTINGS_MODULE", None)  # the user's own project is not meant
    os.execv(command[0], command)
