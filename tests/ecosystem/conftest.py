"""Other people's libraries beside the plugin: each in a small project of its own, whose suite runs in its own process.

They are in environments of their own, which `make ecosystem` makes from requirements/ecosystem*.txt; in any other one
these tests are skipped. Under CI, and in `make ecosystem`, a test whose library is missing fails instead.
"""

from __future__ import annotations

import os
from importlib.util import find_spec

import pytest

# pytest plugins of the libraries: a suite that is not about one of them has it not installed.
PLUGINS = ("ddtrace", "hypothesispytest", "inline_snapshot", "pytest_mock", "syrupy")


@pytest.fixture
def library(project, monkeypatch):
    """Called with the modules that a test needs: the project to write its suite into. Without them, it is skipped.

    ``plugins`` names those of the libraries' pytest plugins that its suite loads.
    """

    def needs(*modules: str, plugins: tuple[str, ...] = ()):
        missing = [name for name in modules if find_spec(name) is None]
        if missing:
            text = f"{', '.join(missing)} is not installed here: run `make ecosystem`"
            if os.environ.get("CI") == "true":
                pytest.fail(text)
            pytest.skip(text)
        others = [name for name in PLUGINS if name not in plugins]
        monkeypatch.setenv("PYTEST_ADDOPTS", " ".join(f"-p no:{name}" for name in others))
        return project

    return needs
