"""What a shadow has written in Redis, for the parent: a file without a name that both have, however the shadow ends.

The shadow appends what a key holds before it lets a command go that writes it.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ....active import Slot
from ..shadows.left_files import unnamed_file
from .redis_link import Place


class Held(NamedTuple):
    """What a key held.

    Attributes:
        place: where it is.
        key: its name.
        dump: as the server's DUMP gives it; None where there was no such key.
        expires: when it expires, in milliseconds since 1970; 0 for never.
    """

    place: Place
    key: bytes
    dump: bytes | None
    expires: int


class Journal:
    """The file, made before the fork."""

    def __init__(self) -> None:
        self._descriptor = unnamed_file()

    def note_held(self, found: list[Held]) -> None:
        """In the shadow: note what keys hold, before they are written."""
        self._append(
            {
                "place": held.place,
                "key": _text(held.key),
                "dump": held.dump and _text(held.dump),
                "expires": held.expires,
            }
            for held in found
        )

    def note_client(self, place: Place, address: str) -> None:
        """In the shadow: note a connection that writes, by its own address."""
        self._append([{"place": place, "client": address}])

    def read(self) -> tuple[list[Held], set[tuple[Place, str]]]:
        """In the parent, when the shadow has ended: what keys held, in the order of its writes, and its connections."""
        held: list[Held] = []
        clients: set[tuple[Place, str]] = set()
        for line in self._lines():
            said = json.loads(line)
            place = Place(*said["place"])
            if "client" in said:
                clients.add((place, said["client"]))
            else:
                dump = None if said["dump"] is None else base64.b64decode(said["dump"])
                held.append(Held(place, base64.b64decode(said["key"]), dump, said["expires"]))
        return held, clients

    def close(self) -> None:
        """Forget it."""
        os.close(self._descriptor)

    def _append(self, records: Iterable[Mapping[str, object]]) -> None:
        data = "".join(json.dumps(record) + "\n" for record in records).encode()
        while data:
            data = data[os.write(self._descriptor, data) :]

    def _lines(self) -> list[bytes]:
        """Whole lines alone: what a shadow did not end to write, it has not done."""
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        parts = list(iter(lambda: os.read(self._descriptor, 1 << 20), b""))
        return b"".join(parts).split(b"\n")[:-1]


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


journal_of_shadow: Slot[Journal] = Slot("journal of a shadow's writes to Redis")
"""The one of the shadow that runs now, or is about to be forked."""
