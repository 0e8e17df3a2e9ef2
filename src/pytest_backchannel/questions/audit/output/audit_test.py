"""The test to write for a finding: with the fixture ``task_queue``, and ``...`` for what only people know."""

from __future__ import annotations

import re

from ..audit_data import AuditedCall, Finding


def code_to_show(call: AuditedCall, finding: Finding, *, acks: str = "early") -> str:
    """A test that shows a finding as long as it is there.

    Args:
        call: the call of which it is.
        finding: what was found.
        acks: when the task is acknowledged, ``early``, ``late`` or ``late+lost``.
    """
    name = call.task.rpartition(".")[2]
    how = "redelivered" if not finding.after else "dies_half_way"
    steps = _dies(name, finding) if finding.after else _redelivered(name) if acks == "early" else _killed(name)
    body = [f"def test_{_identifier(name)}_{how}(db, task_queue):", f"    # As in {call.test}: {call.call}", *steps]
    return "\n".join([*body, f"    assert ...  # {finding.text}"])


def _redelivered(name: str) -> list[str]:
    return [f"    {name}.delay(...)", "    task_queue.run()", "    task_queue.redeliver()", "    task_queue.run()"]


def _killed(name: str) -> list[str]:
    return [
        '    task_queue.kill_worker(when="after_body")',
        f"    {name}.delay(...)",
        "    task_queue.run_until_idle()",
    ]


def _dies(name: str, finding: Finding) -> list[str]:
    if finding.before_write:
        fault = [f"    task_queue.fail_write(nth={finding.before_write})  # {finding.before}"]
    else:
        fault = [f"    # Let this line raise once, by a patch: {finding.before}"]
    return [
        *fault,
        f"    {name}.delay(...)",
        "    task_queue.run(propagate=False)",
        "    assert task_queue.failures",
        "    task_queue.redeliver()",
        "    task_queue.run()",
    ]


def _identifier(name: str) -> str:
    return re.sub(r"\W", "_", name)
