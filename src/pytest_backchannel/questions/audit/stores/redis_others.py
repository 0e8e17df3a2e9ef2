"""Who else is connected to a Redis: what a shadow writes there, and what its parent puts back, is theirs, too.

Another worker of pytest-xdist, a server that a developer has left running, a real worker: none of them is to meet a
value of a shadow's, or to lose one of its own.
"""

from __future__ import annotations

import _socket
import os
import stat
from typing import Any, NamedTuple

from ..shadows import told_parent
from .redis_link import Link, Place


class _Own(NamedTuple):
    """A socket of this process.

    Attributes:
        name: its own end, as a server names it.
        port: of the other end; 0 where it has none.
        path: of the other end; empty where it has none.
    """

    name: str
    port: int
    path: str


class OwnSockets:
    """The sockets of this shadow, and those of its parent: it has them, too, when it begins, and may close them."""

    def __init__(self) -> None:
        self._seen = _sockets()

    def other_client(self, link: Link, place: Place) -> str:
        """A client of the place that is none of this process.

        Args:
            link: to the place.
            place: which one.

        Returns:
            What is known of it; empty where there is none.
        """
        self._seen |= _sockets()
        (said,) = link.ask([b"CLIENT", b"LIST"])
        if not isinstance(said, bytes):
            told_parent.refuse("it writes to a Redis that does not say who else is there (CLIENT LIST)")
        self._seen |= _sockets()  # another thread of the body has connected just now
        clients = [client for client in map(_fields, said.decode().splitlines()) if not {*client["flags"]} & {*"SM"}]
        own = {socket.name for socket in self._seen.values()}
        if any(client["addr"] == name_of_end(link.own_end()) for client in clients):
            others = [client["addr"] for client in clients if client["addr"] not in own and _uses(client, place)]
            return others[0] if others else ""
        # There is a proxy in between, or a path, whose clients have no names: they are counted.
        ours = [
            one for one in self._seen.values() if (one.path == place.path if place.path else one.port == place.port)
        ]
        return f"{len(clients)} clients, of which {len(ours)} are known" if len(clients) > len(ours) else ""


def _uses(client: dict[str, str], place: Place) -> bool:
    return client.get("db") == str(place.database)


def _fields(line: str) -> dict[str, str]:
    found = {"addr": "", "flags": ""}
    for field in line.split():
        name, _, value = field.partition("=")
        found[name] = value
    return found


def name_of_end(end: Any) -> str:
    """One end of a connection, as a server names it; empty for that of a path, which has no name.

    Args:
        end: as a socket tells it.
    """
    if not isinstance(end, tuple):
        return ""
    host, port = end[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


# --- private API: _socket.socket, Python 3.11–3.14: libraries that forbid tests the network replace socket.socket.


def _sockets() -> dict[int, _Own]:
    """The connected sockets of this process, each by its inode: so one is the same after a fork, or a dup."""
    found: dict[int, _Own] = {}
    for name in os.listdir("/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"):
        try:
            state = os.fstat(int(name))
            if not stat.S_ISSOCK(state.st_mode):
                continue
            socket = _socket.socket(-1, -1, -1, os.dup(int(name)))
        except OSError:  # the folder's own descriptor is gone by now
            continue
        try:
            peer = socket.getpeername()
            is_tcp = isinstance(peer, tuple)
            found[state.st_ino] = _Own(
                name_of_end(socket.getsockname()), peer[1] if is_tcp else 0, "" if is_tcp else str(peer)
            )
        except (OSError, IndexError):  # it listens, or is of another kind
            pass
        finally:
            socket.close()
    return found


# --- end of private API
