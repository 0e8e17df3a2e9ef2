"""The reference lists each slug as the code declares it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_backchannel.errors import SLUGS, declare_slug

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "slugs.md"


def test_the_reference_lists_every_slug_and_no_other():
    listed = {
        cells[1].strip().strip("`"): (cells[2].strip(), cells[3].strip())
        for cells in (line.split("|") for line in PAGE.read_text(encoding="utf-8").splitlines() if line[:3] == "| `")
    }
    assert listed == {
        name: ("fails" if slug.fatal else "warns", slug.summary)
        for name, slug in SLUGS.items()
        if not name.startswith("tst_")
    }


def test_a_slug_cannot_be_declared_twice():
    declare_slug("tst_twice", "For this test.")
    try:
        with pytest.raises(ValueError, match="'tst_twice' is declared twice"):
            declare_slug("tst_twice", "For this test.")
    finally:
        del SLUGS["tst_twice"]
