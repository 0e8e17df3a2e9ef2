"""How the project configures pytest, read without pytest: the options of ``backchannel check`` stand there, too."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from configparser import Error as ConfigError
from configparser import RawConfigParser
from pathlib import Path
from typing import Any

from ..errors import BackchannelError

# In pytest's own order (pytest 8–9, _pytest/config/findpaths.py): the first file that has the section counts.
_FILES = ("pytest.toml", ".pytest.toml", "pytest.ini", ".pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg")
_SECTIONS = {"setup.cfg": "tool:pytest"}


def configuration_of(start: Path) -> tuple[Path | None, Mapping[str, str]]:
    """The file that configures pytest for a folder, and what it says; lists are joined by newlines.

    Args:
        start: the folder, or a file in it; the folders above are looked at, too.

    Raises:
        BackchannelError: the file is no TOML, or no ini file.
    """
    folder = start.resolve()
    for one in (folder, *folder.parents):
        for name in _FILES:
            file = one / name
            said = _said(file) if file.is_file() else None
            if said is not None:
                return file, said
    return None, {}


def _said(file: Path) -> Mapping[str, str] | None:
    try:
        text = file.read_text(encoding="utf-8")
        if file.suffix == ".toml":
            return _of_toml(tomllib.loads(text), file.name)
        parser = RawConfigParser()
        parser.read_string(text)
    except (OSError, ValueError, ConfigError) as error:
        raise BackchannelError(f"{file} can't be read: {' '.join(str(error).split())}") from error
    section = _SECTIONS.get(file.name, "pytest")
    if parser.has_section(section):
        return dict(parser.items(section))
    return {} if file.name in ("pytest.ini", ".pytest.ini") else None


def _of_toml(known: dict[str, Any], name: str) -> Mapping[str, str] | None:
    if name.endswith("pytest.toml"):
        table: object = known.get("pytest", {})
    else:
        table = known.get("tool", {}).get("pytest")
        if isinstance(table, dict) and "ini_options" in table:
            table = table["ini_options"]
    if not isinstance(table, dict):
        return None
    return {key: "\n".join(map(str, value)) if isinstance(value, list) else str(value) for key, value in table.items()}


def words_of(configuration: Mapping[str, str], name: str) -> tuple[str, ...]:
    """The codes that an option lists, with commas, spaces or newlines between them."""
    return tuple(configuration.get(name, "").replace(",", " ").split())


def names_of(configuration: Mapping[str, str], name: str) -> tuple[str, ...]:
    """The names that an option has a line each, with a reason after a colon."""
    lines = configuration.get(name, "").splitlines()
    return tuple(line.partition(":")[0].strip() for line in lines if line.strip())
