"""The whole tree as the rules see it: its static index, and the files of which a rule wants to see the code."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping

from ..source import ConsumerDef, EnqueueSite, Place, SettingDef, SourceIndex, TaskDef
from ..source.files import PythonFile
from ..source.reading.source_file import FUNCTIONS, Function
from .checked_file import CheckedFile, checked_file, is_test, is_test_settings
from .project_files import ProjectFiles

_TEST_FILE = re.compile(r"(?:^|/)(?:test_[^/]*|[^/]*_tests?|tests)\.py$")


def short(name: str) -> str:
    """The name of a setting as ``app.conf`` has it: ``task_always_eager`` of ``CELERY_TASK_ALWAYS_EAGER``."""
    return name.lower().removeprefix("conf.").removeprefix("celery_")


def makes_eager(setting: SettingDef) -> bool:
    """Whether a setting lets tasks run where they are enqueued."""
    return short(setting.name) in ("task_always_eager", "always_eager") and setting.value is True


class CheckedTree:
    """A tree.

    Attributes:
        index: what its code says.
        texts: each Python file's bytes, by its path.
        project: what it says outside of its Python.
        configuration: what pytest is configured with.
    """

    def __init__(
        self,
        index: SourceIndex,
        files: list[PythonFile],
        texts: Mapping[str, bytes],
        *,
        project: ProjectFiles | None = None,
        configuration: Mapping[str, str] | None = None,
    ) -> None:
        self.index = index
        self.texts = texts
        self.project = project or ProjectFiles()
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
            self._parsed[path] = checked_file(path, self._modules[path], self.texts[path])
        return self._parsed[path]

    def defines(self, module: str, name: str) -> bool:
        """Whether a module's text may define or import something of this name; a star may import anything."""
        pattern = re.compile(rf"(?<![.\w'\"]){name}\b(?!['\"])|import \*".encode())
        paths = [path for path, one in self._modules.items() if one == module]
        return any(pattern.search(self.texts[path]) is not None for path in paths)

    def says(self, *words: bytes) -> bool:
        """Whether any file's text has one of these words; a rule may have to be silent for it."""
        for word in words:
            if word not in self._mentioned:
                self._mentioned[word] = any(word in text for text in self.texts.values())
        return any(self._mentioned[word] for word in words)

    def matches(self, pattern: bytes, *, needs: bytes) -> bool:
        """Whether any file's text has a pattern.

        Args:
            pattern: a regular expression.
            needs: a word that it has in any case; looking for that is much faster.
        """
        search = re.compile(pattern).search
        return any(needs in text and search(text) is not None for text in self.texts.values())

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

    def lineage(self, consumer: ConsumerDef) -> list[ConsumerDef]:
        """A consumer, and those of the tree from which it derives."""
        found, waiting = [consumer], list(consumer.bases)
        while waiting:
            base = self.index.consumers.get(waiting.pop())
            if base is not None and base not in found:
                found.append(base)
                waiting.extend(base.bases)
        return found

    def class_text(self, consumer: ConsumerDef) -> bytes:
        """The lines of a consumer's class."""
        lines = self.texts.get(consumer.place.path, b"").splitlines()
        return b"\n".join(lines[consumer.place.line - 1 : consumer.place.end_line])

    def enqueues(self) -> list[EnqueueSite]:
        """The places that enqueue, without the tests' own."""
        return [site for site in self.index.enqueues if not is_test(site.place.path)]

    def settings(self, *names: str) -> list[SettingDef]:
        """What settings modules and ``app.conf`` say of a setting of Celery's, those of tests left out.

        Args:
            names: its names in lower case, without a prefix.
        """
        return [
            one
            for one in self.index.settings
            if short(one.name) in names and not is_test(one.place.path) and not is_test_settings(one.place.path)
        ]

    def tests(self, *patterns: bytes) -> list[CheckedFile]:
        """The files with tests, as pytest has it by their names; parsed, so that few should be asked for.

        Args:
            patterns: what the text of the file has to have, all of it.
        """
        searches = [re.compile(pattern).search for pattern in patterns]
        paths = [
            path
            for path, text in self.test_texts().items()
            if b"def test" in text and all(search(text) is not None for search in searches)
        ]
        return [file for file in map(self.file, paths) if file is not None]

    def test_texts(self) -> dict[str, bytes]:
        """The texts of the files of tests, by their paths."""
        return {path: text for path, text in self.texts.items() if _TEST_FILE.search(path)}

    def line_of(self, path: str, line: int) -> Place:
        """A line of a file that is no Python."""
        return Place(path=path, line=line, end_line=line, module="")

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
