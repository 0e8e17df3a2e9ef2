"""Time that stands still until it is moved: for countdowns, retries with delay, expiry, beat, and code that sleeps.

What follows a :class:`VirtualClock`:

* ``time.time``, ``datetime.now`` and all else that time-machine patches, on the level of C, so that every reference
  to them follows, wherever it was imported.
* ``time.sleep`` and ``asyncio.sleep``, called by the project's code or by a package on its behalf: they return at
  once, move the clock and are recorded. ``from time import sleep`` follows too: each module that holds such a
  reference is found and patched. A reference kept elsewhere (a default argument, an attribute of an object) is not.
* ``time.monotonic`` and ``time.perf_counter``, by way of the ``time`` module and in the project's own modules: they
  run on in real time, and leap ahead by what the clock was moved. Time outs that Python and pytest measure for
  themselves (locks, queues, sockets, subprocesses, pytest-timeout) bound the real functions, and stay real.
* asyncio's loops: see :mod:`pytest_backchannel.clock.loops`.

A sleep without any of the project's code on its call stack, such as one of a server's own thread, is a real one.
"""

from __future__ import annotations

import asyncio
import asyncio.tasks
import functools
import inspect
import math
import sys
import threading
import time
import weakref
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any

from ..active import Slot
from ..errors import BackchannelError
from ..events import Event, Location, caller, current_log, is_project_file
from .loops import Loops

#: A loop that sleeps, checks and sleeps again ends here instead of running for ever.
MAX_SLEEPS = 100_000

# Packages that wait for something outside of the process, or for pytest itself: for them a sleep is a real one.
_REAL = ("execnet", "mirakuru", "playwright", "pytest_backchannel.servers", "pytest_timeout", "selenium", "xdist")


class Slept(Event):
    """A sleep that took no real time.

    Attributes:
        seconds: how long it asked for.
        kind: ``time.sleep`` or ``asyncio.sleep``.
    """

    seconds: float
    kind: str

    def headline(self) -> str:
        """How long, and by which function."""
        return f"{self.kind}({self.seconds:g})"


@dataclass(frozen=True, eq=False)
class _Deadline:
    moment: float
    error: Callable[[], BaseException | None]


