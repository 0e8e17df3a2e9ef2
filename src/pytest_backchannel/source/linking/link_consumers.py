"""Which classes are consumers, and what each of them handles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ..channel_facts import (
    Branch,
    ConsumerDef,
    ConsumerMethod,
    Dispatch,
    GroupUse,
    Handler,
    WebSocketRoute,
    handler_name,
)
from ..reading.file_facts import FileFacts, FunctionFacts, RawBranch
from .symbols import Symbols

_LIBRARIES = frozenset(
    {"channels", "djangochannelsrestframework", "channelsmultiplexer", "strawberry", "channels_graphql_ws"}
)
_NO_METHODS = frozenset({"property", "cached_property", "staticmethod", "classmethod"})
# Channels 4.2–4.3: the methods of its generic consumers, none of which is a handler of the project's own.
_OF_CHANNELS = frozenset(
    {
        "accept",
        "as_asgi",
        "close",
        "connect",
        "decode_json",
        "disconnect",
        "dispatch",
        "encode_json",
        "get_handler_name",
    }
    | {"handle", "http_disconnect", "http_request", "receive", "receive_json", "send", "send_body", "send_headers"}
    | {"send_json", "send_response", "websocket_connect", "websocket_disconnect", "websocket_receive", "body"}
)


def consumers(symbols: Symbols, uses: list[GroupUse]) -> dict[str, ConsumerDef]:
    """By dotted name, sorted by file and line."""
    sent = {name for use in uses if use.action.endswith("send") and (name := use.handler) is not None}
    sent.update(handler_name(one) for facts in symbols.all_facts() for one in facts.message_types)
    found = [
        one
        for facts in symbols.all_facts()
        for qualname in facts.classes
        if (one := _consumer(symbols, facts, qualname, sent)) is not None
    ]
    found.sort(key=lambda one: (one.place.path, one.place.line))
    return {one.name: one for one in found}


def generic_of(symbols: Symbols, ancestry: list[str]) -> str | None:
    """The library's class from which a class comes, or None where it is no consumer."""
    for one in ancestry[1:]:
        if symbols.is_ours(one):
            continue
        root, name = one.partition(".")[0], one.rpartition(".")[2]
        if root in _LIBRARIES and name.endswith("Consumer"):
            return one
        if name.lower().endswith("websocketconsumer"):
            return one
    return None


def _consumer(symbols: Symbols, facts: FileFacts, qualname: str, sent: set[str]) -> ConsumerDef | None:
    found = facts.classes[qualname]
    dotted = f"{facts.module}.{qualname}"
    ancestry = symbols.ancestry(dotted)
    generic = generic_of(symbols, ancestry)
    if generic is None:
        return None
    name = generic.rpartition(".")[2]
    is_async = name.startswith("Async") or generic.startswith("djangochannelsrestframework")
    methods = dict(_methods(symbols, ancestry))
    dispatches = (*_dispatches(symbols, dotted, ancestry), *_actions(symbols, dotted, methods))
    return ConsumerDef(
        key=f"consumer:{dotted}",
        name=dotted,
        place=found.place,
        bases=tuple(symbols.follow(base) for base in found.bases),
        generic=generic,
        protocol="http" if "Http" in name else "channel" if name in ("SyncConsumer", "AsyncConsumer") else "websocket",
        is_async=is_async,
        is_json="Json" in name or generic.startswith("djangochannelsrestframework"),
        methods={
            method: ConsumerMethod(
                line=function.place.line,
                is_async=function.is_async,
                calls=function.self_calls,
                scope_keys=function.scope_keys,
            )
            for method, function in methods.items()
        },
        handlers=tuple(_handlers(dotted, methods, dispatches, is_async=is_async, sent=sent)),
        dispatches=dispatches,
        groups=tuple(symbols.pattern(one) for one in found.groups),
    )


