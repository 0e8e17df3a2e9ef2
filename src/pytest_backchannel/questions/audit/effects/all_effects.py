"""All that is watched of a body in a shadow."""

from __future__ import annotations

from collections.abc import Iterable

from ..stores import redis_effects
from . import cache_effects, enqueue_effects, layer_effects, mail_effects, storage_effects
from .doubled import http_effects, mock_effects, used_up_doubles


def install_all(names: dict[int, str], outward: Iterable[str]) -> None:
    """Watch them from now on, in this forked child.

    Args:
        names: where mocks were put, by their identity.
        outward: patterns of mocks that stand for something outside.
    """
    mail_effects.install()
    enqueue_effects.install()
    layer_effects.install()
    storage_effects.install()
    cache_effects.install()
    redis_effects.install()
    http_effects.install()
    used_up_doubles.install()
    mock_effects.install(names, outward)
