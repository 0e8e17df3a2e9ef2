"""The five levels as a picture: a Sphinx extension that draws the table of explanation/five-levels.md.

The directive ``{levels}`` gives two pictures in SVG, one for wide pages and one for narrow ones, with the theme's own
colours (in light and dark), text that can be selected, and a description for those who can't see it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx

TABLE = Path(__file__).parent / "explanation" / "five-levels.md"

# How wide a character is, as a part of the font's size, at most; and a line's height.
BOLD, PLAIN, MONO, LINE = 0.6, 0.54, 0.53, 1.4
FONT = 14

STYLE = """
<style>
.levels { display: block; width: 100%; height: auto; margin: 1rem 0; color: var(--color-foreground-primary, inherit); }
.levels text { fill: currentColor; font-size: 14px; }
.levels .name { font-weight: bold; }
.levels .tool { font-family: var(--font-stack--monospace, monospace); font-size: 12px; }
.levels .cost { fill: var(--color-foreground-secondary, currentColor); font-size: 13px; }
.levels rect { fill: var(--color-brand-primary, currentColor); }
.levels-narrow { display: none; max-width: 26rem; }
@media (max-width: 46rem) { .levels-wide { display: none; } .levels-narrow { display: block; } }
</style>
"""


@dataclass(frozen=True)
class Level:
    """One row of the table."""

    name: str
    question: str
    tools: tuple[str, ...]
    cost: str


@dataclass(frozen=True)
class Line:
    """A line of text in a step, of one of the classes of the style."""

    kind: str
    text: str


def read_levels(page: str) -> list[Level]:
    """The rows of the table of the levels.

    Raises:
        ValueError: the page has no table of four columns, or no tool in one of its rows.
    """
    rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in page.splitlines() if "|" in line]
    if len(rows) < 3 or any(len(row) != 4 for row in rows):
        raise ValueError("there is no table of four columns: Level, Question, Tool, Cost")
    levels = []
    for name, question, tool, cost in rows[2:]:
        # A marker's fixtures stand beside it, and a picture has no room for arguments.
        found = [name for name in re.findall(r"`([^`]+)`", tool) if not name.startswith("@")]
        tools = [re.sub(r"\(.*", "()", name) for name in found]
        if not tools:
            raise ValueError(f"the level {name!r} names no tool in backquotes")
        levels.append(Level(name, question.replace("*", ""), tuple(tools[:2]), cost))
    return levels


def draw(levels: list[Level], *, narrow: bool = False) -> str:
    """The picture as SVG: a stair that climbs to the right, or, where the page is narrow, one that grows downwards."""
    kind = "narrow" if narrow else "wide"
    steps, width, height = _grow_down(levels) if narrow else _climb(levels)
    title = "Five levels of test, each nearer to production than the one before"
    told = " ".join(f"{n}: {lv.name}. {lv.question} {lv.tools[0]}; {lv.cost}." for n, lv in enumerate(levels, 1))
    return (
        f'<svg class="levels levels-{kind}" viewBox="0 0 {width} {height}" role="img" '
        f'aria-labelledby="levels-{kind}-title levels-{kind}-text" xmlns="http://www.w3.org/2000/svg">'
        f'<title id="levels-{kind}-title">{escape(title)}</title>'
        f'<desc id="levels-{kind}-text">{escape(told)}</desc>{"".join(steps)}</svg>'
    )


def _climb(levels: list[Level], *, column: int = 148, gap: int = 6, rise: int = 26) -> tuple[list[str], int, int]:
    texts = [_lines(level, column - 20) for level in levels]
    # So high that each has room for its text, and is higher than the one before.
    base = max(_height(lines) - number * rise for number, lines in enumerate(texts))
    total = base + (len(levels) - 1) * rise
    steps = []
    for number, lines in enumerate(texts):
        height = base + number * rise
        steps.append(_step(number, number * (column + gap), total - height, column, height, lines))
    return steps, len(levels) * (column + gap) - gap, total


def _grow_down(levels: list[Level], *, width: int = 340, gap: int = 6, grow: int = 22) -> tuple[list[str], int, int]:
    steps, top = [], 0
    for number, level in enumerate(levels):
        wide = width - (len(levels) - 1 - number) * grow
        lines = _lines(level, wide - 20)
        steps.append(_step(number, 0, top, wide, _height(lines), lines))
        top += _height(lines) + gap
    return steps, width, top - gap


def _lines(level: Level, width: int) -> list[Line]:
    def folded(kind: str, text: str, part: float) -> list[Line]:
        return [Line(kind, line) for line in wrap(text, int(width / (FONT * part)), break_long_words=False)]

    return [
        *folded("name", level.name, BOLD),
        *folded("question", level.question, PLAIN),
        *(line for tool in level.tools for line in folded("tool", _foldable(tool, width), MONO)),
        Line("cost", level.cost),
    ]


def _foldable(tool: str, width: int) -> str:
    """A dotted name that is too long for one line, parted before its last dot."""
    head, dot, tail = tool.rpartition(".")
    return f"{head} {dot}{tail}" if head and len(tool) * FONT * MONO > width else tool


def _height(lines: list[Line]) -> int:
    return round(len(lines) * FONT * LINE) + 20


def _step(number: int, x: int, y: int, width: int, height: int, lines: list[Line]) -> str:
    baselines = [round(y + 8 + (row + 0.8) * FONT * LINE) for row in range(len(lines))]
    texts = "".join(
        f'<text class="{line.kind}" x="{x + 10}" y="{baseline}">{escape(line.text)}</text>'
        for line, baseline in zip(lines, baselines, strict=True)
    )
    tint = 0.08 + 0.05 * number
    return f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="4" fill-opacity="{tint:.2f}"/>{texts}'


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the directive; what Sphinx calls."""
    from docutils import nodes
    from sphinx.util.docutils import SphinxDirective

    class LevelsDirective(SphinxDirective):
        def run(self) -> list[nodes.Node]:
            for file in (TABLE, Path(__file__)):
                self.env.note_dependency(str(file))
            levels = read_levels(TABLE.read_text(encoding="utf-8"))
            html = STYLE + draw(levels) + draw(levels, narrow=True)
            return [nodes.raw("", html, format="html")]

    app.add_directive("levels", LevelsDirective)
    return {"version": "1", "parallel_read_safe": True}
