"""All rules, over what is known."""

from __future__ import annotations

from collections.abc import Collection

from . import of_beat, of_carriers, of_queues, of_time, of_web
from .finding import FINDINGS, Finding, Production, Rule

RULES: tuple[Rule, ...] = (
    of_web.asgi_import,
    of_web.celery_app_not_loaded,
    of_web.memory_layer,
    of_web.layer_idle_timeout,
    of_web.layer_capacity,
    of_web.mail_timeout,
    of_web.http_timeout,
    of_carriers.eager_tasks,
    of_carriers.memory_broker,
    of_carriers.memory_results,
    of_carriers.chord_without_results,
    of_carriers.serialiser_refused,
    of_queues.unserved_route,
    of_queues.route_misspelt,
    of_time.time_limit_beyond_visibility,
    of_time.retry_beyond_visibility,
    of_time.retry_after_expiry,
    of_time.results_expire_early,
    of_beat.beat_unknown_task,
    of_beat.beat_arguments,
    of_beat.beat_every_minute,
    of_beat.beat_expires_early,
    of_beat.beat_pile_up,
)


def findings(production: Production, allowed: Collection[str] = ()) -> list[Finding]:
    """What the settings of production would do.

    Args:
        production: what is known of it.
        allowed: the names of those that are intended.

    Raises:
        ValueError: one of ``allowed`` is no such name.
    """
    for name in allowed:
        if name not in FINDINGS:
            raise ValueError(f"there is no {name!r}; there are {', '.join(FINDINGS)}")
    return [finding for rule in RULES for finding in rule(production) if finding.name not in allowed]
