"""Plays a scenario on the stepped worker."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator
from typing import Any

from celery import _state

from pytest_backchannel.clock.virtual import VirtualClock
from pytest_backchannel.events import begin_log
from pytest_backchannel.tasks.queue import TaskQueue

from . import scenario_app
from .observation import Events, observed, results_in

HORIZON = 20.0
"""How long a drive may take, in seconds; what is due later stays with the worker."""


def play(scenario: dict[str, Any], profile: str) -> dict[str, Any]:
    """Play one scenario, and tell what was seen."""
    events: Events = []
    app = scenario_app.app_for(scenario)
    begin_log()
    with (
        current(app),
        listening(scenario, events),
        VirtualClock(),
        TaskQueue(
            app,
            profile=profile,
            broker_options=scenario.get("broker_options"),
            result_backend="redis",
            queues=scenario.get("consumes"),
        ) as queue,
    ):
        ended = ""
        try:
            _drive(scenario, app, queue)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            ended = f"{type(error).__name__}: {error}"
        client = app.backend.client
        results = results_in(client, app.backend.decode)
        left = _left(queue, scenario)
    return observed(events, results, left, ended)


def _drive(scenario: dict[str, Any], app: Any, queue: Any) -> None:
    for name, spec in scenario["tasks"].items():
        if "fault" in spec:
            kind, when = spec["fault"]
            getattr(queue, kind)(when, task=scenario_app.PREFIX + name)
    if not scenario.get("cold"):
        queue._driver.engine.wake()
    for step, *arguments in scenario["steps"]:
        if step == "send":
            send(app, *arguments)
        elif step == "settle":
            queue.run(propagate=False)
        elif step == "wait":
            queue.advance(arguments[0], propagate=False)
        elif step == "revoke":
            app.control.revoke(arguments[0], reply=True, timeout=5, limit=1)
            queue.run(propagate=False)
    until = time.time() + HORIZON
    queue.run(propagate=False)
    while (moment := queue._driver.next_moment()) is not None and moment <= until:
        queue.advance(max(0.0, moment - time.time()), propagate=False)


def send(app: Any, sig: dict[str, Any], options: dict[str, Any] | None = None) -> None:
    """Publish what a step says; what that raises is one of the things that are seen."""
    try:
        scenario_app.build(app, sig).apply_async(**(options or {}))
    except Exception as error:
        scenario_app.note("raised", "the sender", error=f"{type(error).__name__}: {error}")


def _left(queue: Any, scenario: dict[str, Any]) -> dict[str, list[str]]:
    broker = queue._driver.broker
    left: dict[str, list[str]] = {}
    for message in [*broker.ready(), *broker.unacked.values()]:
        if message.is_task:
            left.setdefault(message.queue, []).append(message.raw["properties"]["correlation_id"])
    return left


@contextlib.contextmanager
def current(app: Any) -> Generator[None]:
    """Within the block, the app is the current one, as in a project's own process."""
    before = _state._tls.current_app
    app.set_current()
    try:
        yield
    finally:
        _state._tls.current_app = before
        app.close()


@contextlib.contextmanager
def listening(scenario: dict[str, Any], events: Events) -> Generator[None]:
    """Within the block, what happens in this process is written into a list."""
    connected = scenario_app.receivers(scenario)
    scenario_app.write_into(events)
    for signal, receiver in connected:
        signal.connect(receiver, weak=False)
    try:
        yield
    finally:
        for signal, receiver in connected:
            signal.disconnect(receiver)
        scenario_app.write_into(None)
