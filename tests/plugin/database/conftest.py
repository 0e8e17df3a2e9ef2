"""The databases that the nested runs of these tests use."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

MATRIX = Path(__file__).parent / "matrix"


def databases(kind, request):
    """Django's ``DATABASES`` of one kind, with two databases."""
    if kind == "postgresql":
        server = request.getfixturevalue("postgres")
        return {
            alias: server.settings("backchannel", TEST={"NAME": f"test_{alias}_{os.getpid()}"})
            for alias in ("default", "other")
        }
    folder = request.getfixturevalue("tmp_path")
    names = {
        alias: ":memory:" if kind == "memory" else str(folder / f"{alias}.sqlite3") for alias in ("default", "other")
    }
    return {
        alias: {"ENGINE": "django.db.backends.sqlite3", "NAME": name, "TEST": {"NAME": name}}
        for alias, name in names.items()
    }


@pytest.fixture(params=["memory", "file", "postgresql"])
def matrix(request, project, monkeypatch):
    """The matrix's project, on each kind of database."""
    for source in MATRIX.rglob("*.py"):
        project.write(str(source.relative_to(MATRIX)), source.read_text())
    (project.path / "matrix_conftest.py").rename(project.path / "conftest.py")
    project.ini(settings="matrix_settings")
    monkeypatch.setenv("MATRIX_DATABASES", json.dumps(databases(request.param, request)))
    return project