class VirtualClock:
    """Stops time, and moves it.

    A context manager. While one is active, entering another gives the active one: a test, a fixture and a double
    share one time.

    Args:
        start: where to begin: a timezone-aware datetime, or seconds since the epoch. By default the next whole
            second after the real now (or just now, where time-machine has moved it already), so that sums of
            seconds come out exact.

    Attributes:
        sleeps: the sleeps so far, each with ``seconds``, ``kind`` and ``where`` (file, line, function).
        began: the moment at which it began, in seconds since the epoch.

    Raises:
        BackchannelError: time-machine is not installed.

    Example:
        >>> with VirtualClock() as clock:
        ...     before = clock.time()
        ...     time.sleep(60)
        ...     clock.shift(40)
        ...     assert clock.time() == before + 100
        ...     assert [sleep.seconds for sleep in clock.sleeps] == [60]
    """

    def __init__(self, start: datetime | float | None = None) -> None:
        self._start = None if start is None else _timestamp(start)
        self._depth = 0
        self._moved = 0.0
        self.began = 0.0
        self._lock = threading.RLock()
        self.sleeps: list[Slept] = []
        self._deadlines: list[_Deadline] = []

    # ---------------------------------------------------------------- begin, end

    def __enter__(self) -> VirtualClock:
        active = _active.value
        if active is not None:
            active._depth += 1
            if self._start is not None:
                active.move_to(self._start)
            return active
        time_machine = _time_machine()
        start = self._start
        if start is None:
            start = time.time() if time_machine.escape_hatch.is_travelling() else math.ceil(time.time())
        # A float, not a datetime: with a datetime time-machine would set the process's time zone as well.
        # The fraction apart, since time-machine makes nanoseconds of the float: of both together not exactly.
        whole = math.floor(start)
        self._travel = time_machine.travel(float(whole), tick=False)
        self._traveller = self._travel.start()
        self._traveller.shift(round(start - whole, 6))
        self._depth, self._moved, self.sleeps, self.began = 1, 0.0, [], float(start)
        self._loops = Loops(self._move, _real["monotonic"])
        _active.value = self
        try:
            self._loops.install()
            _references.replace()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        clock = self if self._depth else _active.value
        if clock is None:
            raise BackchannelError("this VirtualClock is not active: leave it as often as it was entered")
        clock._depth -= 1
        if clock._depth:
            return
        _references.restore()
        clock._loops.uninstall()
        _active.value = None
        clock._travel.stop()

    # ---------------------------------------------------------------------- read

    def time(self) -> float:
        """The seconds since the epoch, as ``time.time()`` gives them."""
        return time.time()

    @property
    def now(self) -> datetime:
        """The moment, in UTC."""
        return datetime.now(UTC)

    # ---------------------------------------------------------------------- move

    def shift(self, seconds: float | timedelta) -> None:
        """Move the clock forward; loop timers that it passes fire when their loop runs next.

        Args:
            seconds: how far, in seconds or as a timedelta.

        Raises:
            TypeError: it is neither.
            ValueError: it is negative or not finite.
        """
        self._move(seconds_of(seconds, "shift"))

    async def ashift(self, seconds: float | timedelta) -> None:
        """Move the clock forward, letting the loop's timers on the way fire in order, each at its own time."""
        await self._loops.pass_time(seconds_of(seconds, "shift"), real_sleep=_real_asyncio_sleep)

    def move_to(self, when: datetime | float) -> None:
        """Set the clock.

        Timers of event loops and ``time.monotonic`` follow a move forward; a move back leaves them, since they
        never go back.

        Args:
            when: a timezone-aware datetime, or seconds since the epoch.

        Raises:
            TypeError: it is neither.
            ValueError: the datetime has no time zone, so that the moment is not clear.
        """
        self._move(_timestamp(when) - time.time(), back=True)

    def _move(self, seconds: float, *, back: bool = False) -> None:
        if _active.value is not self:
            raise BackchannelError("this VirtualClock is not active: use the one that `with VirtualClock() as …` gave")
        with self._lock:
            target = time.time() + seconds
            # As a timedelta, to the microsecond: as a float it may end a few nanoseconds before the moment that was
            # meant, and datetime.now() a microsecond. A sleep moves the clock, however short it is.
            self._traveller.shift(timedelta(seconds=seconds) or timedelta(microseconds=1 if seconds > 0 else 0))
            if abs(time.time() - target) > 1e-3:
                raise BackchannelError(
                    f"the clock was moved by {seconds:g} s, and time.time() did not follow: something else holds the "
                    "time, such as time_machine.travel() or freezegun inside of the virtual clock. "
                    "Fix: move time with virtual_clock.move_to(...) alone."
                )
            if not back or seconds > 0:
                self._moved += seconds
                self._loops.passed(seconds)

    def add_deadline(self, seconds: float, error: Callable[[], BaseException | None]) -> object:
        """Cut off, from now on, the ``time.sleep`` that crosses a moment: it ends then, and raises.

        Args:
            seconds: how far from now the moment is.
            error: makes what the sleep raises; where it returns None, the sleep goes on.

        Returns:
            What :meth:`remove_deadline` takes.
        """
        deadline = _Deadline(time.time() + seconds, error)
        self._deadlines.append(deadline)
        return deadline

    def remove_deadline(self, deadline: object) -> None:
        """Forget a moment that :meth:`add_deadline` gave; one that was passed is forgotten already."""
        self._deadlines = [other for other in self._deadlines if other is not deadline]

    def sleep_for(self, seconds: float) -> None:
        """Move the clock as a ``time.sleep`` does: deadlines on the way are met, each at its own moment.

        Args:
            seconds: how far.

        Raises:
            BaseException: what a deadline raises; the clock then stands at its moment.
        """
        end = time.time() + seconds
        while (due := self._next_deadline(end)) is not None:
            self.remove_deadline(due)
            self._move(max(0.0, due.moment - time.time()))
            error = due.error()
            if error is not None:
                raise error
            seconds = max(0.0, end - time.time())
        self._move(seconds)

    def _next_deadline(self, end: float) -> _Deadline | None:
        return min((d for d in self._deadlines if d.moment < end), key=lambda d: d.moment, default=None)

    def _record(self, kind: str, seconds: float, where: Location | None) -> None:
        if len(self.sleeps) >= MAX_SLEEPS:
            slept = sum(sleep.seconds for sleep in self.sleeps)
            raise BackchannelError(
                f"{kind} was called {MAX_SLEEPS:,} times ({slept:g} virtual seconds): a loop at {where} waits for "
                "something that never comes. Sleeps return at once here, so what it waits for has to happen "
                "in this process."
            )
        self.sleeps.append(current_log().record(Slept, where=where, seconds=seconds, kind=kind))


