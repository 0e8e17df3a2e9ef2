"""What the tests of several parts of the plugin share."""

from __future__ import annotations

import os

import pytest
from support.hidden_packages import hiding
from support.postgres import PostgresMissing, postgres_server


@pytest.fixture(scope="session")
def postgres():
    """A private PostgreSQL server; skipped where none is installed, which is a failure under CI."""
    try:
        with postgres_server() as server:
            yield server
    except PostgresMissing as error:
        if os.environ.get("CI") == "true":
            pytest.fail(f"the CI needs PostgreSQL: {error}")
        pytest.skip(str(error))


@pytest.fixture
def without(project, monkeypatch):
    """In every process of the run, as if some packages were not installed."""

    def block(*names):
        project.write("blocked/sitecustomize.py", hiding(names))
        monkeypatch.setenv("PYTHONPATH", str(project.path / "blocked"))

    return block
