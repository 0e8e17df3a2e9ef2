"""The results, kept as JSON from run to run, and the page of the docs that shows them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from .edits import REFACTORING, Change
from .measure import COLUMNS, Measured

FORMAT = 1
RACE = "race"
PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "what-the-suites-catch.md"
KINDS = {
    "retry": "retries and failures",
    "enqueue": "the call site",
    "worker": "the worker: acknowledging, expiry, eta, state",
    "canvas": "chains, chords, errbacks",
    "beat": "the schedule",
    "consumer": "consumers",
    "routing": "routes and middleware",
    "layer": "the channel layer",
    "settings": "settings",
    RACE: "two at once",
}
HEAD = """# What the suites catch

How good is a suite that was written in this or that way? {bugs} bugs of the kind that pages people at night, each a
small edit of [the example project](../tutorial.md), say it in figures: a retry that comes at once, a group that nobody
joins, a setting that only production has. {calm} refactorings beside them change nothing, and must stay green.
`make corpus` makes the edits one after another and runs the suites on each; this page is what came of it.

- **U** is the usual Django suite: models, views, tasks called as functions or in eager mode.
- **A** is the practice by hand that this project [grew from](article-map.md): eager bodies, `patch(…delay)`, Channels'
  communicators, one test with Celery's own worker in a thread. Neither knows the plugin.
- **U strict**, **A strict**: the same files, unchanged, with the plugin installed, `backchannel_strict = true`, and the
  settings of production named.
- **example**, **example strict**: the example's own tests, which are written with the fixtures, without those that need
  a real broker.

A bug counts as caught where a test fails, or where the plugin says something (a warning, a line of its summary) that it
does not say of the example as it is. Those of *two at once* are interleavings of two workers or requests, which no test
of these suites plays: they are counted apart.

"""
LATER_HEAD = """
### Written later

Of the same kinds, and written after the tests, which were not changed for them: the figure as it is.

"""
CALM_HEAD = """
## The refactorings

All must stay green. A test by hand, `patch(…delay)`, sees how a call is spelt, and goes red where that alone has
changed.

"""


def load(file: Path) -> dict[str, Any]:
    """The kept results by name of the change; none where there is no such file, or of another format."""
    kept = json.loads(file.read_text()) if file.exists() else {}
    return kept.get("changes", {}) if kept.get("format") == FORMAT else {}


def keep(file: Path, kept: dict[str, Any], measured: Measured) -> None:
    """Add one to the results, and write them."""
    change = measured.change
    entry = kept.setdefault(change.name, {"verdicts": {}})
    entry |= {"kind": change.kind, "why": change.why, "later": change.later, "files": sorted(change.causes())}
    entry["verdicts"] |= {column: found.as_json() for column, found in measured.verdicts.items()}
    write(file, kept)


def write(file: Path, kept: dict[str, Any]) -> None:
    """Write results, one change a line, so that a change of theirs can be read."""
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"{json.dumps(name)}: {json.dumps(entry, sort_keys=True)}" for name, entry in sorted(kept.items())]
    file.write_text(f'{{"format": {FORMAT}, "changes": {{\n' + ",\n".join(lines) + "\n}}\n")


def no_longer(now: dict[str, Any], before: dict[str, Any]) -> list[str]:
    """What was caught when the results were published, and is not caught now: ``name: column``."""
    return [
        f"{name}: {column}"
        for name, entry in now.items()
        for column, verdict in entry["verdicts"].items()
        if entry["kind"] != REFACTORING
        and not _caught(verdict)
        and _caught(before.get(name, {}).get("verdicts", {}).get(column))
    ]


def figures(changes: Iterable[Change], kept: dict[str, Any]) -> str:
    """How many bugs each suite catches, by kind."""
    bugs = [change for change in changes if change.is_bug]
    groups = [(KINDS[kind], [bug for bug in bugs if bug.kind == kind and not bug.later]) for kind in KINDS]
    first = [bug for bug in bugs if not bug.later]
    groups += [
        ("**all**", first),
        ("**all but two at once**", [bug for bug in first if bug.kind != RACE]),
        ("**written later**", [bug for bug in bugs if bug.later]),
    ]
    columns = [column for column in COLUMNS if any(column in entry["verdicts"] for entry in kept.values())]
    rows = [
        [title, str(len(group)), *(_share(group, kept, column) for column in columns)]
        for title, group in groups
        if group
    ]
    return _table(["Kind", "Bugs", *columns], rows)


def _share(bugs: list[Change], kept: dict[str, Any], column: str) -> str:
    found = [kept[bug.name]["verdicts"][column] for bug in bugs if column in kept.get(bug.name, {}).get("verdicts", {})]
    if not found:
        return "–"
    caught = sum(verdict["red"] or verdict["told"] for verdict in found)
    return f"{caught} ({caught / len(found):.0%})" + ("" if len(found) == len(bugs) else f" of {len(found)}")


def detail(changes: Iterable[Change], kept: dict[str, Any], chosen: Callable[[Change], bool]) -> str:
    """One row for each change: what each suite made of it."""
    rows = []
    for change in changes:
        verdicts = kept.get(change.name, {}).get("verdicts", {})
        if not chosen(change) or not verdicts:
            continue
        best = next((verdicts[column] for column in reversed(COLUMNS) if _caught(verdicts.get(column))), None)
        rows.append(
            [
                f"`{change.name}`: {_escaped(change.why)}",
                *(_mark(verdicts.get(column)) for column in COLUMNS),
                _by(best),
                "–" if best is None else "yes" if best["names_cause"] else "no",
            ]
        )
    return _table(["Change", *COLUMNS, "By", "Names the cause"], rows)


def _caught(verdict: dict[str, Any] | None) -> bool:
    return bool(verdict and (verdict["red"] or verdict["told"]))


def _mark(verdict: dict[str, Any] | None) -> str:
    if verdict is None:
        return "?"
    return "fails" if verdict["red"] else "told" if verdict["told"] else "–"


def _by(verdict: dict[str, Any] | None) -> str:
    if verdict is None:
        return "–"
    slugs = ", ".join(f"`{slug}`" for slug in verdict["slugs"])
    if not verdict["red"]:
        return slugs or _cell(verdict["by"][0][:120])
    test = verdict["by"][0].split("[", 1)[0].rsplit("/", 1)[-1]
    return f"{slugs} in {_cell(test)}" if slugs else _cell(test)


def _cell(text: str) -> str:
    return f"`{_escaped(text)}`"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def write_page(changes: list[Change], kept: dict[str, Any]) -> None:
    """Write the page of the docs."""
    bugs = [change for change in changes if change.is_bug]
    text = HEAD.format(bugs=len(bugs), calm=len(changes) - len(bugs))
    text += "## The figures\n\n" + figures(changes, kept) + "\n\n"
    text += "## Each bug\n\nThe last two columns are about the rightmost suite that catches it.\n"
    for kind, title in KINDS.items():
        text += f"\n### {title[0].upper()}{title[1:]}\n\n"
        text += detail(changes, kept, lambda change, kind=kind: change.kind == kind and not change.later) + "\n"
    if any(change.later for change in bugs):
        text += LATER_HEAD + detail(changes, kept, lambda change: change.later) + "\n"
    text += CALM_HEAD + detail(changes, kept, lambda change: change.kind == REFACTORING) + "\n"
    PAGE.write_text(text)
