"""Audits the bodies that the tests of this process run: each in shadows first, and then for real, as without it."""

from __future__ import annotations

import inspect
import threading
from collections import Counter
from collections.abc import Callable, Container
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

from ...errors import RedisNotPutBack
from ...events import Location, definition_of
from ...masking import masked
from . import audited_mocks
from .audit_budget import Budget
from .audit_data import AuditedCall, KnownTask
from .audit_options import AuditOptions
from .audited_bodies import AuditedBodies
from .effects.call_words import arguments_text
from .real_run import RealRun
from .shadow_plan import ShadowPlan
from .shadows.forking import NotAudited, can_fork
from .shadows.shadow_run import Body
from .shadows.stopwatch import Stopwatch


@dataclass
class TestAudit:
    """What was audited in one test.

    Attributes:
        calls: the calls that were.
        ran: how often each task ran.
        skipped: for each task, why calls of it were not audited, and how often.
    """

    __test__ = False

    calls: list[AuditedCall]
    ran: Counter[str]
    skipped: dict[str, Counter[str]]


class Auditor:
    """Audits in this process, from the first test to the last.

    Args:
        options: what is asked for.
        say: prints a line at once, of what is waited for.
        is_test: whether a file holds tests.
    """

    def __init__(
        self,
        options: AuditOptions,
        say: Callable[[str], None] = lambda line: None,
        is_test: Callable[[str], bool] = lambda path: False,
    ) -> None:
        self._options = options
        self._say = say
        self._is_test = is_test
        self._slow: set[str] = set()
        self._budget = Budget(options)
        self._clock = 0.0
        self._test = ""
        self._allowed: dict[str, str] = {}
        self._found = TestAudit([], Counter(), {})
        self._lock = threading.Lock()
        self._running: list[RealRun] = []
        self._not_put_back: RedisNotPutBack | None = None

    @property
    def seconds(self) -> float:
        """How long all audits took so far, by the clock."""
        return self._clock

    def begin(self, test: str, allowed: dict[str, str]) -> None:
        """A test begins.

        Args:
            test: its id.
            allowed: why what is found in it is intended, by patterns of tasks.
        """
        audited_mocks.begin_test()
        self._test, self._allowed = test, allowed
        self._found = TestAudit([], Counter(), {})

    def end_body(self) -> None:
        """A test's body has ended.

        Raises:
            RedisNotPutBack: it was raised where a task was called, and Celery may have kept it as the task's failure.
        """
        error, self._not_put_back = self._not_put_back, None
        if error is not None:
            raise error.with_traceback(None)

    def take(self) -> TestAudit:
        """A test has ended: what was audited in it."""
        found, self._found, self._test = self._found, TestAudit([], Counter(), {}), ""
        return found

    # ------------------------------------------------------------------ a body

    def around(self, task: Any, run: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Audit a call of a body, and then make it."""
        __tracebackhide__ = True
        if not self._test:
            return run(*args, **kwargs)
        self._found.ran[task.name] += 1
        for outer in self._running:
            outer.ran_other_bodies = True
        plan = self._audited(task, run, args, kwargs)
        if plan is None:
            return run(*args, **kwargs)
        real = RealRun(plan.clean, plan.noise)
        self._running.append(real)
        try:
            result = run(*args, **kwargs)
        except BaseException as error:
            self._running.remove(real)
            # Where it is to be replaced, a test may let a Mock raise what it likes.
            raised = f"the test's own run raised {type(error).__name__}, and the shadow did not"
            self._keep(plan, self._compared(real) if plan.clean.ignored else raised)
            raise
        self._running.remove(real)
        self._keep(plan, self._compared(real))
        return result

    def _audited(
        self, task: Any, run: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> ShadowPlan | None:
        """What the shadows of a call have shown; None where there are none, or nothing new."""
        if not self._lock.acquire(blocking=False):
            return None  # another thread audits
        watch = Stopwatch()
        try:
            return self._try(task, run, args, kwargs)
        except NotAudited as reason:
            self._refused(task.name, str(reason))
        except RedisNotPutBack as error:
            self._not_put_back = error
            raise  # the test must not go on with a Redis that is not its own
        except Exception as error:
            self._refused(task.name, f"the audit itself failed: {type(error).__name__}: {str(error)[:200]}")
        finally:
            self._budget.spend(task.name, watch.seconds)
            self._clock += watch.clock
            self._lock.release()
        return None

    def _try(
        self, task: Any, run: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> ShadowPlan | None:
        if not can_fork():
            raise NotAudited("this system can't fork")
        if not self._budget.wants(task.name, self._test):
            return None
        refusal = self._budget.refusal(task.name)
        if refusal:
            raise NotAudited(refusal)
        body = Body(
            run=run,
            args=args,
            kwargs=kwargs,
            mock_names=audited_mocks.names(),
            outward=self._options.outward,
            is_of_a_double=self._doubles_of(task),
            request=task.request_stack.top,
        )
        plan = ShadowPlan(
            body,
            AuditedCall(task=task.name, test=self._test, call=_call(task.name, args, kwargs)),
            kinds=self._options.kinds,
            seconds=self._budget.left(task.name),
            slow=lambda: self._tell_slow(task.name),
        )
        known = self._budget.known(task.name)
        if not plan.look(lambda way: self._budget.is_new(task.name, self._test, way), known):
            return None
        plan.finish()
        return plan

    def _doubles_of(self, task: Any) -> Callable[[str], bool]:
        """What says of a file whether the doubles of a test are in it: those of a task that tests have are none."""
        where = _definition(task)
        return (lambda path: False) if where is None or self._is_test(where.path) else self._is_test

    def _tell_slow(self, task: str) -> None:
        if task not in self._slow:
            self._slow.add(task)
            self._say(f"backchannel: still audits {task} …")

    def _compared(self, real: RealRun) -> str:
        try:
            return real.difference()
        except Exception:  # a transaction that the test has broken by now
            return ""

    def _keep(self, plan: ShadowPlan, unfaithful: str) -> None:
        call = replace(plan.call, unfaithful=unfaithful)
        reason = next((why for name, why in self._allowed.items() if fnmatchcase(call.task, name)), "")
        self._found.calls.append(replace(call, allowed=reason))

    def _refused(self, task: str, reason: str) -> None:
        self._budget.refused(task, self._test, reason)
        self._found.skipped.setdefault(task, Counter())[reason] += 1


def _call(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    return masked(f"{name}({arguments_text(args, kwargs)})")


def known_tasks(bodies: AuditedBodies, told: Container[str] = ()) -> dict[str, KnownTask]:
    """What is known of the tasks of this process.

    Args:
        bodies: the tasks.
        told: names of those to leave out.
    """
    found: dict[str, KnownTask] = {}
    for name, task in bodies.tasks.items():
        if name in told:
            continue
        where = _definition(task)
        late = bool(task.acks_late)
        acks = "early" if not late else "late+lost" if task.reject_on_worker_lost else "late"
        found[name] = KnownTask(where="" if where is None else str(where), acks=acks, scheduled=_is_scheduled(task))
    return found


def _is_scheduled(task: Any) -> bool:
    """Whether a task is in the beat schedule of its app."""
    entries = (task.app.conf.beat_schedule or {}).values()
    return any(isinstance(entry, dict) and entry.get("task") == task.name for entry in entries)


def _definition(task: Any) -> Location | None:
    """Where the body of a task is."""
    function: Any = inspect.unwrap(getattr(task, "_orig_run", task.run))
    return definition_of(getattr(function, "__code__", None))
