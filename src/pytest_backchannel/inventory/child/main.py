"""The entry of a child process: one inventory, written to a file as JSON, then an end without farewells."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

# Further inventories (that of the ASGI application) are further functions here.
KINDS = {"celery": ("celery_child", "celery_inventory")}


def main(kind: str, target: str, pipes: str, arguments: str) -> None:
    """Make one inventory, and write it, or why it could not be made.

    Args:
        kind: one of ``KINDS``.
        target: the file to write.
        pipes: two file descriptors: one that ends with the process that waits for this one, and one that tells it.
        arguments: those of the function, as a JSON list.
    """
    parent, tells = map(int, pipes.split(","))
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    try:
        answer = {"found": _make(kind, json.loads(arguments))}
    except BaseException as error:
        answer = {"failed": describe(error)}
    text = json.dumps(answer, default=repr)
    # In one step: whoever sees the file sees all of it.
    partial = Path(f"{target}.{os.getpid()}")
    partial.write_text(text, encoding="utf-8")
    partial.replace(target)
    os.write(tells, b".")
    # Not by sys.exit(): handlers of the project's would run, and threads of its own be waited for.
    os._exit(0)


def _make(kind: str, arguments: list[Any]) -> Any:
    from importlib import import_module

    from . import guards

    guards.install()
    module, function = KINDS[kind]
    return getattr(import_module(f".{module}", __package__), function)(*arguments)


def describe(error: BaseException) -> str:
    """An exception in one line: its type and text, and the innermost line of it that is no library's."""
    frames = traceback.extract_tb(error.__traceback__)
    own = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
    near = [
        frame
        for frame in frames
        if not frame.filename.startswith((own, "<", sys.base_prefix)) and "site-packages" not in frame.filename
    ]
    where = f" [{near[-1].filename}:{near[-1].lineno}]" if near else ""
    first = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {first}{where}" if first else f"{type(error).__name__}{where}"


def _end_with(parent: int) -> None:
    os.read(parent, 1)
    os.killpg(os.getpgrp(), signal.SIGKILL)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4])
