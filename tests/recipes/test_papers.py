"""Recipes: their settings, their data, a dry run and a whole run at toy size."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from skelbench.errors import ConfigError, DataError
from skelbench.evaluate import KNN, FineTune, ViewsLinear
from skelbench.recipes.known_data import GYM99, NTU60, PKU2
from skelbench.recipes.papers import RECIPES, recipe
from skelbench.recipes.recipe import dry, reproduce
from skelbench.train import presets

TINY = {
    "halp": {
        "hidden": 4,
        "layers": 1,
        "queue": 32,
        "dim": 8,
        "prototypes": 4,
        "prototypes_from": 8,
        "views.frames": 16,
        "minimum": 8,
    },
    "isc": {"seq.hidden": 4, "seq.layers": 1, "graph.channels": (4,), "queue": 32, "dim": 8, "views.frames": 16, "minimum": 8},
    "psumnet": {"body.channels": (4,), "hand.channels": (4, 8), "leg.channels": (4,)},
    "brl": {"encoder.channels": (6, 6), "method_config.frames": 8, "test_clips": 1, "mixup": 0.5},
    "skeletonmae": {"encoder.width": 8, "encoder.layers": 1, "method_config.frames": 8},
}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("SKELBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("SKELBENCH_RUNS", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", [name for name, make in RECIPES.items() if make().method != "mmixer"])  # no number is known
def test_every_recipe_says_what_it_needs_and_expects(name):
    found = recipe(name)
    assert (found.name, found.doc) == (name, RECIPES[name].__doc__) and found.published
    assert f"skelbench recipe {name}\n" in found.doc and "Hardware: one" in found.doc and "Source: " in found.doc
    expected = re.search(r"Expected: (.*?)\. Source", found.doc).group(1)
    told = {float(n) for n in re.findall(r"\d+\.\d", expected)}
    shown = {p.value for protocol in found.protocols if (p := found.paper(protocol)) is not None}
    assert told == shown != set()
    chosen = found.config.train.select or found.config.train.patience > 0  # then some training subjects are held out
    assert found.config.train.refit != chosen == (found.method == "psumnet") and found.config.method == found.method
    assert not found.differences(found.config.edit({"train.seed": 3, "data": "elsewhere", "train.keep": 1}))
    assert [d.name for d in found.differences(found.config.edit(lr=0.5))] == ["train.lr"]
    assert found.data.key in str(found) or found.data.title in str(found)


def test_settings_are_those_of_the_papers():
    pku, ntu = recipe("halp_pku2_xsub").config, recipe("halp_ntu60_xsub").config
    assert (pku.train.epochs, pku.train.drops, pku.method_config.plain_epochs, pku.method_config.weight) == (1001, (801,), 500, 1.0)
    assert ntu.edit({"train.refit": False}) == presets("halp", "paper", data="ntu60", split="xsub")
    assert recipe("halp_pku2_xsub").protocols == (ViewsLinear(lr=0.001), KNN())
    isc = recipe("isc_ntu120_xset").config
    assert (isc.train.epochs, isc.train.drops) == (351, (251,)) and recipe("isc_ntu60_xsub").protocols[0].lr == 0.1
    assert recipe("skeletonmae_gym99").protocols == (FineTune.strl(),)
    with pytest.raises(ConfigError, match="did you mean halp_ntu60_xsub"):
        recipe("halp_ntu60_xsb")


@pytest.mark.parametrize(
    "name",
    ["halp_ntu60_xsub", "isc_ntu120_xset", "skeletonmae_gym99", "psumnet_ntu60x_xsub", "psumnet_shrec28", "brl_ntu60_xsub_lt100"],
)
def test_a_dry_run_steps_twice_and_measures(name, home):
    found = recipe(name)
    seen = dry(found, **TINY[found.method])
    assert len(seen.losses) == 2 and set(seen.measured) == {p.name for p in found.protocols} and seen.parameters > 50
    assert ("halp" in seen.parts) == (found.method == "halp")  # the second step hallucinates positives
    assert "Everything runs" in str(seen) and list(home.iterdir()) == []


def test_a_missing_dataset_says_what_to_get_and_where_it_goes(home):
    with pytest.raises(DataError) as told:
        reproduce(recipe("halp_ntu60_xview"))
    words = str(told.value)
    for word in ("halp_ntu60_xview", "nturgbd_skeletons_s001_to_s017.zip", "rose1.ntu.edu.sg", "--name ntu60", str(home / "data")):
        assert word in words
    with pytest.raises(DataError, match="no dataset 'mine'"):
        reproduce(recipe("skeletonmae_gym99"), data="mine")


def test_a_dataset_of_another_kind_is_refused(home):
    made = NTU60.made_up(home / "data", "xsub")
    for known, split, says in (
        (GYM99, "official", "25 joints of 'kinect_v2_25', wanted 'coco_17'; 60 classes, wanted 99; no split 'official'"),
        (PKU2, "xsub", "60 classes, wanted 51; phase None, wanted 2"),
        (NTU60, "xview", r"no split 'xview' \(it lists: xsub\)"),
    ):
        with pytest.raises(DataError, match=says):
            known.open(made.path, split, recipe="r")
    assert NTU60.open(None, "xsub", recipe="r").path == made.path
    (made.path / "index.npz").write_bytes(b"")
    with pytest.raises(DataError, match=r"index\.npz"):  # damaged is not missing
        NTU60.open(None, "xsub", recipe="r")


def test_a_recipe_at_toy_size_resumes_and_carries_the_paper_s_number(home):
    """The settings of the recipe itself are made tiny, so that the run is one by the recipe."""
    NTU60.made_up(home / "data", "xsub", clips=24)
    full = recipe("halp_ntu60_xsub")
    tiny = {**TINY["halp"], "plain_epochs": 1, "train.epochs": 2, "train.batch": 8, "train.drops": (), "train.probe_every": 0}
    small = replace(full, edits=tiny, protocols=(ViewsLinear(epochs=1, drops=()), KNN()))
    table = reproduce(small, seeds=2, progress=False)
    lines = {(x.protocol, x.method): x for x in table.lines()}
    assert set(lines) == {(p, m) for p in ("linear on views", "1-NN") for m in ("random", "raw", "halp")}
    mine = lines["linear on views", "halp"]
    assert (mine.paper, mine.accuracy.n) == (0.797, 2) and "another paper's table" in mine.source
    assert lines["1-NN", "halp"].paper is None and lines["linear on views", "random"].paper is None
    assert "linear on views: selection" in table.differences()["halp"]
    assert {p.suffix for p in Path("results").glob("halp_ntu60_xsub.*")} == {".md", ".csv", ".json", ".tex"}
    stamp = {p: p.stat().st_mtime_ns for p in Path("results/runs").rglob("weights.safetensors")}
    assert len(stamp) >= 2
    reproduce(small, seeds=2, progress=False)
    assert {p: p.stat().st_mtime_ns for p in Path("results/runs").rglob("weights.safetensors")} == stamp
    with pytest.raises(ConfigError, match=r"made with another train\.lr"):
        reproduce(small, progress=False, lr=0.5)
    other = reproduce(small, out="others", progress=False, lr=0.5)
    assert next(x for x in other.lines() if x.method == "halp").paper is None
    assert other.differences()["halp"]["train.lr"] == (0.01, 0.5)
    with pytest.raises(ConfigError, match="seeds=0"):
        reproduce(small, seeds=0)


def test_made_up_clips_have_the_shape_of_the_data(home):
    flat = GYM99.made_up(home, "official")
    assert (flat.topology.name, flat.coordinates, flat.bodies, flat.up) == ("coco_17", 3, 2, "-y") and len(flat.classes) == 99
    assert set(flat.index["width"].tolist()) == {1920}
    solid = PKU2.made_up(home, "xsub")
    assert (solid.topology.name, solid.coordinates, solid.meta.units) == ("kinect_v2_25", 3, "metre")
