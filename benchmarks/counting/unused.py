"""What the plugin adds to a test under pytest that uses nothing of it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from . import suite
from .counter import count

# No plugin that is not needed: each adds its own to every test.
OPTIONS = [
    "-q",
    "-s",
    *(f"-pno:{name}" for name in ("cacheprovider", "randomly", "faker", "valkey", "asyncio", "timeout")),
]


def added(imports: str) -> int:
    """The instructions, or nanoseconds, of a test with the plugin less those without.

    Args:
        imports: the line of the test's module that imports what the plugin would observe.
    """
    with tempfile.TemporaryDirectory() as folder:
        files = {
            "conftest.py": suite.CONFTEST + suite.WITHOUT,
            "test_nothing.py": suite.NOTHING.format(imports=imports),
            "pytest.ini": suite.BARE,
        }
        for name, text in files.items():
            Path(folder, name).write_text(text)
        counts = count(["-m", "pytest", *OPTIONS], cwd=folder)
    return counts["test_with"] - counts["test_without"]
