"""The test to write, as a whole function: the steps of a gap are one line, as the terminal has room for."""

from __future__ import annotations

import io
import keyword
import re
import tokenize

_FIXTURES = ("task_queue", "websocket", "channel_layer")
_INDENT = "    "


def whole_test(steps: str, title: str, facet: str) -> str:
    """The function to paste.

    Args:
        steps: what the gap has, such as ``ship.delay(order_id); task_queue.run()``.
        title: of the item.
        facet: the name of the facet that is open.

    Returns:
        The function, with the fixtures that it uses; empty where there are no steps.
    """
    if not steps:
        return ""
    used = [name for name in _FIXTURES if re.search(rf"(?<![\w.]){name}\b", steps)]
    word = "async def" if re.search(r"\b(await|async with)\b", steps) else "def"
    body = "\n".join(f"{_INDENT}{line}" if line else "" for line in _lines(steps))
    return f"{word} test_{_name(title)}_{_name(facet)}({', '.join(['db', *used])}):\n{body}\n"


def _name(text: str) -> str:
    """What a name can be made of."""
    name = re.sub(r"\W+", "_", text.rpartition(".")[2] or text).strip("_").lower() or "it"
    return f"{name}_" if keyword.iskeyword(name) else name


def _lines(steps: str) -> list[str]:
    """The steps, a line each, below the ``with`` that they stand in."""
    if "\n" in steps:
        return steps.splitlines()
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(steps).readline))
    except (tokenize.TokenError, SyntaxError):
        return [steps]
    lines: list[str] = []
    depth, brackets, start, heads = 0, 0, 0, False
    for token in tokens:
        if token.type == tokenize.NAME and token.string in ("with", "for", "if"):
            heads = heads or steps[start : token.start[1]].strip() in ("", "async")
        if token.type != tokenize.OP:
            continue
        brackets += (token.string in "([{") - (token.string in ")]}")
        opens = token.string == ":" and heads
        if brackets or not (opens or token.string == ";"):
            continue
        lines.append(_INDENT * depth + steps[start : token.end[1] if opens else token.start[1]].strip())
        depth += opens
        start, heads = token.end[1], False
    lines.append(_INDENT * depth + steps[start:].strip())
    return [line for line in lines if line.strip()]
