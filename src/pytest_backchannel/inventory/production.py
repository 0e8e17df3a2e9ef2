"""What runs in production: which broker, which result backend, which channel layer.

Test settings say ``memory://``, so the doubles take their semantics from the settings module that the ini option
``backchannel_production_settings`` names. It is imported in a process of its own, in which no socket can connect: a
settings module may start an error reporter, read secrets or patch libraries, and none of that belongs in a test run.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..errors import ProductionSettingsError

READ_TIMEOUT = 60.0
"""How long the settings module may take to be imported, in seconds."""

# Celery's names for the settings that are read (celery/app/defaults.py, 5.7), without a namespace.
_CELERY_NAMES = ("broker_url", "broker_transport_options", "result_backend")

# Those that have an effect on what the doubles do, beside what their own arguments say. What a task has kept of the
# settings when it was bound (acks_late and its like) can't be told from what its decorator says: of these, only the
# serialiser and the time limits are here.
BEHAVIOUR = (
    "accept_content",
    "result_accept_content",
    "result_expires",
    "result_extended",
    "result_serializer",
    "task_compression",
    "task_create_missing_queues",
    "task_default_queue",
    "task_protocol",
    "task_queue_max_priority",
    "task_routes",
    "task_serializer",
    "task_soft_time_limit",
    "task_time_limit",
    "worker_prefetch_multiplier",
)

# Brokers that keep an unacknowledged message invisible for a time, and then deliver it again; all others requeue it
# when the connection is lost (kombu 5.7: transport/redis.py and transport/SQS.py; transport/pyamqp.py).
_REDIS_LIKE = ("redis", "rediss", "sentinel", "sqs", "valkey")

# Brokers and layers that no production system uses: they stand for "the settings do not say".
_TEST_BROKERS = ("", "memory", "filesystem", "stepped")
_LAYERS = {
    "channels_redis.core.RedisChannelLayer": "core",
    "channels_redis.pubsub.RedisPubSubChannelLayer": "pubsub",
}


@dataclass(frozen=True, kw_only=True)
class Profile:
    """What runs in production, as far as the semantics of the doubles depend on it.

    Attributes:
        source: the settings module it was read from.
        broker: ``redis`` (unacknowledged messages come back after the visibility timeout) or ``rabbitmq`` (they come
            back when the connection is lost).
        broker_options: Celery's ``broker_transport_options``, such as ``visibility_timeout`` in seconds.
        result_backend: the kind, as in Celery's URLs: ``redis``, ``rpc``, ``cache``, ``db``, ``disabled`` …
        channel_layer: ``core`` or ``pubsub`` (the two layers of channels-redis).
        celery: Celery's settings that production sets, of those with an effect on the doubles, by Celery's own names.
        channel_layer_options: the layer's ``CONFIG``, such as ``capacity`` and ``expiry`` in seconds.
    """

    source: str
    broker: str
    broker_options: Mapping[str, Any] = field(default_factory=dict)
    result_backend: str = "disabled"
    channel_layer: str = "core"
    channel_layer_options: Mapping[str, Any] = field(default_factory=dict)
    celery: Mapping[str, Any] = field(default_factory=dict)


def production_profile(
    module: str = "", *, namespace: str = "CELERY", celery_conf: Mapping[str, Any] | None = None
) -> Profile:
    """What runs in production, from a settings module or else from the settings of the test.

    Args:
        module: the settings module, such as ``config.settings.production``; empty reads the test's Django settings.
        namespace: the prefix of Celery's settings, as given to ``app.config_from_object``.
        celery_conf: Celery's settings by their lower-case names, for a project that does not keep them in Django's;
            read where ``module`` is empty and Django's settings do not have them.

    Returns:
        The profile; RabbitMQ and the core layer of channels-redis where the settings say nothing, or name a broker or
        layer that lives in one process.

    Raises:
        ProductionSettingsError: the module can't be imported, or not within 60 seconds.

    Example:
        >>> production_profile("config.settings.production").broker  # doctest: +SKIP
        'redis'
    """
    if module:
        return _profile(module, _read(module, namespace, tuple(sys.path)))
    values = _pick(_django_settings(), namespace)
    for name, value in (celery_conf or {}).items():
        if name in _CELERY_NAMES:
            values.setdefault(name, value)
    return _profile("the test settings", values)


def _profile(source: str, values: Mapping[str, Any]) -> Profile:
    layers = values.get("CHANNEL_LAYERS") or {}
    layer = layers.get("default") or {}
    backend = values.get("result_backend") or "disabled"
    return Profile(
        source=source,
        broker="redis" if _scheme(values.get("broker_url")) in _REDIS_LIKE else "rabbitmq",
        broker_options=values.get("broker_transport_options") or {},
        result_backend=_scheme(backend) if isinstance(backend, str) else "other",
        channel_layer=_LAYERS.get(layer.get("BACKEND", ""), "core"),
        channel_layer_options={k: v for k, v in (layer.get("CONFIG") or {}).items() if k != "hosts"},
        celery=values.get("behaviour") or {},
    )


def _scheme(url: object) -> str:
    """The kind of broker or backend that a URL names: ``redis`` of ``redis://…``, ``cache`` of ``cache+memory://``."""
    if isinstance(url, (list, tuple)):
        url = url[0] if url else ""
    scheme = str(url or "").split(";")[0].split("://")[0].split("+")[0].lower()
    return "" if scheme in _TEST_BROKERS else scheme


