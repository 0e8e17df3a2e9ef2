"""The entry of a child process: one inventory, written to a file as JSON, then an end without farewells."""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from .telling import first_line, shown

KINDS = {"celery": ("celery_child", "celery_inventory"), "asgi": ("asgi_child", "asgi_inventory")}


def main(kind: str, target: str, pipes: str, arguments: str, time_limit: str) -> None:
    """Make one inventory, and write it, or why it could not be made.

    Args:
        kind: one of ``KINDS``.
        target: the file to write.
        pipes: two file descriptors: one that ends with the process that waits for this one, and one that tells it.
        arguments: those of the function, as a JSON list.
        time_limit: how long it may take, in seconds; 0 where the process that waits for it minds that.
    """
    parent, tells = map(int, pipes.split(","))
    threading.Thread(target=_end_with, args=(parent, float(time_limit), target), daemon=True).start()
    try:
        answer: dict[str, Any] = {"found": _make(kind, json.loads(arguments))}
    except BaseException as error:
        answer = {
            "failed": first_line(error),
            "why": getattr(error, "why", "") or type(error).__name__,
            "traceback": shown(error),
        }
        answer["environment"] = _may_fail_here_alone(error)
    _write(target, answer)
    os.write(tells, b".")
    # Not by sys.exit(): handlers of the project's would run, and threads of its own be waited for.
    os._exit(0)


def _make(kind: str, arguments: list[Any]) -> Any:
    from importlib import import_module

    from . import guards

    guards.install()
    module, function = KINDS[kind]
    return getattr(import_module(f".{module}", __package__), function)(*arguments)


def _may_fail_here_alone(error: BaseException) -> bool:
    from .telling import is_of_the_environment

    try:
        return is_of_the_environment(error)
    except Exception:  # without Django, say
        return True


def _write(target: str, answer: dict[str, Any]) -> None:
    # In one step: whoever sees the file sees all of it.
    partial = Path(f"{target}.{os.getpid()}.{threading.get_ident()}")
    partial.write_text(json.dumps(answer, default=repr), encoding="utf-8")
    partial.replace(target)


def _end_with(parent: int, time_limit: float, target: str) -> None:
    ended, _, _ = select.select([parent], [], [], time_limit or None)
    if not ended:
        told = f"its process has not ended within {time_limit:g} s: something that it imports waits"
        _write(target, {"failed": told})
    os.killpg(os.getpgrp(), signal.SIGKILL)


if __name__ == "__main__":
    main(*sys.argv[1:])
