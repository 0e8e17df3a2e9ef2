"""What happened behind the request: frozen records that know their cause, in the log of one test.

Every double and every probe appends to the current :class:`EventLog`; assertions, the account of lost messages
and the story of a failed test only read it. Nothing here imports Django, Celery or Channels.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import sys
import sysconfig
import time
from collections.abc import Callable, Generator, Sequence
from contextvars import ContextVar
from dataclasses import MISSING, dataclass, field, fields
from functools import lru_cache
from types import CodeType, FrameType
from typing import Any, ClassVar, NamedTuple, TypeVar, dataclass_transform

from .active import Slot
from .errors import SLUGS, UnexpectedLoss
from .masking import masked

_cause: ContextVar[int | None] = ContextVar("pytest_backchannel_cause", default=None)


# ------------------------------------------------------------------ where


class Location(NamedTuple):
    """A place in the project's own code."""

    path: str
    line: int
    function: str

    def __str__(self) -> str:
        return f"{_relative(self.path)}:{self.line}"


def _relative(path: str) -> str:
    try:
        relative = os.path.relpath(path)
    except ValueError:  # another drive
        return path
    return path if relative.startswith("..") else relative


OWN_FOLDER = os.path.dirname(os.path.abspath(__file__)) + os.sep
"""Where the plugin's own files are."""
_EXAMPLE = os.path.join(OWN_FOLDER, "_example") + os.sep
_PLACES = [
    *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")),
    os.path.dirname(os.path.realpath(os.__file__)),
    # Where pip writes the script that starts pytest, which is below every test.
    sysconfig.get_path("scripts"),
    sysconfig.get_path("scripts", sysconfig.get_preferred_scheme("user")),
    os.path.dirname(os.path.abspath(sys.executable)) if sys.executable else "",
]
_OUTSIDE = tuple({os.path.realpath(place) + os.sep for place in _PLACES if place})


@lru_cache(maxsize=4096)
def is_project_file(path: str) -> bool:
    """Whether a source file belongs to the project under test: not to Python, an installed package or this plugin."""
    if path.startswith("<"):
        return False
    real = os.path.realpath(path)
    if real.startswith(OWN_FOLDER):
        return real.startswith(_EXAMPLE)
    if f"{os.sep}site-packages{os.sep}" in real or f"{os.sep}dist-packages{os.sep}" in real:
        return False
    return not real.startswith(_OUTSIDE)


@lru_cache(maxsize=4096)
def location(path: str, line: int, function: str) -> Location:
    """A place, one object for each: thousands of events can happen at the same line."""
    return Location(path, line, function)


def caller(skip: int = 1) -> Location | None:
    """The innermost frame of the project's own code, ``skip`` frames up; None where there is none."""
    return line_of(sys._getframe(skip))


def line_of(frame: FrameType | None) -> Location | None:
    """The innermost line of the project's own code, from a frame on outwards; None where there is none."""
    while frame is not None:
        code = frame.f_code
        if is_project_file(code.co_filename):
            return location(code.co_filename, frame.f_lineno, code.co_qualname)
        frame = frame.f_back
    return None


def raised_at(error: BaseException) -> Location | None:
    """The innermost line of the project's own code that an error has come through; None where there is none."""
    step, frame = error.__traceback__, None
    while step is not None:
        if is_project_file(step.tb_frame.f_code.co_filename):
            frame = step
        step = step.tb_next
    if frame is None:
        return None
    code = frame.tb_frame.f_code
    return location(code.co_filename, frame.tb_lineno, code.co_qualname)


def definition_of(code: CodeType | None) -> Location | None:
    """Where a function of the project is defined; None for one of a library, or without Python code."""
    if code is None or not is_project_file(code.co_filename):
        return None
    return location(code.co_filename, code.co_firstlineno, code.co_qualname)


# ----------------------------------------------------------------- records


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(field,))
class _Kind(type):
    """Makes a frozen dataclass with slots of each kind of event: a task has five events, and a test may run thousands.

    Args:
        breaks: whether the chain of events always breaks there.
    """

    def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any], *, breaks: bool = False) -> Any:
        if "__slots__" in namespace:  # it is dataclass() that asks, for the class with slots
            return super().__new__(mcs, name, bases, namespace)
        cls: Any = super().__new__(mcs, name, bases, {**namespace, "_breaks": breaks})
        cls = dataclass(frozen=True, kw_only=True, slots=True)(cls)
        cls.__init__ = _initializer(cls)
        return cls

    def __init__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], *, breaks: bool = False) -> None:
        super().__init__(name, bases, namespace)


