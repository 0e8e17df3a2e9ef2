"""Every exception and warning of the project, and the slugs by which a test may declare one intended.

A *slug* is the short, documented name of one way in which a test fails, or warns, without being asked:
``@pytest.mark.allow_lost("no_members")`` allows it for one test. ``docs/reference/slugs.md`` lists them all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .masking import masked

# ------------------------------------------------------------------------- bases


class BackchannelError(Exception):
    """Base of the errors that say the tool was used wrongly, or that the project cannot be tested as it is.

    Raised itself where nobody would want to tell one such error from another; the message has the fix.
    """

    def __str__(self) -> str:
        """The message; what looks secret in a URL, a header or a cookie is masked, since it goes to the log of a CI."""
        return masked(super().__str__())


class BackchannelFailure(AssertionError):
    """Base of the failures: what the test expected of the project did not happen."""

    def __str__(self) -> str:
        """The message; what looks secret in a URL, a header or a cookie is masked, since it goes to the log of a CI."""
        return masked(super().__str__())


class BackchannelWarning(UserWarning):
    """Base of the warnings, so that one line of pytest's ``filterwarnings`` addresses them all."""


class UnexpectedLoss(BackchannelFailure):
    """The test's own assertions held, but something was lost or broke behind the request, unseen.

    Raised at the end of a test that uses one of the fixtures. The message lists every problem with its slug,
    the file and line that caused it, and how to declare it intended.
    """


# ------------------------------------------------------------------------- tasks


class BadExpectation(BackchannelError, TypeError):
    """What ``assert_enqueued`` was given can't describe what was enqueued; the message says what to pass instead."""


class UnknownTask(BackchannelError):
    """A task was sent by a name that nobody has registered, and so can't be run where it is called.

    Import the module that registers it, or correct the name; the message shows names that are near.
    """


class AsyncTaskFunction(BackchannelError):
    """A task's function is ``async def``: Celery would call it, and nobody would await the coroutine.

    Make it a plain function that calls ``async_to_sync``.
    """


class NothingToRun(BackchannelFailure):
    """The test asked for a step of the worker, and nothing is due.

    The message says what waits, and for what: for ``task_queue.advance()``, or for a worker that consumes its queue. Or
    nothing waits, because no task was enqueued.
    """


class EndlessLoop(BackchannelFailure):
    """Tasks enqueue each other, or one message is delivered again, without end.

    The message names the cycle. Where that many tasks are meant, give ``run()`` a higher ``limit``.
    """


class MisusedQueue(BackchannelError):
    """The task queue was used in a way, or at a moment, that can't work, such as ``run()`` in a coroutine.

    The message names the fix, such as ``await task_queue.arun()``.
    """


class ResultUnavailable(BackchannelFailure):
    """``result.get()`` would wait in vain: nothing is left that could bring the result.

    The message says why, and what helps: moving time to an eta, a worker for the queue, a result backend. It is a
    ``celery.exceptions.TimeoutError`` too, so that code which is prepared for one behaves as in production.
    """


# Celery's TimeoutError is its second base. errors.py is imported in every run, and Celery may not be installed: so the
# class with both bases is made when it is first asked for. A type checker sees the one above.
_WITHOUT_CELERY = ResultUnavailable

if not TYPE_CHECKING:
    del ResultUnavailable

    def __getattr__(name: str) -> type[BackchannelFailure]:
        if name != "ResultUnavailable":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        # Two threads that come at once get the same class.
        return globals().setdefault(name, _result_unavailable())


def _result_unavailable() -> type[BackchannelFailure]:
    try:
        from celery.exceptions import TimeoutError as CeleryTimeoutError
    except ImportError:
        return _WITHOUT_CELERY  # there are no results, and nothing raises it
    names = {"__module__": __name__, "__doc__": _WITHOUT_CELERY.__doc__}
    return type("ResultUnavailable", (_WITHOUT_CELERY, CeleryTimeoutError), names)


class RealBrokerContacted(BackchannelFailure):
    """A unit test was about to connect to a real broker; the message says which, and from where.

    Use ``celery_eager`` or ``task_queue``; a test that is meant to reach a broker carries ``celery_integration``.
    """


class PendingChord(BackchannelWarning):
    """A chord was begun, and its callback can never run, since a part of its header will not return.

    A part that raises ``Ignore``, is rejected or lost never returns. ``allow_lost("pending_chord")`` allows it.
    """


