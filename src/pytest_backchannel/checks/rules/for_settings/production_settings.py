"""BC6xx: settings modules of production, by their names, as far as they are literal."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import ClassVar

from ....inventory.findings.finding import Production
from ....source import SettingDef
from ....source.reading.of_tasks.settings_said import settings
from ....source.reading.source_file import literal, text_of
from ...checked_file import CheckedFile, is_production_settings, is_test, is_test_settings
from ...checked_tree import CheckedTree, makes_eager, short
from ...rule import FileRule, Found, Spot, TreeRule


def backend_of_layers(value: ast.expr) -> Iterator[tuple[str, ast.Dict]]:
    """The ``BACKEND`` of each literal layer of ``CHANNEL_LAYERS``, with the layer."""
    for layer in value.values if isinstance(value, ast.Dict) else ():
        if isinstance(layer, ast.Dict):
            for key, given in zip(layer.keys, layer.values, strict=True):
                if text_of(key) == "BACKEND" and (backend := text_of(given)) is not None:
                    yield backend, layer


def layers_assigned(file: CheckedFile) -> Iterator[ast.expr]:
    """What ``CHANNEL_LAYERS`` is assigned by a statement of the module itself, in no branch."""
    for statement in file.source.tree.body:
        if isinstance(statement, ast.Assign):
            for target in statement.targets:
                if isinstance(target, ast.Name) and target.id == "CHANNEL_LAYERS":
                    yield statement.value


class MemoryLayerInProduction(FileRule):
    """BC603."""

    code = "BC603"
    name = "memory-layer-in-production"
    severity: ClassVar = "error"
    summary = "Production's channel layer lives in the memory of one process."
    why = "A group send of a worker, or of another web process, reaches nobody, and says nothing."
    fix = "`channels_redis.core.RedisChannelLayer`."
    path = "config/settings/production.py"
    page = "reference/production-settings.md"
    finding = "memory_layer"
    worth: ClassVar = ((b"InMemoryChannelLayer",),)
    wrong = """
CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
"""
    right = """
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.core.RedisChannelLayer",
        "CONFIG": {
            "hosts": [{"address": "redis://cache:6379", "socket_timeout": None}],
            "capacity": 500,
            "expiry": 60,
        },
    }
}
"""

    def check(self, file: CheckedFile) -> Iterator[Spot]:
        """Of modules that are production's by their name."""
        for value in layers_assigned(file) if is_production_settings(file.path) else ():
            for backend, layer in backend_of_layers(value):
                if backend == "channels.layers.InMemoryChannelLayer":
                    yield layer, "this channel layer lives in the memory of one process: workers can't reach a socket"


def plain_settings(file: CheckedFile) -> Iterator[tuple[SettingDef, ast.stmt]]:
    """The settings of Celery that the module assigns by itself, in no branch; ``task_…`` in lower case."""
    lines = {one.lineno: one for one in file.source.tree.body if isinstance(one, ast.Assign | ast.AnnAssign)}
    for setting in settings(file.source):
        for first, statement in lines.items():
            if first <= setting.place.line <= (statement.end_lineno or first):
                yield setting, statement


class EagerInProduction(FileRule):
    """BC604."""

    code = "BC604"
    name = "eager-in-production"
    severity: ClassVar = "error"
    summary = "In production's settings, tasks run where they are enqueued."
    why = "Requests wait for their tasks; countdown, retries with a delay, queues and time limits are ignored."
    fix = "Leave it to the settings of the tests."
    path = "config/settings/production.py"
    page = "reference/production-settings.md"
    finding = "eager_tasks"
    worth: ClassVar = ((b"always_eager", b"ALWAYS_EAGER"),)
    wrong = """
CELERY_TASK_ALWAYS_EAGER = True
"""
    right = """
CELERY_TASK_ALWAYS_EAGER = False
"""

    def check(self, file: CheckedFile) -> Iterator[Spot]:
        """Of modules that are production's by their name."""
        for setting, statement in plain_settings(file) if is_production_settings(file.path) else ():
            if makes_eager(setting):
                yield statement, f"{setting.name} = True in production: requests run their tasks themselves"


_PICKLE = {"pickle", "application/x-python-serialize"}


