"""Which keys a Lua script writes: those that it is given, if its text shows that it writes no others.

Redis lets a script touch any key, whatever it declares. So each ``redis.call`` in it must read, or write what comes
from ``KEYS`` by a way that is easily followed; of another script nothing could be put back.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator

from .redis_commands import WRITES, Words, reads

# A comment, a text, or the beginning of a long text; whichever comes first is one.
_TOKEN = re.compile(
    r"--\[(?P<level>=*)\[.*?\](?P=level)\]|--(?!\[=*\[)[^\n]*"
    r"|(?P<text>'(?:\\.|[^'\\\n])*'|\"(?:\\.|[^\"\\\n])*\")|(?P<odd>['\"]|\[=*\[|--\[=*\[)",
    re.DOTALL,
)
_CALL = re.compile(r"\b(?:redis|server)\s*\.\s*p?call\b\s*(\(?)")
# Ways to reach what is not named.
_HIDDEN = re.compile(
    r"\b(?:redis|server)\s*(?:\[|,|\)|$)|=\s*(?:redis|server)\b(?!\s*\.)|\b(?:loadstring|load|_G|getfenv|setfenv)\b"
)
_KEY = re.compile(r"KEYS\s*\[[^\[\]]+\]")
_ALL_KEYS = re.compile(r"(?:table\s*\.\s*)?unpack\s*\(\s*KEYS\s*\)")
_BOUND = re.compile(r"\blocal\s+(\w+)\s*=\s*KEYS\s*\[[^\[\]]+\]|\bfor\s+\w+\s*,\s*(\w+)\s+in\s+ipairs\s*\(\s*KEYS\s*\)")
# The table of the keys itself: an element of it that is not assigned, how many there are, or all of them.
_TABLE = re.compile(r"(#|(?:\bipairs|\bunpack)\s*\()?\s*\bKEYS\b(\s*\[[^\[\]]*\])?")
_ASSIGNED = re.compile(r"\bKEYS\s*\[[^\[\]]*\](?:\s*,[\w\s\[\]#+]+)*\s*=(?!=)")
_CLOSING = {"(": ")", "[": "]", "{": "}"}


def sha_of(text: bytes) -> bytes:
    """The name under which a server knows a script."""
    return hashlib.sha1(text).hexdigest().encode()


def keys_given(words: Words) -> list[bytes] | None:
    """The keys that a call of a script declares; None where it has no number of keys."""
    try:
        count = int(words[2])
    except (IndexError, ValueError):
        return None
    return list(words[3 : 3 + count])


def commands_in(text: str) -> list[str] | None:
    """The commands by which a script writes; None where its text does not tell that it writes only keys it is given."""
    if any(token.group("odd") for token in _TOKEN.finditer(text)):
        return None
    text = _TOKEN.sub(lambda token: token.group("text") or " ", text)
    if _HIDDEN.search(text) or _ASSIGNED.search(text) or not all(any(use.groups()) for use in _TABLE.finditer(text)):
        return None
    bound = _bound_names(text)
    found: list[str] = []
    for call in _CALL.finditer(text):
        arguments = list(_arguments(text, call.end())) if call.group(1) else []
        name = _literal(arguments[0]) if arguments else ""
        if not name:
            return None
        if reads([name.encode()]):
            continue
        if name not in WRITES or not _writes_given(name, arguments, bound):
            return None
        found.append(name)
    return found


def _literal(argument: str) -> str:
    quoted = re.fullmatch(r"'([A-Za-z_]+)'|\"([A-Za-z_]+)\"", argument.strip())
    return "" if quoted is None else (quoted.group(1) or quoted.group(2)).upper()


def _writes_given(name: str, arguments: list[str], bound: set[str]) -> bool:
    keys = WRITES[name]
    if len(arguments) == 2 and keys.last < 0 and _ALL_KEYS.fullmatch(arguments[1].strip()):
        return True
    if any("unpack" in argument for argument in arguments[1 : keys.last + 1 if keys.last > 0 else None]):
        return False  # it is not known what stands where
    given = keys.among([argument.strip().encode() for argument in arguments])
    return bool(given) and all(_KEY.fullmatch(key.decode()) or key.decode() in bound for key in given)


def _bound_names(text: str) -> set[str]:
    """Names that stand for a key that is given, and for nothing else in all of the script."""
    found = [first or second for first, second in _BOUND.findall(text)]
    return {name for name in found if found.count(name) == 1 and _times_bound(name, text) == 1}


def _times_bound(name: str, text: str) -> int:
    word = rf"\b{re.escape(name)}\b"
    assigned = re.findall(rf"{word}\s*(?:,[\w\s,]*)?=(?!=)", text)
    looped = re.findall(rf"\bfor\s[\w\s,]*{word}[\w\s,]*\bin\b", text)
    taken = re.findall(rf"\bfunction\b[\w\s.:]*\([\w\s,]*{word}", text)
    return len(assigned) + len(looped) + len(taken)


def _arguments(text: str, start: int) -> Iterator[str]:
    """The arguments of a call, from behind its parenthesis on."""
    closing, begin, at = [")"], start, start
    while at < len(text):
        character = text[at]
        if character in "'\"":
            at = _end_of_string(text, at)
        elif character in _CLOSING:
            closing.append(_CLOSING[character])
        elif character == closing[-1]:
            closing.pop()
            if not closing:
                yield text[begin:at]
                return
        elif character == "," and len(closing) == 1:
            yield text[begin:at]
            begin = at + 1
        at += 1


def _end_of_string(text: str, at: int) -> int:
    quote = text[at]
    at += 1
    while at < len(text) and text[at] != quote:
        at += 2 if text[at] == "\\" else 1
    return at
