"""BC1xx: tests in several processes at once."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ...checked_tree import CheckedTree
from ...rule import Found, TreeRule

_PARALLEL = re.compile(r"(?:^|\s)(?:-n[ =]?|--numprocesses[ =])(?:auto|logical|[1-9])")
_KEPT_TOGETHER = re.compile(r"--dist[ =](?:loadscope|loadfile|loadgroup|no)")


class WorkersHearEachOther(TreeRule):
    """BC110."""

    code = "BC110"
    name = "parallel-tests-share-redis"
    summary = "Tests run in parallel, and their channel layer is one Redis."
    why = "Tests of one module run in several workers of pytest-xdist at once, and get each other's group sends."
    fix = "`InMemoryChannelLayer` in the settings of the tests; else `--dist loadscope`, and a `prefix` for each."
    path = "shop/test_live.py"
    page = "how-to/test-group-sends.md"
    wrong = """
from channels.testing import WebsocketCommunicator

CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.core.RedisChannelLayer",
        "CONFIG": {"hosts": [{"address": "redis://cache:6379", "socket_timeout": None}]},
    }
}


def test_live(): ...
"""
    right = """
from channels.testing import WebsocketCommunicator

CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}


def test_live(): ...
"""

    def check(self, tree: CheckedTree) -> Iterator[Found]:
        """Where ``-n`` stands in pytest's configuration, and no layer in memory in any settings."""
        options = tree.configuration.get("addopts", "").replace("\n", " ")
        if not _PARALLEL.search(options) or _KEPT_TOGETHER.search(options) or tree.says(b"InMemoryChannelLayer"):
            return
        opens = any(b"Communicator" in text for text in tree.test_texts().values())
        if not opens or tree.says(b"PYTEST_XDIST_WORKER"):
            return
        for setting in tree.index.settings:
            if setting.name == "CHANNEL_LAYERS" and "channels_redis" in setting.source:
                yield setting.place, "tests run in parallel (-n), and their workers hear each other through this Redis"
                return
