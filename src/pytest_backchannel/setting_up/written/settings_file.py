"""The settings module of the tests."""

from __future__ import annotations

from collections.abc import Mapping

from ..found_project import Project

_OLD_NAMES = {
    "TASK_ALWAYS_EAGER": "CELERY_ALWAYS_EAGER",
    "TASK_EAGER_PROPAGATES": "CELERY_EAGER_PROPAGATES_EXCEPTIONS",
    "BROKER_URL": "BROKER_URL",
    "RESULT_BACKEND": "CELERY_RESULT_BACKEND",
}
"""As Celery 3 named them, for a project whose settings for Celery have no prefix of their own."""


def settings_text(project: Project) -> str:
    """The whole module."""
    package, _, module = project.origin.rpartition(".")
    tests_package = project.settings.tests.rpartition(".")[0]
    if project.origin == tests_package:
        source = "."
    else:
        source = f".{module}" if package and package == tests_package else project.origin
    parts = list(_parts_of(project).values())
    modules = [name for name in ("os", "tempfile") if any(f"{name}." in part for part in parts)]
    named = "DATABASES" if any("**DATABASES" in part for part in parts) else ""
    return "\n".join(
        [
            '"""Settings of the tests: no test reaches a broker, a channel layer in Redis or a mail server."""',
            "",
            *(f"import {name}" for name in modules),
            *([""] if modules else []),
            f"from {source} import *  # noqa: F403",
            *([f"from {source} import {named}"] if named else []),
            "",
            "\n\n".join(parts),
            "",
        ]
    )


def settings_said(project: Project) -> Mapping[str, str]:
    """What the module says, by what it is about: to tell what a module that exists would have been given."""
    return _parts_of(project)


def _parts_of(project: Project) -> dict[str, str]:
    said, parts = project.said, dict[str, str]()
    if project.celery_prefix is not None:
        parts["Celery"] = _celery(project.celery_prefix)
    if project.asgi is not None:
        parts["channel layers"] = _layers(said["layers"])
    parts["mail"] = (
        "# What is mailed can be read in pytest-django's mailoutbox.\n"
        'EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"'
    )
    if project.has_auth:
        parts["passwords"] = (
            "# A good hash is slow, and a test that makes a user would wait for it.\n"
            'PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]'
        )
    if not said["secret_key"]:
        parts["secret key"] = 'SECRET_KEY = "for tests only"'
    if said["https"]:
        parts["HTTPS"] = "# Django's test client speaks HTTP.\nSECURE_SSL_REDIRECT = False"
    parts |= _database(said["engine"], project)
    return parts


def _celery(prefix: str) -> str:
    def name(setting: str) -> str:
        return f"{prefix}{setting}" if prefix else _OLD_NAMES[setting]

    return "\n".join(
        [
            "# A test that asks for no fixture runs its tasks at once, and gets their",
            "# exceptions. What eager mode does not cover meets a broker in memory.",
            "# task_queue, celery_eager and worker_process override all of it.",
            f"{name('TASK_ALWAYS_EAGER')} = True",
            f"{name('TASK_EAGER_PROPAGATES')} = True",
            f'{name("BROKER_URL")} = "memory://"',
            f'{name("RESULT_BACKEND")} = "cache+memory://"',
        ]
    )


def _layers(layers: Mapping[str, str]) -> str:
    memory = '{"BACKEND": "channels.layers.InMemoryChannelLayer"}'
    if len(layers) <= 1:
        return f'CHANNEL_LAYERS = {{"{next(iter(layers), "default")}": {memory}}}'
    return "\n".join(["CHANNEL_LAYERS = {", *(f'    "{alias}": {memory},' for alias in layers), "}"])


def _database(engine: str, project: Project) -> dict[str, str]:
    if not engine:
        return {
            "database": "# The settings above name no database.\n"
            'DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}'
        }
    if engine == "sqlite" and project.celery is not None and not project.said["test_database"]:
        return {
            "database": "# A file, for a worker process to see it too; of this run alone.\n"
            'TEST_DATABASE = os.path.join(tempfile.gettempdir(), f"test-{os.getpid()}.sqlite3")\n'
            "DATABASES = {\n"
            "    **DATABASES,\n"
            '    "default": {**DATABASES["default"], "TEST": {"NAME": TEST_DATABASE}},\n'
            "}"
        }
    if engine in ("postgresql", "mysql"):
        return {
            "database": "# Where the tests' server is, if somebody says so: the CI does.\n"
            "SERVER = {\n"
            '    name: os.environ[f"TEST_DB_{name}"]\n'
            '    for name in ("HOST", "PORT", "USER", "PASSWORD")\n'
            '    if f"TEST_DB_{name}" in os.environ\n'
            "}\n"
            'DATABASES = {**DATABASES, "default": {**DATABASES["default"], **SERVER}}'
        }
    return {}
