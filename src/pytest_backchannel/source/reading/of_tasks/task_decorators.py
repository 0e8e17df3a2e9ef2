"""Functions that a decorator may make a task, and classes that are registered as one."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ..file_facts import RawTask
from ..scopes import Scopes
from ..source_file import Function, SourceFile, literal, written
from ..templates import template


def tasks(scopes: Scopes) -> Iterator[RawTask]:
    """What looks like a task: which decorators are Celery's is known when all files are read."""
    for function in scopes.file.functions():
        for decorator in function.decorator_list:
            called = decorator.func if isinstance(decorator, ast.Call) else decorator
            dotted = scopes.dotted(called)
            if dotted is not None:
                keywords = decorator.keywords if isinstance(decorator, ast.Call) else []
                yield _task(scopes, scopes.file.qualname(function), dotted, written(called), keywords)
    yield from _assigned(scopes)


def _assigned(scopes: Scopes) -> Iterator[RawTask]:
    """``send = shared_task(_send)`` and ``send = app.task(name="…")(_send)`` at module level."""
    own = {function.name: function for function in scopes.file.functions()}
    for name, value in scopes.assigned.items():
        if not isinstance(value, ast.Call) or len(value.args) != 1 or not isinstance(value.args[0], ast.Name):
            continue
        maker = value.func.func if isinstance(value.func, ast.Call) else value.func
        keywords = value.func.keywords if isinstance(value.func, ast.Call) else value.keywords
        dotted = scopes.dotted(maker)
        if dotted is not None and (function := _plain(scopes.file, own, value.args[0].id)) is not None:
            yield _task(scopes, function.name, dotted, written(maker), keywords, alias=name)


def _plain(file: SourceFile, own: dict[str, Function], name: str) -> Function | None:
    function = own.get(name)
    return function if function is not None and file.qualname(function) == name else None


def _task(
    scopes: Scopes, qualname: str, dotted: str, source: str, keywords: list[ast.keyword], *, alias: str = ""
) -> RawTask:
    given = {one.arg: one.value for one in keywords if one.arg is not None}
    name, base = given.get("name"), given.get("base")
    return RawTask(
        qualname=qualname,
        alias=alias,
        decorator=dotted,
        decorator_source=source,
        name=template(scopes, name) if name is not None else None,
        bound=literal(given.get("bind")) == (True, True),
        base=(scopes.dotted(base) or written(base)) if base is not None else "",
        options={option: literal(value)[1] for option, value in given.items()},
        option_sources={option: written(value) for option, value in given.items()},
    )


def registered(scopes: Scopes) -> Iterator[str]:
    """The classes that ``app.register_task(Send())`` or ``app.tasks.register(Send)`` is called with."""
    for call in scopes.file.of_kind(ast.Call):
        method = call.func.attr if isinstance(call.func, ast.Attribute) else ""
        if method not in ("register_task", "register") or not call.args:
            continue
        given = call.args[0]
        if method == "register" and "tasks" not in written(call.func):
            continue
        dotted = scopes.dotted(given.func if isinstance(given, ast.Call) else given)
        if dotted is not None:
            yield dotted