def _django_settings() -> Mapping[str, Any]:
    django_conf = sys.modules.get("django.conf")
    settings = getattr(django_conf, "settings", None)
    if settings is None or not settings.configured:
        return {}
    # Only what _pick looks at: reading a deprecated setting warns.
    wanted = ("CHANNEL_LAYERS", *(name.upper() for name in _CELERY_NAMES))
    return {name: getattr(settings, name) for name in dir(settings) if name.isupper() and name.endswith(wanted)}


def _pick(values: Mapping[str, Any], namespace: str) -> dict[str, Any]:
    picked: dict[str, Any] = {}
    for name in _CELERY_NAMES:
        # The namespaced name first; then Celery's own, for a settings module that is a celeryconfig; then the
        # upper-case names of Celery 3, which Celery still reads.
        for spelled in (f"{namespace}_{name.upper()}" if namespace else name, name, name.upper()):
            if values.get(spelled) is not None:
                picked[name] = values[spelled]
                break
    if values.get("CHANNEL_LAYERS"):
        picked["CHANNEL_LAYERS"] = values["CHANNEL_LAYERS"]
    return picked


def _behaviour(values: Mapping[str, Any], namespace: str) -> dict[str, Any]:
    """What production sets of these, where JSON can carry it."""
    said = {name: values.get(f"{namespace}_{name.upper()}") for name in BEHAVIOUR} if namespace else {}
    kept = said.get("result_expires")
    if isinstance(kept, timedelta):
        said["result_expires"] = kept.total_seconds()
    return {name: value for name, value in said.items() if value is not None and _is_plain(value)}


def _is_plain(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and _is_plain(item) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, (str, int, float))


@lru_cache(maxsize=8)
def _read(module: str, namespace: str, path: tuple[str, ...]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="backchannel-") as folder:
        target = Path(folder, "settings.json")
        # The child finds modules as this process does, and DJANGO_SETTINGS_MODULE names what it reads: a settings
        # module may look at it.
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(path), "DJANGO_SETTINGS_MODULE": module}
        try:
            done = subprocess.run(
                [sys.executable, "-m", __name__, module, namespace, str(target)],
                env=env,
                capture_output=True,
                text=True,
                timeout=READ_TIMEOUT,
                check=False,
                stdin=subprocess.DEVNULL,
            )
        except subprocess.TimeoutExpired:
            raise ProductionSettingsError(
                f"backchannel_production_settings = {module!r}: its import has not ended within {READ_TIMEOUT:g} s"
            ) from None
        if done.returncode or not target.exists():
            last = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
            raise ProductionSettingsError(
                f"backchannel_production_settings = {module!r} can't be read: {last[0]}\n"
                "It is imported in a process of its own, in which no socket can connect. Where it needs environment "
                "variables, give them harmless values in the test run (pytest-env, or the CI's configuration)."
            )
        found: dict[str, Any] = json.loads(target.read_text(encoding="utf-8"), object_hook=_with_patterns)
        return found


# channel_capacity of channels-redis may have compiled expressions as its keys, which JSON can't.
_PATTERN = "compiled expression: "


def _with_text_keys(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {
            _PATTERN + key.pattern if isinstance(key, re.Pattern) else str(key): _with_text_keys(item)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_with_text_keys(item) for item in value]
    return value


def _with_patterns(value: dict[str, Any]) -> dict[Any, Any]:
    return {
        re.compile(key.removeprefix(_PATTERN)) if key.startswith(_PATTERN) else key: item for key, item in value.items()
    }


def _main(module: str, namespace: str, target: str) -> None:
    """Import one settings module with no way out, and write what was picked of it as JSON."""
    import importlib
    import socket

    def refuse(*args: object, **kwargs: object) -> Any:
        raise ConnectionRefusedError("no connection may be made while production settings are read")

    for name in ("connect", "connect_ex", "sendto"):
        setattr(socket.socket, name, refuse)
    values = vars(importlib.import_module(module))
    picked = {**_pick(values, namespace), "behaviour": _behaviour(values, namespace)}
    Path(target).write_text(json.dumps(_with_text_keys(picked), default=str), encoding="utf-8")


if __name__ == "__main__":
    _main(*sys.argv[1:])
