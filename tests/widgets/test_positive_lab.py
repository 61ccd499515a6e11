from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from skelbench.data.store import write_store
from skelbench.errors import ConfigError, DataError
from skelbench.methods.halp import HaLP
from skelbench.nets.gru import GRU
from skelbench.skeleton.clip import Clip
from skelbench.skeleton.topology import topology
from skelbench.widgets import PositiveLab


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    rng = np.random.default_rng(0)
    clips = [
        Clip(
            joints=rng.normal(size=(10, 1, 25, 3)).astype(np.float32),
            topology=topology("kinect_v2_25"),
            label=i % 3,
            id=f"S{i:02d}",
        )
        for i in range(24)
    ]
    return write_store(tmp_path_factory.mktemp("lab") / "tiny", clips, classes=["wave", "<b>", "kick"])


@pytest.fixture(scope="module")
def keys():
    return torch.nn.functional.normalize(torch.randn(24, 8, generator=torch.Generator().manual_seed(0)), dim=1)


@pytest.fixture
def lab(keys, store):
    prototypes = torch.randn(9, 8, generator=torch.Generator().manual_seed(1))
    return PositiveLab(keys[:16], prototypes, gallery=keys, labels=store.labels, store=store, rows=np.arange(24), positives=30)


def test_the_same_draws_glide_outward(lab):
    lab.hardness = 0.0
    easy = lab.numbers
    lab.hardness = 0.6
    hard = lab.numbers
    assert hard["fan"]["slot"] == easy["fan"]["slot"]
    assert all(h > e for h, e in zip(hard["fan"]["angle"], easy["fan"]["angle"], strict=True))
    edge = {s["slot"]: s["edge"] for s in hard["fan"]["spokes"]}
    share = np.array([a / edge[s] for a, s in zip(hard["fan"]["angle"], hard["fan"]["slot"], strict=True)])
    before = np.array([a / edge[s] for a, s in zip(easy["fan"]["angle"], easy["fan"]["slot"], strict=True)])
    np.testing.assert_allclose(share, 1 - 0.4 * (1 - before), atol=2e-4)  # t / t_max = 1 - (1 - hardness) r
    lab.hardness = 1.0
    last = lab.numbers["fan"]
    np.testing.assert_allclose(last["angle"], [edge[s] for s in last["slot"]], atol=2e-4)


def test_the_charts_agree_with_each_other(lab):
    lab.hardness = 0.3
    n = lab.numbers
    assert sum(n["bars"]["kept"]) + sum(n["bars"]["lost"]) == 16 * 30
    assert sum(n["bars"]["kept"]) / (16 * 30) == pytest.approx(n["share"])
    circle = n["circle"]
    cross = np.interp(circle["t_max"], circle["t"], np.array(circle["to_nearest"]) - np.array(circle["to_target"]))
    assert abs(cross) < 1e-3  # z is as near to p_0 as to p_s at t_max
    along = np.array(n["along"]["t"])
    assert (along > 0.3 * circle["t_max"] - 1e-4).all() and (along <= circle["t_max"] + 1e-4).all()
    assert n["shares"]["kept"][0] == pytest.approx(lab.study.kept_share(0.0))
    assert json.loads(json.dumps(n)) == n


def test_anchor_and_target_stay_a_pair(lab):
    for anchor in range(16):
        lab.anchor = anchor
        order = lab.study.order(anchor)
        assert lab.target in order[1:] and lab.numbers["target"] == lab.target and lab.numbers["anchor"] == anchor
    lab.target = int(order[3])
    assert lab.numbers["circle"]["nearest"] == order[0] and lab.numbers["target"] == order[3]
    with pytest.raises(ConfigError, match="p_0"):
        lab.target = int(order[0])
    with pytest.raises(ConfigError, match=r"0 \.\. 15"):
        lab.anchor = 16
    with pytest.raises(ConfigError, match="boundary"):
        lab.hardness = 1.2
    lab.view.anchor = 400  # a page may send anything
    assert lab.anchor == 15


def test_the_player_shows_anchor_neighbours_and_target(lab, store):
    lab.anchor, lab.hardness = 3, 0.5
    lab._show_clips()
    assert lab.player.clips[0].id == "S03" and lab.player.titles[0].startswith("anchor: ")
    assert [t.split(":")[0] for t in lab.player.titles] == ["anchor", "easiest z", "middle z", "hardest z", "target"]
    assert "S03" not in [c.id for c in lab.player.clips[1:4]]  # the anchor's own clip does not count as a neighbour
    lab.view.positive = [7, 0]
    lab._show_clips()
    made = lab.study.at(0.5, [3])
    best = (made.points[0, 7] @ lab.study.gallery.T).argsort(descending=True)
    best = next(int(b) for b in best if b != 3)
    assert lab.player.clips[-1].id == store.ids[best] and lab.player.titles[-1].startswith("your z: ")


def test_state_and_still_picture(lab, tmp_path):
    lab.state = {"hardness": 0.75, "anchor": 2}
    assert lab.state == {"hardness": 0.75, "anchor": 2, "target": lab.target}
    bundle = lab._repr_mimebundle_()
    root = ET.fromstring(bundle["image/svg+xml"])
    texts = "".join(t.text or "" for t in root.iter("{http://www.w3.org/2000/svg}text"))
    assert "Hardness 0.75" in texts and f"{100 * lab.numbers['share']:.1f} % kept" in texts
    assert lab.save_svg(tmp_path / "lab.svg").read_text() == lab.static()


def test_bad_input_says_what_was_wanted(keys, store):
    with pytest.raises(DataError, match="prototypes"):
        PositiveLab(keys)
    with pytest.raises(DataError, match="row 99"):
        PositiveLab(keys, keys[:5], store=store, rows=[99] * 24)
    assert PositiveLab(keys, keys[:5] + 0.1, positives=4).player is None


def test_the_lab_of_a_run(store):
    generator = torch.Generator().manual_seed(0)
    config = HaLP.Config(encoder=GRU.Config(hidden=8, layers=1), queue=32, dim=8, prototypes=4, prototypes_from=8, hardness=0.4)
    method = HaLP.build(config, topology=store.topology, bodies=1, coordinates=3, classes=3, generator=generator)
    settings = SimpleNamespace(train=SimpleNamespace(seed=3, normalise="isc"), method_config=config)
    run = SimpleNamespace(method=method, store=store, split=SimpleNamespace(train=np.arange(18)), config=settings)
    lab = PositiveLab.of(run, anchors=6, positives=10, clips=12)
    assert lab.hardness == 0.4 and len(lab.study) == 6 and lab.study.prototypes.shape == (4, 8) and len(lab.study.gallery) == 12
    assert (lab.study.origin >= 0).all() and set(lab.study.rows) <= set(range(18))
    assert method.training  # nothing of the run was touched
