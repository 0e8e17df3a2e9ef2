"""What the comparison leaves out, each with its reason: this is the one place.

``NEVER`` is what is not determined on any worker: ``observation.alike`` replaces it. An :class:`Exclusion` leaves out a
part of some scenarios; a scenario in which none applies was compared in full.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

NEVER = {
    "ids that Celery makes": "they are random: those of groups, of replies, of delivery tags",
    "moments": "two runs happen at two times: that a message has an eta or an expiry is compared, not when",
    "names of processes": "hosts, process ids, addresses in memory, the number of a pool's job",
    "order between the main process and its child": "two processes write; each one's own order is compared",
}

Path = tuple[str, ...]


@dataclass(frozen=True)
class Exclusion:
    """A part of some scenarios that is not compared.

    Args:
        name: what is left out.
        reason: why it is not determined, or can't be had.
        applies: whether it concerns a scenario of this profile.
        covers: whether a difference at this path is left out.
    """

    name: str
    reason: str
    applies: Callable[[dict[str, Any], str], bool]
    covers: Callable[[Path], bool]


def _order_is_open(scenario: dict[str, Any], profile: str) -> bool:
    """Whether the order of bodies is a race: several publishers, several queues, timers or a second process."""
    if one_at_a_time(scenario):
        return False
    text = repr(scenario)
    return bool(
        not scenario.get("cold")
        or len(scenario.get("queues", ())) > 1
        or any(
            word in text for word in ("'countdown'", "['retry'", "['swallow retry'", "'autoretry_for'", "'rate_limit'")
        )
        # Two processes publish: the child, and the main process for a child that is gone.
        or any(word in text for word in ("'requeue once'", "'SystemExit'", "'MemoryError'", "'fault'", "_time_limit'"))
    )


def one_at_a_time(scenario: dict[str, Any]) -> bool:
    """Whether there is never more than one message: a task, or tasks in a chain, that lead to no second one."""
    sends = [step[1] for step in scenario["steps"] if step[0] == "send"]
    return (
        len(sends) == 1
        and all("task" in part for part in sends[0].get("chain", sends))
        and not any(
            word in repr(scenario)
            for word in ("'link", "'publish'", "'add to chord'", "'group'", "'chord'", "'xf'", "'xt'")
        )
    )


EXCLUSIONS = [
    Exclusion(
        "the order of bodies",
        "It is determined where there is one message at a time, and where all is published before the worker starts, "
        "into one queue, and nothing comes by a timer. Else the test's process, the worker's timers and its child "
        "publish at the same time, and between queues a real worker gives no order.",
        _order_is_open,
        lambda path: path[0] == "order",
    ),
    Exclusion(
        "what a worker still receives while it ends",
        "A MemoryError ends the worker (celery/worker/request.py, on_failure). By then it may have received what its "
        "child has just published, and gives it back; or the next worker receives it first: a race.",
        lambda scenario, profile: "'MemoryError'" in repr(scenario),
        lambda path: path[0] == "tasks" and path[2:3] == ("worker",),
    ),
]


# Between layers: what is not compared at one call: its name, and the strict layer's answer and the real one's.
LAYER_EXCLUSIONS = {
    ("send", "refused", "ChannelFull"): (
        "a value that can't be carried, to a channel that is full: channels-redis looks at the capacity first, and the "
        "value would fail on the next day; the strict layer tells of the value"
    ),
    ("group_send", "refused", None): (
        "a value that can't be carried, to a group that nobody is in: the core layer of channels-redis serialises for "
        "each member, and so not at all; the strict layer tells of what fails with the first member"
    ),
}
# Not drawn at all: a dict whose keys are numbers. channels-redis packs it, and fails at the receiver; the strict layer
# tells the sender (tests/integration/test_layer_real_redis.py, a_key_that_is_no_text).


def exclusions_of(scenario: dict[str, Any], profile: str) -> list[Exclusion]:
    """The exclusions that concern a scenario."""
    return [exclusion for exclusion in EXCLUSIONS if exclusion.applies(scenario, profile)]
