"""One forked child, which is given a time, and is always waited for."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import signal
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from . import told_parent

# What the child is given beyond its own limit, at which it says where it is; then it is killed.
GRACE = 5.0


class NotAudited(Exception):
    """A shadow can't be made, or says nothing; its text is the reason."""


def can_fork() -> bool:
    """Whether this system has it: Windows has none."""
    return hasattr(os, "fork")


@dataclass(frozen=True)
class Patience:
    """What happens while a child is waited for.

    Attributes:
        seconds: after how many.
        lost: what is called then, once.
    """

    seconds: float
    lost: Callable[[], None]


def forked(work: Callable[[], None], limit: float, patience: Patience | None = None) -> dict[str, Any]:
    """Run a function in a forked child, which tells its parent something and ends.

    Args:
        work: what runs in the child; it ends by :func:`.told_parent.tell`.
        limit: how long the child may take, in seconds.
        patience: what happens while it does. It is no timer's: a thread beside the forks is what must not be.

    Returns:
        What it has told.

    Raises:
        NotAudited: it told nothing, or why it can't.
    """
    read, write = os.pipe()
    try:
        child = _fork()
    except OSError as error:
        os.close(read)
        os.close(write)
        raise NotAudited(f"no process can be forked: {error}") from None
    if child == 0:
        os.close(read)
        _be_child(work, write)
    os.close(write)
    try:
        if patience is not None and not _ready(read, patience.seconds):
            patience.lost()
        told = _read(read, limit + GRACE)
    finally:
        os.close(read)
        _end(child)
    return _understood(told)


def _fork() -> int:
    # Python 3.12 and later warn of a fork beside threads. They are gone in the child, which is killed where it waits
    # for one of them; and a suite whose warnings are errors stays green.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return os.fork()


def _be_child(work: Callable[[], None], descriptor: int) -> None:
    try:
        gc.disable()  # a collection would copy the parent's pages, and run finalizers of its objects
        told_parent.begin(descriptor)
        work()
        told_parent.give_up("the shadow has ended without a word")
    except BaseException as error:
        with contextlib.suppress(BaseException):
            told_parent.give_up(f"the audit itself failed: {type(error).__name__}: {str(error)[:200]}")
    finally:
        os._exit(1)


def _read(descriptor: int, limit: float) -> bytes | None:
    """What the child writes until it ends; None where it takes too long to write a line."""
    parts: list[bytes] = []
    deadline = now() + limit
    while True:
        if not _ready(descriptor, deadline - now()):
            return b"".join(parts) if any(b"\n" in part for part in parts) else None
        part = os.read(descriptor, 1 << 20)
        if not part:
            return b"".join(parts)
        parts.append(part)


def _ready(descriptor: int, seconds: float) -> bool:
    ready, _, _ = select.select([descriptor], [], [], max(0.0, seconds))
    return bool(ready)


def _end(child: int) -> None:
    """Wait for a child that has ended or is killed now: none is left over."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):  # the project waits for all children itself
        os.waitpid(child, 0)


def _understood(told: bytes | None) -> dict[str, Any]:
    if told is None:
        raise NotAudited("a shadow did not end in its time")
    lines = told.split(b"\n")[:-1]  # behind the last one is nothing, or half a line
    if not lines:
        raise NotAudited("a shadow died without a word")
    said: dict[str, Any] = {}
    for line in lines:
        said |= json.loads(line)
    if "not_audited" in said:
        raise NotAudited(said["not_audited"])
    return said


def now() -> float:
    """A clock that goes on: libraries that stop time replace ``time.monotonic``, and not this."""
    return time.clock_gettime(time.CLOCK_MONOTONIC)
