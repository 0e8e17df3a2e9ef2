"""The project's Celery app, and the import path by which another process finds the same one."""

from __future__ import annotations

import contextlib
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
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
        BackchannelError: there is none; the message lists where it was looked for, or what stands in its place.
    """
    if configured:
        return _configured(configured, f"{option.removeprefix('the ini option ')} {configured!r}")
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


def _configured(configured: str, said: str) -> tuple[str, Any]:
    from celery import Celery

    module, _, attribute = configured.replace(":", ".").rpartition(".")
    try:
        found = import_module(module)
    except Exception as error:  # whatever the project's own module raises
        told = str(error) if isinstance(error, ImportError) else f"{type(error).__name__}: {error}"
        raise BackchannelError(f"{said} can't be imported: {told}") from error
    value = getattr(found, attribute, None)
    if value is None:
        # What a name such as config.celery means, where the package does not import its module.
        with contextlib.suppress(ImportError):
            value = import_module(f"{module}.{attribute}")
    if isinstance(value, Celery):
        return f"{module}:{attribute}", value
    inside = value if isinstance(value, ModuleType) else found
    apps = [name for name, other in vars(inside).items() if isinstance(other, Celery)]
    if apps:
        fix = f"give {f'{inside.__name__}:{apps[0]}'!r}"
    else:
        fix = "give 'package.module:attribute', such as 'config.celery:app'"
    if inside is not found:
        raise BackchannelError(f"{said}: that is a module, and no Celery app: {fix}")
    if not hasattr(found, attribute):
        raise BackchannelError(f"{said} can't be imported: {module!r} has no {attribute!r}: {fix}")
    raise BackchannelError(f"{said}: that is {_kind(value)}, and no Celery app: {fix}")


def _kind(value: object) -> str:
    return "None" if value is None else f"an object of the type {type(value).__name__!r}"


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
