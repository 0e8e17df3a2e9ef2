"""The Python snippets of the README and the documentation, and where each is executed.

A comment in front of a fence, which no reader sees, says what becomes of it:

- ``<!-- test: sample -->``: a test module of the sample project (tests/sample); ``<!-- test: example -->``: of the
  example project.
- ``<!-- settings: NAME -->``: lines for the sample's settings, where the tests of ``<!-- test: NAME -->`` run.

All other Python fences are parts of files: they have to compile, and to use only names that exist.
"""

from __future__ import annotations

import builtins
import re
import shutil
import symtable
import textwrap
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
# What a part of a settings module may use without saying where it comes from.
SETTINGS = frozenset({"BASE_DIR", "DATABASES"})

_COMMENT = re.compile(r"<!--\s*(test|settings):\s*([\w-]+)\s*-->\s*\Z")


@dataclass(frozen=True)
class Snippet:
    """A fence of one page.

    Attributes:
        name: its page and line.
        language: what the fence is marked with.
        text: what is in it.
        use: ``test`` or ``settings``; empty where it is only compiled.
        project: the project of that test or those settings.
    """

    name: str
    language: str
    text: str
    use: str
    project: str

    @property
    def file(self) -> str:
        return "test_docs_" + re.sub(r"\W", "_", self.name) + ".py"


def fences(page: Path) -> list[Snippet]:
    """The fences of a page, in order."""
    found = []
    comment = None
    for token in MarkdownIt().parse(page.read_text(encoding="utf-8")):
        if token.type == "fence" and token.map:
            name = f"{page.relative_to(ROOT).with_suffix('').as_posix()}:{token.map[0] + 1}"
            use, project = comment.groups() if comment else ("", "")
            language = token.info.partition(" ")[0]
            found.append(Snippet(name, language, textwrap.dedent(token.content), use, project))
        comment = _COMMENT.search(token.content) if token.type == "html_block" else None
    return found


SNIPPETS = tuple(fence for page in PAGES for fence in fences(page) if fence.language == "python")


def of(use: str, project: str) -> list[Snippet]:
    """The snippets that are executed there."""
    return [snippet for snippet in SNIPPETS if (snippet.use, snippet.project) == (use, project)]


def write_all(folder: Path, found: list[Snippet]) -> list[str]:
    """Write each snippet as a test module; returns their names."""
    for snippet in found:
        (folder / snippet.file).write_text(snippet.text, encoding="utf-8")
    return [snippet.file for snippet in found]


def copy_example(folder: Path) -> Path:
    """A copy of the example project."""
    target = folder / "example"
    shutil.copytree(ROOT / "example", target, ignore=shutil.ignore_patterns("__pycache__", "media"))
    return target


def undefined_names(text: str, name: str, known: frozenset[str] = frozenset()) -> set[str]:
    """The names that a piece of Python uses and neither makes, imports nor has as builtins."""
    top = symtable.symtable(text, name, "exec")
    made = {symbol.get_name() for symbol in top.get_symbols() if symbol.is_assigned() or symbol.is_imported()}
    made |= {table.get_name() for table in top.get_children()}
    used = {
        symbol.get_name()
        for table in _tables(top)
        for symbol in table.get_symbols()
        if symbol.is_referenced() and (symbol.is_global() or table is top)
    }
    return used - made - known - set(vars(builtins)) - {"__file__", "__name__"}


def _tables(table: symtable.SymbolTable) -> list[symtable.SymbolTable]:
    return [table, *(inner for child in table.get_children() for inner in _tables(child))]
