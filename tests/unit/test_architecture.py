"""Imports point one way, and the plugin loads none of what it tests."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_backchannel.plugin import FIXTURE_MODULES

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "pytest_backchannel"
HEAVY = ("django", "celery", "kombu", "channels", "redis", "time_machine", "msgpack", "mirakuru", "uvicorn")


# A name that stands in more than one place: the same part of each room, or what one room has of another's topic.
SAME_ROLE = {
    "__init__": "says what a folder holds",
    "records": "the events of its room",
    "queue": "tasks/queue is the TaskQueue, and servers/queue is it over a real broker",
    "tasks": "the fixtures of tasks/",
    "channels": "the fixtures of channels/",
    "database": "the fixtures of database/",
    "servers": "the fixtures of servers/",
    "client": "channels/client/client is the client itself",
    "layer": "channels/layer/layer is the layer itself",
}
MOST_MODULES = 12


def source_folders():
    return [SOURCE, *(path for path in SOURCE.rglob("*") if path.is_dir() and (path / "__init__.py").exists())]


def test_no_name_of_a_module_or_folder_means_two_things():
    names = [path.stem for folder in source_folders() for path in folder.glob("*.py")]
    names += [folder.name for folder in source_folders()]
    assert {name for name in names if names.count(name) > 1} <= set(SAME_ROLE)


@pytest.mark.parametrize("folder", [str(folder.relative_to(SOURCE)) for folder in source_folders()])
def test_a_folder_is_small_enough_to_look_through(folder):
    modules = [path.stem for path in (SOURCE / folder).glob("*.py") if path.stem != "__init__"]
    assert len(modules) <= MOST_MODULES, modules


def test_imports_point_one_way():
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c(['--no-cache'])"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("module", ["pytest_backchannel.plugin", "pytest_backchannel.cli", *FIXTURE_MODULES])
def test_importing_it_loads_nothing_heavy(module):
    code = f"import {module}, sys; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize("module", FIXTURE_MODULES)
def test_each_fixture_for_one_test_lends_and_watches(module):
    """Without the decorator it would do neither, and no other test need notice."""
    source = (ROOT / "src" / Path(*module.split("."))).with_suffix(".py").read_text()
    for function in ast.walk(ast.parse(source)):
        if isinstance(function, ast.FunctionDef):
            decorators = [ast.unparse(decorator) for decorator in function.decorator_list]
            if "pytest.fixture" in decorators:
                assert decorators == ["pytest.fixture", "ours"], function.name
                assert "request" in [argument.arg for argument in function.args.args], function.name


def functions_of(path):
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)]


def test_every_hook_stands_in_the_plugin_module():
    package = ROOT / "src" / "pytest_backchannel"
    hooks = {
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        for function in functions_of(path)
        if function.name.startswith("pytest_")
    }
    assert hooks == {"plugin.py"}


@pytest.mark.parametrize("module", FIXTURE_MODULES)
def test_a_module_of_fixtures_holds_nothing_else(module):
    tree = ast.parse((ROOT / "src" / Path(*module.split("."))).with_suffix(".py").read_text())
    for node in tree.body:
        assert isinstance(node, ast.Expr | ast.Import | ast.ImportFrom | ast.If | ast.FunctionDef), ast.unparse(node)
        if isinstance(node, ast.FunctionDef):
            assert any("pytest.fixture" in ast.unparse(decorator) for decorator in node.decorator_list), node.name
