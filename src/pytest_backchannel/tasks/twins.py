"""What steps the worker, for coroutines: the ``a`` twin of each method, and the error where it was forgotten."""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from ..errors import MisusedQueue
from .outcomes import Counts

DEFAULT_LIMIT = 1000
"""How many tasks may lead to one another before it counts as a loop without an end."""
MAX_IDLE = 366 * 86400.0
"""How far ``run_until_idle()`` goes, in seconds."""


class AsyncTwins(ABC):
    """``run_one``, ``run``, ``advance`` and ``run_until_idle``, and their twins."""

    #: What a coroutine that calls the plain method would suffer; the end of a sentence.
    _harm: str

    @abstractmethod
    def run_one(self, *, propagate: bool = True, worker: str | None = None) -> Counts:
        """Run the next task that is due."""

    @abstractmethod
    def run(self, *, propagate: bool = True, worker: str | None = None, limit: int = DEFAULT_LIMIT) -> Counts:
        """Run all tasks that are due now, and those that they enqueue."""

    @abstractmethod
    def advance(self, seconds: float | timedelta, *, propagate: bool = True, limit: int = DEFAULT_LIMIT) -> Counts:
        """Run what comes due within some seconds."""

    @abstractmethod
    def run_until_idle(
        self, *, propagate: bool = True, limit: int = DEFAULT_LIMIT, max_seconds: float = MAX_IDLE
    ) -> Counts:
        """Run until nothing waits."""

    @abstractmethod
    async def _in_thread(self, function: Callable[..., Counts], *args: Any, **kwargs: Any) -> Counts:
        """Call one of these in a thread where it may block."""

    async def arun_one(self, *, propagate: bool = True, worker: str | None = None) -> Counts:
        """:meth:`run_one`, from a coroutine."""
        return await self._in_thread(self.run_one, propagate=propagate, worker=worker)

    async def arun(self, *, propagate: bool = True, worker: str | None = None, limit: int = DEFAULT_LIMIT) -> Counts:
        """:meth:`run`, from a coroutine: tasks may use ``async_to_sync``, on the loop of the test."""
        return await self._in_thread(self.run, propagate=propagate, worker=worker, limit=limit)

    async def aadvance(
        self, seconds: float | timedelta, *, propagate: bool = True, limit: int = DEFAULT_LIMIT
    ) -> Counts:
        """:meth:`advance`, from a coroutine."""
        return await self._in_thread(self.advance, seconds, propagate=propagate, limit=limit)

    async def arun_until_idle(
        self, *, propagate: bool = True, limit: int = DEFAULT_LIMIT, max_seconds: float = MAX_IDLE
    ) -> Counts:
        """:meth:`run_until_idle`, from a coroutine."""
        return await self._in_thread(self.run_until_idle, propagate=propagate, limit=limit, max_seconds=max_seconds)

    def _check_thread(self, name: str) -> None:
        with contextlib.suppress(RuntimeError):
            asyncio.get_running_loop()
            raise MisusedQueue(
                f"task_queue.{name}() was called from a coroutine, {self._harm}. Fix: await task_queue.a{name}()."
            )
