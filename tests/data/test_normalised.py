"""Clips normalised while they stream; loaders of stores that were normalised, or that get shorter by it."""

import json

import numpy as np
import pytest
import torch

from skelbench.data import Loader, normalised, write_store
from skelbench.data.normalised import normalised_clips, picture_sizes
from skelbench.errors import ConfigError, DataError
from skelbench.evaluate.features import extract
from skelbench.methods.floors import Raw
from skelbench.skeleton import Clip, collate, preset, topology
from skelbench.train import start

KINECT, COCO = topology("kinect_v2_25"), topology("coco_17")
CLASSES = ("a", "b", "c")


def raw_joints():
    return Raw(Raw.Config(frames=8), topology=KINECT, bodies=2, coordinates=3)


def pictures(n=7):
    """Clips of keypoints with scores, pixels, a picture size of their own."""
    rng = np.random.default_rng(1)
    for i in range(n):
        width, height = 640 + 10 * i, 480
        joints = rng.uniform(size=(3 + i, 1 + i % 2, 17, 3)) * (width, height, 1)
        about = {"width": width, "height": height, "subject": i % 3}
        yield Clip(joints=joints.astype(np.float32), topology=COCO, label=i % 3, id=f"p{i}", about=about)


def alone(clip, name, *, bodies=None, size=None):
    """One clip after a preset, by itself (T, M, V, C)."""
    batch = collate([clip])
    joints = batch.joints if bodies is None else torch.nn.functional.pad(batch.joints, (0, bodies - batch.joints.shape[4]))
    y, n = preset(name).run(joints, batch.lengths, clip.topology, size=size)
    return y[0, :, : int(n)].permute(1, 3, 2, 0).numpy()


@pytest.mark.parametrize("name", ["none", "isc", "ctrgcn", "pyskl", "mamp_pku"])
def test_every_clip_is_normalised_as_if_alone(make, name):
    clips = list(make(23, topology=KINECT))
    done = list(normalised_clips(iter(clips), name))
    assert [(c.id, c.label, dict(c.about), c.fps) for c in done] == [(c.id, c.label, dict(c.about), c.fps) for c in clips]
    for before, after in zip(clips, done, strict=True):
        want = alone(before, name)
        assert after.joints.shape == want.shape and after.joints.dtype == np.float32
        np.testing.assert_allclose(after.joints, want, atol=1e-5)


