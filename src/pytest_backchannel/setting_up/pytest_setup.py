"""Where a project configures pytest, what it says there, and how keys are added to that without touching the rest."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..checks.pytest_configuration import configured_by, options_in, text_of
from ..errors import BackchannelError

_LISTS = frozenset({"addopts", "filterwarnings", "markers", "testpaths", "pythonpath", "python_files", "usefixtures"})
"""The options that pytest.toml and ``[tool.pytest]`` want as lists."""


@dataclass(frozen=True, kw_only=True)
class PytestSetup:
    """How pytest is configured.

    Attributes:
        file: the file that configures it, or in which that belongs.
        text: what stands there now; None where the file is to be made.
        section: the section, such as ``tool.pytest.ini_options``.
        is_there: whether the file has the section already.
        options: what it says; lists are joined by newlines.
    """

    file: Path
    text: str | None
    section: str
    is_there: bool
    options: Mapping[str, str]

    def with_added(self, wanted: Mapping[str, str]) -> str:
        """The text of the file with those keys that it lacks; all else is as it was, comments and order included.

        Args:
            wanted: the values, by key; those of keys that are there already are left out.

        Raises:
            BackchannelError: they can't be added so that the file says the same as before, and them.
        """
        new = {key: value for key, value in wanted.items() if key not in self.options}
        text = self.text or ""
        if not new:
            return text
        lines = [_line(self.file, self.section, key, value) for key, value in new.items()]
        for result in _inserted(text, self.section, lines):
            if _keeps(text, result) and self._says_all(result, {**self.options, **new}):
                return result
        raise BackchannelError(
            f"{self.file.name} is written in a way to which no line can be added without changing the rest: add to "
            f"[{self.section}] by hand:\n" + "\n".join(lines)
        )

    def _says_all(self, text: str, options: Mapping[str, str]) -> bool:
        try:
            said = options_in(self.file, self.section, text) or {}
        except BackchannelError:
            return False
        return {key: value.split() for key, value in said.items()} == {
            key: value.split() for key, value in options.items()
        }


def configured_pytest(root: Path) -> PytestSetup:
    """Find it, as pytest does: in this folder, and in those above.

    Args:
        root: the folder of ``manage.py``.

    Raises:
        BackchannelError: a file that would configure pytest is no TOML, or no ini file.
    """
    found = configured_by(root)
    if found is not None:
        return PytestSetup(
            file=found.file, text=found.text, section=found.section, is_there=True, options=found.options
        )
    project = root / "pyproject.toml"
    if project.is_file():
        return PytestSetup(
            file=project, text=text_of(project), section="tool.pytest.ini_options", is_there=False, options={}
        )
    return PytestSetup(file=root / "pytest.ini", text=None, section="pytest", is_there=False, options={})


def _keeps(before: str, after: str) -> bool:
    """Whether everything that a file said it still says, in the same words."""
    kept = [line.rstrip() for line in after.splitlines() if line.strip()]
    remaining = iter(kept)
    return all(line.rstrip() in remaining for line in before.splitlines() if line.strip())


def _line(file: Path, section: str, key: str, value: str) -> str:
    if file.suffix != ".toml":
        return f"{key} = {value}"
    is_native = section in ("pytest", "tool.pytest")
    return f"{key} = {json.dumps(value.split() if is_native and key in _LISTS else value)}"


def _inserted(text: str, section: str, lines: list[str]) -> Iterator[str]:
    """The text with the lines at the end of the section, then directly below its header, then with a new section."""
    newline = "\r\n" if "\r\n" in text else "\n"
    old = text.splitlines()
    header = re.compile(rf"\[\s*{re.escape(section)}\s*\]\s*(?:[#;].*)?")
    start = next((number for number, line in enumerate(old) if header.fullmatch(line.strip())), None)
    if start is None:
        above = [*old, ""] if old and old[-1].strip() else old
        yield newline.join([*above, f"[{section}]", *lines, ""])
        return
    end = next((number for number in range(start + 1, len(old)) if old[number].lstrip().startswith("[")), len(old))
    # What stands above the next header, a comment and empty lines, is that one's.
    while end > start + 1 and (not old[end - 1].strip() or old[end - 1].startswith(("#", ";"))):
        end -= 1
    for place in (end, start + 1):
        yield newline.join([*old[:place], *lines, *old[place:], *([""] if text.endswith("\n") or not old else [])])
