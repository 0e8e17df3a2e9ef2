"""What each rule says of itself: its own two examples, its code, its page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pytest_backchannel.checks.rule_table import FAMILIES, RULES
from pytest_backchannel.checks.saying.reference_page import reference_page

DOCS = Path(__file__).parents[3] / "docs"
REQUIREMENTS = {
    "requirements.txt": "redis==8.0.1\nchannels-redis==4.3.0\n",
}
WORKFLOW = {".github/workflows/ci.yml": "jobs:\n  test:\n    steps:\n      - run: pytest -q\n"}
CONFIGURATION = {"testpaths": "tests", "addopts": "-n 4"}


OF_CODE = [rule for rule in RULES if rule.wrong]


@pytest.mark.parametrize("rule", OF_CODE, ids=lambda rule: rule.code)
def test_of_its_wrong_example_exactly_this_rule_speaks(codes, rule):
    # Nearly every rule on integration tests would be joined by the one on their job.
    files = REQUIREMENTS | (WORKFLOW if rule.code == "BC114" else {})
    assert codes({rule.path: rule.wrong, **files}, configuration=CONFIGURATION) == [rule.code]


@pytest.mark.parametrize("rule", OF_CODE, ids=lambda rule: rule.code)
def test_of_its_right_example_no_rule_speaks(codes, rule):
    assert codes({rule.path: rule.right, **REQUIREMENTS}, configuration=CONFIGURATION) == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_it_says_what_it_is(rule):
    assert re.fullmatch(r"BC\d{3}", rule.code)
    assert rule.code[:3] in FAMILIES
    assert rule.severity in ("error", "warning")
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", rule.name)
    assert all(text.endswith((".", "`", ")")) for text in (rule.summary, rule.why, rule.fix))
    assert rule.code in (type(rule).__doc__ or "")
    if rule.page:
        assert (DOCS / rule.page).is_file()


def test_codes_and_names_are_unique():
    assert len({rule.code for rule in RULES}) == len({rule.name for rule in RULES}) == len(RULES)


def test_the_reference_is_made_from_the_rules():
    page = (DOCS / "reference" / "checks.md").read_text(encoding="utf-8")
    made = "python -m pytest_backchannel.checks.saying.reference_page > docs/reference/checks.md"
    assert page == reference_page(), f"run: {made}"