def test_frames_without_the_first_body_go(make):
    clips = list(make(12, topology=KINECT))
    for clip in clips:
        clip.joints[1::2, 0] = 0  # of 1 + i frames, every second one
        clip.joints[:, 1] = 0
    done = list(normalised_clips(iter(clips), "pyskl"))
    assert [len(c) for c in done] == [-(-len(c) // 2) for c in clips]
    assert not done[5].joints[0, 0, 1].any()  # the spine of the first frame is the origin


def test_pieces_change_nothing(make, monkeypatch):
    whole = [c.joints for c in normalised_clips(make(23, topology=KINECT), "isc")]
    monkeypatch.setattr(normalised, "CHUNK", 5)
    few = [c.joints for c in normalised_clips(make(23, topology=KINECT), "isc")]
    monkeypatch.setattr(normalised, "CHUNK_BYTES", 3 * whole[4].nbytes)
    small = [c.joints for c in normalised_clips(make(23, topology=KINECT), "isc")]
    for a, b, c in zip(whole, few, small, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
        np.testing.assert_allclose(a, c, atol=1e-5)


def test_only_a_few_clips_are_held_at_a_time(make, monkeypatch):
    read = []

    def reading():
        for clip in make(40, topology=KINECT):
            read.append(clip.id)
            yield clip

    monkeypatch.setattr(normalised, "CHUNK", 8)
    stream = normalised_clips(reading(), "isc")
    assert not read
    next(stream)
    assert len(read) == 9
    monkeypatch.setattr(normalised, "CHUNK_BYTES", 1)  # whatever their size, at least one clip
    assert len([next(stream) for _ in range(20)]) == 20 and len(read) < 31


def test_the_reader_is_closed(make):
    closed = []

    def reading():
        try:
            yield from make(10, topology=KINECT)
        finally:
            closed.append(True)

    stream = normalised_clips(reading(), "isc")
    next(stream)
    stream.close()
    assert closed == [True]


def test_a_lone_body_is_copied_into_the_place_the_store_has(make):
    clips = list(make(6, topology=KINECT, bodies=1))
    for bodies in (None, 2):
        done = list(normalised_clips(iter(clips), "ctrgcn120", bodies=bodies))
        assert all(c.joints.shape[1] == 2 and np.array_equal(c.joints[:, 0], c.joints[:, 1]) for c in done)
    assert all(c.joints.shape[1] == 3 for c in normalised_clips(iter(clips), "isc", bodies=3))
    assert all(c.joints.shape[1] == 1 for c in normalised_clips(iter(clips), "isc"))


def test_pictures_of_different_sizes():
    done = list(normalised_clips(pictures(), "pyskl2d", units="pixel"))
    for before, after in zip(pictures(), done, strict=True):
        half = np.array([before.about["width"], before.about["height"]]) / 2
        seen = before.joints[..., 2:] > 0.01
        np.testing.assert_allclose(after.joints[..., :2], (before.joints[..., :2] - half) / half * seen, atol=1e-6)
        assert np.array_equal(after.joints[..., 2], before.joints[..., 2])
    unsized = (Clip(joints=c.joints, topology=COCO, id=c.id, label=0) for c in pictures())
    with pytest.raises(DataError, match="needs width and height"):
        list(normalised_clips(unsized, "pyskl2d", units="pixel"))


def test_empty_clips_go_where_the_preset_says_so(make):
    clips = list(make(6, topology=KINECT))
    clips[2].joints[:] = 0
    assert len(list(normalised_clips(iter(clips), "mamp_pku"))) == 5
    assert len(list(normalised_clips(iter(clips), "pyskl"))) == 6


def test_refusals(make):
    clips = list(make(3, topology=KINECT))
    with pytest.raises(ConfigError, match="no preset called 'iscc'"):
        normalised_clips(iter(clips), "iscc")  # at the call, before anything is read
    clips[1].joints[1, 0, 3, 2] = np.nan
    with pytest.raises(DataError, match="clip 'clip_001', frame 1: joint 3 of body 0 has the coordinate nan"):
        list(normalised_clips(iter(clips), "isc"))
    with pytest.raises(DataError, match="preset 'pyskl' turns by the spine"):
        list(normalised_clips(make(3, topology=topology("ntu_x_67")), "pyskl"))


def test_sizes_of_pictures():
    columns = {"width": np.array([640, -1]), "height": np.array([480, -1]), "other": np.zeros(2)}
    assert picture_sizes(2, columns, "pixel").tolist() == [[640, 480], [0, 0]]
    assert picture_sizes(2, {}, "image").tolist() == [[1, 1], [1, 1]]
    assert (
        picture_sizes(2, {}, "pixel") is None
        and picture_sizes(1, {"width": np.array([-1]), "height": np.array([-1])}, "px") is None
    )


# --- stores ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def raw(tmp_path, make):
    return write_store(tmp_path / "raw", make(23, topology=KINECT), classes=CLASSES)


def baked(path, make, name):
    return write_store(path, normalised_clips(make(23, topology=KINECT), name), classes=CLASSES, presets=(name,))


@pytest.mark.parametrize("name", ["isc", "ctrgcn", "pyskl"])
@pytest.mark.parametrize("cache", [True, False])
def test_a_store_that_was_normalised_is_not_normalised_again(tmp_path, make, raw, name, cache):
    store = baked(tmp_path / name, make, name)
    for asked in (name, "none"):
        there = Loader(store, np.arange(23), batch_size=5, preset=asked, cache=cache)
        assert (there.preset.vertical, there.preset.lateral) == (preset(name).vertical, preset(name).lateral)
        for a, b in zip(there.batches(), Loader(raw, np.arange(23), batch_size=5, preset=name).batches(), strict=True):
            torch.testing.assert_close(a.joints, b.joints, rtol=0, atol=1e-5)
            assert torch.equal(a.lengths, b.lengths) and torch.equal(a.present, b.present) and a.ids == b.ids


def test_another_preset_is_refused(tmp_path, make):
    store = baked(tmp_path / "c", make, "ctrgcn")
    with pytest.raises(
        ConfigError, match=r"'c' was stored with the preset 'ctrgcn', so 'isc' cannot be applied; ask for 'ctrgcn' or 'none'"
    ):
        Loader(store, [0], batch_size=1)
    with pytest.raises(ConfigError, match="so 'isc' cannot be applied"):
        extract(raw_joints(), store, [0])


@pytest.mark.parametrize("cache", [True, False])
def test_shorter_clips_in_every_batch(tmp_path, make, cache):
    clips = list(make(11, topology=KINECT, longest=11))
    for clip in clips:
        clip.joints[::2] = 0
        clip.joints[1::2, 0] = 1 + np.arange(25 * 3).reshape(25, 3)
    store = write_store(tmp_path / "short", clips, classes=CLASSES)
    lengths = [max(1, len(c) // 2) for c in clips]  # a clip that loses all of its frames keeps them
    seen = []
    for batch in Loader(store, np.arange(11), batch_size=4, preset="pyskl", cache=cache).batches():
        assert batch.joints.shape[2] == batch.lengths.max() == batch.present.shape[1]
        for i, row in enumerate(batch.rows.tolist()):
            want = alone(clips[row], "pyskl")
            got = batch.joints[i, :, : len(want)].permute(1, 3, 2, 0).numpy()
            np.testing.assert_allclose(got, want, atol=1e-5)
            assert not batch.joints[i, :, len(want) :].any() and int(batch.lengths[i]) == len(want)
        seen += batch.lengths.tolist()
    assert seen == lengths


def test_features_see_the_new_lengths(tmp_path, make):
    clips = list(make(9, topology=KINECT))
    for clip in clips:
        clip.joints[len(clip) // 2 :, 0] = 0
        clip.joints[:, 1] = 0
    long = write_store(tmp_path / "long", clips, classes=CLASSES)
    cut = (Clip(joints=c.joints[: max(1, len(c) // 2)], topology=KINECT, id=c.id, label=c.label) for c in clips)
    short = write_store(tmp_path / "short", cut, classes=CLASSES)
    a, b = (extract(raw_joints(), store, np.arange(9), preset="pyskl").values for store in (long, short))
    np.testing.assert_allclose(a, b, atol=1e-5)


def test_the_loader_knows_the_size_of_pictures(tmp_path):
    store = write_store(tmp_path / "p", pictures(), classes=CLASSES, bodies=2, units="pixel")
    want = list(normalised_clips(pictures(), "pyskl2d", units="pixel"))
    for cache in (True, False):
        for batch in Loader(store, np.arange(7), batch_size=3, preset="pyskl2d", cache=cache).batches():
            for i, row in enumerate(batch.rows.tolist()):
                clip = want[row].joints
                got = batch.joints[i, :, : len(clip)].permute(1, 3, 2, 0).numpy()
                np.testing.assert_allclose(got[:, : clip.shape[1]], clip, atol=1e-6)


def test_runs_remember_their_preset(tmp_path, make, monkeypatch):
    monkeypatch.setenv("SKELBENCH_RUNS", str(tmp_path / "runs"))
    store = baked(tmp_path / "ctr", make, "ctrgcn")
    edits = {"epochs": 1, "batch": 4, "probe_every": 0, "meter_every": 0, "frames": 8, "minimum": 1}
    with pytest.raises(ConfigError, match="was stored with the preset 'ctrgcn', so 'isc' cannot be applied"):
        start("moco", store, "smoke", folder=tmp_path / "no", normalise="isc", **edits)
    assert not (tmp_path / "no").exists()
    run = start("moco", store, "smoke", folder=tmp_path / "yes", normalise="ctrgcn", **edits).run(progress=False)
    kept = [json.loads(p.read_text()) for p in (run.folder / "config.json", *run.folder.glob("checkpoints/*/state.json"))]
    assert len(kept) == 2 and all(c.get("config", c)["train"]["normalise"] == "ctrgcn" for c in kept)
