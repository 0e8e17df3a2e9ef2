"""How a project configures pytest: what pytest reads, by the names that stand there."""

from __future__ import annotations

import pytest

from pytest_backchannel.checks.pytest_configuration import configuration_of

SAID = {"DJANGO_SETTINGS_MODULE": "shop.settings_test", "addopts": "-q"}
LINES = "DJANGO_SETTINGS_MODULE = shop.settings_test\naddopts = -q\n"
TOML = 'DJANGO_SETTINGS_MODULE = "shop.settings_test"\naddopts = "-q"\n'


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pytest.ini", f"[pytest]\n{LINES}"),
        ("tox.ini", f"[tox]\nenvlist = py\n[pytest]\n{LINES}"),
        ("setup.cfg", f"[tool:pytest]\n{LINES}"),
        ("pyproject.toml", f"[tool.pytest.ini_options]\n{TOML}"),
        ("pytest.toml", f"[pytest]\n{TOML}"),
    ],
)
def test_the_names_are_as_they_stand_there(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    (tmp_path / "shop").mkdir()
    assert configuration_of(tmp_path / "shop") == (tmp_path / name, SAID)


def test_a_file_without_the_section_is_passed_over(tmp_path):
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "shop"\n')
    (tmp_path / "setup.cfg").write_text(f"[tool:pytest]\n{LINES}")
    assert configuration_of(tmp_path) == (tmp_path / "setup.cfg", SAID)
