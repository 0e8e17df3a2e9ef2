"""What the project is, as a worker and as a web process have it: asked of child processes, for whoever tells of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from ...errors import InventoryFailed
from ...inventory.asgi_inventory import AsgiInventory
from ...inventory.celery_inventory import CeleryInventory
from ...inventory.child_process import asgi_inventory_of, celery_inventory_of
from ...options import options_of
from .fresh_worker import child_arguments, child_kinds


@dataclass(frozen=True, kw_only=True)
class AskedProject:
    """The answers.

    Attributes:
        settings: the module under which it was read.
        celery: what a worker has; None without Celery, or without an app.
        asgi: what a web process has.
        not_known: what is not known of it, in one line each.
    """

    settings: str
    celery: CeleryInventory | None
    asgi: AsgiInventory
    not_known: tuple[str, ...]


def settings_to_read(config: pytest.Config) -> str:
    """The settings module under which the project is read: production's, where they are named; empty without any."""
    return options_of(config).production_settings or os.environ.get("DJANGO_SETTINGS_MODULE", "")


def ask_project(config: pytest.Config, say: Callable[[str], None] = lambda line: None) -> AskedProject:
    """Ask; waits for the child processes.

    Args:
        config: of the run.
        say: prints a line at once, of what is waited for.

    Raises:
        InventoryFailed: there is no settings module, or what the project is can't be said.
    """
    settings, given = settings_to_read(config), child_arguments(config)
    if not settings:
        raise InventoryFailed("there is no settings module: set DJANGO_SETTINGS_MODULE")
    celery = None
    not_known: list[str] = []
    if "celery" in child_kinds():
        say(f"\nbackchannel: looking at the project as a worker has it, under {settings} …")
        try:
            celery = celery_inventory_of(settings, **given)
            not_known += celery.unknown
        except InventoryFailed as error:
            if error.why != "NoCeleryApp":
                raise
            not_known.append(f"tasks: {error}")
    say(f"backchannel: looking at the project as a web process has it, under {settings} …")
    asgi = asgi_inventory_of(settings, **given)
    not_known += asgi.unknown
    if asgi.failure is not None:
        not_known.append(f"routes: {asgi.application} can't be imported: {asgi.failure.text}")
    return AskedProject(settings=settings, celery=celery, asgi=asgi, not_known=tuple(dict.fromkeys(not_known)))
