"""Changes the settings of a Celery app for a while, so that they hold whatever the project's settings say."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

from ..restoring import exchange, put

_EAGER = "TASK_ALWAYS_EAGER"


def ignored_eager_setting(app: Any, settings: Any) -> str:
    """Why Django's settings say that tasks are eager, and the app does not hear it; empty where that is not so.

    Args:
        app: a Celery app, its configuration loaded.
        settings: Django's settings.
    """
    namespace = app.namespace or ""
    read = f"{namespace}_{_EAGER}" if namespace else "task_always_eager"
    said = [name for name in (f"CELERY_{_EAGER}", _EAGER) if getattr(settings, name, False) is True]
    if app.conf.task_always_eager or not said or getattr(settings, read, False):
        return ""
    no_namespace = "Fix: app.config_from_object('django.conf:settings', namespace='CELERY')."
    fix = f"Name it {read}." if namespace else no_namespace
    why = f"reads settings that begin with {namespace}_" if namespace else "reads settings without a namespace"
    return f"{said[0]} = True is ignored: the Celery app {app.main!r} {why}. {fix}"


# --- private API: celery.utils.collections.ConfigurationView, seen on celery 5.5-5.7: how it looks up a key. A key of a
# --- configuration with a namespace goes by two names, task_always_eager and CELERY_TASK_ALWAYS_EAGER.


@contextmanager
def overridden(conf: Any, values: Mapping[str, Any]) -> Generator[None]:
    """Within the block, the settings have these values; afterwards those keys, and no others, are as before.

    Before celery 5.7 the name with the namespace is looked up first, in the project's settings too, so that what is
    assigned to ``app.conf`` under the other name does not win over them. Where the settings have such a key, it is
    overridden under both names.

    Args:
        conf: the app's configuration, loaded.
        values: the values by Celery's own names, such as ``task_always_eager``.
    """
    changes, before = conf.changes, {}
    try:
        for key, value in values.items():
            before.update(exchange(changes, {conf._key(key): value}))
            if conf[key] is not value:
                before.update(exchange(changes, {conf._to_keys(key)[0]: value}))
        yield
    finally:
        put(changes, before)


# --- end of private API
