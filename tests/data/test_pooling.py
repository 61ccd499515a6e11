"""Several datasets as one, and one dataset on another skeleton."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from skelbench.data import import_data, load, make_split, verify
from skelbench.data.pooling import as_layout, clips_seen, pool, resample, retarget
from skelbench.data.store import Store, write_store
from skelbench.errors import ConfigError, DataError
from skelbench.skeleton.clip import Clip
from skelbench.skeleton.mapping import common_body, find_roles, joint_map
from skelbench.skeleton.topology import topology


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKELBENCH_DATA", str(tmp_path / "data"))


def made(name: str, layout: str, classes: list[str], *, fps: float = 30.0, bodies: int = 1, dims: int = 3, **how: object) -> Store:
    """Six clips, two a class, subjects 1 to 3."""
    rng, skeleton = np.random.default_rng(len(name)), topology(layout)
    clips = [
        Clip(
            joints=rng.normal(size=(7 + i, bodies, skeleton.V, dims)).astype(np.float32),
            topology=skeleton,
            fps=fps,
            label=i % len(classes) if i < 5 else -1,
            id=f"c{i}",
            about={"subject": 1 + i % 3, "camera": i % 2, "group": i % 3, "take": i},
        )
        for i in range(6)
    ]
    return write_store(Path(os.environ["SKELBENCH_DATA"]) / name, clips, classes=classes, **how)  # type: ignore[arg-type]


def test_a_pool_holds_every_clip_in_the_common_body() -> None:
    a = made("a", "uiprmd_kinect", ["walk", "squat"], licence="free", attribution="A et al.")
    b = made("b", "kinect_v2_25", ["jump", "walk"], bodies=2, splits={"xsub": {"by": "subject", "train": [1, 2]}})
    both = pool(["a", b], "both", progress=False)
    assert load("both").fingerprint == both.fingerprint
    assert (len(both), both.bodies, both.topology, both.meta.fps) == (12, 2, common_body(), 30.0)
    assert both.classes == ("walk", "squat", "jump")
    assert both.labels.tolist() == [0, 1, 0, 1, 0, -1, 2, 0, 2, 0, 2, -1]
    assert both.ids[:2] == ["a:c0", "a:c1"] and both.ids[11] == "b:c5"
    assert both.index["source"].tolist() == [0] * 6 + [1] * 6 and both.meta.extra["names"]["source"] == ["a", "b"]
    assert both.index["take"].tolist() == [*range(6), *range(6)]
    assert both.meta.licence == "a: free; b: not stated" and both.meta.attribution == "A et al." and not both.meta.splits
    names = both.meta.extra["names"]["subject"]
    assert [names[s] for s in both.index["subject"]] == [f"a:{1 + i % 3}" for i in range(6)] + [f"b:{1 + i % 3}" for i in range(6)]
    assert len(set(both.index["group"].tolist())) == 6
    for row, (store, clip) in enumerate([(s, c) for s in (a, b) for c in s]):
        wanted = joint_map(store.topology, common_body()).apply(clip.joints)
        found = both[row].joints
        np.testing.assert_array_equal(found[:, : wanted.shape[1]], wanted)
        assert not found[:, wanted.shape[1] :].any()
    verify(both)
    parted = make_split(both, "cross_subject", allow_missing=True)
    sides = [set(both.index["subject"][rows].tolist()) for rows in (parted.train_all, parted.test)]
    assert not sides[0] & sides[1]


def test_the_same_pool_is_opened_and_another_is_refused() -> None:
    made("a", "uiprmd_kinect", ["x"]), made("b", "kinect_v1_20", ["y"])
    first = pool(["a", "b"], "both", progress=False)
    stamp = (first.path / "clips.npy").stat().st_mtime_ns
    assert (pool(["a", "b"], "both", progress=False).path / "clips.npy").stat().st_mtime_ns == stamp
    with pytest.raises(DataError, match="exists already"):
        pool(["a", "b"], "both", fps=15, progress=False)
    assert pool(["a", "b"], "both", fps=15, overwrite=True, progress=False).meta.fps == 15


def test_rates_and_units_are_brought_together() -> None:
    a = made("a", "uiprmd_kinect", ["x"], fps=120.0, units="millimetre")
    made("b", "kinect_v2_25", ["x"], fps=30.0)
    both = pool(["a", "b"], "both", progress=False)
    assert (both.meta.fps, both.meta.units) == (30.0, "metre")
    every_fourth = joint_map(a.topology, common_body()).apply(a[0].joints)[::4] * 0.001
    np.testing.assert_allclose(both[0].joints, every_fourth, rtol=1e-6)


@pytest.mark.parametrize(("before", "after"), [(30.0, 25.0), (25.0, 30.0), (50.0, 120.0), (30.0, 30.1)])
def test_resampling_equals_interpolation_joint_by_joint(before: float, after: float) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(17, 2, 4, 3)).astype(np.float32)
    x[5:8, 1] = 0  # the second body leaves
    x[3, 0, 2] = 0  # a joint is not seen
    y = resample(x, before, after)
    if after == 30.1:
        np.testing.assert_array_equal(y, x)
        return
    assert len(y) == int(16 * after / before) + 1
    for i in range(len(y)):
        at = i * before / after
        low, high = int(at), min(int(at) + 1, 16)
        for m, v in np.ndindex(2, 4):
            a, b = x[low, m, v], x[high, m, v]
            seen = a.any() and b.any()
            wanted = a + (b - a) * (at - low) if seen else (a if at - low < 0.5 else b)
            np.testing.assert_allclose(y[i, m, v], wanted, atol=1e-5)
    assert y.dtype == np.float32
    assert resample(x[:1], before, after).shape == (1, 2, 4, 3)


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ({"layout": "coco_17", "dims": 3}, "dataset 'b': 'coco_17' has 2 coordinates"),
        ({"layout": "kinect_v2_25", "units": "pixel"}, "units metre and pixel"),
        ({"layout": "kinect_v2_25", "presets": ("isc",)}, "share no coordinates: up y and z"),
        ({"layout": "kinect_v2_25", "presets": ("ctrgcn",)}, "normalisation none and ctrgcn"),
        ({"layout": "coco_17", "dims": 2}, "coordinates a joint 3 and 2"),
        ({"layout": "kinect_v2_25", "extra": {"image": True}}, "up y and -y"),
        ({"layout": "shrec17_hand_22"}, r"dataset 'b': 'shrec17_hand_22' has no counterpart of 'hips'"),
    ],
)
def test_what_has_no_common_coordinates_is_refused(other: dict, says: str, tmp_path: Path) -> None:
    made("a", "uiprmd_kinect", ["x"])
    made("b", other.pop("layout"), ["y"], **other)
    with pytest.raises(DataError, match=says):
        pool(["a", "b"], "both", progress=False)
    assert sorted(p.name for p in (tmp_path / "data").iterdir()) == ["a", "b"]


def test_what_else_is_refused(tmp_path: Path) -> None:
    a = made("a", "uiprmd_kinect", ["x"])
    b = made("b", "kinect_v2_25", ["x"])
    for stores in ([], [a], [a, a]):
        with pytest.raises(DataError, match="two or more datasets of different names"):
            pool(stores, "both", progress=False)
    with pytest.raises(ConfigError, match="fps=0"):
        pool([a, b], "both", fps=0, progress=False)
    with pytest.raises(DataError, match="built-in set"):
        pool([a, b], "playground", progress=False)
    with pytest.raises(DataError, match=r"wanted one object a dataset, \{a, b\}"):
        pool([a, b], "both", mapping={"c": {}}, progress=False)
    (tmp_path / "m.json").write_text("{")
    with pytest.raises(DataError, match=r"m\.json: no joint mapping in JSON"):
        pool([a, b], "both", mapping=tmp_path / "m.json", progress=False)
    with pytest.raises(DataError, match=r"dataset 'a'.*no joint 'Head2'"):
        pool([a, b], "both", mapping={"a": {"head": "Head2"}}, progress=False)


def test_pixels_with_scores_pool_without_a_change(tmp_path: Path) -> None:
    how = {"units": "pixel", "extra": {"image": True}, "dims": 3}
    a, b = made("a", "coco_17", ["x"], **how), made("b", "penn_action_13", ["x"], **how)
    both = pool([a, b], "both", progress=False)
    assert (both.topology.dims, both.coordinates, both.up, both.meta.units) == (2, 3, "-y", "pixel")
    np.testing.assert_array_equal(both[6].joints[:, :, 3], b[0].joints[:, :, 0])


def test_one_dataset_on_another_skeleton_keeps_everything_else(tmp_path: Path) -> None:
    rule = {"xsub": {"by": "subject", "train": [1, 2]}, "mine": {"train_ids": ["c0", "c1"], "test_ids": ["c2"]}}
    a = made("a", "kinect_v2_25", ["x", "y"], splits=rule, extra={"split": "xsub"})
    b = retarget(a, "kinect_v1_20", "b", mapping={"spine": ["spine_mid"]}, progress=False)
    assert b.ids == a.ids and b.classes == a.classes and b.meta.splits == a.meta.splits and b.meta.extra == a.meta.extra
    for column in a.index:
        np.testing.assert_array_equal(b.index[column], a.index[column])
    for name in ("xsub", "mine"):
        one, two = make_split(a, name), make_split(b, name)
        assert one.train_all.tolist() == two.train_all.tolist() and one.test.tolist() == two.test.tolist()
    roles = find_roles(a.topology)
    np.testing.assert_array_equal(b[2].joints[:, :, b.topology.joint("shoulder_center")], a[2].joints[:, :, roles["neck"][0]])


def test_as_layout_makes_a_dataset_once_and_again_when_data_change(tmp_path: Path) -> None:
    a = made("a", "kinect_v2_25", ["x", "y"])
    assert as_layout(a, topology("kinect_v2_25")) is a
    b = as_layout(a, common_body())
    assert b.path == (tmp_path / "data" / "a_as_body_16").resolve()
    stamp = (b.path / "clips.npy").stat().st_mtime_ns
    assert (as_layout(a, common_body()).path / "clips.npy").stat().st_mtime_ns == stamp
    other = as_layout(a, common_body(), mapping={"head": "neck"})
    np.testing.assert_array_equal(other[0].joints[:, :, 3], a[0].joints[:, :, 2])
    two = made("two", "kinect_v2_25", ["x"], bodies=2)
    one = as_layout(two, two.topology, bodies=1)
    np.testing.assert_array_equal(one[3].joints, two[3].joints[:, :1])
    three = retarget(two, two.topology, "three", bodies=3, progress=False)
    np.testing.assert_array_equal(three[3].joints[:, :2], two[3].joints)
    assert three.bodies == 3 and not three[3].joints[:, 2].any()
    with pytest.raises(ConfigError, match="bodies=0"):
        retarget(two, two.topology, "none", bodies=0)
    made("c", "kinect_v2_25", ["x"]), made("c_as_body_16", "kinect_v2_25", ["x"])
    with pytest.raises(DataError, match="exists already"):
        as_layout(load("c"), common_body())


def test_the_test_side_of_a_split_can_be_left_out() -> None:
    a = made("a", "uiprmd_kinect", ["x"], splits={"xsub": {"by": "subject", "train": [1, 2]}})
    b = made("b", "kinect_v2_25", ["x"])
    both = pool([a, b], "both", without={"a": "xsub"}, progress=False)
    test = {f"a:{a.ids[r]}" for r in make_split(a, "xsub").test}
    assert test and not test & set(both.ids) and len(both) == 12 - len(test)
    rows = np.array([0, 1, len(both) - 1])
    assert clips_seen(both, rows, a) == {both.ids[r].removeprefix("a:") for r in rows[:2]}
    assert (
        clips_seen(both, rows, b) == {"c5"} and clips_seen(a, rows[:2], a) == {"c0", "c1"} and clips_seen(a, rows[:2], b) == set()
    )
    alone = retarget(b, common_body(), "c", progress=False)
    assert clips_seen(alone, np.array([2]), b) == {"c2"} and clips_seen(alone, np.array([2]), a) == set()
    with pytest.raises(ConfigError, match="without: 'c' is none of a, b"):
        pool([a, b], "other", without={"c": "xsub"}, progress=False)
    with pytest.raises(ConfigError, match="no official split 'xview'"):
        pool([a, b], "other", without={"a": "xview"}, progress=False)


def test_mapping_from_a_file(tmp_path: Path) -> None:
    a, b = made("a", "uiprmd_kinect", ["x"]), made("b", "kinect_v2_25", ["x"])
    (tmp_path / "m.json").write_text(json.dumps({"a": {"head": "HeadTip"}}))
    both = pool([a, b], "both", mapping=tmp_path / "m.json", progress=False)
    np.testing.assert_array_equal(both[0].joints[:, :, 3], a[0].joints[:, :, 5])
    np.testing.assert_array_equal(both[6].joints[:, :, 3], b[0].joints[:, :, 3])


REAL = os.environ.get("SKELBENCH_REALDATA")


@pytest.mark.skipif(not REAL, reason="SKELBENCH_REALDATA is not set")
def test_real_bodies_become_bodies_of_like_size() -> None:
    sets = ("cmu", "hdm05", "uiprmd_kinect")
    for name in sets:
        import_data(Path(REAL or "") / name, name, progress=False)
    whole = pool(sets, "pooled", progress=False)
    assert len(whole) == 1055 + 232 + 1400 and whole.topology.V == 16 and len(whole.classes) == 37
    body = whole.topology
    rng = torch.Generator().manual_seed(0)
    for source in range(3):
        rows = whole.rows(source=source)
        rows = rows[torch.randperm(len(rows), generator=rng)[:20].numpy()]
        x = np.concatenate([whole[r].joints[:, 0] for r in rows])
        length = {j: float(np.linalg.norm(x[:, j] - x[:, p], axis=-1).mean()) for j, p in body.bones}
        arm = length[body.joint("left_elbow")] + length[body.joint("left_wrist")]
        leg = length[body.joint("left_knee")] + length[body.joint("left_ankle")]
        assert 0.4 < arm < 0.75 and 0.6 < leg < 1.0, (sets[source], arm, leg)
        assert 0.3 < length[body.joint("spine")] / (length[body.joint("spine")] + length[body.joint("neck")]) < 0.7
        for left, right in body.pairs:
            assert abs(length[left] - length[right]) < 0.08