def _initializer(cls: Any) -> Any:
    """An ``__init__`` that fills the slots themselves: that of a frozen dataclass takes twice as long.

    It is written as :mod:`dataclasses` writes its own, by its fields.
    """
    known: dict[str, Any] = {}
    parameters, body = [], []
    for one in fields(cls):
        known[f"_put_{one.name}"] = getattr(cls, one.name).__set__
        value = one.name
        if one.default is not MISSING:
            known[f"_default_{one.name}"] = one.default
            parameters.append(f"{one.name}=_default_{one.name}")
        elif one.default_factory is not MISSING:
            known[f"_make_{one.name}"] = one.default_factory
            parameters.append(f"{one.name}=None")
            value = f"_make_{one.name}() if {one.name} is None else {one.name}"
        else:
            parameters.append(one.name)
        body.append(f"    _put_{one.name}(self, {value})")
    lines = "\n".join([f"def __init__(self, *, {', '.join(parameters)}):", *body])
    exec(compile(lines, f"<{cls.__qualname__}.__init__>", "exec"), known)
    return known["__init__"]


class Event(metaclass=_Kind):
    """One thing that happened.

    A kind of event inherits from it, and is a dataclass like this one. ``class X(Event, breaks=True)``: the chain of
    events always breaks there.

    Attributes:
        id: its number in the log, in the order of happening.
        cause: the number of the event that caused it, or None where the test itself did.
        at: when, in seconds since the epoch; virtual where a virtual clock rules.
        where: the line of the project's own code that did it, or None where no such line is known.
    """

    id: int
    cause: int | None
    at: float
    where: Location | None
    _breaks: ClassVar[bool]

    def headline(self) -> str:
        """The event in a few words, for the story of a failed test."""
        return type(self).__name__

    @property
    def broke(self) -> bool:
        """Whether the chain of events broke here: the story marks it."""
        return self._breaks


class Problem(Event):
    """Something that nobody asked about and that must not stay unseen.

    Attributes:
        slug: which of the documented ways of failing it is.
        text: what happened, the value, and the fix, in one or more lines.
        decided: True fails and False warns, in every test, because the project has said so by an option; None leaves
            it to the slug, and to whether the test is held to it.
        count: how often it happened, at that line.
    """

    slug: str
    text: str
    decided: bool | None = None
    count: int = 1

    def headline(self) -> str:
        """The first line of the problem, behind its slug."""
        return f"{self.slug}: {self.text.splitlines()[0]}"

    @property
    def broke(self) -> bool:
        """A fatal problem breaks the chain; a warning does not."""
        return self.fatal

    @property
    def fatal(self) -> bool:
        """Whether it fails the test, or only warns."""
        return SLUGS[self.slug].fatal if self.decided is None else self.decided


E_ = TypeVar("E_", bound=Event)


def unexpected_loss(problems: Sequence[Problem]) -> str:
    """The message of a test that fails for what went unseen: each problem, its line, and how to declare it."""
    lines = []
    for problem in problems:
        first, *more = problem.text.splitlines()
        where = f"  [{problem.where}]" if problem.where else ""
        lines += [f"{problem.slug}: {first}{where}", *(f"    {line}" for line in more)]
    slugs = ", ".join(f'"{slug}"' for slug in dict.fromkeys(problem.slug for problem in problems))
    lines.append(f"Intended? Say so with @pytest.mark.allow_lost({slugs}).")
    return "\n".join(lines)


# --------------------------------------------------------------------- log


