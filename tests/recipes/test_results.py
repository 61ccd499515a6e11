"""A table of any runs: names, floors, what differs, fusion, and the same from the shell."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from skelbench.cli import main
from skelbench.data import load, write_store
from skelbench.errors import ConfigError
from skelbench.evaluate import KNN, FineTune, Fusion, Linear, Trial, run_protocol
from skelbench.methods.halp_cmd import THREE
from skelbench.recipes.papers import RECIPES
from skelbench.recipes.results import fused, fusion_named, protocols_named, report
from skelbench.skeleton.clip import Clip
from skelbench.skeleton.topology import topology
from skelbench.train import start

QUICK = {"epochs": 1, "train.probe_every": 0, "train.meter_every": 0}


def write(home, name, layout="uiprmd_kinect", seed=0, **how):
    rng, skeleton = np.random.default_rng(seed), topology(layout)
    clips = []
    for i in range(32):
        joints = 0.3 * rng.normal(size=(1, 1, skeleton.V, 3)) + np.cumsum(0.03 * rng.normal(size=(18, 1, skeleton.V, 3)), axis=0)
        joints[:, :, : 2 + i % 2] += i % 2
        about = {"subject": i // 8}
        clips.append(Clip(joints=joints.astype(np.float32), topology=skeleton, label=i % 2, id=f"r{i:02d}", about=about))
    return write_store(home / "data" / name, clips, classes=["up", "down"], **how)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("SKELBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("SKELBENCH_RUNS", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def trained(method, store, name, **edits):
    return start(method, store, "smoke", folder=f"runs/{name}", **{**QUICK, **edits}).run(progress=False)


@pytest.fixture
def runs(home):
    store = write(home, "mine")
    return [trained("moco", store, f"m{s}", **{"train.seed": s}) for s in (0, 1)] + [
        trained("supervised", store, "sup"),
        trained("moco", store, "bone", stream="bone"),
    ]


def test_methods_seeds_settings_and_encoders_in_one_table(runs):
    table = report(runs)
    lines = {(x.protocol, x.method): x for x in table.lines()}
    methods = {"random", "raw", "moco (stream=joint)", "moco (stream=bone)", "supervised", "random (moco, stream=bone)"}
    assert {m for p, m in lines if p == "1-NN"} == methods and {p for p, _ in lines} == {"1-NN", "linear", "classifier"}
    assert lines["1-NN", "random"].accuracy.n == lines["1-NN", "moco (stream=joint)"].accuracy.n == 2  # once for every seed
    same = report([str(r.folder) for r in runs[:2]], protocols=[KNN()])
    (moco,) = [x for x in same.lines() if x.method == "moco"]
    assert moco.accuracy.n == 2 and moco.accuracy.over == "seeds"
    wanted = [r.accuracy for r in table if r.protocol == "1-NN" and r.method == "moco (stream=joint)"]
    assert moco.accuracy.mean == pytest.approx(np.mean(wanted))
    told = same.differences()["moco"]
    assert told["train.epochs"] == (451, 1) and "train.seed" not in told and "data" not in told
    assert "train.epochs 451 -> 1" in same.to_markdown() and "\\hline" in same.to_latex()
    assert not any(r.paper for r in table)


def test_several_datasets_have_their_own_floors_and_nothing_is_refused(runs, home):
    other = trained("moco", write(home, "other", "kinect_v1_20", seed=3), "o0")
    table = report([runs[0], other], protocols=[KNN()])
    assert [(x.data, x.method) for x in table.lines()] == [(d, m) for d in ("mine", "other") for m in ("random", "raw", "moco")]
    many = trained("moco", runs[0].store, "many", hidden=4, queue=16, dim=8, temperature=0.2)
    assert {x.method for x in report([runs[0], many], protocols=[KNN()]).lines()} >= {"moco (m0)", "moco (many)"}
    with pytest.raises(ConfigError, match="at least one run"):
        report([])


def test_streams_are_fused_seed_by_seed(runs, home):
    joint, bone = runs[0], runs[3]
    linear = Linear(grid=(0.1,), iterations=30)
    table = report([joint, bone], protocols=[linear, KNN()], fuse=Fusion(weights="chosen"))
    (row,) = [r for r in table if " + " in r.method]
    assert (row.method, row.protocol, row.seed) == ("moco joint + moco bone", "linear", 0)
    assert row.chosen["by"] == "validation subjects" and set(row.chosen["weights"]) == {"moco joint", "moco bone"}
    motion = trained("moco", joint.store, "motion", stream="motion")
    three = report([joint, motion, bone], protocols=[linear], fuse=Fusion())
    lines = [x.method for x in three.lines()]
    untrained = [f"random (moco, stream={name})" for name in ("motion", "bone")]
    assert set(untrained) < set(lines) and "moco joint + moco motion + moco bone" in lines and len(lines) == len(set(lines)) == 8
    with pytest.raises(ConfigError, match="none of 1-NN gives class scores"):
        fused([joint, bone], protocols=[KNN()])
    with pytest.raises(ConfigError, match="two streams or more"):
        fused(runs[:2], protocols=[linear])  # two seeds of one stream


def test_the_streams_of_one_run_are_fused_as_classifiers_of_their_own(home):
    run, linear = trained("halp3s", write(home, "mine"), "three"), Linear(grid=(0.1,), iterations=30)
    table = report([run], protocols=[linear], fuse=Fusion())
    (row,) = [r for r in table if " + " in r.method]
    assert row.method == "halp3s joint + halp3s motion + halp3s bone"
    together, before = [], run.method.config
    for name in THREE:
        run.method.config = replace(before, use=name)  # one stream at a time, by hand
        score = run_protocol(linear, Trial(method=run.method, store=run.store, split=run.split))
        together.append(score.logits.double())
        labels = score.labels
    run.method.config = before
    right = (torch.stack(together).mean(dim=0).argmax(dim=1) == labels).double().mean()
    assert row.accuracy == pytest.approx(float(right)) and {r.method for r in table} == {"halp3s", "random", "raw", row.method}


def test_names_become_protocols_and_weights():
    assert protocols_named(()) is None and protocols_named(["1-nn"]) == [KNN()]
    (there,) = protocols_named(["finetune"], on="b", mapping="m.json")
    assert (there.to, there.protocol, there.mapping) == ("b", FineTune(), "m.json")
    assert [p.protocol.name for p in protocols_named((), on="b")] == ["1-NN", "linear"]
    with pytest.raises(ConfigError, match="--on"):
        protocols_named(["1-nn"], split="xsub")
    assert (fusion_named("equal"), fusion_named("chosen")) == (Fusion(), Fusion(weights="chosen"))
    assert fusion_named("0.6,0.4") == Fusion(weights=(0.6, 0.4))
    with pytest.raises(ConfigError, match="'equal', 'chosen', 'brl', or weights"):
        fusion_named("best")


def test_from_the_shell(runs, home, capsys):
    write(home, "other", "kinect_v1_20", seed=3)
    capsys.readouterr()
    assert main(["evaluate", "runs/m0", "--protocol", "1-nn", "retrieval", "semi:50", "--csv", "t.csv", "--tex", "t.tex"]) == 0
    printed = capsys.readouterr().out
    assert all(word in printed for word in ("mAP", "P@10", "cross_subject@50%", "(5 draws)", "| moco |"))
    assert "tabular" in (home / "t.tex").read_text() and "P@5" in (home / "t.csv").read_text()
    table = {j: "hip_center" for j in topology("uiprmd_kinect").joints}
    (home / "map.json").write_text(json.dumps(table))
    assert main(["evaluate", "runs/m0", "--protocol", "1-nn", "--on", "other", "--mapping", "map.json"]) == 0
    assert "mine -> other" in capsys.readouterr().out and load("other_as_uiprmd_kinect").topology.V == 22
    assert main(["report", "runs/m0", "runs/bone", "--protocol", "linear", "--fuse", "0.5,0.5", "--html", "new/r.html"]) == 0
    printed = capsys.readouterr().out
    assert "moco joint + moco bone" in printed and "What differs from the recipe, moco (stream=bone): " in printed
    assert (home / "new" / "r.html").read_text().startswith("<!doctype html><meta charset=utf-8><title>r</title>")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["evaluate", "runs/none", "--csv", "."], "wanted a file to write the table to"),
        (["report", "runs/none", "--html", f"{__file__}/t.html"], "test_results.py is in its place"),
        (["evaluate", "runs/none", "--protocol", "svm"], "no protocol called 'svm'"),
        (["evaluate", "runs/none", "--split", "xsub"], "--on"),
        (["report", "runs/none"], "none"),
        (["report", "runs/none", "--fuse", "x"], "fuse='x'"),
        (["recipe", "halp_ntu61"], "did you mean"),
        (["recipe", "halp_ntu60_xsub"], "nturgbd_skeletons_s001_to_s017.zip"),
        (["recipe", "halp_ntu60_xsub", "--dry", "--set", "quue=3"], "queue"),
    ],
)
def test_mistakes_are_one_line(arguments, says, capsys):
    assert main(arguments) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1 and says in error[0]


def test_the_list_of_recipes(capsys):
    assert main(["recipe"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in printed] == list(RECIPES)
    assert "paper: linear 79.7" in next(line for line in printed if line.startswith("halp_ntu60_xsub "))
