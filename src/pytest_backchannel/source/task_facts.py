"""What the code says of tasks: which there are, who enqueues them, and what beat enqueues."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .places import Place, Surroundings


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """A parameter of a task, without the ``self`` of a bound one.

    Attributes:
        name: its name.
        kind: ``positional``, ``positional_only``, ``keyword_only``, ``var_positional`` or ``var_keyword``.
        default: the default, as it is written; None where there is none.
        annotation: the annotation, as it is written; empty where there is none.
    """

    name: str
    kind: str = "positional"
    default: str | None = None
    annotation: str = ""


@dataclass(frozen=True, kw_only=True)
class TaskDef:
    """A task that the code defines.

    Attributes:
        key: what names it in a baseline, ``task:`` and its Celery name; it survives moved lines.
        name: the name under which Celery registers it.
        name_known: False where ``name=`` is no literal: then ``name`` is the one that it would have without.
        dotted: where the object is, such as ``billing.tasks.send``.
        place: the file and line of its ``def`` or ``class``.
        kind: ``function`` or ``class``.
        decorator: the decorator, as it is written, without its arguments; empty for a class.
        parameters: of the function, or of the method ``run``.
        bound: whether the first argument is the task itself (``bind=True``); True for a class.
        is_async: whether the body is ``async def``.
        base: the dotted name of ``base=``, or of the class's first base; empty where there is none.
        options: what the decorator or the class sets, by name: the value of a literal (a tuple for a list), None for
            what is no literal.
        option_sources: the same, as it is written.
        calls_retry: the lines of ``….retry(…)`` on the task itself.
        raises_retry: the lines of ``raise Retry``, ``raise self.retry(…)`` and ``raise current_task.retry(…)``.
        registered: for a class: whether ``register_task`` is called with it; True for a function.
    """

    key: str
    name: str
    name_known: bool
    dotted: str
    place: Place
    kind: str
    decorator: str = ""
    parameters: tuple[Parameter, ...] = ()
    bound: bool = False
    is_async: bool = False
    base: str = ""
    options: Mapping[str, object] = field(default_factory=dict[str, object])
    option_sources: Mapping[str, str] = field(default_factory=dict[str, str])
    calls_retry: tuple[int, ...] = ()
    raises_retry: tuple[int, ...] = ()
    registered: bool = True

    @property
    def may_retry(self) -> bool:
        """Whether the body or an option can make Celery run it again."""
        autoretry = self.option_sources.get("autoretry_for", "()") not in ("()", "[]")
        return bool(self.calls_retry or self.raises_retry) or autoretry

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """What a call gives to the task, as it is written.

    Attributes:
        positional: the positional arguments of the task; None where a ``*`` or a variable hides them.
        named: the keyword arguments of the task; None where a ``**`` or a variable hides them.
        options: the options of ``apply_async``, ``send_task`` or ``signature``, such as ``countdown``.
    """

    positional: tuple[str, ...] | None = ()
    named: Mapping[str, str] | None = field(default_factory=dict[str, str])
    options: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, kw_only=True)
class EnqueueSite:
    """A place that enqueues a task, or makes a signature of it that something else enqueues.

    Attributes:
        key: what names it in a baseline, such as ``enqueue:billing.views.email->billing.tasks.send#1``: who enqueues
            what, and which of several such places it is, in their order.
        place: the file and line of the call.
        kind: ``enqueue`` (``delay``, ``apply_async``, ``send_task``, the ``…_on_commit`` methods); ``signature``
            (``s``, ``si``, ``signature``, ``subtask``, ``map``, ``starmap``, ``chunks``); ``workflow`` (a chain, group,
            chord or signature that is applied, and no single task is known); ``retry``; or ``direct`` (``apply``,
            which runs it at once).
        method: the method as it is written, such as ``delay_on_commit``; ``()`` for a workflow that is called.
        target: the receiver as it is written, or the name that ``send_task`` is given.
        task: the Celery name of the task, None where the code does not say it.
        resolved: whether the task was found in the tree.
        called: False where the method is only passed on, as in ``on_commit(partial(send.delay, 7))``.
        workflow: the innermost ``chain``, ``group``, ``chord`` or ``|`` that the signature is written into, else empty.
        applied: what a workflow that is applied here is: ``chain``, ``group`` or ``chord``; else empty.
        builder: for an enqueue whose receiver is a call of a function of the project that returns a signature or a
            workflow: the dotted name of that function, as in ``send_invoice(7).delay()``; else empty.
        callback: of a signature: ``link`` or ``link_error``, where it is what follows another task's success or
            failure; ``beat`` where it is given to ``add_periodic_task``; else empty.
        arguments: what the call gives to the task.
        around: what the code around it says.
    """

    key: str
    place: Place
    kind: str
    method: str
    target: str
    task: str | None = None
    resolved: bool = False
    called: bool = True
    workflow: str = ""
    applied: str = ""
    builder: str = ""
    callback: str = ""
    arguments: Arguments = field(default_factory=Arguments)
    around: Surroundings = field(default_factory=Surroundings)

    def __str__(self) -> str:
        return f"{self.task or self.target} ({self.place})"


@dataclass(frozen=True, kw_only=True)
class BeatEntry:
    """An entry of the beat schedule that the code has literally.

    Attributes:
        key: what names it in a baseline, ``beat:`` and its name.
        name: its name; for ``add_periodic_task`` without one, the task's.
        task: the Celery name of its task, None where it is no literal.
        resolved: whether the task was found in the tree.
        schedule: the schedule, as it is written.
        arguments: what it gives to the task.
        source: ``setting`` or ``add_periodic_task``.
        place: the file and line.
    """

    key: str
    name: str
    task: str | None
    resolved: bool
    schedule: str
    arguments: Arguments = field(default_factory=Arguments)
    source: str = "setting"
    place: Place

    def __str__(self) -> str:
        return self.name
