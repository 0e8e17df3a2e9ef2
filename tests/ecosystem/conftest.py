"""Other people's libraries beside the plugin: each in a small project of its own, whose suite runs in its own process.

They are in an environment of their own, which `make ecosystem` makes from requirements/ecosystem.txt; in any other one
these tests are skipped.
"""

from __future__ import annotations

from importlib.util import find_spec

import pytest


@pytest.fixture
def library(project):
    """Called with the modules that a test needs: the project to write its suite into. Without them, it is skipped."""

    def needs(*modules: str):
        missing = [name for name in modules if find_spec(name) is None]
        if missing:
            pytest.skip(f"{', '.join(missing)} is not installed here: run `make ecosystem`")
        return project

    return needs