# ---------------------------------------------------------------------- channels


class ContractViolation(BackchannelFailure, RuntimeError):
    """An application sent what no ASGI server would carry, or at a time when it may not.

    Raised inside the application, from its ``send``, as uvicorn raises ``RuntimeError``. The consumer is at fault, and
    the message says what a server would have refused.
    """


class ClientDisconnected(OSError):
    """An application sent to a client that is gone.

    Raised inside the application, from its ``send``, as the ASGI specification has it since version 2.4 of its
    WebSocket part, and as uvicorn does. A consumer that sends late has to expect it.
    """


class WebSocketRejected(BackchannelFailure):
    """The application refused the handshake.

    Args:
        message: what happened.
        code: the close code that the application gave; None where it gave none. No real client ever sees it.
        http_status: the status that a real client sees: 403, or the application's own HTTP response.
        headers: the headers of that response.
        body: the body of that response.
    """

    def __init__(
        self,
        message: str,
        code: int | None,
        http_status: int,
        headers: tuple[tuple[bytes, bytes], ...] = (),
        body: bytes = b"",
    ) -> None:
        super().__init__(message)
        self.code = code
        self.http_status = http_status
        self.headers = headers
        self.body = body


class WebSocketClosed(BackchannelFailure):
    """The connection is closed, and the test expected it to be open.

    Args:
        message: what happened.
        code: the close code, as a client sees it: 1006 where the connection broke.
        reason: the reason that came with it.
    """

    def __init__(self, message: str, code: int, reason: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason


class NoFrame(BackchannelFailure, TimeoutError):
    """No frame came in time. The consumer lives on; the message names the line at which it waits."""


class UnexpectedFrame(BackchannelFailure):
    """A frame came where none was expected, or one of another kind; it can still be received."""


class ConsumerHung(BackchannelFailure, TimeoutError):
    """A consumer did not end in time after its client had gone; the message names the line at which it waits."""


class ConsumerCancelled(BackchannelFailure):
    """A ``CancelledError`` ended a consumer that nobody had cancelled, such as one that awaits a task it has cancelled.

    Nothing after that line has run. Servers log it as an exception of the application.
    """


class NotIdle(BackchannelFailure):
    """It can't be said that nothing more will happen: something still runs; the message names it.

    Let it end or wait: a task that never rests keeps every ``receive_nothing()`` from an answer.
    """


class OpenToStrangers(BackchannelFailure):
    """Other WebSocket routes than the test says let in an anonymous caller, or a page of a foreign origin.

    The message has the table of all handshakes. Guard the route, or name it in the test as one that is open.
    """


class GroupSendNotFound(BackchannelFailure):
    """``channel_layer.assert_group_sent()`` found no such group send, or another number of them.

    The message shows the nearest, with the line that sent it. ``assert_not_group_sent()`` raises it where there is one.
    """


class BlockedLoop(BackchannelWarning):
    """A call in async code blocked the event loop; looked for where ``backchannel_blocking`` asks for it.

    The message names the call and the line. ``sync_to_async`` or an async library keeps the loop free.
    """


# ---------------------------------------------------------------------- database


class SharedConnectionBusy(BackchannelError):
    """A thread waited too long for the test's shared database connection, or the test ended while it was in use.

    The message names the thread that holds it, and the file and line.
    """


class ThreadOutlivedTest(BackchannelError):
    """A thread that an earlier test left running asked for the database; the message names that test.

    Let that test join what it has started.
    """


class EnqueuedInTransaction(BackchannelWarning):
    """A task was enqueued inside ``transaction.atomic()``, and not through ``on_commit``.

    A worker may run it before the commit, and not find the rows; a rollback does not take it back. Call
    ``delay_on_commit``, or enqueue in ``transaction.on_commit``.
    """


# ----------------------------------------------------------------------- servers


class ServerMissing(BackchannelError):
    """The program of a server is not on this machine; the message says how to get it.

    The fixtures skip the test with this reason; where the environment variable ``CI`` is set, they fail it.
    """


class ServerFailed(BackchannelError):
    """A server or a worker process did not start, did not stop, or died, and the test had not asked for that.

    The message ends with the last lines of its log, in which the cause stands.
    """


class NotForReal(BackchannelError):
    """What the test asks of ``task_queue`` can't be had with a real broker, such as an hour of virtual time.

    The fixture skips that variant of the test with this reason; the stepped worker can do it.
    """


class InMemoryDatabase(BackchannelError):
    """The test database is an SQLite in the memory of the test's own process, where no worker process can see it.

    Put it in a file: ``DATABASES["default"]["TEST"] = {"NAME": …}``, as the message says.
    """


class RedisNotPutBack(BackchannelError):
    """The audit ran a task in a copy of the test's process, and what the copy wrote to Redis can't be put back.

    Raised where the task is called: the test must not go on with values that are not its own. The message names the
    server, the keys and the reason, such as a server that no longer answers. Nothing is audited from there on.
    """


# --------------------------------------------------------- more than one of them


class NotSerialisable(TypeError):
    """A message (or the result of a task) that production can't carry.

    On a channel layer it is raised by the sender, with each value that can't be carried and what to send instead. A
    ``TypeError``, as the serialiser of channels-redis raises for most such values, so that code which expects that
    goes on as in production.
    """


class ProductionSettingsError(BackchannelError):
    """The settings module that ``backchannel_production_settings`` names can't be imported, or takes too long.

    The message has the reason. What the module reads from the environment must be there when the tests run.
    """


class InventoryFailed(BackchannelError):
    """What a worker of production knows can't be said: the project can't be imported under its settings there.

    The message has the reason, in one line. A run of tests goes on without: see the slug ``unknown_task``.

    Args:
        message: what happened.
        why: the name of the exception's type, in the process that has imported the project; empty where there was none.
        traceback: the lines of that traceback.
        environment: whether that may be so here alone, for want of a variable or a package that production has.
    """

    def __init__(
        self, message: str, *, why: str = "", traceback: tuple[str, ...] = (), environment: bool = True
    ) -> None:
        super().__init__(message)
        self.why = why
        self.traceback = traceback
        self.environment = environment


class UnreadableReport(BackchannelError):
    """A file that is to be read as a report is none, or is one of another version of the format.

    ``backchannel report`` says so, and so does a baseline that is none.
    """


class UnreadableContract(BackchannelError):
    """What is to be read as a contract is none, is not there, or is one of another version of the format.

    ``backchannel contract`` says so, and a run with ``--backchannel-contract``.
    """


if not TYPE_CHECKING:
    # Every one of them, and nothing else; ResultUnavailable by what stands in for it.
    _exceptions = [found for found in vars().values() if isinstance(found, type) and issubclass(found, Exception)]
    __all__ = sorted(found.__name__ for found in _exceptions)  # noqa: PLE0605  (for the run alone)

# ------------------------------------------------------------------------- slugs


@dataclass(frozen=True, slots=True)
class Slug:
    """One way of failing without being asked.

    Args:
        name: what ``allow_lost`` takes.
        summary: one sentence, for messages and for the reference.
        fatal: True fails the test; False warns, so that ``filterwarnings`` decides.
        warning: the category of the warning, where it is not fatal.
        fatal_if_strict: whether it fails with ``backchannel_strict``, though it only warns without.
        doubles_only: whether only a double of ours can see it, so that there is no such verdict in other tests.
    """

    name: str
    summary: str
    fatal: bool = True
    warning: type[BackchannelWarning] = BackchannelWarning
    fatal_if_strict: bool = False
    doubles_only: bool = False


SLUGS: dict[str, Slug] = {}


def declare_slug(
    name: str,
    summary: str,
    *,
    fatal: bool = True,
    warning: type[BackchannelWarning] = BackchannelWarning,
    fatal_if_strict: bool = False,
    doubles_only: bool = False,
) -> Slug:
    """Add one slug to the list that ``allow_lost`` accepts.

    Raises:
        ValueError: the name is taken.
    """
    if name in SLUGS:
        raise ValueError(f"the slug {name!r} is declared twice")
    SLUGS[name] = slug = Slug(name, summary, fatal, warning, fatal_if_strict, doubles_only)
    return slug


declare_slug(
    "enqueued_in_transaction",
    "A task was enqueued inside transaction.atomic() and not through on_commit.",
    fatal=False,
    warning=EnqueuedInTransaction,
    fatal_if_strict=True,
)

declare_slug(
    "consumer_crashed", "An exception ended a consumer (or the application around it), and no test code saw it."
)
declare_slug(
    "consumer_left_open", "A WebSocket connection was still open when the test ended: its disconnect never ran."
)
declare_slug(
    "consumer_hung", "A consumer did not end after its client had gone, and was cancelled while it disconnected."
)

declare_slug(
    "task_left_running",
    "A task that a consumer started still ran when its connection had ended.",
    fatal=False,
    fatal_if_strict=True,
    doubles_only=True,
)

declare_slug(
    "task_not_kept",
    "A consumer made a task to which nobody keeps a reference: it may be collected before it ends, and can't be ended.",
    fatal=False,
    fatal_if_strict=True,
)
declare_slug(
    "left_in_group",
    "A consumer has ended, and its channel is still in a group.",
    fatal=False,
    fatal_if_strict=True,
)
declare_slug(
    "joined_after_accept",
    "A consumer accepted its client before it joined a group, and told it nothing afterwards.",
    fatal=False,
    fatal_if_strict=True,
)
declare_slug(
    "sent_in_transaction",
    "A message was sent over a channel layer inside transaction.atomic() and not through on_commit.",
    fatal=False,
    fatal_if_strict=True,
)

declare_slug(
    "odd_value",
    "A consumer died of an odd path or frame; only looked for with --backchannel-odd-values, or by websocket_matrix.",
)

declare_slug(
    "nobody_let_in",
    "No route of an access matrix let in anybody, so that it says nothing about strangers.",
    fatal=False,
    doubles_only=True,
)
declare_slug(
    "patch_not_in_worker",
    "Project code was patched while a worker process ran the tasks, which it does not reach.",
    fatal=False,
    doubles_only=True,
)
declare_slug(
    "never_awaited",
    "A coroutine method of a double was called and never awaited, so that it did nothing.",
    doubles_only=True,
)
declare_slug("no_handler", "A message reached a consumer that has no method for its type, and the consumer died of it.")
declare_slug("over_capacity", "A message was dropped because too many were waiting to be read.")
declare_slug("not_serialisable", "A message holds a value that the production channel layer can't carry.")
declare_slug("no_members", "A message was sent to a group or a channel that nobody ever listened to.", fatal=False)
declare_slug("expired", "A message was dropped because it had waited for too long.", fatal=False, doubles_only=True)
declare_slug("unread", "A message was still waiting at the end, on a channel that nobody listens to.", fatal=False)
declare_slug("unknown_task", "A message names a task that no worker knows.", doubles_only=True)
declare_slug("unserved_queue", "A message waits in a queue that no worker consumes.", doubles_only=True)
declare_slug("failed_task", "A task failed, and the test has not looked at it.", doubles_only=True)
declare_slug(
    "handler_failed",
    "on_failure, on_success, after_return, an errback or a signal receiver failed where Celery only logs it.",
    doubles_only=True,
)
declare_slug(
    "late_ack_beyond_visibility",
    "A task with acks_late ran, or may run, for longer than the visibility timeout: Redis delivers it again meanwhile.",
    fatal=False,
    doubles_only=True,
)
declare_slug(
    "repeated_enqueue",
    "Under beat, a task was enqueued while the same one, with the same arguments, was still on its way.",
    fatal=False,
    fatal_if_strict=True,
    doubles_only=True,
)
declare_slug(
    "eta_beyond_visibility",
    "A task waits for its eta, countdown or retry for longer than the visibility timeout: Redis delivers it more "
    "than once.",
    fatal=False,
    fatal_if_strict=True,
    doubles_only=True,
)
declare_slug(
    "expired_task",
    "A task expired before a worker ran it, and the test has not looked.",
    fatal=False,
    fatal_if_strict=True,
    doubles_only=True,
)
declare_slug("swallowed_retry", "A task called self.retry() and caught the Retry that it raises.", doubles_only=True)
declare_slug("undecodable_message", "A worker could not read a message, and has thrown it away.", doubles_only=True)
declare_slug("unroutable_message", "A message was published for which no queue is bound.", doubles_only=True)
declare_slug("real_broker", "A unit test connected to a real broker.")
declare_slug("real_results", "A unit test connected to a real result backend.")
declare_slug("real_layer", "A unit test connected to a real channel layer.")
declare_slug(
    "pending_chord",
    "The callback of a chord can never run: a part of its header will not return.",
    fatal=False,
    warning=PendingChord,
    doubles_only=True,
)

declare_slug(
    "blocked_loop",
    "A call in async code blocked the event loop; only looked for with backchannel_blocking, which also says which.",
    warning=BlockedLoop,
)
