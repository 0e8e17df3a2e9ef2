"""A Mock in the place of a task, or of what enqueues it: then nothing comes to any queue."""

from __future__ import annotations

import sys
from typing import Any
from unittest.mock import NonCallableMock


def mocked(task: Any) -> str:
    """What a patch has put in the place of a task, or of what enqueues it; empty where there is none."""
    for name in ("delay", "apply_async"):
        found = getattr(task, name, None)
        if isinstance(found, NonCallableMock):
            return _mocked(f"{task.name}.{name}", found)
    run = getattr(task, "run", None)
    module, attribute = getattr(run, "__module__", ""), getattr(run, "__name__", "")
    found = getattr(sys.modules.get(module), attribute, None)
    return _mocked(f"{module}.{attribute}", found) if isinstance(found, NonCallableMock) else ""


def _mocked(what: str, mock: Any) -> str:
    calls = mock.call_count + sum(getattr(mock, name).call_count for name in ("delay", "apply_async"))
    called = {0: "not called yet", 1: "called once"}.get(calls, f"called {calls} times")
    return f"{what} is a Mock ({called}), and enqueues nothing. Take the patch away: task_queue needs none."