class PickleAccepted(FileRule):
    """BC605."""

    code = "BC605"
    name = "pickle-accepted"
    summary = "Workers accept pickle."
    why = "Who can write to the broker can run any code in the workers; and a class that has moved breaks old messages."
    fix = "`CELERY_ACCEPT_CONTENT = ['json']`, and arguments that JSON can take."
    path = "config/settings/production.py"
    page = "reference/production-settings.md"
    worth: ClassVar = ((b"accept_content", b"ACCEPT_CONTENT"),)
    wrong = """
CELERY_ACCEPT_CONTENT = ["json", "pickle"]
"""
    right = """
CELERY_ACCEPT_CONTENT = ["json"]
"""

    def check(self, file: CheckedFile) -> Iterator[Spot]:
        """Of all settings but the tests'."""
        for setting, statement in plain_settings(file) if not is_test_settings(file.path) else ():
            accepted = setting.value if isinstance(setting.value, tuple) else ()
            if short(setting.name) == "accept_content" and _PICKLE & set(accepted):
                yield statement, "workers accept pickle: who can write to the broker can run any code in them"

    def of_production(self, production: Production) -> Iterator[str]:
        """By the setting as it is in the end."""
        accepted = production.celery.settings.get("accept_content") if production.celery is not None else None
        if isinstance(accepted, list | tuple) and _PICKLE & set(accepted):
            yield "workers accept pickle: who can write to the broker can run any code in them"


class IdleLayerTimeout(TreeRule):
    """BC606."""

    code = "BC606"
    name = "idle-layer-timeout"
    severity: ClassVar = "error"
    summary = "The channel layer's Redis client ends a wait after 5 s, and with it each idle consumer."
    why = (
        "redis-py 8 gives its connections a `socket_timeout` of 5 s; channels-redis up to 4.3 waits longer in one "
        "read: an idle WebSocket dies of `TimeoutError` (channels_redis#422)."
    )
    fix = '`"hosts": [{"address": …, "socket_timeout": None}]`, or redis-py below 8.'
    path = "config/settings/production.py"
    page = "reference/production-settings.md"
    finding = "layer_idle_timeout"
    wrong = """
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.core.RedisChannelLayer",
        "CONFIG": {"hosts": [{"address": "redis://cache:6379"}], "capacity": 500, "expiry": 60},
    }
}
"""
    right = MemoryLayerInProduction.right

    def check(self, tree: CheckedTree) -> Iterator[Found]:
        """Where a lock or requirements file pins redis-py 8, and channels-redis 4.3 or older."""
        redis, layer = _pinned(tree.project.requirements, "redis"), _pinned(tree.project.requirements, "channels-redis")
        if redis is None or redis < (8,) or (layer is not None and layer >= (4, 4)):
            return
        for setting in tree.index.settings:
            file = tree.file(setting.place.path) if setting.name == "CHANNEL_LAYERS" else None
            if file is None or is_test(setting.place.path) or is_test_settings(setting.place.path):
                continue
            for value in layers_assigned(file):
                for backend, one in backend_of_layers(value):
                    if backend == "channels_redis.core.RedisChannelLayer" and not _says_timeout(one):
                        yield (
                            file.source.place(one),
                            "redis-py 8 ends each idle consumer after 5 s: socket_timeout is not set",
                        )


def _says_timeout(layer: ast.Dict) -> bool:
    """Whether the layer gives a time-out, or says its hosts in a way that is not literal."""
    if "socket_timeout" in ast.unparse(layer):
        return True
    config = next(
        (value for key, value in zip(layer.keys, layer.values, strict=True) if text_of(key) == "CONFIG"), None
    )
    if config is None:
        return False
    if not isinstance(config, ast.Dict):
        return True
    hosts = next(
        (value for key, value in zip(config.keys, config.values, strict=True) if text_of(key) == "hosts"), None
    )
    if hosts is None:
        return False
    return not isinstance(hosts, ast.List) or not all(
        isinstance(one, ast.Tuple | ast.Dict | ast.JoinedStr) or literal(one)[0] for one in hosts.elts
    )


def _pinned(requirements: str, name: str) -> tuple[int, ...] | None:
    """The version that a lock file, or a line of a requirements file, has."""
    lock = rf'(?m)^name = "{name}"\s*\nversion = "(\d+(?:\.\d+)*)'
    line = rf"(?mi)^{name}(?:\[[\w,\s]*\])?==(\d+(?:\.\d+)*)"
    match = re.search(lock, requirements) or re.search(line, requirements)
    return tuple(map(int, match[1].split("."))) if match is not None else None
