"""What was enqueued, compared with what was wanted; and a failure that says where it differs.

An expectation is a Signature: it matches on its task, on its arguments and on the options that it sets. A task, or a
task's name, matches whatever its arguments are. A chain, a group or a chord matches the whole workflow.
"""

from __future__ import annotations

import functools
import inspect
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher, get_close_matches
from typing import Any

from celery.app.task import Task
from celery.canvas import Signature
from celery.result import AsyncResult, ResultSet

from ...errors import BackchannelFailure, BadExpectation
from ...events import Location, is_project_file
from .compare import Comparison, Difference, check_call
from .messages import EnqueuedTask, call_text
from .workflows import Chain, Chord, EnqueuedWorkflow, Group, Node, Step, of_messages, of_signature, single

NEAREST, DIFFERENCES, LISTED = 3, 6, 10


class Expectation:
    """What a test wants to have been enqueued.

    Args:
        expected: a Signature (a chain, group or chord too), a task, or a task's name.
        app: the Celery app, whose tasks' own signatures say which argument is which.

    Raises:
        BadExpectation: it is none of these, or its arguments are none that the task takes.
    """

    def __init__(self, expected: Any, *, app: Any) -> None:
        __tracebackhide__ = True
        self._app = app
        self._owner = expected.app if isinstance(expected, Task) else getattr(expected, "_app", None)
        self.node = _node(expected)
        self._comparison = Comparison(app)
        _check(app, self.node)

    def __str__(self) -> str:
        return str(self.node)

    def find(self, messages: Sequence[EnqueuedTask]) -> list[tuple[EnqueuedTask, ...]]:
        """Each match: one message for a task or a chain, all their messages for a group or a chord."""
        return [
            candidate.messages
            for candidate in self._candidates(messages)
            if not any(True for _ in self._comparison.differences(self.node, candidate.node))
        ]

    def nearest(self, messages: Sequence[EnqueuedTask]) -> list[tuple[EnqueuedWorkflow, list[Difference]]]:
        """What comes near it, the nearest first, each with what differs."""
        near = [
            (candidate, list(self._comparison.differences(self.node, candidate.node)))
            for candidate in self._candidates(messages)
        ]
        near.sort(key=lambda pair: self._distance(*pair))
        return near

    def unknown_names(self) -> list[str]:
        """The tasks that it names and that nobody has registered."""
        return [name for name in _names(self.node) if name not in self._app.tasks]

    @property
    def other_app(self) -> str | None:
        """The name of the Celery app whose task it is, where that is another one."""
        owner: Any = self._owner
        if hasattr(owner, "_get_current_object"):
            owner = owner._get_current_object()
        return None if owner is None or owner is self._app else str(owner.main)

    def _candidates(self, messages: Sequence[EnqueuedTask]) -> list[EnqueuedWorkflow]:
        if isinstance(self.node, Step):
            return [single(message) for message in messages]
        workflows = of_messages(messages)
        kinds = [workflow for workflow in workflows if isinstance(workflow.node, type(self.node))]
        if isinstance(self.node, Chord) and len(self.node.header) == 1:
            kinds += [workflow for workflow in workflows if isinstance(workflow.node, Chain)]
        return kinds or workflows

    def _distance(self, candidate: EnqueuedWorkflow, differences: list[Difference]) -> float:
        wanted, found = _names(self.node), _names(candidate.node)
        return len(differences) + 10 * (1 - SequenceMatcher(a=" ".join(wanted), b=" ".join(found)).ratio())


@dataclass(frozen=True)
class Elsewhere:
    """Messages that do not wait, for the text of a failure.

    Attributes:
        what: what became of them, to follow "it was enqueued, but", such as ``has run already``.
        found: the messages, or what finds them once the assertion has failed.
    """

    what: str
    found: Sequence[EnqueuedTask] | Callable[[], Sequence[EnqueuedTask]]

    @functools.cached_property
    def messages(self) -> Sequence[EnqueuedTask]:
        """The messages."""
        return self.found() if callable(self.found) else self.found


