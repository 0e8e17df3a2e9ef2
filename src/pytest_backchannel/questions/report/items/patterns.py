"""Paths and names as patterns: how people write a route, whether a path is of it, what names of groups share."""

from __future__ import annotations

import functools
import re

_PARAMETER = re.compile(r"<(?:(?P<converter>[^<>:]+):)?(?P<name>[^<>]+)>")
_NAMED = re.compile(r"\(\?P<(?P<name>\w+)>(?:[^()\\]|\\.|\([^()]*\))*\)")
_VARIABLE = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{32}|\d+", re.IGNORECASE)
_CONVERTERS = {"int": r"[0-9]+", "slug": r"[-a-zA-Z0-9_]+", "uuid": r"[0-9a-fA-F-]{36}", "path": r".+", "str": r"[^/]+"}


def readable(path: str) -> str:
    r"""A route's path as people write it: of a regular expression, the names of its groups alone.

    Example:
        >>> readable(r"/^ws/rooms/(?P<room>\w+)/$")
        '/ws/rooms/<room>/'
    """
    if not re.search(r"\(\?P<|[\^$\\]", path):
        return path
    path = _NAMED.sub(lambda match: f"<{match['name']}>", path)
    return re.sub(r"\\([-./_])", r"\1", re.sub(r"\^|\$|\\[AZ]", "", path)).replace("/?", "/")


@functools.lru_cache(maxsize=1024)
def _expression(path: str) -> re.Pattern[str] | None:
    if not re.search(r"\(\?P<|[\^$\\]", path):
        parts, end = [], 0
        for match in _PARAMETER.finditer(path):
            # A converter of the project's own may take anything but a slash.
            parts += [re.escape(path[end : match.start()]), _CONVERTERS.get(match["converter"] or "str", r"[^/]+")]
            end = match.end()
        return re.compile("".join([*parts, re.escape(path[end:])]))
    text = re.sub(r"(?<!\[)\^", "", path)
    # Parameters of a path() around, or within, a re_path().
    text = re.sub(r"(?<!\?P)<(?:(\w+):)?(\w+)>", lambda match: _CONVERTERS.get(match[1] or "str", r"[^/]+"), text)
    try:
        return re.compile(text if text.endswith(("$", r"\Z")) else f"{text}.*")
    except re.error:
        return None


def matches(route: str, path: str) -> bool:
    """Whether a path is of a route; where that can't be told, it is not.

    Example:
        >>> matches("/ws/rooms/<int:room>/", "/ws/rooms/7/")
        True
    """
    expression = _expression(route)
    return expression is not None and expression.fullmatch(path) is not None


def pattern_of(name: str) -> str:
    """The name of a group with ``{}`` for each number and UUID in it.

    Example:
        >>> pattern_of("invoice.17")
        'invoice.{}'
    """
    return _VARIABLE.sub("{}", name)


@functools.lru_cache(maxsize=1024)
def _of_pattern(pattern: str) -> re.Pattern[str]:
    return re.compile(".+".join(map(re.escape, pattern.split("{}"))), re.DOTALL)


def is_of_pattern(name: str, pattern: str) -> bool:
    """Whether a name is of a pattern, in which ``{}`` stands for anything.

    Example:
        >>> is_of_pattern("invoice.17", "invoice.{}")
        True
    """
    return _of_pattern(pattern).fullmatch(name) is not None
