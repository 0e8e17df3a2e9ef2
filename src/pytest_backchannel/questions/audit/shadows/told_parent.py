"""What a forked child tells its parent before it ends: by a pipe, as a line of JSON. It never returns to the test."""

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
        self._told = False

    def tell_first(self, said: Mapping[str, Any]) -> None:
        """Write it and go on: how this process ends makes no difference to it any more."""
        self._write(said)
        self._told = True

    def tell(self, said: Mapping[str, Any]) -> NoReturn:
        """Write it, unless something was told, and end: no ``finally`` and no ``atexit`` of the test's runs in it."""
        try:
            if not self._told:
                self._write(said)
        finally:
            os._exit(0)

    def tell_more(self, said: Mapping[str, Any]) -> NoReturn:
        """Write what belongs to the first, and end."""
        self._told = False
        self.tell(said)

    def _write(self, said: Mapping[str, Any]) -> None:
        data = json.dumps(said).encode() + b"\n"
        while data:
            data = data[os.write(self._descriptor, data) :]


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
    """Tell the parent, unless something was told, and end this process."""
    _own().tell(said)


def tell_first(said: Mapping[str, Any]) -> None:
    """Tell the parent, and go on."""
    _own().tell_first(said)


def tell_more(said: Mapping[str, Any]) -> NoReturn:
    """Tell the parent what belongs to what was told first, and end this process."""
    _own().tell_more(said)


def _own() -> Teller:
    if _teller.value is None:
        raise RuntimeError("only a shadow has a parent")
    return _teller.value
