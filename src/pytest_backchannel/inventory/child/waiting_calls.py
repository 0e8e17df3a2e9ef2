"""Calls in the project's code of clients that wait for their server for ever unless they are given a time-out.

Read from the source of what is imported, and never run: a name counts where the module has it for that very function.
"""

from __future__ import annotations

import ast
import socket
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .telling import is_of_project, short

# What waits for ever, by its module, and the position of its argument `timeout` (requests takes it by its name alone).
_REQUESTS = ("get", "post", "put", "patch", "delete", "head", "options", "request")
_CLIENTS: Mapping[str, Mapping[str, int | None]] = {
    "requests": dict.fromkeys(_REQUESTS),
    "urllib.request": {"urlopen": 2},
    "smtplib": {"SMTP": 3, "SMTP_SSL": 3},
}
# They take the time-out of all sockets, where that is set; requests takes none.
_TAKE_DEFAULT = ("urllib.request", "smtplib")


def waiting_calls() -> list[dict[str, Any]]:
    """Each such call without a time-out: ``where`` it stands, and ``what`` it calls."""
    clients = _clients()
    if not clients:
        return []
    return [
        {"where": f"{short(file)}:{line}", "what": what}
        for module in list(sys.modules.values())
        if is_of_project(module) and (file := str(module.__file__)).endswith(".py")
        for line, what in _calls(module, file, clients)
    ]


def _clients() -> dict[int, tuple[Any, str, int | None]]:
    """The functions that are imported, by their identity."""
    found = {}
    for name, functions in _CLIENTS.items():
        module = sys.modules.get(name)
        if module is None or (name in _TAKE_DEFAULT and socket.getdefaulttimeout() is not None):
            continue
        for function, position in functions.items():
            value = getattr(module, function, None)
            if value is not None:
                found[id(value)] = value, f"{name}.{function}", position
    return found


def _calls(module: Any, file: str, clients: Mapping[int, tuple[Any, str, int | None]]) -> Iterator[tuple[int, str]]:
    names = vars(module)
    try:
        text = Path(file).read_text(encoding="utf-8")
        tree = ast.parse(text)
    except (OSError, ValueError, SyntaxError):
        return
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        known = clients.get(id(_named(node.func, names)))
        if known is not None and not _has_timeout(node, known[2]):
            yield node.lineno, known[1]


def _named(node: ast.expr, names: Mapping[str, Any]) -> Any:
    """What ``a`` or ``a.b.c`` is in a module, where ``a`` is one of its names, and ``a.b`` a module."""
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if isinstance(node, ast.Attribute):
        owner = _named(node.value, names)
        return vars(owner).get(node.attr) if isinstance(owner, type(sys)) else None
    return None


def _has_timeout(call: ast.Call, position: int | None) -> bool:
    """Also where it may have one: by ``*args`` or ``**options``."""
    if any(keyword.arg in ("timeout", None) for keyword in call.keywords):
        return True
    if any(isinstance(argument, ast.Starred) for argument in call.args):
        return True
    return position is not None and len(call.args) > position
