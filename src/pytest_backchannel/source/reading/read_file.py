"""A file's text in, its facts out; what can't be parsed is a note."""

from __future__ import annotations

import ast
import re
import warnings
from pathlib import Path

from ..places import Unread
from .definitions import classes, functions, values
from .file_facts import FileFacts
from .of_channels.group_uses import group_uses
from .of_channels.json_dispatches import branches
from .of_channels.layer_messages import message_types, messages
from .of_channels.websocket_routes import routers, routes
from .of_tasks.beat_schedules import beat_entries
from .of_tasks.enqueue_sites import enqueue_sites
from .of_tasks.settings_said import settings
from .of_tasks.task_decorators import registered, tasks
from .scopes import Scopes
from .source_file import SourceFile

LARGEST = 2_000_000
"""Bytes; a larger file is generated, and is not read."""

WORTH_PARSING = re.compile(
    rb"celery|shared_task|apply_async|send_task|periodic_task|_on_commit|beat_schedule|BEAT_SCHEDULE|CELERY_|BROKER_|app\.conf\b"
    rb"|\.delay\b|\.s\(|\.si\(|\.subtask\(|\.signature\(|\.starmap\(|\.chunks\("
    rb"|@[\w.]*task\b|class \w+\([^)]*Task"
    rb"|channels\b|channel_layer|CHANNEL_LAYERS|group_send|group_add|group_discard|Consumer|as_asgi|URLRouter"
    rb"|EMAIL_\w+ *="
)


# What the pattern has as it stands, and what the rest of it can't do without: `in` is many times faster than a search.
_SURE = (
    b"celery",
    b"apply_async",
    b"_on_commit",
    b"beat_schedule",
    b"BEAT_SCHEDULE",
    b"CELERY_",
    b"BROKER_",
    b".s(",
    b".si(",
    b".signature(",
    b".starmap(",
    b".chunks(",
    b".subtask(",
    b"shared_task",
    b"send_task",
    b"periodic_task",
    b"channel_layer",
    b"CHANNEL_LAYERS",
    b"group_send",
    b"group_add",
    b"group_discard",
    b"Consumer",
    b"as_asgi",
    b"URLRouter",
)
_PERHAPS = (b"task", b"Task", b".delay", b"channels", b"app.conf", b"EMAIL_")


def is_worth_parsing(text: bytes) -> bool:
    """Whether a file's text may say something of tasks or channels: what ``WORTH_PARSING`` finds, sooner."""
    if any(word in text for word in _SURE):
        return True
    return any(word in text for word in _PERHAPS) and WORTH_PARSING.search(text) is not None


def read_file(
    path: Path, *, relative: str, module: str, worth: re.Pattern[bytes] | None = WORTH_PARSING
) -> FileFacts | None:
    """What a file says, or None where its text shows that it says nothing of tasks or channels.

    Args:
        path: the file.
        relative: its path within the tree.
        module: its dotted name.
        worth: what its text must have to be parsed; None for what another file refers to.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        return _unread(relative, module, 0, f"can't be read: {error.strerror or error}")
    if worth is not None and not (is_worth_parsing(text) if worth is WORTH_PARSING else worth.search(text)):
        return None
    if len(text) > LARGEST:
        return _unread(relative, module, 0, f"larger than {LARGEST} bytes")
    scopes = scopes_of(text, relative=relative, module=module)
    return facts_of(scopes) if isinstance(scopes, Scopes) else scopes


def scopes_of(text: bytes, *, relative: str, module: str) -> Scopes | FileFacts:
    """A file's text, parsed; where it can't be, facts that say so.

    Args:
        text: its bytes.
        relative: its path within the tree.
        module: its dotted name.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes and the like are the project's own affair
            tree = ast.parse(text, filename=relative)
        return Scopes(SourceFile(tree, path=relative, module=module))
    except SyntaxError as error:
        return _unread(relative, module, error.lineno or 0, f"no Python that this version can read: {error.msg}")
    except (ValueError, LookupError) as error:
        return _unread(relative, module, 0, f"no Python that this version can read: {error}")
    except (RecursionError, MemoryError):
        return _unread(relative, module, 0, "nested too deeply")


def facts_of(scopes: Scopes) -> FileFacts:
    """What a parsed file says; a file that is nested too deeply is a note."""
    file = scopes.file
    try:
        return _facts_of(scopes)
    except (RecursionError, MemoryError):
        return _unread(file.path, file.module, 0, "nested too deeply")


def _facts_of(scopes: Scopes) -> FileFacts:
    file = scopes.file
    return FileFacts(
        path=file.path,
        module=file.module,
        imports=scopes.imports,
        stars=tuple(scopes.stars),
        values=values(scopes),
        functions=functions(scopes),
        classes=classes(scopes),
        tasks=tuple(tasks(scopes)),
        enqueues=tuple(enqueue_sites(scopes)),
        beat=tuple(beat_entries(scopes)),
        group_uses=tuple(group_uses(scopes)),
        branches=branches(scopes),
        routes=tuple(routes(scopes)),
        routers=tuple(routers(scopes)),
        settings=tuple(settings(file)),
        registered=tuple(registered(scopes)),
        message_types=tuple(message_types(file)),
        messages=tuple(messages(scopes)),
    )


def _unread(relative: str, module: str, line: int, reason: str) -> FileFacts:
    return FileFacts(path=relative, module=module, unread=Unread(path=relative, line=line, reason=reason))
