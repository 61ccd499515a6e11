"""Still pictures: PNG bytes, colours of a table, lines of a chart."""

import base64
import re
import struct
import xml.etree.ElementTree as ET
import zlib

import numpy as np
import pytest

from skelbench.errors import ConfigError
from skelbench.widgets.palette import RAMP
from skelbench.widgets.still import Chart, Still, charts, heat, png

SVG = "{http://www.w3.org/2000/svg}"


def pixels(data):
    """Read back an 8-bit RGB PNG without filters."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, found = 8, {}
    while at < len(data):
        (size,) = struct.unpack(">I", data[at : at + 4])
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
        assert struct.unpack(">I", data[at + 8 + size : at + 12 + size])[0] == zlib.crc32(kind + body)
        found[kind], at = body, at + 12 + size
    columns, rows, depth, colour = struct.unpack(">IIBB", found[b"IHDR"][:10])
    assert (depth, colour) == (8, 2) and b"IEND" in found
    raw = np.frombuffer(zlib.decompress(found[b"IDAT"]), np.uint8).reshape(rows, 1 + 3 * columns)
    assert not raw[:, 0].any()
    return raw[:, 1:].reshape(rows, columns, 3)


def shown(picture):
    return pixels(base64.b64decode(re.search(r"base64,([^\"]+)", picture)[1]))


def test_png_holds_the_pixels():
    given = np.random.default_rng(0).integers(0, 256, (5, 3, 3), dtype=np.uint8)
    assert np.array_equal(pixels(png(given)), given)


def test_heat_runs_through_the_ramp_from_least_to_most():
    colours = [[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in RAMP]
    values = np.linspace(-2, 2, len(RAMP))[None]
    assert shown(heat(values, 0, 0, 9, 9, most=2.0)).tolist() == [colours]
    assert shown(heat(np.array([[0.0, 5.0, -5.0, np.nan]]), 0, 0, 9, 9, most=1.0, least=0.0)).tolist() == [
        [colours[0], colours[-1], colours[0], colours[0]]
    ]
    half = shown(heat(np.array([[0.1]]), 0, 0, 9, 9, most=1.0, least=0.0))[0, 0]
    assert half.tolist() == [round((a + b) / 2) for a, b in zip(colours[0], colours[1], strict=True)]


def test_charts_draw_every_line_where_its_numbers_are():
    one = Chart(title="agree < & >", x=[0, 1, 2], lines={"up": [0.0, 1.0, 2.0], "gap": [1.0, np.nan, 1.0]}, levels={"chance": 0.5})
    made = charts([one, Chart(title="two", x=[0, 5], lines={"flat": [3.0, 3.0]}, levels={})], columns=2)
    assert isinstance(made, Still) and made._repr_svg_() == made.svg
    assert repr(made) == "Still(agree < & >; two)" and repr(Still(svg="<svg/>")) == "Still()"
    root = ET.fromstring(made.svg)
    words = [t.text for t in root.iter(f"{SVG}text")]
    assert {"agree < & >", "up", "gap", "chance", "two", "flat"} <= set(words)
    lines = [p.get("d") for p in root.iter(f"{SVG}path") if p.get("stroke-width") == "2"]
    up = [tuple(map(float, pair.split())) for pair in re.findall(r"[\d.]+ [\d.]+", lines[0])]
    assert up[0][0] < up[1][0] < up[2][0] and up[0][1] > up[1][1] > up[2][1]
    assert up[1][1] == pytest.approx((up[0][1] + up[2][1]) / 2, abs=0.1)
    assert lines[1].count("M") == 2  # broken where the number is missing
    places = [float(t.get("y")) for t in root.iter(f"{SVG}text") if t.text in ("up", "gap", "chance")]
    assert min(abs(a - b) for i, a in enumerate(places) for b in places[:i]) >= 11.9  # names do not cover each other


def test_it_is_saved_as_a_file(tmp_path):
    path = Still(svg="<svg/>").save(tmp_path / "a.svg")
    assert path.read_text() == "<svg/>"


@pytest.mark.parametrize("lines", [{}, {"short": [1.0]}])
def test_lines_that_do_not_fit_are_told(lines):
    with pytest.raises(ConfigError, match="'odd': wanted lines of 2 points"):
        Chart(title="odd", x=[0, 1], lines=lines, levels={})