_active = Slot[VirtualClock]("virtual clock")


def active_clock() -> VirtualClock | None:
    """The clock that rules now; None where time is real."""
    return _active.value


def time_is_real() -> bool:
    """Whether nobody holds the time: no virtual clock, and neither time-machine nor freezegun."""
    return _active.value is None and not is_frozen() and not _time_machine().escape_hatch.is_travelling()


def is_frozen() -> bool:
    """Whether freezegun holds the time."""
    freezegun: Any = sys.modules.get("freezegun.api")
    return freezegun is not None and bool(freezegun.freeze_factories)


@contextmanager
def clock_for_a_step() -> Generator[VirtualClock]:
    """A clock that begins and ends inside of a ``time_machine.travel()``, which goes on from where it has moved time.

    One that outlived it would be taken down in its place, since time-machine keeps a stack.
    """
    clock, moved = VirtualClock(), 0.0
    try:
        with clock:
            try:
                yield clock
            finally:
                moved = clock.time() - clock.began
    finally:
        # Not in time-machine's documentation; seen on 3.0 to 3.2.
        travellers: list[Any] = _time_machine().traveller_stack
        travellers[-1].shift(moved)


def _time_machine() -> Any:
    try:
        import time_machine
    except ImportError as error:
        raise BackchannelError(
            "a virtual clock needs time-machine, which is not installed: pip install 'pytest-backchannel[celery]' "
            "(or [channels])"
        ) from error
    if hasattr(time_machine, "Coordinates"):  # what version 3 calls a Traveller
        raise BackchannelError(
            "a virtual clock needs time-machine 3 or newer: version 2 stops time.monotonic as well, and event loops "
            "with it. Fix: pip install --upgrade time-machine"
        )
    return time_machine


def seconds_of(value: object, function: str) -> float:
    """How far to move the clock, from what a caller gave a function.

    Raises:
        TypeError: it is neither a number nor a timedelta.
        ValueError: it is negative or not finite.
    """
    call = function if function.endswith(")") else f"{function}()"
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{call} takes seconds or a timedelta, not {value!r}")
    if not 0 <= value < math.inf:
        raise ValueError(f"{call} moves time forward: {value!r} s can't be. To go back, use move_to(when).")
    return float(value)


def _timestamp(value: object) -> float:
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone, so the moment is not clear: give it tzinfo=UTC, say")
        return value.timestamp()
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError(f"a virtual clock takes a timezone-aware datetime or seconds since the epoch, not {value!r}")
    return float(value)


# ------------------------------------------------------ what stands in the time module

