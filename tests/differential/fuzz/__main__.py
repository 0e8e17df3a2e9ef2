"""``python -m fuzz``: what ``make fuzz`` runs."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .layers import KINDS, LayerPool, sequences
from .runner import Pool, described, run
from .strategies import THEMES, shares


def main() -> int:
    """Play scenarios; 1 where some differ."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--broker", choices=["redis", "rabbitmq", "layer"], default="redis")
    parser.add_argument("-n", type=int, default=500, help="how many scenarios")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=4, help="how many processes play at once")
    parser.add_argument("--themes", default="", help=f"some of {', '.join(THEMES)}")
    parser.add_argument("--replay", type=Path, help="a file with one scenario as JSON, or one a line")
    parser.add_argument("--shrink", type=float, default=60.0, help="seconds for each difference")
    parser.add_argument("--ignore", default="", help="a regular expression: look past differences that it finds")
    given = parser.parse_args()
    bad = False
    with servers(given.broker, given.jobs) as addresses:
        for profile in KINDS if given.broker == "layer" else [given.broker]:
            pool: Any = LayerPool(profile, addresses[0][1]) if given.broker == "layer" else Pool(profile, addresses)
            try:
                bad |= replay(pool, given.replay) if given.replay else fuzz(pool, profile, given)
            finally:
                pool.close()
    return int(bad)


def fuzz(pool: Any, profile: str, given: Any) -> bool:
    """Play what is drawn, and print what came of it; whether anything differs."""
    began = time.monotonic()
    themes = tuple(filter(None, given.themes.split(",")))
    drawn = [(sequences(profile), given.n)] if given.broker == "layer" else shares(profile, given.n, themes)
    result = run(pool, drawn, given.seed, say=say, shrink_for=given.shrink, ignore=given.ignore)
    count = len(result.played)
    excluded = Counter(name for played in result.played for name in set(played.excluded))
    say(
        f"\n{profile}, seed {given.seed}: {count} scenarios in {time.monotonic() - began:.0f} s, "
        f"{len(result.different)} differ ({len(result.found)} kinds), "
        f"{len(result.unstable)} differed once and not again; {result.in_full:.0%} compared in full"
    )
    for name, number in excluded.items():
        say(f"  not compared in {number / count:.0%}: {name}")
    for played in result.unstable:
        say("once: " + described(played))
    return bool(result.different)


def say(text: str) -> None:
    """Print, at once."""
    print(text, flush=True)


def replay(pool: Any, file: Path) -> bool:
    """Play the scenarios of a file, and print both logs."""
    text = file.read_text()
    try:
        given = [json.loads(text)]
    except ValueError:
        given = [json.loads(line) for line in text.splitlines() if line.strip()]
    bad = False
    for scenario in given:
        played = pool.play(scenario.get("scenario", scenario))
        bad |= bool(played.different)
        say(described(played) if played.different else "the same: " + json.dumps(played.scenario))
        if len(given) == 1:
            say("stepped: " + json.dumps(played.stepped, indent=1))
            say("real: " + json.dumps(played.real, indent=1))
    return bool(bad)


@contextlib.contextmanager
def servers(broker: str, jobs: int) -> Iterator[list[tuple[str, str]]]:
    """The servers, and an address of a broker and of a result database for each job."""
    from pytest_backchannel.servers.brokers.rabbitmq import start_rabbitmq
    from pytest_backchannel.servers.brokers.redis import start_redis

    redis = start_redis()
    try:
        if broker == "layer":
            yield [("", redis.database(0))]
            return
        if broker == "redis":
            yield [(redis.database(2 * job), redis.database(2 * job + 1)) for job in range(min(jobs, 8))]
            return
        rabbitmq = start_rabbitmq()
        try:
            yield [(virtual_host(rabbitmq, job), redis.database(job)) for job in range(min(jobs, 16))]
        finally:
            rabbitmq.close()
    finally:
        redis.close()


def virtual_host(rabbitmq: Any, job: int) -> str:
    """The address of a virtual host for one job."""
    if not job:
        return str(rabbitmq.url)
    name = f"fuzz{job}"
    rabbitmq.rabbitmqctl("add_vhost", name)
    rabbitmq.rabbitmqctl("set_permissions", "-p", name, "guest", ".*", ".*", ".*")
    return str(rabbitmq.url).removesuffix("//") + f"/{name}"


if __name__ == "__main__":
    sys.exit(main())
