"""Which settings module a project has for what: by what its entry points name, and by the names of the files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import BackchannelError

_NAMED = re.compile(
    r"""DJANGO_SETTINGS_MODULE['"]\s*(?:,|\]\s*=)\s*(?:os\.(?:getenv|environ\.get)\([^,]*,\s*)?['"]([\w.]+)['"]"""
)
"""As ``os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")`` has it, and its like."""
# What a server imports comes before what a developer does.
_ENTRY_POINTS = ("asgi.py", "wsgi.py", "celery.py", "celery_app.py", "routing.py")
_PRODUCTION = ("production", "prod", "live", "prd", "deploy")
_BASE = ("base", "common", "defaults", "default", "shared")
_TESTS = ("test", "tests", "testing", "test_settings", "ci", "pytest")
_LOCAL = (*_TESTS, *_BASE, "local", "dev", "development", "debug", "staging", "example")


@dataclass(frozen=True, kw_only=True)
class SettingsModules:
    """The settings modules of a project.

    Attributes:
        production: what production runs with, such as ``config.settings.production``.
        origins: from which one the settings of the tests may import, the preferred one first.
        tests: the module for tests; it need not exist yet.
        tests_file: its file.
    """

    production: str
    origins: tuple[str, ...]
    tests: str
    tests_file: Path


def settings_modules(root: Path, given: str | None, used_by_pytest: str | None) -> SettingsModules:
    """Find them.

    Args:
        root: the folder of ``manage.py``.
        given: what the user says is production's.
        used_by_pytest: what pytest's configuration names already; None where it names none.

    Raises:
        BackchannelError: no settings module is named anywhere, or the file of one is missing.
    """
    named = [given] if given else list(_named(root))
    if not named:
        raise BackchannelError(
            "found no settings module: neither manage.py nor an asgi.py, wsgi.py or celery.py sets "
            "DJANGO_SETTINGS_MODULE to a name; say which production runs with: --settings config.settings.production"
        )
    first = _file_of(root, named[0])
    if first is None:
        said = "--settings" if given else "DJANGO_SETTINGS_MODULE, as manage.py and its like have it:"
        raise BackchannelError(
            f"{said} {named[0]!r}: there is no {_path(root, named[0]).relative_to(root)} in {root}; give the module "
            "that production runs with, as Python imports it from the folder of manage.py: --settings config.settings"
        )
    package, folder = _package_of(named[0], first)
    production = given or _production(package, folder, named)
    if package is None:
        # One module for all. A sibling may be the tests' already.
        parent, _, stem = production.rpartition(".")
        names = (f"{stem}_test", f"test_{stem}", f"{stem}_tests", f"{stem}_testing", f"{stem}_ci")
        tests = next((name for name in names if (folder / f"{name}.py").exists()), names[0])
        origins: tuple[str, ...] = (production,)
        module = f"{parent}.{tests}" if parent else tests
    else:
        tests = next((name for name in _TESTS if (folder / f"{name}.py").exists()), _TESTS[0])
        bases = [f"{package}.{name}" for name in _BASE if (folder / f"{name}.py").exists()]
        origins = tuple(dict.fromkeys([*bases, production]))
        module = f"{package}.{tests}"
    file = folder / f"{tests}.py"
    if used_by_pytest and used_by_pytest != module and not _is_shared(used_by_pytest, production, origins):
        own = _file_of(root, used_by_pytest)
        if own is not None:
            module, file = used_by_pytest, own
    return SettingsModules(production=production, origins=origins, tests=module, tests_file=file)


def _is_shared(module: str, production: str, origins: tuple[str, ...]) -> bool:
    return module == production or module in origins


def _named(root: Path) -> Iterator[str]:
    files = [path for name in _ENTRY_POINTS for pattern in (f"*/{name}", f"*/*/{name}") for path in root.glob(pattern)]
    for file in [*sorted(files, key=lambda path: _ENTRY_POINTS.index(path.name)), root / "manage.py"]:
        try:
            text = file.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        for match in _NAMED.finditer(text):
            if _file_of(root, match[1]) is not None:
                yield match[1]


def _path(root: Path, module: str) -> Path:
    return root.joinpath(*module.split(".")).with_suffix(".py")


def _file_of(root: Path, module: str) -> Path | None:
    file = _path(root, module)
    package = file.with_suffix("") / "__init__.py"
    return next((one for one in (file, package) if one.is_file()), None)


def _package_of(module: str, file: Path) -> tuple[str | None, Path]:
    """The package of several settings modules, if it is one, and the folder in which the tests' module belongs."""
    if file.name == "__init__.py":
        return module, file.parent
    parent = module.rpartition(".")[0]
    siblings = {one.stem for one in file.parent.glob("*.py")}
    is_one_of_several = "settings" in parent.rpartition(".")[2] or (
        len(siblings & {*_BASE, *_PRODUCTION}) > 0 and file.stem in {*_LOCAL, *_PRODUCTION}
    )
    return (parent if parent and is_one_of_several else None), file.parent


def _production(package: str | None, folder: Path, named: list[str]) -> str:
    if package is None:
        return named[0]
    for name in _PRODUCTION:
        if (folder / f"{name}.py").exists():
            return f"{package}.{name}"
    deployed = [name for name in named if name.rpartition(".")[2] not in _LOCAL]
    return (deployed or named)[0]
