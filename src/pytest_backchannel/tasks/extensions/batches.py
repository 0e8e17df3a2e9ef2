"""celery-batches: a task that gathers requests in the worker, and is given a list of them.

Its worker strategy gives the pool a function of its own: with the whole list instead of one request, with two callbacks
of the four that Celery gives, and without Celery's tracer, so that an exception of the body is only logged.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

from ...restoring import changed

# --- private API: celery_batches.Batches, seen on 0.11: what it hands to the pool, and what it keeps in the task
# --- between two requests, of a worker that may be gone.


def batch_of(target: Any, args: Sequence[Any]) -> tuple[Any, list[str]] | None:
    """The task and the ids of the requests, where the pool is given a batch; else None.

    Args:
        target: the function for the pool.
        args: its arguments.
    """
    module = sys.modules.get("celery_batches")
    if module is None or target is not module.apply_batches_task:
        return None
    return args[0], [request.id for request in args[1][0]]


def is_batch(task: Any) -> bool:
    """Whether a task is one of celery-batches.

    Args:
        task: any task.
    """
    module = sys.modules.get("celery_batches")
    return module is not None and isinstance(task, module.Batches)


def forget(app: Any) -> None:
    """Let the tasks of an app forget the requests of a worker that has ended, and its pool and timer.

    Args:
        app: the Celery app.
    """
    if "celery_batches" in sys.modules:
        for task in app.tasks.values():
            if is_batch(task):
                sys.modules["celery_batches"].Batches.__init__(task)


# --- end of private API


@contextmanager
def raised_by(task: Any) -> Generator[list[Exception]]:
    """Within the block, note what the body of a task raises, whoever catches it.

    Args:
        task: the task.

    Returns:
        What it has raised so far.
    """
    raised: list[Exception] = []
    run = task.run

    def watched(*args: Any, **kwargs: Any) -> Any:
        try:
            return run(*args, **kwargs)
        except Exception as error:
            raised.append(error)
            raise

    with changed(vars(task), {"run": watched}):
        yield raised
