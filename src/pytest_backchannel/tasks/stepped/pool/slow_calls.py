"""What takes time in production and none in a test: a function that is called takes some seconds of virtual time."""

from __future__ import annotations

import functools
import inspect
import pkgutil
import sys
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from difflib import get_close_matches
from types import ModuleType
from typing import Any

from ....clock.virtual import active_clock
from ....events import EventLog, caller
from ....restoring import MISSING
from ...records import TookTime

FORMS = "a task, its name, a function, or the dotted path of a function where it is looked up ('billing.mail.deliver')"


class TakesTime:
    """Lets virtual time pass, in a step and beside one.

    Args:
        time: a context manager in which time can be moved.
        log: takes it down.
        target: what takes the time, for the log.
        seconds: how much.
    """

    def __init__(
        self, time: Callable[..., AbstractContextManager[object]], log: EventLog, target: str, seconds: float
    ) -> None:
        self._time = time
        self._log = log
        self._target = target
        self._seconds = seconds

    def __call__(self) -> None:
        """Let it pass, as a ``time.sleep`` does: a time limit cuts it off."""
        self._record()
        with self._time(moves=True):
            if (clock := active_clock()) is not None:
                clock.sleep_for(self._seconds)

    async def in_coroutine(self) -> None:
        """Let it pass, as an ``asyncio.sleep`` does."""
        self._record()
        with self._time(moves=True):
            if (clock := active_clock()) is not None:
                await clock.ashift(self._seconds)

    def _record(self) -> None:
        self._log.record(TookTime, where=caller(), target=self._target, seconds=self._seconds)


def task_name(target: Any, app: Any) -> str | None:
    """The name of the task that is meant; None where it is none of the app's tasks."""
    name = target if isinstance(target, str) else getattr(target, "name", None)
    return name if isinstance(name, str) and name in app.tasks else None


class SlowCall:
    """A function that can take time each time that it is called, wherever it is looked up.

    Args:
        target: the function, or its dotted path.
        app: the Celery app, whose tasks are named where there is no such function.

    Attributes:
        name: of the function.

    Raises:
        TypeError: it is nothing that can be called.
        ValueError: there is no such function, or it can't be found where it is looked up.
    """

    def __init__(self, target: Any, app: Any) -> None:
        if isinstance(target, str):
            self.name = target
            self._places = [_place_of_path(target, app)]
        else:
            _check_callable(target, repr(target))
            self.name = f"{getattr(target, '__module__', '?')}.{getattr(target, '__qualname__', target)}"
            self._places = _places_of(target)

    @contextmanager
    def taking(self, takes: TakesTime) -> Generator[None]:
        """Within the block each call takes its time, and then does what it does."""
        with ExitStack() as stack:
            for owner, name in self._places:
                stack.enter_context(_replaced(owner, name, lambda function: _slowed(function, takes)))
            yield


def _slowed(function: Callable[..., Any], takes: TakesTime) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def aslow(*args: Any, **kwargs: Any) -> Any:
            await takes.in_coroutine()
            return await function(*args, **kwargs)

        return aslow

    @functools.wraps(function)
    def slow(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        takes()
        return function(*args, **kwargs)

    return slow


@contextmanager
def _replaced(owner: Any, name: str, change: Callable[[Any], Any]) -> Generator[None]:
    """Within the block an attribute is another; an inherited one, or a method of one object, is covered."""
    own = vars(owner).get(name, MISSING)
    found = inspect.getattr_static(owner, name) if own is MISSING else own
    if isinstance(owner, type) or own is not MISSING:
        wrap = type(found) if isinstance(found, staticmethod | classmethod) else lambda changed: changed
        ours = wrap(change(getattr(found, "__func__", found)))
    else:
        ours = change(getattr(owner, name))
    setattr(owner, name, ours)
    try:
        yield
    finally:
        if vars(owner).get(name) is ours:  # what somebody has put there meanwhile is theirs
            if own is MISSING:
                delattr(owner, name)
            else:
                setattr(owner, name, own)


# ------------------------------------------------------------------ where it is looked up


def _place_of_path(path: str, app: Any) -> tuple[Any, str]:
    owner_path, _, name = path.rpartition(".")
    try:
        if not owner_path:
            raise ImportError("the path of a function has a dot")
        owner = pkgutil.resolve_name(owner_path)
        function = getattr(owner, name)
    except (ImportError, AttributeError, ValueError) as error:
        near = get_close_matches(path, [known for known in app.tasks if not known.startswith("celery.")], n=1)
        hint = f" The nearest task is {near[0]!r}." if near else ""
        raise ValueError(
            f"slow({path!r}): no task has this name, and there is no such function ({error}).{hint} Give {FORMS}."
        ) from None
    _check_callable(function, repr(path))
    return owner, name


def _places_of(function: Any) -> list[tuple[Any, str]]:
    """Every place where a function is looked up: its own, and the modules that have imported it."""
    if inspect.ismethod(function):
        return [(function.__self__, function.__name__)]
    name = getattr(function, "__qualname__", "")
    own = getattr(function, "__self__", None)  # a builtin's module
    module = own if isinstance(own, ModuleType) else sys.modules.get(getattr(function, "__module__", "") or "")
    owner_name, _, attribute = name.rpartition(".")
    try:
        owner: Any = module
        for part in owner_name.split(".") if owner_name else ():
            owner = getattr(owner, part)
        found = inspect.getattr_static(owner, attribute)
    except AttributeError:
        found = owner = None
    if getattr(found, "__func__", found) is not function:
        raise ValueError(
            f"slow({function!r}): it is not what {getattr(module, '__name__', '?')}.{name} is, so that nobody who "
            f"calls it would find another in its place. Give {FORMS}."
        )
    if owner_name:
        return [(owner, attribute)]
    loaded: list[Any] = list(sys.modules.values())
    return [
        (other, key)
        for other in loaded
        if isinstance(other, ModuleType)
        for key, value in list(vars(other).items())
        if value is function
    ]


def _check_callable(target: Any, shown: str) -> None:
    if isinstance(target, type):
        raise TypeError(
            f"slow({shown}): {target.__name__} is a class; give its method that takes the time, such as "
            f"'{target.__module__}.{target.__qualname__}.send'"
        )
    if not callable(target):
        raise TypeError(f"slow({shown}): that can't be called. Give {FORMS}.")
