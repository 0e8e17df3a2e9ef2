"""What the subcommands that have verbs of their own share: how a verb is run, and the exit codes."""

from __future__ import annotations

import argparse
import sys

from ..errors import BackchannelError

NOTHING_FOUND, FOUND, NOT_POSSIBLE = 0, 1, 2


def run_verb(options: argparse.Namespace) -> int:
    """Do what the verb says; returns the exit code.

    Args:
        options: what was parsed: ``verb_run`` is what the verb does, and ``parser`` the parser of the subcommand.
    """
    try:
        return int(options.verb_run(options))
    except (BackchannelError, OSError) as error:
        print(f"{options.parser.prog}: {error}", file=sys.stderr)
        return NOT_POSSIBLE
