"""The entry of a trial's process: pytest, in the sandbox."""

from __future__ import annotations

import os
import runpy
import sys

from .sandbox import SANDBOX


def main(folder: str, *arguments: str) -> None:
    """Run pytest.

    Args:
        folder: below it files may be written.
        arguments: those of pytest.
    """
    SANDBOX.install(folder)
    sys.argv = ["pytest", *arguments]
    sys.path.insert(0, os.getcwd())
    runpy.run_module("pytest", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
