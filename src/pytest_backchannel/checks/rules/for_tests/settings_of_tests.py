"""BC1xx: settings modules of the tests, by their names, as far as they are literal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from ...checked_file import CheckedFile, is_test_settings
from ...checked_tree import CheckedTree, makes_eager, short
from ...rule import FileRule, Found, Spot, TreeRule
from ..for_settings.production_settings import backend_of_layers, layers_assigned


class EagerSwallows(TreeRule):
    """BC101."""

    code = "BC101"
    name = "eager-without-propagates"
    summary = "Tests run tasks eagerly, and their exceptions go nowhere."
    why = "Without `CELERY_TASK_EAGER_PROPAGATES` a task that raises leaves the test green: only its result knows."
    fix = "`CELERY_TASK_EAGER_PROPAGATES = True`; or `celery_eager`, which sets both."
    path = "config/settings/test.py"
    page = "reference/celery-eager.md"
    wrong = """
CELERY_TASK_ALWAYS_EAGER = True
CELERY_BROKER_URL = "memory://"
"""
    right = wrong + "CELERY_TASK_EAGER_PROPAGATES = True\n"

    def check(self, tree: CheckedTree) -> Iterator[Found]:
        """Where nothing of the tree speaks of it."""
        if tree.says(b"EAGER_PROPAGATES", b"eager_propagates"):
            return
        for setting in tree.index.settings:
            if makes_eager(setting) and is_test_settings(setting.place.path):
                yield setting.place, "a task that raises leaves the test green: CELERY_TASK_EAGER_PROPAGATES is not set"


class EagerWithBroker(TreeRule):
    """BC102."""

    code = "BC102"
    name = "eager-with-real-broker"
    summary = "Tests run tasks eagerly, and what eager mode does not cover goes to a real broker."
    why = "`send_task` and `app.signature(name).delay()` are not eager: they connect to the broker of the settings."
    fix = '`CELERY_BROKER_URL = "memory://"` beside it.'
    path = "config/settings/test.py"
    page = "reference/celery-eager.md"
    wrong = """
CELERY_TASK_ALWAYS_EAGER = CELERY_TASK_EAGER_PROPAGATES = True
"""
    right = wrong + 'CELERY_BROKER_URL = "memory://"\n'

    def check(self, tree: CheckedTree) -> Iterator[Found]:
        """Where the module names no broker, and nothing of the tree names one in memory."""
        if tree.says(b"memory://") or tree.matches(rb"CELERY_BROKER_URL.*TEST", needs=b"TEST"):
            return
        named = {one.place.path for one in tree.index.settings if short(one.name) in ("broker_url", "broker")}
        for setting in tree.index.settings:
            path = setting.place.path
            if makes_eager(setting) and is_test_settings(path) and path not in named:
                yield setting.place, "send_task and signatures by name still reach the broker of the other settings"


class RedisLayerInTests(FileRule):
    """BC104."""

    code = "BC104"
    name = "redis-layer-in-tests"
    summary = "The settings of the tests have a channel layer in Redis."
    why = "Tests need a running Redis, its keys outlive the run, and the workers of pytest-xdist hear each other."
    fix = "`channels.layers.InMemoryChannelLayer`, and Redis in tests that are marked for it."
    path = "config/settings/test.py"
    page = "how-to/test-group-sends.md"
    of: ClassVar = "both"
    worth: ClassVar = ((b"RedisChannelLayer", b"RedisPubSubChannelLayer"),)
    wrong = """
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.core.RedisChannelLayer",
        "CONFIG": {"hosts": ["redis://localhost:6379"]},
    }
}
"""
    right = """
CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
"""

    def check(self, file: CheckedFile) -> Iterator[Spot]:
        """Of modules that are the tests' by their name."""
        for value in layers_assigned(file) if is_test_settings(file.path) else ():
            for backend, layer in backend_of_layers(value):
                if backend.startswith("channels_redis."):
                    yield layer, "tests need a running Redis, and those of parallel workers hear each other"
