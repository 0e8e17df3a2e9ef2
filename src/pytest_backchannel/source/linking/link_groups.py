"""Groups as patterns, and the messages that are sent to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from ..channel_facts import GroupUse
from ..reading.file_facts import FileFacts, FunctionFacts, RawGroupUse
from ..reading.templates import Template
from .link_consumers import generic_of
from .link_tasks import numbered
from .symbols import Symbols


def group_uses(symbols: Symbols) -> list[GroupUse]:
    """Sorted by file and line, each with its key."""
    raw = [(facts.module, use) for facts in symbols.all_facts() for use in facts.group_uses]
    found = [_use(symbols, module, use) for module, use in raw]
    wrappers = {use.place.function: use for _, use in raw if use.message_parameter is not None}
    for facts in symbols.all_facts():
        found.extend(_sent_by_wrappers(symbols, facts, wrappers))
    found.sort(key=lambda use: (use.place.path, use.place.line, use.place.end_line))
    keys = numbered([f"group_{use.action}:{use.place.function}->{use.group}" for use in found])
    keys = [key.replace("group_channel_send", "channel_send") for key in keys]
    return [replace(use, key=key) for use, key in zip(found, keys, strict=True)]


def _use(symbols: Symbols, module: str, raw: RawGroupUse) -> GroupUse:
    owner = f"{module}.{raw.class_name}" if raw.class_name else ""
    is_consumer = bool(owner) and generic_of(symbols, symbols.ancestry(owner)) is not None
    message_type, keys = _message(symbols, raw)
    return GroupUse(
        key="",
        place=raw.place,
        action=raw.action,
        group=symbols.pattern(raw.group),
        group_source=raw.group_source,
        consumer=owner if is_consumer else "",
        message_type=_known(symbols.pattern(message_type)) if message_type is not None else None,
        message_keys=keys,
        through=raw.through,
        around=raw.around,
    )


def _sent_by_wrappers(symbols: Symbols, facts: FileFacts, wrappers: Mapping[str, RawGroupUse]) -> Iterator[GroupUse]:
    """The calls of functions that send the message which they are given."""
    for raw in facts.messages:
        wrapper = symbols.follow(raw.dotted)
        use, function = wrappers.get(wrapper), symbols.thing(wrapper)
        if use is None or not isinstance(function, FunctionFacts):
            continue
        names = _parameter_names(function)
        given = {
            names[at] if isinstance(at, int) else at: value
            for at, value in raw.arguments.items()
            if not isinstance(at, int) or at < len(names)
        }
        position = names[raw.position] if isinstance(raw.position, int) and raw.position < len(names) else raw.position
        if position != use.message_parameter:
            continue
        group = given.get(use.group_parameter) if use.group_parameter is not None else use.group
        owner = f"{facts.module}.{raw.class_name}" if raw.class_name else ""
        yield GroupUse(
            key="",
            place=raw.place,
            action=use.action,
            group=symbols.pattern(group),
            group_source=use.group_source,
            consumer=owner if owner and generic_of(symbols, symbols.ancestry(owner)) is not None else "",
            message_type=_known(symbols.pattern(raw.message_type)),
            message_keys=raw.message_keys,
            through=use.through,
            wrapper=wrapper,
            around=raw.around,
        )


def _parameter_names(function: FunctionFacts) -> list[str]:
    """Without the first one of a method, or of a bound task."""
    names = [one.name for one in function.parameters]
    return names[1:] if names[:1] in (["self"], ["cls"]) else names


def _known(pattern: str) -> str | None:
    return pattern if pattern.strip("{}") else None


def _message(symbols: Symbols, raw: RawGroupUse) -> tuple[Template | None, tuple[str, ...] | None]:
    """Of the call, or of the function that makes the message."""
    if raw.message_ref is None:
        return raw.message_type, raw.message_keys
    maker = symbols.thing(symbols.follow(raw.message_ref))
    return (maker.message_type, maker.message_keys) if isinstance(maker, FunctionFacts) else (None, None)
