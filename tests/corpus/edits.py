"""The edits of the example that are measured, as data, and a copy of the example with one of them.

Each file below ``edits/`` holds changes by name: ``why``, and edits of files below ``example/``, each with its old
text, which occurs once, and the new one. ``bugs/`` has a file for each kind; ``later.toml`` has those that were written
after the tests, which are not changed for them, each with its ``kind``; ``refactorings.toml`` has what must stay green.
"""

from __future__ import annotations

import ast
import shutil
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path

HERE = Path(__file__).parent
EXAMPLE = HERE.parents[1] / "example"
EDITS = HERE / "edits"
SUITES = HERE / "suites"
REFACTORING = "refactoring"
LATER = "later"
# A local site of `make site`, and byte code.
NOT_COPIED = shutil.ignore_patterns("__pycache__", ".site", "*.pyc")


class EditFailed(ValueError):
    """An edit does not fit the example as it is now."""


@dataclass(frozen=True, kw_only=True)
class Edit:
    """One place: in ``file``, ``old`` becomes ``new``."""

    file: str
    old: str
    new: str

    def applied(self, text: str, where: str) -> str:
        """The text with the edit; ``where`` names it in an error."""
        count = text.count(self.old)
        if count != 1:
            raise EditFailed(
                f"{where}: the old text occurs {count} times in {self.file}, and must occur once:\n{self.old}\n"
                "Move the edit to where the example has that code now."
            )
        return text.replace(self.old, self.new)


@dataclass(frozen=True, kw_only=True)
class Change:
    """What is done to the example: a bug or a refactoring."""

    name: str
    kind: str
    why: str
    edits: tuple[Edit, ...]
    later: bool = False

    @property
    def is_bug(self) -> bool:
        """Whether a suite should notice it."""
        return self.kind != REFACTORING

    def sources(self, folder: Path = EXAMPLE) -> dict[str, tuple[str, str]]:
        """The text of each file that is changed, before and after."""
        found: dict[str, tuple[str, str]] = {}
        for edit in self.edits:
            before, after = found.get(edit.file) or (text := (folder / edit.file).read_text(), text)
            found[edit.file] = before, edit.applied(after, self.name)
        return found

    def causes(self) -> dict[str, set[str]]:
        """The functions, classes and settings that are changed, by file: what a good message names."""
        found: dict[str, set[str]] = {}
        for file, (before, after) in self.sources().items():
            names = found.setdefault(file, set())
            sides = [(ast.parse(before), _changed(before, after)), (ast.parse(after), _changed(after, before))]
            for tree, lines in sides:
                names.update(_names_at(tree.body, lines))
            for tree, lines in sides if not names else ():
                names.update(_imported_at(tree, lines))
        return found


def load() -> list[Change]:
    """All changes, in the order of the files."""
    return [*_read(*sorted((EDITS / "bugs").glob("*.toml"))), *_read(EDITS / "later.toml", EDITS / "refactorings.toml")]


def copied(change: Change | None, folder: Path) -> Path:
    """Copy the example and the two suites into a folder, and apply the change."""
    shutil.copytree(EXAMPLE, folder, ignore=NOT_COPIED)
    for suite in ("suite_u", "suite_a"):
        shutil.copytree(SUITES / suite, folder / suite, ignore=NOT_COPIED)
    for file, (_, after) in (change.sources() if change else {}).items():
        (folder / file).write_text(after)
    return folder


def _read(*files: Path) -> Iterator[Change]:
    for file in files:
        for name, entry in tomllib.loads(file.read_text()).items() if file.exists() else ():
            yield Change(
                name=name,
                kind=REFACTORING if file.stem == "refactorings" else entry.get("kind", file.stem),
                why=entry["why"],
                edits=tuple(Edit(**edit) for edit in entry["edits"]),
                later=file.stem == LATER,
            )


def _changed(text: str, other: str) -> set[int]:
    """The numbers of the lines that the other text does not have, at that place in the order."""
    lines = text.splitlines()
    matcher = SequenceMatcher(None, lines, other.splitlines(), autojunk=False)
    return {number + 1 for op, start, end, *_ in matcher.get_opcodes() if op != "equal" for number in range(start, end)}


def _names_at(nodes: Iterable[ast.stmt], lines: set[int]) -> Iterator[str]:
    for node in nodes:
        decorators = getattr(node, "decorator_list", [])
        first = min([node.lineno, *(decorator.lineno for decorator in decorators)])
        if not lines.intersection(range(first, (node.end_lineno or node.lineno) + 1)):
            continue
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
            case ast.ClassDef(name=name, body=body):
                yield name
                yield from _names_at(body, lines)
            case ast.Assign(targets=targets):
                names = [target.id for target in targets if isinstance(target, ast.Name)]
                yield from names
                # Celery's own messages have them in small letters.
                yield from (name.removeprefix("CELERY_").lower() for name in names if name.startswith("CELERY_"))
            case ast.Expr():
                yield from (
                    keyword.arg
                    for keyword in ast.walk(node)
                    if isinstance(keyword, ast.keyword) and keyword.arg and keyword.lineno in lines
                )


def _imported_at(tree: ast.Module, lines: set[int]) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom) and node.lineno in lines:
            yield from (alias.asname or alias.name for alias in node.names)
