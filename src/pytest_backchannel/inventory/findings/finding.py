"""One thing that the settings of production would do, and the names of all of them; see production-settings.md."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..asgi_inventory import AsgiInventory, SiteSettings
from ..celery_inventory import CeleryInventory, KnownTask

DEFAULT_VISIBILITY_TIMEOUTS = {"redis": 3600.0, "rediss": 3600.0, "sentinel": 3600.0, "valkey": 3600.0, "sqs": 1800.0}
"""By the scheme of the broker, in seconds (kombu 5.5–5.7); other brokers have none."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One of them.

    Attributes:
        name: its stable name, which the ini option ``backchannel_settings_allow`` takes.
        text: what is set, what it does in production, and the fix, in one line.
        traceback: for what can't be imported, its traceback, as lines.
    """

    name: str
    text: str
    traceback: Sequence[str] = ()


FINDINGS = {
    "asgi_import": "The ASGI application can't be imported by a fresh process, as a server does it.",
    "beat_arguments": "A beat entry calls its task with arguments that do not fit.",
    "beat_every_minute": "A crontab has one hour and no minute: it is due sixty times in that hour.",
    "beat_expires_early": "The message of a rare beat entry expires in less than a minute.",
    "beat_pile_up": "A task may take longer than the time between two of its beat entry, and the messages never "
    "expire.",
    "beat_unknown_task": "A beat entry names a task that no worker knows.",
    "celery_app_not_loaded": "A web process imports shared tasks, and not the Celery app that they are for.",
    "celery_import": "The Celery app can't be loaded by a fresh process, as a worker does it.",
    "chord_without_results": "The code has chords, and there is no result backend.",
    "eager_tasks": "Tasks run in the process that enqueues them.",
    "http_timeout": "Code calls a client that may wait for its server for ever.",
    "layer_capacity": "The channel layer has room for one message of each channel.",
    "layer_idle_timeout": "A read of the channel layer times out before its wait is over: idle consumers die.",
    "mail_timeout": "Mail goes to a server that may let its client wait for ever.",
    "memory_broker": "The broker lives in the memory of one process.",
    "memory_layer": "The channel layer lives in the memory of one process.",
    "memory_results": "Results are kept in the memory of one process.",
    "results_expire_early": "The parts of a chord may take longer than their results are kept.",
    "retry_beyond_visibility": "A retry waits for longer than the visibility timeout: Redis delivers it again "
    "meanwhile.",
    "retry_after_expiry": "A task expires before its first retry is due.",
    "route_misspelt": "A route is for a task that there is not, and a task of a similar name has none.",
    "serialiser_refused": "Workers, or those who read results, refuse what is sent.",
    "time_limit_beyond_visibility": "A task that acknowledges late may run for longer than the visibility timeout.",
    "unserved_route": "Messages go to a queue that no worker consumes.",
}
"""Every name, with one sentence for the reference."""


@dataclass(frozen=True, kw_only=True)
class Production:
    """What the rules look at.

    Attributes:
        celery: what a worker has; None where the project has no Celery app, or it is not known.
        asgi: what a web process has; None where it is not known.
        worker_queues: the queues that the workers consume, as the project says; empty where it does not say.
    """

    celery: CeleryInventory | None = None
    asgi: AsgiInventory | None = None
    worker_queues: Sequence[str] = ()

    @property
    def site(self) -> SiteSettings:
        """Mail, layers and caches."""
        known = self.asgi or self.celery
        return known.site if known is not None else SiteSettings()

    @property
    def waiting_calls(self) -> list[Mapping[str, str]]:
        """Of workers and of web processes, each once."""
        known = [one.site.waiting_calls for one in (self.celery, self.asgi) if one is not None]
        return list({call["where"]: call for calls in known for call in calls}.values())


Rule = Callable[[Production], Iterator[Finding]]


def of_celery(rule: Callable[[CeleryInventory], Iterator[Finding]]) -> Rule:
    """A rule that looks at what a worker has, and at nothing else: it is silent where that is not known."""

    @functools.wraps(rule)
    def judge(production: Production) -> Iterator[Finding]:
        if production.celery is not None:
            yield from rule(production.celery)

    return judge


def own_tasks(celery: CeleryInventory) -> list[KnownTask]:
    """The tasks of the project, and of the libraries that it has installed; Celery's own are left out."""
    return [task for task in celery.tasks.values() if not task.name.startswith("celery.")]


def scheme_of(url: object) -> str:
    """The kind of broker or backend that a setting names; empty where it says nothing."""
    if isinstance(url, list | tuple):
        url = url[0] if url else ""
    return str(url or "").partition(";")[0].partition("://")[0].partition("+")[0].lower()


def visibility_timeout(celery: CeleryInventory) -> float | None:
    """After how many seconds the broker delivers an unacknowledged message again; None where it does not."""
    default = DEFAULT_VISIBILITY_TIMEOUTS.get(scheme_of(celery.settings.get("broker_url")))
    if default is None:
        return None
    options = celery.settings.get("broker_transport_options") or {}
    said = options.get("visibility_timeout", default)
    return float(said) if isinstance(said, int | float) else default


def in_short(names: Sequence[str], most: int = 3) -> str:
    """Some names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
