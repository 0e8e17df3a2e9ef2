"""Draws scenarios, plays each on the double and on the real thing, and shrinks what differs."""

from __future__ import annotations

import contextlib
import json
import re
import tempfile
import time
import traceback
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import HypothesisException

from .exclusions import LAYER_EXCLUSIONS, exclusions_of
from .observation import differences

Difference = tuple[tuple[str, ...], Any, Any]


@dataclass
class Played:
    """One scenario, played on both.

    Attributes:
        stepped: what was seen on the double.
        real: what was seen on the real thing.
        different: where they differ, without what is excluded.
        excluded: the names of the exclusions that concern the scenario.
        seconds: how long the real one took.
    """

    scenario: dict[str, Any]
    stepped: Any
    real: Any
    different: list[Difference] = field(default_factory=list)
    excluded: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def signature(self) -> frozenset[str]:
        """What kinds of differences there are: the same for two scenarios that probably have the same cause."""
        return frozenset(_kind(*difference) for difference in self.different)


def _kind(path: tuple[str, ...], left: Any, right: Any) -> str:
    where = [re.sub(r"\b[nce]?\d+(#\d+)?r?(/c?\d+)*\b", "*", part) for part in path]
    text = "/".join(where)
    if _are_events(left) and _are_events(right):
        text += f": {_names(left)} / {_names(right)}"
    elif path[-1:] != ("error",):
        text += f": {str(left)[:60]} / {str(right)[:60]}"
    return text


def _are_events(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, dict) and "event" in each for each in value)


def _names(events: list[Any]) -> str:
    return ",".join(event["event"] for event in events)


def compare(scenario: dict[str, Any], profile: str, stepped: Any, real: Any) -> Played:
    """The two observations, compared."""
    excluded = exclusions_of(scenario, profile)
    found = [
        difference
        for difference in differences(stepped, real)
        if not any(exclusion.covers(difference[0]) for exclusion in excluded)
    ]
    return Played(scenario, stepped, real, found, [exclusion.name for exclusion in excluded])


def compare_plain(scenario: dict[str, Any], stepped: Any, real: Any) -> Played:
    """Two observations of a layer, compared."""
    found = list(differences(stepped, real))
    reasons = [_layer_exclusion(scenario["calls"], *difference) for difference in found]
    different = [difference for difference, reason in zip(found, reasons, strict=True) if reason is None]
    return Played(scenario, stepped, real, different, [reason for reason in reasons if reason is not None])


def _layer_exclusion(calls: list[Any], path: tuple[str, ...], strict: Any, real: Any) -> str | None:
    number = int(path[0]) if len(path) == 1 and path[0].isdigit() else len(calls)
    if number >= len(calls) or not isinstance(strict, str) or not isinstance(real, str | None):
        return None
    return LAYER_EXCLUSIONS.get((calls[number][0], strict, real))


# ---------------------------------------------------------------------------- drawing


def drawn(strategy: Any, number: int, seed_: int) -> list[Any]:
    """As many different values of a strategy; the same ones for the same seed; fewer where there are no more."""
    found: dict[str, Any] = {}

    @seed(seed_)
    @_quietly(max_examples=_examples(number), phases=[Phase.generate], report_multiple_bugs=False)
    @given(strategy)
    def collect(value: Any) -> None:
        if len(found) < number:
            found.setdefault(_key(value), value)
        if len(found) == number:
            raise _Enough

    with _no_constants(), contextlib.suppress(_Enough):
        collect()
    return list(found.values())


def _examples(number: int) -> int:
    return 3 * number + 10  # Hypothesis repeats itself


