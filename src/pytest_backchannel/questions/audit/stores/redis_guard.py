"""Before a command of a shadow writes to a real Redis: what its keys hold is noted for the parent, or it is refused."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

from ....active import tracked
from ..shadows import outside, told_parent
from .redis_commands import LISTING, SCRIPTS, Words, name_of, reads, written_keys
from .redis_journal import Held, journal_of_shadow
from .redis_link import ErrorReply, Link, Place
from .redis_others import OwnSockets
from .redis_scripts import commands_in, keys_given, sha_of

MOST_KEYS = 200
"""To how many keys a body may write."""
MOST_BYTES = 1_000_000
"""How much a key may hold that it writes to, as DUMP gives it."""
# Who waits for a key gets what a shadow puts there, and a transaction that watches one fails of it.
_BLOCKED, _WATCHING = b"blocked_clients", b"watching_clients"

cached_keys: set[bytes] = tracked("keys that a shadow has written through a cache", set())
"""Keys of a cache that is written in memory alone: the server does not hold what the body sees there."""


def check_cached(words: Words) -> None:
    """Refuse a command about a key that the shadow has written through a cache: it would find what is below.

    Args:
        words: the command.
    """
    if cached_keys and (name_of(words) in LISTING or not cached_keys.isdisjoint(words[1:])):
        told_parent.refuse("it asks Redis itself for what it has written through a cache")


class ScriptRun(NamedTuple):
    """A script that was let go.

    Attributes:
        link: to the place where it runs.
        before: what its keys held.
    """

    link: Link
    before: dict[bytes, tuple[bytes | None, int]]

    def has_changed(self) -> bool:
        """Whether its keys hold something else now."""
        return held_at(self.link, list(self.before)) != self.before


class RedisGuard:
    """What is let through, and noted before."""

    def __init__(self) -> None:
        self._links: dict[Place, Link] = {}
        self._known: set[tuple[Place, bytes]] = set()
        self._proven: set[Place] = set()
        self._texts: dict[bytes, str] = {}
        self._watches: set[Place] = set()
        self._own = OwnSockets()
        self._lock = threading.Lock()
        self._local = threading.local()

    def learn(self, text: str | bytes) -> None:
        """Know the text of a script, which is later called by its digest."""
        data = text if isinstance(text, bytes) else text.encode()
        self._texts[sha_of(data)] = data.decode("utf-8", "replace")

    def before(self, place: Place, commands: Sequence[Words], address: str) -> None:
        """Note what the commands write; a refused one ends the shadow.

        Args:
            place: where they go.
            commands: what is sent at once.
            address: of the connection that sends them.
        """
        self._local.script = None
        keys: dict[bytes, None] = {}
        script: list[bytes] | None = None
        for words in commands:
            if name_of(words) == "WATCH":
                self._begin_watch(place)
            elif name_of(words) in SCRIPTS:
                script = self._keys_of_script(words)
                keys.update(dict.fromkeys(script))
            else:
                keys.update(dict.fromkeys(self._keys(words, place)))
        if not keys:
            return
        with self._lock, outside.reading():
            link = self._noted(place, list(keys), address)
            if script is not None and len(commands) == 1:
                self._local.script = ScriptRun(link, held_at(link, script))

    def script_run(self) -> ScriptRun | None:
        """The script that this thread has let go last; None where it was something else."""
        found = getattr(self._local, "script", None)
        return found if isinstance(found, ScriptRun) else None

    def names_of_script(self, words: Words) -> list[str]:
        """The commands by which a script writes."""
        return commands_in(self._text_of(words) or "") or []

    # ------------------------------------------------------------- what it does

    def _keys(self, words: Words, place: Place) -> list[bytes]:
        if name_of(words) == "SELECT" and words[1:] == [str(place.database).encode()]:
            return []  # each new connection begins with it
        if name_of(words) == "SCRIPT" and len(words) == 3:
            self.learn(words[2])
        keys = [] if reads(words) else written_keys(words)
        if keys is None:
            told_parent.refuse(f"it asks Redis for {name_of(words)}, which can't be put back")
        return keys

    def _keys_of_script(self, words: Words) -> list[bytes]:
        text, keys = self._text_of(words), keys_given(words)
        if keys is None or text is None or commands_in(text) is None:
            told_parent.refuse("it runs a script in Redis whose keys its text does not tell")
        return keys

    def _text_of(self, words: Words) -> str | None:
        if name_of(words) == "EVAL":
            self.learn(words[1])
            return self._texts[sha_of(words[1])]
        return self._texts.get(words[1].lower())

    # ---------------------------------------------------------- what is noted

    def _noted(self, place: Place, keys: list[bytes], address: str) -> Link:
        journal = journal_of_shadow.value
        if journal is None:
            told_parent.refuse("it talks to Redis itself")
        new = [key for key in keys if (place, key) not in self._known]
        if len(self._known) + len(new) > MOST_KEYS:
            told_parent.refuse(f"it writes to more than {MOST_KEYS} keys of Redis")
        link = self._link(place)
        if address:
            journal.note_client(place, address)
        if new:
            _check_nobody_waits(link, (_BLOCKED,) if place in self._watches else (_BLOCKED, _WATCHING))
            other = self._own.other_client(link, place)
            if other:
                told_parent.refuse(f"it writes to a Redis that another process uses, too ({other})")
            found = [Held(place, key, dump, expires) for key, (dump, expires) in held_at(link, new).items()]
            if place not in self._proven:
                _check_putting_back(link, found[0])
                self._proven.add(place)
            journal.note_held(found)
            self._known.update((place, key) for key in new)
        return link

    def _begin_watch(self, place: Place) -> None:
        """The body watches keys, too: whoever did so before is found now, and not told from it later."""
        with self._lock, outside.reading():
            if place not in self._watches:
                _check_nobody_waits(self._link(place), (_WATCHING,))
                self._watches.add(place)

    def _link(self, place: Place) -> Link:
        if place not in self._links:
            try:
                self._links[place] = Link(place)
            except OSError as error:
                told_parent.refuse(f"it talks to Redis, where the audit can't ({error})")
        return self._links[place]


def _check_nobody_waits(link: Link, kinds: tuple[bytes, ...]) -> None:
    (said,) = link.ask([b"INFO", b"clients"])
    if not isinstance(said, bytes):
        told_parent.refuse("it writes to a Redis that does not say who else is there (INFO)")
    if any(line.startswith(kinds) and not line.endswith(b":0") for line in said.splitlines()):
        told_parent.refuse("it writes to a Redis in which another client waits for a key")


def _check_putting_back(link: Link, held: Held) -> None:
    """Whether the server would take what the parent is going to ask for: asked in a way that changes nothing."""
    (said,) = link.ask([b"RESTORE", held.key, b"-1", b""])
    if not isinstance(said, ErrorReply) or not said.text.startswith(("BUSYKEY", "ERR Invalid TTL")):
        told_parent.refuse(f"it writes to a Redis that does not put back ({_text(said)})")
    if held.dump is None:
        (said,) = link.ask([b"DEL", held.key])
        if isinstance(said, ErrorReply):
            told_parent.refuse(f"it writes to a Redis that does not put back ({_text(said)})")


def held_at(link: Link, keys: list[bytes]) -> dict[bytes, tuple[bytes | None, int]]:
    """What keys hold, and when they expire, in milliseconds since 1970 (0 for never).

    Args:
        link: to the place where they are.
        keys: their names.
    """
    answers = link.ask(*([word, key] for key in keys for word in (b"DUMP", b"PEXPIRETIME")))
    found: dict[bytes, tuple[bytes | None, int]] = {}
    for key, dump, expires in zip(keys, answers[::2], answers[1::2], strict=True):
        if isinstance(dump, ErrorReply):
            told_parent.refuse(f"it writes to a Redis that does not tell what it holds ({dump.text})")
        if isinstance(expires, ErrorReply):
            expires = _expires(link, key)  # Redis 6 does not know the command
        if dump is not None and len(dump) > MOST_BYTES:
            told_parent.refuse(f"it writes a value of more than {MOST_BYTES // 1_000_000} MB to Redis")
        found[key] = (None, 0) if dump is None or expires == -2 else (dump, max(expires, 0))
    return found


def _expires(link: Link, key: bytes) -> int:
    left, time = link.ask([b"PTTL", key], [b"TIME"])
    if not isinstance(left, int) or not isinstance(time, list):
        told_parent.refuse("it writes to a Redis that does not tell when a key expires")
    return left if left < 0 else int(time[0]) * 1000 + int(time[1]) // 1000 + left


def _text(said: Any) -> str:
    return said.text if isinstance(said, ErrorReply) else "RESTORE"
