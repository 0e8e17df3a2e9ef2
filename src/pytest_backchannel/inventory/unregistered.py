"""Why a worker of production does not know a task that the process of the tests knows."""

from __future__ import annotations

import os
import sys
from typing import Any

from celery.app.task import Task
from celery.local import Proxy

from .celery_inventory import CeleryInventory


def why_unregistered(task: Any, inventory: CeleryInventory) -> str | None:
    """What to say of a task whose module no worker imports.

    Only that is told: a module that a worker imports and that does not define the task there does so on some
    condition, and a task that its module does not hold was made elsewhere. Nothing is told where the inventory may lack
    something.

    Args:
        task: the task, as the process of the tests has it.
        inventory: what a worker has.

    Returns:
        The module, why it is not imported, and what to do; None where a worker knows the task, or may know it.
    """
    if inventory.unknown or task.name in inventory.tasks:
        return None
    module = sys.modules.get(str(task.__module__))
    file = getattr(module, "__file__", None)
    if module is None or file is None or module.__name__ in inventory.modules or not _holds(module, task):
        return None
    if os.path.realpath(file) in {os.path.realpath(known) for known in inventory.modules.values() if known}:
        return None  # a worker imports it under another name
    return (
        f"It is defined in {module.__name__} [{file}], which `celery -A {inventory.app.partition(':')[0]}` does not "
        f"import under {inventory.settings_module}: {_why_not_imported(module.__name__, inventory)}; nor does anything "
        f"else that a worker imports.\nFix: {_fix(module.__name__, inventory)}"
    )


def _holds(module: Any, task: Any) -> bool:
    """Whether a name of the module is the task, or Celery's proxy of it."""
    # By type(), since isinstance() would evaluate lazy objects of the project's.
    values = [value for value in list(vars(module).values()) if issubclass(type(value), (Task, Proxy))]
    return any(getattr(value, "name", None) == task.name for value in values)


def _nearest(module: str, packages: set[str]) -> str:
    """The innermost of the packages that holds a module; empty where none does."""
    holders = [package for package in packages if module == package or module.startswith(f"{package}.")]
    return max(holders, key=len, default="")


def _why_not_imported(module: str, inventory: CeleryInventory) -> str:
    looks = inventory.discovered
    if not looks:
        return "app.autodiscover_tasks() is not called, and neither include= nor CELERY_IMPORTS names it"
    searched = {package for look in looks for package in look.packages}
    package = _nearest(module, searched)
    if not package:
        nearest = _nearest(module, set(inventory.installed_apps))
        if nearest:
            return f"app.autodiscover_tasks() is not asked to look into {nearest!r}"
        return "no app of its INSTALLED_APPS holds the module, and app.autodiscover_tasks() looks into these"
    wanted = sorted(
        f"{package}.{look.related_name}" if look.related_name else package for look in looks if package in look.packages
    )
    names = " and ".join(map(repr, dict.fromkeys(wanted)))
    there = [name for name in wanted if name in inventory.modules]
    if there:
        return f"app.autodiscover_tasks() looks in {package!r} for {names}, which does not import it"
    return f"app.autodiscover_tasks() looks in {package!r} for {names} (its related_name)"


def _fix(module: str, inventory: CeleryInventory) -> str:
    ways = []
    looks = inventory.discovered
    package = _nearest(module, {package for look in looks for package in look.packages})
    if package:
        names = [look.related_name for look in looks if package in look.packages]
        ways.append(f"import it in {package}.{names[0]}" if names[0] else f"import it in {package}")
    elif not _nearest(module, set(inventory.installed_apps)):
        ways.append("install its app in production")
    ways.append(f"name it in the setting CELERY_IMPORTS = [{module!r}] or in Celery(include=[…])")
    return ", or ".join(ways) + "."
