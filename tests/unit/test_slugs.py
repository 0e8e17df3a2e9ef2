"""The reference lists each slug as the code declares it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_backchannel.errors import SLUGS, declare_slug
from pytest_backchannel.events import EventLog

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "slugs.md"


def rows():
    """Of each slug what the reference says: the four verdicts, and when it is given."""
    lines = (line.split("|") for line in PAGE.read_text(encoding="utf-8").splitlines() if line[:3] == "| `")
    return {cells[1].strip().strip("`"): [cell.strip() for cell in cells[2:7]] for cells in lines}


def test_the_reference_lists_every_slug_and_no_other():
    assert {name: cells[-1] for name, cells in rows().items()} == {
        name: slug.summary for name, slug in SLUGS.items() if not name.startswith("tst_")
    }


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("double", [True, False])
@pytest.mark.parametrize("name", [name for name in SLUGS if not name.startswith("tst_")])
def test_a_problem_does_what_the_table_says(name, double, strict):
    said = rows()[name][2 * (not double) + strict]
    if name == "blocked_loop":
        assert said == "as the option says"
    elif name == "odd_value":
        assert said == "where asked for"
    elif SLUGS[name].doubles_only and not double:
        assert said == "–"
    else:
        log = EventLog(enforced=double or strict, strict=strict)
        problem = log.problem(name, "text")
        held = log.enforced or problem.decided is not None
        assert said == (("fails" if problem.fatal else "warns") if held else "summed up")


def test_a_slug_cannot_be_declared_twice():
    declare_slug("tst_twice", "For this test.")
    try:
        with pytest.raises(ValueError, match="'tst_twice' is declared twice"):
            declare_slug("tst_twice", "For this test.")
    finally:
        del SLUGS["tst_twice"]
