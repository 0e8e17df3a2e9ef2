"""What a rule is: its code, what it says of itself, and how it looks at the project."""

from __future__ import annotations

import ast
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import ClassVar, Literal, TypeAlias

from ..inventory.findings.finding import FINDINGS, Production
from ..source import Place
from .checked_file import CheckedFile
from .checked_tree import CheckedTree
from .diagnostic import Diagnostic
from .fixing.text_edits import TextEdit

Severity: TypeAlias = Literal["error", "warning"]
Spot: TypeAlias = "tuple[ast.expr | ast.stmt, str]"
"""A node, and what is wrong with it."""
Found: TypeAlias = "tuple[Place, str]"


class Rule:
    """What all have. The texts are those of ``--explain`` and of the reference.

    Attributes:
        code: stable; the first digit is the family.
        name: short, with dashes.
        severity: ``error`` for what breaks, ``warning`` for what hurts on a bad day.
        summary: what is wrong, in one sentence.
        why: what happens then.
        fix: what to do.
        wrong: a file of which the rule speaks; empty for a rule that looks at production alone.
        right: the same file as it should be.
        path: where these two files are, as far as the rule cares.
        page: a page of the documentation that tells more, relative to ``docs``; empty where there is none.
        mends: whether ``--fix`` can mend it, in most cases.
        finding: the name of what the settings of production say of the same, in a process of their own; empty where
            there is none.
    """

    code: ClassVar[str]
    name: ClassVar[str]
    severity: ClassVar[Severity] = "warning"
    summary: ClassVar[str]
    why: ClassVar[str]
    fix: ClassVar[str]
    wrong: ClassVar[str]
    right: ClassVar[str]
    path: ClassVar[str] = "shop/tasks.py"
    page: ClassVar[str] = ""
    finding: ClassVar[str] = ""

    mends: ClassVar[bool] = False

    def edits(self, file: CheckedFile, found: Diagnostic) -> list[TextEdit]:
        """How to mend what was found; nothing where it can't be done safely."""
        return []

    def of_production(self, production: Production) -> Iterator[str]:
        """What is wrong with production as its own processes have it, beside the finding that has a name."""
        yield from ()


class FileRule(Rule, ABC):
    """A rule that one file is enough for; files are checked in parallel, and remembered by their content.

    Attributes:
        worth: the words that a file's text must have for the rule to look at it, of each group one.
        of: ``code`` (not the tests), ``tests``, or ``both``.
    """

    worth: ClassVar[tuple[tuple[bytes, ...], ...]] = ()
    of: ClassVar[Literal["code", "tests", "both"]] = "code"

    @abstractmethod
    def check(self, file: CheckedFile) -> Iterator[Spot]:
        """What is wrong in this file."""

    def concerns(self, file: CheckedFile) -> bool:
        """Whether the rule looks at this file."""
        return self.of in ("tests" if file.is_test else "code", "both")

    def may_speak_of(self, text: bytes) -> bool:
        """Whether a file of this text is worth parsing for it."""
        return all(any(word in text for word in words) for words in self.worth)


class TreeRule(Rule, ABC):
    """A rule that needs the static index of the whole tree."""

    @abstractmethod
    def check(self, tree: CheckedTree) -> Iterator[Found]:
        """What is wrong in this tree."""


class InventoryRule(Rule):
    """A rule that looks at production alone: its settings as they are in the end, its tasks and routes."""

    wrong = right = ""
    path = "config/settings/production.py"
    page = "reference/production-settings.md"

    def __init_subclass__(cls) -> None:
        """Take the summary from the finding, which other commands tell, too."""
        super().__init_subclass__()
        cls.summary = FINDINGS[cls.finding]
