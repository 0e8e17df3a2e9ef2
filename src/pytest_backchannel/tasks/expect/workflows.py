"""One form for every workflow, whether it was written as signatures or read back from messages.

Celery turns what one writes into something equal but different before it publishes it: nested chains are spliced,
nested groups are unrolled, a group that is followed by a step becomes a chord, and the steps after a chord move into
its callback (``celery.canvas``: ``_chain.prepare_steps``, ``group._prepared``, ``chord.run``; celery 5.5-5.7). Both
sides are brought to the same form here, so that they can be compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from .messages import EnqueuedTask, call_text, cut


@dataclass(frozen=True)
class Step:
    """One call of one task.

    Attributes:
        name: the task's name.
        args: the positional arguments that it was given itself.
        kwargs: the keyword arguments.
        options: the options that were set on it.
        immutable: whether it takes no result of what ran before it.
        any_arguments: whether its arguments do not matter.
        message: the message that carries it; None for a step that is still to come, and for an expectation.
    """

    name: str
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    immutable: bool = False
    any_arguments: bool = False
    message: EnqueuedTask | None = None

    def __str__(self) -> str:
        text = self.name if self.any_arguments else call_text(self.name, self.args, self.kwargs)
        shown = {name: value for name, value in self.options.items() if name not in _NOT_SHOWN}
        return text + "".join(f" {name}={cut(option_text(value), 60)}" for name, value in shown.items())


@dataclass(frozen=True)
class Chain:
    """Steps that run one after the other."""

    steps: tuple[Node, ...]

    def __str__(self) -> str:
        return f"chain({' | '.join(map(str, self.steps))})"


@dataclass(frozen=True)
class Group:
    """Steps that run beside each other."""

    members: tuple[Node, ...]

    def __str__(self) -> str:
        return f"group({', '.join(map(str, self.members))})"


@dataclass(frozen=True)
class Chord:
    """A group, and what is called with the list of its results."""

    header: tuple[Node, ...]
    body: Node

    def __str__(self) -> str:
        return f"chord([{', '.join(map(str, self.header))}], {self.body})"


Node: TypeAlias = Step | Chain | Group | Chord

#: Options by which Celery itself keeps a workflow together; nobody writes them by hand.
BOOKKEEPING = frozenset(
    ("chain", "chord", "group_id", "group_index", "parent_id", "reply_to", "root_id", "replaced_task_nesting")
)

_NOT_SHOWN = BOOKKEEPING | {"task_id"}


def option_text(value: Any) -> str:
    """An option's value for a message: a list of signatures as calls, all else as its repr."""
    if isinstance(value, Mapping) and "task" in value:
        return str(of_signature(value))
    if isinstance(value, list | tuple) and value and all(isinstance(v, Mapping) and "task" in v for v in value):
        return ", ".join(str(of_signature(v)) for v in value)
    return repr(getattr(value, "name", value))


# ------------------------------------------------------------------ from signatures


def of_signature(signature: Mapping[str, Any]) -> Node:
    """The form of a Celery signature, or of the dict that it travels as."""
    kwargs = signature.get("kwargs") or {}
    options = dict(signature.get("options") or {})
    kind = signature.get("subtask_type")
    if kind == "chain":
        return with_options(chained([of_signature(step) for step in kwargs.get("tasks") or ()]), options)
    if kind == "group":
        return with_options(Group(_members(kwargs.get("tasks") or ())), options)
    if kind == "chord":
        return _chord(kwargs, options)
    if signature["task"] == "celery.chunks":
        return with_options(_chunks(kwargs), options)
    return _call(signature, options)


def _chord(kwargs: Mapping[str, Any], options: Mapping[str, Any]) -> Node:
    header = kwargs.get("header") or ()
    if isinstance(header, Mapping):  # a group
        header = (header.get("kwargs") or {}).get("tasks") or ()
    node = with_options(Group(_members(header)), options)
    body = kwargs.get("body")
    return Chord(node.members, of_signature(body)) if body and isinstance(node, Group) else node


def _chunks(kwargs: Mapping[str, Any]) -> Group:
    """What ``task.chunks(items, size)`` becomes: a group of starmaps."""
    items, size = list(kwargs["it"]), kwargs["n"]
    parts = [items[start : start + size] for start in range(0, len(items), size)]
    return Group(
        tuple(Step("celery.starmap", kwargs={"task": kwargs["task"], "it": part}, immutable=True) for part in parts)
    )


