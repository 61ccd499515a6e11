from __future__ import annotations

import json
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from skelbench.data.store import write_store
from skelbench.errors import ConfigError, DataError
from skelbench.skeleton.clip import Clip
from skelbench.skeleton.topology import topology
from skelbench.widgets import EmbeddingMap
from skelbench.widgets.columns import column

NAMES = ["wave", "<img src=x onerror=alert(1)>", "kick & run"]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    rng = np.random.default_rng(0)
    clips = [
        Clip(
            joints=rng.normal(size=(6, 1, 25, 3)).astype(np.float32),
            topology=topology("kinect_v2_25"),
            label=i % 3,
            id=f"S{i:02d}",
            about={"subject": i % 4, "camera": 1},
        )
        for i in range(12)
    ]
    return write_store(tmp_path_factory.mktemp("map") / "tiny", clips, classes=NAMES)


@pytest.fixture
def chart(store):
    points = np.random.default_rng(1).normal(size=(30, 2))
    rows = np.arange(30) % 12
    return EmbeddingMap(points, store=store, rows=rows, columns={"correct": rows % 2 > 0, "loss": np.linspace(0, 3, 30)})


def test_one_trace_whose_colours_follow_the_column(chart, store):
    assert list(chart.columns) == ["class", "subject", "correct", "loss"]  # one camera: nothing to colour by
    assert len(chart.figure.data) == 1
    trace = chart.figure.data[0]
    np.testing.assert_array_equal(trace.marker.color, store.labels[chart.rows])
    assert chart.key.key["entries"][1] == {"name": NAMES[1], "colour": "#e08e00", "shape": "circle", "count": 10}
    chart.colour = "loss"
    assert chart.colour == chart.menu.value == "loss" and chart.key.key["ends"] == ["0", "3"]
    np.testing.assert_allclose(chart.figure.data[0].marker.color, np.linspace(0, 3, 30), rtol=1e-6)
    chart.menu.value = "correct"
    assert [e["name"] for e in chart.key.key["entries"]] == ["no", "yes"]
    with pytest.raises(ConfigError, match="class, subject, correct, loss"):
        chart.colour = "nothing"


def test_hover_texts_are_escaped(chart):
    texts = "".join(chart.figure.data[0].text)
    assert "<img" not in texts and "&lt;img src=x" in texts and "kick &amp; run" in texts


def test_hover_plays_the_clip_and_rings_it(chart, store):
    chart.hover(17)
    assert chart.hovered == 17
    assert chart.player.clips[0].id == store.ids[5] and chart.player.titles == [f"{NAMES[2]} · S05"]
    chart._draw_ring()  # a timer does it
    ring = chart.figure.layout.shapes[0]
    assert (ring.xanchor, ring.yanchor) == tuple(chart.points[17])
    chart.key.hovered = 3  # what the page sends
    assert chart.hovered == 3
    with pytest.raises(ConfigError, match="30"):
        chart.hover(30)


def test_selection_by_numbers_mask_key_and_lasso(chart, store):
    heard = []
    chart.on_select(lambda s: heard.append(s.tolist()))
    chart.select([5, 2, 5])
    assert chart.selection.dtype == np.uint32 and chart.selection.tolist() == [2, 5]
    assert chart.figure.data[0].selectedpoints == (2, 5)
    assert [c.id for c in chart.chosen.clips] == ["S02", "S05"] and chart._below.children == (chart.chosen,)
    mask = store.labels[chart.rows] == 1
    chart.select(mask)
    np.testing.assert_array_equal(chart.mask, mask)
    assert len(chart.chosen.clips) == 4  # ten points, four different clips
    chart.key.picked = [0, 1]
    assert set(store.labels[chart.rows[chart.selection]]) == {0}
    chart._lassoed([7, 8, 9])
    assert chart.selection.tolist() == [7, 8, 9] and "3 of 30" in chart.status.value
    chart.select(None)
    assert len(chart.selection) == 0 and chart._below.children == () and chart.figure.data[0].selectedpoints is None
    chart._lassoed([])  # plotly's answer to an outline that was taken away
    assert heard == [[2, 5], np.flatnonzero(mask).tolist(), np.flatnonzero(store.labels[chart.rows] == 0).tolist(), [7, 8, 9], []]
    with pytest.raises(ConfigError, match="outside"):
        chart.select([30])


