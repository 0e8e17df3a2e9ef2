"""Places that enqueue a task, or make a signature of one."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ...task_facts import Arguments
from ..definitions import builds_signature, workflow_name
from ..file_facts import RawEnqueue
from ..scopes import Scopes
from ..source_file import written
from ..surroundings import last_name, surroundings
from ..templates import Template, template
from .call_arguments import arguments_of

KINDS = {
    **dict.fromkeys(("delay", "apply_async", "delay_on_commit", "apply_async_on_commit"), "enqueue"),
    **dict.fromkeys(("s", "si", "signature", "subtask", "map", "starmap", "chunks"), "signature"),
    "apply": "direct",
    "retry": "retry",
}
_CHAINED = frozenset({"s", "si", "signature", "subtask", "set", "clone", "on_error", "link"})
_CALLBACKS = {
    "link": "link",
    "link_error": "link_error",
    "on_error": "link_error",
    "add_periodic_task": "beat",
}
_SENDERS = frozenset({"send_task", "send_task_on_commit"})
_BY_NAME = frozenset({"signature", "subtask", "Signature"})


def enqueue_sites(scopes: Scopes) -> Iterator[RawEnqueue]:
    """In the order of the source."""
    file = scopes.file
    for attribute in file.of_kind(ast.Attribute):
        if attribute.attr in KINDS and isinstance(attribute.ctx, ast.Load):
            yield from _of_method(scopes, attribute)
    for call in file.of_kind(ast.Call):
        yield from _by_name(scopes, call)
        yield from _workflow_called(scopes, call)


def _of_method(scopes: Scopes, attribute: ast.Attribute) -> Iterator[RawEnqueue]:
    """``send.delay(…)``; or ``send.delay`` alone, which somebody else calls."""
    parent = scopes.file.parent(attribute)
    called = isinstance(parent, ast.Call) and parent.func is attribute
    if isinstance(parent, ast.Attribute):
        return  # send.delay.assert_called(…): a mock's
    by_name = called and attribute.attr in _BY_NAME and isinstance(parent, ast.Call) and bool(parent.args)
    if by_name and isinstance(parent, ast.Call) and isinstance(parent.args[0], ast.Constant):
        return  # app.signature("name"), which is read as a call by name
    receiver = target_of(scopes, attribute.value)
    dotted, name = dotted_target(scopes, receiver)
    call = parent if called and isinstance(parent, ast.Call) else None
    kind = KINDS[attribute.attr]
    applied = _workflow(scopes, receiver)
    if applied and kind != "enqueue":
        return
    yield RawEnqueue(
        place=scopes.file.place(call or attribute),
        kind="workflow" if applied else kind,
        method=attribute.attr,
        target=written(attribute.value),
        dotted=dotted,
        name=name,
        certain=kind == "enqueue" and (called or _handed_on(scopes, attribute)),
        called=called,
        workflow=workflow_around(scopes, call or attribute),
        applied=applied,
        callback=callback_of(scopes, call or attribute),
        arguments=_arguments(scopes, attribute, call),
        around=surroundings(scopes, call or attribute),
    )


def _arguments(scopes: Scopes, attribute: ast.Attribute, call: ast.Call | None) -> Arguments:
    if call is not None:
        return arguments_of(attribute.attr, call.args, call.keywords)
    parent = scopes.file.parent(attribute)
    if isinstance(parent, ast.Call) and last_name(parent.func) == "partial" and parent.args[:1] == [attribute]:
        return arguments_of(attribute.attr, parent.args[1:], parent.keywords)
    if isinstance(parent, ast.Call) and last_name(parent.func) == "on_commit":
        return Arguments()
    return Arguments(positional=None, named=None)


def _handed_on(scopes: Scopes, attribute: ast.Attribute) -> bool:
    """Whether the bare method is given to ``on_commit`` or ``partial``."""
    parent = scopes.file.parent(attribute)
    if not isinstance(parent, ast.Call):
        return False
    if last_name(parent.func) == "on_commit":
        return True
    above = scopes.file.parent(parent)
    is_partial = last_name(parent.func) == "partial" and parent.args[:1] == [attribute]
    return is_partial and isinstance(above, ast.Call) and last_name(above.func) == "on_commit"


def target_of(scopes: Scopes, node: ast.expr) -> ast.expr:
    """What a signature is of: ``send`` of ``send.s(7).set(queue="mail")``, through a variable too."""
    for _ in range(12):
        if isinstance(node, ast.Await):
            node = node.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _CHAINED:
            if node.args and isinstance(node.args[0], ast.Constant) and node.func.attr in _BY_NAME:
                return node
            node = node.func.value
        elif isinstance(node, ast.Name) and (value := scopes.value(node)) is not None:
            node = value
        else:
            break
    return node


def dotted_target(scopes: Scopes, node: ast.expr) -> tuple[str | None, Template | None]:
    """The dotted name of a receiver, or the name under which it is asked of the app: ``app.tasks["billing.send"]``."""
    if isinstance(node, ast.Subscript) and last_name(node.value) == "tasks":
        return None, template(scopes, node.slice)
    if isinstance(node, ast.Call) and last_name(node.func) in _BY_NAME and node.args:
        return None, template(scopes, node.args[0])
    return scopes.dotted(node), None


def _workflow(scopes: Scopes, node: ast.expr) -> str:
    """``chain``, ``group`` or ``chord``, where an expression is one; else empty."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return "chain" if builds_signature(scopes, node) else ""
    if not isinstance(node, ast.Call):
        return ""
    return workflow_name(scopes, node) or (_workflow(scopes, node.func) if isinstance(node.func, ast.Call) else "")


