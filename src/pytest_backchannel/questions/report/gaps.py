"""What no test has reached, in words, with what it may hurt and the test to write; what would hurt most first."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from .code_to_paste import code_for
from .model import Facet, Gap, Item

Words = Callable[[Item, Facet], str]


@dataclass(frozen=True)
class _Kind:
    """One kind of gap.

    Attributes:
        rank: how much it may hurt, 0 to 100.
        words: what follows the title of the item.
        hurts: what may be wrong, and nobody would notice.
    """

    rank: int
    words: Words | str
    hurts: str


def gaps_of(items: Iterable[Item], baseline: Iterable[str] = ()) -> list[Gap]:
    """The gaps of some items: ranked, then in the order of their sentences.

    Args:
        items: those of a report.
        baseline: the keys of the gaps that are known.
    """
    known = frozenset(baseline)
    found = [gap for item in items for gap in _gaps_of(item, known)]
    return sorted(found, key=lambda gap: (-gap.rank, gap.sentence, gap.key))


def _gaps_of(item: Item, known: frozenset[str]) -> Iterable[Gap]:
    open_ones = [facet for facet in item.facets.values() if facet.is_gap]
    root = next((facet for facet in open_ones if facet.name in _ROOTS), None)
    for facet in open_ones:
        # What never runs can't succeed or retry either: it is told once.
        implied = root is not None and facet is not root and facet.name != "mock_fits"
        if implied:
            continue
        kind = _kind(item, facet)
        words = kind.words if isinstance(kind.words, str) else kind.words(item, facet)
        implies = [other.name for other in open_ones if other is not facet and other.name != "mock_fits"]
        yield Gap(
            key=f"{item.key}#{facet.name}",
            item=item.key,
            facet=facet.name,
            rank=kind.rank,
            sentence=f"{item.title}: {words}",
            hurts=kind.hurts,
            test=code_for(item, facet.name),
            where=item.where,
            implies=tuple(implies) if facet is root else (),
            in_baseline=f"{item.key}#{facet.name}" in known,
        )


#: Where one of these is open, the other facets of its item are open with it, and not told by themselves.
_ROOTS = ("run", "connected")


def _kind(item: Item, facet: Facet) -> _Kind:
    name = "hook" if facet.name.startswith("hook:") else facet.name
    return _KINDS.get((item.kind, name)) or _Kind(40, f"{facet.name} was not reached", "")


# ------------------------------------------------------------------------- words


def _never_run(item: Item, facet: Facet) -> str:
    mocked = item.facets.get("mocked")
    if mocked is not None and mocked.tests:
        return "never run, and mocked away"
    return "never run"


def _only_function(item: Item, facet: Facet) -> str:
    return "only called as a function, never as a task"


def _misfit(item: Item, facet: Facet) -> str:
    if not facet.notes:
        return "a mock took what no task could"
    first = facet.notes[0]
    more = f" (and {len(facet.notes) - 1} more)" if len(facet.notes) > 1 else ""
    return f"a mock took what no task could: {first.text}{more}"


def _not_connected(item: Item, facet: Facet) -> str:
    if item.reached("refused"):
        return "only ever refused"
    if item.reached("router"):
        return "only by a router of the test's own, never through the application"
    if item.reached("class"):
        return "only as a class, never through the application"
    return "crashed whenever it was connected to" if item.reached("crashed") else "never connected to"


def _not_enqueued(item: Item, facet: Facet) -> str:
    mocked = facet.notes[0].tests if facet.notes else ()
    # Which place called the mock is not known: it may have been another one.
    return "never enqueued from there" + (" (its task is mocked away)" if mocked else "")


def _not_delivered(item: Item, facet: Facet) -> str:
    lost = item.facets.get("lost")
    why = f" (lost: {', '.join(note.text for note in lost.notes)})" if lost is not None and lost.notes else ""
    return f"no group send ever arrived{why}" if item.reached("sent") else "never sent to"


def _hook(item: Item, facet: Facet) -> str:
    return f"its {facet.name.partition(':')[2]} has never run"


_KINDS: dict[tuple[str, str], _Kind] = {
    ("task", "run"): _Kind(100, _never_run, "Nothing of what it does is tested."),
    ("task", "mock_fits"): _Kind(97, _misfit, "In production this call fails: a mock accepts whatever it is given."),
    ("message", "handled"): _Kind(
        96,
        "no consumer of the project handles it",
        "A consumer that gets a message without a handler dies, and its connection with it.",
    ),
    ("group", "delivered"): _Kind(93, _not_delivered, "If the names of the group differ, nobody hears anything."),
    ("group", "sent"): _Kind(70, "never sent to", "What is said there is tested by nothing."),
    ("route", "connected"): _Kind(
        90, _not_connected, "Its URL pattern, its middleware and what they put into the scope are tested by nothing."
    ),
    ("route", "run"): _Kind(88, "its consumer never ran", "Nothing of what it does is tested."),
    ("handler", "run"): _Kind(86, "never run", "What it does with such a message is tested by nothing."),
    ("task", "succeeded"): _Kind(84, "never succeeded", "It has only ever failed in the tests."),
    ("task", "exhausted"): _Kind(
        74, "never out of retries", "What is left behind when the last retry fails is what people see."
    ),
    ("task", "retried"): _Kind(
        80, "never retried", "The second attempt finds what the first one has left: half of its work, mostly."
    ),
    ("task", "hook"): _Kind(78, _hook, "Celery only logs what such a hook raises."),
    ("task", "twice"): _Kind(
        66, "never delivered twice", "With acks_late a message comes again when its worker dies: the body runs twice."
    ),
    ("route", "refused"): _Kind(68, "never refused", "Who may not connect may be let in."),
    ("call", "enqueued"): _Kind(64, _not_enqueued, "The call may have the wrong arguments, or come before the commit."),
    ("frame", "received"): _Kind(62, "never received", "What a client says so is handled by code that no test runs."),
    ("task", "rejected"): _Kind(58, "never rejected", "What becomes of a rejected message is decided by the queue."),
    ("task", "expired"): _Kind(54, "never expired", "It is dropped unrun then, and nobody is told."),
    ("task", "as_task"): _Kind(
        50, _only_function, "Arguments that no message can carry, and all that Celery adds, stay unseen."
    ),
}
