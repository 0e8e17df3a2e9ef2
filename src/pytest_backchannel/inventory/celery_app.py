"""The project's Celery app, and the import path by which another process finds the same one."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from ..errors import BackchannelError

_NAMES = ("app", "celery_app", "celery")


def find_app(
    configured: str, settings_module: str, *, option: str = "the ini option backchannel_celery_app ="
) -> tuple[str, Any]:
    """The app and its path, as ``package.module:attribute``.

    Args:
        configured: what the project says (ini ``backchannel_celery_app``); empty looks where Celery's guide for Django
            puts it: ``celery.py`` in the package of the settings, or that package itself.
        settings_module: Django's settings module, such as ``config.settings``.
        option: where the project says it, for the messages.

    Raises:
        BackchannelError: there is none; the message lists where it was looked for.
    """
    if configured:
        module, _, attribute = configured.replace(":", ".").rpartition(".")
        try:
            return f"{module}:{attribute}", getattr(import_module(module), attribute)
        except (ImportError, AttributeError) as error:
            raise BackchannelError(
                f"{option.removeprefix('the ini option ')} {configured!r} can't be imported: {error}"
            ) from error
    looked: list[str] = []
    package = settings_module
    while "." in package:
        package = package.rpartition(".")[0]
        for module in (f"{package}.celery", package):
            looked.append(module)
            path = _app_in(module)
            if path is not None:
                return path
    raise BackchannelError(
        f"found no Celery app in {' or '.join(looked) or 'the package of the settings'}: say where it is with "
        f"{option} config.celery:app"
    )


def _app_in(module: str) -> tuple[str, Any] | None:
    from celery import Celery

    if find_spec(module) is None:
        return None
    found = import_module(module)
    names = [*_NAMES, *(name for name in vars(found) if name not in _NAMES)]
    for name in names:
        if isinstance(getattr(found, name, None), Celery):
            return f"{module}:{name}", getattr(found, name)
    return None
