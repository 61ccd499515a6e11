"""Clips become batches: padding, presence, columns, and what is said about clips that do not fit."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from skelbench.errors import DataError
from skelbench.skeleton import Batch, Clip, batch_of, check_joints, check_lengths, collate, frame_mask, topology

STICK = topology("penn_action_13")


def clip(T: int, M: int = 1, C: int = 2, **more: object) -> Clip:
    rng = np.random.default_rng(T * 10 + M)
    return Clip(joints=rng.normal(size=(T, M, STICK.V, C)).astype(np.float32), topology=STICK, **more)  # type: ignore[arg-type]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(1, 3)), min_size=1, max_size=4))
def test_collate_pads_with_zeros(sizes: list[tuple[int, int]]) -> None:
    clips = [clip(T, M, label=i, id=f"c{i}") for i, (T, M) in enumerate(sizes)]
    batch = collate(clips, rows=range(5, 5 + len(clips)))
    T, M = max(s[0] for s in sizes), max(s[1] for s in sizes)
    assert batch.joints.shape == (len(clips), 2, T, STICK.V, M) and batch.joints.dtype == torch.float32 and len(batch) == len(clips)
    for n, one in enumerate(clips):
        for t in range(T):
            for m in range(M):
                there = t < len(one) and m < one.joints.shape[1]
                expected = one.joints[t, m] if there else np.zeros((STICK.V, 2), np.float32)
                np.testing.assert_array_equal(batch.joints[n, :, t, :, m].T.numpy(), expected)
                assert bool(batch.present[n, t, m]) == there
    assert batch.lengths.tolist() == [len(c) for c in clips]
    assert batch.labels.tolist() == list(range(len(clips))) and batch.ids == tuple(c.id for c in clips)
    assert batch.rows.tolist() == list(range(5, 5 + len(clips)))


def test_presence_is_per_frame_and_body() -> None:
    joints = np.ones((3, 2, STICK.V, 2), np.float32)
    joints[1, 0] = 0
    joints[2, 1, :-1] = 0  # one joint left is enough
    assert Clip(joints=joints, topology=STICK).present.tolist() == [[True, True], [False, True], [True, True]]


def test_clips_that_do_not_fit() -> None:
    with pytest.raises(DataError, match="at least one clip"):
        collate([])
    with pytest.raises(DataError, match=r"'a' \(penn_action_13, 3 coordinates\) does not fit 'b'"):
        collate([clip(2, id="b"), clip(2, C=3, id="a")])
    other = dataclasses.replace(STICK, name="same number, other joints", parents=(-1, *[0] * 12))
    with pytest.raises(DataError, match="same number, other joints"):
        collate([clip(2), Clip(joints=clip(2).joints, topology=other)])
    with pytest.raises(DataError, match=r"'x'.*\(2, 1, 12, 2\), wanted \(T, M, 13, C\)"):
        Clip(joints=np.zeros((2, 1, 12, 2), np.float32), topology=STICK, id="x")
    with pytest.raises(DataError, match="wanted"):
        Clip(joints=np.zeros((2, 13, 2), np.float32), topology=STICK)


def test_batch_columns_must_fit() -> None:
    batch = collate([clip(4), clip(3)])
    for name, value in {
        "lengths": torch.zeros(3),
        "present": batch.present[:, :2],
        "labels": torch.zeros(1),
        "rows": torch.zeros(2, 1),
    }.items():
        with pytest.raises(DataError, match=f"batch: {name} have shape"):
            dataclasses.replace(batch, **{name: value})
    with pytest.raises(DataError, match="1 ids for 2 clips"):
        dataclasses.replace(batch, ids=("a",))
    with pytest.raises(DataError, match="rgb frames"):
        dataclasses.replace(batch, frames={"rgb": torch.zeros(3, 3, 8, 4, 4)})
    video = {"rgb": torch.zeros(2, 3, 8, 4, 4), "depth": torch.zeros(2, 1, 8, 4, 4)}
    for change, match in (
        ({"frames": {}}, "no modality"),
        ({"frames": {"sound": video["depth"]}}, "no modality 'sound'"),
        ({"frames": {"depth": video["rgb"]}}, "depth frames .* C = 1"),
        ({"frames": video | {"ir": torch.zeros(2, 1, 7, 4, 4)}}, "ir frames are"),
        ({"frames": video, "frame_joints": torch.zeros(2, 7, 13, 1, 2)}, "frame_joints have shape"),
        ({"frames": video, "frame_index": torch.zeros(2, 7)}, "frame_index have shape"),
        ({"frame_index": torch.zeros(2, 8)}, "come with frames"),
    ):
        with pytest.raises(DataError, match=match):
            dataclasses.replace(batch, **change)
    with pytest.raises(DataError, match=r"\(N, C, T, V, M\)"):
        dataclasses.replace(batch, joints=batch.joints[0])
    with pytest.raises(DataError, match="lengths run from 2 to 5"):
        batch_of(np.zeros((2, 4, 1, 13, 2)), lengths=[2, 5])
    with pytest.raises(DataError, match=r"\(N, T, M, V, C\)"):
        batch_of(np.zeros((4, 1, 13, 2)))


def test_batch_of_defaults() -> None:
    batch = batch_of(np.ones((2, 4, 1, 13, 2)))
    assert batch.lengths.tolist() == [4, 4] and batch.labels.tolist() == batch.rows.tolist() == [-1, -1] and batch.ids == ("0", "1")


def test_with_joints() -> None:
    batch = collate([clip(4, M=2), clip(3, M=2)])
    same = batch.with_joints(batch.joints * 0)
    assert same.lengths is batch.lengths and same.present is batch.present
    shorter = batch.with_joints(batch.joints[:, :, :2])
    assert shorter.lengths.tolist() == [2, 2] and shorter.present.all()
    one_body = batch.with_joints(batch.joints[..., :1])
    assert one_body.lengths.tolist() == [4, 3] and one_body.present.shape == (2, 4, 1)
    filled = batch.with_joints(torch.ones_like(batch.joints), lengths=torch.tensor([4, 4]))
    assert filled.lengths.tolist() == [4, 4] and filled.present.all()


def test_to_moves_every_tensor() -> None:
    batch: Batch = dataclasses.replace(collate([clip(4)]), frames={"rgb": torch.zeros(1, 3, 2, 4, 4)})
    places = {"frame_joints": torch.zeros(1, 2, 13, 1, 2), "frame_index": torch.zeros(1, 2, dtype=torch.int64)}
    moved = dataclasses.replace(batch, **places).to("meta")
    names = ("joints", "lengths", "present", "labels", "rows", *places)
    assert {getattr(moved, k).device.type for k in names} == {"meta"}
    assert batch.to("meta").frame_joints is None
    assert moved.frames is not None and moved.frames["rgb"].device.type == "meta" and moved.ids == batch.ids


def test_checks_at_the_door() -> None:
    x = torch.zeros(2, 2, 5, 13, 1)
    check_joints(x, STICK)
    with pytest.raises(DataError, match="V = 25"):
        check_joints(x, topology("kinect_v2_25"))
    check_lengths(x, torch.tensor([0, 5]))
    for lengths in (torch.tensor([0, 6]), torch.tensor([-1, 2]), torch.tensor([3]), torch.tensor([1.0, 2.0])):
        with pytest.raises(DataError, match="lengths"):
            check_lengths(x, lengths)
    assert frame_mask(torch.tensor([0, 2]), 3).tolist() == [[False] * 3, [True, True, False]]
