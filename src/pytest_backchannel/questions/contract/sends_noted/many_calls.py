"""The calls that stand in one message: those of ``task.map()``, ``task.starmap()`` and ``task.chunks()``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def calls_within(name: str, kwargs: Mapping[str, Any]) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """The tasks that a message of Celery's own calls, with their arguments; chunks are sent as starmaps.

    Args:
        name: of the task of the message.
        kwargs: its keyword arguments.

    Example:
        >>> list(calls_within("celery.starmap", {"task": {"task": "shop.add"}, "it": [(1, 2)]}))
        [('shop.add', (1, 2))]
    """
    if name not in ("celery.map", "celery.starmap"):
        return
    task, items = kwargs.get("task"), kwargs.get("it")
    inner = task.get("task") if isinstance(task, Mapping) else task
    if isinstance(inner, str) and isinstance(items, list | tuple):
        for item in items:
            if name == "celery.map":
                yield inner, (item,)
            elif isinstance(item, list | tuple):
                yield inner, tuple(item)
