"""Plays a scenario on a real broker, with a real prefork worker in a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import time
from pathlib import Path
from typing import Any

from pytest_backchannel.servers.integration import Integration

from . import scenario_app
from .observation import Events, observed, results_in
from .stepped import current, listening, send

PATIENCE = 15.0
"""How long nothing may happen while something is still to come, in seconds."""
QUIET = 0.15
"""How long all must be idle to be at its end, in seconds: a worker's loop is there within some milliseconds."""


class NotSettled(Exception):
    """The worker still had something to do when the patience was over."""


class Player:
    """Plays one scenario after the other on one part of a broker that nobody else uses.

    Args:
        broker: the address of that part.
        results: the address of the Redis database for the results.
        folder: for the files that the processes share.
    """

    def __init__(self, broker: str, results: str, folder: Path) -> None:
        import redis

        self.broker = broker
        self.results = results
        self.amqp = broker.startswith("amqp")
        self._folder = folder
        self._results = redis.Redis.from_url(results)
        self._messages = None if self.amqp else redis.Redis.from_url(broker)
        for name in ("faults", "scenario", "status", "log"):
            os.environ[f"FUZZ_{name.upper()}"] = str(folder / name)

    def play(self, scenario: dict[str, Any]) -> dict[str, Any]:
        """Play one scenario, and tell what was seen."""
        self._clear()
        self._write(scenario)
        app = scenario_app.app_for(scenario)
        sent: Events = []
        ended = ""
        options = scenario.get("broker_options")
        integration = Integration(
            app=app,
            app_path="fuzz.scenario_app:app",
            settings="",
            databases={},
            broker_url=self.broker,
            result_backend=self.results,
            channel_layers=None,
        )
        with current(app), listening(scenario, sent), integration:
            run = _Run(self, scenario, app, integration)
            try:
                run.drive()
            except NotSettled as error:
                ended = str(error)
            results = results_in(self._results, app.backend.decode)
            run.end()
            left = self._left(app, scenario)
        log = self._folder / "log"
        lines = log.read_text().splitlines() if log.exists() else []
        self._forget(app, scenario, options)
        return observed([*sent, *map(json.loads, lines)], results, left, ended)

    # ------------------------------------------------------------------- the files

    def _write(self, scenario: dict[str, Any]) -> None:
        faults = self._folder / "faults"
        faults.mkdir(exist_ok=True)
        for file in [*faults.iterdir(), self._folder / "log", self._folder / "status"]:
            file.unlink(missing_ok=True)
        (self._folder / "scenario").write_text(json.dumps(scenario))
        for name, spec in scenario["tasks"].items():
            if "fault" in spec:
                (faults / " ".join([name, *spec["fault"]])).touch()

    def status(self) -> tuple[int, list[int]]:
        """The process that tells it, and what it has to do: reserved, active, limited, due soon, due later, at work."""
        try:
            pid, *counts = json.loads((self._folder / "status").read_text())
        except (OSError, ValueError):
            return 0, []
        return pid, counts

    def logged(self) -> int:
        """The length of the log."""
        log = self._folder / "log"
        return log.stat().st_size if log.exists() else 0

    # ------------------------------------------------------------------- the broker

    def ready(self, channel: Any, queues: list[str]) -> int:
        """How many messages wait in queues."""
        if self._messages is None:
            count = 0
            for queue in queues:
                # A refusal closes the channel, so that each question has one of its own.
                with contextlib.suppress(Exception), channel.connection.client.channel() as own:
                    count += own.queue_declare(queue, passive=True).message_count
            return count
        pipe = self._messages.pipeline()
        for queue in queues:
            for step in ("", "\x06\x163", "\x06\x166", "\x06\x169"):
                pipe.llen(queue + step)
        return sum(pipe.execute())

    def unacked(self) -> int:
        """How many messages Redis keeps for workers that have not acknowledged them; RabbitMQ does not tell."""
        return 0 if self._messages is None else int(self._messages.hlen("unacked"))

    def _left(self, app: Any, scenario: dict[str, Any]) -> dict[str, list[str]]:
        left: dict[str, list[str]] = {}
        if self._messages is not None:
            for key in self._messages.scan_iter(count=1000):
                name = key.decode().partition("\x06\x16")[0]
                if self._messages.type(key) == b"list" and name in names_of(scenario):
                    for entry in self._messages.lrange(key, 0, -1):
                        left.setdefault(name, []).append(json.loads(entry)["properties"]["correlation_id"])
            for entry in self._messages.hvals("unacked"):
                message, _, key = json.loads(entry)
                left.setdefault(key, []).append(message["properties"]["correlation_id"])
            return _by_queue(left, scenario)
        with app.connection_for_read() as connection:
            for queue in names_of(scenario):
                with contextlib.suppress(Exception), connection.channel() as channel:
                    while (message := channel.basic_get(queue, no_ack=True)) is not None:
                        left.setdefault(queue, []).append(message.properties["correlation_id"])
        return left

    def _clear(self) -> None:
        self._results.flushdb()
        if self._messages is not None:
            self._messages.flushdb()

    def _forget(self, app: Any, scenario: dict[str, Any], options: Any) -> None:
        if not self.amqp:
            return
        import kombu

        with kombu.Connection(self.broker) as connection:
            for delete, names in (
                ("queue_delete", names_of(scenario)),
                ("exchange_delete", {queue.get("exchange") for queue in scenario.get("queues", [])} - {None}),
            ):
                for name in names:
                    with contextlib.suppress(Exception), connection.channel() as channel:
                        getattr(channel, delete)(name)


