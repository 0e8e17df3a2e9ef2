"""A project as ``backchannel init`` finds it: its folders, its settings, what of Celery and Channels it has."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..errors import BackchannelError, InventoryFailed
from ..inventory.asgi_inventory import AsgiInventory, KnownRoute
from ..inventory.celery_inventory import CeleryInventory, KnownTask
from ..inventory.child_process import asgi_inventory_of, celery_inventory_of
from ..source import SourceIndex, read_tree
from ..source.files import python_files
from .pytest_setup import PytestSetup, configured_pytest
from .settings_modules import SettingsModules, settings_modules

_SECONDS = 60
_APP = re.compile(r"^(\w+)(?:\s*:\s*\w+)?\s*=\s*Celery\(", re.MULTILINE)
_CONFIGURED = re.compile(r"config_from_object\(\s*(?P<what>[^,)]+)(?P<rest>[^)]*)\)")
_NAMESPACE = re.compile(r"""namespace\s*=\s*['"](\w+)['"]""")
# What the extras bring, by what is imported of it.
_NEEDED = {"celery": ("time_machine", "fakeredis"), "channels": ("time_machine", "msgpack")}


@dataclass(frozen=True, kw_only=True)
class Project:
    """What is known of a project.

    Attributes:
        root: the folder of ``manage.py``.
        repository: the folder that has ``.git``; the root where there is none.
        settings: its settings modules.
        origin: the one from which the settings of the tests import.
        said: what that one says.
        pytest: how it configures pytest.
        celery: what a worker has; None where there is no Celery app.
        celery_prefix: with what Django's settings for Celery begin; None where Celery does not read them.
        found_app: where the app is, where that has to be said; empty where it is found without.
        asgi: what a web process has; None where it has nothing of Channels.
        index: what the code says.
        has_asyncio: whether pytest-asyncio is installed.
        remarks: what the user should know.
    """

    root: Path
    repository: Path
    settings: SettingsModules
    origin: str
    said: Mapping[str, Any]
    pytest: PytestSetup
    celery: CeleryInventory | None
    celery_prefix: str | None
    found_app: str
    asgi: AsgiInventory | None
    index: SourceIndex
    has_asyncio: bool
    remarks: Sequence[str] = field(default_factory=tuple)

    @property
    def has_auth(self) -> bool:
        """Whether it has users in the way of Django."""
        return "django.contrib.auth" in self.said["apps"]

    @property
    def tasks(self) -> list[KnownTask]:
        """The tasks of its own code, in the order of their places."""
        inside = f"{self.root}{os.sep}"
        own = [task for task in self.celery.tasks.values() if task.file.startswith(inside)] if self.celery else []
        return sorted(
            (task for task in own if "site-packages" not in task.file), key=lambda task: (task.file, task.line)
        )

    @property
    def routes(self) -> list[KnownRoute]:
        """Its WebSocket routes."""
        return [route for route in self.asgi.routes if route.protocol == "websocket"] if self.asgi else []

    def shown(self, path: Path) -> str:
        """A path as seen from the root."""
        return os.path.relpath(path, self.root).replace(os.sep, "/")


def find_project(folder: Path, given: str | None, progress: Callable[[str], None]) -> Project:
    """Look at a project.

    Args:
        folder: where the command was started.
        given: the settings module of production, as the user says it.
        progress: is told what takes time.

    Raises:
        BackchannelError: there is no project, no settings, nothing to test, or Django can't be set up.
    """
    root = folder.resolve()
    _check_manage(root)
    configured = configured_pytest(root)
    modules = settings_modules(root, given, configured.options.get("DJANGO_SETTINGS_MODULE"))
    progress(f"loading the project under {modules.production} …")
    origin, said, remarks = _origin(root, modules)
    index = read_tree(root, processes=os.cpu_count() or 1)
    celery, found_app = _celery(root, origin, configured.options.get("backchannel_celery_app", ""))
    asgi = _asgi(root, origin, said)
    if celery is None and asgi is None:
        raise BackchannelError(
            f"found nothing to test: under {origin} there is neither a Celery app (looked for in celery.py beside the "
            "settings) nor ASGI_APPLICATION or CHANNEL_LAYERS; is that the settings module of production? Give it by "
            "--settings"
        )
    _check_extras(celery=celery is not None, channels=asgi is not None)
    if asgi is not None and asgi.failure is not None:
        remarks.append(f"no route is known: {asgi.application} can't be imported: {asgi.failure.text}")
    has_asyncio = find_spec("pytest_asyncio") is not None
    return Project(
        root=root,
        repository=next((one for one in (root, *root.parents) if (one / ".git").exists()), root),
        settings=modules,
        origin=origin,
        said=said,
        pytest=configured,
        celery=celery,
        celery_prefix=_prefix(celery, root),
        found_app=found_app,
        asgi=asgi,
        index=index,
        has_asyncio=has_asyncio,
        remarks=tuple(remarks),
    )


def _check_manage(root: Path) -> None:
    if (root / "manage.py").is_file():
        return
    below = sorted(path.parent.relative_to(root).as_posix() for path in root.glob("*/manage.py"))
    fix = f"there is one in {', '.join(below)}: cd there" if below else "cd to the folder of the project that has it"
    raise BackchannelError(f"there is no manage.py in {root}: {fix}, and run backchannel init again")


