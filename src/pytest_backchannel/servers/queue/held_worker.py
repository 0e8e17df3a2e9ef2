"""The worker process of one task queue: it stands still between two steps, and obeys the faults of the test."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Any

from ...errors import ServerFailed
from ...tasks.stepped.pool.faults import Fault
from ..integration import Integration
from ..workers.setup_hook import Setup
from ..workers.worker_process import Worker
from .reports import Account

LOG_LINES = 15
"""How much of the worker's log an error shows."""
ANSWER_TIMEOUT = 1.0
"""How long it may take to say what it does, in seconds; one that takes longer is busy."""
CONSUME_TIMEOUT = 2.0
"""How long it may take to consume one more queue, in seconds."""


@dataclass(eq=False)
class HeldWorker:
    """Starts, stops and asks the worker.

    Args:
        integration: the app on its real broker, entered.
        account: what is known of the messages.
        queues: what the worker consumes; every queue that is used where None.
        conf: Celery's settings for the worker.
        faults: the folder in which the worker finds its faults.
        setup: project code that it runs before it begins.

    Attributes:
        consumed: the names of the queues that it consumes.
        kills: how often a fault of the test has killed it.
    """

    integration: Integration
    account: Account
    _: KW_ONLY
    queues: Sequence[str] | None
    conf: Mapping[str, Any]
    faults: Path
    setup: Setup | None = None
    consumed: set[str] = field(default_factory=set, init=False)
    kills: int = field(default=0, init=False)
    _taking: frozenset[str] | None = field(default=None, init=False)
    _armed: int = field(default=0, init=False)
    _process: Worker | None = field(default=None, init=False)

    def begin(self) -> None:
        """Make the folder of its faults."""
        self.faults.mkdir(parents=True, exist_ok=True)

    def start(self) -> None:
        """Start it, or let it go on; it then hears which other queues it is to consume."""
        if self._process is None:
            self.consumed |= self._wanted_queues()
            self._process = self.integration.worker(
                queues=sorted(self.consumed),
                conf=self.conf,
                reports=(str(self.account.path), str(self.faults)),
                setup=self.setup,
            )
        elif not self._process.running:
            self._process.start()
        else:
            self._process.resume()

    def pause(self) -> None:
        """Let it stand still."""
        if self._process is not None and self._process.running:
            self._process.pause()

    @contextmanager
    def taking_from(self, queues: frozenset[str] | None) -> Generator[None]:
        """Within the block it begins to consume no other queue than these; any where None."""
        self._taking = queues
        try:
            yield
        finally:
            self._taking = None

    def consumes(self, queue: str | None) -> bool:
        """Whether it consumes a queue, or would as soon as it is used."""
        if self._taking is not None and queue not in self._taking:
            return False
        return self.queues is None or queue in self.queues

    def consume_new_queues(self) -> None:
        """Let it consume what has been used since it was started."""
        fresh = self._wanted_queues() - self.consumed
        self.consumed |= fresh
        for queue in sorted(fresh):
            if self._process is not None:
                node = self._process.node
                self.integration.app.control.add_consumer(
                    queue, destination=[node], reply=True, timeout=CONSUME_TIMEOUT
                )

    def _wanted_queues(self) -> set[str]:
        queues = self._all_queues()
        return queues if self._taking is None else queues & self._taking

    def _all_queues(self) -> set[str]:
        if self.queues is not None:
            return set(self.queues)
        if self.integration.app.conf.task_queues:
            return set(self.integration.app.amqp.queues)
        used = {message.task.queue for message in self.account.messages if message.task.queue}
        return {*used, self.integration.app.conf.task_default_queue}

    def replace_killed(self) -> None:
        """Start a new worker where a fault of the test has killed this one.

        Raises:
            ServerFailed: it has died by itself.
        """
        worker = self._process
        if worker is None or worker.running:
            return
        self.account.take_reports()
        if not self.account.killed_by_fault:
            raise ServerFailed(f"the worker has died by itself (exit code {worker.exit_code})\n{self.recent_log()}")
        self.account.killed_by_fault = False
        self.kills += 1
        for message in self.account.in_state("received", "started"):
            message.state = "waiting"  # or it is gone: the broker knows
        worker.start()

    def busy(self) -> bool:
        """Whether it has something that it runs, or will run now."""
        if self._process is None or not self._process.running:
            return False
        inspect = self.integration.app.control.inspect(
            destination=[self._process.node], timeout=ANSWER_TIMEOUT, limit=1
        )
        active, reserved = inspect.active(), inspect.reserved()
        if active is None or reserved is None:
            return True  # too busy to answer
        later = {message.task.id for message in self.account.messages if not message.due}
        return any(active.values()) or any(task["id"] not in later for tasks in reserved.values() for task in tasks)

    def recent_log(self) -> str:
        """The end of its log."""
        return self._process.recent_log(LOG_LINES) if self._process is not None else ""

    def arm(self, fault: Fault) -> None:
        """Leave a fault for the next task that it fits."""
        self._armed += 1
        # Renamed into place: a task must not read half of it.
        part = self.faults / f"{self._armed:04}.part"
        part.write_text(json.dumps({"kind": fault.kind, "when": fault.when, "task": fault.task}))
        part.rename(part.with_suffix(".json"))
