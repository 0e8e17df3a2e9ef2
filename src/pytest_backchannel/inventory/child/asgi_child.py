"""The child process that imports the ASGI application alone, as a server does, and says what a web process would have.

Nothing calls ``django.setup()`` for it, and no test has imported anything before: what only works because something
else came first fails here as it does when the server starts.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from types import FunctionType
from typing import Any

from .described.consumer_class import consumer_class
from .refusals import refused
from .site_settings import site_settings
from .telling import first_line, is_of_project, is_of_the_environment, shown


def asgi_inventory(settings: str, configured: str, tests_settings: str) -> dict[str, Any]:
    """What a fresh web process would have, as plain data.

    Args:
        settings: the settings module of production.
        configured: what the ini option ``backchannel_celery_app`` says.
        tests_settings: the settings module of the tests: the Celery app may stand beside that one.

    Raises:
        Exception: whatever the settings raise while they are imported.
    """
    from django.conf import settings as used

    path = getattr(used, "ASGI_APPLICATION", None)  # reads the settings, and sets nothing up
    # As a server has it: an application may ask by which command it runs.
    sys.argv = ["uvicorn", str(path).replace(".application", ":application")]
    application, failure = _application(path) if path else (None, None)
    found: dict[str, Any] = {
        "settings_module": settings,
        "application": path or "",
        "failure": failure,
        "routes": [],
        "without_celery_app": [],
        "celery_app": "",
        "unknown": [],
    }
    if application is not None:
        found["routes"], unknown = _routes(application)
        found["unknown"] += unknown + _import_urls()
        found["without_celery_app"] = _shared_tasks_without_an_app()
        if found["without_celery_app"]:
            found["celery_app"] = _celery_app(configured, settings, tests_settings)
    found["unknown"] += [f"refused: {what}" for what in refused()]
    found["site"] = site_settings()
    return found


def _application(path: str) -> tuple[Any, dict[str, Any] | None]:
    module, _, attribute = path.rpartition(".")
    try:
        return getattr(importlib.import_module(module), attribute), None
    except Exception as error:
        return None, {
            "text": first_line(error),
            "type": type(error).__name__,
            "traceback": shown(error),
            "environment": is_of_the_environment(error),
        }


def _routes(application: Any) -> tuple[list[dict[str, Any]], list[str]]:
    """The endpoints, and why they are not known."""
    if importlib.util.find_spec("channels") is None:
        return [], []
    from ...channels.routes import routes_of

    try:
        routes = routes_of(application)
    except Exception as error:  # an application of another kind than the walk has met
        return [], [f"the routes of the ASGI application: {first_line(error)}"]
    return [
        {
            "protocol": route.protocol,
            "path": route.path,
            "consumer": f"{route.consumer.__module__}.{route.consumer.__qualname__}" if route.consumer else "",
            "handlers": list(route.handlers),
            "middleware": list(route.middleware),
            **consumer_class(route.consumer, route.handlers),
        }
        for route in routes
    ], []


def _import_urls() -> list[str]:
    """Import what the first request imports: views, and with them most of the tasks."""
    from django.apps import apps
    from django.conf import settings
    from django.urls import get_resolver

    if not apps.ready or not getattr(settings, "ROOT_URLCONF", ""):
        return []
    try:
        _ = get_resolver().url_patterns
    except Exception as error:
        return [f"the URLconf: {first_line(error)}"]
    return []


def _celery_app(configured: str, settings: str, tests_settings: str) -> str:
    """Where the project has its Celery app; empty where it has none that can be found."""
    from ...errors import BackchannelError
    from ..celery_app import find_app

    for place in (settings, tests_settings):
        try:
            return find_app(configured, place)[0]
        except BackchannelError:
            continue
    return ""


# --- private API: celery._state, seen on celery 5.5–5.7: the apps of the process, and what shared_task leaves to be
# --- made for each of them: a lambda that holds the function.


def _shared_tasks_without_an_app() -> list[str]:
    """The modules whose shared tasks belong to no app of the project's, here; empty where all is well."""
    state: Any = sys.modules.get("celery._state")
    if state is None or any(app.main != "default" for app in state._get_active_apps()):
        return []
    functions = (function for receiver in state._on_app_finalizers for function in _held_by(receiver))
    modules = {function.__module__ for function in functions if is_of_project(sys.modules.get(function.__module__))}
    return sorted(modules)


def _held_by(receiver: Any) -> Iterator[FunctionType]:
    for cell in getattr(receiver, "__closure__", None) or ():
        if isinstance(cell.cell_contents, FunctionType):
            yield cell.cell_contents


# --- end of private API
