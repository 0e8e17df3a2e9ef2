"""What a shadow does: the body once or twice, or once with a death in it and then again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Container
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

from celery.exceptions import Ignore

from ....events import raised_at
from ..audit_data import BodyRun, Rows, plain_run, to_plain, way_of
from ..effects.all_effects import install_all
from ..effects.effect_log import EffectLog, begin, is_of_a_double, without_doubles
from ..effects.table_rows import TooManyRows, rows_of
from ..weighing.steadiness import is_plain, is_steady, leaves_rows
from . import body_transactions, outside, told_parent
from .forking import now
from .own_databases import mark_rows, rows_as_marked, take_databases
from .own_process import become_shadow, restart_limit
from .randomness import Randomness


@dataclass(frozen=True, kw_only=True)
class Body:
    """One call of a task's body.

    Attributes:
        run: the body.
        args: its positional arguments.
        kwargs: its keyword arguments.
        mock_names: where mocks were put, by their identity.
        outward: patterns of mocks that stand for something outside.
        is_of_a_double: whether a file holds doubles of the test.
        request: of the task; None where there is none.
    """

    run: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    mock_names: dict[int, str] = field(default_factory=lambda: dict[int, str]())
    outward: tuple[str, ...] = ()
    is_of_a_double: Callable[[str], bool] = lambda path: False
    request: Any = None


def run_once(body: Body, limit: float) -> NoReturn:
    """In a shadow: the body once."""
    shadow = _Shadow(body, limit)
    _tell_runs(shadow.clean())


def _tell_runs(*runs: BodyRun) -> NoReturn:
    told_parent.tell({"runs": [plain_run(run) for run in runs]})


def run_twice(body: Body, limit: float, known: Container[tuple[str, ...]] = ()) -> NoReturn:
    """In a shadow: the body, and the same message again; then whether it would do the same from the start again.

    Args:
        body: the call.
        limit: how long each run may take, in seconds.
        known: ways of the task of which nothing has to be told.
    """
    shadow = _Shadow(body, limit)
    mark_rows()
    randomness = Randomness()
    first, draws = shadow.clean(), randomness.drawn()
    if first.error:
        _tell_runs(first, first)
    second = shadow.again(limit)
    if way_of(first, second) in known:
        _tell_runs(*(replace(run, before={}, after={}) for run in (first, second)))
    told_parent.tell_first({"runs": [plain_run(first), plain_run(second)]})
    randomness.drawn()
    steady = shadow.is_steady(first, second, min(limit, 2 + 5 * first.seconds))
    told_parent.tell_more({"steady": steady and randomness.drawn() == draws})


def die_after(body: Body, limit: float, effect: int, seconds: float) -> NoReturn:
    """In a shadow: the body dies right after an effect, and its message comes again.

    Args:
        body: the call.
        limit: how long all may take, in seconds.
        effect: which one, counted from 1.
        seconds: how long the body takes where nobody dies.
    """
    shadow = _Shadow(body, limit)
    shadow.dies(effect, limit=min(limit, 2 + 5 * seconds))


class _Shadow:
    def __init__(self, body: Body, limit: float) -> None:
        become_shadow(limit)
        install_all(body.mock_names, body.outward)
        without_doubles(body.is_of_a_double)
        take_databases(limit)
        self._body = body
        # What a first run does to a list among its arguments is not in the message.
        self._args, self._kwargs = _copied(body.args), _copied(body.kwargs)
        self._delivery = dict(self._delivery_info() or {})

    def clean(self) -> BodyRun:
        """Run it as the test does."""
        return self._run(EffectLog(), self._body.args, self._body.kwargs)

    def again(self, limit: float, written: EffectLog | None = None) -> BodyRun:
        """Run it for a message that comes again."""
        restart_limit(limit)
        info = self._delivery_info()
        if info is not None:
            info["redelivered"] = True
        log = EffectLog()
        if written is not None:
            log.before, log.written = dict(written.before), set(written.written)
        return self._run(log, _copied(self._args), _copied(self._kwargs))

    def is_steady(self, first: BodyRun, second: BodyRun, limit: float) -> bool:
        """Whether it does the same once more from the same rows, so far as this process can tell.

        What it has kept in memory can't be taken back: where that makes a difference it is not steady, and another
        shadow looks for the noise.
        """
        if (
            not first.after
            or second.error
            or not leaves_rows(first, second)
            or not is_plain([self._args, self._kwargs])
        ):
            return False
        restart_limit(limit)
        rows_as_marked()
        info = self._delivery_info()
        if info is not None:
            info.clear()
            info.update(self._delivery)
        return is_steady(first, self._run(EffectLog(), self._args, self._kwargs))

    def _delivery_info(self) -> dict[str, Any] | None:
        info = getattr(self._body.request, "delivery_info", None)
        return info if isinstance(info, dict) else None

    def dies(self, effect: int, limit: float) -> NoReturn:
        """Run it, and let it die."""
        thread = threading.get_ident()
        log = EffectLog(effect, lambda: self._die(log, thread, limit))
        self._run(log, self._body.args, self._body.kwargs)
        told_parent.give_up("it took another way than the first time, and did not come to where it was to die")

    def _die(self, log: EffectLog, thread: int, limit: float) -> NoReturn:
        """Nothing of the dead body is unwound: it never goes on from here."""
        outside.arm(False)
        if threading.get_ident() != thread:
            told_parent.give_up("an effect of another thread than the body's is no place to die")
        with log.quiet():
            log.end_statement()
            body_transactions.lose_open_blocks()
        _leave_event_loop()
        second = self.again(limit, log)
        told_parent.tell({"dead": [to_plain(effect) for effect in log.effects], "runs": [plain_run(second)]})

    def _run(self, log: EffectLog, args: Any, kwargs: Any) -> BodyRun:
        begin(log)
        body_transactions.begin_body()
        start, error, ignored = now(), "", False
        outside.arm(True)
        try:
            self._body.run(*args, **kwargs)
        except (SystemExit, KeyboardInterrupt):
            told_parent.give_up("it ends the process")
        except Ignore:
            ignored = True
        except BaseException as raised:
            error = f"{type(raised).__name__}: {str(raised)[:160]}".removesuffix(": ")
            if is_of_a_double(raised_at(raised)):
                log.unanswered = log.unanswered or "one of its own"
        finally:
            outside.arm(False)
        seconds = now() - start
        with log.quiet():
            after = _tables(log)
        return BodyRun(
            effects=tuple(log.effects),
            before=dict(log.before),
            after=after,
            aliases={table: alias for alias, table in log.written},
            error=error,
            seconds=seconds,
            ignored=ignored,
            unanswered=log.unanswered,
        )


def _tables(log: EffectLog) -> dict[str, Rows]:
    from django.db import connections

    try:
        return {table: rows_of(connections[alias], table) for alias, table in sorted(log.written)}
    except TooManyRows as error:
        told_parent.give_up(str(error))
    except Exception as error:  # a transaction that the body has broken
        told_parent.give_up(f"its tables can't be read any more: {type(error).__name__}: {str(error)[:120]}")


def _copied(value: Any) -> Any:
    """Lists and mappings anew, as a message has them; what is in them stays itself."""
    if type(value) is dict:
        return {key: _copied(inner) for key, inner in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_copied(inner) for inner in value)
    return value


# --- private API: asyncio._set_running_loop, Python 3.11–3.14: a body may have died inside of a coroutine that
# --- async_to_sync() runs, as group_send() is, and the next one runs another.


def _leave_event_loop() -> None:
    import asyncio

    asyncio._set_running_loop(None)


# --- end of private API