def _methods(symbols: Symbols, ancestry: list[str]) -> Iterator[tuple[str, FunctionFacts]]:
    """The methods of the tree's classes, nearest last, so that it wins."""
    for one in reversed(ancestry):
        thing = symbols.class_facts(one)
        for name in thing.methods if thing is not None else ():
            method = symbols.thing(f"{one}.{name}")
            if isinstance(method, FunctionFacts):
                yield name, method


def _handlers(
    dotted: str,
    methods: dict[str, FunctionFacts],
    dispatches: tuple[Dispatch, ...],
    *,
    is_async: bool,
    sent: set[str],
) -> Iterator[Handler]:
    called = {name for method in methods.values() for name in method.self_names}
    called.update(call for one in dispatches for branch in one.branches for call in branch.calls)
    for name, method in methods.items():
        if not _takes_a_message(name, method, is_async):
            continue
        if name not in sent and (name in called or method.decorators):
            continue  # a helper that looks like one
        yield Handler(
            key=f"handler:{dotted}.{name}",
            name=name,
            message_type=name.replace("_", "."),
            place=method.place,
            is_async=method.is_async,
            sent=name in sent,
        )


def _takes_a_message(name: str, method: FunctionFacts, is_async: bool) -> bool:
    if name.startswith("_") or name in _OF_CHANNELS or method.is_async != is_async:
        return False
    if _NO_METHODS.intersection(one.rpartition(".")[2] for one in method.decorators):
        return False
    plain = [one for one in method.parameters if one.kind.startswith("positional")]
    required = [one for one in plain if one.default is None]
    keyword = [one for one in method.parameters if one.kind == "keyword_only" and one.default is None]
    variable = any(one.kind == "var_positional" for one in method.parameters)
    return not keyword and len(required) <= 2 and (len(plain) >= 2 or (variable and len(plain) == 1))


def _dispatches(symbols: Symbols, dotted: str, ancestry: list[str]) -> Iterator[Dispatch]:
    for one in ancestry:
        split = symbols.split(one)
        facts = symbols.facts(split[0]) if split is not None else None
        if facts is None or split is None:
            continue
        groups: dict[tuple[str, str], list[RawBranch]] = {}
        for raw in facts.branches.get(".".join(split[1]), ()):
            groups.setdefault((raw.field, raw.style), []).append(raw)
        for (field, style), some in groups.items():
            yield Dispatch(
                consumer=dotted,
                field=field,
                style=style,
                branches=tuple(_branches(dotted, some)),
                has_default=any(raw.has_default for raw in some),
                place=some[0].place,
            )


def _actions(symbols: Symbols, dotted: str, methods: dict[str, FunctionFacts]) -> Iterator[Dispatch]:
    """What ``@action()`` of djangochannelsrestframework makes: the method for ``{"action": "its name"}``."""
    actions = [
        (name, method)
        for name, method in methods.items()
        if "djangochannelsrestframework.decorators.action" in map(symbols.follow, method.decorators)
    ]
    if actions:
        yield Dispatch(
            consumer=dotted,
            field="action",
            style="action",
            branches=tuple(
                Branch(key=f"json:{dotted}.action={name}", value=name, line=method.place.line, calls=(name,))
                for name, method in actions
            ),
            has_default=False,
            place=actions[0][1].place,
        )


def _branches(dotted: str, some: list[RawBranch]) -> Iterator[Branch]:
    """One for each value: it may be compared to more than once."""
    by_value: dict[str | int, list[RawBranch]] = {}
    for raw in sorted(some, key=lambda one: one.line):
        by_value.setdefault(raw.value, []).append(raw)
    for value, equal in by_value.items():
        calls = tuple(dict.fromkeys(call for raw in equal for call in raw.calls))
        yield Branch(key=f"json:{dotted}.{equal[0].field}={value}", value=value, line=equal[0].line, calls=calls)


def with_routes(found: dict[str, ConsumerDef], routes: list[WebSocketRoute]) -> dict[str, ConsumerDef]:
    """The same, each with whether it is only there for others to derive from."""
    routed = {route.consumer for route in routes}
    bases = {base for one in found.values() for base in one.bases}
    return {name: replace(one, abstract=name in bases and name not in routed) for name, one in found.items()}
