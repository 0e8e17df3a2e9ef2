"""What a child process says of an exception, and whose code a module is."""

from __future__ import annotations

import importlib.util
import os
import sys
import sysconfig
import traceback
from typing import Any

_OWN = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_LIBRARIES = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})
MOST_LINES = 24
"""How many lines of a traceback are told."""


def is_project_file(file: str) -> bool:
    """Whether a file belongs to the project: not to Python, an installed package or this plugin."""
    outside = file.startswith((_OWN, "<", *_LIBRARIES)) or "site-packages" in file
    return bool(file) and not outside and not file.startswith(os.path.join(sys.base_prefix, "lib"))


def is_of_project(module: Any) -> bool:
    """Whether a module belongs to the project."""
    return is_project_file(str(getattr(module, "__file__", None) or ""))


def first_line(error: BaseException) -> str:
    """An exception in one line: its type and text, and the innermost line of it that is no library's."""
    near = [frame for frame in traceback.extract_tb(error.__traceback__) if is_project_file(frame.filename)]
    where = f" [{short(near[-1].filename)}:{near[-1].lineno}]" if near else ""
    first = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {first}{where}" if first else f"{type(error).__name__}{where}"


def short(file: str) -> str:
    """The path of a file from where the process runs, if it is below."""
    try:
        relative = os.path.relpath(file)
    except ValueError:  # another drive
        return file
    return file if relative.startswith("..") else relative


def shown(error: BaseException) -> list[str]:
    """The traceback of an exception, without what stands below the project's first line: the import system, mostly."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith((_OWN, "<frozen")) and not _is_import_system(frame.filename)
    ]
    lines = [line for text in traceback.format_list(frames) for line in text.rstrip().splitlines()]
    ends = [line for text in traceback.format_exception_only(error) for line in text.rstrip().splitlines()]
    return [*lines[-MOST_LINES:], *ends]


def _is_import_system(file: str) -> bool:
    return os.path.basename(os.path.dirname(file)) == "importlib"


def is_of_the_environment(error: BaseException) -> bool:
    """Whether it may fail only here: a variable or a package that production has, settings, or what was refused."""
    if not _is_project_at_fault(error):
        return True
    if isinstance(error, ModuleNotFoundError):
        package = str(error.name or "").partition(".")[0]
        return not package or importlib.util.find_spec(package) is None
    return isinstance(error, KeyError) and _raised_in(error) == "os"  # of os.environ[...]


def _raised_in(error: BaseException) -> str:
    """The name of the module whose code has raised it."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return str(frames[-1].f_globals.get("__name__", "")) if frames else ""


def _is_project_at_fault(error: BaseException) -> bool:
    from django.conf import settings
    from django.core.exceptions import ImproperlyConfigured

    from .refusals import refused

    if refused() or isinstance(error, ImproperlyConfigured) or not settings.configured:
        return False
    return any(is_project_file(frame.filename) for frame in traceback.extract_tb(error.__traceback__))
