"""Entries of the beat schedule, where they stand literally in the code."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ...task_facts import Arguments
from ..file_facts import RawBeat
from ..scopes import Scopes
from ..source_file import text_of, written
from ..surroundings import last_name
from ..templates import Template, template
from .call_arguments import arguments_of
from .enqueue_sites import dotted_target, target_of


def beat_entries(scopes: Scopes) -> Iterator[RawBeat]:
    """Of settings, of ``app.conf``, and of ``add_periodic_task``."""
    file = scopes.file
    for target, value in file.assignments():
        yield from _assigned(scopes, target, value)
    for call in file.of_kind(ast.Call):
        yield from _called(scopes, call)


def _is_schedule(node: ast.expr) -> bool:
    return last_name(node).lower().endswith(("beat_schedule", "celerybeat_schedule"))


def _assigned(scopes: Scopes, target: ast.expr, value: ast.expr) -> Iterator[RawBeat]:
    if _is_schedule(target):
        yield from _entries(scopes, value)
    elif isinstance(target, ast.Subscript) and _is_schedule(target.value):
        yield from _entry(scopes, target.slice, value)


def _called(scopes: Scopes, call: ast.Call) -> Iterator[RawBeat]:
    if not isinstance(call.func, ast.Attribute):
        return
    if call.func.attr == "add_periodic_task":
        yield from _periodic(scopes, call)
    elif call.func.attr == "update" and _is_schedule(call.func.value) and call.args:
        yield from _entries(scopes, call.args[0])
    elif call.func.attr == "update" and last_name(call.func.value) == "conf":
        for one in call.keywords:
            if one.arg is not None and one.arg.lower().endswith("beat_schedule"):
                yield from _entries(scopes, one.value)


def _entries(scopes: Scopes, node: ast.expr) -> Iterator[RawBeat]:
    if isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            if key is None:
                yield from _entries(scopes, value)  # {**OTHER}: nothing is known of a name
            else:
                yield from _entry(scopes, key, value)


def _entry(scopes: Scopes, key: ast.expr, value: ast.expr) -> Iterator[RawBeat]:
    given = _mapping(value)
    if "task" not in given:
        return
    task = given["task"]
    args, options = given.get("args"), given.get("options")
    keywords = [
        ast.keyword(arg=name, value=node) for name, node in (("args", args), ("kwargs", given.get("kwargs"))) if node
    ]
    if isinstance(options, ast.Dict):
        keywords += [ast.keyword(arg=name, value=node) for name, node in _mapping(options).items()]
    yield RawBeat(
        place=scopes.file.place(key),
        name=text_of(key),
        task=None if isinstance(task, ast.Attribute) else template(scopes, task),
        dotted=scopes.dotted(task.value) if isinstance(task, ast.Attribute) and task.attr == "name" else None,
        schedule=written(given["schedule"]) if "schedule" in given else "",
        arguments=arguments_of("apply_async", [], keywords),
        source="setting",
    )


def _mapping(node: ast.expr) -> dict[str, ast.expr]:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict":
        return {one.arg: one.value for one in node.keywords if one.arg is not None}
    if not isinstance(node, ast.Dict):
        return {}
    pairs = zip(node.keys, node.values, strict=True)
    return {name: value for key, value in pairs if (name := text_of(key)) is not None}


def _periodic(scopes: Scopes, call: ast.Call) -> Iterator[RawBeat]:
    """``sender.add_periodic_task(schedule, signature, args, kwargs, name, **options)``."""
    given: dict[str, ast.expr] = dict(zip(("schedule", "sig", "args", "kwargs", "name"), call.args, strict=False))
    given.update({one.arg: one.value for one in call.keywords if one.arg is not None})
    if "schedule" not in given or "sig" not in given:
        return
    signature = given["sig"]
    receiver = target_of(scopes, signature)
    dotted, name = dotted_target(scopes, receiver)
    task: Template | None = name
    yield RawBeat(
        place=scopes.file.place(call),
        name=text_of(given.get("name")),
        task=task,
        dotted=dotted,
        schedule=written(given["schedule"]),
        arguments=_given_to(signature),
        source="add_periodic_task",
    )


def _given_to(signature: ast.expr) -> Arguments:
    if isinstance(signature, ast.Call) and isinstance(signature.func, ast.Attribute):
        return arguments_of(signature.func.attr, signature.args, signature.keywords)
    return Arguments(positional=None, named=None)
