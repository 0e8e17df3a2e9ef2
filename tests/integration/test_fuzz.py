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
SCENARIOS = 55
SEQUENCES = 60


def report(result):
    """What is printed of a run that has found something."""
    return "\n".join(map(runner.described, result.found))


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
    assert result.in_full > 0.5


@pytest.mark.parametrize("kind", KINDS)
def test_the_strict_layer_does_what_a_real_one_does(kind):
    redis = start_redis()
    try:
        result = runner.run(LayerPool(kind, redis.url), [(sequences(kind), SEQUENCES)], SEED, shrink_for=20, most=3)
    finally:
        redis.close()
    assert not result.different, report(result)
    assert result.in_full > 0.9
