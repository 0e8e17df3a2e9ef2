"""What mocks answer from an iterator or a file in memory: each run of the body gets it from its beginning.

The other side, for which they stand, gives the same answer to the same question when the message comes again.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator
from typing import Any
from unittest.mock import NonCallableMock

from ..effect_log import running


class MockAnswers:
    """Of all mocks that are called in this shadow."""

    def __init__(self) -> None:
        self._run: object = None
        self._asked: set[int] = set()
        self._lists: dict[int, Iterator[Any]] = {}
        self._iterators: dict[int, tuple[Any, Iterator[Any]]] = {}
        self._files: dict[int, tuple[Any, int]] = {}
        self._given: dict[int, Any] = {}

    def before(self, called: Any) -> None:
        """A mock is called: where it goes through a list of answers, this run begins at the first of them.

        Args:
            called: the mock.
        """
        run = running()
        if run is not None and run is not self._run:
            self._run = run
            self._asked.clear()
            self._given.clear()
        if run is None or id(called) in self._asked:
            return
        self._asked.add(id(called))
        answers = called.side_effect
        if hasattr(type(answers), "__next__") and not isinstance(answers, NonCallableMock):
            kept = self._lists.get(id(called)) or _each(answers)
            self._lists[id(called)], called.side_effect = itertools.tee(kept)

    def of(self, answer: Any) -> Any:
        """What this run of the body is given for an answer.

        Args:
            answer: of the mock.
        """
        in_memory = isinstance(answer, io.BytesIO | io.StringIO)
        if running() is None or not (in_memory or _is_iterator(answer)):
            return answer
        if id(answer) not in self._given:
            self._given[id(answer)] = self._file(answer) if in_memory else self._iterator(answer)
        return self._given[id(answer)]

    def _file(self, file: Any) -> Any:
        if not file.closed:
            _, start = self._files.setdefault(id(file), (file, file.tell()))
            file.seek(start)
        return file

    def _iterator(self, answer: Any) -> Any:
        _, kept = self._iterators.get(id(answer), (None, answer))
        left, given = itertools.tee(kept)
        self._iterators[id(answer)] = (answer, left)
        return given


def _is_iterator(answer: Any) -> bool:
    """Whether it gives what is in it once: not a file, and no mock of anything."""
    if isinstance(answer, NonCallableMock) or not hasattr(type(answer), "__next__"):
        return False
    return iter(answer) is answer and not hasattr(answer, "read")


def _each(answers: Any) -> Iterator[Any]:
    """They, one after another: what mock itself makes of a list has no ``__iter__`` in each Python."""
    while True:
        try:
            answer = next(answers)
        except StopIteration:
            return
        yield answer
