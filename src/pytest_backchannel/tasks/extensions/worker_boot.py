"""What of the project a worker runs when it starts, and which of it the stepped worker runs.

A worker's process starts once, and for itself; the stepped worker starts in the process of the tests, for each test
that runs a task. So:

* A boot step that sets something up as the worker is built (``bootsteps.Step``: django-structlog's, say) runs. The
  signal receivers that it connects are so only while the worker works: they are not for what the test itself does.
* A boot step that is started and stopped (``StartStopStep``, ``ConsumerStep``) does not: it may start threads, open
  connections, or enter a timer that keeps virtual time from ever being idle.
* Receivers of the life cycle's signals do not: what they do once in a process of their own (start a server or a thread,
  close the connections that were inherited, load a model) they would do in each test, on the connections of the test.

What does not run is told in the story of a failed test, with its file and line.
"""

from __future__ import annotations

import functools
import inspect
import weakref
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from celery import bootsteps, signals
from celery.utils.dispatch import Signal
from kombu.utils.imports import symbol_by_name

from ...events import Event, EventLog, Location, is_project_file

# In the order in which a worker with processes sends them.
LIFE_CYCLE = (
    "celeryd_init",
    "worker_init",
    "celeryd_after_setup",
    "worker_before_create_process",
    "worker_process_init",
    "worker_ready",
    "worker_shutting_down",
    "worker_process_shutdown",
    "worker_shutdown",
)

Steps = Mapping[str, set[Any]]


class LeftOut(Event):
    """A worker has started without something that a real one runs.

    Attributes:
        what: the receiver or the boot step.
    """

    what: str

    def headline(self) -> str:
        """What it is, and what a test that needs it can do."""
        return f"not run on the stepped worker: {self.what} (a test that needs it calls it in a fixture)"


def tell(steps: Steps, log: EventLog) -> None:
    """Tell what of the project the stepped worker does not run.

    Args:
        steps: the project's own ``app.steps``.
        log: the log of the test, whose story says it if the test fails.
    """
    for what, place in left_out(steps):
        log.record(LeftOut, cause=None, where=place, what=what)


# --- private API: celery.utils.dispatch.Signal and celery.bootsteps, seen on celery 5.5–5.7: a signal keeps its
# --- receivers in a list of pairs (key, receiver or weak reference), and has no public way to list them.


def plain_steps(steps: Steps) -> defaultdict[str, set[Any]]:
    """The boot steps of the project that run: without those that are started and stopped."""
    found: defaultdict[str, set[Any]] = defaultdict(set)
    for blueprint, step in _steps(steps):
        if _is_plain(step):
            found[blueprint].add(step)
    return found


def left_out(steps: Steps) -> list[tuple[str, Location | None]]:
    """What of the project does not run, each with its place: receivers of the life cycle, and other boot steps."""
    found: list[tuple[str, Location | None]] = []
    for name, receiver, place in _receivers():
        found.append((f"{name}: {_named(receiver)}", place))
    for _, step in _steps(steps):
        if not _is_plain(step):
            found.append((f"boot step {step.__module__}.{step.__name__}", _place(step)))
    return found


class StepReceivers:
    """What the boot steps of one worker connect to Celery's signals: there while the worker works, and not else.

    In production the rest of the project runs in other processes.
    """

    def __init__(self) -> None:
        self._pairs: list[tuple[Any, Any]] = []

    @contextmanager
    def noticed(self) -> Generator[None]:
        """Notice what is connected within the block."""
        before = {name: {key for key, _ in signal.receivers} for name, signal in _signals()}
        yield
        for name, signal in _signals():
            self._pairs += [(signal, pair) for pair in signal.receivers if pair[0] not in before[name]]

    def connect(self) -> None:
        """The worker begins to work."""
        for signal, pair in self._pairs:
            with signal.lock:
                if pair not in signal.receivers:
                    signal.receivers.append(pair)
                    signal.sender_receivers_cache.clear()

    def disconnect(self) -> None:
        """The worker rests."""
        for signal, pair in self._pairs:
            with signal.lock:
                signal.receivers[:] = [other for other in signal.receivers if other != pair]
                signal.sender_receivers_cache.clear()

    def forget(self) -> None:
        """The worker has ended."""
        self.disconnect()
        self._pairs.clear()


@contextmanager
def working(workers: Iterable[Any]) -> Generator[None]:
    """Within the block the workers work, and what their boot steps have connected is connected."""
    for worker in workers:
        worker.receivers.connect()
    try:
        yield
    finally:
        for worker in workers:
            worker.receivers.disconnect()


def noticing(start: Callable[[Any], None]) -> Callable[[Any], None]:
    """Decorate the method that starts a worker: what its boot steps connect is noticed."""

    @functools.wraps(start)
    def noticed(worker: Any) -> None:
        with worker.receivers.noticed():
            start(worker)

    return noticed


def _signals() -> Iterator[tuple[str, Any]]:
    return ((name, value) for name, value in vars(signals).items() if isinstance(value, Signal))


def _receivers() -> Iterator[tuple[str, Any, Location]]:
    for name in LIFE_CYCLE:
        for _, receiver in getattr(signals, name).receivers:
            function = receiver() if isinstance(receiver, weakref.ReferenceType) else receiver
            place = None if function is None else _place(function)
            if place is not None and is_project_file(place.path):
                yield name, function, place


def _steps(steps: Steps) -> Iterator[tuple[str, Any]]:
    for blueprint in ("worker", "consumer"):
        yield from sorted(
            ((blueprint, symbol_by_name(step)) for step in steps.get(blueprint, ())), key=lambda pair: str(pair[1])
        )


def _is_plain(step: Any) -> bool:
    if issubclass(step, bootsteps.StartStopStep):
        return False
    # What a step requires comes with it.
    required = [symbol_by_name(name) for name in step.requires]
    return all(other.__module__.startswith("celery.") or _is_plain(other) for other in required)


# --- end of private API


def _named(function: Any) -> str:
    return f"{getattr(function, '__qualname__', function)}()"


def _place(target: Any) -> Location | None:
    if isinstance(target, type):
        # Its first method: Celery gives a boot step a name by which inspect does not find the class.
        places = [place for value in vars(target).values() if inspect.isfunction(value) and (place := _place(value))]
        return min(places, key=lambda place: place.line, default=None)
    target = inspect.unwrap(target)
    code = getattr(target, "__code__", None)
    return None if code is None else Location(code.co_filename, code.co_firstlineno, target.__qualname__)
