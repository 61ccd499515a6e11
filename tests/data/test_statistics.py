"""The numbers of a data card against what a plain loop over clips, bodies and bones gives."""

import numpy as np
import pytest

from skelbench.data import statistics as module
from skelbench.data import write_store
from skelbench.data.splits import usual_split
from skelbench.data.statistics import statistics
from skelbench.errors import ConfigError
from skelbench.skeleton.clip import Clip
from skelbench.skeleton.topology import topology

CLASSES = ("wave", "sit", "fall")


def naive(store):
    """Frame by frame, in float64."""
    V, M = store.topology.V, store.bodies
    seen, missing, frames, bodies, empty = np.zeros(M), np.zeros(V), 0, 0, 0
    spread = {b: [] for b in store.topology.bones}
    for clip in store:
        anybody = False
        for frame in clip.joints:
            there = [body for body in frame if body.any()]
            anybody |= bool(there)
            frames += 1
            for m in range(len(there)):
                seen[m] += 1
            for body in there:
                bodies += 1
                missing += [not joint.any() for joint in body]
        empty += not anybody
        for m in range(M):
            for child, parent in store.topology.bones:
                both = [f[m] for f in clip.joints.astype(np.float64) if f[m, child].any() and f[m, parent].any()]
                lengths = [np.sqrt(((b[child] - b[parent]) ** 2).sum()) for b in both]
                if len(lengths) > 1:
                    spread[child, parent].append(np.std(lengths) / np.mean(lengths))
    return seen / frames, empty, missing / bodies, [np.median(v) for v in spread.values()]


@pytest.mark.parametrize("chunk", [1, 64 << 20])
def test_frames_against_a_plain_loop(chunk, tmp_path, make, monkeypatch):
    monkeypatch.setattr(module, "CHUNK", chunk)
    clips = [Clip(**{**vars(c), "joints": c.joints.copy()}) for c in make()]
    clips[3].joints[:] = 0  # nobody
    clips[5].joints[1, 0, 4] = 0  # a joint that was lost
    store = write_store(tmp_path / "s", clips, classes=CLASSES)
    seen, empty, missing, spread = naive(store)
    found = statistics(store)
    assert np.allclose(found.seen, seen) and found.empty_clips == empty == 1
    assert np.allclose(found.joint_missing, missing) and missing[4] > 0
    assert np.allclose(found.bone_spread, spread, rtol=1e-5) and found.looked_at == 24


def test_a_rigid_body_has_no_spread(tmp_path):
    kinect = topology("kinect_v2_25")
    rng = np.random.default_rng(0)
    pose = rng.normal(size=(1, 1, 25, 3))
    walk = np.cumsum(rng.normal(size=(30, 1, 1, 3)), axis=0)
    clip = Clip(joints=(pose + walk).astype(np.float32), topology=kinect, label=0, id="a")
    found = statistics(write_store(tmp_path / "s", [clip], classes=["a"]))
    assert found.bone_spread.max() < 1e-5 and found.bone_length.shape == (24,)


def test_classes_on_every_side(store):
    found = statistics(store, split="cross_subject")
    assert sum(sum(c) for c in found.counts.values()) == 24 and set(found.counts) <= {"train", "validation", "test", "other"}
    for side in ("train", "validation", "test"):
        assert found.counts[side].tolist() == np.bincount(store.labels[getattr(found.split, side)], minlength=3).tolist()
    assert found.people["subject"] == {1: 6, 2: 6, 3: 6, 4: 6} and found.people["camera"] == {1: 12, 2: 12}


def test_no_split_fits(tmp_path, tree, make):
    clips = [Clip(joints=c.joints, topology=tree, label=-1 if i else 0, id=c.id) for i, c in enumerate(make(4))]
    store = write_store(tmp_path / "s", clips, classes=CLASSES)
    found = statistics(store)
    assert (
        found.split is None and "subject" in found.why_not and found.counts["clips"].tolist() == [1, 0, 0] and found.unlabelled == 3
    )
    with pytest.raises(ConfigError):
        statistics(store, split="cross_subject")


def test_lengths_are_counted_in_whole_frames(store):
    edges, counts = statistics(store).lengths
    assert counts.sum() == 24 and edges.dtype == np.int64 and len(counts) <= module.BINS and counts.tolist() == [2] * 12


def test_scores_tell_what_is_missing(tmp_path):
    coco = topology("coco_17")
    joints = np.ones((4, 1, 17, 3), np.float32)
    joints[:2, :, 5, 2] = 0  # a joint with a place and no score
    store = write_store(tmp_path / "s", [Clip(joints=joints, topology=coco, label=0, id="a")], classes=["a"])
    assert statistics(store).joint_missing.tolist() == [0.5 if j == 5 else 0.0 for j in range(17)]


def test_the_usual_split(tmp_path, make, store):
    assert usual_split(store) == "cross_subject"
    kept = write_store(tmp_path / "kept", make(), classes=CLASSES, extra={"split": "xview"}, splits={"xsub": {"train": [1]}})
    assert usual_split(kept) == "xview"
    listed = write_store(tmp_path / "listed", make(), classes=CLASSES, splits={"xsub": {"train": [1]}})
    assert usual_split(listed) == "xsub"
    rules = {"cameras": {"by": "camera", "train": [1]}, "a": "note"}
    single = write_store(tmp_path / "single", make(), classes=CLASSES, splits=rules)
    assert usual_split(single) == "cameras"
