"""Routes to consumers, and the routers and middleware that they stand in."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ..file_facts import RawRoute, RawRouter
from ..scopes import Scopes
from ..source_file import FUNCTIONS, text_of, written
from ..surroundings import last_name
from ..templates import Template, template

_PATHS = frozenset({"path", "re_path", "url"})


def routes(scopes: Scopes) -> Iterator[RawRoute]:
    """Every ``path(…, Consumer.as_asgi())``, and what a ``ChannelNameRouter`` has."""
    for call in scopes.file.of_kind(ast.Call):
        name = last_name(call.func)
        if name in _PATHS:
            yield from _path(scopes, call, name)
        elif name == "ChannelNameRouter" and call.args and isinstance(call.args[0], ast.Dict):
            for key, value in zip(call.args[0].keys, call.args[0].values, strict=True):
                if key is not None:
                    yield from _route(scopes, call, "channel", template(scopes, key), value, None)


def _path(scopes: Scopes, call: ast.Call, kind: str) -> Iterator[RawRoute]:
    given: dict[str, ast.expr] = dict(zip(("route", "view", "kwargs", "name"), call.args, strict=False))
    given.update({one.arg: one.value for one in call.keywords if one.arg is not None})
    pattern = given.get("route", given.get("regex"))
    view = given.get("view")
    if pattern is not None and view is not None:
        yield from _route(scopes, call, kind, template(scopes, pattern), view, text_of(given.get("name")))


def _route(
    scopes: Scopes, call: ast.Call, kind: str, pattern: Template, view: ast.expr, name: str | None
) -> Iterator[RawRoute]:
    consumer, middleware = _endpoint(scopes, view)
    if consumer is None:
        return
    place = scopes.file.place(view if kind == "channel" else call)
    yield RawRoute(
        place=place,
        pattern=pattern,
        kind=kind,
        consumer=scopes.dotted(consumer),
        consumer_source=written(consumer),
        name=name,
        list_name=_list_around(scopes, call),
        middleware=tuple(middleware),
        router=_router_around(scopes, call),
    )


def _endpoint(scopes: Scopes, view: ast.expr) -> tuple[ast.expr | None, list[str]]:
    """The consumer's class, and what wraps it; none for what is no consumer, such as a view."""
    middleware: list[str] = []
    for _ in range(8):
        if isinstance(view, ast.Name) and (value := scopes.value(view)) is not None:
            view = value
        if not isinstance(view, ast.Call):
            break
        if isinstance(view.func, ast.Attribute) and view.func.attr == "as_asgi":
            return view.func.value, middleware
        if last_name(view.func) in ("URLRouter", "include", "ProtocolTypeRouter") or not view.args:
            return None, middleware
        middleware.append(scopes.dotted(view.func) or written(view.func))
        view = view.args[0]
    # Channels 2 took the class itself.
    is_class = last_name(view).endswith("Consumer")
    return (view if is_class else None), middleware


def _list_around(scopes: Scopes, node: ast.AST) -> str | None:
    """The dotted name of the variable, or of the function, whose value has the route."""
    for above, child in scopes.file.ancestors(node):
        if isinstance(above, ast.Assign | ast.AugAssign | ast.AnnAssign):
            target = above.targets[0] if isinstance(above, ast.Assign) else above.target
            owner = scopes.file.class_of(above)
            module = scopes.file.dotted_name(owner) if owner is not None else scopes.file.module
            return f"{module}.{last_name(target)}" if last_name(target) else None
        if isinstance(above, FUNCTIONS) and child not in above.decorator_list:
            return scopes.file.dotted_name(above)
        if isinstance(above, ast.Call) and last_name(above.func) in ("append", "extend", "insert"):
            receiver = above.func.value if isinstance(above.func, ast.Attribute) else above.func
            return scopes.dotted(receiver)
    return None


def _router_around(scopes: Scopes, node: ast.AST) -> int | None:
    for above, _ in scopes.file.ancestors(node):
        if isinstance(above, ast.Call) and last_name(above.func) == "URLRouter":
            return above.lineno * 1000 + above.col_offset
    return None


def routers(scopes: Scopes) -> Iterator[RawRouter]:
    """Every ``URLRouter(…)``, with what stands before it."""
    for call in scopes.file.of_kind(ast.Call):
        if last_name(call.func) == "URLRouter" and call.args:
            middleware, protocol, prefix = _before(scopes, call)
            yield RawRouter(
                line=call.lineno * 1000 + call.col_offset,
                lists=tuple(_lists(scopes, call.args[0])),
                middleware=tuple(middleware),
                protocol=protocol,
                prefix=prefix,
            )


def _lists(scopes: Scopes, node: ast.expr) -> Iterator[str]:
    """The variables whose routes it is given: ``a``, ``a + b``, ``[*a, *b]``, ``a()``."""
    if isinstance(node, ast.Name | ast.Attribute):
        if (dotted := scopes.dotted(node)) is not None:
            yield dotted
    elif isinstance(node, ast.Call):
        if (dotted := scopes.dotted(node.func)) is not None:
            yield dotted
    elif isinstance(node, ast.BinOp):
        yield from _lists(scopes, node.left)
        yield from _lists(scopes, node.right)
    elif isinstance(node, ast.List | ast.Tuple):
        for one in node.elts:
            if isinstance(one, ast.Starred):
                yield from _lists(scopes, one.value)


def _before(scopes: Scopes, call: ast.Call) -> tuple[list[str], str, Template]:
    """The calls around a router up to the protocol's entry, outermost first, the protocol, and a prefix."""
    middleware: list[str] = []
    node: ast.AST = call
    seen: set[str] = set()
    while True:
        above = scopes.file.parent(node)
        if isinstance(above, ast.Call) and node in above.args:
            name = last_name(above.func)
            if name in _PATHS and above.args[1:2] == [node]:
                return middleware, "", template(scopes, above.args[0])
            middleware.insert(0, scopes.dotted(above.func) or written(above.func))
            node = above
        elif isinstance(above, ast.Dict):
            key = above.keys[above.values.index(node)] if node in above.values else None
            return middleware, text_of(key) or "", ("",)
        elif isinstance(above, ast.Assign) and isinstance(above.targets[0], ast.Name):
            later = _only_use(scopes, above.targets[0].id)
            if later is None or above.targets[0].id in seen:
                return middleware, "", ("",)
            seen.add(above.targets[0].id)
            node = later
        else:
            return middleware, "", ("",)


def _only_use(scopes: Scopes, name: str) -> ast.Name | None:
    """Where a variable that holds a router is used, if at one place."""
    uses = [one for one in scopes.file.of_kind(ast.Name) if one.id == name and isinstance(one.ctx, ast.Load)]
    return uses[0] if len(uses) == 1 else None
