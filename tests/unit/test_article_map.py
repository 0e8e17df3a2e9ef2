"""docs/explanation/article-map.md names only tests, files, fixtures, options and commands that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from pytest_backchannel import cli

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "pytest_backchannel"
PAGE = (ROOT / "docs" / "explanation" / "article-map.md").read_text(encoding="utf-8")
# The article's own words, which are nothing of ours.
QUOTED = {
    "asyncio_mode",
    "patch(...delay)",
    "result.get()",
    "--dist loadscope",
    "time.sleep",
    "Retry",
    "transactional_db",
}


def named() -> list[str]:
    return sorted(set(re.findall(r"`([^`]+)`", PAGE)) - QUOTED)


def functions(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def fixtures() -> set[str]:
    found = set()
    for path in (SOURCE / "fixtures").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                found |= {node.name for decorator in node.decorator_list if "pytest.fixture" in ast.unparse(decorator)}
    return found


def attributes(folder: str, name: str) -> set[str]:
    """The methods and attributes of a class, its bases in the same folder included."""
    classes = {}
    for path in (SOURCE / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                classes[node.name] = node
    found, names = set(), [name]
    while names:
        node = classes.get(names.pop())
        if node is not None:
            names += [base.id for base in node.bases if isinstance(base, ast.Name)]
            found |= {inner.name for inner in node.body if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef)}
    return found


def exists(name: str) -> bool:
    path, _, test = name.partition("::")
    if "/" in path or path.endswith(".toml"):
        return (ROOT / path).is_file() and (not test or test in functions(ROOT / path))
    if name.startswith("TaskQueue."):
        return name.partition(".")[2] in attributes("tasks", "TaskQueue")
    if name.startswith("backchannel "):
        return name.split()[1] in cli.SUBCOMMANDS
    if name.startswith("backchannel_"):
        return f'"{name}"' in (SOURCE / "options.py").read_text(encoding="utf-8")
    if name == "celery_integration":
        return f'"{name}:' in (SOURCE / "markers.py").read_text(encoding="utf-8")
    return name in fixtures()


@pytest.mark.parametrize("name", named())
def test_it_exists(name):
    assert exists(name), f"article-map.md names `{name}`, which does not exist"


@pytest.mark.parametrize(
    "name",
    [
        "example/tests/test_body.py::test_nothing",
        "example/tests/test_nothing.py",
        "TaskQueue.nothing",
        "backchannel nothing",
        "backchannel_nothing",
        "nothing",
    ],
)
def test_what_does_not_exist_is_noticed(name):
    assert not exists(name)
