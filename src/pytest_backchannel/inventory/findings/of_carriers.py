"""Where messages and results are kept, and how they are written."""

from __future__ import annotations

from collections.abc import Iterator

from ..celery_inventory import CeleryInventory
from .finding import Finding, Production, in_short, of_celery, own_tasks, scheme_of

MEMORY_BROKERS = ("memory", "filesystem")
# By the scheme of a result backend that stores nothing elsewhere, whatever Django's settings say.
LOCAL_CACHE_URLS = ("cache+memory", "cache+dummy")
OFF = ("", "disabled", "none")


@of_celery
def eager_tasks(celery: CeleryInventory) -> Iterator[Finding]:
    """The request waits for each task."""
    if celery.settings.get("task_always_eager"):
        yield Finding(
            name="eager_tasks",
            text="task_always_eager is true: each task runs in the process that enqueues it, a countdown at once, "
            "and no worker has anything to do. Fix: set it in the settings of the tests alone.",
        )


@of_celery
def memory_broker(celery: CeleryInventory) -> Iterator[Finding]:
    """No worker ever sees a message."""
    for name in ("broker_url", "broker_write_url", "broker_read_url"):
        scheme = scheme_of(celery.settings.get(name))
        if scheme in MEMORY_BROKERS:
            yield Finding(
                name="memory_broker",
                text=f"{name} is {scheme}://: what a web process enqueues reaches no worker in another process. Fix: "
                "the URL of a broker.",
            )
            return


def memory_results(production: Production) -> Iterator[Finding]:
    """Nobody else ever sees a result, and no chord goes on."""
    celery = production.celery
    if celery is None or not own_tasks(celery):
        return
    backend = str(celery.settings.get("result_backend") or "")
    where = ""
    if backend.rstrip(":/").startswith(LOCAL_CACHE_URLS):
        where = f"result_backend is {backend.rstrip(':/')}"
    elif backend.rstrip(":/") == "django-cache":
        alias = str(celery.settings.get("cache_backend") or "default")
        cache = production.site.caches.get(alias)
        if cache is not None and cache["local"]:
            where = f"result_backend is Django's cache {alias!r}, which is {cache['backend'].rpartition('.')[2]}"
    if where:
        yield Finding(
            name="memory_results",
            text=f"{where}: each process has its own, so that no web process sees a result, and no chord's body runs. "
            "Fix: a result backend that all processes share.",
        )


@of_celery
def chord_without_results(celery: CeleryInventory) -> Iterator[Finding]:
    """A chord raises NotImplementedError where it is begun."""
    if not celery.chords:
        return
    backend = str(celery.settings.get("result_backend") or "").rstrip(":/").lower()
    if backend in (*OFF, "rpc"):  # rpc has results, and no chords
        yield Finding(
            name="chord_without_results",
            text=f"{'rpc can have no chords' if backend == 'rpc' else 'there is no result backend'}, and "
            f"{in_short(celery.chords)} has chords: to begin one raises. Fix: result_backend.",
        )


@of_celery
def serialiser_refused(celery: CeleryInventory) -> Iterator[Finding]:
    """A worker throws such messages away."""
    settings = celery.settings
    accepted = settings.get("accept_content")
    refused = _refused(settings.get("task_serializer"), accepted)
    if refused:
        yield Finding(
            name="serialiser_refused",
            text=f"tasks are sent as {refused!r} (task_serializer), and workers accept {_shown(accepted)} alone "
            "(accept_content): they throw each message away. Fix: have the one in the other.",
        )
    yield from _refused_of_tasks(celery, bool(refused))
    refused = _refused(settings.get("result_serializer"), settings.get("result_accept_content") or accepted)
    if refused and str(settings.get("result_backend") or "").rstrip(":/").lower() not in OFF:
        yield Finding(
            name="serialiser_refused",
            text=f"results are stored as {refused!r} (result_serializer), and "
            f"{_shown(settings.get('result_accept_content') or accepted)} alone is accepted (result_accept_content, "
            "else accept_content): to read one raises ContentDisallowed. Fix: have the one in the other.",
        )


def _refused_of_tasks(celery: CeleryInventory, refused: bool) -> Iterator[Finding]:
    """Of tasks with a serialiser of their own."""
    default, accepted = celery.settings.get("task_serializer"), celery.settings.get("accept_content")
    for task in own_tasks(celery):
        own = task.options.get("serializer")
        if own != default and _refused(own, accepted):
            yield Finding(
                name="serialiser_refused",
                text=f"{task.name} is sent as {own!r}, and workers accept {_shown(accepted)} alone (accept_content): "
                "they throw each of its messages away. Fix: have it in accept_content.",
            )


def _refused(serializer: object, accepted: object) -> str:
    """The serialiser, where what it writes is not accepted; empty where it is, or can't be told."""
    from kombu.serialization import registry

    if not isinstance(serializer, str) or not isinstance(accepted, list | tuple):
        return ""
    # kombu.serialization.prepare_accept_content() raises for what is not registered here.
    types = registry.name_to_type
    written = types.get(serializer, serializer)
    return "" if written in {types.get(name, name) for name in accepted} else serializer


def _shown(accepted: object) -> str:
    return " and ".join(map(repr, accepted)) if isinstance(accepted, list | tuple) and accepted else "nothing"