def matching(expected: Any, messages: Sequence[EnqueuedTask], *, app: Any) -> list[EnqueuedTask]:
    """The messages that match, in their order: the first of each match for a group or a chord.

    Raises:
        BadExpectation: the expectation can't be one.
    """
    __tracebackhide__ = True
    return [match[0] for match in Expectation(expected, app=app).find(messages)]


def assert_enqueued(
    messages: Sequence[EnqueuedTask],
    expected: Any,
    *,
    app: Any,
    count: int | None = None,
    also: Sequence[Elsewhere] = (),
    hints: Iterable[str] = (),
) -> EnqueuedTask:
    """Check that the expected task or workflow waits.

    Args:
        messages: the messages that wait.
        expected: a Signature, a task, or a task's name.
        app: the Celery app.
        count: how many times, exactly; None for at least once.
        also: messages of the same test that do not wait any more, so that a failure can say so.
        hints: lines for the end of a failure; asked for only where there is one.

    Returns:
        The first message that matches (for a group or a chord, the first of its messages).

    Raises:
        BackchannelFailure: nothing matches, or not ``count`` times.
        BadExpectation: the expectation can't be one.
        ValueError: ``count`` is below 1.

    Example:
        >>> assert_enqueued(waiting, send_invoice_email.s(7).set(queue="mail"), app=app)
        <EnqueuedTask billing.tasks.send_invoice_email(7) in 'mail' at billing/views.py:12>
    """
    __tracebackhide__ = True
    _check_count(count)
    expectation = Expectation(expected, app=app)
    found = expectation.find(messages)
    if found and (count is None or len(found) == count):
        return found[0][0]
    if found:
        lines = [f"Enqueued {_times(len(found))}, wanted {_times(count or 1)}: {expectation}", ""]
        lines += _listed([match[0] for match in found])
    else:
        lines = [f"Not enqueued: {expectation}", "", *_what_waits(expectation, messages)]
    for elsewhere in also:
        gone = expectation.find(elsewhere.messages)
        if gone:
            places = ", ".join(dict.fromkeys(_place(match[0]) for match in gone[:LISTED]))
            lines += ["", f"It was enqueued {_times(len(gone))} ({places}), but {elsewhere.what}."]
        elif not messages:
            lines += _what_was_near(expectation, elsewhere)
    if not found:
        lines += _unknown(expectation, app)
    said = list(hints)
    raise BackchannelFailure("\n".join([*lines, *(["", *said] if said else [])]))


def assert_not_enqueued(messages: Sequence[EnqueuedTask], expected: Any, *, app: Any) -> None:
    """Check that the expected task or workflow does not wait.

    Raises:
        BackchannelFailure: it does; the message lists where it was enqueued.
        BadExpectation: the expectation can't be one, or names a task that nobody has registered or enqueued: such an
            assertion could not fail.
    """
    __tracebackhide__ = True
    expectation = Expectation(expected, app=app)
    found = expectation.find(messages)
    if found:
        lines = [f"Enqueued, and should not be: {expectation}", "", *_listed([match[0] for match in found])]
        raise BackchannelFailure("\n".join(lines))
    enqueued = {message.name for message in messages}
    unknown = [name for name in expectation.unknown_names() if name not in enqueued]
    if unknown:
        raise BadExpectation("\n".join(["This assertion can't fail.", *_unknown(expectation, app)[1:]]))


def assert_empty(messages: Sequence[EnqueuedTask]) -> None:
    """Check that nothing waits.

    Raises:
        BackchannelFailure: something does; the message lists what, and where it was enqueued.
    """
    __tracebackhide__ = True
    if messages:
        count = len(messages)
        lines = [f"{count} {'message waits' if count == 1 else 'messages wait'}, none should:", ""]
        raise BackchannelFailure("\n".join([*lines, *_listed(messages)]))


