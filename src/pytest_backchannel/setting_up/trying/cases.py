"""The tasks and routes for which a first test is to be tried, and which of them have a test already."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...inventory.asgi_inventory import KnownRoute
from ...inventory.celery_inventory import KnownTask
from ...source import SourceIndex
from ...source.files import TESTS, python_files
from ..found_project import Project

_MOST_HINTS = 2


@dataclass(frozen=True, kw_only=True)
class TaskCase:
    """A task to try.

    Attributes:
        name: as Celery knows it.
        module: where it is imported from.
        attribute: its name there.
        where: its file and line, as shown.
        hints: literals that the project's own calls give to its parameters.
        attempts: how many sets of values are worth trying.
    """

    name: str
    module: str
    attribute: str
    where: str
    hints: dict[str, list[str]] = field(default_factory=dict)
    attempts: int = 4


@dataclass(frozen=True, kw_only=True)
class RouteCase:
    """A WebSocket route to try.

    Attributes:
        path: its pattern.
        app: the module of its consumer.
        where: the file and line of the consumer, as shown.
    """

    path: str
    app: str
    where: str


@dataclass(frozen=True, kw_only=True)
class Cases:
    """What is to be tried.

    Attributes:
        tasks: the tasks.
        routes: the WebSocket routes.
        tested: how many of each are named in tests that are there.
        live: whether the routes are to be found by the process of the tests: the application can't be imported alone.
        has_tests: whether the project has any test.
    """

    tasks: Sequence[TaskCase]
    routes: Sequence[RouteCase]
    tested: tuple[int, int]
    live: bool = False
    has_tests: bool = False


def cases_of(project: Project) -> Cases:
    """Find them."""
    texts = "\n".join(_tests_of(project.root))
    tasks = [_task(project, task) for task in project.tasks]
    routes = [_route(project, route) for route in project.routes]
    wanted = [task for task in tasks if not re.search(rf"\b{re.escape(task.attribute)}\b", texts)]
    open_routes = [case for case, route in zip(routes, project.routes, strict=True) if not _is_tested(route, texts)]
    failed = project.asgi is not None and project.asgi.failure is not None
    return Cases(
        live=failed and "websocket(" not in texts,
        has_tests=bool(re.search(r"\bdef test", texts)),
        tasks=wanted,
        routes=open_routes,
        tested=(len(tasks) - len(wanted), len(routes) - len(open_routes)),
    )


def _tests_of(root: Path) -> list[str]:
    """The text of each test file; of settings for tests it is not one."""
    return [
        file.path.read_text(encoding="utf-8", errors="replace")
        for file in python_files(root, tests=True)
        if "settings" not in file.relative and any(TESTS.fullmatch(part) for part in Path(file.relative).parts)
    ]


def _task(project: Project, task: KnownTask) -> TaskCase:
    known = project.index.tasks.get(task.name)
    dotted = known.dotted if known is not None else ""
    module, _, attribute = dotted.rpartition(".") if dotted else (task.module, "", task.name.rpartition(".")[2])
    return TaskCase(
        name=task.name,
        module=module,
        attribute=attribute,
        where=f"{project.shown(Path(task.file))}:{task.line}",
        hints=_hints(project.index, task.name),
        attempts=1 if known is not None and all(one.default is not None for one in known.parameters) else 4,
    )


def _hints(index: SourceIndex, name: str) -> dict[str, list[str]]:
    known = index.tasks.get(name)
    names = [parameter.name for parameter in known.parameters] if known is not None else []
    found: dict[str, list[str]] = {}
    for site in index.enqueues_of(name):
        given = dict(zip(names, site.arguments.positional or (), strict=False)) | dict(site.arguments.named or {})
        for parameter, source in given.items():
            values = found.setdefault(parameter, [])
            if _is_literal(source) and source not in values and len(values) < _MOST_HINTS:
                values.append(source)
    return {parameter: values for parameter, values in found.items() if values}


def _is_literal(source: str) -> bool:
    try:
        ast.literal_eval(source)
    except (ValueError, SyntaxError, TypeError, MemoryError):
        return False
    return True


def _route(project: Project, route: KnownRoute) -> RouteCase:
    where = f"{project.shown(Path(route.file))}:{route.line}" if route.file else ""
    return RouteCase(path=route.path, app=route.consumer.rpartition(".")[0], where=where)


def _is_tested(route: KnownRoute, texts: str) -> bool:
    """Whether a test names the path of a route, as far as that has no parameter."""
    literal = re.match(r"[\w/.-]*", route.path.lstrip("^/"))
    begin = literal[0] if literal is not None else ""
    return bool(begin.strip("/")) and re.search(rf"""['"]/?{re.escape(begin)}""", texts) is not None
