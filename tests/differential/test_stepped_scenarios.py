"""Every scenario on the stepped worker."""

from __future__ import annotations

import json
from collections import Counter

import differential_app
import pytest
import scenarios
from driver import Driver

from pytest_backchannel.clock.virtual import VirtualClock
from pytest_backchannel.events import begin_log
from pytest_backchannel.tasks.queue import TaskQueue

CASES = [
    pytest.param(scenario, profile, id=f"{scenario.name} [{profile}]")
    for scenario in scenarios.SCENARIOS
    for profile in scenario.profiles
]


class SteppedDriver(Driver):
    """Drives the stepped worker."""

    def revoke(self, label):
        self.results[label].revoke()
        self.settle()


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
