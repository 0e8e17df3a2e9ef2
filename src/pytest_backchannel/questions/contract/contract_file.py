"""A contract as a file: JSON with one item a line, in a stable order, so that a change of it can be reviewed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ...errors import UnreadableContract
from .contents import Accepts, Contract, LayerSend, MessageHandler, TaskSend
from .signatures import parse

FORMAT, VERSION = "backchannel-contract", 1
NAME = "backchannel-contract.json"
"""The file where none is named."""


def as_text(contract: Contract) -> str:
    """The text of the file.

    Args:
        contract: what it is to say.
    """
    accepts = contract.accepts
    handlers = [
        {"consumer": one.consumer, "handler": one.name, **_filled(needs=one.needs, asks=one.asks)}
        for one in sorted(accepts.handlers)
    ]
    parts = [
        f'  "format": {_line(FORMAT)}',
        f'  "version": {VERSION}',
        '  "accepts": {\n'
        + ",\n".join(
            [
                f'    "all_tasks": {_line(accepts.all_tasks)}',
                f'    "all_routes": {_line(accepts.all_routes)}',
                f'    "content": {_line(sorted(accepts.content))}',
                f'    "queues": {_line(sorted(accepts.queues) if accepts.queues is not None else None)}',
                _mapping("tasks", accepts.tasks),
                _mapping("consumers", {name: sorted(groups) for name, groups in accepts.consumers.items()}),
                _listing("handlers", handlers),
                _listing("routes", sorted(accepts.routes)),
            ]
        )
        + "\n  }",
        '  "sends": {\n'
        + ",\n".join(
            [
                _listing("tasks", map(_task_data, sorted(contract.tasks))),
                _listing("messages", map(_message_data, sorted(contract.messages))),
            ]
        )
        + "\n  }",
    ]
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _task_data(one: TaskSend) -> dict[str, Any]:
    return {
        "task": one.task,
        "args": one.args,
        **_filled(kwargs=one.kwargs, queue=one.queue, serializer=one.serializer, headers=one.headers, beat=one.beat),
        "seen": "settings" if one.beat else "run" if one.run else "code",
    }


def _message_data(one: LayerSend) -> dict[str, Any]:
    return {"type": one.type, "keys": list(one.keys), "seen": "run" if one.run else "code"}


def _filled(**values: Any) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items() if value}


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _listing(name: str, items: Iterable[Any]) -> str:
    lines = ",\n".join(f"      {_line(item)}" for item in items)
    return f"    {_line(name)}: [\n{lines}\n    ]" if lines else f"    {_line(name)}: []"


def _mapping(name: str, items: Mapping[str, Any]) -> str:
    lines = ",\n".join(f"      {_line(key)}: {_line(value)}" for key, value in sorted(items.items()))
    return f"    {_line(name)}: {{\n{lines}\n    }}" if lines else f"    {_line(name)}: {{}}"


# ----------------------------------------------------------------------- reading


def read(path: Path | str) -> Contract:
    """Read a file.

    Args:
        path: the file.

    Raises:
        UnreadableContract: it is not there, or is none.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UnreadableContract(
            f"there is no {path}: record it with 'pytest --backchannel-contract={path}', or name another file"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UnreadableContract(f"{path} can't be read: {error}") from None
    return from_text(text, str(path))


def from_text(text: str, name: str) -> Contract:
    """Of the text of a file.

    Args:
        text: what stands in it.
        name: what it is called, for the messages.

    Raises:
        UnreadableContract: it is none, or of another version of the format.
    """
    try:
        data = json.loads(text)
    except ValueError as error:
        raise UnreadableContract(f"{name} is no JSON: {error}; was it merged with a conflict? Record it anew") from None
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise UnreadableContract(f'{name} is no contract: it does not say "format": "{FORMAT}"')
    if data.get("version") != VERSION:
        raise UnreadableContract(
            f"{name} has version {data.get('version')!r} of the format, and this is {VERSION}: read it with the "
            "version of pytest-backchannel that has written it, or record it anew"
        )
    try:
        contract = _contract(data)
        for signature in contract.accepts.tasks.values():
            parse(signature)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UnreadableContract(f"{name} is not complete: {type(error).__name__}: {error}; record it anew") from None
    return contract


def _contract(data: Mapping[str, Any]) -> Contract:
    accepts, sends = data["accepts"], data["sends"]
    return Contract(
        accepts=Accepts(
            tasks={str(name): str(signature) for name, signature in accepts["tasks"].items()},
            all_tasks=bool(accepts["all_tasks"]),
            content=tuple(accepts["content"]),
            queues=tuple(accepts["queues"]) if accepts["queues"] is not None else None,
            consumers={name: tuple(groups) for name, groups in accepts["consumers"].items()},
            handlers=tuple(
                MessageHandler(
                    consumer=one["consumer"],
                    name=one["handler"],
                    needs=tuple(one.get("needs", ())),
                    asks=tuple(one.get("asks", ())),
                )
                for one in accepts["handlers"]
            ),
            routes=tuple(accepts["routes"]),
            all_routes=bool(accepts["all_routes"]),
        ),
        tasks=tuple(
            TaskSend(
                task=one["task"],
                args=int(one["args"]),
                kwargs=tuple(one.get("kwargs", ())),
                queue=one.get("queue", ""),
                serializer=one.get("serializer", ""),
                headers=tuple(one.get("headers", ())),
                beat=one.get("beat", ""),
                run=one.get("seen") == "run",
            )
            for one in sends["tasks"]
        ),
        messages=tuple(
            LayerSend(type=one["type"], keys=tuple(one["keys"]), run=one.get("seen") == "run")
            for one in sends["messages"]
        ),
    )
