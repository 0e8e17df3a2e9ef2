"""Calls a task with made values on the stepped worker, and says what a test of it could assert."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from importlib import import_module
from typing import Any

from ....inventory.child.telling import first_line
from ..sandbox import SANDBOX
from .expressions import Known, expression, is_telling
from .made_rows import Rows
from .made_values import arguments
from .patience_of_trials import TookTooLong, in_time
from .probed_rows import checks_of, tables

Answer = dict[str, Any]


def probe_task(case: Mapping[str, Any], attempt: int, queue: Any, outbox: Any, layer: Any) -> Answer | None:
    """Try one set of values.

    Args:
        case: the task: its ``module``, ``attribute``, ``name`` and ``hints``.
        attempt: which set of values, from 0.
        queue: the fixture ``task_queue``.
        outbox: the fixture ``mailoutbox``.
        layer: the fixture ``channel_layer``, or None.

    Returns:
        Either ``reason``, why this makes no test, or what the test is made of; None where there is nothing else to try.
    """
    rows = Rows(taken={case["attribute"], "result", "task_queue"})
    try:
        task = getattr(import_module(case["module"]), case["attribute"])
        label = _app_label(case["module"])
        given = arguments(task.run, case["hints"], rows, attempt, label)
    except Exception as error:
        return {"reason": f"no values can be made for it: {first_line(error)}"}
    if given is None:
        return None
    if len(queue):
        return {"reason": "the rows that it needs enqueue tasks of their own when they are made"}
    trial = _Trial(task, queue, outbox, layer)
    reason = trial.run([one.value for one in given])
    call = ", ".join(one.code for one in given)
    if reason:
        return {"reason": f"{reason}, with {case['attribute']}({call})"}
    known = [*rows.known(), *((one.value, one.code) for one in given if isinstance(one.value, str) and "(" in one.code)]
    imports = rows.imports
    checks = list(trial.checks(rows, known, imports))
    if not any(check.startswith(("assert", "channel_layer")) for check in checks):
        return {
            "reason": "it succeeds and leaves nothing that could be asserted: it returns nothing, and no row, mail, "
            "task or group send tells that it ran"
        }
    needs_database = bool(trial.queries or rows.lines())
    return {
        "imports": sorted(imports),
        "fixtures": ["db"] * needs_database + ["task_queue"] + trial.fixtures,
        "rows": rows.lines(),
        "call": f"{case['attribute']}.delay({call})",
        "checks": checks,
        "marks": trial.marks,
    }


class _Trial:
    """One call, and what came of it."""

    def __init__(self, task: Any, queue: Any, outbox: Any, layer: Any) -> None:
        self._task, self._queue, self._outbox, self._layer = task, queue, outbox, layer
        self.queries = 0
        self.fixtures: list[str] = []
        self.marks: list[str] = []
        self._result: Any = None

    def run(self, values: Sequence[Any]) -> str:
        """Enqueue and run it; returns why that makes no test, empty where it does."""
        self._before = tables()
        refused: list[str] = []
        try:
            with SANDBOX.arm(refused), in_time(), self._counted():
                self._result = self._task.delay(*values)
                self._queue.run_one(propagate=False)
        except (Exception, TookTooLong) as error:
            return f"it reaches for {refused[0]}" if refused else f"it failed: {first_line(error)}"
        self._after = tables()
        if refused:
            return f"it reaches for {refused[0]}"
        outcomes = self._queue.outcomes
        last = outcomes[-1] if outcomes else None
        if last is None or last.state != "SUCCESS":
            raised = getattr(last, "exception", None) or getattr(last, "exc", None)
            state = {"RETRY": "it wants to be retried"}.get(getattr(last, "state", ""), "it failed")
            return f"{state}: {first_line(raised)}" if raised is not None else state
        return ""

    def checks(self, rows: Rows, known: Known, imports: set[tuple[str, str]]) -> Iterator[str]:
        """The assertions, as lines."""
        yield from self._returned(known)
        yield from checks_of(self._before, self._after, rows, known, imports)
        if self._outbox:
            code = expression([(mail.subject, list(mail.to)) for mail in self._outbox], known)
            self.fixtures.append("mailoutbox")
            yield (
                f"assert [(mail.subject, mail.to) for mail in mailoutbox] == {code}"
                if code is not None
                else f"assert len(mailoutbox) == {len(self._outbox)}"
            )
        if len(self._queue):
            names = expression([message.name for message in self._queue], ())
            if names is not None:
                yield f"assert [message.name for message in task_queue] == {names}"
        yield from self._sent(known)

    def _returned(self, known: Known) -> Iterator[str]:
        try:
            value = self._result.get()
        except Exception:  # it has no result, and says so
            return
        code = expression(value, known)
        if code is not None and is_telling(code):
            yield f"assert result.get() is {code}" if isinstance(value, bool) else f"assert result.get() == {code}"

    def _sent(self, known: Known) -> Iterator[str]:
        sends = self._layer.group_sends if self._layer is not None else []
        for send in sends[:3]:
            group = expression(send.group, known)
            message = expression(dict(send.message), known)
            if group is not None:
                yield f"channel_layer.assert_group_sent({group}{f', {message}' if message is not None else ''})"
        if sends:
            self.fixtures.append("channel_layer")
            self.marks.append('@pytest.mark.allow_lost("no_members")')

    def _counted(self) -> Any:
        from django.db import connection

        def count(execute: Any, sql: Any, parameters: Any, many: Any, context: Any) -> Any:
            self.queries += 1
            return execute(sql, parameters, many, context)

        return connection.execute_wrapper(count) if connection.settings_dict.get("ENGINE") else nullcontext()


def _app_label(module: str) -> str:
    from django.apps import apps

    config = apps.get_containing_app_config(module)
    return config.label if config is not None else ""
