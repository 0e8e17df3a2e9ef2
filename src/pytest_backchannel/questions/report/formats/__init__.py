"""The formats of the report: a module for each, which is imported when it is asked for.

A module of a format has two names: ``TARGET``, the file or folder that it writes by default (empty where it writes
none), and ``write(report, target)``, which writes it and returns the lines for the terminal.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Protocol, cast

from ....errors import BackchannelError
from ..model import Report

MODULES = {"term": "terminal_text", "html": "html_page", "json": "json_file", "github": "github_warnings"}
"""The module of each format."""


class Format(Protocol):
    """What a module of this folder has."""

    TARGET: str

    def write(self, report: Report, target: str) -> Sequence[str]:
        """Write the report.

        Args:
            report: what to write.
            target: the file or folder; empty for a format that writes none.

        Returns:
            The lines for the terminal.
        """
        ...


def load(name: str) -> Format:
    """The module of a format.

    Raises:
        BackchannelError: there is no such format, or it needs what is not installed.
    """
    if name not in MODULES:
        raise BackchannelError(f"there is no format {name!r}: choose one of {', '.join(map(repr, MODULES))}")
    try:
        return cast("Format", import_module(f".{MODULES[name]}", __package__))
    except ImportError as error:
        raise BackchannelError(
            f"the format {name!r} needs more than is installed: pip install 'pytest-backchannel[report]' ({error})"
        ) from None
