"""BC2xx: messages that wait for longer than the broker waits for their acknowledgement."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import ClassVar

from ...source import EnqueueSite, TaskDef
from ...source.reading.source_file import text_of
from ..checked_file import is_test
from ..checked_tree import CheckedTree
from ..rule import Found, TreeRule
from .quantities import from_now, parsed, seconds_of

DEFAULT = 3_600.0
"""Seconds; kombu 5.5–5.7, transport/redis.py."""


class DelayBeyondVisibility(TreeRule):
    """BC204."""

    code = "BC204"
    name = "delay-beyond-visibility"
    severity: ClassVar = "error"
    summary = "A message waits for longer than the visibility timeout of its Redis."
    why = (
        "A worker holds the message until it is due, unacknowledged. After the visibility timeout (an hour, unless "
        "said otherwise) Redis gives it to another worker, too, and again each time: the task runs several times."
    )
    fix = (
        "A `visibility_timeout` in `broker_transport_options` that is longer than the longest delay; or a row with the "
        "time, and a beat entry that looks for what is due."
    )
    page = "reference/production-settings.md"
    finding = "retry_beyond_visibility"
    wrong = """
from celery import shared_task

CELERY_BROKER_URL = "redis://cache:6379/0"


@shared_task
def remind(pk): ...


def buy(order):
    remind.apply_async((order.pk,), countdown=24 * 60 * 60)
"""
    right = wrong.replace(
        '6379/0"\n', '6379/0"\nCELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 48 * 60 * 60}\n'
    )

    def check(self, tree: CheckedTree) -> Iterator[Found]:
        """Where the broker is a Redis as far as all settings say, and both times are written out."""
        timeout = visibility_timeout(tree)
        if timeout is None:
            return
        for site in tree.enqueues():
            seconds = _delay(site)
            if seconds is not None and seconds > timeout:
                yield site.place, _message(site.task or site.target, seconds, timeout)
        for task in tree.index.tasks.values():
            seconds = None if is_test(task.place.path) else _of_its_retries(tree, task)
            if seconds is not None and seconds > timeout:
                yield task.place, _message(f"a retry of {task.name}", seconds, timeout)


def _message(what: str, seconds: float, timeout: float) -> str:
    return f"{what} waits {seconds:g} s, and after {timeout:g} s (the visibility timeout) Redis delivers it again"


def visibility_timeout(tree: CheckedTree) -> float | None:
    """The timeout of the broker; None where it may be no Redis, or the time is not known."""
    brokers = tree.settings("broker_url", "broker")
    if not brokers or not all("redis" in one.source.lower() and "amqp" not in one.source.lower() for one in brokers):
        return None
    found = [_said(one.source) for one in tree.settings("broker_transport_options")]
    if None in found or (not found and tree.says(b"visibility_timeout")):
        return None
    return max((one for one in found if one is not None), default=DEFAULT)


def _said(source: str) -> float | None:
    options = parsed(source)
    if not isinstance(options, ast.Dict) or None in options.keys:
        return None
    for key, value in zip(options.keys, options.values, strict=True):
        if text_of(key) == "visibility_timeout":
            return seconds_of(value)
    return DEFAULT


def _delay(site: EnqueueSite) -> float | None:
    options = site.arguments.options
    if "countdown" in options:
        return seconds_of(parsed(options["countdown"]))
    return from_now(parsed(options["eta"])) if "eta" in options else None


def _of_its_retries(tree: CheckedTree, task: TaskDef) -> float | None:
    """The delay that its retries have by what it is declared with, where they have no other."""
    said = task.option_sources.get("default_retry_delay")
    if said is None or "retry_backoff" in task.option_sources or not task.may_retry:
        return None
    own = [
        site
        for site in tree.index.enqueues
        if site.kind == "retry" and site.place.path == task.place.path and site.place.line in task.calls_retry
    ]
    if own and all({"countdown", "eta"} & set(site.arguments.options) for site in own):
        return None
    return seconds_of(parsed(said))