_real: dict[str, Callable[..., Any]] = {
    name: getattr(time, name) for name in ("sleep", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns")
}
_real_asyncio_sleep = asyncio.sleep


def _is_real(module: str) -> bool:
    return any(module == real or module.startswith(real + ".") for real in _REAL)


# Each of these asks for the active clock at every call: a reference that outlives the clock behaves as the real one.


def _sleep(seconds: Any, /) -> None:
    clock = _active.value
    if clock is None or isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < math.inf:
        return _real["sleep"](seconds)
    where = None if _is_real(sys._getframe(1).f_globals.get("__name__", "")) else caller(2)
    if where is None:
        return _real["sleep"](seconds)
    clock._record("time.sleep", seconds, where)
    clock.sleep_for(float(seconds))
    return None


def _asyncio_sleep(delay: float, result: Any = None) -> Coroutine[Any, Any, Any]:
    # Not itself a coroutine function: who calls it is known now, not when a task first runs it.
    if _active.value is None or not 0 < delay < math.inf:
        return _real_asyncio_sleep(delay, result)
    where = None if _is_real(sys._getframe(1).f_globals.get("__name__", "")) else caller(2)
    if where is None:
        return _real_asyncio_sleep(delay, result)
    return _pass_time(delay, result, where)


async def _pass_time(delay: float, result: Any, where: Location) -> Any:
    clock = _active.value
    if clock is None:
        return await _real_asyncio_sleep(delay, result)
    clock._record("asyncio.sleep", delay, where)
    return await clock._loops.pass_time(delay, result, real_sleep=_real_asyncio_sleep)


# So that unittest.mock.patch("asyncio.sleep") still makes an AsyncMock.
if sys.version_info >= (3, 12):
    inspect.markcoroutinefunction(_asyncio_sleep)
else:
    _asyncio_sleep._is_coroutine = asyncio.coroutines._is_coroutine  # type: ignore[attr-defined]


def _moved_on(name: str) -> Callable[[], Any]:
    """One of the time module's clocks, ahead by as much as the virtual clock was moved."""
    real = _real[name]
    in_nanoseconds = name.endswith("_ns")

    @functools.wraps(real)
    def read() -> Any:
        moved = _active.value._moved if _active.value is not None else 0.0
        return real() + (round(moved * 1e9) if in_nanoseconds else moved)

    return read


_virtual: dict[str, Callable[..., Any]] = {name: _moved_on(name) for name in _real if name != "sleep"}
_virtual["sleep"] = _sleep


class _References:
    """Every module's references to the functions that a clock replaces, each module searched once.

    Searching is what it takes: ``time.sleep`` can't be patched on the level of C, and ``from time import sleep`` is
    common in code that backs off. Installed packages are searched for the sleeps alone, since their time outs on
    ``monotonic`` are about real things; Python's and pytest's own modules are left out.
    """

    def __init__(self) -> None:
        self._pairs = [(_real[name], _virtual[name]) for name in _real] + [(_real_asyncio_sleep, _asyncio_sleep)]
        self._real_by_id = {id(function): real for real, virtual in self._pairs for function in (real, virtual)}
        self._virtual_by_real = {id(real): virtual for real, virtual in self._pairs}
        self._sleeps = {id(f) for f in (_real["sleep"], _sleep, _real_asyncio_sleep, _asyncio_sleep)}
        # Not their ids: what is imported next may stand in the memory of a module that is gone.
        self._searched: dict[str, weakref.ref[ModuleType]] = {}
        # What there was at the last search; what is gone since is let go by the next one.
        self._last: list[Any] = []
        self._found: list[tuple[weakref.ref[ModuleType], str, Callable[..., Any]]] = [
            (weakref.ref(module), name, real)
            for module, names in ((time, list(_real)), (asyncio, ["sleep"]), (asyncio.tasks, ["sleep"]))
            for name in names
            for real in [self._real_by_id[id(getattr(module, name))]]
        ]

    def _search(self) -> None:
        # Mostly they are all the same, and then there is nothing to look for. Lists look at the identity first, in one
        # loop of C, and then at the equality of what is another object; a project may put any object there.
        last, self._last = self._last, list(sys.modules.values())
        with suppress(Exception):
            if last == self._last:
                return
        modules: list[tuple[str, Any]] = list(sys.modules.items())  # a project may put any object there
        for name, module in modules:
            searched = self._searched.get(name)
            if not isinstance(module, ModuleType) or (searched is not None and searched() is module):
                continue
            try:
                self._searched[name] = weakref.ref(module)
            except TypeError:  # of C: cffi's libraries say that they are modules, and can't be referred to
                continue
            package = name.partition(".")[0]
            if package in sys.stdlib_module_names or name == __name__:
                continue
            if package in ("_pytest", "pytest", "time_machine") or _is_real(name):
                continue
            in_project = is_project_file(getattr(module, "__file__", None) or "<")
            for key, value in list(vars(module).items()):
                real = self._real_by_id.get(id(value))
                if real is None:
                    continue
                if in_project or id(value) in self._sleeps:
                    self._found.append((weakref.ref(module), key, real))
                elif value is not real:  # imported while a clock was active
                    setattr(module, key, real)

    def _set(self, choose: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
        for reference, name, real in self._found:
            module = reference()
            # What the test itself has put there, such as a mock, stays.
            if module is not None and self._real_by_id.get(id(getattr(module, name, None))) is real:
                setattr(module, name, choose(real))

    def replace(self) -> None:
        """Put the virtual functions where the real ones are."""
        self._search()
        self._set(lambda real: self._virtual_by_real[id(real)])

    def restore(self) -> None:
        """Put the real ones back, also in modules imported since."""
        if len(sys.modules) != len(self._last):  # one that has taken another's place meanwhile behaves as the real one
            self._search()
        self._set(lambda real: real)


_references = _References()
