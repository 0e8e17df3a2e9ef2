"""The events of the database."""

from __future__ import annotations

from ..events import Event


class Commit(Event):
    """The code's outermost atomic block ended, and what it had given to ``on_commit`` runs.

    Attributes:
        alias: the database.
        callbacks: how many callbacks run.
    """

    alias: str
    callbacks: int

    def headline(self) -> str:
        """The database, where it is not the default one, and how many callbacks run."""
        on = "" if self.alias == "default" else f" on {self.alias!r}"
        return f"commit{on}: {self.callbacks} on_commit callback{'s' if self.callbacks != 1 else ''}"
