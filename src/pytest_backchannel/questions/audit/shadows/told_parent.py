"""What a forked child tells its parent, once, before it ends: by a pipe, as JSON. It never returns to the test."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any, NoReturn

from ....active import Slot
from ....events import caller


class Teller:
    """The child's end of the pipe.

    Args:
        descriptor: where to write.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def tell(self, said: Mapping[str, Any]) -> NoReturn:
        """Write it, and end this process: no ``finally`` and no ``atexit`` of the test's runs in it."""
        try:
            data = json.dumps(said).encode()
            while data:
                data = data[os.write(self._descriptor, data) :]
        finally:
            os._exit(0)


_teller: Slot[Teller] = Slot("the parent of a shadow")


def begin(descriptor: int) -> Teller:
    """This process is a shadow from now on."""
    _teller.value = Teller(descriptor)
    return _teller.value


def is_shadow() -> bool:
    """Whether this process is one."""
    return _teller.value is not None


def give_up(reason: str) -> NoReturn:
    """End this shadow, which can say nothing.

    Args:
        reason: why, in words that follow "not audited:".
    """
    if _teller.value is None:
        raise RuntimeError(f"only a shadow gives up: {reason}")
    _teller.value.tell({"not_audited": reason})


def refuse(what: str) -> NoReturn:
    """End this shadow, whose body reaches for what it must not touch: with the project's own line.

    Args:
        what: what it does, as "it starts a process".
    """
    where = caller(2)
    give_up(what if where is None else f"{what}, at {where}")


def tell(said: Mapping[str, Any]) -> NoReturn:
    """Tell the parent, and end this process."""
    if _teller.value is None:
        raise RuntimeError("only a shadow has a parent")
    _teller.value.tell(said)
