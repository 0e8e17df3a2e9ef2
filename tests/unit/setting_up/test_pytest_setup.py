"""Adding keys to pytest's configuration leaves everything else as it stands."""

from __future__ import annotations

import tomllib
from textwrap import dedent

import iniconfig
import pytest

from pytest_backchannel.errors import BackchannelError
from pytest_backchannel.setting_up.pytest_setup import configured_pytest

WANTED = {"DJANGO_SETTINGS_MODULE": "config.settings_test", "asyncio_mode": "auto"}


def added(tmp_path, name, text, wanted=WANTED):
    (tmp_path / name).write_bytes(dedent(text).encode())
    setup = configured_pytest(tmp_path)
    assert setup.file == tmp_path / name
    return setup.with_added(wanted)


def lines_without(text, *parts):
    return [line for line in text.splitlines() if line.strip() and not line.startswith(parts)]


PYPROJECT = """\
    # The shop.
    [project]
    name = "shop"   # its name
    dependencies = [
        "django",  # 5.2
    ]

    [tool.pytest.ini_options]  # how tests run
    addopts = [
        "--tb=short",  # [not a header]
    ]
    markers = '''
    [slow]: a header that is none
    '''

    # How it is formatted.
    [tool.ruff]
    line-length = 100
    """


def test_pyproject_with_the_section(tmp_path):
    text = added(tmp_path, "pyproject.toml", PYPROJECT)
    before = tomllib.loads(dedent(PYPROJECT))
    before["tool"]["pytest"]["ini_options"] |= WANTED
    assert tomllib.loads(text) == before
    assert lines_without(text, *WANTED) == lines_without(dedent(PYPROJECT))
    assert text.index("asyncio_mode") < text.index("# How it is formatted.")


def test_pyproject_without_the_section_gets_one_at_its_end(tmp_path):
    text = added(tmp_path, "pyproject.toml", '[project]\nname = "shop"')
    assert text.startswith('[project]\nname = "shop"\n\n[tool.pytest.ini_options]\n')
    assert tomllib.loads(text)["tool"]["pytest"] == {"ini_options": WANTED}


def test_the_section_of_pytest_9_has_lists(tmp_path):
    text = added(tmp_path, "pyproject.toml", '[tool.pytest]\nminversion = "9.0"\n', {"addopts": "--a --b"})
    assert tomllib.loads(text)["tool"]["pytest"] == {"minversion": "9.0", "addopts": ["--a", "--b"]}


@pytest.mark.parametrize(
    ("name", "section"),
    [("pytest.ini", "pytest"), ("tox.ini", "pytest"), ("setup.cfg", "tool:pytest"), (".pytest.ini", "pytest")],
)
def test_ini_files(tmp_path, name, section):
    before = (
        f"; of the shop\n[{section}]\n# short\naddopts =\n    --tb=short\n    --strict-markers\n\n[flake8]\nmax = 1\n"
    )
    text = added(tmp_path, name, before)
    parsed = iniconfig.IniConfig(name, data=text)
    assert dict(parsed[section].items()) == {"addopts": "--tb=short\n--strict-markers", **WANTED}
    assert dict(parsed["flake8"].items()) == {"max": "1"}
    assert lines_without(text, *WANTED) == lines_without(before)


def test_a_key_that_is_there_keeps_its_value(tmp_path):
    before = "[pytest]\nasyncio_mode = strict\nDJANGO_SETTINGS_MODULE = config.mine\n"
    assert added(tmp_path, "pytest.ini", before) == before


def test_ends_of_lines_and_a_missing_last_one_stay(tmp_path):
    assert added(tmp_path, "pytest.ini", "[pytest]\r\naddopts = -q\r\n", {"a": "1"}) == (
        "[pytest]\r\naddopts = -q\r\na = 1\r\n"
    )
    assert added(tmp_path, "pytest.ini", "[pytest]\naddopts = -q", {"a": "1"}) == "[pytest]\naddopts = -q\na = 1"


def test_nothing_there_gives_a_pytest_ini(tmp_path):
    setup = configured_pytest(tmp_path)
    assert (setup.file.name, setup.is_there) == ("pytest.ini", False)
    assert setup.with_added({"a": "1"}) == "[pytest]\na = 1\n"


def test_the_first_file_with_the_section_counts_as_pytest_has_it(tmp_path):
    (tmp_path / "setup.cfg").write_text("[tool:pytest]\na = 1\n")
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\n')
    assert configured_pytest(tmp_path).file.name == "setup.cfg"
    (tmp_path / "pytest.ini").write_text("")
    assert configured_pytest(tmp_path).file.name == "pytest.ini"


def test_a_folder_above_may_configure_it(tmp_path):
    (tmp_path / "pytest.ini").write_text("[pytest]\na = 1\n")
    (tmp_path / "backend").mkdir()
    assert configured_pytest(tmp_path / "backend").file == tmp_path / "pytest.ini"


def test_what_can_not_be_added_is_told_with_the_lines(tmp_path):
    (tmp_path / "pyproject.toml").write_text('tool.pytest.ini_options = {addopts = "-q"}\n')
    setup = configured_pytest(tmp_path)
    with pytest.raises(BackchannelError, match=r"add to \[tool.pytest.ini_options\] by hand:\nasyncio_mode"):
        setup.with_added({"asyncio_mode": "auto"})


def test_a_broken_file_is_told(tmp_path):
    (tmp_path / "pyproject.toml").write_text("[tool")
    with pytest.raises(BackchannelError, match=r"pyproject.toml can't be read: "):
        configured_pytest(tmp_path)
