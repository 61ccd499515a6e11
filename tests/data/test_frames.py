"""Pictures on disk: the same as rendered, whole or not there, told apart by settings, and in the batches of a loader."""

import json

import numpy as np
import pytest
import torch

from skelbench.data import FrameSettings, FrameStore, frames_of, list_data, load, render_store
from skelbench.data.frames import DEPTH_RANGE, rendered_folder, rendered_rows, scaled
from skelbench.data.loader import Loader
from skelbench.data.store import Store, write_store
from skelbench.errors import ConfigError, DataError

SMALL = FrameSettings(frames=4, size=16)


@pytest.fixture
def store(home):
    return load("playground_frames:20")


def test_the_cache_holds_what_was_rendered(store):
    made = frames_of(store, SMALL, progress=False)
    direct = rendered_rows(store, np.arange(20), SMALL)
    for name in ("rgb", "depth", "ir"):
        np.testing.assert_array_equal(made.arrays[name], getattr(direct, name).numpy())
        assert not isinstance(made.arrays[name], np.memmap) and not made.arrays[name].flags.writeable
    np.testing.assert_array_equal(made.arrays["places"], direct.joints.numpy())
    np.testing.assert_array_equal(made.index, direct.index.numpy())
    lamps = store.index["lamp_on"] >= 0
    assert lamps.any() and ((made.lamp[lamps] > 0) & (made.lamp[lamps] < 1)).all() and (made.lamp[~lamps] == -1).all()
    assert made.arrays["depth"].dtype == np.uint16 and made.arrays["depth"].max() > 3000
    assert "20 clips x 4 pictures of 16 x 16" in repr(made)


def test_settings_and_content_make_the_key(store):
    one = frames_of(store, SMALL, progress=False)
    stamp = (one.path / "rgb.npy").stat().st_mtime_ns
    assert frames_of(store, SMALL, progress=False).path == one.path
    assert frames_of(store, FrameSettings(frames=4, size=16, modalities=("ir",)), progress=False).path == one.path
    assert (one.path / "rgb.npy").stat().st_mtime_ns == stamp  # opened, not rendered again
    others = [FrameSettings(frames=4, size=24), FrameSettings(frames=5, size=16), FrameSettings(frames=4, size=16, seed=1)]
    others += [FrameSettings(frames=4, size=16, view="front"), FrameSettings(frames=4, size=16, stored=8)]
    paths = {rendered_folder(store, s) for s in [SMALL, *others]}
    assert len(paths) == 6
    with pytest.raises(DataError, match="exists already"):
        render_store(store, SMALL, progress=False)
    again = render_store(store, SMALL, progress=False, overwrite=True)
    np.testing.assert_array_equal(again.arrays["rgb"], one.arrays["rgb"])
    assert [row.name for row in list_data().rows] == ["playground_frames-20-0"]  # the cache is no dataset


def test_a_clip_is_rendered_alike_wherever_it_stands(store, tmp_path):
    few = write_store(tmp_path / "few", [store[7], store[3]], classes=store.classes)
    some, all_ = rendered_rows(few, np.array([0, 1]), SMALL), rendered_rows(store, np.arange(20), SMALL)
    assert torch.equal(some.rgb, all_.rgb[[7, 3]]) and torch.equal(some.depth, all_.depth[[7, 3]])


def test_an_interrupted_rendering_leaves_nothing(store, monkeypatch):
    import skelbench.data.frames as module

    calls = []

    def stops(*args, **kwargs):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return rendered_rows(*args, **kwargs)

    monkeypatch.setattr(module, "rendered_rows", stops)
    with pytest.raises(KeyboardInterrupt):
        frames_of(store, SMALL, progress=False)
    assert len(calls) == 2 and not (store.path.parent / ".frames").exists()


def test_depth_is_measured_from_the_body():
    mm = np.array([0, 3000, 1500, 4500, 2250, 60000], np.uint16).reshape(1, 1, 1, 1, 6)
    found = scaled("depth", mm, np.array([3.0]))
    assert DEPTH_RANGE == 1.5
    assert found.flatten().tolist() == pytest.approx([1.0, 0.5, 0.0, 1.0, 0.25, 1.0])
    colour = np.arange(24, dtype=np.uint8).reshape(1, 2, 3, 2, 2)
    seen = scaled("rgb", colour, np.array([3.0]))
    assert seen.shape == (1, 3, 2, 2, 2) and seen.dtype == torch.float32
    assert float(seen[0, 2, 1, 0, 1]) == pytest.approx(int(colour[0, 1, 2, 0, 1]) / 255)


def test_batches_bring_their_pictures(store):
    settings = FrameSettings(frames=4, size=16, modalities=("depth", "rgb"))
    kept = frames_of(store, settings, progress=False)
    rows = [5, 2, 11, 7, 0]
    loader = Loader(store, rows, batch_size=2, preset="none", shuffle=False, frames=settings)
    seen = list(loader.batches())
    assert [len(b) for b in seen] == [2, 2, 1]
    for batch in seen:
        assert set(batch.frames) == {"depth", "rgb"} and batch.frames["depth"].shape[1:] == (1, 4, 16, 16)
        for k, row in enumerate(batch.rows.tolist()):
            np.testing.assert_array_equal(batch.frames["rgb"][k].numpy(), kept.arrays["rgb"][row].swapaxes(0, 1) / np.float32(255))
            np.testing.assert_array_equal(batch.frame_joints[k].numpy(), kept.arrays["places"][row])
            np.testing.assert_array_equal(batch.frame_index[k].numpy(), kept.index[row])
            length = int(batch.lengths[k])
            assert batch.frame_index[k].tolist() == [int((t + 0.5) * length / 4) for t in range(4)]
    assert next(Loader(store, rows, batch_size=2, preset="none").batches()).frames is None


