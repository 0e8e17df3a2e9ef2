"""The story of a failed test: its events as a tree of causes."""

from __future__ import annotations

from ...events import Event, EventLog
from ...masking import masked_data

MAX_LINES = 60


def story(log: EventLog, *, max_lines: int = MAX_LINES) -> str:
    """The events of ``log`` as a tree, each line with its time, what it was and the project's own file and line.

    Args:
        log: the log of one test.
        max_lines: the longest story, in lines; what is left out in the middle is counted.

    Returns:
        The text, without a closing line break; empty where nothing happened.
    """
    if not log.events:
        return ""
    start = log.events[0].at
    children: dict[int | None, list[Event]] = {}
    known = {event.id for event in log.events}
    for event in log.events:
        children.setdefault(event.cause if event.cause in known else None, []).append(event)
    lines: list[str] = []
    # An explicit stack: a chain of causes may be longer than Python's recursion limit.
    stack = [(event, "", True) for event in reversed(children.get(None, []))]
    while stack:
        event, indent, is_root = stack.pop()
        below = children.get(event.id, [])
        lines.append(_line(event, indent if is_root else indent[:-3] + "└─ ", event.at - start))
        stack += [(child, indent + "   ", False) for child in reversed(below)]
    if len(lines) > max_lines:
        head = max_lines * 2 // 3
        tail = max_lines - head - 1
        lines = [*lines[:head], f"… {len(lines) - head - tail} more events …", *lines[-tail:]]
    return "\n".join(lines)


def _line(event: Event, indent: str, offset: float) -> str:
    mark = "✗ " if event.broke else ""
    where = f"  [{event.where}]" if event.where else ""
    return f"{_offset(offset):>9}  {indent}{mark}{masked_data(event.headline())}{where}"


def _offset(seconds: float) -> str:
    if seconds < 0.0005:
        return "0 s"
    if seconds < 10:
        return f"{seconds:.3f} s"
    return f"{seconds:.1f} s"
