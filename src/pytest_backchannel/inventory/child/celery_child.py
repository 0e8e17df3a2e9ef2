"""The child process that loads the project as ``celery -A`` does, and says what a worker would have.

It is started by ``child_process.py`` with the settings of production, and ends before anything that it has imported
could come to life: no exit handler runs.
"""

from __future__ import annotations

import dis
import importlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from functools import partial
from types import CodeType, FunctionType
from typing import Any

from . import guards
from .described.task_body import body_of_task
from .refusals import refused
from .site_settings import site_settings
from .telling import is_of_project

_OPTIONS = (
    "acks_late",
    "acks_on_failure_or_timeout",
    "default_retry_delay",
    "expires",
    "ignore_result",
    "max_retries",
    "priority",
    "rate_limit",
    "reject_on_worker_lost",
    "retry_backoff",
    "retry_backoff_max",
    "serializer",
    "soft_time_limit",
    "store_errors_even_if_ignored",
    "time_limit",
    "track_started",
)
# As celery.app.utils.HIDDEN_SETTINGS, and what transports take.
_SECRET = re.compile("API|TOKEN|KEY|SECRET|PASS|PROFANITIES_LIST|SIGNATURE|DATABASE|CREDENTIAL|SSL", re.IGNORECASE)
# How code imports what it does not name.
_IMPORTS_BY_NAME = frozenset({"import_module", "__import__", "autodiscover_modules", "autodiscover_tasks"})


def celery_inventory(settings: str, app_path: str, configured: str, tests_settings: str) -> dict[str, Any]:
    """What ``celery -A`` would have, as plain data.

    Args:
        settings: the settings module of production.
        app_path: where the app is; empty where that is not known.
        configured: what the ini option ``backchannel_celery_app`` says.
        tests_settings: the settings module of the tests: the app may stand beside it, and not beside production's.

    Raises:
        Exception: whatever the project raises while it is imported.
    """
    # As a worker has it: an application may ask by which command it runs.
    sys.argv = ["celery", "-A", (app_path or configured or settings).partition(":")[0], "worker"]
    looks = _noted_looks()
    path, app = _find_app(app_path or configured, settings, tests_settings)
    unknown: list[str] = []
    run_checks = _postponed_checks()
    app.loader.import_default_modules()
    queues = sorted(app.amqp.queues)
    unknown += _import_what_receivers_import(app)
    before = frozenset(sys.modules)
    unknown += _run(run_checks)
    # Not before the checks: of a module that is imported later, an app has none of the tasks that another app has made.
    app.finalize()
    _check_settings(settings)
    tasks = [_task(app, task, task.__module__ not in before) for _, task in sorted(app.tasks.items())]
    return {
        "settings_module": settings,
        "app": path,
        "main": str(app.main),
        "installed_apps": _installed_apps(),
        "tasks": tasks,
        "queues": queues,
        "routes": _routes(app.conf.task_routes),
        "routed": _routed(app.conf.task_routes),
        "beat": [_beat_entry(app, name, entry) for name, entry in sorted((app.conf.beat_schedule or {}).items())],
        "settings": _settings(app.conf),
        "chords": _modules_with_chords(),
        "site": site_settings(),
        "originals": guards.ORIGINALS,
        "modules": _modules(),
        "discovered": looks,
        "unknown": [*unknown, *(f"refused: {what}" for what in refused())],
    }


def _find_app(configured: str, settings: str, tests_settings: str) -> tuple[str, Any]:
    from ...errors import BackchannelError, InventoryFailed
    from ..celery_app import find_app

    try:
        return find_app(configured, settings)
    except BackchannelError as error:
        if configured:
            raise
        try:
            return find_app("", tests_settings)
        except BackchannelError:
            raise InventoryFailed(str(error), why="NoCeleryApp") from error


# --- private API: BaseLoader.autodiscover_tasks, django.core.checks.run_checks as celery.fixups.django calls it, and
# --- the receivers of a signal, seen on celery 5.5–5.7; tests/unit/inventory/test_celery_child.py has a test for each.


def _noted_looks() -> list[dict[str, Any]]:
    """Where tasks are looked for from now on, in a list that grows."""
    from celery.loaders.base import BaseLoader

    looks: list[dict[str, Any]] = []
    original = BaseLoader.autodiscover_tasks

    def noted(self: Any, packages: Any, related_name: str | None = "tasks") -> Any:
        packages = list(packages or ())
        looks.append({"packages": packages, "related_name": related_name})
        return original(self, packages, related_name)

    BaseLoader.autodiscover_tasks = noted
    return looks


def _postponed_checks() -> Callable[[], Any]:
    """Keep Django's checks from importing the URLconf before the registry was looked at; returns them."""
    import django.core.checks

    original = django.core.checks.run_checks
    django.core.checks.run_checks = lambda *args, **kwargs: []

    def run_checks() -> Any:
        from django.apps import apps

        return original() if apps.ready else []

    return run_checks


