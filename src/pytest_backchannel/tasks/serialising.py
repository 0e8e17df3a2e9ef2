"""Whether a message, or a result, could carry a value: eager mode does not ask, a broker does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from celery.result import AsyncResult, GroupResult
from kombu import serialization as kombu_serialization
from kombu.serialization import prepare_accept_content

from ..errors import NotSerialisable
from .expect.calls import bind
from .expect.messages import cut

# kombu promises types (py.typed) and guesses them: what comes back depends on the serialiser.
serialization: Any = kombu_serialization


def carry_arguments(task: Any, args: Any, kwargs: Any, serializer: str | None) -> tuple[Any, Any]:
    """The arguments as a worker would get them.

    Args:
        task: the task that is called.
        args: its positional arguments.
        kwargs: its keyword arguments.
        serializer: the name of the serialiser that this call asks for; None for the task's own.

    Raises:
        NotSerialisable: the serialiser can't encode them, or the workers do not accept what it makes.
    """
    __tracebackhide__ = True
    conf = task.app.conf
    name = serializer or task.serializer or conf.task_serializer
    try:
        content_type, encoding, body = serialization.dumps((args, kwargs), name)
    except Exception as error:
        raise NotSerialisable(unserialisable(task, task.name, (args, kwargs), name, error)) from error
    _check_accepted(task, content_type, name, conf.accept_content, "accept_content", "message")
    carried = serialization.loads(body, content_type, encoding, accept={content_type})
    return tuple(carried[0]), dict(carried[1])


def unserialisable(task: Any, name: str, arguments: tuple[Any, Any], serializer: str, error: Exception) -> str:
    """Which argument of a call it is that can't be encoded, and what to do.

    Args:
        task: the task; None where its name is not known.
        name: the task's name.
        arguments: the positional ones and the others.
        serializer: the name of the serialiser.
        error: what the serialiser raised.
    """
    args, kwargs = arguments
    by_position = {**{f"args[{index}]": value for index, value in enumerate(args)}, **kwargs}
    values = (bind(task, args, kwargs, partial=False) if task is not None else None) or by_position
    return (
        f"{name} is called with {_culprit(values, serializer, error)}\n"
        "In production this call fails, or the workflow stops here: its message can't be made. "
        "Fix: pass what it can carry, such as the id of an object."
    )


def check_result(task: Any, value: Any) -> None:
    """Check what a task returned.

    Raises:
        NotSerialisable: the result backend could not store it, or nobody could read it back.
    """
    __tracebackhide__ = True
    conf = task.app.conf
    name = conf.result_serializer
    if isinstance(value, AsyncResult | GroupResult) and name != "pickle":
        value = value.as_tuple()  # as celery.backends.base.Backend.prepare_value does
    try:
        content_type, _, _ = serialization.dumps(value, name)
    except Exception as error:
        raise NotSerialisable(
            f"{task.name} returned {_culprit({'result': value}, name, error)}\n"
            "In production this task fails when its result is stored. Fix: return what it can carry, or declare the "
            "task with ignore_result=True."
        ) from error
    accepted = conf.result_accept_content or conf.accept_content
    _check_accepted(task, content_type, name, accepted, "result_accept_content", "result")


def _check_accepted(task: Any, content_type: str, name: str, accepted: Any, setting: str, what: str) -> None:
    __tracebackhide__ = True
    content_types = prepare_accept_content(accepted)
    if content_types is not None and content_type not in content_types:
        raise NotSerialisable(
            f"{task.name}: its {what} is serialised with {name!r} ({content_type}), and {setting} = "
            f"{sorted(accepted)!r} does not accept that.\n"
            f"In production it is refused with ContentDisallowed. Fix: add {name!r} to {setting}, or use one of these."
        )


def _culprit(values: Mapping[str, Any], serializer: str, error: Exception) -> str:
    for path, value in values.items():
        for inner, part in _unserialisable(path, value, serializer):
            return (
                f"{inner} = {cut(_repr(part), 100)} ({type(part).__name__}), "
                f"which the serialiser {serializer!r} can't encode: {cut(str(error), 200)}"
            )
    return f"a value that the serialiser {serializer!r} can't encode: {cut(str(error), 200)}"


def _unserialisable(path: str, value: Any, serializer: str) -> Iterator[tuple[str, Any]]:
    if _encodes(value, serializer):
        return
    inside: Iterator[tuple[str, Any]] = iter(())
    if isinstance(value, Mapping):
        for key in value:
            if not _encodes({key: None}, serializer):
                yield f"{path}, key {key!r}", key
                return
        inside = ((f"{path}[{key!r}]", item) for key, item in value.items())
    elif isinstance(value, list | tuple):
        inside = ((f"{path}[{index}]", item) for index, item in enumerate(value))
    culprits = [culprit for inner, item in inside for culprit in _unserialisable(inner, item, serializer)]
    yield from culprits or [(path, value)]


def _encodes(value: Any, serializer: str) -> bool:
    try:
        serialization.dumps(value, serializer)
    except Exception:  # each serialiser has errors of its own
        return False
    return True


def _repr(value: Any) -> str:
    try:
        return repr(value)
    except Exception as error:  # such as a model instance that is not complete
        return f"<a value whose repr() raises {type(error).__name__}>"
