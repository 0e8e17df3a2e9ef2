"""The call of a task as its function gets it: each argument by its name, whichever way it was passed."""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import FunctionType
from typing import Any


class _Earlier:
    """Stands for the result of the step before."""


EARLIER = _Earlier()


@dataclass(frozen=True, kw_only=True)
class TaskCall:
    """What was called, as one value: to compare, to print, to keep in a snapshot.

    It has no id, no moment and no line of code, so that it is the same in each run. Its repr is Python that makes it
    again. Arguments that the project itself makes anew each time, such as a UUID, are in it: compare those by
    dirty-equals, or give the snapshot a matcher.

    Attributes:
        name: the task's name.
        arguments: its arguments by name, defaults filled in; by place (``args[0]``) where the task is not registered
            or does not say what it takes.
        queue: the queue that it waits in.
        delay: the seconds from the moment of enqueueing to its eta; None where it may run at once.

    Example:
        >>> task_queue[0].call
        TaskCall(name='billing.tasks.send_invoice_email', arguments={'invoice_id': 7}, queue='mail', delay=60.0)
    """

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    queue: str | None = None
    delay: float | None = None


# The module that a snapshot which was written as code imports it from.
TaskCall.__module__ = "pytest_backchannel.typing"


def named_arguments(
    task: Any, args: Sequence[Any], kwargs: Mapping[str, Any], *, partial: bool = False
) -> dict[str, Any]:
    """The arguments by name where the task says what it takes, and else by their place."""
    bound = bind(task, args, kwargs, partial=partial)
    return bound if bound is not None else {**{f"args[{i}]": value for i, value in enumerate(args)}, **kwargs}


def signature_of(function: Any) -> inspect.Signature:
    """The signature of a task's function, read once: it is asked for three times in each assertion."""
    if type(function) is not FunctionType or vars(function):
        return inspect.signature(function)  # a wrapper, a mock, a callable object: what they say may change
    known = _signatures.get(function)
    # Its defaults can be replaced in place.
    parts = (function.__code__, function.__defaults__, function.__kwdefaults__)
    if known is None or known[0] != parts:
        known = _signatures[function] = parts, inspect.signature(function)
    return known[1]


_signatures: weakref.WeakKeyDictionary[Any, tuple[Any, inspect.Signature]] = weakref.WeakKeyDictionary()


def bind(task: Any, args: Sequence[Any], kwargs: Mapping[str, Any], *, partial: bool) -> dict[str, Any] | None:
    """The arguments by name, defaults filled in, so that positional or keyword makes no difference.

    Returns:
        None where the task is not registered, checks no arguments (``typing=False``), or does not take these.
    """
    if task is None or not task.typing:
        return None
    try:
        bound = signature_of(task.run).bind(*([EARLIER] if partial else []), *args, **kwargs)
    except TypeError:
        return None
    bound.apply_defaults()
    named: dict[str, Any] = {}
    for name, value in bound.arguments.items():
        kind = bound.signature.parameters[name].kind
        if kind is inspect.Parameter.VAR_POSITIONAL:
            named.update({f"{name}[{index}]": item for index, item in enumerate(value)})
        elif kind is inspect.Parameter.VAR_KEYWORD:
            named.update(value)
        else:
            named[name] = value
    return {name: value for name, value in named.items() if value is not EARLIER}
