"""How the project configures pytest, read without pytest: the options of ``backchannel check`` stand there, too."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import iniconfig

from ..errors import BackchannelError

# In pytest's own order (pytest 8–9, _pytest/config/findpaths.py): the first file that has the section counts.
_FILES = ("pytest.toml", ".pytest.toml", "pytest.ini", ".pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg")


@dataclass(frozen=True, kw_only=True)
class PytestFile:
    """The file that configures pytest.

    Attributes:
        file: which one.
        text: all that stands there, with the ends of lines that it has.
        section: the section, such as ``tool.pytest.ini_options``.
        options: what that says; lists are joined by newlines.
    """

    file: Path
    text: str
    section: str
    options: Mapping[str, str]


def configured_by(folder: Path) -> PytestFile | None:
    """Find it as pytest does, in a folder and in those above; None where there is none.

    Args:
        folder: where to begin.

    Raises:
        BackchannelError: a file that would configure pytest can't be read, is no TOML, or no ini file.
    """
    for one in (folder, *folder.parents):
        for name in _FILES:
            file = one / name
            text = text_of(file) if file.is_file() else None
            for section in _sections(name) if text is not None else ():
                options = options_in(file, section, text or "")
                if options is not None:
                    return PytestFile(file=file, text=text or "", section=section, options=options)
    return None


def configuration_of(start: Path) -> tuple[Path | None, Mapping[str, str]]:
    """The file that configures pytest for a folder, and what it says; lists are joined by newlines.

    Args:
        start: the folder, or a file in it; the folders above are looked at, too.

    Raises:
        BackchannelError: the file is no TOML, or no ini file.
    """
    found = configured_by(start.resolve())
    return (found.file, found.options) if found is not None else (None, {})


def text_of(file: Path) -> str:
    """The text of a file, with the ends of lines that it has.

    Raises:
        BackchannelError: it can't be read.
    """
    try:
        # Not by read_text(): that would change the ends of lines.
        return file.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BackchannelError(f"{file} can't be read: {error}") from error


def options_in(file: Path, section: str, text: str) -> dict[str, str] | None:
    """What a section says; None where there is none, or it configures nothing.

    Args:
        file: the file, by whose name the text is TOML or as ini files are.
        section: its name.
        text: what stands there.

    Raises:
        BackchannelError: it is neither.
    """
    try:
        if file.suffix != ".toml":
            parsed = iniconfig.IniConfig(str(file), data=text)  # as pytest reads it: with the names as they are
            if section in parsed:
                return dict(parsed[section].items())
            # pytest.ini configures pytest also where it is empty.
            return {} if file.name in ("pytest.ini", ".pytest.ini") else None
        table: Any = tomllib.loads(text)
    except (iniconfig.ParseError, tomllib.TOMLDecodeError) as error:
        raise BackchannelError(f"{file} can't be read: {' '.join(str(error).split())}") from error
    for part in section.split("."):
        table = table.get(part) if isinstance(table, dict) else None
    if not isinstance(table, dict):
        return {} if file.name in ("pytest.toml", ".pytest.toml") else None
    return {
        key: "\n".join(map(str, value)) if isinstance(value, list) else str(value)
        for key, value in table.items()
        if not isinstance(value, dict)
    }


def _sections(name: str) -> tuple[str, ...]:
    if name == "pyproject.toml":
        return ("tool.pytest.ini_options", "tool.pytest")
    return ("tool:pytest",) if name == "setup.cfg" else ("pytest",)


def words_of(configuration: Mapping[str, str], name: str) -> tuple[str, ...]:
    """The codes that an option lists, with commas, spaces or newlines between them."""
    return tuple(configuration.get(name, "").replace(",", " ").split())


def names_of(configuration: Mapping[str, str], name: str) -> tuple[str, ...]:
    """The names that an option has a line each, with a reason after a colon."""
    lines = configuration.get(name, "").splitlines()
    return tuple(line.partition(":")[0].strip() for line in lines if line.strip())
