"""Whether a path is one that a route takes, as far as both are written out."""

from __future__ import annotations

import re
from functools import lru_cache

from ....source import ANYTHING, WebSocketRoute

_CONVERTER = re.compile(r"<(?:(\w+):)?\w+>")
_OF_CONVERTERS = {"int": "[0-9]+", "slug": "[-a-zA-Z0-9_]+", "uuid": "[0-9a-f-]{36}", "path": ".+"}
_LIKELY = ("1", "a", "a-b", "00000000-0000-0000-0000-000000000000", "a/b")
"""What stands for a part of a path that only a run can know."""


def takes(route: WebSocketRoute, path: str) -> bool:
    """Whether a route takes a path; where it can't be said, it does.

    Args:
        route: the route.
        path: the path, or an URL that ends in one, with ``{}`` for what is not known.
    """
    pattern = _pattern(route.pattern, route.kind)
    if pattern is None:
        return True
    plain = path.partition("?")[0]
    # An URL, or a server's address that is put before the path: each end of it may be the path.
    ends = [plain.lstrip("/"), *(plain[one.end() :] for one in re.finditer("/", plain))]
    filled = [end.replace(ANYTHING, likely) for end in ends for likely in (_LIKELY if ANYTHING in end else ("",))]
    return any(pattern.search(one) or pattern.search(f"/{one}") for one in filled)


@lru_cache(maxsize=256)
def _pattern(said: str, kind: str) -> re.Pattern[str] | None:
    try:
        if kind == "path":
            text, end = "", 0
            for match in _CONVERTER.finditer(said):
                text += _escaped(said[end : match.start()]) + _OF_CONVERTERS.get(match[1], "[^/]+")
                end = match.end()
            return re.compile(f"^{text}{_escaped(said[end:])}$")
        # A prefix of path() before it stands outside of the pattern's own ^.
        return re.compile(f"^/?{said.replace(ANYTHING, '.*').replace('^', '')}")
    except re.error:
        return None


def _escaped(text: str) -> str:
    return ".*".join(map(re.escape, text.split(ANYTHING)))
