"""Every scenario on the stepped worker."""

from __future__ import annotations

import json
from collections import Counter

import differential_app
import pytest
import scenarios
from celery.result import ResultSet

from pytest_backchannel.clock import VirtualClock
from pytest_backchannel.events import begin_log
from pytest_backchannel.tasks.queue import TaskQueue

CASES = [
    pytest.param(scenario, profile, id=f"{scenario.name} [{profile}]")
    for scenario in scenarios.SCENARIOS
    for profile in scenario.profiles
]


class SteppedDriver:
    """Drives the stepped worker."""

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
        arm(when, task=f"differential.{task}")

    def revoke(self, label):
        self.results[label].revoke()
        self.settle()

    def settle(self):
        self.queue.run(propagate=False)

    def wait(self, seconds):
        self.queue.advance(seconds, propagate=False)

    def state(self, label):
        result = self.results[label]
        if isinstance(result, ResultSet):
            return "SUCCESS" if result.successful() else "FAILURE" if result.failed() else "PENDING"
        return result.state


@pytest.mark.parametrize(("scenario", "profile"), CASES)
def test_stepped(scenario, profile, tmp_path, monkeypatch):
    effects_file = tmp_path / "effects"
    monkeypatch.setenv("DIFFERENTIAL_EFFECTS", str(effects_file))
    begin_log()
    with (
        VirtualClock(),
        TaskQueue(
            differential_app.app,
            profile=profile,
            broker_options=scenario.broker_options,
            result_backend="redis",
            queues=scenario.queues or None,
        ) as queue,
    ):
        driver = SteppedDriver(queue)
        scenario.drive(driver)
        states = {label: driver.state(label) for label in scenario.states}
        results = {label: driver.results[label].get() for label in scenario.results}
    lines = effects_file.read_text().splitlines() if effects_file.exists() else []
    effects = [json.loads(line) for line in lines]
    assert states == dict(scenario.states)
    assert dict(Counter(effect[0] for effect in effects)) == dict(scenario.runs)
    assert results == dict(scenario.results)
    if scenario.effects is not None:
        assert effects == [list(effect) for effect in scenario.effects]


def test_there_are_enough_scenarios_and_their_names_differ():
    assert len(scenarios.SCENARIOS) >= 30
    assert len(set(scenarios.NAMES)) == len(scenarios.NAMES)
