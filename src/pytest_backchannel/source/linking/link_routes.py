"""WebSocket routes with their consumers, prefixes and middleware."""

from __future__ import annotations

from dataclasses import replace

from ..channel_facts import WebSocketRoute
from ..reading.file_facts import ClassFacts, FileFacts, RawRoute, RawRouter
from .link_consumers import generic_of
from .link_tasks import numbered
from .symbols import Symbols


def routes(symbols: Symbols) -> list[WebSocketRoute]:
    """Sorted by file and line."""
    routers = [
        (facts, router, {symbols.follow(one) for one in router.lists})
        for facts in symbols.all_facts()
        for router in facts.routers
    ]
    found = [
        _route(symbols, facts, raw, routers)
        for facts in symbols.all_facts()
        for raw in facts.routes
        if _is_consumer(symbols, raw)
    ]
    found.sort(key=lambda route: (route.place.path, route.place.line))
    keys = numbered([f"route:{route.pattern}->{route.consumer}" for route in found])
    return [replace(route, key=key.removesuffix("#1")) for route, key in zip(found, keys, strict=True)]


def _is_consumer(symbols: Symbols, raw: RawRoute) -> bool:
    """Whether the endpoint is one, as far as can be seen: a class of the tree that is none is something else."""
    if raw.consumer is None:
        return True
    followed = symbols.follow(raw.consumer)
    thing = symbols.thing(followed)
    if isinstance(thing, ClassFacts):
        return generic_of(symbols, symbols.ancestry(followed)) is not None or raw.consumer_source.endswith("Consumer")
    return True


def _route(
    symbols: Symbols, facts: FileFacts, raw: RawRoute, routers: list[tuple[FileFacts, RawRouter, set[str]]]
) -> WebSocketRoute:
    consumer = symbols.follow(raw.consumer) if raw.consumer is not None else raw.consumer_source
    router = next(
        (
            one
            for where, one, lists in routers
            if (where is facts and raw.router == one.line) or (raw.list_name is not None and raw.list_name in lists)
        ),
        None,
    )
    before = router.middleware if router is not None else ()
    prefix = symbols.pattern(router.prefix) if router is not None else ""
    return WebSocketRoute(
        key="",
        pattern=prefix + symbols.pattern(raw.pattern),
        kind=raw.kind,
        consumer=consumer,
        resolved=isinstance(symbols.thing(consumer), ClassFacts),
        name=raw.name,
        middleware=tuple(symbols.follow(one) for one in (*before, *raw.middleware)),
        through_router=router is not None,
        place=raw.place,
    )
