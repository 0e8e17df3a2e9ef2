"""The line to look at for a break: what has changed, or what stands where it was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from difflib import SequenceMatcher

from ...source import Place, SourceIndex
from .comparing import WAITING, Break
from .contents import Contract


def line_of(one: Break, *, release: Contract, code: Contract, index: SourceIndex) -> Place | None:
    """Where a break is in the code of today; None where nothing there is near to it.

    Args:
        one: the break.
        release: the contract of the release.
        code: that of the code.
        index: what the code says.
    """
    if one.kind in ("task", "arguments"):
        return _of_task(one, release, code, index)
    if one.kind in ("serializer", "queue"):
        return _of_setting(one, release, index) or _of_task(one, release, code, index)
    if one.kind in ("handler", "keys"):
        return _of_message(one, release, index)
    return _of_route(one, release, index)


# ------------------------------------------------------------------------- tasks


def _of_task(one: Break, release: Contract, code: Contract, index: SourceIndex) -> Place | None:
    if one.subject in index.tasks:
        return index.tasks[one.subject].place
    entry = next((each for each in index.beat if one.beat and each.name == one.beat), None)
    if entry is not None:
        return entry.place
    became = _became(one.subject, release, code, index)
    if became is not None:
        return index.tasks[became].place
    module = one.subject.rpartition(".")[0]
    beside = next((task.place for task in index.tasks.values() if task.place.module == module), None)
    # It is gone, and nothing says from which line.
    return replace(beside, line=1, end_line=1, inside="") if beside is not None else None


def _became(gone: str, release: Contract, code: Contract, index: SourceIndex) -> str | None:
    """The new task that may be what an old one has become."""
    module, _, name = gone.rpartition(".")
    fresh = [each for each in code.accepts.tasks if each not in release.accepts.tasks and each in index.tasks]
    near = [each for each in fresh if each.rpartition(".")[0] == module]
    near = near or [each for each in fresh if each.rpartition(".")[2] == name]
    signature = release.accepts.tasks.get(gone)
    same = [each for each in near if code.accepts.tasks[each] == signature]
    return _closest(gone, same or near)


def _closest(text: str, others: Sequence[str]) -> str | None:
    return max(others, key=lambda other: SequenceMatcher(None, text, other).ratio(), default=None)


def _of_setting(one: Break, release: Contract, index: SourceIndex) -> Place | None:
    option, names = ("serializer", ("ACCEPT_CONTENT", "SERIALIZER"))
    if one.kind == "queue":
        option, names = ("queue", ("TASK_ROUTES", "TASK_QUEUES"))
    task = index.tasks.get(one.subject)
    if task is not None and task.options.get(option) and one.kind == "queue":
        return task.place
    settings = [each for each in index.settings if each.name.upper().endswith(names)]
    # A route that names the task says more than a list of queues.
    found = [each for each in settings if one.subject in each.source] or settings
    return found[0].place if found else None


# ---------------------------------------------------------- messages and routes


def _of_message(one: Break, release: Contract, index: SourceIndex) -> Place | None:
    handler = one.subject.replace(".", "_")
    if one.direction != WAITING:
        return next((use.place for use in index.group_uses if use.message_type == one.subject), None)
    for consumer in index.consumers.values():
        for each in consumer.handlers:
            if each.name == handler and one.detail.startswith(f"{consumer.name}."):
                return each.place
    named = index.consumers.get(one.detail.split(" ")[0].rpartition(".")[0])
    if named is None:
        return None
    before = {each.name for each in release.accepts.handlers if each.consumer == named.name}
    fresh = {each.name: each.place for each in named.handlers if each.name not in before}
    became = _closest(handler, list(fresh))
    return fresh[became] if became is not None else named.place


def _of_route(one: Break, release: Contract, index: SourceIndex) -> Place | None:
    paths = {f"/{route.pattern.strip('/')}/": route.place for route in index.routes}
    # One that is new may be what it has become; else what stands beside it says in which file it was.
    near = _closest(one.subject, [path for path in paths if path not in release.accepts.routes] or list(paths))
    return paths[near] if near is not None else None
