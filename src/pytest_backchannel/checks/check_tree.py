"""A folder in, what the rules say of it out."""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from ..errors import BackchannelError
from ..source import Place, read_tree
from ..source.files import PythonFile, python_files
from ..source.reading.source_file import FUNCTIONS
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
    digests = {path: hashlib.sha256(text).hexdigest() for path, text in texts.items()}
    memory = Remembered(cache, root)
    found = list(_of_files(files, texts, digests, memory, processes, progress))
    found += _of_tree(root, files, texts, digests, memory, processes, configuration or {})
    memory.save()
    return CheckedResult(diagnostics=tuple(sorted(set(without_allowed(found, texts)))), files=len(files))


def _text(path: Path) -> bytes:
    try:
        text = path.read_bytes()
    except OSError:
        return b""
    return text if len(text) <= LARGEST else b""


def _of_files(
    files: list[PythonFile],
    texts: Mapping[str, bytes],
    digests: Mapping[str, str],
    memory: Remembered,
    processes: int,
    progress: Progress,
) -> Iterator[Diagnostic]:
    new: list[tuple[str, str, bytes]] = []
    for file in files:
        known = memory.get(file.relative, digests[file.relative])
        if known is None:
            new.append((file.relative, file.module, texts[file.relative]))
            continue
        memory.put(file.relative, digests[file.relative], known)
        yield from known
    for done, (one, found) in enumerate(zip(new, _looked_at(new, processes), strict=True), 1):
        progress(done, len(new))
        memory.put(one[0], digests[one[0]], found)
        yield from found


def _looked_at(new: list[tuple[str, str, bytes]], processes: int) -> Iterator[list[Diagnostic]]:
    if processes > 1 and len(new) >= WORTH_PROCESSES:
        # Not by fork: whoever calls this may have threads.
        with ProcessPoolExecutor(max_workers=processes, mp_context=get_context("spawn")) as pool:
            yield from pool.map(check_file, new, chunksize=_CHUNK)
    else:
        yield from map(check_file, new)


def _file_rules() -> list[FileRule]:
    return [rule for rule in RULES if isinstance(rule, FileRule)]


def check_file(one: tuple[str, str, bytes]) -> list[Diagnostic]:
    """What the rules for one file say.

    Args:
        one: its path, its dotted name and its bytes.
    """
    path, module, text = one
    rules = [rule for rule in _file_rules() if rule.may_speak_of(text)]
    if not rules:
        return []
    try:
        file = CheckedFile(path, module, text)
    except (SyntaxError, ValueError, LookupError, RecursionError, MemoryError):
        return []  # the static index says so
    return [
        _diagnostic(file, rule, node, message)
        for rule in rules
        if rule.concerns(file)
        for node, message in rule.check(file)
    ]


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


def _of_tree(
    root: Path,
    files: list[PythonFile],
    texts: Mapping[str, bytes],
    digests: Mapping[str, str],
    memory: Remembered,
    processes: int,
    configuration: Mapping[str, str],
) -> list[Diagnostic]:
    project = project_files(root)
    content = digest_of({**digests, "": project.content() + repr(sorted(configuration.items()))})
    known = memory.get(_TREE, content)
    if known is None:
        index = read_tree(root, tests=True, processes=processes)
        tree = CheckedTree(index, files, texts, project=project, configuration=configuration)
        known = list(_of_tree_rules(tree))
    memory.put(_TREE, content, known)
    return known


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
