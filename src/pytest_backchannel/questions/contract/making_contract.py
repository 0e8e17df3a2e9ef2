"""Puts a contract together: of the project, of its tests, and of an earlier contract where not all ran."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from .comparing import misunderstood
from .contents import Contract, LayerSend, TaskSend
from .from_project import Project, accepts_of, in_production, messages_sent, tasks_sent

Sent = TypeVar("Sent", TaskSend, LayerSend)


def make_contract(
    project: Project,
    tasks: Iterable[TaskSend] = (),
    messages: Iterable[LayerSend] = (),
    *,
    earlier: Contract | None = None,
) -> Contract:
    """The contract of a project.

    Args:
        project: what is known of it.
        tasks: the messages for tasks that tests have seen.
        messages: those on a channel layer.
        earlier: the contract in which to keep what tests have seen before, since not all of them ran now. What this
            code would not understand itself is not kept: it is no longer sent.
    """
    accepts = accepts_of(project)
    seen_tasks = [in_production(one, project) for one in tasks]
    seen_messages = list(messages)
    if earlier is not None:
        ours = Contract(accepts=accepts)
        kept = Contract(
            accepts=earlier.accepts,
            tasks=[one for one in earlier.tasks if one.run],
            messages=[one for one in earlier.messages if one.run],
        )
        lost_tasks, lost_messages = misunderstood(kept, ours)
        seen_tasks += [one for one in kept.tasks if one not in lost_tasks]
        seen_messages += [one for one in kept.messages if one not in lost_messages]
    return Contract(
        accepts=accepts,
        tasks=_each_once([*seen_tasks, *tasks_sent(project)]),
        messages=_each_once([*seen_messages, *messages_sent(project)]),
    )


def _each_once(sent: Iterable[Sent]) -> list[Sent]:
    """Each kind of message once; what a test has seen stands before what the code says."""
    found: dict[Sent, Sent] = {}
    for one in sent:
        found.setdefault(one, one)
    return sorted(found.values())
