"""Everything that the map in CONTRIBUTING.md names exists: its rooms, and each step of the journey."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "pytest_backchannel"
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
SYMBOLS = sorted(set(re.findall(r"`([\w/]+\.py:[\w.]+)`", PAGE)))
FILES = sorted(set(re.findall(r"`((?:src|tests|docs|requirements)/[\w/.-]*)`", PAGE)))


def rooms() -> list[str]:
    """The first column of the map."""
    rows = re.findall(r"^\| (`[^|]+`) \|", PAGE, flags=re.MULTILINE)
    return [name for row in rows for name in re.findall(r"`([^`]+)`", row)]


def defined(body: list[ast.stmt]) -> dict[str, ast.stmt]:
    """What a module or a class defines, by name."""
    found: dict[str, ast.stmt] = {}
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            found[node.name] = node
        elif isinstance(node, ast.Assign):
            found |= {target.id: node for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found[node.target.id] = node
    return found


def exists(symbol: str) -> bool:
    path, _, dotted = symbol.partition(":")
    if not (SOURCE / path).is_file():
        return False
    body = ast.parse((SOURCE / path).read_text(encoding="utf-8")).body
    for name in dotted.split("."):
        node = defined(body).get(name)
        if node is None:
            return False
        body = getattr(node, "body", [])
    return True


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_the_symbol_exists(symbol):
    assert exists(symbol), f"CONTRIBUTING.md names `{symbol}`, which is not in src/pytest_backchannel"


@pytest.mark.parametrize("name", [*rooms(), *FILES])
def test_the_file_or_folder_exists(name):
    assert (SOURCE / name).exists() or (ROOT / name).exists(), f"CONTRIBUTING.md names `{name}`, which does not exist"


def test_the_map_has_every_room():
    inside = {path.name for path in SOURCE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    named = {name.split("/")[0] for name in rooms()}
    assert inside - {"__init__.py"} <= named


def test_the_journey_is_told_to_its_end():
    assert len(SYMBOLS) >= 30
    for step in ("Broker.publish", "Engine._deliver", "Execution.execute", "StrictLayer.group_send", "receive_json"):
        assert any(symbol.endswith(step) for symbol in SYMBOLS), step


@pytest.mark.parametrize(
    "symbol", ["nothing.py:it", "events.py:Nothing", "events.py:EventLog.nothing", "events.py:E.x"]
)
def test_what_does_not_exist_is_noticed(symbol):
    assert not exists(symbol)
