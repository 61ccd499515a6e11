"""The data card: what it says is so, nothing in it runs or leads anywhere, it is small and whole."""

import html
import json
import re

import numpy as np
import pytest

from skelbench.cli import main
from skelbench.data import write_store
from skelbench.data.statistics import statistics
from skelbench.errors import ConfigError
from skelbench.skeleton.clip import Clip
from skelbench.skeleton.topology import topology
from skelbench.widgets.card import card, samples, write_card
from skelbench.widgets.card_parts import bars, share

NASTY = ["<script>boom()</script>", "\u202eneddih", "a'b\"c&d", "</style><b>", "{{data}}", "plain"]
KINECT = topology("kinect_v2_25")


def made_up(n=36, *, classes=6, layout=KINECT):
    rng = np.random.default_rng(0)
    for i in range(n):
        joints = rng.normal(size=(10 + i, 2, layout.V, 3)).astype(np.float32)
        joints[::2, 1] = 0
        about = {"subject": i // classes % 3, "camera": i % 2}
        yield Clip(joints=joints, topology=layout, label=i % classes, id=f"\u202e{i}", about=about)


@pytest.fixture
def store(tmp_path):
    words = {"licence": "</script><script>boom()</script>", "attribution": "<img src=x onerror=boom()>"}
    return write_store(tmp_path / "nasty", made_up(), classes=NASTY, name="<b>bold</b>", presets=["isc"], **words)


def test_nothing_from_a_file_is_markup(store):
    page = card(store).page()
    assert page.count("<script") == 2 and "boom()</script>" not in page.replace("&lt;script&gt;boom()&lt;/script&gt;", "")
    assert "<b>bold" not in page and "<img" not in page and "\u202e" not in page
    for name in NASTY:
        assert f"<bdi>{html.escape(name.replace(chr(0x202E), chr(0xFFFD)))}</bdi>" in page
    assert "default-src 'none'" in page and not re.search(r"(src|href)=['\"]?(http|//)", page)
    picture = card(store).static()
    assert "<script" not in picture and "\u202e" not in picture and "&lt;script&gt;" in picture


def test_what_the_store_does_not_know_of_itself_has_no_line(tmp_path):
    store = write_store(tmp_path / "s", made_up(), classes=NASTY, provenance={"sensor": "tape measure", "hint": [], "by": ""})
    page = card(store).page()
    assert "<dt><bdi>sensor</bdi></dt><dd><bdi>tape measure</bdi></dd>" in page and "hint" not in page and ">by<" not in page


def test_the_numbers_on_it_are_those_of_the_store(store):
    page, numbers = card(store).page(), statistics(store)
    assert "<b>36</b><bdi>clips</bdi>" in page and "<b>6</b><bdi>classes</bdi>" in page and "<b>3</b><bdi>subjects</bdi>" in page
    for side in ("train", "validation", "test"):
        assert f"<i class='{side}'></i>{side}, {int(numbers.counts[side].sum())}</span>" in page
    assert store.meta.checksums["clips"] in page and "isc" in page and "z pointing up" in page
    row = re.search(r"<div class='bar'><span title=\"plain\">.*?</div>", page)[0]
    assert row.endswith(f"<span class='number'>{int((store.labels == 5).sum())}</span></div>")
    widths = [float(w) for w in re.findall(r"width:([\d.]+)%", row)]
    assert sum(widths) == pytest.approx(100, abs=0.1)  # every class has six clips, so its bar is full
    assert f"two bodies or more in {share(float(numbers.seen[1]))}" in page


def test_the_samples_travel_with_the_page(store):
    rows = samples(store)
    assert len(rows) == 4 == len({store.labels[r] for r in rows})
    scene = json.loads(re.search(r'id="data">(.*?)</script>', card(store).page(), re.DOTALL)[1])
    assert [c["title"] for c in scene["clips"]] == [NASTY[store.labels[r]].replace("\u202e", "\ufffd") for r in rows]
    assert [c["frames"] for c in scene["clips"]] == [len(store[r]) for r in rows]


def test_few_clips_and_no_labels(tmp_path):
    clips = [Clip(joints=np.ones((1, 1, 25, 3), np.float32), topology=KINECT, id=f"{i}") for i in range(2)]
    store = write_store(tmp_path / "two", clips, classes=["a"])
    page = card(store).page()
    assert sorted(samples(store)) == [0, 1] and "no label" in page and "No split to show" in page
    assert "No bone is seen in two frames" in page
    card(store).static()


def test_a_single_joint_has_no_bones(tmp_path):
    from skelbench.skeleton.topology import Topology

    dot = Topology.from_dict({"name": "dot", "joints": ["dot"], "parents": [-1]})
    clip = Clip(joints=np.ones((3, 1, 1, 3), np.float32), topology=dot, label=0, id="a")
    assert "<!DOCTYPE html>" in card(write_store(tmp_path / "dot", [clip], classes=["a"])).page()


def test_in_a_notebook_and_on_disk(store, tmp_path):
    shown = card(store)._repr_mimebundle_()
    assert set(shown) == {"text/html", "image/svg+xml", "text/plain"} and 'sandbox="allow-scripts"' in shown["text/html"]
    assert shown["text/html"].count('srcdoc="') == 1 and shown["image/svg+xml"].startswith("<svg")
    path = write_card(store, tmp_path / "deep" / "card.html")
    assert path.read_text(encoding="utf-8").startswith("<!DOCTYPE html>") and path.stat().st_size < 400_000
    assert [p.name for p in path.parent.iterdir()] == ["card.html"]
    with pytest.raises(ConfigError, match="no split called 'nonsense'"):
        card(store, split="nonsense")


def test_from_a_shell(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SKELBENCH_DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    write_store(tmp_path / "mine", made_up(), classes=NASTY)
    assert main(["data", "card", "mine", "--out", "c.html", "--split", "loso:1"]) == 0
    assert "written to c.html" in capsys.readouterr().out and "loso:1" in (tmp_path / "c.html").read_text()


def test_long_lists_fold_away():
    rows = [(f"n{i}", [("train", 0.5)], "1") for i in range(10)]
    drawn = bars(rows, most=4)
    assert drawn.count("class='bar'") == 10 and "<summary>6 more</summary>" in drawn and drawn.index("n3") < drawn.index("<details")


@pytest.mark.parametrize("value, words", [(0, "0 %"), (0.5, "50 %"), (0.0123, "1.2 %"), (0.00001, "under 0.1 %"), (1, "100 %")])
def test_shares(value, words):
    assert share(value) == words
