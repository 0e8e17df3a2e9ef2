"""What was seen of one scenario, in a form that can be compared: without ids, moments and names of processes."""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Iterable
from typing import Any

Events = list[dict[str, Any]]

# Written down by the worker's main process, and so in no order with what its child writes down.
_MAIN = ("task_received", "task_revoked", "task_rejected", "task_unknown")
_PUBLISHED = ("before_task_publish", "after_task_publish")

_UNLIKE = [
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}(/\d+)?"), "<uuid>"),
    (re.compile(r"\b[0-9a-f]{32}\b"), "<uuid>"),
    (re.compile(r"'pid': \d+"), "'pid': <number>"),
    (re.compile(r"worker[0-9]*(-[0-9]+)?@[a-z]+"), "<worker>"),
    (re.compile(r"gen[0-9]+@[^\"'\s]+"), "<producer>"),
    (re.compile(r"0x[0-9a-f]{6,}"), "<address>"),
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(\+00:00|Z)?"), "<moment>"),
    # What is left of the time, in ms or s: a moment, too.
    (re.compile(r'"expiration": ("[1-9][0-9]*"|[1-9][0-9.]*)'), '"expiration": "given"'),
    # The same number by billiard's own count in whatever process.
    (re.compile(r"Job: \d+"), "Job: <number>"),
]


def alike(value: Any) -> Any:
    """A value as JSON, with what differs in each run replaced."""
    text = json.dumps(value, default=repr, sort_keys=True)
    for pattern, name in _UNLIKE:
        text = pattern.sub(name, text)
    return json.loads(text)


def observed(events: Events, results: dict[str, Any], left: dict[str, list[str]], ended: str) -> dict[str, Any]:
    """All that counts of one run.

    Args:
        events: what was written down, in its order.
        results: what the result backend holds, by its key.
        left: the ids of the messages that are still at the broker, by queue.
        ended: how the drive ended: empty, or what was raised.
    """
    tasks: dict[str, dict[str, list[Any]]] = {}
    for event in events:
        kind = event["event"]
        part = (
            "worker" if kind in _MAIN
            else "published" if kind in _PUBLISHED
            else "errbacks" if kind == "errback"
            else "run"
        )  # fmt: skip
        found = {name: value for name, value in event.items() if name != "id"}
        tasks.setdefault(str(event["id"]), {}).setdefault(part, []).append(found)
    for parts in tasks.values():
        if "worker" in parts:  # received again while the errback of another
            parts["worker"].sort(key=lambda event: event["event"] != "task_received")
    return alike(
        {
            "tasks": tasks,
            "order": [event["id"] for event in events if event["event"] == "body"],
            "results": results,
            "left": {queue: sorted(ids) for queue, ids in left.items() if ids},
            "ended": ended,
        }
    )


def results_in(client: Any, decode: Any) -> dict[str, Any]:
    """What Celery's Redis result backend holds, by key, without moments."""
    entries: list[tuple[str, Any]] = []
    for key in client.scan_iter(count=1000):
        name = key.decode()
        kind = client.type(key).decode()
        entry: dict[str, Any] = {"kind": kind, "expires": client.ttl(key) > 0}
        if kind == "string":
            value = client.get(key)
            try:
                entry["value"] = _meta(decode(value))
            except Exception:
                entry["value"] = _meta(pickle.loads(value)) if value[:1] == b"\x80" else repr(value)
        elif kind == "zset":
            entry["count"] = client.zcard(key)
        elif kind == "list":
            entry["count"] = client.llen(key)
        entries.append((alike(name), alike(entry)))
    # Several groups have keys that differ in random ids alone: in the order of what they hold.
    found: dict[str, Any] = {}
    for name, entry in sorted(entries, key=lambda pair: json.dumps(pair, sort_keys=True)):
        same = sum(other.split(" ")[0] == name for other in found)
        found[f"{name} {same}" if same else name] = entry
    return found


def _meta(meta: Any) -> Any:
    if not isinstance(meta, dict):
        return repr(meta)
    found = {name: value for name, value in meta.items() if name != "date_done"}
    found["traceback"] = bool(found.get("traceback"))
    found["result"] = repr(found.get("result"))
    return found


def differences(stepped: Any, real: Any, path: tuple[str, ...] = ()) -> Iterable[tuple[tuple[str, ...], Any, Any]]:
    """Where two observations differ: the path, and what each has there; None where it has nothing."""
    if isinstance(stepped, dict) and isinstance(real, dict):
        for name in sorted({*stepped, *real}):
            yield from differences(stepped.get(name), real.get(name), (*path, name))
    elif isinstance(stepped, list) and isinstance(real, list) and len(stepped) == len(real):
        for number, (left, right) in enumerate(zip(stepped, real, strict=True)):
            yield from differences(left, right, (*path, str(number)))
    elif stepped != real:
        yield path, stepped, real
