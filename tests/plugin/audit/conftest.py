"""A project whose tasks a second delivery or a death breaks, and tasks that look like them and are right."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

PARCELS = Path(__file__).parent / "parcels"
SETTINGS = """
    INSTALLED_APPS += ["parcels"]
    CELERY_TASK_ALWAYS_EAGER = True
"""
MAILERS = """
    import django
    if django.VERSION >= (6, 1):
        MAILERS = {"default": {"BACKEND": "django.core.mail.backends.locmem.EmailBackend"}}
"""


class Parcels:
    """The project, and what an audit of its suite says."""

    def __init__(self, project):
        self.project = project
        for source in PARCELS.glob("*.py"):
            folder = "" if source.stem == "parcel_tests" else "parcels/"
            name = "test_parcels" if source.stem == "parcel_tests" else source.stem
            project.write(f"{folder}{name}.py", source.read_text())
        project.settings(SETTINGS)
        self.ini()

    def ini(self, *lines):
        self.project.ini("backchannel_audit_outward =", "    parcels.carrier.book", *lines)

    def audit(self, *arguments, flag="--backchannel-audit"):
        """Run it: the result, and the tasks of the JSON file by name."""
        target = self.project.path / "audit.json"
        result = self.project.run(*([flag] if flag else []), f"--backchannel-audit-json={target}", *arguments)
        found = json.loads(target.read_text())["tasks"] if target.exists() else []
        return result, {task["task"].rpartition(".")[2]: task for task in found}

    def test(self, text, *arguments):
        """The same, of one test module of its own."""
        self.project.write("test_it.py", text)
        return self.audit("test_it.py", *arguments)


@pytest.fixture
def project(project):
    """A project which says how it mails, as Django 6.1 wants it."""
    project.settings(MAILERS)
    return project


@pytest.fixture
def parcels(project):
    """The project with the app parcels, whose tasks run eagerly."""
    return Parcels(project)
