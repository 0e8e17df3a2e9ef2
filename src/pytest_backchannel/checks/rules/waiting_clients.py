"""BC309: clients that wait for their server for ever."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import ClassVar

from ..checked_file import CheckedFile
from ..rule import FileRule, Spot

# By the position of the argument `timeout`; requests takes it by its name alone.
_CLIENTS: Mapping[str, int | None] = {
    **{f"requests.{name}": None for name in ("get", "post", "put", "patch", "delete", "head", "options", "request")},
    "urllib.request.urlopen": 2,
    "smtplib.SMTP": 3,
    "smtplib.SMTP_SSL": 3,
}


class ClientWithoutTimeout(FileRule):
    """BC309."""

    code = "BC309"
    name = "client-without-timeout"
    summary = "A request to another server has no timeout."
    why = "A server that takes the connection and does not answer stops a worker for good; a few of them stop all."
    fix = "`timeout=10`, and a retry for what it raises."
    page = "reference/production-settings.md"
    worth: ClassVar = ((b"import requests", b"from requests", b"urlopen", b"smtplib"),)
    wrong = """
import requests
from celery import shared_task


@shared_task
def push(url):
    requests.post(url)
"""
    right = wrong.replace("post(url)", "post(url, timeout=10)")

    def check(self, file: CheckedFile) -> Iterator[Spot]:
        """Of clients that are known by their imports; not of commands, nor where a star may bring the time-out."""
        if b"setdefaulttimeout" in file.text or "/management/commands/" in f"/{file.path}":
            return
        for call in file.calls():
            dotted = file.scopes.dotted(call.func) or ""
            if dotted in _CLIENTS and not _has_timeout(call, _CLIENTS[dotted]):
                yield call, f"{dotted}() without a timeout waits for ever for a server that does not answer"


def _has_timeout(call: ast.Call, position: int | None) -> bool:
    if any(one.arg in ("timeout", None) for one in call.keywords):
        return True
    if any(isinstance(one, ast.Starred) for one in call.args):
        return True
    return position is not None and len(call.args) > position
