"""The workflow of GitHub's CI: a fast job that a merge waits for, and one with services beside it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ..found_project import Project

NAME = Path(".github/workflows/tests.yml")

_DATABASES = {
    "postgresql": ("postgres:17", "5432:5432", ("POSTGRES_PASSWORD: postgres",), "pg_isready", "postgres", "5432"),
    "mysql": ("mysql:8.4", "3306:3306", ("MYSQL_ROOT_PASSWORD: postgres",), "mysqladmin ping", "root", "3306"),
}
_HEALTH = "--health-interval 5s --health-timeout 5s --health-retries 10"
_REQUIREMENTS = (
    "dev-requirements.txt",
    "requirements-dev.txt",
    "requirements-test.txt",
    "requirements.txt",
    "requirements_dev.txt",
    "requirements_test.txt",
    "test-requirements.txt",
)


def workflow_text(project: Project, *, has_tests: bool, has_integration: bool) -> str:
    """The whole file.

    Args:
        project: whose it is.
        has_tests: whether there is a test already; pytest fails where it finds none.
        has_integration: whether there is one for the job with services.
    """
    is_amqp = _scheme(project) == "amqp"
    lines = [
        "name: tests",
        "",
        "on:",
        "  push:",
        f"    branches: [{_branch(project.repository)}]",
        "  pull_request:",
        "",
        "permissions:",
        "  contents: read",
        "",
        "jobs:",
        "  # Fast: tasks run in the process of the test, and channel layers are in memory. A merge waits for it.",
        "  fast:",
        *_job(project, list(_database_service(project))),
        *_run_step('python -m pytest -m "not celery_integration"', finds_some=has_tests),
        "",
        "  # Slower: real brokers, real workers. It reports beside the fast one.",
        "  integration:",
        *_job(project, [*_database_service(project), *_broker_services(is_amqp=is_amqp)]),
        *_integration_step(is_amqp=is_amqp, has_integration=has_integration),
        "",
    ]
    return "\n".join(lines)


def _job(project: Project, services: list[str]) -> Iterator[str]:
    below = os.path.relpath(project.root, project.repository).replace(os.sep, "/")
    yield "    runs-on: ubuntu-latest"
    yield "    timeout-minutes: 15"
    if below != ".":
        yield from ("    defaults:", "      run:", f"        working-directory: {below}")
    if project.said["engine"] in _DATABASES:
        *_, user, port = _DATABASES[project.said["engine"]]
        yield from (
            "    env:",
            "      TEST_DB_HOST: 127.0.0.1",
            f'      TEST_DB_PORT: "{port}"',
            f"      TEST_DB_USER: {user}",
            "      TEST_DB_PASSWORD: postgres",
        )
    if services:
        yield "    services:"
        yield from services
    yield "    steps:"
    yield "      - uses: actions/checkout@v4"
    yield from _python_steps(project)


def _python_steps(project: Project) -> Iterator[str]:
    yield "      - uses: actions/setup-python@v5"
    yield "        with:"
    yield f'          python-version: "{sys.version_info[0]}.{sys.version_info[1]}"'
    for command in _installing(project):
        yield f"      - run: {command}"


def _installing(project: Project) -> list[str]:
    root = project.root
    tests = '"pytest-backchannel[all]"' + (" pytest-asyncio" if project.has_asyncio else "")
    folder = sorted((root / "requirements").glob("*.txt")) if (root / "requirements").is_dir() else []
    files = [name for name in _REQUIREMENTS if (root / name).is_file()]
    if (root / "uv.lock").is_file():
        return [
            "python -m pip install uv",
            "uv sync",
            f"uv pip install {tests}",
            'echo "$PWD/.venv/bin" >> "$GITHUB_PATH"',
        ]
    if (root / "poetry.lock").is_file():
        return [
            "python -m pip install poetry",
            "poetry config virtualenvs.create false",
            "poetry install",
            f"python -m pip install {tests}",
        ]
    if files:
        return [f"python -m pip install {' '.join(f'-r {name}' for name in files)} {tests}"]
    if folder:
        best = [
            path
            for name in ("test", "tests", "dev", "local", "ci", "development")
            for path in folder
            if path.stem == name
        ]
        base = [
            path
            for name in ("base", "common", "production", "prod", "requirements")
            for path in folder
            if path.stem == name
        ]
        chosen = (best or base or folder)[0].relative_to(root).as_posix()
        return [f"python -m pip install -r {chosen} {tests}"]
    if (root / "pyproject.toml").is_file() and "[project]" in (root / "pyproject.toml").read_text(encoding="utf-8"):
        return [f"python -m pip install . {tests}"]
    return [f"python -m pip install {' '.join(_installed_here(project))} {tests}"]


def _installed_here(project: Project) -> Iterator[str]:
    """What the project runs with here, for one that lists it nowhere."""
    names = ["Django", *(["celery"] if project.celery else []), *(["channels"] if project.asgi else [])]
    if any("redis" in layer for layer in project.said["layers"].values()):
        names.append("channels-redis")
    names += {"postgresql": ["psycopg", "psycopg2-binary", "psycopg2"], "mysql": ["mysqlclient", "PyMySQL"]}.get(
        project.said["engine"], []
    )
    for name in names:
        try:
            yield f'"{name}=={version(name)}"'
        except PackageNotFoundError:
            continue


def _database_service(project: Project) -> Iterator[str]:
    known = _DATABASES.get(project.said["engine"])
    if known is None:
        return
    image, port, environment, health, *_ = known
    yield "      database:"
    yield f"        image: {image}"
    yield "        env:"
    yield from (f"          {line}" for line in environment)
    yield f'        ports: ["{port}"]'
    yield f'        options: --health-cmd "{health}" {_HEALTH}'


def _broker_services(*, is_amqp: bool) -> Iterator[str]:
    yield "      redis:"
    yield "        image: redis:8"
    yield '        ports: ["6379:6379"]'
    yield f'        options: --health-cmd "redis-cli ping" {_HEALTH}'
    if is_amqp:
        yield "      rabbitmq:"
        yield "        image: rabbitmq:4"
        yield '        ports: ["5672:5672"]'
        yield f'        options: --health-cmd "rabbitmq-diagnostics -q ping" {_HEALTH}'


def _integration_step(*, is_amqp: bool, has_integration: bool) -> Iterator[str]:
    command = "python -m pytest -m celery_integration --backchannel-redis-url=redis://127.0.0.1:6379/0"
    if is_amqp:
        command += " --backchannel-rabbitmq-url=amqp://guest:guest@127.0.0.1:5672//"
    yield from _run_step(command, finds_some=has_integration)


def _run_step(command: str, *, finds_some: bool) -> Iterator[str]:
    if finds_some:
        yield f"      - run: {command}"
        return
    yield "      # 5 is pytest's exit code where it finds no test: take the end of the line out with the first one."
    yield f"      - run: {command} || [ $? -eq 5 ]"


def _scheme(project: Project) -> str:
    broker = str(project.celery.settings.get("broker_url") or "") if project.celery is not None else ""
    scheme = broker.partition(":")[0].partition("+")[0]
    return "amqp" if scheme in ("amqp", "amqps", "pyamqp", "librabbitmq") else scheme


def _branch(repository: Path) -> str:
    """The branch that is checked out, as a guess of the one that is merged into."""
    try:
        head = (repository / ".git" / "HEAD").read_text(encoding="utf-8").strip()
    except OSError:
        return "main"
    branch = head.removeprefix("ref: refs/heads/")
    return branch if branch in ("main", "master", "develop", "trunk") else "main"
