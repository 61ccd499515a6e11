"""Pre-trained on one dataset, measured on another, with the same skeleton and with another one."""

import json
from dataclasses import replace

import numpy as np
import pytest

from skelbench.data import load, make_split, pool
from skelbench.data.store import write_store
from skelbench.errors import ConfigError, DataError
from skelbench.evaluate import KNN, FineTune, Linear, SemiSupervised, Table, Transfer, Trial, evaluate, floors
from skelbench.skeleton.clip import Clip
from skelbench.skeleton.mapping import joint_map
from skelbench.skeleton.topology import topology

HANDS = {f"{side}_{j}": f"{side}_hand" for side in ("left", "right") for j in ("hand_tip", "thumb")}
FINGERS = {**HANDS, "neck": "shoulder_center"}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("SKELBENCH_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def other(home, name, layout="kinect_v2_25", *, bodies=2, dims=3, **how):
    """16 clips of two classes, four subjects; a class is an offset of the arms."""
    rng, skeleton = np.random.default_rng(5), topology(layout)
    clips = []
    for i in range(16):
        joints = rng.normal(size=(6 + i % 4, bodies, skeleton.V, dims)).astype(np.float32)
        joints[:, :, : skeleton.V // 2] += i % 2
        about = {"subject": i // 4}
        clips.append(Clip(joints=joints, topology=skeleton, label=i % 2, id=f"o{i}", about=about))
    rule = {"xsub": {"by": "subject", "train": [0, 1, 2]}}
    return write_store(home / name, clips, classes=["up", "down"], splits=rule, **how)


def test_on_the_same_skeleton_it_is_the_protocol_on_the_other_data(home, trial):
    b = other(home, "b")
    (m,) = Transfer(to="b", protocol=KNN()).run(trial).measures
    (row,) = evaluate(trial.method, b, make_split(b, "xsub"), protocols=[KNN()], preset="none")
    assert (m.accuracy, m.mean_class, m.n, m.protocol) == (row.accuracy, row.mean_class, row.n, "1-NN")
    assert (m.data, m.split, m.chosen) == ("tiny -> b", "xsub", {})


def test_another_skeleton_is_mapped_and_places_of_bodies_are_filled(home, trial):
    b = other(home, "b", "uiprmd_kinect", bodies=1)
    with pytest.raises(DataError, match="no counterpart of 'left_hand_tip'"):
        Transfer(to="b").run(trial)
    fingers = {f"{side}_{j}": f"{side.title()}Hand" for side in ("left", "right") for j in ("hand_tip", "thumb")}
    file = home / "map.json"
    file.write_text(json.dumps(fingers))
    protocol = Transfer(to="b", protocol=KNN(), mapping=str(file))
    (m,) = protocol.run(trial).measures
    assert m.chosen == {"skeleton": "uiprmd_kinect as kinect_v2_25", "bodies": "1 as 2"}
    kept = load("b_as_kinect_v2_25")
    wanted = joint_map(b.topology, trial.store.topology, fingers).apply(b[3].joints)
    np.testing.assert_array_equal(kept[3].joints[:, :1], wanted)
    assert not kept[3].joints[:, 1:].any()
    (row,) = evaluate(trial.method, kept, make_split(kept, "xsub"), protocols=[KNN()], preset="none")
    assert (row.accuracy, row.n) == (m.accuracy, m.n)


def test_fine_tuning_there_and_shares_of_its_labels(home, trial):
    b = other(home, "b")
    own = FineTune(epochs=2, lr=0.3)
    found = Transfer(to="b", split="cross_subject", protocol=own).run(trial)
    wanted = own.run(replace(trial, store=b, split=make_split(b, "cross_subject")))
    assert found.outcome.predictions.tolist() == wanted.predictions.tolist() and found.split == "cross_subject"
    shares = Transfer(to="b", protocol=SemiSupervised(shares=(0.5,), draws=2)).run(trial).measures
    assert [(m.data, m.split) for m in shares] == [("tiny -> b", f"xsub@50%:{d}") for d in (0, 1)]


def test_floors_stand_on_the_same_clips(home, store, split, small):
    other(home, "b")
    protocols = [Transfer(to="b")]
    rows = evaluate(small(), store, split, protocols=protocols, seed=0, name="ours", preset="none")
    rows += floors(store, split, beside=small().config, protocols=protocols, preset="none")
    lines = Table(rows).lines()
    assert [(x.data, x.split, x.protocol, x.method) for x in lines] == [
        ("tiny -> b", "xsub", "linear", m) for m in ("random", "raw", "ours")
    ]
    assert "tiny -&gt; b" in Table(rows).to_html()


def test_data_that_do_not_fit_are_refused(home, trial):
    other(home, "flat", "coco_17", dims=2)
    with pytest.raises(DataError, match="no coordinates that both have"):
        Transfer(to="flat").run(trial)
    other(home, "normed", presets=("ctrgcn",))
    with pytest.raises(ConfigError, match="stored with the preset 'ctrgcn'"):
        Transfer(to="normed").run(replace(trial, preset="isc"))
    with pytest.raises(DataError, match="no dataset 'absent'"):
        Transfer(to="absent").run(trial)
    with pytest.raises(ConfigError, match="not another Transfer"):
        Transfer(to="b", protocol=Transfer(to="c"))
    assert str(Transfer(to="b", protocol=Linear()).describe()).startswith("measured on: b, its usual split; frozen:")


def test_clips_that_were_trained_on_are_not_tested_on(home, small):
    b = other(home, "b")
    other(home, "c", "kinect_v1_20")
    split = make_split(b, "xsub")
    turned = replace(split, train=split.test, test=split.train)
    with pytest.raises(ConfigError, match=r"4 of the 4 test clips of 'b' stand on the training side of 'b' .*no transfer"):
        Transfer(to="b").run(Trial(method=small(), store=b, split=turned, preset="none"))
    for without, name in ((None, "leaky"), ({"b": "xsub"}, "clean")):
        both = pool(["b", "c"], name, topology=b.topology.name, mapping={"c": FINGERS}, without=without, progress=False)
        trial = Trial(method=small(), store=both, split=make_split(both, "loso:c:3", allow_missing=True), preset="none")
        if without:
            assert Transfer(to="b", protocol=KNN()).run(trial).measures[0].n == 4
        else:
            with pytest.raises(ConfigError, match=r"4 of the 4 test clips .*--without b=xsub"):
                Transfer(to="b", protocol=KNN()).run(trial)


def test_another_number_of_coordinates_is_refused(home, trial):
    other(home, "scored", dims=4)
    with pytest.raises(ConfigError, match="the network reads 3 coordinates a joint, 'scored' has 4"):
        Transfer(to="scored").run(trial)
