"""What every shadow needs and keeps to itself, done once in the parent: each fork has it from the start then."""

from __future__ import annotations

import sys
from functools import lru_cache
from importlib import import_module

from ....events import OWN_FOLDER, is_project_file

# What the effects and the transactions of a shadow import: modules of Django and Celery, which both are loaded.
_MODULES = (
    "asyncio",
    "celery.app.task",
    "celery.canvas",
    "celery.result",
    "django.core.cache.backends.locmem",
    "django.core.files.storage",
    "django.core.mail.backends.base",
    "django.core.mail.backends.locmem",
    "django.db.transaction",
    "encodings.idna",
    "http.client",
)
# Between an effect and the project's line that has caused it stand files of these.
_BETWEEN = ("django.core.mail", "django.db", "django.dispatch", "celery.app", "celery.canvas", "asgiref")


@lru_cache(maxsize=1)
def warm_parent() -> None:
    """Import what shadows import, and look up whose the files are that they meet."""
    for name in _MODULES:
        import_module(name)
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and (name.startswith(_BETWEEN) or file.startswith(OWN_FOLDER)):
            is_project_file(file)
