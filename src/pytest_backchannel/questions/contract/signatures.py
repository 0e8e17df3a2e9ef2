"""Whether the arguments of a message fit a signature that stands in a contract as text."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Sequence
from functools import lru_cache
from typing import Any


def misfit(signature: str, args: int, kwargs: Sequence[str]) -> str | None:
    """Why a task can't be called so; None where it can, or its signature is not known.

    A worker checks nothing before it calls the body: so ``typing=False`` does not matter here, which lets only the
    producer off its check.

    Args:
        signature: as code, such as ``(order_id, *, force=...)``.
        args: how many positional arguments.
        kwargs: the names of the keyword arguments.

    Example:
        >>> misfit("(order_id)", 2, ())
        'too many positional arguments'
    """
    parsed = parse(signature)
    if parsed is None:
        return None
    try:
        parsed.bind(*range(args), **dict.fromkeys(kwargs))
    except TypeError as error:
        return str(error)
    return None


@lru_cache(maxsize=4096)
def parse(text: str) -> inspect.Signature | None:
    """The signature that a text says; None for one that is not known.

    Args:
        text: as code, without a name.

    Raises:
        ValueError: it is none.
    """
    if not text:
        return None
    try:
        [function] = ast.parse(f"def task{text}: ...").body
    except SyntaxError:
        function = None
    if not isinstance(function, ast.FunctionDef) or len(function.body) != 1:
        raise ValueError(f"{text!r} is no signature, such as '(order_id, *, force=...)'")
    return inspect.Signature(list(_parameters(function.args)))


def _parameters(given: ast.arguments) -> list[inspect.Parameter]:
    kinds = inspect.Parameter
    plain: list[tuple[ast.arg, Any]] = [(one, kinds.POSITIONAL_ONLY) for one in given.posonlyargs]
    plain += [(one, kinds.POSITIONAL_OR_KEYWORD) for one in given.args]
    required = len(plain) - len(given.defaults)
    found = [
        kinds(one.arg, kind, default=kinds.empty if number < required else ...)
        for number, (one, kind) in enumerate(plain)
    ]
    if given.vararg is not None:
        found.append(kinds(given.vararg.arg, kinds.VAR_POSITIONAL))
    found += [
        kinds(one.arg, kinds.KEYWORD_ONLY, default=kinds.empty if default is None else ...)
        for one, default in zip(given.kwonlyargs, given.kw_defaults, strict=True)
    ]
    if given.kwarg is not None:
        found.append(kinds(given.kwarg.arg, kinds.VAR_KEYWORD))
    return found