def _import_what_receivers_import(app: Any) -> list[str]:
    """Import what the project's receivers of the worker's start would import, without running them."""
    from celery import signals

    unknown = []
    starts = ("celeryd_init", "celeryd_after_setup", "worker_init", "worker_process_init", "worker_ready")
    functions = [
        (f"the receiver of {name}", function)
        for name in starts
        for function in _receivers(getattr(signals, name))
        if not _is_celerys(function)
    ]
    functions += [
        (f"the boot step {step.__name__}", function)
        for steps in app.steps.values()
        for step in steps
        if inspect.isclass(step) and not _is_celerys(step)
        for function in vars(step).values()
        if isinstance(function, FunctionType)
    ]
    for what, function in functions:
        called = list(_with_what_it_calls(function))
        if not called:
            unknown.append(f"{what}, {function!r}, was not run")
        for code, names in called:
            if _IMPORTS_BY_NAME.intersection(code.co_names):
                unknown.append(f"{what} in {function.__module__} imports modules by name, and was not run")
            for module in _imported_by(code, names.get("__package__") or ""):
                unknown += _run(partial(importlib.import_module, module), f"{what} imports {module}")
    return unknown


def _is_celerys(thing: Any) -> bool:
    return str(getattr(thing, "__module__", "")).partition(".")[0] == "celery"


def _receivers(signal: Any) -> Iterator[Any]:
    for _, receiver in signal.receivers or ():
        # Celery keeps a weak reference, or the function itself.
        function = receiver() if type(receiver).__name__ in ("WeakMethod", "weakref", "ReferenceType") else receiver
        if function is not None:
            yield getattr(function, "__func__", function)


# --- end of private API


def _with_what_it_calls(function: Any) -> Iterator[tuple[CodeType, Mapping[str, Any]]]:
    """The code of a function, of those within it, and of those of the project that it names; with their globals."""
    pending, seen = [inspect.unwrap(function)], set()
    while pending:
        current = pending.pop()
        if not isinstance(current, FunctionType) or current in seen:
            continue
        seen.add(current)
        codes = [current.__code__]
        while codes:
            code = codes.pop()
            yield code, current.__globals__
            codes += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
            named = [current.__globals__.get(name) for name in code.co_names]
            pending += [
                inspect.unwrap(other) for other in named if isinstance(other, FunctionType) and _may_import(other)
            ]


def _may_import(function: Any) -> bool:
    return str(function.__module__).partition(".")[0] not in {*sys.stdlib_module_names, "celery", "django", "kombu"}


def _imported_by(code: CodeType, package: str) -> Iterator[str]:
    """The modules that the import statements of a function name."""
    instructions = list(dis.get_instructions(code))
    for position, instruction in enumerate(instructions):
        if instruction.opname != "IMPORT_NAME":
            continue
        # CPython puts the level of a relative import and the names onto the stack first.
        level, names = (earlier.argval for earlier in instructions[position - 2 : position])
        name = str(instruction.argval)
        if level:
            parent = package.rsplit(".", level - 1)[0]
            name = f"{parent}.{name}" if name else parent
        yield name
        yield from (full for part in names or () if _is_module(full := f"{name}.{part}"))


def _is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError, AttributeError):
        return False


def _run(function: Callable[[], Any], what: str = "Django's system checks") -> list[str]:
    try:
        function()
    except Exception as error:
        return [f"{what}: {type(error).__name__}: {error}"]
    return []


def _check_settings(settings: str) -> None:
    """The settings must be those that were asked for, and those of a whole project.

    Raises:
        ValueError: they are not; the message says what to do.
    """
    from django.conf import settings as used

    installed = used.INSTALLED_APPS  # reads them, where nobody has
    loaded = used.SETTINGS_MODULE
    if loaded != settings:
        raise ValueError(
            f"the project has loaded the settings {loaded!r}: it sets DJANGO_SETTINGS_MODULE itself; "
            "os.environ.setdefault() leaves it as it is"
        )
    if not installed:
        raise ValueError("it has no INSTALLED_APPS: these are not the settings of a whole project")


def _installed_apps() -> list[str]:
    from django.apps import apps

    return [config.name for config in apps.get_app_configs()] if apps.ready else []


def _task(app: Any, task: Any, only_by_checks: bool) -> dict[str, Any]:
    function = inspect.unwrap(getattr(task, "run", task))
    code = getattr(function, "__code__", None)
    options = {name: getattr(task, name, None) for name in _OPTIONS}
    return {
        "name": task.name,
        "module": str(task.__module__),
        "file": code.co_filename if code is not None else "",
        "line": code.co_firstlineno if code is not None else 0,
        "queue": _queue_of(app, task),
        "only_by_checks": only_by_checks,
        "options": {
            **{name: _plain(value) for name, value in options.items() if value is not None},
            "autoretries": bool(getattr(task, "autoretry_for", ())),
        },
        **body_of_task(task),
    }


