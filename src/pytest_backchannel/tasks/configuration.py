"""Changes the settings of a Celery app for a while, so that they hold whatever the project's settings say."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from ..restoring import changed

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
    with ExitStack() as stack:
        for key, value in values.items():
            stack.enter_context(changed(conf.changes, {conf._key(key): value}))
            if conf[key] is not value:
                stack.enter_context(changed(conf.changes, {conf._to_keys(key)[0]: value}))
        yield


# --- end of private API
