"""What a fresh worker of production would know, asked for when the first task is delivered, and who is exempt."""

from __future__ import annotations

import fnmatch
import importlib.util
import inspect
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ...options import once_per_config, options_of
from ..project import find_celery_app

if TYPE_CHECKING:
    from ...errors import InventoryFailed
    from ...inventory.celery_inventory import CeleryInventory

# What the summary is to say, once, of an inventory that is not there or not complete.
_FAILURE = pytest.StashKey["str | None"]()
# Folders of these names hold tests, and what tests need: applications of their own, too.
_TEST_FOLDERS = frozenset({"test", "tests", "testing", "test_utils", "testutils"})


def why_unregistered(config: pytest.Config, task: Any) -> str | None:
    """Why a worker of production does not know a task; None where it may know it, and for a test's own.

    Args:
        config: the run.
        task: the task, as this process has it.
    """
    settings = options_of(config).production_settings
    if not settings or task.name.startswith("celery.") or is_of_a_test(config, task):
        return None
    inventory = celery_inventory(config)
    if inventory is None:
        return None
    from ...inventory.unregistered import why_unregistered as why

    return why(task, inventory)


def take_failure(config: pytest.Config) -> str | None:
    """What the summary is to say of the inventory: given once, with the report of the test that needed it first."""
    failure = config.stash.get(_FAILURE, None)
    if failure is not None:
        config.stash[_FAILURE] = None
    return failure


@once_per_config
def celery_inventory(config: pytest.Config) -> CeleryInventory | None:
    """What a worker of production has, from the child process of the run; None where that can't be said in full."""
    from ...errors import InventoryFailed

    try:
        found = _found(config)
    except InventoryFailed as error:
        config.stash[_FAILURE] = said_once(error)
        return None
    return found


def said_once(error: InventoryFailed) -> str:
    """What the summary says of it: once, whoever says it."""
    return f"{error}. Tasks that no worker knows are not told."


def child_kinds() -> list[str]:
    """Which child processes there are to ask: of a web process always, of a worker where Celery is installed."""
    return ["asgi", *(["celery"] if importlib.util.find_spec("celery") is not None else [])]


def child_arguments(config: pytest.Config) -> dict[str, Any]:
    """Of the child processes: the same for whoever asks, since the first answer is everybody's."""
    tests_settings = os.environ.get("DJANGO_SETTINGS_MODULE", "")
    return {
        "configured": options_of(config).celery_app,
        "tests_settings": tests_settings,
        "folder": shared_folder(config),
    }


def _found(config: pytest.Config) -> CeleryInventory:
    from ...errors import InventoryFailed
    from ...inventory.child_process import celery_inventory_of

    settings, app = options_of(config).production_settings, find_celery_app(config)
    found = celery_inventory_of(settings, **child_arguments(config))
    if found.main != str(app.main):
        raise InventoryFailed(
            f"what a worker knows under {settings} is not known: its Celery app is {found.main!r} ({found.app}), and "
            f"the tests use {str(app.main)!r}: say which one in the ini option backchannel_celery_app"
        )
    if found.unknown:
        more = f" (and {len(found.unknown) - 1} more)" if len(found.unknown) > 1 else ""
        raise InventoryFailed(f"what a worker knows under {settings} is not known in full: {found.unknown[0]}{more}")
    return found


def shared_folder(config: pytest.Config) -> Path | None:
    """The folder of the run, which the workers of pytest-xdist share; None where pytest makes none (-p no:tmpdir).

    pytest cleans it up, and it is this user's alone.
    """
    # pytest-xdist reads the same attribute, and says in its documentation that the parent is shared (pytest 8–9).
    factory = getattr(config, "_tmp_path_factory", None)
    if factory is None:
        return None
    base: Path = factory.getbasetemp()
    return base.parent if hasattr(config, "workerinput") else base


# ------------------------------------------------------------------- the tests' own


def is_of_a_test(config: pytest.Config, task: Any) -> bool:
    """Whether a test module, a conftest or what stands in a folder of tests defines a task."""
    function = inspect.unwrap(getattr(task, "run", task))
    module = sys.modules.get(str(task.__module__))
    files = {getattr(getattr(function, "__code__", None), "co_filename", None), getattr(module, "__file__", None)}
    return any(_is_test_file(config, file) for file in files if file)


def _is_test_file(config: pytest.Config, file: str) -> bool:
    path = Path(os.path.realpath(file))
    if path.name in ("conftest.py", "tests.py") or str(path) in _loaded_conftests(config):
        return True
    if any(fnmatch.fnmatch(path.name, pattern) for pattern in config.getini("python_files")):
        return True
    root = Path(os.path.realpath(config.rootpath))
    if not path.is_relative_to(root):
        return False
    parents = path.relative_to(root).parts[:-1]
    if not _TEST_FOLDERS.isdisjoint(part.lower() for part in parents):
        return True
    # A folder that the project gives as that of its tests, unless it holds everything.
    folders = [Path(os.path.realpath(root / given)) for given in config.getini("testpaths")]
    return any(folder != root and not _holds_the_settings(folder) and path.is_relative_to(folder) for folder in folders)


def _holds_the_settings(folder: Path) -> bool:
    """Whether the project itself stands there: then its tests stand beside its code."""
    settings = sys.modules.get(os.environ.get("DJANGO_SETTINGS_MODULE", ""))
    file = getattr(settings, "__file__", None)
    return file is not None and Path(os.path.realpath(file)).is_relative_to(folder)


def _loaded_conftests(config: pytest.Config) -> set[str]:
    return {
        os.path.realpath(plugin.__file__)
        for plugin in config.pluginmanager.get_plugins()
        if getattr(plugin, "__file__", None) and str(getattr(plugin, "__name__", "")).endswith("conftest")
    }
