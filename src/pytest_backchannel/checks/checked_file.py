"""One file as the rules see it."""

from __future__ import annotations

import ast
import re
from pathlib import PurePosixPath

from ..source.files import TESTS
from ..source.reading.read_file import scopes_of
from ..source.reading.scopes import Scopes
from ..source.reading.source_file import Function, SourceFile

_TEST_SETTINGS = re.compile(r"(?:.*_)?(?:tests?|testing|ci|pytest)(?:_.*)?")
_PRODUCTION = re.compile(r"(?:.*_)?(?:production|prod|live|staging)(?:_.*)?")


def is_test(path: str) -> bool:
    """Whether a file is one of the project's tests, by its own name or that of a folder; settings for tests are."""
    return any(TESTS.fullmatch(part) for part in PurePosixPath(path).parts)


def is_settings(path: str) -> bool:
    """Whether a file is a settings module, by its name or its folder's."""
    one = PurePosixPath(path)
    return "settings" in one.stem or one.parent.name in ("settings", "config", "conf")


def is_test_settings(path: str) -> bool:
    """Whether a file is a settings module for tests, by its name."""
    return is_settings(path) and _TEST_SETTINGS.fullmatch(PurePosixPath(path).stem) is not None


def is_production_settings(path: str) -> bool:
    """Whether a file is a settings module for production, by its name."""
    return is_settings(path) and _PRODUCTION.fullmatch(PurePosixPath(path).stem) is not None


def checked_file(path: str, module: str, text: bytes) -> CheckedFile | None:
    """A file, parsed; None where it can't be, which the static index tells.

    Args:
        path: relative to the tree.
        module: its dotted name.
        text: its bytes.
    """
    scopes = scopes_of(text, relative=path, module=module)
    return CheckedFile(scopes, text) if isinstance(scopes, Scopes) else None


class CheckedFile:
    """A file, parsed.

    Attributes:
        path: relative to the tree.
        text: its bytes.
        source: its nodes.
        scopes: what names mean there.
        is_test: whether it is one of the project's tests.
    """

    def __init__(self, scopes: Scopes, text: bytes) -> None:
        self.path = scopes.file.path
        self.text = text
        self.is_test = is_test(self.path)
        self.source: SourceFile = scopes.file
        self.scopes = scopes

    def calls(self) -> list[ast.Call]:
        """Every call, in the order of the source."""
        return self.source.of_kind(ast.Call)

    def runs_in(self, node: ast.AST) -> Function | None:
        """The function that runs an expression; None at module level, and in a lambda, which runs later."""
        for above, _ in self.source.ancestors(node):
            if isinstance(above, ast.Lambda):
                return None
            if isinstance(above, ast.FunctionDef | ast.AsyncFunctionDef):
                break
        return self.source.function_of(node)

    def runs_in_coroutine(self, node: ast.AST) -> bool:
        """Whether it is a coroutine function that runs an expression."""
        return isinstance(self.runs_in(node), ast.AsyncFunctionDef)
