"""What a task's function and class say of themselves, without being run: whether it may retry or reject, its hooks."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from types import CodeType
from typing import Any

HOOKS = ("before_start", "on_success", "on_failure", "on_retry", "after_return")


def body_of_task(task: Any) -> dict[str, Any]:
    """What of a task does not stand in its options, as plain data.

    Args:
        task: a registered task.
    """
    function = inspect.unwrap(getattr(task, "run", task))
    names = {name for code in _codes(getattr(function, "__code__", None)) for name in code.co_names}
    made_by_decorator = bool(getattr(task, "_decorated", False))
    base = type(task).__mro__[1] if made_by_decorator else type(task)
    return {
        "base": "" if _is_celerys(base) else f"{base.__module__}.{base.__qualname__}",
        "hooks": [hook for hook in HOOKS if not _is_celerys(_owner(type(task), hook))],
        # Celery keeps the function of a bound task as it is, and that of others as a static method.
        "bound": made_by_decorator and inspect.isfunction(_in_class(type(task), "run")),
        "own_retry": "retry" in names,
        "own_reject": "Reject" in names,
        "parameters": _parameters(task),
    }


def _codes(code: CodeType | None) -> Iterator[CodeType]:
    if code is not None:
        yield code
        for constant in code.co_consts:
            if isinstance(constant, CodeType):
                yield from _codes(constant)


def _owner(task_class: type, name: str) -> type:
    return next((base for base in task_class.__mro__ if name in vars(base)), object)


def _is_celerys(owner: type) -> bool:
    return owner is object or owner.__module__.partition(".")[0] == "celery"


def _in_class(task_class: type, name: str) -> Any:
    return next((vars(base)[name] for base in task_class.__mro__ if name in vars(base)), None)


def _parameters(task: Any) -> list[str]:
    try:
        signature = inspect.signature(task.run)
    except (TypeError, ValueError):
        return []
    plain = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [name for name, one in signature.parameters.items() if one.kind in plain]
