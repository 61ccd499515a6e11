from __future__ import annotations

import itertools
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from skelbench.widgets import palette, svg

WHITE, DARK = "#ffffff", "#111111"
# Machado, Oliveira, Fernandes (2009), severity 1, linear RGB
BLINDNESS = {
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
}


def linear(colour: str) -> np.ndarray:
    c = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ np.clip(rgb, 0, 1)
    f = np.cbrt(xyz / [0.9505, 1.0, 1.089])
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def test_words_and_lines_read_on_white_and_on_a_dark_page():
    assert palette.contrast("#000000", WHITE) == pytest.approx(21)
    assert min(palette.contrast(palette.TEXT, ground) for ground in (WHITE, DARK)) > 4
    for colour in (palette.LEFT, palette.RIGHT, palette.MIDDLE, palette.LINE, *palette.CLASSES, *palette.RAMP):
        assert min(palette.contrast(colour, ground) for ground in (WHITE, DARK)) > 2.3, colour


@pytest.mark.parametrize("kind", [None, *BLINDNESS])
def test_classes_and_sides_differ_for_every_eye(kind):
    eye = np.eye(3) if kind is None else np.array(BLINDNESS[kind])
    for one, two in [*itertools.combinations(palette.CLASSES[:7], 2), (palette.LEFT, palette.RIGHT), (palette.GOOD, palette.BAD)]:
        assert np.linalg.norm(lab(eye @ linear(one)) - lab(eye @ linear(two))) > 15, (kind, one, two)


def test_forty_two_classes_before_a_sign_stands_twice():
    codes = np.arange(42)
    signs = list(zip(palette.class_colours(codes), palette.class_shapes(codes), strict=True))
    assert len(set(signs)) == 42
    assert palette.class_colours(np.array([-1])) == [palette.CLASSES[-1]]


def test_text_is_escaped_and_documents_are_well_formed():
    nasty = "<script>alert(\"1\")</script> & 'x'"
    drawn = svg.document(10, 20, [svg.text(1, 2, nasty), svg.tag("g", svg.tag("rect", id=nasty, x=1.25))], title=nasty)
    root = ET.fromstring(drawn)
    assert [e.text for e in root.iter("{http://www.w3.org/2000/svg}text")] == [nasty]
    assert root.find("{http://www.w3.org/2000/svg}title").text == nasty
    assert "<script" not in drawn


def test_paths_break_where_a_point_is_missing():
    drawn = svg.path([(0, 0), (1, 1), (np.nan, 0), (2, 2), (3, 3)], stroke="#000")
    assert 'd="M0 0L1 1M2 2L3 3"' in drawn
    assert svg.path([(np.nan, 1)]) == ""
    assert svg.dots(np.zeros((0, 2)), colour="#000") == ""
    assert svg.dots(np.array([[1, 2], [3.14, 4]]), colour="#000").count("h0") == 2
    drawn = {shape: svg.dots(np.array([[1, 2]]), colour="#000", size=6, shape=shape) for shape in palette.SHAPES}
    assert len(set(drawn.values())) == len(palette.SHAPES) and 'd="M1 2m0-4l4 4-4 4-4-4z"' in drawn["diamond"]
    assert [svg.number(x) for x in (1.0, -0.04, 2.26)] == ["1", "0", "2.3"]
