"""A folder in, what the rules say of it out."""

from __future__ import annotations

import ast
import gc
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from ..errors import BackchannelError
from ..restoring import no_collection
from ..source import Place
from ..source.files import PythonFile, python_files
from ..source.reading.file_facts import FileFacts
from ..source.reading.read_file import facts_of, is_worth_parsing, read_file, scopes_of
from ..source.reading.scopes import Scopes
from ..source.reading.source_file import FUNCTIONS
from ..source.whole_tree import link, with_callers
from .checked_file import CheckedFile
from .checked_tree import CheckedTree
from .diagnostic import Diagnostic
from .project_files import project_files
from .remembered import Remembered, digest_of
from .rule import FileRule, TreeRule
from .rule_table import RULES, UNREADABLE
from .saying.noqa_comments import without_allowed

Progress = Callable[[int, int], None]
"""Is called with how many files were looked at, and of how many."""

WORTH_PROCESSES = 400
"""Files; fewer are checked sooner than a second process is started."""
_CHUNK = 32
_TREE = "/"
"""The key of what the rules for the whole tree have found; no file has it."""
LARGEST = 2_000_000
"""Bytes; a larger file is generated, and is not looked at."""


@dataclass(frozen=True, kw_only=True)
class CheckedResult:
    """What was found.

    Attributes:
        diagnostics: sorted by file and line, without what comments allow.
        files: how many Python files there are.
    """

    diagnostics: tuple[Diagnostic, ...]
    files: int


def check_tree(
    root: Path,
    *,
    cache: Path | None = None,
    processes: int = 1,
    progress: Progress = lambda done, of: None,
    configuration: Mapping[str, str] | None = None,
) -> CheckedResult:
    """Let every rule look at a tree.

    Args:
        root: the project's folder, or one file.
        cache: the folder in which to remember what was found; None remembers nothing.
        processes: in how many processes to look, where there are many files.
        progress: is told how far it is.
        configuration: what pytest is configured with, by the names of its options.

    Raises:
        BackchannelError: there is no such folder.
    """
    if not root.exists():
        raise BackchannelError(f"there is no file or folder {str(root)!r} to check")
    files = python_files(root, tests=True)
    texts = {file.relative: _text(file.path) for file in files}
    memory = Remembered(cache, root)
    project = project_files(root)
    said = repr(sorted((configuration or {}).items()))
    digests = {path: hashlib.sha256(text).hexdigest() for path, text in texts.items()}
    whole = digest_of({**digests, "": project.content() + said})
    of_tree = memory.get(_TREE, whole)
    looked = _Looked(memory, digests, reads=of_tree is None)
    with no_collection():
        looked.at(files, texts, processes, progress)
        if of_tree is None:
            facts = with_callers(files, looked.facts, processes)
            tree = CheckedTree(
                link(str(root), files, facts), files, texts, project=project, configuration=configuration
            )
            of_tree = list(_of_tree_rules(tree))
    memory.put(_TREE, whole, of_tree)
    memory.save()
    found = [*looked.found, *of_tree]
    return CheckedResult(diagnostics=tuple(sorted(set(without_allowed(found, texts)))), files=len(files))


def _text(path: Path) -> bytes:
    try:
        text = path.read_bytes()
    except OSError:
        return b""
    return text if len(text) <= LARGEST else b""


@dataclass(frozen=True)
class _ToLook:
    """A file for another process: whether its rules are to look at it, and whether its facts are wanted."""

    path: Path
    relative: str
    module: str
    text: bytes
    checks: bool
    reads: bool


class _Looked:
    """What is found file by file, each parsed once: what the rules say, and the facts for the static index."""

    def __init__(self, memory: Remembered, digests: Mapping[str, str], *, reads: bool) -> None:
        self._memory = memory
        self._digests = digests
        self._reads = reads
        self.found: list[Diagnostic] = []
        self.facts: list[FileFacts] = []

    def at(self, files: list[PythonFile], texts: Mapping[str, bytes], processes: int, progress: Progress) -> None:
        """Look at each file that is not known, or whose facts are wanted."""
        new: list[_ToLook] = []
        for file in files:
            path = file.relative
            known = self._memory.get(path, self._digests[path])
            if known is not None:
                self._keep(path, known)
            if known is None or self._reads:
                new.append(_ToLook(file.path, path, file.module, texts[path], known is None, self._reads))
        for done, (one, (found, facts)) in enumerate(zip(new, _results(new, processes), strict=True), 1):
            progress(done, len(new))
            if one.checks:
                self._keep(one.relative, found)
            if facts is not None:
                self.facts.append(facts)

    def _keep(self, path: str, found: list[Diagnostic]) -> None:
        self._memory.put(path, self._digests[path], found)
        self.found.extend(found)


def _results(new: list[_ToLook], processes: int) -> Iterator[tuple[list[Diagnostic], FileFacts | None]]:
    if processes > 1 and len(new) >= WORTH_PROCESSES:
        # Not by fork: whoever calls this may have threads.
        context = get_context("spawn")
        with ProcessPoolExecutor(max_workers=processes, mp_context=context, initializer=gc.disable) as pool:
            yield from pool.map(look_at, new, chunksize=_CHUNK)
    else:
        yield from map(look_at, new)


_FILE_RULES = [rule for rule in RULES if isinstance(rule, FileRule)]


def look_at(one: _ToLook) -> tuple[list[Diagnostic], FileFacts | None]:
    """What the rules for one file say, and its facts."""
    rules = [rule for rule in _FILE_RULES if rule.may_speak_of(one.text)] if one.checks else []
    worth = one.reads and is_worth_parsing(one.text)
    if one.reads and not one.text:
        return [], read_file(one.path, relative=one.relative, module=one.module)  # empty, too large, or unreadable
    if not rules and not worth:
        return [], None
    scopes = scopes_of(one.text, relative=one.relative, module=one.module)
    if not isinstance(scopes, Scopes):
        return [], scopes if worth else None
    file = CheckedFile(scopes, one.text)
    found = [
        _diagnostic(file, rule, node, message)
        for rule in rules
        if rule.concerns(file)
        for node, message in rule.check(file)
    ]
    return found, facts_of(scopes) if worth else None


def _diagnostic(file: CheckedFile, rule: FileRule, node: ast.expr | ast.stmt, message: str) -> Diagnostic:
    # A function or a class is spoken of at its first line, not in all of its body.
    is_block = isinstance(node, (*FUNCTIONS, ast.ClassDef))
    return Diagnostic(
        path=file.path,
        line=node.lineno,
        column=node.col_offset + 1,
        end_line=node.lineno if is_block else node.end_lineno or node.lineno,
        code=rule.code,
        message=message,
    )


def _of_tree_rules(tree: CheckedTree) -> Iterator[Diagnostic]:
    for unread in tree.index.unread:
        yield _at(UNREADABLE.code, unread.path, unread.line or 1, unread.line or 1, unread.reason)
    for rule in RULES:
        if isinstance(rule, TreeRule):
            for place, message in rule.check(tree):
                yield _at_place(tree, rule, place, message)


def _at_place(tree: CheckedTree, rule: TreeRule, place: Place, message: str) -> Diagnostic:
    line = tree.texts.get(place.path, b"").decode(errors="replace").splitlines()[place.line - 1 : place.line]
    is_block = bool(line) and re.match(r"\s*(async def|def|class)\b", line[0]) is not None
    return _at(rule.code, place.path, place.line, place.line if is_block else place.end_line, message)


def _at(code: str, path: str, line: int, end_line: int, message: str) -> Diagnostic:
    return Diagnostic(path=path, line=line, column=1, end_line=end_line, code=code, message=message)