def test_training_draws_a_picture_from_every_stretch_and_resumes(store):
    settings = FrameSettings(frames=4, size=16, stored=12)
    loader = Loader(store, range(20), batch_size=5, preset="none", frames=settings)
    epochs = [list(loader.epoch(torch.Generator().manual_seed(s))) for s in (0, 0, 1)]
    for a, b in zip(epochs[0], epochs[1], strict=True):
        assert torch.equal(a.frame_index, b.frame_index) and torch.equal(a.frames["rgb"], b.frames["rgb"])
    late = list(loader.epoch(torch.Generator().manual_seed(0), skip=2))
    assert len(late) == 2 and torch.equal(late[0].frame_index, epochs[0][2].frame_index) and late[0].ids == epochs[0][2].ids
    kept = frames_of(store, settings, progress=False)
    drawn = {row: [] for row in range(20)}
    for epoch in epochs:
        for batch in epoch:
            for k, row in enumerate(batch.rows.tolist()):
                at = [int(np.flatnonzero(kept.index[row] == frame)[0]) for frame in batch.frame_index[k].tolist()]
                assert [p // 3 for p in at] == [0, 1, 2, 3]
                drawn[row].append(tuple(at))
    assert len({d[0] for d in drawn.values()}) > 10  # not all clips alike
    still = [b.frame_index for b in loader.batches()]
    assert torch.equal(torch.cat(still), torch.cat([b.frame_index for b in loader.batches()]))
    assert still[0][0].tolist() == kept.index[0][[1, 4, 7, 10]].tolist()


def test_the_order_of_clips_does_not_hang_on_pictures(store):
    plain = Loader(store, range(20), batch_size=4, preset="none")
    with_pictures = Loader(store, range(20), batch_size=4, preset="none", frames=SMALL)
    one, two = (list(x.epoch(torch.Generator().manual_seed(5))) for x in (plain, with_pictures))
    assert [b.ids for b in one] == [b.ids for b in two]


def test_damaged_or_foreign_pictures_are_refused(store):
    made = frames_of(store, SMALL, progress=False)
    whole = (made.path / "rgb.npy").read_bytes()
    (made.path / "rgb.npy").write_bytes(whole[:-100])
    with pytest.raises(DataError, match=r"rgb.npy: damaged"):
        frames_of(store, SMALL)
    (made.path / "rgb.npy").unlink()
    with pytest.raises(DataError, match=r"rgb.npy: cannot be read"):
        frames_of(store, SMALL)
    np.save(made.path / "rgb.npy", np.zeros((20, 4, 3, 8, 8), np.uint8))
    with pytest.raises(DataError, match=r"wanted uint8 \(20, 4, 3, 16, 16\)"):
        frames_of(store, SMALL)
    (made.path / "rgb.npy").write_bytes(whole)
    index = (made.path / "index.npz").read_bytes()
    for broken in (index[:50], index[: len(index) // 2]):
        (made.path / "index.npz").write_bytes(broken)
        with pytest.raises(DataError, match=r"index.npz: damaged"):
            frames_of(store, SMALL)
    (made.path / "index.npz").write_bytes(index)
    table = json.loads((made.path / "meta.json").read_text())
    (made.path / "meta.json").write_text(json.dumps({**table, "fingerprint": "other"}))
    with pytest.raises(DataError, match="another state"):
        frames_of(store, SMALL)
    (made.path / "meta.json").write_text(json.dumps({**table, "version": 7}))
    with pytest.raises(DataError, match="not 'skelbench-frames'"):
        FrameStore(made.path, store)


def test_settings_out_of_range_and_pictures_that_are_not_there(store):
    for edit, match in (
        ({"modalities": ()}, "modalities"),
        ({"modalities": ("rgb", "rgb")}, "modalities"),
        ({"modalities": ("sound",)}, "modalities"),
        ({"frames": 0}, "frames = 0"),
        ({"size": 4}, "size = 4"),
        ({"stored": 3}, "stored = 3"),
        ({"source": "film"}, "source"),
    ):
        with pytest.raises(ConfigError, match=match):
            FrameSettings(**edit)
    with pytest.raises(DataError, match=r"no video attached.*skelbench data frames"):
        frames_of(store, FrameSettings(source="video"))
    kept = frames_of(store, SMALL, progress=False)
    with pytest.raises(DataError, match="keeps 4 pictures a clip, 9 are wanted"):
        kept.add_to(store.batch([0]), ("rgb",), 9)


def test_things_at_joints_that_are_not_there(store, tmp_path):
    clip = store[0]
    odd = clip.__class__(joints=clip.joints, topology=clip.topology, label=0, id="odd", about={"held_joint": 99})
    bad = write_store(tmp_path / "bad", [odd], classes=["a"])
    with pytest.raises(DataError, match="'odd': held_joint is 99"):
        rendered_rows(bad, np.array([0]), SMALL)
    assert isinstance(bad, Store)
