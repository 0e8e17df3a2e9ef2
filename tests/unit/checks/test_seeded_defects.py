"""In a copy of the example with one defect, exactly the right rule speaks."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from seeded_edits import EVERY_FILE, INVENTORY_SEEDS, SEEDS

from pytest_backchannel.checks.check_tree import check_tree
from pytest_backchannel.checks.of_production import check_production
from pytest_backchannel.checks.pytest_configuration import configuration_of
from pytest_backchannel.checks.rule_table import RULES

EXAMPLE = Path(__file__).parents[3] / "example"


@pytest.fixture
def seeded(tmp_path):
    """A copy of the example with these edits."""

    def seeded(edits):
        copy = tmp_path / "example"
        shutil.copytree(EXAMPLE, copy, ignore=shutil.ignore_patterns("__pycache__", ".site", ".*_cache"))
        for name, old, new in edits:
            if name.endswith("/*"):
                shutil.rmtree(copy / name[:-2])
                continue
            files = sorted(copy.rglob("*.py")) if name == EVERY_FILE else [copy / name]
            made = 0
            for file in files:
                file.parent.mkdir(parents=True, exist_ok=True)
                text = file.read_text() if file.exists() else ""
                made += old is None or old in text
                file.write_text(text + new if old is None else text.replace(old, new))
            assert made, f"there is no {old!r} in {name}"
        return copy

    return seeded


def test_each_rule_has_a_defect():
    assert {*SEEDS, *INVENTORY_SEEDS} == {rule.code for rule in RULES}


@pytest.mark.parametrize("code", SEEDS)
def test_exactly_the_right_rule_speaks(seeded, code):
    copy = seeded(SEEDS[code])
    result = check_tree(copy, configuration=configuration_of(copy)[1])
    assert {one.code for one in result.diagnostics} == {code}, result.diagnostics


@pytest.mark.parametrize("code", INVENTORY_SEEDS)
def test_exactly_the_right_rule_speaks_of_production(seeded, code):
    copy = seeded(INVENTORY_SEEDS[code])
    configuration = configuration_of(copy)[1]
    known = check_tree(copy, configuration=configuration).diagnostics
    result = check_production(copy, configuration, known=known)
    found = {one.code for one in (*known, *result.diagnostics)}
    assert found == {code}, (known, result)


def test_what_the_code_shows_is_not_said_again(seeded):
    copy = seeded(SEEDS["BC601"])
    configuration = configuration_of(copy)[1]
    known = check_tree(copy, configuration=configuration).diagnostics
    assert [one.code for one in known] == ["BC601"]
    assert check_production(copy, configuration, known=known).diagnostics == ()
