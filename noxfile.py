"""A sampled matrix of versions: `nox` runs all of it, `nox -s "tests-3.12(django='6.0', ...)"` one cell.

Each cell is one whole environment; together they hold each supported version of Python, Django, Celery and Channels at
least once, and the lowest supported versions of everything in one.
"""

from __future__ import annotations

import nox

nox.options.default_venv_backend = "venv"
nox.options.error_on_missing_interpreters = False

CELLS = [
    ("3.11", "5.2", "5.5", "4.2"),
    ("3.11", "5.2", "5.7", "4.3"),
    ("3.12", "6.0", "5.6", "4.3"),
    ("3.12", "6.1", "5.7", "4.3"),
    ("3.13", "6.1", "5.7", "4.3"),
    ("3.13", "5.2", "5.6", "4.2"),
]
FAST = ("-n", "auto", "--dist", "worksteal", "-m", "not celery_integration")


@nox.session
@nox.parametrize(
    ("python", "django", "celery", "channels"),
    [nox.param(*cell, id=f"{cell[0]}-django{cell[1]}-celery{cell[2]}-channels{cell[3]}") for cell in CELLS],
)
def tests(session: nox.Session, django: str, celery: str, channels: str) -> None:
    """Run the fast tests on one cell."""
    session.install("--require-hashes", "-r", "requirements/dev.txt")
    session.install(f"django~={django}.0", f"celery~={celery}.0", f"channels~={channels}.0")
    session.install("--no-deps", "--no-build-isolation", "-e", ".")
    session.run("pytest", *FAST, *session.posargs)
    session.run("pytest", *FAST, "tests/unit/tasks", *session.posargs, env={"BACKCHANNEL_TEST_ANEW": "1"})


@nox.session(python="3.11")
def lowest(session: nox.Session) -> None:
    """Run the fast tests on the lowest supported versions of everything."""
    session.install("--require-hashes", "-r", "requirements/lowest.txt")
    session.install("-e", ".", "--no-deps")
    session.install("build", "hatchling")  # for the tests of the wheel
    session.run("pytest", *FAST, *session.posargs)
