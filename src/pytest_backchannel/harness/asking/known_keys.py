"""The keys of ``--backchannel-baseline``, read once a run for the report and the audit."""

from __future__ import annotations

import pytest

from ...errors import UnreadableReport
from ...options import once_per_config, options_of
from ...questions.report.baseline import read_baseline


def _read(config: pytest.Config) -> frozenset[str]:
    file = options_of(config).baseline
    try:
        return read_baseline(file) if file else frozenset()
    except UnreadableReport as error:
        raise pytest.UsageError(f"--backchannel-baseline: {error}") from None


_kept = once_per_config(_read)


def known_keys(config: pytest.Config) -> frozenset[str]:
    """The keys of what is known; none where no baseline is given.

    Args:
        config: of the run.

    Raises:
        pytest.UsageError: it can't be read.
    """
    keys: frozenset[str] = _kept(config)
    return keys