def _origin(root: Path, modules: SettingsModules) -> tuple[str, Mapping[str, Any], list[str]]:
    """From which module the settings of the tests import, what it says, and what is to be told of production's."""
    said = {module: _described(root, module) for module in dict.fromkeys((*modules.origins, modules.production))}
    production = said[modules.production]
    remarks = []
    if "failed" in production:
        remarks.append(
            f"{modules.production} can't be imported here: {production['failed']}; so pytest is not told of it. Give "
            "the variables that it reads harmless values, and run this again"
        )
    for module in modules.origins:
        answer = said[module]
        if "failed" in answer or not answer["apps"] or "ROOT_URLCONF" not in answer["names"]:
            continue
        lacks = {"asgi", "engine"} if "failed" not in production else set[str]()
        if module == modules.production or not any(production.get(name) and not answer[name] for name in lacks):
            return module, answer, remarks
    why = "; ".join(
        f"{module}: {answer.get('failed', 'it has no INSTALLED_APPS or no ROOT_URLCONF')}"
        for module, answer in said.items()
    )
    raise BackchannelError(
        f"Django can't be set up: {why}. Give the variables that the settings read harmless values "
        "(SECRET_KEY=x backchannel init), install what they import, or name other settings: --settings"
    )


def _described(root: Path, module: str) -> Mapping[str, Any]:
    with tempfile.TemporaryDirectory(prefix="backchannel-") as folder:
        target = Path(folder) / "answer.json"
        command = [sys.executable, "-m", f"{__package__}.settings_child", module, str(target)]
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": module,
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        }
        try:
            done = subprocess.run(
                command, cwd=root, env=environment, capture_output=True, text=True, timeout=_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            return {"failed": f"its import has not ended within {_SECONDS} s"}
        if not target.exists():
            lines = done.stderr.strip().splitlines() or [f"its import has ended the process with {done.returncode}"]
            return {"failed": lines[-1]}
        answer: Mapping[str, Any] = json.loads(target.read_text(encoding="utf-8"))
        return answer


def _celery(root: Path, settings: str, configured: str) -> tuple[CeleryInventory | None, str]:
    """What a worker has, and where the app is if that has to be said."""
    if find_spec("celery") is None:
        return None, ""
    with _Inside(root):
        try:
            return celery_inventory_of(settings, configured=configured), ""
        except InventoryFailed as error:
            if error.why != "NoCeleryApp":
                raise _not_set_up(error, settings) from error
        for app in _apps_in(root):
            try:
                return celery_inventory_of(settings, configured=app), app
            except InventoryFailed:
                continue
    return None, ""


def _apps_in(root: Path) -> list[str]:
    """Where the code makes a Celery app at the top of a module, the shortest name first."""
    found = []
    for file in python_files(root):
        try:
            text = file.path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        if "Celery(" in text:
            found += [f"{file.module}:{match[1]}" for match in _APP.finditer(text)]
    return sorted(found, key=lambda app: (app.count("."), app))[:3]


def _prefix(celery: CeleryInventory | None, root: Path) -> str | None:
    """With what the settings for Celery begin: ``CELERY_``, or empty for the old names; None where it reads none."""
    if celery is None:
        return None
    file = Path(celery.modules.get(celery.app.partition(":")[0], ""))
    try:
        text = (root / file).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "CELERY_"
    match = _CONFIGURED.search(text)
    if match is None or "settings" not in match["what"]:
        return None if match is None else "CELERY_"
    namespace = _NAMESPACE.search(match["rest"])
    return f"{namespace[1]}_" if namespace else ""


def _asgi(root: Path, settings: str, said: Mapping[str, Any]) -> AsgiInventory | None:
    if find_spec("channels") is None or not (said["layers"] or "channels" in said["apps"] or said["asgi"]):
        return None
    with _Inside(root):
        try:
            found = asgi_inventory_of(settings)
        except InventoryFailed as error:
            raise _not_set_up(error, settings) from error
    speaks = any(route.protocol in ("websocket", "channel") for route in found.routes)
    return found if speaks or said["layers"] or "channels" in said["apps"] else None


def _not_set_up(error: InventoryFailed, settings: str) -> BackchannelError:
    lines = "\n".join(f"    {line}" for line in error.traceback[-8:])
    return BackchannelError(
        f"Django can't be set up under {settings}: {error}\n{lines}\nInstall what is missing, give the variables that "
        "the settings read harmless values, or name other settings: --settings"
    )


def _check_extras(*, celery: bool, channels: bool) -> None:
    wanted = [name for name, used in (("celery", celery), ("channels", channels)) if used]
    missing = [name for name in wanted if any(find_spec(module) is None for module in _NEEDED[name])]
    if missing:
        raise BackchannelError(
            f"the project has {' and '.join(wanted)}, and what is needed to test that is not installed: "
            f"{sys.executable} -m pip install 'pytest-backchannel[{','.join(missing)}]'"
        )


class _Inside:
    """The project's folder is the current one, and the first from which modules are imported."""

    def __init__(self, root: Path) -> None:
        self._root = str(root)

    def __enter__(self) -> None:
        self._before = os.getcwd()
        os.chdir(self._root)
        sys.path.insert(0, self._root)

    def __exit__(self, *error: object) -> None:
        sys.path.remove(self._root)
        os.chdir(self._before)