def _call(signature: Mapping[str, Any], options: Mapping[str, Any]) -> Node:
    """The call of one task, and the steps that its options say follow it."""
    node = Step(
        signature["task"],
        tuple(signature.get("args") or ()),
        dict(signature.get("kwargs") or {}),
        options,
        bool(signature.get("immutable")),
    )
    return chained([node, *(of_signature(step) for step in reversed(options.get("chain") or ()))])


def _members(signatures: Sequence[Mapping[str, Any]]) -> tuple[Node, ...]:
    members: list[Node] = []
    for signature in signatures:
        node = of_signature(signature)
        members += node.members if isinstance(node, Group) else [node]
    return tuple(members)


def chained(steps: Sequence[Node]) -> Node:
    """The form of steps that follow one another."""
    flat: list[Node] = []
    for step in steps:
        if isinstance(step, Group) and len(step.members) == 1:
            step = step.members[0]
        flat += step.steps if isinstance(step, Chain) else [step]
    for index, step in enumerate(flat[:-1]):
        rest = flat[index + 1 :]
        if isinstance(step, Group):
            return chained([*flat[:index], Chord(step.members, chained(rest))])
        if isinstance(step, Chord):
            return chained([*flat[:index], Chord(step.header, chained([step.body, *rest]))])
    return flat[0] if len(flat) == 1 else Chain(tuple(flat))


def with_options(node: Node, options: Mapping[str, Any]) -> Node:
    """The workflow with options that were set on it as a whole: Celery sets them on what is published first."""
    options = {name: value for name, value in options.items() if name not in BOOKKEEPING and name != "task_id"}
    if not options:
        return node
    if isinstance(node, Step):
        return Step(node.name, node.args, node.kwargs, {**node.options, **options}, node.immutable)
    if isinstance(node, Chain):
        return Chain((with_options(node.steps[0], options), *node.steps[1:])) if node.steps else node
    if isinstance(node, Group):
        return Group(tuple(with_options(member, options) for member in node.members))
    return Chord(tuple(with_options(member, options) for member in node.header), node.body)


# -------------------------------------------------------------------- from messages


@dataclass(frozen=True)
class EnqueuedWorkflow:
    """A workflow that waits, and the messages that carry it.

    Attributes:
        node: its form.
        messages: its messages, in the order in which they were published.
    """

    node: Node
    messages: tuple[EnqueuedTask, ...]


def single(message: EnqueuedTask) -> EnqueuedWorkflow:
    """What one message carries, without what follows it."""
    step = Step(message.name, message.args, message.kwargs, message=message)
    return EnqueuedWorkflow(step, (message,))


def of_messages(messages: Sequence[EnqueuedTask]) -> list[EnqueuedWorkflow]:
    """The workflows that these messages carry: each message with its chain, then each group and chord."""
    found: list[EnqueuedWorkflow] = []
    groups: dict[str, list[tuple[Node, EnqueuedTask]]] = {}
    bodies: dict[str, Mapping[str, Any]] = {}
    for message in sorted(messages, key=lambda message: message.event):
        node = chained([single(message).node, *(of_signature(step) for step in message.chain)])
        found.append(EnqueuedWorkflow(node, (message,)))
        # The member of a group may be a chain: then its last step carries the group's id and the chord's callback.
        last = _last_options(message)
        group_id = message.group_id or last.get("group_id")
        if group_id:
            groups.setdefault(group_id, []).append((node, message))
            chord = message.chord or last.get("chord")
            if chord:
                bodies[group_id] = chord
    for group_id, members in groups.items():
        nodes = tuple(node for node, _ in members)
        node = Chord(nodes, of_signature(bodies[group_id])) if group_id in bodies else Group(nodes)
        found.append(EnqueuedWorkflow(node, tuple(message for _, message in members)))
    return found


def _last_options(message: EnqueuedTask) -> Mapping[str, Any]:
    if not message.chain:
        return {}
    last: Mapping[str, Any] = message.chain[-1]
    while last.get("subtask_type") in ("chain", "chord"):
        kwargs = last.get("kwargs") or {}
        following = (kwargs.get("tasks") or [None])[-1] if last["subtask_type"] == "chain" else kwargs.get("body")
        if not following:
            break
        last = following
    return last.get("options") or {}
