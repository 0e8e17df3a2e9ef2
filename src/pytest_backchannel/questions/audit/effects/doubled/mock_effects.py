"""Mocks of the test that the body calls: of a task's ``delay``, of what stands for something outside, of all else.

A mock that is declared outward counts as an effect. Another one whose name sounds as if it sent something is told
beside.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any
from unittest import mock

from ..call_words import arguments_text
from ..effect_log import note, running
from .mock_answers import MockAnswers

_ENQUEUING = frozenset({"delay", "apply_async", "delay_on_commit", "apply_async_on_commit", "send_task"})
_SENDING = re.compile(
    r"(^|_)(send|post|put|charge|pay|capture|refund|notify|publish|push|transfer|upload|deliver|submit|email|sms)",
    re.IGNORECASE,
)
_KEYS = re.compile(r"idempot|(^|_)key$", re.IGNORECASE)


# --- private API: unittest.mock.CallableMixin._execute_mock_call, _mock_new_parent and _extract_mock_name, seen on
# --- Python 3.11–3.14. tests/plugin/audit/test_effects_of_bodies.py fails where they are built differently.


def install(names: dict[int, str], outward: Iterable[str]) -> None:
    """Watch the calls of mocks from now on.

    Args:
        names: where a mock was put, such as ``shop.gateway.charge``, by its identity.
        outward: patterns of those that stand for something outside.
    """
    owner: Any = getattr(mock, "CallableMixin")  # noqa: B009  (the type stubs know it as another class)
    before = owner._execute_mock_call
    patterns = tuple(outward)
    last: dict[int, Any] = {}
    answers = MockAnswers()

    def execute(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        answers.before(self)
        try:
            result = answers.of(before(self, *args, **kwargs))
        except StopIteration:  # a list of answers is over: a second run that asks more often gets the last one again
            if id(self) not in last:
                raise
            result = last[id(self)]
        last[id(self)] = result
        if running() is not None:
            _note(_name(self, names), args, kwargs, patterns)
        return result

    owner._execute_mock_call = execute


def _name(called: Any, names: dict[int, str]) -> str:
    """Where the mock stands: that of the one which was put somewhere, and the way from there."""
    way, current = [], called
    while current is not None and id(current) not in names:
        way.append(str(vars(current).get("_mock_new_name") or ""))
        current = vars(current).get("_mock_new_parent")
    if current is None:
        return str(called._extract_mock_name())
    steps = [step for step in reversed(way) if step and step != "()"]
    return ".".join([names[id(current)], *steps])


# --- end of private API


def _note(name: str, args: Any, kwargs: Any, patterns: tuple[str, ...]) -> None:
    owner, _, method = name.rpartition(".")
    if method in _ENQUEUING:
        task = owner if method != "send_task" else str(args[0] if args else kwargs.get("name"))
        note("enqueue", f"enqueue {task}({arguments_text(args, kwargs)}), by a mock", of=task)
        return
    outward = any(fnmatchcase(name, pattern) for pattern in patterns)
    if outward or _SENDING.search(method or name):
        note(
            "mock",
            f"call {name}({arguments_text(args, kwargs)})",
            of=name,
            outward=outward,
            keyed=any(_KEYS.search(key) and kwargs[key] for key in kwargs),
        )
