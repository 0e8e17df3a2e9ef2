"""BC3xx: how long a task may take."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ...inventory.findings.finding import Production, own_tasks
from ..checked_file import is_test
from ..checked_tree import CheckedTree
from ..rule import Found, TreeRule

_APP = re.compile(rb"\bCelery\(")


class NoTimeLimit(TreeRule):
    """BC314."""

    code = "BC314"
    name = "no-time-limit"
    summary = "No task has a time limit."
    why = (
        "Celery has none of its own: a task that waits for something that never comes holds its worker process until "
        "somebody notices, and a few of them hold all."
    )
    fix = "`CELERY_TASK_SOFT_TIME_LIMIT` and `CELERY_TASK_TIME_LIMIT`, and longer ones where a task needs them."
    path = "shop/celery.py"
    page = "reference/production-settings.md"
    wrong = """
from celery import Celery

app = Celery("shop")


@app.task
def send(pk): ...
"""
    right = wrong.replace('"shop")\n', '"shop")\napp.conf.task_time_limit = 300\n')

    def check(self, tree: CheckedTree) -> Iterator[Found]:
        """Where neither the code nor what starts the workers speaks of one."""
        deployed = re.search(r"time.limit", tree.project.deployment, re.IGNORECASE)
        own = [task for task in tree.index.tasks.values() if not is_test(task.place.path)]
        if not own or deployed is not None or tree.says(b"time_limit", b"TIME_LIMIT", b"timelimit"):
            return
        for path, text in tree.texts.items():
            file = tree.file(path) if _APP.search(text) is not None and not is_test(path) else None
            for call in file.calls() if file is not None else ():
                if file is not None and file.scopes.dotted(call.func) in ("celery.Celery", "celery.app.Celery"):
                    yield file.source.place(call), "none of its tasks has a time limit: one that hangs holds its worker"
                    return

    def of_production(self, production: Production) -> Iterator[str]:
        """By the settings as they are in the end: no limit for all tasks, and not one task with its own."""
        celery = production.celery
        tasks = own_tasks(celery) if celery is not None else []
        if celery is None or not tasks or celery.unknown:
            return
        names = ("task_time_limit", "task_soft_time_limit")
        own = any(task.options.get(name) for task in tasks for name in ("time_limit", "soft_time_limit"))
        if not own and not any(celery.settings.get(name) for name in names):
            yield f"none of its {len(tasks)} tasks has a time limit: one that hangs holds its worker"
