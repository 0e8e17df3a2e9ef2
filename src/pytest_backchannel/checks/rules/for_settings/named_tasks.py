"""BC6xx: tasks that settings name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from ...checked_file import is_test
from ...checked_tree import CheckedTree
from ...rule import Found, TreeRule


def surely_unknown(tree: CheckedTree, name: str) -> bool:
    """Whether no worker can know a task of this name: its module is in the tree, and has no such task.

    A name may be made at run time (``name=`` that is no literal, a class that is registered, an app that names tasks in
    its own way): then nothing is sure.
    """
    module, _, last = name.rpartition(".")
    tasks = tree.index.tasks
    if name in tasks or module not in tree.modules or not last.isidentifier():
        return False
    # Something of that name may be made a task in another way, or by another library than Celery.
    if not tasks or tree.defines(module, last):
        return False
    if any(not one.name_known for one in (*tasks.values(), *tree.index.duplicates)):
        return False
    return not tree.says(b"gen_task_name", b"register_task(", b".tasks.register(")


class BeatUnknownTask(TreeRule):
    """BC601."""

    code = "BC601"
    name = "beat-unknown-task"
    severity: ClassVar = "error"
    summary = "An entry of the beat schedule names a task that there is not."
    why = "Beat sends it, and the worker drops the message: `Received unregistered task`. Nothing runs, no test fails."
    fix = "The name of the task, as `celery inspect registered` has it."
    path = "shop/tasks.py"
    page = "reference/production-settings.md"
    finding = "beat_unknown_task"
    wrong = """
from celery import shared_task


@shared_task
def clean_up(): ...


CELERY_BEAT_SCHEDULE = {"clean": {"task": "shop.tasks.cleanup", "schedule": 60}}
"""
    right = wrong.replace("shop.tasks.cleanup", "shop.tasks.clean_up")

    def check(self, tree: CheckedTree) -> Iterator[Found]:
        """Of literal names whose module is in the tree."""
        for entry in tree.index.beat:
            if entry.task is None or entry.resolved or is_test(entry.place.path):
                continue
            if surely_unknown(tree, entry.task):
                yield entry.place, f"beat's entry {entry.name!r} names {entry.task}, and there is no such task"


class RouteUnknownTask(TreeRule):
    """BC602."""

    code = "BC602"
    name = "route-unknown-task"
    summary = "A route is for a task that there is not."
    why = "The task that was meant goes to the default queue, among all the others."
    fix = "The name of the task, as `celery inspect registered` has it."
    path = "shop/tasks.py"
    page = "reference/production-settings.md"
    finding = "route_misspelt"
    wrong = """
from celery import shared_task


@shared_task
def send_mail(pk): ...


CELERY_TASK_ROUTES = {"shop.tasks.sendmail": {"queue": "mail"}}
"""
    right = wrong.replace("shop.tasks.sendmail", "shop.tasks.send_mail")

    def check(self, tree: CheckedTree) -> Iterator[Found]:
        """Of literal names without a star, whose module is in the tree."""
        for setting in tree.index.settings:
            if not setting.name.lower().endswith("task_routes") or is_test(setting.place.path):
                continue
            for name in setting.value if isinstance(setting.value, Mapping) else ():
                if isinstance(name, str) and surely_unknown(tree, name):
                    yield setting.place, f"a route is for {name}, and there is no such task"
