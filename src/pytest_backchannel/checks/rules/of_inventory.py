"""BC7xx: what only production itself shows: its settings as they are in the end, its tasks, its ASGI application."""

from __future__ import annotations

from typing import ClassVar

from ..rule import InventoryRule


class AsgiImport(InventoryRule):
    """BC701."""

    code = "BC701"
    name = "asgi-import"
    severity: ClassVar = "error"
    finding = "asgi_import"
    why = "No server starts. A test does not see it: by then pytest-django has set Django up, which a server has not."
    fix = "`get_asgi_application()` before anything is imported that has models."


class CeleryImport(InventoryRule):
    """BC702."""

    code = "BC702"
    name = "celery-import"
    severity: ClassVar = "error"
    finding = "celery_import"
    why = "No worker starts."
    fix = "What the message says; `celery -A … inspect registered` fails alike."


class AppNotLoaded(InventoryRule):
    """BC703."""

    code = "BC703"
    name = "celery-app-not-loaded"
    severity: ClassVar = "error"
    finding = "celery_app_not_loaded"
    why = "What it enqueues goes to a broker on its own machine, without any of your settings."
    fix = "Import the app in the package's `__init__.py`, as Celery's guide for Django has it."


class BeatArguments(InventoryRule):
    """BC704."""

    code = "BC704"
    name = "beat-arguments"
    severity: ClassVar = "error"
    finding = "beat_arguments"
    why = "Beat logs a `TypeError` and sends nothing."
    fix = "`args` and `kwargs` of the entry, by the task's own parameters."


class BeatEveryMinute(InventoryRule):
    """BC705."""

    code = "BC705"
    name = "beat-every-minute"
    severity: ClassVar = "error"
    finding = "beat_every_minute"
    why = "`crontab(hour=2)` leaves the minute at `*`."
    fix = "`crontab(minute=0, hour=2)`."


class BeatExpiresEarly(InventoryRule):
    """BC706."""

    code = "BC706"
    name = "beat-expires-early"
    finding = "beat_expires_early"
    why = "Where each worker is busy for that minute, the night's run is left out."
    fix = "A longer `expires`."


class BeatPileUp(InventoryRule):
    """BC707."""

    code = "BC707"
    name = "beat-pile-up"
    finding = "beat_pile_up"
    why = "After an outage each of the messages that waited is run."
    fix = "`expires` in the entry's options, or a lower time limit."


class ChordWithoutResults(InventoryRule):
    """BC708."""

    code = "BC708"
    name = "chord-without-results"
    severity: ClassVar = "error"
    finding = "chord_without_results"
    why = "To begin a chord raises; eager tests need no backend, and are green."
    fix = "`CELERY_RESULT_BACKEND`."


class MemoryBroker(InventoryRule):
    """BC709."""

    code = "BC709"
    name = "memory-broker"
    severity: ClassVar = "error"
    finding = "memory_broker"
    why = "What a web process enqueues reaches no worker."
    fix = "The URL of a broker."


class MemoryResults(InventoryRule):
    """BC710."""

    code = "BC710"
    name = "memory-results"
    severity: ClassVar = "error"
    finding = "memory_results"
    why = "No web process sees a result, and no chord's body runs."
    fix = "A result backend that all processes share."


class ResultsExpireEarly(InventoryRule):
    """BC711."""

    code = "BC711"
    name = "results-expire-early"
    finding = "results_expire_early"
    why = "A chord whose last part takes as long never ends."
    fix = "A longer `CELERY_RESULT_EXPIRES`."


class RetryAfterExpiry(InventoryRule):
    """BC712."""

    code = "BC712"
    name = "retry-after-expiry"
    severity: ClassVar = "error"
    finding = "retry_after_expiry"
    why = "A retry keeps the moment at which its first message expires: it is thrown away."
    fix = "A longer `expires`, or a shorter delay."


class SerialiserRefused(InventoryRule):
    """BC713."""

    code = "BC713"
    name = "serialiser-refused"
    severity: ClassVar = "error"
    finding = "serialiser_refused"
    why = "Workers throw away each message that they do not accept."
    fix = "The serialiser in `CELERY_ACCEPT_CONTENT`."


class LimitBeyondVisibility(InventoryRule):
    """BC714."""

    code = "BC714"
    name = "limit-beyond-visibility"
    severity: ClassVar = "error"
    finding = "time_limit_beyond_visibility"
    why = "Redis gives its message to another worker while it runs: it runs twice at once."
    fix = "A longer `visibility_timeout`, or a lower time limit."


INVENTORY_RULES = (
    AsgiImport(),
    CeleryImport(),
    AppNotLoaded(),
    BeatArguments(),
    BeatEveryMinute(),
    BeatExpiresEarly(),
    BeatPileUp(),
    ChordWithoutResults(),
    MemoryBroker(),
    MemoryResults(),
    ResultsExpireEarly(),
    RetryAfterExpiry(),
    SerialiserRefused(),
    LimitBeyondVisibility(),
)
"""In the order of their codes."""
