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
        self._look_at_run()
        if running() is None or id(called) in self._asked:
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
        if isinstance(answer, io.BytesIO | io.StringIO):
            return self._from_its_start(answer)
        if running() is None or not hasattr(type(answer), "__next__") or isinstance(answer, NonCallableMock):
            return answer
        if iter(answer) is not answer or hasattr(answer, "read"):
            return answer
        if id(answer) not in self._given:
            _, kept = self._iterators.get(id(answer), (None, answer))
            left, self._given[id(answer)] = itertools.tee(kept)
            self._iterators[id(answer)] = (answer, left)
        return self._given[id(answer)]

    def _from_its_start(self, file: Any) -> Any:
        if running() is not None and not file.closed and id(file) not in self._given:
            _, start = self._files.setdefault(id(file), (file, file.tell()))
            file.seek(start)
            self._given[id(file)] = file
        return file

    def _look_at_run(self) -> None:
        run = running()
        if run is not None and run is not self._run:
            self._run = run
            self._asked.clear()
            self._given.clear()


def _each(answers: Any) -> Iterator[Any]:
    """They, one after another: what mock itself makes of a list has no ``__iter__`` in each Python."""
    while True:
        try:
            answer = next(answers)
        except StopIteration:
            return
        yield answer
