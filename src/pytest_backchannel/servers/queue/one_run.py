"""One run of the worker process: how it is known that nothing is due any more, though nobody tells."""

from __future__ import annotations

import time

from ...errors import EndlessLoop, ServerFailed
from ...tasks.records import MessageLost
from .broker_side import BrokerSide
from .held_worker import HeldWorker
from .reports import Account, Message

LOOK_EVERY = 0.005
"""How often the worker's reports are read, in seconds."""
QUIET = 1.5
"""After how many seconds without a report the broker and the worker are asked what they have left."""
QUIET_AFTER_KILL = 0.3
"""The same once a worker was killed, which is what messages get lost by."""
DENIALS = 2
"""How often both have to have nothing, one after the other, before what only waits counts as gone."""
PATIENCE = 30.0
"""How long a run may take without anything happening, in seconds."""
NAMED = 4
"""How many of the tasks that ran last the error for a loop names."""


class OneRun:
    """Lets the worker run until nothing is due, and in any case until a moment of the monotonic clock.

    Args:
        account: what is known of the messages.
        worker: the worker, which stands still before and afterwards.
        broker: the broker.
        limit: how many tasks may run, and how often one message may be delivered.
        until: the moment; the run is over before it only where nothing waits at all.
    """

    def __init__(
        self, account: Account, worker: HeldWorker, broker: BrokerSide, *, limit: int, until: float = 0.0
    ) -> None:
        self._account = account
        self._worker = worker
        self._broker = broker
        self._limit = limit
        self._until = until
        self._began = 0
        self._quiet_since = 0.0
        self._denials = 0

    def go(self) -> None:
        """Do it.

        Raises:
            EndlessLoop: the limit is reached.
            ServerFailed: the worker has died by itself, or nothing happens any more.
        """
        __tracebackhide__ = True
        if not self._account.anything_open():
            return
        self._began = len(self._account.outcomes)
        self._worker.start()
        self._quiet_since = time.monotonic()
        try:
            while not self._look():
                time.sleep(LOOK_EVERY)
        finally:
            self._worker.pause()

    def _look(self) -> bool:
        """Take in what has happened; whether the run is over."""
        __tracebackhide__ = True
        changed = self._account.take_reports()
        self._worker.consume_new_queues()
        self._worker.replace_killed()
        self._check_limit()
        if changed:
            self._quiet_since, self._denials = time.monotonic(), 0
            return False
        unfinished = self._unfinished()
        if not unfinished:
            # Done, as the tasks say; what the worker does afterwards (acknowledge, put back) is still to come.
            return time.monotonic() >= self._until and self._nothing_left()
        if self._quiet() > (QUIET_AFTER_KILL if self._worker.kills else QUIET) * (self._denials + 1):
            self._doubt(unfinished)
        return False

    def _unfinished(self) -> list[Message]:
        """What the worker has still to run now, or at least to receive."""
        found = self._account.in_state("waiting", "received", "started")
        return [m for m in found if (m.state == "waiting" or m.due) and self._worker.consumes(m.task.queue)]

    def _quiet(self) -> float:
        return time.monotonic() - self._quiet_since

    def _check_limit(self) -> None:
        outcomes = self._account.outcomes
        often = any(message.deliveries > self._limit for message in self._account.messages)
        if often or len(outcomes) - self._began >= self._limit:
            last = ", ".join(outcome.name for outcome in outcomes[-NAMED:])
            raise EndlessLoop(f"{self._limit} tasks have run and more are due; the last were {last}")

    def _nothing_left(self) -> bool:
        return not self._broker.ready(self._worker.consumed) and not self._worker.busy()

    def _doubt(self, unfinished: list[Message]) -> None:
        """Nothing has been reported for a while: is what has not ended still to come, gone, or stuck?"""
        # What a live worker has received it holds: for a rate limit, or a task that takes long. What only waits, and
        # is not at the broker, a killed worker had.
        if all(message.state == "waiting" for message in unfinished) and self._nothing_left():
            self._denials += 1
            if self._denials >= DENIALS:
                self._give_up(unfinished)
            return
        self._denials = 0
        if self._quiet() > PATIENCE and not self._worker.busy():
            left = ", ".join(message.task.name for message in unfinished)
            raise ServerFailed(
                f"nothing has happened for {PATIENCE:g} s, and these have not ended: {left}\n"
                f"{self._worker.recent_log()}"
            )

    def _give_up(self, unfinished: list[Message]) -> None:
        """What is not at the broker and not at the worker any more: lost, or not visible for a time."""
        reason = (
            "its worker was killed, and had acknowledged it when it began to run it"
            if self._worker.kills
            else "the worker has thrown it away: see its log"
        )
        for message in unfinished:
            if self._broker.keeps(message.task.id):
                message.state = "invisible"
            else:
                message.state = "lost"
                self._account.record(MessageLost, message, reason=reason)
