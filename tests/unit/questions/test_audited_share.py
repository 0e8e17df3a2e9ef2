"""The share of the tasks that ran that were audited without a BREAKS."""

from __future__ import annotations

import pytest

from pytest_backchannel.questions.audit.audited_share import share_of


@pytest.mark.parametrize(
    ("words", "percent"),
    [
        ([], 100),
        (["NO DIFFERENCE FOUND", "NO EFFECT SEEN", "LOOK", "KNOWN", "ALLOWED"], 100),
        (["BREAKS", "NOT FAITHFUL", "NOT AUDITED"], 0),
        (["LOOK"] * 2 + ["BREAKS"], 66.6),
        (["LOOK"] * 1999 + ["BREAKS"], 99.9),
    ],
)
def test_the_share(words, percent):
    assert share_of(words, len(words)).percent == percent
