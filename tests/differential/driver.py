"""What the drivers of the stepped and of the real worker share: sending, and reading what became of it."""

from __future__ import annotations

import differential_app
from celery.result import ResultSet


class Driver:
    """Does what a scenario says, on one queue; a subclass knows how that queue waits, breaks and revokes.

    Args:
        queue: the stepped or the real one.
    """

    def __init__(self, queue):
        self.queue = queue
        self.results = {}

    def send(self, label, task, *args, **options):
        app, name = differential_app.app, f"differential.{task}"
        if name in app.tasks:
            self.results[label] = app.tasks[name].apply_async(args, **options)
        else:
            self.results[label] = app.send_task(name, args, **options)

    def start(self, label, workflow):
        self.results[label] = differential_app.WORKFLOWS[workflow]().apply_async()

    def arm(self, kind, when, task):
        arm = {"time_limit": self.queue.hit_time_limit}.get(kind) or getattr(self.queue, kind)
        name = f"differential.{task}"
        # The task itself where there is one: the real queue reads its time limit.
        arm(when, task=differential_app.app.tasks.get(name, name))

    def settle(self):
        self.queue.run(propagate=False)

    def wait(self, seconds):
        self.queue.advance(seconds, propagate=False)

    def state(self, label):
        result = self.results[label]
        if isinstance(result, ResultSet):
            return "SUCCESS" if result.successful() else "FAILURE" if result.failed() else "PENDING"
        return result.state
