"""Where a workflow that was enqueued differs from the one that was wanted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import zip_longest
from typing import Any

from kombu import compression, serialization

from ...errors import BadExpectation
from .calls import EARLIER, bind, signature_of
from .messages import EnqueuedTask, cut
from .workflows import BOOKKEEPING, Chain, Chord, Group, Node, Step, chained, of_signature, option_text

#: Options that tell the producer how to publish, and do not travel with the message.
NOT_IN_THE_MESSAGE = frozenset(
    ("add_to_parent", "confirm_timeout", "connection", "declare", "mandatory", "producer", "publisher", "retry",
     "retry_policy", "router", "timeout")
)  # fmt: skip

_WIDTH = 100


@dataclass(frozen=True)
class Difference:
    """One field that differs.

    Attributes:
        field: which, with its path inside the value, such as ``order['lines'][2]``.
        wanted: what was wanted, for a message.
        found: what was found, for a message.
    """

    field: str
    wanted: str
    found: str

    def __str__(self) -> str:
        return f"{self.field}: wanted {self.wanted}, found {self.found}"


class Comparison:
    """Compares workflows of one Celery app.

    Args:
        app: the app, whose tasks' own signatures say which argument is which.
    """

    def __init__(self, app: Any) -> None:
        self._app = app

    def differences(self, wanted: Node, found: Node, *, partial: bool = False) -> Iterator[Difference]:
        """What differs, outermost first; nothing where they match.

        Args:
            wanted: the expectation.
            found: what was enqueued.
            partial: whether both get the result of an earlier step as their first argument.
        """
        if isinstance(wanted, Chord) and isinstance(found, Chain) and len(wanted.header) == 1:
            # A chord of one is published as a chain by some versions of Celery (celery/canvas.py, 5.5).
            wanted = chained([wanted.header[0], wanted.body])
        if isinstance(wanted, Step) and isinstance(found, Step):
            yield from self._step(wanted, found, partial)
        elif isinstance(wanted, Chain) and isinstance(found, Chain):
            yield from self._several("step", wanted.steps, found.steps, [partial] + [True] * len(wanted.steps))
        elif isinstance(wanted, Group) and isinstance(found, Group):
            yield from self._several("member", wanted.members, found.members, [partial] * len(wanted.members))
        elif isinstance(wanted, Chord) and isinstance(found, Chord):
            yield from self._several("header task", wanted.header, found.header, [partial] * len(wanted.header))
            yield from self._inside("body", self.differences(wanted.body, found.body, partial=True))
        else:
            yield Difference("workflow", _kind(wanted), _kind(found))

    def _several(
        self, label: str, wanted: Sequence[Node], found: Sequence[Node], partial: Sequence[bool]
    ) -> Iterator[Difference]:
        if len(wanted) != len(found):
            yield Difference(f"number of {label}s", str(len(wanted)), str(len(found)))
        for index, (one, other) in enumerate(zip(wanted, found, strict=False)):
            yield from self._inside(f"{label} {index + 1}", self.differences(one, other, partial=partial[index]))

    @staticmethod
    def _inside(label: str, differences: Iterator[Difference]) -> Iterator[Difference]:
        for difference in differences:
            yield Difference(f"{label}, {difference.field}", difference.wanted, difference.found)

    def _step(self, wanted: Step, found: Step, partial: bool) -> Iterator[Difference]:
        if wanted.name != found.name:
            yield Difference("task", repr(wanted.name), repr(found.name))
            return
        if partial and wanted.immutable != found.immutable and not wanted.any_arguments:
            kinds = {True: "immutable (.si)", False: "given the result before it (.s)"}
            yield Difference("signature", kinds[wanted.immutable], kinds[found.immutable])
        if found.message is not None and found.message.unreadable:
            yield Difference("body", "a readable message", found.message.unreadable)
        elif not wanted.any_arguments:
            yield from self._arguments(wanted, found, partial and not wanted.immutable)
        for name, value in wanted.options.items():
            if name not in BOOKKEEPING and name not in NOT_IN_THE_MESSAGE:
                yield from self._option(name, value, found)

    # ------------------------------------------------------------- arguments

    def _arguments(self, wanted: Step, found: Step, partial: bool) -> Iterator[Difference]:
        task = self._app.tasks.get(wanted.name)
        dump = getattr(task, "_dump_pydantic_arguments", None)  # since celery 5.7, for tasks with pydantic=True
        args, kwargs = dump(wanted.args, wanted.kwargs) if dump and not partial else (wanted.args, wanted.kwargs)
        ours = bind(task, args, kwargs, partial=partial)
        theirs = bind(task, found.args, found.kwargs, partial=partial)
        if ours is None or theirs is None:
            ours = {**{f"args[{i}]": value for i, value in enumerate(args)}, **kwargs}
            theirs = {**{f"args[{i}]": value for i, value in enumerate(found.args)}, **found.kwargs}
        for name in [*ours, *(name for name in theirs if name not in ours)]:
            if name not in theirs:
                yield Difference(name, _show(ours[name]), "nothing")
            elif name not in ours:
                yield Difference(name, "nothing", _show(theirs[name]))
            else:
                yield from value_differences(name, ours[name], theirs[name])

    # --------------------------------------------------------------- options

    def _option(self, name: str, wanted: Any, found: Step) -> Iterator[Difference]:
        if name in ("link", "link_error"):
            yield from self._links(name, wanted, found)
            return
        value = found.options.get(name) if found.message is None else _option_of(found.message, name, wanted)
        if name == "headers" and isinstance(wanted, Mapping):
            # Celery keeps its own beside the project's.
            for key, header in wanted.items():
                yield from value_differences(f"headers[{key!r}]", header, (value or {}).get(key))
            return
        if name in ("queue", "exchange"):
            wanted, value = getattr(wanted, "name", wanted), getattr(value, "name", value)
        if name == "compression" and isinstance(wanted, str):
            encoder: Any = compression.get_encoder(wanted)
            wanted = encoder[1]
        if not _same_option(wanted, value, late=_LATE if name in ("countdown", "expires") else 0.0):
            yield Difference(name, _show(wanted), "none" if value is None else _show(value))

    def _links(self, name: str, wanted: Any, found: Step) -> Iterator[Difference]:
        if found.message is None:
            links = found.options.get(name) or ()
        else:
            links = found.message.callbacks if name == "link" else found.message.errbacks
        links = [links] if isinstance(links, Mapping) else links
        for link in [wanted] if isinstance(wanted, Mapping) else wanted:
            node = of_signature(link)
            # A link gets the result; an errback is called in ways of its own, so its arguments are compared as given.
            if not any(not list(self.differences(node, of_signature(other), partial=True)) for other in links):
                yield Difference(name, str(node), option_text(list(links)) if links else "none")


def check_call(app: Any, step: Step, *, partial: bool) -> None:
    """Refuse an expectation whose arguments the task does not take.

    Raises:
        BadExpectation: nothing that the task accepts could match it.
    """
    __tracebackhide__ = True
    task = app.tasks.get(step.name)
    if task is None or step.any_arguments or not task.typing:
        return
    signature = signature_of(task.run)
    try:
        signature.bind(*([EARLIER] if partial and not step.immutable else []), *step.args, **step.kwargs)
    except TypeError as error:
        raise BadExpectation(
            f"{step.name} can't be called as in {step}: {error}. It takes {signature}. "
            "To match any arguments, pass the task itself instead of a signature."
        ) from None


# ---------------------------------------------------------------------------- values


def value_differences(path: str, wanted: Any, found: Any) -> Iterator[Difference]:
    """Where two values differ: inside lists and dicts, at the innermost place."""
    if equal(wanted, found):
        return
    if _mappings(wanted, found) and (_keys(wanted) == _keys(found) or _is_long(wanted, found)):
        yield from _key_differences(path, wanted, found)
    elif _sequences(wanted, found) and len(wanted) == len(found):
        for index, (one, other) in enumerate(zip(wanted, found, strict=True)):
            yield from value_differences(f"{path}[{index}]", one, other)
    elif _sequences(wanted, found) and _is_long(wanted, found):
        yield from _length_differences(path, wanted, found)
    else:
        yield Difference(path, *_both(wanted, found))


def _mappings(wanted: Any, found: Any) -> bool:
    return _is_plain(wanted, dict) and isinstance(found, Mapping)


def _sequences(wanted: Any, found: Any) -> bool:
    return (_is_plain(wanted, list) or _is_plain(wanted, tuple)) and isinstance(found, list | tuple)


def _key_differences(path: str, wanted: Mapping[Any, Any], found: Mapping[Any, Any]) -> Iterator[Difference]:
    theirs = {str(key): value for key, value in found.items()}
    for key, value in wanted.items():
        if str(key) in theirs:
            yield from value_differences(f"{path}[{key!r}]", value, theirs[str(key)])
        else:
            yield Difference(f"{path}[{key!r}]", _show(value), "nothing")
    ours = _keys(wanted)
    for key, value in found.items():
        if str(key) not in ours:
            yield Difference(f"{path}[{key!r}]", "nothing", _show(value))


def _length_differences(path: str, wanted: Sequence[Any], found: Sequence[Any]) -> Iterator[Difference]:
    """Both lengths, and the first place that differs: one item more at the front moves all others."""
    yield Difference(f"len({path})", str(len(wanted)), str(len(found)))
    pairs = enumerate(zip(wanted, found, strict=False))
    first = next(([*value_differences(f"{path}[{i}]", *pair)] for i, pair in pairs if not equal(*pair)), [])
    yield from first or [_beyond(path, wanted, found)]


def _beyond(path: str, wanted: Sequence[Any], found: Sequence[Any]) -> Difference:
    """The first item that one of them has and the other has not."""
    index = min(len(wanted), len(found))
    shown = [_show(items[index]) if index < len(items) else "nothing" for items in (wanted, found)]
    return Difference(f"{path}[{index}]", *shown)


def _is_long(*values: Any) -> bool:
    return any(len(repr(value)) > _WIDTH for value in values)


def _both(wanted: Any, found: Any) -> tuple[str, str]:
    """Both, for a message: of long ones the part where they differ."""
    one, other = repr(wanted), repr(found)
    shown = cut(one, _WIDTH), cut(other, _WIDTH)
    if shown[0] != shown[1] or one == other:
        return shown
    differ = next(index for index, (a, b) in enumerate(zip_longest(one, other)) if a != b)
    start = differ - _WIDTH // 4
    return _window(one, start), _window(other, start)


def _window(text: str, start: int) -> str:
    end = start + _WIDTH - 2
    return f"…{text[start:end]}" + ("…" if end < len(text) else "")


def _is_plain(value: Any, kind: Any) -> bool:
    # A subclass that compares in a way of its own, such as one of dirty-equals, is not looked into.
    return isinstance(value, kind) and type(value).__eq__ is kind.__eq__


def _keys(mapping: Mapping[Any, Any]) -> set[str]:
    return {str(key) for key in mapping}


def equal(wanted: Any, found: Any) -> bool:
    """``==`` from either side; also what becomes equal by the serialiser's round trip, such as an enum's value."""
    try:
        if bool(wanted == found) or bool(found == wanted):
            return True
    except Exception:  # a comparison that can't answer, such as an array's
        return False
    if isinstance(wanted, list | tuple | dict) or type(wanted) is type(found):
        return False
    try:
        content_type, encoding, body = serialization.dumps(wanted, serializer="json")
        return bool(serialization.loads(body, content_type, encoding) == found)
    except Exception:  # it can't be serialised, so nothing like it was
        return False


# Celery makes a moment of a countdown before it publishes: on a busy machine some time has passed when it does.
_LATE = 1.0


def _same_option(wanted: Any, found: Any, *, late: float = 0.0) -> bool:
    if isinstance(wanted, int | float) and isinstance(found, int | float) and not isinstance(wanted, bool):
        return -0.01 < wanted - found < max(late, 0.01)
    if isinstance(wanted, datetime) and isinstance(found, datetime):
        wanted, found = (when if when.tzinfo else when.replace(tzinfo=UTC) for when in (wanted, found))
        return abs((wanted - found).total_seconds()) < 0.01
    if found is None and isinstance(wanted, int | float) and not wanted:
        return True
    return equal(wanted, found)


def _show(value: Any) -> str:
    return cut(repr(value), _WIDTH)


def _kind(node: Node) -> str:
    if isinstance(node, Step):
        return f"one task, {cut(str(node), _WIDTH)}"
    if isinstance(node, Chain):
        return f"a chain of {len(node.steps)}"
    if isinstance(node, Group):
        return f"a group of {len(node.members)}"
    return f"a chord with a header of {len(node.header)}"


# ------------------------------------------------------------- options in a message

# Those that a message has under the name of the option.
_SAME_NAME = frozenset(("countdown", "eta", "exchange", "headers", "priority", "queue", "retries", "routing_key"))


def _option_of(message: EnqueuedTask, name: str, wanted: Any) -> Any:
    """The value of an option in a message, of the kind that is wanted."""
    if name in _SAME_NAME:
        return getattr(message, name)
    if name == "task_id":
        return message.id
    if name == "expires":
        return message.expires if isinstance(wanted, datetime) else message.expires_in
    if name in ("time_limit", "soft_time_limit"):
        hard, soft = message.headers.get("timelimit") or (None, None)
        return hard if name == "time_limit" else soft
    if name == "serializer":
        module: Any = serialization  # the type stubs leave the registry out
        return module.registry.type_to_name.get(message.content_type, message.content_type)
    return message.headers.get(name, message.properties.get(name))