def _key(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _quietly(**options: Any) -> settings:
    return settings(database=None, deadline=None, suppress_health_check=list(HealthCheck), **options)


class _Enough(Exception):
    pass


class _Same(Exception):
    pass


# --- private API: hypothesis.internal.conjecture.providers, seen on hypothesis 6.170: it also draws constants that
# --- stand in the modules which happen to be imported, so that a seed would draw something else in each process.


@contextlib.contextmanager
def _no_constants() -> Generator[None]:
    from hypothesis.internal.conjecture import providers

    before = providers._get_local_constants
    providers._get_local_constants = type(before())
    providers.CONSTANTS_CACHE.cache.clear()
    try:
        yield
    finally:
        providers._get_local_constants = before
        providers.CONSTANTS_CACHE.cache.clear()


# --- end of private API


def shrunk(
    strategy: Any,
    number: int,
    seed_: int,
    known: dict[str, Played],
    target: Played,
    play: Callable[[dict[str, Any]], Played],
    budget: float,
) -> Played:
    """The smallest scenario that differs in the same way as one that was drawn.

    Hypothesis draws the same values again, and is told of those that are known; from the target on it shrinks, and each
    smaller one is played.

    Args:
        strategy: as for :func:`drawn`, with ``number`` and ``seed_``.
        known: what was played, by the scenario's JSON.
        target: the one to shrink.
        play: plays one more.
        budget: how long that may take, in seconds.
    """
    smallest = target
    wanted = target.signature
    until = time.monotonic() + budget
    goal = _key(target.scenario)

    @seed(seed_)
    @_quietly(max_examples=_examples(number), phases=[Phase.generate, Phase.shrink], report_multiple_bugs=False)
    @given(strategy)
    def differs(value: Any) -> None:
        nonlocal smallest
        key = _key(value)
        started = goal in seen
        seen.add(key)
        if key not in known:
            if not started or time.monotonic() > until:
                return
            known[key] = play(value)
        if (started or key == goal) and known[key].signature & wanted:
            if len(key) <= len(_key(smallest.scenario)):
                smallest = known[key]
            raise _Same

    seen: set[str] = set()
    with _no_constants(), contextlib.suppress(_Same, HypothesisException):
        differs()
    return smallest


# ---------------------------------------------------------------------------- playing

_player: Any = None
_profile = ""


def _begin(addresses: Any, profile: str) -> None:
    global _player, _profile
    from .real import Player

    broker, results, folder = addresses.get()
    _profile = profile
    _player = Player(broker, results, Path(folder))


def _play(scenario: dict[str, Any]) -> Played:
    from . import stepped

    began = time.monotonic()
    try:
        on_double = stepped.play(scenario, _profile)
        played = compare(scenario, _profile, on_double, _player.play(scenario))
    except Exception:
        # A fault of this suite, or of what it stands on: to be seen, and not the end of all.
        return Played(scenario, None, None, [(("harness",), traceback.format_exc(), None)])
    played.seconds = time.monotonic() - began
    return played


class Pool:
    """Processes that play scenarios, each on a part of the broker of its own.

    Args:
        profile: ``redis`` or ``rabbitmq``.
        addresses: the address of a broker and of a result database for each process.
    """

    def __init__(self, profile: str, addresses: list[tuple[str, str]]) -> None:
        context = get_context("spawn")
        queue = context.Queue()
        self._folder = tempfile.TemporaryDirectory(prefix="fuzz-")
        for number, pair in enumerate(addresses):
            folder = Path(self._folder.name) / str(number)
            folder.mkdir()
            queue.put((*pair, str(folder)))
        self.profile = profile
        self.ignore = ""
        self._jobs = len(addresses)
        self._pool = ProcessPoolExecutor(len(addresses), context, _begin, (queue, profile))

    def play(self, scenario: dict[str, Any]) -> Played:
        """Play one."""
        return self._without_ignored(self._pool.submit(_play, scenario).result())

    def play_all(self, scenarios: list[dict[str, Any]]) -> Iterator[Played]:
        """Play all of them, several at once, and give each when it is done."""
        futures: list[Future[Played]] = [self._pool.submit(_play, scenario) for scenario in scenarios]
        for future in futures:
            yield self._without_ignored(future.result())

    def _without_ignored(self, played: Played) -> Played:
        if self.ignore:
            played.different = [
                (path, left, right)
                for path, left, right in played.different
                if not re.search(self.ignore, f"{'/'.join(path)}: {json.dumps(left)} / {json.dumps(right)}")
            ]
        return played

    def close(self) -> None:
        """End the processes, their templates and workers."""
        from concurrent.futures import wait

        wait([self._pool.submit(_end) for _ in range(self._jobs * 4)])
        self._pool.shutdown(cancel_futures=True)
        self._folder.cleanup()


def _end() -> None:
    from pytest_backchannel.servers.workers.template import close_templates

    close_templates()
    time.sleep(0.2)  # so that each process gets one of these


# -------------------------------------------------------------------------- the whole


@dataclass
class Result:
    """What a run of the suite has found.

    Attributes:
        played: all scenarios.
        unstable: those that differed once, and not when they were played again.
        found: the shrunk ones that differ, one for each kind of difference.
    """

    played: list[Played] = field(default_factory=list)
    unstable: list[Played] = field(default_factory=list)
    different: list[Played] = field(default_factory=list)
    found: list[Played] = field(default_factory=list)

    @property
    def in_full(self) -> float:
        """The share of the scenarios that were compared in full, from 0 to 1."""
        return sum(not played.excluded for played in self.played) / max(1, len(self.played))


def run(
    pool: Pool,
    shares: list[tuple[Any, int]],
    seed_: int,
    *,
    say: Callable[[str], object] = print,
    shrink_for: float = 60.0,
    most: int = 20,
    ignore: str = "",
) -> Result:
    """Play as many scenarios, play once more what differs, and shrink one of each kind.

    Args:
        pool: plays them.
        shares: the strategies that they are drawn from, and how many of each.
        seed_: of the drawing.
        say: told of the progress, and of what differs.
        shrink_for: how long to shrink each kind of difference, in seconds.
        most: of how many kinds.
        ignore: a regular expression: differences whose path and values it finds are left out, to look past known ones.
    """
    result = Result()
    pool.ignore = ignore
    origin: dict[str, tuple[Any, int]] = {}
    scenarios = []
    for strategy, number in shares:
        for value in drawn(strategy, number, seed_):
            if origin.setdefault(_key(value), (strategy, number)) == (strategy, number):
                scenarios.append(value)
    began = time.monotonic()
    for played in pool.play_all(scenarios):
        result.played.append(played)
        if len(result.played) % 25 == 0:
            rate = (time.monotonic() - began) / len(result.played)
            different = sum(bool(played.different) for played in result.played)
            say(f"{len(result.played)} of {len(scenarios)}, {different} differ, {rate:.2f} s each")
    # What differs is played once more: a difference that does not come again was a race.
    once = [played for played in result.played if played.different]
    for first, again in zip(once, pool.play_all([played.scenario for played in once]), strict=True):
        (result.different if again.signature & first.signature else result.unstable).append(first)
    known = {_key(played.scenario): played for played in result.played}
    seen: set[str] = set()
    for played in sorted(result.different, key=lambda p: len(json.dumps(p.scenario))):
        if played.signature <= seen or len(result.found) >= most:
            continue
        strategy, number = origin[_key(played.scenario)]
        small = shrunk(strategy, number, seed_, known, played, pool.play, shrink_for) if shrink_for else played
        seen |= small.signature | played.signature
        result.found.append(small)
        say(described(small))
    return result


def described(played: Played) -> str:
    """A scenario that differs, as text: what replays it, and where the two differ."""
    lines = ["", "differs: " + json.dumps(played.scenario), ""]
    for path, left, right in played.different:
        lines += [f"  {' / '.join(path)}", *_both(left, right)]
    return "\n".join(lines)


def _both(left: Any, right: Any) -> list[str]:
    if _are_events(left or []) and _are_events(right or []) and (left or right):
        left, right = left or [], right or []
        return [f"    stepped: {_names(left)}", f"    real:    {_names(right)}"]
    return [f"    stepped: {_clipped(left)}", f"    real:    {_clipped(right)}"]


def _clipped(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) < 3000 else text[:3000] + " …"
