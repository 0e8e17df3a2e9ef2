"""A project that exists for one test, and what the rules say of it."""

from __future__ import annotations

from pathlib import PurePosixPath
from textwrap import dedent

import pytest

from pytest_backchannel.checks.check_tree import check_tree


@pytest.fixture
def found(tmp_path):
    """Write files by their paths, and give what is found as ``(code, path, line)``; folders of .py are packages."""

    def found(files, **options):
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(dedent(text))
            for folder in PurePosixPath(name).parents:
                if str(folder) != "." and name.endswith(".py"):
                    (tmp_path / folder / "__init__.py").touch()
        result = check_tree(tmp_path, **options)
        return [(one.code, one.path, one.line) for one in result.diagnostics]

    return found


@pytest.fixture
def codes(found):
    """The codes alone, each once."""
    return lambda files, **options: sorted({code for code, _, _ in found(files, **options)})
