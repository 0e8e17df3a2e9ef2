"""The colours of the page, light and dark, have the contrast of WCAG AA."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

CSS = files("pytest_backchannel.questions.report.page").joinpath("page.css").read_text(encoding="utf-8")
COLOURS = {name: both for name, *both in re.findall(r"--(\w+): light-dark\((#\w{6}), (#\w{6})\)", CSS)}
TEXT = ("ink", "soft", "link", "open", "reached", "unknown")
GROUNDS = ("paper", "raised", "code")


def luminance(colour):
    def linear(part):
        value = int(part, 16) / 255
        return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4

    red, green, blue = (linear(colour[at : at + 2]) for at in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_can_be_read(scheme):
    pairs = [(text, ground) for text in TEXT for ground in GROUNDS] + [("ink", "here"), ("soft", "here")]
    low = {pair: contrast(*(COLOURS[name][scheme] for name in pair)) for pair in pairs}
    assert {pair: round(value, 2) for pair, value in low.items() if value < 4.5} == {}


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("name", ["edge", "link", "open", "reached"])
def test_edges_and_marks_can_be_seen(scheme, name):
    assert contrast(COLOURS[name][scheme], COLOURS["paper"][scheme]) >= 3


def test_no_colour_stands_elsewhere():
    rest = re.sub(r"--\w+: light-dark\(.*\);", "", CSS)
    assert re.findall(r"#[0-9a-f]{3,8}\b(?=[;,)\s])", rest) == []