def _by_name(scopes: Scopes, call: ast.Call) -> Iterator[RawEnqueue]:
    """``app.send_task("name", …)``, ``signature("name", …)``, and ``partial(app.send_task, "name")``."""
    method, args = last_name(call.func), call.args
    if method == "partial" and args and last_name(args[0]) in _SENDERS:
        method, args = last_name(args[0]), args[1:]
    given = args[0] if args else next((one.value for one in call.keywords if one.arg in ("name", "task")), None)
    if given is None or method not in (*_SENDERS, *_BY_NAME):
        return
    if method in _BY_NAME and not _names_a_task(scopes, call, given):
        return
    keywords = [one for one in call.keywords if one.arg not in ("name", "task")]
    yield RawEnqueue(
        place=scopes.file.place(call),
        kind="enqueue" if method in _SENDERS else "signature",
        method=method,
        target=written(given),
        dotted=_task_of_name(scopes, given),
        name=template(scopes, given),
        certain=True,
        called=last_name(call.func) != "partial",
        workflow=workflow_around(scopes, call),
        applied="",
        callback=callback_of(scopes, call),
        arguments=arguments_of(method, args[1:], keywords),
        around=surroundings(scopes, call),
    )


def _names_a_task(scopes: Scopes, call: ast.Call, given: ast.expr) -> bool:
    """Whether it is Celery's ``signature``, and not ``inspect.signature`` or a task's own method."""
    dotted = scopes.dotted(call.func) or ""
    if isinstance(call.func, ast.Attribute) and not dotted.startswith("celery."):
        return isinstance(given, ast.Constant) and isinstance(given.value, str) and "." in given.value
    return dotted.startswith("celery.")


def _task_of_name(scopes: Scopes, node: ast.expr) -> str | None:
    """The task, where its name is given as ``send.name``."""
    return scopes.dotted(node.value) if isinstance(node, ast.Attribute) and node.attr == "name" else None


def _workflow_called(scopes: Scopes, call: ast.Call) -> Iterator[RawEnqueue]:
    """``chain(…)()``, ``chord(header)(callback)``, ``(a.s() | b.s())()``."""
    receiver = call.func
    if isinstance(receiver, ast.Name):
        receiver = scopes.value(receiver) or receiver
    applied = _workflow(scopes, receiver)
    if not applied:
        return
    if isinstance(receiver, ast.Call) and isinstance(receiver.func, ast.Call):
        return
    yield RawEnqueue(
        place=scopes.file.place(call),
        kind="workflow",
        method="()",
        target=written(receiver),
        dotted=None,
        name=None,
        certain=True,
        called=True,
        workflow=workflow_around(scopes, call),
        applied=applied,
        callback="",
        arguments=Arguments(positional=None, named=None),
        around=surroundings(scopes, call),
    )


def workflow_around(scopes: Scopes, node: ast.expr) -> str:
    """The innermost workflow into which a signature is written: in its arguments, lists and comprehensions too."""
    for above, child in scopes.file.ancestors(node):
        if isinstance(above, ast.stmt | ast.Lambda):
            break
        if isinstance(above, ast.BinOp) and isinstance(above.op, ast.BitOr):
            return "chain"
        if isinstance(above, ast.Call) and child is not above.func:
            called = above.func if isinstance(above.func, ast.Call) else above
            if (name := workflow_name(scopes, called)) is not None:
                return name
    return ""


def callback_of(scopes: Scopes, node: ast.expr) -> str:
    """``link`` or ``link_error`` where a signature is given as one, ``beat`` where beat is to send it; else empty."""
    for above, child in scopes.file.ancestors(node):
        if isinstance(above, ast.keyword) and above.arg in _CALLBACKS:
            return _CALLBACKS[above.arg]
        if isinstance(above, ast.Call) and child is not above.func:
            return _CALLBACKS.get(last_name(above.func), "") if isinstance(above.func, ast.Attribute) else ""
        if not isinstance(above, ast.List | ast.Tuple | ast.keyword):
            break
    return ""
