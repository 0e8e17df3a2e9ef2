"""What is told of the settings of production at the end of a run, and whether it fails the run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from ...options import options_of
from .fresh_worker import child_arguments, child_kinds, said_once

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ...inventory.child_process import Ahead
    from ...inventory.findings.finding import Finding, Production

_AHEAD: pytest.StashKey[Ahead] = pytest.StashKey()


@dataclass(frozen=True)
class Told:
    """What there is to tell.

    Attributes:
        findings: in the order of the rules.
        not_known: why there may be more, each in one line.
    """

    findings: Sequence[Finding]
    not_known: Sequence[str]


def begin(config: pytest.Config) -> None:
    """Where the project names its settings of production, begin to read them beside the tests."""
    settings = options_of(config).production_settings
    if not settings or config.getoption("collectonly", False):
        return
    given = child_arguments(config)
    if given["folder"] is None:
        return
    from ...inventory.child_process import Ahead

    config.stash[_AHEAD] = Ahead(settings, kinds=child_kinds(), **given)


def end(config: pytest.Config) -> None:
    """End what still reads."""
    ahead = config.stash.get(_AHEAD, None)
    if ahead is not None:
        ahead.end()


def tell(config: pytest.Config) -> Told:
    """What the settings of production would do; nothing where the project does not name them."""
    options = options_of(config)
    if not options.production_settings:
        return Told((), ())
    from ...inventory.findings.finding import FINDINGS, Finding
    from ...inventory.findings.judge import findings

    production, failed, not_known = _production(config)
    found = [
        Finding(name=name, text=text, traceback=traceback)
        for name, text, traceback in failed
        if name in FINDINGS and name not in options.settings_allow
    ]
    return Told([*found, *findings(production, options.settings_allow)], not_known)


def _production(config: pytest.Config) -> tuple[Production, list[tuple[str, str, Sequence[str]]], list[str]]:
    """What is known; what could not be imported, as a finding; and what is not known, in one line each."""
    from ...errors import InventoryFailed
    from ...inventory.child_process import asgi_inventory_of, celery_inventory_of
    from ...inventory.findings.finding import Production

    options, arguments = options_of(config), child_arguments(config)
    settings = options.production_settings
    celery, asgi = None, None
    failed: list[tuple[str, str, Sequence[str]]] = []
    not_known: list[str] = []
    if "celery" in child_kinds():
        try:
            celery = celery_inventory_of(settings, **arguments)
        except InventoryFailed as error:
            if not error.environment:
                text = f"a fresh process can't load the Celery app, and no worker starts: {error}"
                failed.append(("celery_import", text, error.traceback))
            elif error.why != "NoCeleryApp":
                not_known.append(said_once(error))
    try:
        asgi = asgi_inventory_of(settings, **arguments)
    except InventoryFailed as error:
        if not not_known:  # the settings themselves, mostly: that was said
            not_known.append(str(error))
    return Production(celery=celery, asgi=asgi, worker_queues=options.worker_queues), failed, not_known


def lines(told: Told, *, strict: bool) -> Iterator[str]:
    """What the summary says."""
    for finding in told.findings:
        yield f"{finding.name}: {finding.text}"
        yield from (f"    {line}" for line in finding.traceback)
    if told.findings:
        yield (
            "It fails the run (backchannel_strict). Intended? Say so with the ini option backchannel_settings_allow."
            if strict
            else "None of it failed the run; 'backchannel_strict = true' makes it."
        )
