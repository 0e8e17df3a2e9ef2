"""BC3xx: when a message is acknowledged, and what becomes of it when the process dies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from ...source import TaskDef
from ..checked_file import is_test
from ..checked_tree import CheckedTree
from ..rule import Found, TreeRule


class LateAckLostWithChild(TreeRule):
    """BC311."""

    code = "BC311"
    name = "late-ack-lost-with-child"
    summary = "A task acknowledges late, and is not run again when the process that runs it dies."
    why = (
        "`acks_late` brings a message back when the whole worker dies. Where only the child process does (out of "
        "memory, a crash in C), Celery marks the task as failed (`WorkerLostError`), acknowledges, and does not retry."
    )
    fix = (
        "`reject_on_worker_lost=True`, for a task that may begin again; a message that kills each worker comes back "
        "each time, so that what it does must not depend on its size. Or say that it is meant: "
        "`reject_on_worker_lost=False`."
    )
    page = "how-to/test-tasks.md"
    wrong = """
from celery import shared_task


@shared_task(acks_late=True)
def send(pk): ...
"""
    right = wrong.replace("acks_late=True", "acks_late=True, reject_on_worker_lost=True")

    def check(self, tree: CheckedTree) -> Iterator[Found]:
        """Of tasks and of the setting for all of them, where no setting says what should happen."""
        if tree.settings("task_reject_on_worker_lost", "reject_on_worker_lost"):
            return
        for setting in tree.settings("task_acks_late", "acks_late"):
            if setting.value is True:
                yield setting.place, "a task whose child process dies fails, and is not run again"
        for task in _plain_tasks(tree):
            late = task.option_sources.get("acks_late") == "True"
            if late and "reject_on_worker_lost" not in task.option_sources:
                yield task.place, f"{task.name} acknowledges late; if its child process dies, it is not run again"


class RejectWithoutLateAck(TreeRule):
    """BC312."""

    code = "BC312"
    name = "reject-without-late-ack"
    severity: ClassVar = "error"
    summary = "`reject_on_worker_lost` has no effect without `acks_late`."
    why = "The message was acknowledged before the task began: there is nothing left to reject, and the task is lost."
    fix = "`acks_late=True` beside it; then the task must bear to run twice."
    page = "how-to/test-tasks.md"
    wrong = """
from celery import shared_task


@shared_task(reject_on_worker_lost=True)
def send(pk): ...
"""
    right = wrong.replace("(reject", "(acks_late=True, reject")

    def check(self, tree: CheckedTree) -> Iterator[Found]:
        """Where no setting makes tasks acknowledge late."""
        if tree.settings("task_acks_late", "acks_late"):
            return
        for task in _plain_tasks(tree):
            rejects = task.option_sources.get("reject_on_worker_lost") == "True"
            if rejects and task.option_sources.get("acks_late", "False") == "False":
                yield task.place, f"{task.name} has reject_on_worker_lost without acks_late: it is lost all the same"
        for setting in tree.settings("task_reject_on_worker_lost", "reject_on_worker_lost"):
            if setting.value is True and not tree.says(b"acks_late"):
                yield setting.place, "no task acknowledges late: what a lost process ran is lost all the same"


def _plain_tasks(tree: CheckedTree) -> Iterator[TaskDef]:
    """The project's tasks that no class of its own may give other options."""
    for task in (*tree.index.tasks.values(), *tree.index.duplicates):
        if task.kind == "function" and not task.base and not is_test(task.place.path):
            yield task
