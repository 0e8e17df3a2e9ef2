"""The page about other libraries names the versions that its tests are run with."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/how-to/other-libraries.md").read_text()
LOCKED = dict(
    re.findall(r"^([a-z][\w-]*)==(\S+)", "".join(p.read_text() for p in ROOT.glob("requirements/ecosystem*.txt")), re.M)
)
SEEN = [
    pair
    for row in re.findall(r"^\| [^|]+ \| ([^|]*\d[^|]*) \|", PAGE, re.M)
    for pair in re.findall(r"(?<![\w-])([a-z][\w-]+) (\d\S*?)(?=,| |$)", row)
]


@pytest.mark.parametrize(("name", "version"), SEEN)
def test_the_version_is_the_locked_one(name, version):
    assert LOCKED[name] == version, "make lock has changed it: run make ecosystem, and say so on the page"


def test_every_library_that_is_installed_for_them_is_there():
    wanted = {
        re.split(r"[\[<>=; ]", line)[0]
        for name in ("ecosystem", "ecosystem-celery-5.6")
        for line in (ROOT / f"requirements/{name}.in").read_text().splitlines()
        if line and not line.startswith("#")
    }
    # What the suites run with, and what the others stand on.
    wanted -= {"celery", "channels-redis", "pytest-asyncio", "pytest-xdist", "opentelemetry-sdk"}
    assert wanted == {name for name, _ in SEEN}
