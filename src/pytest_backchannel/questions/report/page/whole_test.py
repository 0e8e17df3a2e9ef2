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
    depth, brackets, start, in_with = 0, 0, 0, False
    for token in tokens:
        if (
            token.type == tokenize.NAME
            and token.string in ("with", "for", "if")
            and not steps[start : token.start[1]].strip(" async")
        ):
            in_with = True
        if token.type != tokenize.OP:
            continue
        brackets += (token.string in "([{") - (token.string in ")]}")
        ends = token.string == ";" or (token.string == ":" and in_with)
        if brackets or not ends:
            continue
        end = token.start[1] if token.string == ";" else token.end[1]
        lines.append(_INDENT * depth + steps[start:end].strip())
        depth += token.string == ":"
        start, in_with = token.end[1], False
    lines.append(_INDENT * depth + steps[start:].strip())
    return [line for line in lines if line.strip()]
