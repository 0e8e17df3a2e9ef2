"""One test against a real broker: its own process redirected to it, its workers, and a broker as empty as before."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any, Self

from ..errors import BackchannelError
from ..inventory.celery_app import find_app
from ..inventory.production import production_profile
from .brokers.declarations import Declarations
from .redirection import redirected
from .workers.setup_hook import Setup
from .workers.template import Project, template_for
from .workers.worker_process import Worker, database_names

# A result backend of these kinds lives in one process, or is the server that the test replaces.
_REPLACED = ("redis", "rediss", "sentinel", "valkey", "memory", "cache+memory", "amqp", "filesystem", "file")


class Integration:
    """The project's app on a real broker, for one test.

    Args:
        app: the project's Celery app.
        app_path: where a worker process finds it.
        settings: Django's settings module.
        databases: what the test databases have that the settings have not (``database_names()``).
        broker_url: the broker of this test.
        result_backend: a URL, ``rpc://``, or None for no result backend.
        channel_layers: ``CHANNEL_LAYERS`` for this test; None leaves the project's own.
        declarations: where workers write what they declare at RabbitMQ, so that its ``clear()`` deletes it; None for
            another broker.
    """

    def __init__(
        self,
        *,
        app: Any,
        app_path: str,
        settings: str,
        databases: dict[str, dict[str, Any]],
        broker_url: str,
        result_backend: str | None,
        channel_layers: dict[str, Any] | None,
        declarations: Declarations | None = None,
    ) -> None:
        self.app = app
        self.broker_url = broker_url
        self.result_backend = result_backend
        self.workers: list[Worker] = []
        self._app_path = app_path
        self._settings = settings
        self._databases = databases
        self._channel_layers = channel_layers
        self._declarations = declarations
        self._stack = contextlib.ExitStack()

    @property
    def conf(self) -> dict[str, Any]:
        """Celery's settings that differ from the project's."""
        return {
            "broker_url": self.broker_url,
            "broker_read_url": None,
            "broker_write_url": None,
            "broker_use_ssl": False,  # the servers of a test speak plainly, on loopback
            "result_backend": self.result_backend,
            "task_always_eager": False,
        }

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            stack.enter_context(redirected(self.app, self.conf))
            if self._channel_layers is not None:
                from django.test import override_settings

                stack.enter_context(override_settings(CHANNEL_LAYERS=self._channel_layers))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        with self._stack:
            while self.workers:
                self.workers.pop().close()

    def worker(
        self,
        *,
        pool: str = "prefork",
        concurrency: int = 1,
        queues: Sequence[str] = (),
        conf: Mapping[str, Any] | None = None,
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        wait: bool = True,
        reports: tuple[str, str] | None = None,
        setup: Setup | None = None,
    ) -> Worker:
        """Start a worker process.

        Args:
            pool: ``prefork``, ``solo``, ``threads``, ``gevent`` or ``eventlet``.
            concurrency: how many tasks at once.
            queues: what it consumes; the project's own where empty.
            conf: Celery's settings for this worker alone, by their lower-case names.
            arguments: further arguments of ``celery worker``.
            environment: variables beside those of the test.
            wait: whether to return only when it consumes.
            reports: the file for its reports and the folder of its faults; None leaves it as it is.
            setup: project code that it runs before it begins.

        Raises:
            ServerFailed: it did not start.
            BackchannelError: an argument that can't be used.
        """
        __tracebackhide__ = True
        worker = Worker(
            template_for(
                Project(
                    app=self._app_path,
                    settings=self._settings,
                    databases=self._databases,
                    channel_layers=self._channel_layers,
                )
            ),
            conf={**self.conf, **(conf or {})},
            environment=environment or {},
            pool=pool,
            concurrency=concurrency,
            queues=queues,
            arguments=arguments,
            reports=reports,
            declarations=self._declarations,
            setup=setup,
        )
        self.workers.append(worker)
        worker.start(wait=wait)
        return worker


def integration_of_the_project(
    broker: str,
    *,
    celery_app: str,
    production_settings: str,
    redis: Callable[[], Any],
    rabbitmq: Callable[[], Any],
) -> Integration:
    """The project's own app on a real broker, with what its settings and its production settings say.

    Args:
        broker: ``redis`` or ``rabbitmq``.
        celery_app: where the app is, as ``package.module:attribute``; empty finds it.
        production_settings: the settings module that says what runs in production; empty uses the test settings.
        redis: gives the Redis of the run; it keeps the results and carries the channel layer, whatever the broker is.
        rabbitmq: gives the RabbitMQ of the run; called where it is the broker.

    Raises:
        BackchannelError: no such broker; the settings are not a module; no app is found.
    """
    from django.conf import settings

    if broker not in ("redis", "rabbitmq"):
        raise BackchannelError(f"broker={broker!r}: choose 'redis' or 'rabbitmq'")
    module = os.environ.get("DJANGO_SETTINGS_MODULE", "")
    if not module:
        raise BackchannelError(
            "the settings are not in a module (settings.configure()), and a worker process could not load them: set "
            "DJANGO_SETTINGS_MODULE"
        )
    path, app = find_app(celery_app, module)
    databases = database_names()
    redis_url = redis().url
    server = rabbitmq() if broker == "rabbitmq" else None
    layers = None
    if getattr(settings, "CHANNEL_LAYERS", None) and find_spec("channels_redis") is not None:
        profile = production_profile(production_settings)
        layers = redis_channel_layers(redis_url, profile.channel_layer, profile.channel_layer_options)
    return Integration(
        app=app,
        app_path=path,
        settings=module,
        databases=databases,
        broker_url=redis_url if server is None else server.url,
        result_backend=result_backend_for(app.conf.result_backend, redis_url),
        channel_layers=layers,
        declarations=None if server is None else server.declarations,
    )


def result_backend_for(configured: object, redis_url: str | None) -> str | None:
    """The result backend of the test: of the kind that the project has, on the test's Redis where it is a server.

    Args:
        configured: what the project's configuration says.
        redis_url: the test's Redis; None where there is none, and then results come over the broker.

    Returns:
        A URL; None where the project has no result backend.
    """
    if not isinstance(configured, str) or not configured or configured.startswith("disabled"):
        return None
    kind = configured.partition("://")[0]
    if kind in _REPLACED or configured.startswith("cache+memory"):
        return redis_url or "rpc://"
    return configured


def redis_channel_layers(url: str, kind: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """``CHANNEL_LAYERS`` on the test's Redis.

    Args:
        url: the test's Redis.
        kind: ``core`` or ``pubsub``, the two layers of channels-redis.
        options: the ``CONFIG`` of the project's production layer.
    """
    backends = {
        "core": "channels_redis.core.RedisChannelLayer",
        "pubsub": "channels_redis.pubsub.RedisPubSubChannelLayer",
    }
    # redis-py 8 gives up on a quiet socket after 5 s, and with it the consumer that waits there (channels_redis#422).
    host = {"address": url, "socket_timeout": None}
    return {"default": {"BACKEND": backends[kind], "CONFIG": {**options, "hosts": [host]}}}
