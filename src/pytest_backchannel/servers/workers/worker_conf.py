"""Whether the settings that a test gives to one worker can have any effect."""

from __future__ import annotations

import json
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from ...errors import BackchannelError


def check_conf(conf: Mapping[str, Any]) -> None:
    """Refuse what Celery would take without a word and never read, and what can't be sent to another process.

    A name that is like none of Celery's passes: a project may keep settings of its own in ``app.conf``.

    Args:
        conf: Celery's settings, by their lower-case names.

    Raises:
        BackchannelError: with the name that is probably meant.
    """
    __tracebackhide__ = True
    # Public enough: the names that Celery's own reference of settings lists (celery/app/defaults.py, 5.5–5.7).
    from celery.app.defaults import SETTING_KEYS

    for name, value in conf.items():
        given = f"worker_process(conf={{{name!r}: {value!r}}})"
        if name not in SETTING_KEYS:
            lower = name.lower()
            wanted = next((key for key in (lower, lower.removeprefix("celery_")) if key in SETTING_KEYS), "")
            meant = [wanted] if wanted else get_close_matches(lower, SETTING_KEYS, 1, cutoff=0.9)
            if meant:
                raise BackchannelError(f"{given}: Celery has no setting of that name; is {meant[0]!r} meant?")
        try:
            json.dumps(value)
        except (TypeError, ValueError) as error:
            raise BackchannelError(
                f"{given}: can't be sent to the worker's process ({error}): give numbers, texts, lists and dicts, or "
                "set it in the settings of the tests"
            ) from error
