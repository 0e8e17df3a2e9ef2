"""The servers of the run: started when one is first needed, made as they were found after each test, and ended."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from ..errors import NotForReal, ServerMissing
from ..options import options_of
from . import late_hooks

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..servers.brokers.external import ExternalRabbitMQ, ExternalRedis
    from ..servers.brokers.rabbitmq import RabbitMQServer
    from ..servers.brokers.redis import RedisServer
    from ..servers.integration import Integration

# The servers of the run by name; each is made as it was found after every test. They are not kept by their fixtures:
# the workers need them too, and a project may have fixtures of the same names.
_SERVERS: pytest.StashKey[dict[str, Any]] = pytest.StashKey()


def missing(error: Exception | str) -> NoReturn:
    """A server that this machine lacks skips the test; in a CI, where skipped means never run, it fails."""
    if os.environ.get("CI", "").lower() in ("", "0", "false"):
        pytest.skip(str(error))
    pytest.fail(f"{error}\n(a failure and not skipped, because CI is set)", pytrace=False)


def _server(config: pytest.Config, name: str, start: Callable[[], Any]) -> Any:
    __tracebackhide__ = True
    for package in ("mirakuru", "redis"):
        if find_spec(package) is None:
            missing(f"{package} is not installed: pip install 'pytest-backchannel[servers]'")
    servers = config.stash.setdefault(_SERVERS, {})
    if name not in servers:
        late_hooks.need(config, late_hooks.SERVERS)
        try:
            servers[name] = start()
        except ServerMissing as error:
            missing(error)
    return servers[name]


def shared_redis(config: pytest.Config) -> RedisServer | ExternalRedis:
    """The Redis of the run, started at the first call."""
    __tracebackhide__ = True
    given = options_of(config).redis_url

    def start() -> Any:
        __tracebackhide__ = True
        if given:
            from ..servers.brokers.external import ExternalRedis

            return ExternalRedis(given)
        from ..servers.brokers.redis import start_redis

        return start_redis()

    return _server(config, "redis", start)


def shared_rabbitmq(config: pytest.Config) -> RabbitMQServer | ExternalRabbitMQ:
    """The RabbitMQ of the run, started at the first call."""
    __tracebackhide__ = True
    given = options_of(config).rabbitmq_url

    def start() -> Any:
        __tracebackhide__ = True
        if given:
            from ..servers.brokers.external import ExternalRabbitMQ

            # Not by the environment: a run that a worker of pytest-xdist starts inherits that, and is none itself.
            return ExternalRabbitMQ(given, worker=getattr(config, "workerinput", {}).get("workerid", "main"))
        from ..servers.brokers.rabbitmq import start_rabbitmq

        return start_rabbitmq()

    return _server(config, "rabbitmq", start)


def default_broker(request: pytest.FixtureRequest) -> str:
    """The broker whose fixture the test asks for; RabbitMQ where it asks for both: Redis then keeps the results."""
    return "rabbitmq" if "rabbitmq_server" in request.fixturenames else "redis"


def make_integration(config: pytest.Config, broker: str) -> Integration:
    """The project's app on a real broker of the run.

    Raises:
        BackchannelError: no such broker; the settings are not a module; no app is found.
    """
    __tracebackhide__ = True
    from ..servers.integration import integration_of_the_project

    options = options_of(config)
    return integration_of_the_project(
        broker,
        celery_app=options.celery_app,
        production_settings=options.production_settings,
        redis=lambda: shared_redis(config),
        rabbitmq=lambda: shared_rabbitmq(config),
    )


# ------------------------------------------------------- around each test, once a server runs


def mark_logs() -> None:
    """What the servers write from now on belongs to the test that begins."""
    for server in _running():
        server.mark_log()


def skip_what_is_simulated(error: Exception) -> None:
    """Skip the test, with the reason, if it has asked a real broker for what only the simulated one can do."""
    if isinstance(error, NotForReal):
        pytest.skip(str(error))


def restore(config: pytest.Config) -> None:
    """Make the servers as they were found: running, not paused, empty."""
    for server in config.stash.get(_SERVERS, {}).values():
        if server.paused:
            server.resume()
        if not server.running:
            server.start()
        server.clear()


def add_logs(report: pytest.TestReport) -> None:
    """Show what servers and workers wrote during a failed test."""
    for server in _running():
        text = server.recent_log()
        if text:
            report.sections.append((f"Log of {server.name}", text))


def close(config: pytest.Config) -> None:
    """End the servers and the processes that fork workers, then the watchdog, which ends what is left."""
    template = sys.modules.get("pytest_backchannel.servers.workers.template")
    if template is not None:
        template.close_templates()
    servers = config.stash.get(_SERVERS, {})
    while servers:
        servers.popitem()[1].close()
    guard = sys.modules.get("pytest_backchannel.servers.watchdog")
    if guard is not None:
        guard.close_watchdog()


def _running() -> list[Any]:
    # A run that has started no server has not imported the module.
    module = sys.modules.get("pytest_backchannel.servers.process")
    return module.servers() if module is not None else []
