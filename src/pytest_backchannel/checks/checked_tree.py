"""The whole tree as the rules see it: its static index, and the files of which a rule wants to see the code."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping

from ..source import ConsumerDef, EnqueueSite, Place, SourceIndex, TaskDef
from ..source.files import PythonFile
from ..source.reading.source_file import FUNCTIONS, Function
from .checked_file import CheckedFile, is_test


class CheckedTree:
    """A tree.

    Attributes:
        index: what its code says.
        texts: each Python file's bytes, by its path.
        requirements: the text of its lock and requirement files, joined.
        configuration: what pytest is configured with.
    """

    def __init__(
        self,
        index: SourceIndex,
        files: list[PythonFile],
        texts: Mapping[str, bytes],
        *,
        requirements: str = "",
        configuration: Mapping[str, str] | None = None,
    ) -> None:
        self.index = index
        self.texts = texts
        self.requirements = requirements
        self.configuration = configuration or {}
        self._modules = {file.relative: file.module for file in files}
        self._parsed: dict[str, CheckedFile | None] = {}
        self._mentioned: dict[bytes, bool] = {}
        self._tasks: list[tuple[TaskDef, CheckedFile, Function]] | None = None

    @property
    def modules(self) -> set[str]:
        """The dotted names of all modules."""
        return set(self._modules.values())

    def file(self, path: str) -> CheckedFile | None:
        """A file, parsed; None where it can't be."""
        if path not in self._parsed:
            try:
                self._parsed[path] = CheckedFile(path, self._modules[path], self.texts[path])
            except (SyntaxError, ValueError, LookupError, RecursionError, MemoryError):
                self._parsed[path] = None
        return self._parsed[path]

    def defines(self, module: str, name: str) -> bool:
        """Whether a module's text may define or import something of this name; a star may import anything."""
        pattern = re.compile(rf"(?<![.\w'\"]){name}\b(?!['\"])|import \*".encode())
        paths = [path for path, one in self._modules.items() if one == module]
        return any(pattern.search(self.texts[path]) is not None for path in paths)

    def says(self, pattern: bytes) -> bool:
        """Whether any file's text has this pattern; a rule may have to be silent for it."""
        if pattern not in self._mentioned:
            search = re.compile(pattern).search
            self._mentioned[pattern] = any(search(text) is not None for text in self.texts.values())
        return self._mentioned[pattern]

    def tasks(self) -> list[tuple[TaskDef, CheckedFile, Function]]:
        """The tasks that are functions of the project, or classes with a method ``run``, each with that function."""
        if self._tasks is not None:
            return self._tasks
        found: list[tuple[TaskDef, CheckedFile, Function]] = []
        for task in (*self.index.tasks.values(), *self.index.duplicates):
            file = None if is_test(task.place.path) else self.file(task.place.path)
            function = _function_at(file, task.place) if file is not None else None
            if file is not None and function is not None:
                found.append((task, file, function))
        self._tasks = found
        return found

    def consumers(self) -> list[tuple[ConsumerDef, CheckedFile, dict[str, Function]]]:
        """The consumers of the project, each with the functions of its own class."""
        found: list[tuple[ConsumerDef, CheckedFile, dict[str, Function]]] = []
        for consumer in self.index.consumers.values():
            file = None if is_test(consumer.place.path) else self.file(consumer.place.path)
            for one in file.source.of_kind(ast.ClassDef) if file is not None else ():
                if file is not None and one.lineno == consumer.place.line:
                    found.append(
                        (consumer, file, {each.name: each for each in one.body if isinstance(each, FUNCTIONS)})
                    )
        return found

    def enqueues(self) -> list[EnqueueSite]:
        """The places that enqueue, without the tests' own."""
        return [site for site in self.index.enqueues if not is_test(site.place.path)]

    def call_of(self, site: EnqueueSite) -> tuple[CheckedFile, ast.Call] | None:
        """The call that an enqueue is, with its file."""
        file = self.file(site.place.path)
        for call in file.calls() if file is not None else ():
            same = (call.lineno, call.end_lineno) == (site.place.line, site.place.end_line)
            if same and isinstance(call.func, ast.Attribute) and call.func.attr == site.method and file is not None:
                return file, call
        return None


def _function_at(file: CheckedFile, place: Place) -> Function | None:
    for one in file.source.functions():
        if one.lineno == place.line:
            return one
    for owner in file.source.of_kind(ast.ClassDef):
        if owner.lineno == place.line:
            return next((one for one in owner.body if isinstance(one, FUNCTIONS) and one.name == "run"), None)
    return None