# ---------------------------------------------------------------- what is expected


def names_of(expected: Any) -> set[str]:
    """The names of the tasks of an expectation."""
    return set(_names(_node(expected)))


def _node(expected: Any) -> Node:
    __tracebackhide__ = True
    if isinstance(expected, str):
        return Step(expected, any_arguments=True)
    if isinstance(expected, Task):
        return Step(expected.name, any_arguments=True)
    if isinstance(expected, Signature):
        node = of_signature(expected)
        empty = (isinstance(node, Chain) and not node.steps) or (isinstance(node, Group) and not node.members)
        if empty:
            raise BadExpectation(f"{expected!r} is empty: nothing would be enqueued for it")
        return node
    raise BadExpectation(f"{_why_not(expected)} Pass a signature (task.s(...)), a task, or a task's name.")


def _why_not(expected: Any) -> str:
    if isinstance(expected, AsyncResult | ResultSet):
        return f"{expected!r} is the result of a call: calling .delay() or .apply_async() enqueues once more."
    if isinstance(expected, EnqueuedTask):
        return f"{expected!r} is a message that was enqueued."
    if isinstance(expected, list | tuple):
        return f"A {type(expected).__name__} is not an expectation: use group(...) or chain(...), or one call for each."
    if inspect.isclass(expected) and issubclass(expected, Task):
        return f"{expected.__name__} is the class of a task: pass the task that was registered."
    if inspect.isroutine(expected):
        return f"{expected.__qualname__} is a plain function, not a task: decorate it with @shared_task."
    return f"{expected!r} is not an expectation."


def _check_count(count: object) -> None:
    __tracebackhide__ = True
    if count is not None and (isinstance(count, bool) or not isinstance(count, int) or count < 1):
        raise ValueError(f"count={count!r}: give 1 or more; for none, use assert_not_enqueued()")


def _check(app: Any, node: Node, *, partial: bool = False) -> None:
    __tracebackhide__ = True
    if isinstance(node, Step):
        check_call(app, node, partial=partial)
    elif isinstance(node, Chain):
        for index, step in enumerate(node.steps):
            _check(app, step, partial=partial or index > 0)
    elif isinstance(node, Group):
        for member in node.members:
            _check(app, member, partial=partial)
    else:
        for member in node.header:
            _check(app, member, partial=partial)
        _check(app, node.body, partial=True)


def _names(node: Node) -> list[str]:
    if isinstance(node, Step):
        return [node.name]
    if isinstance(node, Chain):
        return [name for step in node.steps for name in _names(step)]
    if isinstance(node, Group):
        return [name for member in node.members for name in _names(member)]
    return [name for member in (*node.header, node.body) for name in _names(member)]


# ------------------------------------------------------------------ text of failures


def _what_waits(expectation: Expectation, messages: Sequence[EnqueuedTask]) -> list[str]:
    if not messages:
        return ["No message waits."]
    near = expectation.nearest(messages)
    same = [pair for pair in near if set(_names(pair[0].node)) & set(_names(expectation.node))]
    shown = (same or near)[:NEAREST]
    lines = [f"{_waiting(messages)} The nearest:" if len(messages) > 1 else "What waits:"]
    for candidate, differences in shown:
        lines += ["", f"  {_summary(candidate)}", *(f"    ✗ {one}" for one in differences[:DIFFERENCES])]
        if len(differences) > DIFFERENCES:
            lines.append(f"    … and {len(differences) - DIFFERENCES} more differences")
    shown_ids = {id(message) for candidate, _ in shown for message in candidate.messages}
    others = Counter(message.name for message in messages if id(message) not in shown_ids)
    if others:
        names = [f"{count} × {name}" for name, count in others.most_common(LISTED)]
        left = len(others) - len(names)
        lines += ["", f"  also waiting: {', '.join(names)}" + (f" and {left} other tasks" if left else "")]
    return lines