class _Run:
    """One scenario while it is played."""

    def __init__(self, player: Player, scenario: dict[str, Any], app: Any, integration: Integration) -> None:
        self.player = player
        self.scenario = scenario
        self.app = app
        self.integration = integration
        self.worker: Any = None
        self.consumed = scenario.get("consumes") or names_of(scenario)
        self._connection: Any = None

    def drive(self) -> None:
        if not self.scenario.get("cold"):
            self.start()
        for step, *arguments in self.scenario["steps"]:
            if step == "send":
                send(self.app, *arguments)
            elif step == "settle":
                self.settle(soon=False)
            elif step == "wait":
                self.start()
                self.wait(arguments[0])
                self.settle(soon=False)
            elif step == "revoke":
                self.app.control.revoke(arguments[0], reply=True, timeout=5, limit=1)
                self.settle(soon=False)
        self.settle(soon=True)

    def start(self) -> None:
        if self.worker is None:
            options = self.scenario.get("broker_options")
            self.worker = self.integration.worker(
                queues=self.consumed if "consumes" in self.scenario else (),
                # Some of them are read with the command line, before the worker reads its scenario.
                conf={**self.scenario.get("conf", {}), **({"broker_transport_options": options} if options else {})},
            )
            self._connection = self.app.connection_for_read()
            self._connection.connect()
        elif not self.worker.running:
            self.worker.start()

    def wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.start()
            time.sleep(0.02)

    def settle(self, *, soon: bool) -> None:
        """Wait until nothing is left to do now, or soon.

        Raises:
            NotSettled: that did not come.
        """
        self.start()
        seen: Any = None
        changed = quiet_since = time.monotonic()
        while True:
            time.sleep(0.02)
            now = time.monotonic()
            if not self.worker.running:
                self.worker.start()
            idle, state = self._idle(soon)
            if state != seen:
                seen, changed = state, now
                quiet_since = now
            if not idle:
                quiet_since = now
                if now - changed > PATIENCE:
                    raise NotSettled(f"not settled: {state}")
            elif now - quiet_since > QUIET:
                return

    def _idle(self, soon: bool) -> tuple[bool, Any]:
        pid, counts = self.player.status()
        ready = self.player.ready(self._connection.default_channel, self.consumed)
        unacked = self.player.unacked()
        state = (self.player.logged(), ready, unacked, pid, counts)
        if not counts or pid != self.worker._group:
            return False, state
        reserved, active, limited, due_soon, held, works = counts
        busy = reserved or active or limited or works or ready or unacked > held or (soon and due_soon)
        return not busy, state

    def end(self) -> None:
        if self.worker is not None:
            self.worker.close()
        if self._connection is not None:
            self._connection.release()


def names_of(scenario: dict[str, Any]) -> list[str]:
    """The queues of a scenario."""
    return [queue["name"] for queue in scenario.get("queues", [{"name": scenario_app.DEFAULT_QUEUE}])]


def _by_queue(left: dict[str, list[str]], scenario: dict[str, Any]) -> dict[str, list[str]]:
    """What Redis keeps for a worker is known by its routing key."""
    keys = {queue["key"]: queue["name"] for queue in scenario.get("queues", []) if "key" in queue}
    found: dict[str, list[str]] = {}
    for name, ids in left.items():
        found.setdefault(keys.get(name, name), []).extend(ids)
    return found