class EventLog:
    """The events of one test, in order.

    Args:
        test: the test's node id, for messages.
        enforced: as the attribute.
        strict: as the attribute.

    Attributes:
        events: all of them; only :meth:`record` adds to it.
        enforced: whether problems fail and warn (a fixture of ours is in use, or ``backchannel_strict``), or are only
            observed and summed up at the end of the run.
        strict: whether some warnings fail too, as with ``backchannel_strict``.
    """

    def __init__(self, test: str = "", *, enforced: bool = False, strict: bool = False) -> None:
        self.test = test
        self.enforced = enforced
        self.strict = strict
        self.events: list[Event] = []
        self._ids = itertools.count(1)
        self._checks: list[Callable[[], None]] = []
        self._taken = 0

    def record(
        self,
        kind: type[E_],
        /,
        *,
        cause: int | None = None,
        where: Location | None = None,
        at: float | None = None,
        **fields: Any,
    ) -> E_:
        """Append one event; its number is filled in, and its cause and its time unless they are given."""
        event = kind(
            id=next(self._ids),
            cause=_cause.get() if cause is None else cause,
            at=time.time() if at is None else at,
            where=where,
            **fields,
        )
        self.events.append(event)
        return event

    def problem(
        self,
        slug: str,
        text: str,
        *,
        cause: int | None = None,
        where: Location | None = None,
        decided: bool | None = None,
        count: int = 1,
    ) -> Problem:
        """Append one problem; its fields are those of :class:`Problem`.

        Raises:
            KeyError: the slug is not declared in ``errors``.
        """
        if slug not in SLUGS:
            raise KeyError(f"the slug {slug!r} is not declared; declared are {', '.join(sorted(SLUGS))}")
        if decided is None and self.strict and SLUGS[slug].fatal_if_strict:
            decided = True
        return self.record(
            Problem, cause=cause, where=where, slug=slug, text=masked(text), decided=decided, count=count
        )

    def at_end(self, check: Callable[[], None], *, first: bool = False) -> None:
        """Call ``check`` once, when the test's body has ended and its fixtures still stand; it records problems.

        Args:
            check: takes and returns nothing.
            first: before those that are known so far.
        """
        self._checks.insert(0 if first else len(self._checks), check)

    def run_checks(self) -> None:
        """Run what :meth:`at_end` was given, each check once, in the order in which it was given."""
        while self._checks:
            self._checks.pop(0)()

    def take_problems(self) -> list[Problem]:
        """The problems that no earlier call has returned."""
        fresh = [event for event in self.events[self._taken :] if isinstance(event, Problem)]
        self._taken = len(self.events)
        return fresh

    def raise_problems(self) -> None:
        """For those who do not use pytest: run the checks, and raise if a fatal problem is unseen.

        Raises:
            UnexpectedLoss: something was lost or broke, and nothing has raised it yet.
        """
        self.run_checks()
        fatal = [problem for problem in self.take_problems() if problem.fatal]
        if fatal:
            raise UnexpectedLoss(unexpected_loss(fatal))

    def of(self, kind: type[E_]) -> list[E_]:
        """The events of one kind, in order."""
        return [event for event in self.events if isinstance(event, kind)]


_log = Slot[EventLog]("log")
# What makes the log of the running test when something asks for it: most tests never do. It stays until the next test
# begins, for what every test pays is mostly calls.
_expected = Slot[Callable[[], EventLog]]("expected log", of_the_run=True)


def current_log() -> EventLog:
    """The log of the test that runs now; a fresh one where none was begun."""
    log = _log.value
    if log is None:
        make = _expected.value
        log = _log.value = EventLog() if make is None else make()
    return log


@contextlib.contextmanager
def aside() -> Generator[EventLog]:
    """Within the block, what happens goes to a log of its own, and is not the test's."""
    before, _log.value = _log.value, EventLog()
    try:
        yield _log.value
    finally:
        _log.value = before


def log_in_use() -> EventLog | None:
    """The log of the test that runs now, or None where nothing has asked for it: then nothing has happened."""
    return _log.value


def begin_log(test: str = "", *, enforced: bool = False) -> EventLog:
    """Replace the current log by an empty one."""
    _log.value = None
    log = current_log()  # not past whoever wants to know that there is one
    log.test, log.enforced, log.strict = test, enforced, False
    return log


def expect_log(make: Callable[[], EventLog]) -> None:
    """Drop the current log; the next one is made when it is first asked for, by ``make``."""
    _log.value = None
    _expected.value = make


def end_log() -> None:
    """Drop the current log."""
    _log.value = _expected.value = None


class caused_by:
    """Within the block (and the tasks and executor jobs that it starts), new events have this cause.

    A class, since it stands around every message of every consumer: it costs a quarter of a generator's.
    """

    __slots__ = ("_cause", "_token")

    def __init__(self, event: Event | int | None) -> None:
        self._cause = event.id if isinstance(event, Event) else event

    def __enter__(self) -> None:
        self._token = _cause.set(self._cause)

    def __exit__(self, *exc_info: object) -> None:
        _cause.reset(self._token)


def current_cause() -> int | None:
    """The number of the event that causes what happens now; None in the test's own code."""
    return _cause.get()
