"""The picture on the front page of the documentation: drawn from the table, readable, and told in words."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

DOCS = Path(__file__).parents[2] / "docs"
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def levels(monkeypatch):
    spec = importlib.util.spec_from_file_location("docs_levels", DOCS / "levels.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_the_table_is_read(levels):
    found = levels.read_levels(levels.TABLE.read_text(encoding="utf-8"))
    assert [level.name for level in found] == [
        "body",
        "call site",
        "worker, in process",
        "worker, for real",
        "deployed",
    ]
    assert found[1].tools == ("task_queue.assert_enqueued()",)
    assert found[3].tools == ("redis_server", "rabbitmq_server")  # the marker is none


@pytest.mark.parametrize("narrow", [False, True])
def test_each_text_is_in_its_step_and_the_whole_is_told(levels, narrow):
    found = levels.read_levels(levels.TABLE.read_text(encoding="utf-8"))
    picture = ElementTree.fromstring(levels.draw(found, narrow=narrow))
    _, _, width, height = map(int, picture.get("viewBox").split())
    steps = picture.findall(f"{SVG}rect")
    assert len(steps) == 5
    boxes = [tuple(int(step.get(name)) for name in ("x", "y", "width", "height")) for step in steps]
    assert all(x + w <= width and y + h <= height for x, y, w, h in boxes)
    for text in picture.findall(f"{SVG}text"):
        x, y = int(text.get("x")), int(text.get("y"))
        [box] = [box for box in boxes if box[0] <= x < box[0] + box[2] and box[1] <= y <= box[1] + box[3]]
        part = {"name": levels.BOLD, "tool": levels.MONO}.get(text.get("class"), levels.PLAIN)
        assert x + len(text.text) * levels.FONT * part <= box[0] + box[2], text.text
    told = {picture.find(f"{SVG}title").get("id"), picture.find(f"{SVG}desc").get("id")}
    assert set(picture.get("aria-labelledby").split()) == told
    assert all(level.question in picture.find(f"{SVG}desc").text for level in found)


def test_a_table_that_cannot_be_drawn_says_why(levels):
    with pytest.raises(ValueError, match="no table of four columns"):
        levels.read_levels("# Five levels\n\nNone.\n")
    with pytest.raises(ValueError, match="the level 'body' names no tool"):
        levels.read_levels("| L | Q | T | C |\n|---|---|---|---|\n| body | what? | none | 1 |\n")


def test_the_readme_has_the_same_levels(levels):
    readme = (DOCS.parent / "README.md").read_text(encoding="utf-8")
    for level in levels.read_levels(levels.TABLE.read_text(encoding="utf-8")):
        assert f"\n| {level.name} | " in readme
