"""A break in words: what happens, where it is in the code of today, and the ways out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from ...source import Place, SourceIndex
from .changed_lines import line_of
from .comparing import WAITING, Break
from .contents import Contract

_TWO_DEPLOYS = "two deploys: first the code that accepts both, then the code that sends the new one"
WAYS_OUT: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "task": {
        "waiting": (
            "keep a task of the old name, which calls the new one, for one release",
            "@shared_task(name=…) keeps the name of a function that has moved",
        ),
        "rolling": ("two deploys: first the task, then the code that enqueues it",),
    },
    "arguments": {
        "waiting": (
            "give the new parameter a default",
            "let a parameter that is gone be taken: **kwargs, for one release",
            "a new task under another name, beside the old one",
        ),
        "rolling": (
            "two deploys: first the parameter, with a default; then the code that passes it",
            "pass the old arguments as long as workers of that release run",
        ),
    },
    "serializer": {
        "waiting": ("keep it in accept_content until no such message waits any more",),
        "rolling": ("two deploys: first accept_content, then the serialiser",),
    },
    "queue": {
        "waiting": ("let a worker consume it until it is empty",),
        "rolling": ("start the workers of the new queue first", "two deploys: first the workers, then the route"),
    },
    "handler": {
        "waiting": ("keep a handler of the old name, which calls the new one, for one release",),
        "rolling": ("two deploys: first the handler, then the code that sends to it",),
    },
    "keys": {
        "waiting": ("read it by event.get(…), with a default, for one release",),
        "rolling": ("send the old key beside the new one, for one release", _TWO_DEPLOYS),
    },
    "route": {"waiting": ("keep the old route for as long as pages are open that know it",), "rolling": ()},
}
"""By kind and direction; the first is the usual one."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """A break, in words.

    Attributes:
        found: the break.
        text: what happens, in one sentence.
        where: the line to look at; None where there is none.
        ways: the ways out.
    """

    found: Break
    text: str
    where: Place | None
    ways: tuple[str, ...]


def explained(found: Iterable[Break], *, release: Contract, code: Contract, index: SourceIndex) -> Iterator[Told]:
    """Breaks, in words.

    Args:
        found: the breaks.
        release: the contract of the release.
        code: that of the code.
        index: what the code says.
    """
    for one in found:
        yield Told(
            found=one,
            text=_text(one),
            where=line_of(one, release=release, code=code, index=index),
            ways=WAYS_OUT[one.kind][one.direction],
        )


def _text(one: Break) -> str:
    waiting = one.direction == WAITING
    by = f" (beat entry {one.beat!r})" if one.beat else ""
    if one.kind == "task":
        return f"{one.subject}{by}: " + (
            "messages of that release wait for it, and this code has no such task"
            if waiting
            else "this code sends it, and that release's workers have no such task"
        )
    if one.kind == "arguments":
        return f"{one.message}{by}: " + (
            f"sent by that release, it does not fit this code: {one.detail}"
            if waiting
            else f"sent by this code, it does not fit that release: {one.detail}"
        )
    there = "this code's workers" if waiting else "that release's workers"
    if one.kind == "serializer":
        return f"{one.subject}{by}: its messages are {one.detail}, which {there} do not accept"
    if one.kind == "queue":
        return f"{one.subject}{by}: its messages go to {one.detail!r}, which {there} do not consume"
    who = "this code" if waiting else "that release"
    sender = "that release" if waiting else "this code"
    if one.kind == "handler":
        return f"{one.subject}: {sender} sends it, and {one.detail} is not there in {who}: the consumer dies of it"
    if one.kind == "keys":
        return (
            f"{one.subject}: as {sender} sends it, {one.detail} in {who}, and it is not there: the consumer dies of it"
        )
    return f"{one.subject}: pages of that release connect to it, and this code has no such route"