def test_the_empty_answer_after_an_outline_keeps_the_new_selection(chart):
    chart._lassoed([1, 2, 3])
    chart.select([4])
    chart._lassoed([])
    assert chart.selection.tolist() == [4] and chart.figure.data[0].selectedpoints == (4,)
    chart._lassoed([])  # this one a person did
    assert len(chart.selection) == 0


def test_a_selection_plays_at_most_eight_bodies(store):
    chart = EmbeddingMap(np.random.default_rng(0).normal(size=(12, 2)), store=store)
    chart.select(np.arange(12))
    assert len(chart.chosen.clips) == 8 and len({c.id for c in chart.chosen.clips}) == 8


def test_points_move_and_state_comes_back(chart, store):
    moved = chart.points[::-1]
    chart.hover(2)
    chart.points = moved
    np.testing.assert_allclose(chart.figure.data[0].x, moved[:, 0], rtol=1e-6)
    assert chart.figure._widget_data[0]["x"] is not None  # the page's copy is renewed for a reload
    chart.colour = "subject"
    chart.select([1, 2])
    state = json.loads(json.dumps(chart.state))
    other = EmbeddingMap(moved, store=store, rows=chart.rows)
    other.state = state
    assert other.state == chart.state == {"colour": "subject", "selection": [1, 2], "hovered": 2}
    with pytest.raises(DataError, match="29"):
        chart.points = moved[:29]


def test_a_reload_gets_the_present_figure_even_after_a_lasso(chart):
    from plotly.basedatatypes import Undefined

    chart.figure._layout["selections"] = [{"opacity": Undefined}]
    chart.colour = "correct"
    assert chart.figure._widget_data[0]["marker"]["cmax"] == 1.5
    assert chart.figure._widget_layout["selections"] == [{"opacity": 1.0}]


def test_the_still_picture(chart, tmp_path):
    bundle = chart._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    root = ET.fromstring(bundle["image/svg+xml"])
    space = "{http://www.w3.org/2000/svg}"
    texts = [t.text for t in root.iter(f"{space}text")]
    assert f"{NAMES[1]} (10)" in texts and "30 clips by class" in texts
    assert sum(p.get("d").count("h0") for p in root.iter(f"{space}path")) == 30 + 3  # and the key
    chart.colour = "loss"
    assert sum(p.get("d").count("h0") for p in ET.fromstring(chart.static()).iter(f"{space}path")) == 30
    assert chart.save_svg(tmp_path / "map.svg").stat().st_size > 500


def test_a_big_map_uses_webgl_and_its_picture_is_thinned():
    chart = EmbeddingMap(np.random.default_rng(0).normal(size=(7000, 2)), labels=np.arange(7000) % 60)
    assert chart.figure.data[0].type == "scattergl" and chart.player is None
    assert len(chart.static()) < 120_000
    assert len(set(zip(*([e[k] for e in chart.key.key["entries"]] for k in ("colour", "shape")), strict=True))) == 42


def test_columns_of_every_kind():
    words = column("w", ["b", "a", "b"], 3)
    assert words.names == ("a", "b") and words.values.tolist() == [1, 0, 1] and words.words(0) == "b"
    few = column("f", np.array([7, -1, 3]), 3)
    assert few.names == ("3", "7") and few.values.tolist() == [1, -1, 0] and few.words(1) == "unknown"
    assert not column("many", np.arange(100), 100).categorical
    number = column("n", np.array([0.5, np.nan, 1.0]), 3)
    assert not number.categorical and number.marker()["cmin"] == 0.5 and number.words(0) == "0.5"
    with pytest.raises(DataError, match="one value for each of 4"):
        column("x", [1, 2, 3], 4)
    with pytest.raises(DataError, match="numbers of the 2 names"):
        column("x", np.array([0, 2]), 2, names=["a", "b"])
    unknown = column("class", np.array([-1, 0]), 2, names=["a"]).marker()
    scale = dict((round(k, 6), c) for k, c in unknown["colorscale"])
    assert unknown["cmin"] == -1.5 and scale[1.0] == "#0072b2" and unknown["colorscale"][0] == [0.0, "#7f7f7f"]


def test_bad_input_says_what_was_wanted(store):
    with pytest.raises(DataError, match=r"\(N, 2\)"):
        EmbeddingMap(np.zeros((4, 3)))
    with pytest.raises(DataError, match="one row of the store"):
        EmbeddingMap(np.zeros((40, 2)), store=store)
    with pytest.raises(ConfigError, match="no column"):
        EmbeddingMap(np.zeros((4, 2)), colour="nope")
