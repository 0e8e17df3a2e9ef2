"""What tests ask of the versions that are installed."""

from __future__ import annotations

import celery
import pytest

CELERY = tuple(int(part) for part in celery.__version__.split(".")[:2])


def since_celery(*version: int, before: str) -> pytest.MarkDecorator:
    """Mark what is so from a version of Celery on.

    Args:
        version: the version, such as ``5, 7``.
        before: what was so before.
    """
    return pytest.mark.skipif(version > CELERY, reason=f"before celery {'.'.join(map(str, version))}: {before}")
