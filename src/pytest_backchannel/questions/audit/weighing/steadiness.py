"""Whether two clean runs are known to be alike, so that no shadow has to be forked for the noise."""

from __future__ import annotations

import datetime
import decimal
import uuid
from typing import Any

from ..audit_data import BodyRun
from .noise import Noise, noise_of

_PLAIN = (str, bytes, int, float, type(None), decimal.Decimal, uuid.UUID, datetime.date, datetime.time)


def leaves_rows(first: BodyRun, second: BodyRun) -> bool:
    """Whether a second delivery leaves all rows as the first one has left them.

    Args:
        first: the run of the message.
        second: its run when it came again.
    """
    return all(rows == (first.after.get(table) or second.before.get(table)) for table, rows in second.after.items())


def is_steady(first: BodyRun, other: BodyRun) -> bool:
    """Whether two runs from the same rows have done the same."""
    return not other.error and noise_of(first, other) == Noise()


def is_plain(value: Any) -> bool:
    """Whether an argument keeps nothing of a run, as an instance of a model does."""
    if isinstance(value, dict):
        return all(is_plain(inner) for inner in value.values())
    if isinstance(value, list | tuple):
        return all(map(is_plain, value))
    return isinstance(value, _PLAIN)
