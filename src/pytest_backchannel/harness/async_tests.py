"""An async test that no plugin has run: what is missing for it."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest

from .lending import is_async, uses_ours

# How pytest begins what it says of such a test: it skips it (8.2, 8.3), or fails it (8.4 on).
_NOT_RUN = "async def function"


def explain(item: pytest.Item, report: pytest.TestReport) -> None:
    """Add the fix to the report of a test with a fixture of ours that pytest could not run.

    Args:
        item: the test.
        report: of its body, which failed or was skipped.
    """
    # A skip is of path, line and reason.
    reason: Any = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
    text = str(reason)
    if _NOT_RUN not in text[:80] or not uses_ours(item) or not is_async(item):
        return
    text = f"{text}\nFix for a test with pytest-backchannel's fixtures: {_fix(item.config)}."
    if isinstance(report.longrepr, tuple):
        report.longrepr = (*report.longrepr[:2], text)
    else:
        report.longrepr = text


def _fix(config: pytest.Config) -> str:
    if config.pluginmanager.has_plugin("asyncio"):
        return (
            "pytest-asyncio is here, in its strict mode. Set `asyncio_mode = auto` beside your other options for "
            "pytest, or mark the test with @pytest.mark.asyncio"
        )
    if importlib.util.find_spec("pytest_asyncio") is None and config.pluginmanager.has_plugin("anyio"):
        return (
            "anyio is here: mark the test with @pytest.mark.anyio, and let a fixture `anyio_backend` return 'asyncio'. "
            "Or: pip install pytest-asyncio, and set `asyncio_mode = auto` beside your other options for pytest"
        )
    return "pip install pytest-asyncio, and set `asyncio_mode = auto` beside your other options for pytest"
