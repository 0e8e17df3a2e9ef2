"""Every scenario of the differential suite on real brokers with a real prefork worker: it ends as when stepped."""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from pytest_backchannel.events import begin_log
from pytest_backchannel.servers.brokers.rabbitmq import start_rabbitmq
from pytest_backchannel.servers.brokers.redis import start_redis
from pytest_backchannel.servers.integration import Integration
from pytest_backchannel.servers.queue import real_driver
from pytest_backchannel.servers.workers.template import close_templates
from pytest_backchannel.tasks.queue import TaskQueue

pytestmark = [pytest.mark.celery_integration, pytest.mark.slow]

FOLDER = str(Path(__file__).parents[1] / "differential")
sys.path.insert(0, FOLDER)

import differential_app  # noqa: E402
import scenarios  # noqa: E402
from driver import Driver  # noqa: E402

CASES = [
    pytest.param(scenario, profile, id=f"{scenario.name} [{profile}]")
    for scenario in scenarios.SCENARIOS
    if scenario.told
    for profile in scenario.profiles
]


@pytest.fixture(scope="module", autouse=True)
def no_process_left():
    yield
    close_templates()


@pytest.fixture(scope="module")
def redis():
    server = start_redis()
    yield server
    server.close()


@pytest.fixture(scope="module")
def rabbitmq():
    server = start_rabbitmq()
    yield server
    server.close()


class RealDriver(Driver):
    """Drives a real worker."""

    def revoke(self, label):
        self.queue._driver.start()  # it stands still between two runs, and would not hear of it
        end = time.monotonic() + 30  # a busy machine lets it answer late
        while not differential_app.app.control.revoke(self.results[label].id, reply=True, timeout=5):
            assert time.monotonic() < end, "no worker has answered"


@pytest.mark.parametrize(("scenario", "profile"), CASES)
def test_real(scenario, profile, tmp_path, monkeypatch, redis, request):
    effects_file = tmp_path / "effects"
    # Read by the body of each task, in whatever process it runs; the same for all, so that they share a template.
    shared = Path(os.environ.get("TMPDIR", "/tmp")) / f"differential-{os.getpid()}"
    monkeypatch.setenv("DIFFERENTIAL_EFFECTS", str(shared))
    rabbitmq = None if profile == "redis" else request.getfixturevalue("rabbitmq")
    begin_log()
    integration = Integration(
        app=differential_app.app,
        app_path="differential_app:app",
        settings="",
        databases={},
        broker_url=redis.url if rabbitmq is None else rabbitmq.url,
        result_backend=redis.database(1),
        channel_layers=None,
        declarations=None if rabbitmq is None else rabbitmq.declarations,
    )
    conf = {"broker_transport_options": dict(scenario.broker_options)} if scenario.broker_options else {}
    try:
        with (
            integration,
            TaskQueue.over(
                real_driver.RealDriver(
                    integration, folder=tmp_path, queues=scenario.queues or None, conf=conf, real_limit=10
                )
            ) as queue,
        ):
            driver = RealDriver(queue)
            if scenario.warm:
                # RabbitMQ itself drops a message whose time is over before a worker has it, and one without a binding;
                # and where a few seconds decide, a worker that starts meanwhile may take all of them.
                queue._driver.start()
            scenario.drive(driver)
            states = {label: driver.state(label) for label in scenario.states}
            results = {label: driver.results[label].get(timeout=20) for label in scenario.results}
        if shared.exists():
            shared.rename(effects_file)
    finally:
        shared.unlink(missing_ok=True)
        redis.clear()
        if rabbitmq is not None:
            rabbitmq.clear()
    lines = effects_file.read_text().splitlines() if effects_file.exists() else []
    effects = [json.loads(line) for line in lines]
    assert states == dict(scenario.states)
    runs = dict(Counter(effect[0] for effect in effects))
    if scenario.name == "eta beyond the visibility timeout":
        # How often depends on when the sweeps come; that it is more than once does not.
        assert runs["early"] in (2, 3)
    else:
        assert runs == dict(scenario.runs)
    assert results == dict(scenario.results)
    if scenario.effects is not None:
        assert effects == [list(effect) for effect in scenario.effects]
