"""What the project is, as a test needs it: its Celery app, its ASGI application, and what runs in production."""

from __future__ import annotations

import importlib.util
import os
from typing import TYPE_CHECKING, Any

import pytest

from ..options import once_per_config, options_of

if TYPE_CHECKING:
    from ..inventory.production import Profile


def require_celery(fixture: str) -> None:
    """Say what to install where a fixture needs Celery, and there is none.

    Raises:
        pytest.UsageError: it is not installed.
    """
    __tracebackhide__ = True
    if importlib.util.find_spec("celery") is None:
        raise pytest.UsageError(
            f"the fixture {fixture} needs celery, which is not installed: pip install 'pytest-backchannel[celery]'"
        )


def require_channels(item: pytest.Item) -> None:
    """Say what to install where ``websocket`` needs Channels, and there is none.

    Raises:
        pytest.UsageError: it is not installed.
    """
    __tracebackhide__ = True
    try:
        importlib.import_module("channels")
    except ImportError as error:
        raise pytest.UsageError(
            f"{item.nodeid}: websocket needs Channels: pip install 'pytest-backchannel[channels]' ({error})"
        ) from error


def check_named_modules(config: pytest.Config, *, celery: bool) -> None:
    """Look for what the ini options name, before the first test: an app that is none fails every test otherwise.

    What the options do not name is not looked for, and nothing is imported for it.

    Args:
        config: of the run.
        celery: whether the fixtures for tasks are on.

    Raises:
        pytest.UsageError: it is not there, or is something else; the message says what.
    """
    options = options_of(config)
    if celery and options.celery_app and importlib.util.find_spec("celery") is not None:
        find_celery_app(config)
    if options.production_settings and not _findable(options.production_settings):
        raise pytest.UsageError(
            f"backchannel_production_settings = {options.production_settings!r} can't be read: there is no such module "
            f"(looked for from {os.getcwd()}): give 'package.module', such as 'config.settings.production', and "
            "have its folder in pytest's pythonpath"
        )


def _findable(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False
    except Exception:  # whatever a package raises that is imported on the way: the process that reads it shows that
        return True


@once_per_config
def find_celery_app(config: pytest.Config) -> Any:
    """The project's Celery app: the one of the ini option, or of the settings' package, or the current one.

    Raises:
        pytest.UsageError: there is none.
    """
    __tracebackhide__ = True
    import celery._state

    from ..errors import BackchannelError
    from ..inventory.celery_app import find_app

    try:
        return find_app(options_of(config).celery_app, os.environ.get("DJANGO_SETTINGS_MODULE", ""))[1]
    except BackchannelError as error:
        # Celery makes an app of its own for a process that has none: that one is not the project's.
        state: Any = celery._state
        current = state._tls.current_app or state.default_app
        if options_of(config).celery_app or current is None or current.main == "default":
            # An import that breaks is the project's own affair, and has to be seen.
            cause = error.__cause__ if isinstance(error.__cause__, ImportError) else None
            said = str(error) if options_of(config).celery_app else f"task_queue: {error}"
            raise pytest.UsageError(said) from cause
        return current


@once_per_config
def production(config: pytest.Config) -> Profile:
    """What runs in production, read once a run.

    Raises:
        pytest.UsageError: the settings can't be read.
    """
    __tracebackhide__ = True
    from ..errors import BackchannelError
    from ..inventory.production import production_profile

    app = find_celery_app(config)
    conf = {name: app.conf.get(name) for name in ("broker_url", "broker_transport_options", "result_backend")}
    try:
        return production_profile(
            options_of(config).production_settings, namespace=app.namespace or "", celery_conf=conf
        )
    except BackchannelError as error:
        raise pytest.UsageError(str(error)) from None


def project_application() -> Any:
    """The application that the setting ``ASGI_APPLICATION`` names.

    Raises:
        pytest.UsageError: the setting is missing, or wrong.
    """
    __tracebackhide__ = True
    from channels.routing import get_default_application
    from django.core.exceptions import ImproperlyConfigured

    try:
        return get_default_application()
    except ImproperlyConfigured as error:
        raise pytest.UsageError(
            f"websocket(path) goes through the project's ASGI application: {error} Set "
            "ASGI_APPLICATION = 'package.asgi.application' in the settings that the tests use, or give "
            "websocket() an application or a consumer class."
            # An import that breaks is the project's own affair, and has to be seen.
        ) from (error.__context__ if isinstance(error.__context__, ImportError) else None)
