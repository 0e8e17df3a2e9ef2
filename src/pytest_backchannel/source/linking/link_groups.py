"""Groups as patterns, and the messages that are sent to them."""

from __future__ import annotations

from dataclasses import replace

from ..channel_facts import GroupUse
from ..reading.file_facts import FunctionFacts, RawGroupUse
from ..reading.templates import Template
from .link_consumers import generic_of
from .link_tasks import numbered
from .symbols import Symbols


def group_uses(symbols: Symbols) -> list[GroupUse]:
    """Sorted by file and line, each with its key."""
    found = [_use(symbols, facts.module, raw) for facts in symbols.all_facts() for raw in facts.group_uses]
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


def _known(pattern: str) -> str | None:
    return pattern if pattern.strip("{}") else None


def _message(symbols: Symbols, raw: RawGroupUse) -> tuple[Template | None, tuple[str, ...] | None]:
    """Of the call, or of the function that makes the message."""
    if raw.message_ref is None:
        return raw.message_type, raw.message_keys
    maker = symbols.thing(symbols.follow(raw.message_ref))
    return (maker.message_type, maker.message_keys) if isinstance(maker, FunctionFacts) else (None, None)
