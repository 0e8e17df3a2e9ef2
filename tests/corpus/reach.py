"""Which tests an edit can reach: so that the others need not run.

Each set-up is run once on the example as it is, and notes which functions of the project each test calls, in whichever
thread. Where an edit changes the bodies of functions alone, only the tests that call one of them can come out
otherwise. Everything else (a decorator, a default, a setting, a class, a module's own lines, what is called at import)
may reach each test. So may a file that no run has imported, if the plugin is there: it reads production's settings in a
process of its own.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from .edits import Change
from .runs import Run, Setup


def which_tests(change: Change, setup: Setup, baseline: Run) -> set[str] | None:
    """The tests that may come out otherwise; None for all of them."""
    tests: set[str] = set()
    for file, (before, after) in change.sources().items():
        if file not in baseline.imported and not setup.has_plugin:
            continue
        functions = functions_changed(before, after)
        if functions is None or file not in baseline.imported:
            return None
        names = {f"{file}:{function}" for function in functions}
        if names.intersection(baseline.reached[""]):
            return None
        tests.update(test for test, reached in baseline.reached.items() if names.intersection(reached))
    return tests


def functions_changed(before: str, after: str) -> set[str] | None:
    """The functions and methods whose bodies alone differ; None where anything else does."""
    try:
        old, new = ast.parse(before), ast.parse(after)
    except SyntaxError:
        return None
    if not _only_imports_more(old, new):
        return None
    bodies = dict(_bodies_taken(old.body)), dict(_bodies_taken(new.body))
    if [ast.dump(node) for node in _no_imports(old)] != [ast.dump(node) for node in _no_imports(new)]:
        return None
    if _moved(old, new):
        return None
    return {name for name, body in bodies[0].items() if bodies[1][name] != body}


def _moved(old: ast.Module, new: ast.Module) -> bool:
    """Whether something else than an import stands on the other side of an import that was there before."""
    had = _imported(old)
    return _in_line(old, had) != _in_line(new, had)


def _in_line(tree: ast.Module, known: set[tuple[str, str]]) -> list[object]:
    line: list[object] = []
    for node in tree.body:
        if not isinstance(node, ast.Import | ast.ImportFrom):
            line.append(ast.dump(node))
        elif before := _imported(ast.Module([node], [])) & known:
            line.append(before)
    return line


def _no_imports(tree: ast.Module) -> list[ast.stmt]:
    return [node for node in tree.body if not isinstance(node, ast.Import | ast.ImportFrom)]


def _only_imports_more(old: ast.Module, new: ast.Module) -> bool:
    """Whether the module has all imports that it had, and further ones whose names mean nothing else in it."""
    had, has = _imported(old), _imported(new)
    names = {node.id for node in ast.walk(old) if isinstance(node, ast.Name)}
    defined = {
        node.name for node in ast.walk(old) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    }
    return had <= has and not {name for name, _ in has - had} & (names | defined)


def _imported(tree: ast.Module) -> set[tuple[str, str]]:
    found = set()
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            source = "." * getattr(node, "level", 0) + (getattr(node, "module", None) or "")
            found |= {(alias.asname or alias.name.split(".")[0], f"{source}:{alias.name}") for alias in node.names}
    return found


def _bodies_taken(nodes: list[ast.stmt], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Empty each function; gives what was in it, by its qualified name."""
    for node in nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body, node.body = node.body, []
            yield prefix + node.name, "\n".join(map(ast.dump, body))
        elif isinstance(node, ast.ClassDef):
            yield from _bodies_taken(node.body, f"{prefix}{node.name}.")
