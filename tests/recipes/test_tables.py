"""The big tables: every piece trains and measures, nothing is done twice, and results of other settings are refused."""

import json
from dataclasses import replace

import numpy as np
import pytest

from skelbench.data import load, write_store
from skelbench.data.folders import data_home
from skelbench.errors import ConfigError, DataError
from skelbench.evaluate import Table
from skelbench.recipes import tables
from skelbench.recipes.tables import FEW, SHORT, TABLES, Piece, _do, _read, table
from skelbench.skeleton.clip import Clip
from skelbench.skeleton.topology import Topology, topology
from skelbench.train import presets
from skelbench.train.tree import resolve

# The skeleton of BVH files of the CMU recordings, without fingers.
BVH = Topology.from_dict(
    {
        "name": "cmu",
        "joints": [
            "hip",
            "abdomen",
            "chest",
            "neck",
            "head",
            "rCollar",
            "rShldr",
            "rForeArm",
            "rHand",
            "lCollar",
            "lShldr",
            "lForeArm",
            "lHand",
            "rButtock",
            "rThigh",
            "rShin",
            "rFoot",
            "rFoot_end",
            "lButtock",
            "lThigh",
            "lShin",
            "lFoot",
            "lFoot_end",
        ],
        "parents": [-1, 0, 1, 2, 3, 2, 5, 6, 7, 2, 9, 10, 11, 0, 13, 14, 15, 16, 0, 18, 19, 20, 21],
    }
)
TINY = {"epochs": 1, "drops": (), "train.batch": 8}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("SKELBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("SKELBENCH_RUNS", str(tmp_path / "runs"))
    return tmp_path


def write(name, layout, seed=0):
    rng, skeleton = np.random.default_rng(seed), layout if isinstance(layout, Topology) else topology(layout)
    clips = []
    for i in range(32):
        joints = 0.3 * rng.normal(size=(1, 1, skeleton.V, 3)) + np.cumsum(0.03 * rng.normal(size=(18, 1, skeleton.V, 3)), axis=0)
        joints[:, :, : 2 + i % 2] += i % 2
        about = {"subject": i // 8, "group": i}
        clips.append(Clip(joints=joints.astype(np.float32), topology=skeleton, label=i % 2, id=f"{name}{i:02d}", about=about))
    return write_store(data_home() / name, clips, classes=["up", "down"])


@pytest.fixture
def small(monkeypatch):
    """The three real datasets as made-up ones, a small playground, and a single epoch."""
    for n, (name, layout) in enumerate((("cmu", BVH), ("hdm05", "cmu_asf_31"), ("uiprmd_kinect", "uiprmd_kinect"))):
        write(name, layout, n)
    made = tables.playground
    monkeypatch.setattr(tables, "playground", lambda n=1200, **how: made(150, **how))
    monkeypatch.setattr(tables, "SIZES", (150,))
    monkeypatch.setattr(tables, "STEPS", 1)
    for settings in (SHORT, FEW):
        for name in settings:
            monkeypatch.setitem(settings, name, {**TINY, **({"plain_epochs": 1} if "halp" in name else {})})


def work(waves, out, only):
    """Pieces one after the other, in this process."""
    rows = {}
    (out / "rows").mkdir(parents=True, exist_ok=True)
    for piece in (p for wave in waves for p in wave if only(p)):
        _do((piece, str(out)))
        rows[piece.name] = _read(piece, out)
    return rows


def test_every_setting_exists():
    for table_of in (SHORT, FEW):
        for method, edits in table_of.items():
            base = presets(method, "demo")
            base.edit({resolve(base, name): value for name, value in edits.items()})


def test_methods_fine_tuning_and_transfer(small, home):
    waves = TABLES["methods"](1)
    names = [p.name for wave in waves for p in wave]
    assert len(set(names)) == len(names) and {p.data for p in waves[0]} == {"playground-150-0", "cmu", "hdm05", "uiprmd_kinect"}
    rows = work(waves, home, lambda p: p.data == "cmu" and p.method in ("moco", "skeletonmae", "strl"))
    split = next(p.split for p in waves[0] if p.data == "cmu")
    scratch, planted = (rows[f"cmu-{split.replace(':', '_')}-strl-s0{x}"] for x in ("", "-planted"))
    assert {r.method for r in scratch} == {"strl, from scratch", "random", "raw"} and {r.protocol for r in scratch} == {
        "classifier"
    }
    assert [r.method for r in planted] == ["strl, pre-trained"]
    moved = next(v for k, v in rows.items() if "moco" in k and "on-hdm05" in k)
    assert {r.data for r in moved} == {"cmu -> hdm05"} and {r.fold for r in moved} == {"0", "1", "2", "3"}
    assert {r.method for r in moved} == {"moco", "random", "raw"}
    alone = next(v for k, v in rows.items() if k.endswith("skeletonmae-s0"))
    assert {r.method for r in alone} == {"skeletonmae", "random (skeletonmae)"}


def test_growth_measures_on_people_the_pool_has_not_seen(small, home):
    (wave,) = TABLES["growth"](1)
    assert {p.data for p in wave} == {"playground_body_150", "pooled_real"} and all(p.split == "all" for p in wave)
    rows = work([wave], home, lambda p: p.method == "moco")
    pooled = next(v for k, v in rows.items() if k.startswith("pooled"))
    assert {r.data for r in pooled} == {f"pooled_real -> {name}" for name in tables.REAL}
    assert {r.method for r in pooled} == {"moco", "random", "raw"}
    assert len(load("pooled_real")) < 96
    made = next(v for k, v in rows.items() if not k.startswith("pooled"))
    assert {r.method for r in made} == {"moco"}
    found = Table([*pooled, *made])
    found.add(tables._floors_elsewhere(found))
    lines = {(x.data, x.protocol, x.method): x.accuracy.mean for x in found.lines()}
    for data, protocol in {(r.data, r.protocol) for r in made}:
        for floor in ("random", "raw"):
            assert lines[data, protocol, floor] == lines[f"pooled_real -> {data.rpartition(' -> ')[2]}", protocol, floor]


def test_the_whole_of_a_table_and_no_piece_twice(home, monkeypatch):
    write("cmu", "uiprmd_kinect")
    piece = Piece(name="one", data="cmu", split="cross_subject", method="moco", seed=0, label="moco", edits=TINY, floor="random")
    monkeypatch.setitem(TABLES, "toy", lambda seeds: [[piece]])
    found = table("toy", out=home / "out", seeds=1, processes=1, progress=False)
    assert {r.method for r in found} == {"moco", "random", "raw"}
    text = {s: (home / "out" / f"toy.{s}").read_text() for s in ("md", "csv", "json", "html")}
    assert "moco" in text["md"] and len(json.loads(text["json"])) == len(found.rows)
    monkeypatch.setattr(tables, "_do", None)  # nothing is left to do
    assert table("toy", out=home / "out", seeds=1, progress=False).to_json() == text["json"]
    other = replace(piece, edits={**TINY, "temperature": 0.5})
    monkeypatch.setitem(TABLES, "toy", lambda seeds: [[other]])
    with pytest.raises(ConfigError, match=r"one\.json was measured with other settings"):
        table("toy", out=home / "out", seeds=1, progress=False)


def test_refusals(home):
    with pytest.raises(ConfigError, match="no table called 'tails2'; there are: methods, growth"):
        table("tails2")
    with pytest.raises(ConfigError, match="at least one seed"):
        table("methods", seeds=0)
    with pytest.raises(DataError, match="skelbench data import FOLDER --name cmu"):
        TABLES["growth"](1)
