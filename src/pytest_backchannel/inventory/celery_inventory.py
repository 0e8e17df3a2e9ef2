"""What a worker of production knows: plain data, as the child process has found it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .asgi_inventory import SiteSettings


@dataclass(frozen=True, kw_only=True)
class KnownTask:
    """A task in the registry of a worker.

    Attributes:
        name: its name.
        module: the module that it says it is from.
        file: the file of its function; empty where that is not known.
        line: the first line of its function, 0 where that is not known.
        queue: where its messages go by the routes of production; None where a route can't tell without a message.
        only_by_checks: whether it is there only because Django's system checks import the URLconf, as a worker does
            that is not started with ``--skip-checks``.
        options: those that are set, by the task or by Celery's settings, such as ``acks_late``.
        base: the path of the class that it is made from; empty where that is Celery's own.
        hooks: those of Celery's hooks that the project overrides, such as ``on_failure``.
        bound: whether its function takes the task as its first argument.
        own_retry: whether its function names ``retry``: it may retry itself.
        own_reject: whether its function names ``Reject``.
        parameters: the names of its function's parameters, without the task itself.
    """

    name: str
    module: str
    file: str = ""
    line: int = 0
    queue: str | None = None
    only_by_checks: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    base: str = ""
    hooks: Sequence[str] = ()
    bound: bool = False
    own_retry: bool = False
    own_reject: bool = False
    parameters: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class BeatEntry:
    """An entry of the beat schedule in the settings, or added by ``add_periodic_task``.

    Attributes:
        name: its name.
        task: the name of its task.
        schedule: as Celery shows it.
        options: those of the message.
        seconds: the shortest time between two runs; None where it is not known.
        every_minute_of: the one hour in each of whose minutes it is due; None for most schedules.
        expires: after how many seconds its message expires, by the entry or by the task; None for never.
        queue: the queue that the entry names; None where it names none.
        refused: why its arguments don't fit the task; None where they do, or it is not known.
    """

    name: str
    task: str
    schedule: str
    options: Mapping[str, Any] = field(default_factory=dict)
    seconds: float | None = None
    every_minute_of: int | None = None
    expires: float | None = None
    queue: str | None = None
    refused: str | None = None


@dataclass(frozen=True, kw_only=True)
class Discovery:
    """One look of ``app.autodiscover_tasks()``.

    Attributes:
        packages: where it has looked.
        related_name: for which module; None for the packages themselves.
    """

    packages: Sequence[str]
    related_name: str | None


@dataclass(frozen=True, kw_only=True)
class CeleryInventory:
    """What ``celery -A`` would have, in a fresh process under the settings of production.

    Attributes:
        settings_module: the settings module of production.
        app: where the app is, as ``package.module:attribute``.
        main: the name of the app.
        installed_apps: the packages of Django's applications.
        tasks: the registry, by name.
        queues: the queues that are declared.
        routes: the setting ``task_routes``, each entry as Python shows it.
        beat: the beat schedule by the name of the entry.
        settings: Celery's settings, without secrets; of a URL only its scheme.
        originals: the engines of databases, and the backends of caches and channel layers, by their aliases.
        modules: the modules that were imported, those of the standard library left out, each with its file.
        discovered: where tasks were looked for.
        unknown: why the inventory may lack something: what was refused, and what could not be run. Empty where it is
            complete.
        routed: the names of tasks that ``task_routes`` has a route for; patterns are left out.
        chords: the modules of the project that name Celery's chord.
        site: mail, channel layers and caches.
    """

    settings_module: str
    app: str
    main: str
    installed_apps: Sequence[str]
    tasks: Mapping[str, KnownTask]
    queues: Sequence[str]
    routes: Sequence[str]
    beat: Mapping[str, BeatEntry]
    settings: Mapping[str, Any]
    originals: Mapping[str, Mapping[str, str]]
    modules: Mapping[str, str]
    discovered: Sequence[Discovery]
    unknown: Sequence[str]
    routed: Sequence[str] = ()
    chords: Sequence[str] = ()
    site: SiteSettings = field(default_factory=SiteSettings)

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> CeleryInventory:
        """Of what the child process has written."""
        values: dict[str, Any] = {
            **data,
            "tasks": {task["name"]: KnownTask(**task) for task in data["tasks"]},
            "beat": {entry["name"]: BeatEntry(**entry) for entry in data["beat"]},
            "site": SiteSettings(**data["site"]),
            "discovered": [Discovery(**look) for look in data["discovered"]],
        }
        return cls(**values)
