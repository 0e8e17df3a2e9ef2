"""Which of Celery's settings production has, and the tests say nothing of."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

_MISSING = object()


def silent_differences(celery: Mapping[str, Any], app: Any, tests_settings: str) -> dict[str, Any]:
    """What a double takes from production: what differs there, and is no decision of the tests.

    A test's settings decide what their module names in its own text, what the test has changed meanwhile
    (``settings.CELERY_…``, ``override_settings``), and what anybody has set on ``app.conf``.

    Args:
        celery: what production sets, by Celery's own names.
        app: the Celery app, as the tests have it.
        tests_settings: the settings module of the tests.

    Returns:
        The values by Celery's own names; empty where the app does not read Django's settings under a prefix.
    """
    module = sys.modules.get(tests_settings)
    if not celery or not app.namespace or module is None:
        return {}
    text = _text_of(tests_settings)
    if text is None:
        return {}
    found = {}
    for name, value in celery.items():
        # Before its changes are looked at: a configuration is loaded when a setting is first read.
        if _plain(app.conf.get(name)) == _plain(value):
            continue
        said = f"{app.namespace}_{name.upper()}"
        # A key of the changes has the one name or the other (celery 5.5–5.7).
        is_assigned = not {name, said, said.lower()}.isdisjoint(app.conf.changes)
        if not (is_assigned or re.search(rf"\b{said}\b", text) or _is_changed(said, module)):
            found[name] = value
    return found


def _is_changed(name: str, module: Any) -> bool:
    """Whether a test has given the setting another value than the module."""
    from django.conf import settings

    return getattr(settings, name, _MISSING) is not getattr(module, name, _MISSING)


def _plain(value: Any) -> Any:
    """Sequences alike, since they have come by JSON."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


@lru_cache(maxsize=8)
def _text_of(module: str) -> str | None:
    """The source of a module; None where there is none, and nothing is known of what it decides."""
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    return Path(spec.origin).read_text(encoding="utf-8", errors="replace")
