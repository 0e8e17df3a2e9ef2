"""Scenarios that nobody chose, on the double and on the real thing; ``make fuzz`` plays as many as one likes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pytest_backchannel.servers.brokers.redis import start_redis

pytestmark = [pytest.mark.celery_integration, pytest.mark.slow]

sys.path.insert(0, str(Path(__file__).parents[1] / "differential"))

from fuzz import runner  # noqa: E402
from fuzz.__main__ import servers  # noqa: E402
from fuzz.layers import KINDS, LayerPool, sequences  # noqa: E402
from fuzz.strategies import shares  # noqa: E402

# The same ones in each run: what fails here fails again.
SEED = 20261125
SCENARIOS = 45
SEQUENCES = 60


def report(result):
    """What is printed of a run that has found something."""
    return "\n".join(map(runner.described, result.found))


def play(profile, scenario):
    """One scenario."""
    with servers(profile, jobs=1) as addresses:
        pool = runner.Pool(profile, addresses)
        try:
            return pool.play(scenario)
        finally:
            pool.close()


@pytest.mark.parametrize("profile", ["redis", "rabbitmq"])
def test_the_stepped_worker_does_what_a_real_one_does(profile):
    with servers(profile, jobs=3) as addresses:
        pool = runner.Pool(profile, addresses)
        try:
            result = runner.run(pool, shares(profile, SCENARIOS), SEED, shrink_for=20, most=3)
        finally:
            pool.close()
    assert not result.different, report(result)
    assert len(result.played) > SCENARIOS / 2
    assert result.in_full > 0.4


@pytest.mark.parametrize("profile", ["redis", "rabbitmq"])
def test_two_queues_of_a_fanout_exchange(profile):
    """Found by seed 7: Redis hands a worker the message once."""
    scenario = {
        "queues": [
            {"name": "main"},
            *[{"name": f"q{n}", "exchange": "xf", "type": "fanout", "key": ""} for n in (1, 2)],
        ],
        "tasks": {"t0": {"does": [["return", "tag"]]}},
        "steps": [["send", {"task": "t0", "id": "n1"}, {"queue": "q1"}]],
    }
    assert play(profile, scenario).different == []


@pytest.mark.parametrize("profile", ["redis", "rabbitmq"])
def test_between_queues_the_order_is_not_that_of_publishing(profile):
    """The exclusion `the order of bodies`: the stepped worker takes that of publishing, brokers go round the queues."""
    sends = [*[("first", n) for n in range(1, 6)], ("second", 6)]
    scenario = {
        "queues": [{"name": "first"}, {"name": "second"}],
        "conf": {"worker_prefetch_multiplier": 1},
        "tasks": {"t0": {"does": [["return", "tag"]]}},
        "cold": True,
        "steps": [["send", {"task": "t0", "id": f"n{n}", "set": {"queue": queue}}] for queue, n in sends],
    }
    played = play(profile, scenario)
    assert played.stepped["order"] == [f"n{n}" for _, n in sends]
    assert sorted(played.real["order"]) == played.stepped["order"]
    assert played.real["order"][-1] != "n6"
    assert (played.different, played.excluded) == ([], ["the order of bodies"])


@pytest.mark.parametrize("profile", ["redis", "rabbitmq"])
def test_a_worker_that_ends_may_have_received_what_the_next_one_runs(profile):
    """The exclusion `what a worker still receives while it ends`: once or twice, and run once."""
    errback = {"task": "errold", "id": "n2"}
    scenario = {
        "tasks": {"t0": {"does": [["raise", "MemoryError"]]}},
        "steps": [["send", {"task": "t0", "id": "n1", "link_error": [errback]}]],
    }
    played = play(profile, scenario)
    assert played.stepped["tasks"]["n2"]["worker"] == [{"event": "task_received", "redelivered": False}]
    assert len(played.real["tasks"]["n2"]["worker"]) in (1, 2)
    assert played.different == []
    assert "what a worker still receives while it ends" in played.excluded


@pytest.mark.parametrize(
    ("calls", "answer"),
    [
        ([["send", "a", "none"], ["send", "a", "set"]], "ChannelFull"),
        ([["flush"], ["group_send", "room", "set"]], None),
    ],
)
def test_the_strict_layer_tells_of_a_value_that_cannot_be_carried_wherever_it_goes(calls, answer):
    """The exclusions between layers."""
    redis = start_redis()
    try:
        played = LayerPool("core", redis.url).play({"options": {"capacity": 1}, "calls": calls})
    finally:
        redis.close()
    assert (played.stepped[1], played.real[1]) == ("refused", answer)
    assert (played.different, len(played.excluded)) == ([], 1)


@pytest.mark.parametrize("kind", KINDS)
def test_the_strict_layer_does_what_a_real_one_does(kind):
    redis = start_redis()
    try:
        result = runner.run(LayerPool(kind, redis.url), [(sequences(kind), SEQUENCES)], SEED, shrink_for=20, most=3)
    finally:
        redis.close()
    assert not result.different, report(result)
    assert result.in_full > 0.7