def _what_was_near(expectation: Expectation, elsewhere: Elsewhere) -> list[str]:
    """Of messages that do not wait any more: the nearest, if it is of the same task."""
    for candidate, differences in expectation.nearest(elsewhere.messages)[:1]:
        if set(_names(candidate.node)) & set(_names(expectation.node)):
            marked = [f"    ✗ {one}" for one in differences[:DIFFERENCES]]
            return ["", f"What comes nearest {elsewhere.what}:", "", f"  {_summary(candidate)}", *marked]
    return []


def _waiting(messages: Sequence[EnqueuedTask]) -> str:
    queues = sorted({repr(message.queue) for message in messages if message.queue is not None})
    where = f" in {', '.join(queues)}" if queues else ""
    return f"{len(messages)} {'message waits' if len(messages) == 1 else 'messages wait'}{where}."


def _summary(candidate: EnqueuedWorkflow) -> str:
    first = candidate.messages[0]
    places = list(dict.fromkeys(_place(message) for message in candidate.messages))
    text = str(candidate.node) if not isinstance(candidate.node, Step) else _call(first)
    queue = f" in {first.queue!r}" if first.queue is not None else ""
    return f"{text}{queue} — enqueued at {', '.join(places[:NEAREST])}"


def _listed(messages: Sequence[EnqueuedTask]) -> list[str]:
    lines = [
        f"  {_call(message)}"
        + (f" in {message.queue!r}" if message.queue is not None else "")
        + f" — enqueued at {_place(message)}"
        for message in messages[:LISTED]
    ]
    if len(messages) > LISTED:
        lines.append(f"  … and {len(messages) - LISTED} more")
    return lines


def _call(message: EnqueuedTask) -> str:
    text = call_text(message.name, message.args, message.kwargs)
    return f"{text} (its body is unreadable: {message.unreadable})" if message.unreadable else text


def _place(message: EnqueuedTask) -> str:
    return str(message.where) if message.where is not None else "an unknown line"


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")


def _unknown(expectation: Expectation, app: Any) -> list[str]:
    if expectation.other_app is not None:
        # Its name may be known to both: @app.task registers with every app, unless it says shared=False.
        return [
            "",
            f"It is a task of the Celery app {expectation.other_app!r}, and this task_queue is that of {app.main!r}: "
            "what another app publishes does not come here.",
        ]
    unknown = dict.fromkeys(expectation.unknown_names())
    lines = [f"No task is registered as {name!r}.{did_you_mean(name, app)}" for name in unknown]
    if lines and (why := failing_import(app)):
        lines.append(why)
    return ["", *lines] if lines else []


def did_you_mean(name: str, app: Any) -> str:
    """The question that follows the name of an unknown task; empty where no task has a name like it."""
    near = near_names(name, app)
    return f" Did you mean {' or '.join(map(repr, near))}?" if near else ""


def failing_import(app: Any) -> str:
    """What a worker would raise when it imports the modules of tasks; empty where it would not.

    Celery tries it once in a process, so that only the first test sees it; later ones see tasks that nobody knows.
    """
    try:
        app.loader.import_default_modules()
    except Exception as error:  # whatever the project's modules raise
        frames = traceback.extract_tb(error.__traceback__)
        places = [str(Location(f.filename, f.lineno or 0, f.name)) for f in frames if is_project_file(f.filename)]
        at = f" at {places[-1]}" if places else ""
        return f"A worker could not start: importing the modules of tasks raises {type(error).__name__}: {error}{at}."
    return ""


def near_names(name: str, app: Any) -> list[str]:
    """The registered tasks whose names are like ``name``, Celery's own left out."""
    names = [known for known in app.tasks if not known.startswith("celery.")]
    last = name.rpartition(".")[2]
    same_function = [known for known in names if known.rpartition(".")[2] == last]
    return list(dict.fromkeys([*same_function, *get_close_matches(name, names, n=3, cutoff=0.7)]))[:3]
