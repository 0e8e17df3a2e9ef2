"""Whether a path of a WebSocket still leads somewhere: clients know it, and an open page keeps it."""

from __future__ import annotations

import re
from collections.abc import Sequence

# Of Django's converters, which others take all that they take (django/urls/converters.py, 5.2–6.1).
_TAKEN_BY = {
    "int": ("int", "slug", "str", "path"),
    "slug": ("slug", "str", "path"),
    "uuid": ("uuid", "slug", "str", "path"),
    "str": ("str", "path"),
    "path": ("path",),
}
_PART = re.compile(r"<(?:(\w+):)?\w+>")


def is_gone(route: str, others: Sequence[str]) -> bool:
    """Whether no other route takes what a route has taken; False where that can't be told.

    What a parameter is called is no affair of a client's.

    Args:
        route: a path, or a regular expression, as Django writes it.
        others: those of the other release.

    Example:
        >>> is_gone("/ws/rooms/<int:pk>/", ["/ws/rooms/<slug:room>/"])
        False
    """
    return not any(_may_take(other, route) for other in others)


def _may_take(other: str, route: str) -> bool:
    if _is_pattern(other) or _is_pattern(route):
        # Of regular expressions only what stands before the first sign is compared.
        one, two = _start(_unnamed(other)), _start(_unnamed(route))
        return _unnamed(other) == _unnamed(route) or one.startswith(two) or two.startswith(one)
    ours, theirs = _PART.split(other), _PART.split(route)
    return (
        len(ours) == len(theirs)
        and ours[::2] == theirs[::2]
        and all(_takes(one or "str", two or "str") for one, two in zip(ours[1::2], theirs[1::2], strict=True))
    )


def _takes(one: str, two: str) -> bool:
    # What a converter of the project's takes is not known.
    return one in _TAKEN_BY[two] if one in _TAKEN_BY and two in _TAKEN_BY else True


def _is_pattern(route: str) -> bool:
    return any(sign in route for sign in "^$(\\[")


def _unnamed(route: str) -> str:
    return re.sub(r"\(\?P<\w+>", "(", route)


def _start(route: str) -> str:
    return re.split(r"[\\(\[<.*+?$]", route.replace("^", ""), maxsplit=1)[0]
