"""The ``backchannel`` command. argparse serves it: a few subcommands do not justify a dependency of the core."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from . import __version__

# Of each subcommand its module of commands/, which has an add_parser() that sets three defaults: `run`, which takes the
# parsed options; `parser`, which says how the subcommand is used; `hint`, what to say to an argument that it does not
# know.
SUBCOMMANDS = {"init": "init", "demo": "demo", "report": "report_files", "smoke": "smoke"}


def parser() -> argparse.ArgumentParser:
    """The command line; each subcommand's module adds its own part."""
    top = argparse.ArgumentParser(prog="backchannel", description="Test what a Django project does behind the request.")
    top.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for module in SUBCOMMANDS.values():
        import_module(f".commands.{module}", __package__).add_parser(commands)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand and return its exit code."""
    options, unknown = parser().parse_known_args(argv)
    if unknown:
        # By the subcommand's own parser: the top one would show how to choose a subcommand.
        options.parser.error(f"unrecognized arguments: {' '.join(unknown)}{options.hint}")
    return int(options.run(options))


if __name__ == "__main__":
    sys.exit(main())
