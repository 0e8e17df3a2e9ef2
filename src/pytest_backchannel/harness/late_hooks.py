"""Hooks that are registered when the need for them shows: a suite that has no such need does not pay for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

OBSERVED = "backchannel-observed"
REPORTS = "backchannel-reports"
LENT = "backchannel-lent"
SERVERS = "backchannel-servers"

_OFFERED = pytest.StashKey["Mapping[str, Callable[[], object]]"]()


def offer(config: pytest.Config, hooks: Mapping[str, Callable[[], object]]) -> None:
    """Say what to register under which name; plugin.py, where the hooks are, stands above who needs them."""
    config.stash[_OFFERED] = hooks


def need(config: pytest.Config, name: str) -> bool:
    """Register the hooks of this name, unless they are there; they stay for the rest of the run.

    Returns:
        Whether they are new, so that the hook that runs at this moment does without them.
    """
    if config.pluginmanager.has_plugin(name):
        return False
    config.pluginmanager.register(config.stash[_OFFERED][name](), name)
    return True
