"""What rules say of the project as production has it: its settings are read in child processes, as for the report."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..errors import InventoryFailed
from ..inventory.child_process import TIME_LIMIT, asgi_inventory_of, celery_inventory_of
from ..inventory.findings.finding import Finding, Production
from ..inventory.findings.judge import findings
from ..source.files import python_files
from .diagnostic import Diagnostic
from .pytest_configuration import names_of, words_of
from .rule import Rule
from .rule_table import RULES

SETTING = "backchannel_production_settings"


@dataclass(frozen=True, kw_only=True)
class ProductionResult:
    """What was found.

    Attributes:
        diagnostics: at the settings module, by their rules' codes.
        skipped: why some rules, or all of them, could not look; empty where all have.
    """

    diagnostics: tuple[Diagnostic, ...] = ()
    skipped: str = ""


def needs_production(rule: Rule) -> bool:
    """Whether a rule looks at production, beside the code or alone."""
    return bool(rule.finding) or type(rule).of_production is not Rule.of_production


def check_production(
    root: Path,
    configuration: Mapping[str, str],
    *,
    settings: str = "",
    known: Sequence[Diagnostic] = (),
    time_limit: float = TIME_LIMIT,
) -> ProductionResult:
    """Read production's settings, tasks and routes, and let the rules judge.

    Args:
        root: the project's folder.
        configuration: what pytest is configured with.
        settings: the settings module of production; empty takes the one that the configuration names.
        known: what the code has shown already, which is not said again.
        time_limit: how long each child process may take, in seconds.
    """
    settings = settings or configuration.get(SETTING, "")
    if not settings:
        return ProductionResult(skipped=f"production's settings are not named: {SETTING} = config.settings.production")
    if importlib.util.find_spec("django") is None:
        return ProductionResult(skipped="Django is not installed beside this command, so the project can't be imported")
    with _importable(root, configuration):
        production, failed, reasons = _production(settings, configuration, time_limit)
    place = _path_of(root, settings)
    said = [
        Diagnostic(path=place, line=1, column=1, end_line=1, code=code, message=message)
        for code, message in (*failed, *_judged(production, configuration))
    ]
    return ProductionResult(
        diagnostics=tuple(one for one in dict.fromkeys(said) if not _is_known(one, known)), skipped="; ".join(reasons)
    )


@contextmanager
def _importable(root: Path, configuration: Mapping[str, str]) -> Generator[None]:
    """The child processes import what this one could: the project's folder, its ``src``, pytest's ``pythonpath``."""
    folder = root.resolve() if root.is_dir() else root.resolve().parent
    added = [str(folder / one) for one in (".", "src", *configuration.get("pythonpath", "").split())]
    before = list(sys.path)
    sys.path[:0] = [one for one in added if Path(one).is_dir()]
    try:
        yield
    finally:
        sys.path[:] = before


def _production(
    settings: str, configuration: Mapping[str, str], time_limit: float
) -> tuple[Production, list[tuple[str, str]], list[str]]:
    """What is known; what could not be imported, by the code of its rule; and why there may be more."""
    celery, asgi = None, None
    failed: list[tuple[str, str]] = []
    reasons: list[str] = []
    configured = configuration.get("backchannel_celery_app", "")
    tests_settings = configuration.get("DJANGO_SETTINGS_MODULE", "")
    if importlib.util.find_spec("celery") is not None:
        try:
            celery = celery_inventory_of(
                settings, configured=configured, tests_settings=tests_settings, time_limit=time_limit
            )
        except InventoryFailed as error:
            if not error.environment:
                failed += [(rule.code, str(error)) for rule in RULES if rule.finding == "celery_import"]
            elif error.why != "NoCeleryApp":
                reasons.append(str(error))
    try:
        asgi = asgi_inventory_of(settings, configured=configured, tests_settings=tests_settings, time_limit=time_limit)
    except InventoryFailed as error:
        reasons.append(str(error))
    known = [one for one in (celery, asgi) if one is not None]
    reasons += dict.fromkeys(reason for one in known for reason in one.unknown)
    queues = words_of(configuration, "backchannel_worker_queues")
    # The settings themselves, mostly: once is enough.
    return Production(celery=celery, asgi=asgi, worker_queues=queues), failed, list(dict.fromkeys(reasons))[:1]


def _judged(production: Production, configuration: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    allowed = names_of(configuration, "backchannel_settings_allow")
    found: list[Finding] = findings(production)
    for rule in RULES:
        if rule.finding in allowed:
            continue
        for one in found:
            if one.name == rule.finding:
                yield rule.code, one.text.partition(" Fix: ")[0].rstrip(".")
        for message in rule.of_production(production):
            yield rule.code, message


def _is_known(one: Diagnostic, known: Sequence[Diagnostic]) -> bool:
    """Whether the code has shown the same: of what has a name, such as a beat entry, that has to be the same."""
    same = [each for each in known if each.code == one.code]
    name = one.message.split("'")[1:2]
    return any(not name or f"'{name[0]}'" in each.message or "'" not in each.message for each in same)


def _path_of(root: Path, module: str) -> str:
    for file in python_files(root):
        if file.module == module:
            return file.relative
    return f"{module.replace('.', '/')}.py"
