"""The story of a failed test: its events as a tree of causes."""

from __future__ import annotations

from dataclasses import dataclass

from ...events import Event, EventLog
from ...masking import masked_data

MAX_LINES = 60


@dataclass
class Told:
    """One line of the story, and how often it happened, one after the other, with all that it caused."""

    event: Event
    depth: int
    text: str
    times: int = 1

    @property
    def must_stay(self) -> bool:
        """Whether it is never left out: what broke, and a task that was revoked."""
        return self.event.broke or self.text.startswith("REVOKED")


def story(log: EventLog, *, max_lines: int = MAX_LINES) -> str:
    """The events of ``log`` as a tree, each line with its time, what it was and the project's own file and line.

    What happened several times over, one after the other and with the same consequences, is told once, with a number.

    Args:
        log: the log of one test.
        max_lines: the longest story, in lines; what is left out in the middle is counted. What broke, and what was
            revoked, is never left out.

    Returns:
        The text, without a closing line break; empty where nothing happened.
    """
    if not log.events:
        return ""
    start = log.events[0].at
    told = folded(log.events)
    if len(told) <= max_lines:
        return "\n".join(_line(one, start) for one in told)
    head = max_lines * 2 // 3
    tail = max_lines - head - 1
    middle = range(head, len(told) - tail)
    lines = [_line(one, start) for one in told[:head]]
    hidden = 0
    for index in middle:
        if told[index].must_stay:
            lines += [*_left_out(hidden), _line(told[index], start)]
            hidden = 0
        else:
            hidden += told[index].times
    lines += [*_left_out(hidden), *(_line(one, start) for one in told[len(told) - tail :])]
    return "\n".join(lines)


def _left_out(hidden: int) -> list[str]:
    return [f"… {hidden} more event{'s' if hidden > 1 else ''} …"] if hidden else []


def folded(events: list[Event]) -> list[Told]:
    """The lines in their order, with equal neighbours folded."""
    children: dict[int | None, list[Event]] = {}
    known = {event.id for event in events}
    for event in events:
        children.setdefault(event.cause if event.cause in known else None, []).append(event)
    texts = {event.id: masked_data(event.headline()) for event in events}
    # What an event and all that it caused look like. A cause comes before what it causes: so from the end.
    shapes: dict[int, int] = {}
    for event in reversed(events):
        below = tuple(shapes[child.id] for child in children.get(event.id, ()))
        shapes[event.id] = hash((type(event), texts[event.id], event.broke, event.where, below))
    lines: list[Told] = []
    # An explicit stack: a chain of causes may be longer than Python's recursion limit.
    stack = [(event, 0, times) for event, times in reversed(_runs(children.get(None, []), shapes))]
    while stack:
        event, depth, times = stack.pop()
        lines.append(Told(event, depth, texts[event.id], times))
        below_it = _runs(children.get(event.id, []), shapes)
        stack += [(child, depth + 1, child_times) for child, child_times in reversed(below_it)]
    return lines


def _runs(events: list[Event], shapes: dict[int, int]) -> list[tuple[Event, int]]:
    """The first of each run of equal neighbours, and how long the run is."""
    runs: list[tuple[Event, int]] = []
    for event in events:
        if runs and shapes[runs[-1][0].id] == shapes[event.id]:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((event, 1))
    return runs


def _line(told: Told, start: float) -> str:
    event = told.event
    return line_text(event.at - start, told.depth, told.text, broke=event.broke, times=told.times, where=event.where)


def line_text(at: float, depth: int, text: str, *, broke: bool, times: int, where: object) -> str:
    """One line of a story.

    Args:
        at: seconds since its beginning.
        depth: how many causes stand above it.
        text: what happened.
        broke: whether the chain of events broke there.
        times: how often, one after the other.
        where: the place in the code, or None.
    """
    indent = "   " * (depth - 1) + "└─ " if depth else ""
    mark = "✗ " if broke else ""
    often = f" (× {times}, alike)" if times > 1 else ""
    place = f"  [{where}]" if where else ""
    return f"{_offset(at):>9}  {indent}{mark}{text}{often}{place}"


def _offset(seconds: float) -> str:
    if seconds < 0.0005:
        return "0 s"
    if seconds < 10:
        return f"{seconds:.3f} s"
    return f"{seconds:.1f} s"
