"""The process that has imported the project and forks workers: this side of ``bootstrap.py``."""

from __future__ import annotations

import json
import os
import select
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...active import tracked
from ...errors import ServerFailed
from ..process import Process, tail

IMPORT_TIMEOUT = 60.0


@dataclass
class Fork:
    """What is known of one worker process.

    Attributes:
        pid: its process id.
        ready: whether it has said that it consumes.
        code: its exit code, negative for a signal; None while it lives.
    """

    pid: int
    ready: bool = False
    code: int | None = None


@dataclass(frozen=True)
class Project:
    """What a worker process needs to know to be the project's own.

    Attributes:
        app: where the Celery app is, as ``package.module:attribute``.
        settings: Django's settings module; empty for an app without Django.
        databases: what differs from the settings, by alias: above all the names of the test databases.
        channel_layers: ``CHANNEL_LAYERS`` of the test; None leaves the settings' own.
        environment: the environment of the test process; another one needs another template.
        path: where modules are found.
    """

    app: str
    settings: str
    databases: dict[str, dict[str, Any]]
    channel_layers: dict[str, Any] | None
    environment: dict[str, str] = field(default_factory=lambda: dict(os.environ))
    path: tuple[str, ...] = field(default_factory=lambda: tuple(sys.path))

    def key(self) -> str:
        """The same for two projects that can share a template."""
        environment = {name: value for name, value in self.environment.items() if name != "PYTEST_CURRENT_TEST"}
        return json.dumps([self.start(), sorted(environment.items()), os.getcwd()], sort_keys=True)

    def start(self) -> dict[str, Any]:
        """What the template is told."""
        return {
            "app": self.app,
            "settings": self.settings,
            "databases": self.databases,
            "channel_layers": self.channel_layers,
            "path": list(self.path),
        }


class Template(Process):
    """A process that has imported the project.

    Args:
        project: what it imports.

    Raises:
        ServerFailed: the project can't be imported in a process of its own; the message has its traceback.
    """

    def __init__(self, project: Project) -> None:
        super().__init__("worker-template")
        self.project = project
        self._forks: dict[int, Fork] = {}
        self._rest = b""
        self._imported = False
        self._error = ""
        self._last_forked: int | None = None
        self._workers = 0
        try:
            self.launch(
                [sys.executable, "-m", "pytest_backchannel.servers.workers.bootstrap"],
                ready=self._said_imported,
                environment={"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
                timeout=IMPORT_TIMEOUT,
                cwd=Path.cwd(),
                pipes=True,
            )
        except BaseException:
            self.close()
            raise

    def _began(self, group: int) -> None:
        super()._began(group)
        self._send({**self.project.start(), "folder": str(self.folder)})

    def _said_imported(self) -> bool:
        self.listen(0)
        if self._error:
            raise ServerFailed(f"the project can't be imported by a worker process:\n{tail(self._error, 12)}")
        return self._imported

    def fork(self, request: dict[str, Any]) -> Fork:
        """Start one worker process.

        Raises:
            ServerFailed: the template has died.
        """
        self._last_forked = None
        self._send(request)
        deadline = time.monotonic() + 10.0
        while self._last_forked is None:
            if not self.running or time.monotonic() > deadline:
                raise ServerFailed(f"the process that forks workers has died{self._tail_for_message()}")
            self.listen(0.05)
        self._workers += 1
        return self._forks[self._last_forked]

    def listen(self, timeout: float) -> None:
        """Take in what the template and its workers have said, waiting at most ``timeout`` seconds for it."""
        out = self._executor.output() if self._executor is not None else None
        if out is None:
            return
        fd = out.fileno()
        while select.select([fd], [], [], timeout)[0]:
            chunk = os.read(fd, 65536)
            if not chunk:
                return
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            for line in lines:
                self._hear(json.loads(line))
            timeout = 0

    def _hear(self, message: dict[str, Any]) -> None:
        if "imported" in message:
            self._imported = True
        elif "error" in message:
            self._error = message["error"]
        elif "forked" in message:
            pid = self._last_forked = message["forked"]
            self._forks.setdefault(pid, Fork(pid))
        elif "ready" in message:
            # The worker may be faster than the template's own answer.
            self._forks.setdefault(message["ready"], Fork(message["ready"])).ready = True
        elif "ended" in message:
            self._forks.setdefault(message["ended"], Fork(message["ended"])).code = message["code"]

    def _send(self, message: dict[str, Any]) -> None:
        process = self._executor.process if self._executor is not None else None
        if process is None or process.stdin is None:
            raise ServerFailed("the process that forks workers has ended")
        try:
            process.stdin.write(json.dumps(message) + "\n")
            process.stdin.flush()
        except OSError as error:
            raise ServerFailed(f"the process that forks workers has died{self._tail_for_message()}") from error


_templates: dict[str, Template] = tracked("templates of workers", {}, of_the_run=True)


def template_for(project: Project) -> Template:
    """The template of this project in this environment; started where there is none.

    Raises:
        ServerFailed: the project can't be imported.
    """
    key = project.key()
    found = _templates.get(key)
    if found is None or not found.running:
        # A few at most: a test that changes the environment gets one of its own.
        while len(_templates) >= 3:
            _templates.pop(next(iter(_templates))).close()
        found = _templates[key] = Template(project)
    return found


def close_templates() -> None:
    """End all of them."""
    while _templates:
        _templates.popitem()[1].close()
