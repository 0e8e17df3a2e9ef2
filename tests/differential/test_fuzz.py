"""What the generated scenarios stand on: the drawing, the comparison, the shrinking. Brokers: tests/integration."""

from __future__ import annotations

import json

import pytest
from fuzz import exclusions, layers, runner, stepped
from fuzz.observation import alike, differences
from fuzz.strategies import THEMES, _calls, errbacks, scenarios, shares
from hypothesis import strategies as st


def draw(seed):
    return [scenario for strategy, number in shares("redis", 60) for scenario in runner.drawn(strategy, number, seed)]


SCENARIOS = draw(7)


def published(scenario):
    """The ids of the tasks that its steps send."""
    return [call["id"] for step in scenario["steps"] if step[0] == "send" for call in _calls(step[1])]


def test_a_seed_draws_the_same_scenarios_each_time():
    assert draw(7) == SCENARIOS
    assert draw(8) != SCENARIOS


def test_what_a_theme_adds_to_an_errback_is_not_in_the_next_draw():
    def added(found):
        for errback in found:
            assert "set" not in errback, f"{errback} is shared between draws: a seed draws other scenarios after it"
        for errback in found:
            errback["set"] = {"countdown": 600}
        return len(found)

    runner.drawn(st.lists(errbacks, min_size=1, max_size=3).map(added), 20, 1)


def test_a_scenario_is_plain_data_with_an_id_for_each_task():
    for scenario in SCENARIOS:
        assert json.loads(json.dumps(scenario)) == scenario
        ids = published(scenario)
        assert len(ids) == len(set(ids)), scenario


@pytest.mark.parametrize("theme", sorted(THEMES))
@pytest.mark.parametrize("profile", ["redis", "rabbitmq"])
def test_what_is_stepped_twice_is_seen_alike(profile, theme):
    for scenario in runner.drawn(scenarios(profile, theme), 8, 3):
        first, second = stepped.play(scenario, profile), stepped.play(scenario, profile)
        assert list(differences(first, second)) == [], scenario
        assert first["ended"] == "", scenario


def test_what_differs_in_each_run_is_replaced():
    assert alike(["worker3-123@localhost", "gen99@host", "at 0x7f00aa11bb22", "2026-01-02T03:04:05.678901+00:00"]) == [
        "<worker>", "<producer>", "at <address>", "<moment>",
    ]  # fmt: skip


def test_a_difference_is_told_by_its_path():
    assert list(differences({"a": [1, {"b": 2}]}, {"a": [1, {"b": 3}], "c": 4})) == [
        (("a", "1", "b"), 2, 3),
        (("c",), None, 4),
    ]


def test_each_exclusion_has_a_reason():
    for exclusion in exclusions.EXCLUSIONS:
        assert exclusion.name
        assert len(exclusion.reason) > 40


def test_what_differs_is_shrunk_to_what_makes_it_differ():
    class Pool:
        ignore = ""

        def play(self, scenario):
            fails = any(["raise", "KeyError"] in spec["does"] for spec in scenario["tasks"].values())
            return runner.Played(scenario, None, None, [(("tasks",), 1, 2)] if fails else [])

        def play_all(self, scenarios):
            return map(self.play, scenarios)

    said = []
    result = runner.run(Pool(), shares("redis", 200), 1, say=said.append)
    (found,) = result.found
    assert found.scenario["tasks"]["t0"]["does"] in ([["raise", "KeyError"]], [["replace", {"task": "t1"}]])
    assert len(published(found.scenario)) == 1
    assert "options" not in found.scenario["tasks"]["t0"]
    assert json.dumps(found.scenario) in said[-1]


@pytest.mark.parametrize("kind", layers.KINDS)
def test_a_sequence_on_the_strict_layer_is_seen_alike_twice(kind):
    for sequence in runner.drawn(layers.sequences(kind), 40, 3):
        assert layers._on_strict(kind, sequence) == layers._on_strict(kind, sequence), sequence
