"""What is told of the consumers that died of odd values: one problem for each line that is at fault."""

from __future__ import annotations

from collections.abc import Iterable

from ...events import EventLog, Location
from ..watch.consumers import definition, raised_at
from ..watch.crash import short_traceback, summary
from ..watch.records import shortened
from .attempts import Death

_MOST_SHOWN = 6


def tell(log: EventLog, deaths: Iterable[Death], told: set[tuple[object, ...]]) -> None:
    """Enter them as problems, which fail the test whatever fixtures it uses: somebody has asked for them.

    Args:
        log: the log of the test.
        deaths: what was found.
        told: the faults that an earlier test has told; it is added to.
    """
    by_fault: dict[tuple[object, ...], list[Death]] = {}
    for death in deaths:
        key = death.visit.consumer, death.in_path, type(death.error), raised_at(death.error)
        by_fault.setdefault(key, []).append(death)
    for fault, alike in by_fault.items():
        if fault not in told:
            told.add(fault)
            log.problem("odd_value", _text(alike), where=_fault(alike[0]), decided=True, count=len(alike))


def _fault(death: Death) -> Location | None:
    """The innermost line of the project; where Channels itself raised, the method that could have caught it."""
    methods = ("websocket_connect", "connect") if death.in_path else ("decode_json", "receive", "receive_json")
    known = (definition(getattr(death.visit.consumer, name, None)) for name in methods)
    return raised_at(death.error) or next((place for place in known if place is not None), None)


def _text(alike: list[Death]) -> str:
    first = alike[0]
    visit = first.visit
    values = list(dict.fromkeys(shortened(death.value, 100) for death in alike))
    more = [f"and {len(values) - _MOST_SHOWN} more"] if len(values) > _MOST_SHOWN else []
    what = "of the path" if first.in_path else "of the frame"
    lines = [
        f"{visit.consumer.__qualname__} ({visit.place}) dies {what} {values[0]}: {summary(first.error)}",
        *short_traceback(first.error),
    ]
    if len(values) > 1:
        lines += [f"and {what}{'s' if len(values) > 2 else ''} " + ", ".join([*values[1:_MOST_SHOWN], *more])]
    advice = (
        "Close the connection for what can't be there (await self.close() before accept()), or give the route a "
        "converter that keeps it out."
        if first.in_path
        else "Any client can send it: answer with an error, or ignore it. Channels' own decode_json() and receive() "
        "die of what is no JSON, or no text, unless you override them."
    )
    return "\n".join([*lines, advice])