def _queue_of(app: Any, task: Any) -> str | None:
    try:
        own = {"queue": task.queue} if getattr(task, "queue", None) else {}
        queue = app.amqp.router.route(own, task.name, (), {}, task).get("queue")
    except Exception:
        return None  # a router of the project's may need a message to look at
    return str(getattr(queue, "name", queue)) if queue is not None else None


def _routes(routes: Any) -> list[str]:
    if isinstance(routes, Mapping):
        return [f"{pattern!r}: {route!r}" for pattern, route in routes.items()]
    return [repr(route) for route in routes] if isinstance(routes, (list, tuple)) else [repr(routes)] if routes else []


def _routed(routes: Any) -> list[str]:
    """The names of tasks that a route is for, patterns left out; those of the setting's plain forms."""
    maps: Any = [routes] if isinstance(routes, Mapping) else routes if isinstance(routes, (list, tuple)) else []
    names: list[Any] = []
    for one in maps:
        # Also a list of pairs, each of a name and a route.
        names += list(one) if isinstance(one, Mapping) else one[:1] if isinstance(one, (list, tuple)) else []
    return [name for name in names if isinstance(name, str) and not set(name) & set("*?[")]


def _beat_entry(app: Any, name: str, entry: Any) -> dict[str, Any]:
    values = entry if isinstance(entry, Mapping) else vars(entry)
    task = app.tasks.get(str(values.get("task")))
    options = values.get("options") or {}
    return {
        "name": str(name),
        "task": str(values.get("task")),
        "schedule": repr(values.get("schedule")),
        "options": _plain(options),
        "seconds": _shortest(values.get("schedule")),
        "every_minute_of": _every_minute_of(values.get("schedule")),
        "expires": _seconds(options["expires"] if "expires" in options else getattr(task, "expires", None)),
        "queue": str(getattr(options["queue"], "name", options["queue"])) if options.get("queue") else None,
        "refused": _refused_arguments(task, values.get("args") or (), values.get("kwargs") or {}),
    }


def _seconds(value: Any) -> float | None:
    if isinstance(value, timedelta):
        return value.total_seconds()
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _shortest(schedule: Any) -> float | None:
    """The shortest time between two runs of an entry, in seconds; None where it can't be told."""
    from celery.schedules import crontab

    if isinstance(schedule, crontab):
        minutes = sorted(hour * 60 + minute for hour in schedule.hour for minute in schedule.minute)
        gaps = [later - earlier for earlier, later in zip(minutes, [*minutes[1:], minutes[0] + 24 * 60], strict=True)]
        return min(gaps) * 60.0
    # A plain number, a timedelta, or Celery's schedule, which holds one.
    return _seconds(getattr(schedule, "run_every", schedule))


def _every_minute_of(schedule: Any) -> int | None:
    """The one hour in each of whose minutes a crontab is due; None for all others."""
    from celery.schedules import crontab

    if isinstance(schedule, crontab) and len(schedule.hour) == 1 and len(schedule.minute) == 60:
        return int(next(iter(schedule.hour)))
    return None


def _refused_arguments(task: Any, args: Any, kwargs: Any) -> str | None:
    """Why a task can't be called so, as Celery checks it when it is enqueued; None where it can."""
    header = getattr(task, "__header__", None)
    if header is None or not getattr(task, "typing", False):
        return None
    try:
        header(*args, **kwargs)
    except TypeError as error:
        return str(error)
    return None


def _modules_with_chords() -> list[str]:
    """The modules of the project that have Celery's chord by a name, or make one by another module."""
    from celery import canvas

    return [
        name
        for name, module in list(sys.modules.items())
        if is_of_project(module) and any(value is canvas.chord for value in list(vars(module).values()))
    ]


def _settings(conf: Any) -> dict[str, Any]:
    from celery.app.defaults import DEFAULTS

    found = {name: conf.get(name) for name in DEFAULTS if not _SECRET.search(name) and name != "beat_schedule"}
    return {name: _plain(value) for name, value in found.items()}


def _plain(value: Any) -> Any:
    """A value that JSON can carry, without secrets."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, str):
        scheme, separator, _ = value.partition("://")
        return scheme + separator
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items() if not _SECRET.search(str(key))}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    return repr(value)


def _modules() -> dict[str, str]:
    return {
        name: str(getattr(module, "__file__", None) or "")
        for name, module in list(sys.modules.items())
        if name.partition(".")[0] not in sys.stdlib_module_names and not name.startswith("pytest_backchannel")
    }
