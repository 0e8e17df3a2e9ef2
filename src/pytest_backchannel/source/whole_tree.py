"""A folder in, the index of what its code says out."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from ..errors import BackchannelError
from .files import PythonFile, python_files
from .index import SourceIndex
from .linking.link_consumers import consumers, with_routes
from .linking.link_enqueues import beat_entries, enqueue_sites
from .linking.link_groups import group_uses
from .linking.link_routes import routes
from .linking.link_tasks import Tasks
from .linking.symbols import Symbols
from .reading.file_facts import FileFacts
from .reading.read_file import WORTH_PARSING, read_file

WORTH_PROCESSES = 400
"""Files; fewer are read sooner than a second process is started."""
_CHUNK = 64


def read_tree(root: Path | str, *, tests: bool = False, processes: int = 1) -> SourceIndex:
    """Read every Python file of a project.

    Args:
        root: the project's folder, or one file. Virtual environments, installed packages, migrations and hidden folders
            are left out.
        tests: whether to read the project's tests, too.
        processes: in how many processes to parse, where there are many files; 1 parses in this one.

    Raises:
        BackchannelError: there is no such folder.

    Example:
        >>> index = read_tree("example")  # doctest: +SKIP
        >>> sorted(index.tasks)  # doctest: +SKIP
        ['billing.tasks.generate_pdf', …]
    """
    folder = Path(root)
    if not folder.exists():
        raise BackchannelError(f"there is no folder {str(root)!r} whose code could be read; give the project's folder")
    files = python_files(folder, tests=tests)
    facts = _read(files, processes)
    return link(str(root), files, facts)


def _read(files: list[PythonFile], processes: int) -> list[FileFacts]:
    found = _in_processes(_read_one, files, processes)
    return with_callers(files, [one for one in found if one is not None], processes)


def with_callers(files: list[PythonFile], facts: list[FileFacts], processes: int = 1) -> list[FileFacts]:
    """Facts, and those of the files that they make worth reading.

    Args:
        files: every file of the tree.
        facts: of those whose own text was worth it.
        processes: in how many processes to parse.
    """
    facts = list(facts)
    # A function that sends the message which it is given may be called where nothing else speaks of channels.
    if (worth := _calls_of_wrappers(facts)) is not None:
        read = {one.path for one in facts}
        others = [file for file in files if file.relative not in read]
        facts.extend(
            one for one in _in_processes(partial(_read_one, worth=worth), others, processes) if one is not None
        )
    return facts


def _calls_of_wrappers(facts: list[FileFacts]) -> re.Pattern[bytes] | None:
    names = {
        use.place.inside.rpartition(".")[2]
        for one in facts
        for use in one.group_uses
        if use.message_parameter is not None
    }
    if not names:
        return None
    called = "|".join(sorted(map(re.escape, names)))
    return re.compile(rf"""(?s)\A(?=.*\b({called})\b)(?=.*['"]type['"]\s*:)""".encode())


def _in_processes(
    function: Callable[[PythonFile], FileFacts | None], files: list[PythonFile], processes: int
) -> list[FileFacts | None]:
    if processes > 1 and len(files) >= WORTH_PROCESSES:
        # Not by fork: a process that asks may have threads, and a test run has many.
        with ProcessPoolExecutor(max_workers=processes, mp_context=get_context("spawn")) as pool:
            return list(pool.map(function, files, chunksize=_CHUNK))
    return list(map(function, files))


def _read_one(file: PythonFile, worth: re.Pattern[bytes] = WORTH_PARSING) -> FileFacts | None:
    return read_file(file.path, relative=file.relative, module=file.module, worth=worth)


def link(root: str, files: list[PythonFile], facts: list[FileFacts]) -> SourceIndex:
    """Follow the names of all files, and put together what they say.

    Args:
        root: what the index is of.
        files: every file of the tree; one that was not read is read when a name leads there.
        facts: of those that were read.
    """
    symbols = Symbols(files, {one.module: one for one in facts})
    tasks = Tasks(symbols)
    uses = group_uses(symbols)
    routed = routes(symbols)
    return SourceIndex(
        root=root,
        files=len(files),
        parsed=len(facts),
        tasks=dict(sorted(tasks.by_name.items())),
        duplicates=tuple(tasks.duplicates),
        enqueues=tuple(enqueue_sites(tasks)),
        beat=tuple(beat_entries(tasks)),
        consumers=with_routes(consumers(symbols, uses), routed),
        group_uses=tuple(uses),
        routes=tuple(routed),
        settings=tuple(
            sorted((one for each in facts for one in each.settings), key=lambda one: (one.place.path, one.place.line))
        ),
        unread=tuple(one.unread for one in symbols.all_facts() if one.unread is not None),
    )
