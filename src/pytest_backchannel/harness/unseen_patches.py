"""Patches of project code that are active while a worker process runs tasks: they do not reach it, and that is told."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any
from unittest import mock

from ..events import caller, current_log, is_project_file
from ..restoring import replaced

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    import pytest


@contextlib.contextmanager
def told(item: pytest.Item) -> Generator[Callable[[], None]]:
    """Within the block, each enqueueing tells of the patches that are active, once each.

    Args:
        item: the test, which has a real worker.

    Yields:
        What tells of them at another moment, such as when the worker is let run.
    """
    from ..servers.publishing import published

    entered: list[Any] = []
    seen: set[str] = set()

    def tell() -> None:
        active = [(patch.target, patch.attribute, "unittest.mock.patch") for patch in entered]
        active += [(target, name, "monkeypatch") for target, name in _monkeypatched(item)]
        for target, attribute, by in active:
            name = _name(target, attribute)
            if name is not None and name not in seen:
                seen.add(name)
                current_log().problem("patch_not_in_worker", _text(name, by), where=caller())

    with _watching(entered), published(lambda raw: tell()):
        yield tell


def _text(name: str, by: str) -> str:
    return (
        f"{name} is patched by {by} while a worker process runs the tasks: the patch is in this process alone, and a "
        "task calls the real one. Fix: patch it in the worker, by a function in a module: "
        'worker_process(setup="tests.support.worker:function"), or the same argument of the marker task_queue; or run '
        "the test on the stepped worker alone."
    )


def _name(target: Any, attribute: str) -> str | None:
    """The name of what is patched, where it is the project's own."""
    module: Any = target.__name__ if hasattr(target, "__spec__") else getattr(target, "__module__", None)
    file = getattr(sys.modules.get(module or ""), "__file__", None)
    if file is None or not is_project_file(file):
        return None
    owner = getattr(target, "__qualname__", None) if target is not sys.modules.get(module or "") else None
    return ".".join(part for part in (module, owner, attribute) if part)


# --- private API: unittest.mock._patch, Python 3.11–3.14, and MonkeyPatch._setattr, pytest 8.2–9: neither says what it
# has replaced; what can't be read is not told.


@contextlib.contextmanager
def _watching(entered: list[Any]) -> Generator[None]:
    """Within the block, the patches that are entered and not left are in the list; those from before are not known."""
    kind: Any = mock._patch
    enter, leave = kind.__enter__, kind.__exit__
    entered += getattr(kind, "_active_patches", ())

    def watched_enter(self: Any) -> Any:
        result = enter(self)
        entered.append(self)
        return result

    def watched_exit(self: Any, *error: Any) -> Any:
        entered[:] = [patch for patch in entered if patch is not self]
        return leave(self, *error)

    with replaced(kind, "__enter__", watched_enter), replaced(kind, "__exit__", watched_exit):
        yield


def _monkeypatched(item: pytest.Item) -> list[tuple[Any, str]]:
    patcher = getattr(item, "funcargs", {}).get("monkeypatch")
    return [(target, name) for target, name, *_ in getattr(patcher, "_setattr", ())]


# --- end of private API
