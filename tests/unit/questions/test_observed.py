"""The summary of what went unseen: each cause once, whatever it says in particular."""

import pytest

from pytest_backchannel.questions.report.terminal import Observed


@pytest.mark.parametrize("slug", ["no_members", "sent_in_transaction"])
def test_a_line_that_sends_to_many_groups_is_told_once(slug):
    observed = Observed()
    for number in range(3):
        text = f"group_send('user-{number}', …) was called"
        observed.add(f"t.py::test_{number}", [{"slug": slug, "text": text, "where": "shop/ws.py:7"}])
    assert list(observed.lines())[:2] == [
        f"{slug}: group_send('user-0', …) was called [shop/ws.py:7]",
        "    3 times, in t.py::test_0 and 2 more",
    ]


def test_what_has_no_line_or_another_text_is_told_apart():
    observed = Observed()
    for slug, where in (("no_members", ""), ("failing_callback", "shop/ws.py:7")):
        for number in range(2):
            observed.add("t.py::test_a", [{"slug": slug, "text": f"text {number}", "where": where}])
    assert len(list(observed.lines())) == 4 * 2 + 1
