"""Project code that a worker process runs before it begins: what a patch does in the test's process, done there."""

from __future__ import annotations

import contextlib
import importlib
import inspect
from collections.abc import Callable
from typing import Any

from ...errors import BackchannelError

Setup = str | Callable[[], Any]


def setup_path(setup: Setup) -> str:
    """Where a worker process finds a setup.

    Args:
        setup: ``package.module:function``, or the function, which has to be found by its name there.

    Returns:
        ``package.module:function``.

    Raises:
        BackchannelError: it can't be imported, or can't be called.
    """
    __tracebackhide__ = True
    if isinstance(setup, str):
        load(setup)
        return setup
    module, name = getattr(setup, "__module__", ""), getattr(setup, "__qualname__", "")
    path = f"{module}:{name}"
    if not callable(setup) or "<" in name or not module or module == "__main__":
        raise BackchannelError(
            f"setup={setup!r}: another process has to find it by its name. Give a function of a module, or "
            "'package.module:function'"
        )
    load(path)
    return path


def load(path: str) -> Callable[[], Any]:
    """The function that a path names.

    Raises:
        BackchannelError: it can't be imported, or can't be called.
    """
    __tracebackhide__ = True
    module, colon, name = path.partition(":")
    if not (module and colon and name):
        raise BackchannelError(f"setup={path!r}: write it as 'package.module:function'")
    try:
        found: Any = importlib.import_module(module)
    except ImportError as error:
        raise BackchannelError(f"setup={path!r}: the module can't be imported ({error})") from error
    for part in name.split("."):
        if not hasattr(found, part):
            raise BackchannelError(f"setup={path!r}: {getattr(found, '__name__', found)} has no {part!r}")
        found = getattr(found, part)
    if not callable(found):
        raise BackchannelError(f"setup={path!r}: {found!r} can't be called")
    function: Callable[[], Any] = found
    return function


def begin(path: str, stack: contextlib.ExitStack) -> None:
    """Run a setup; what it gives as a context manager is entered until the stack ends."""
    result = load(path)()
    if hasattr(result, "__enter__"):
        stack.enter_context(result)


def gives_context_manager(function: Callable[[], Any]) -> bool:
    """Whether a setup is undone at its end, so that it may run in the test's process too."""
    wrapped = inspect.unwrap(function)
    return inspect.isgeneratorfunction(wrapped) or (inspect.isclass(function) and hasattr(function, "__enter__"))
