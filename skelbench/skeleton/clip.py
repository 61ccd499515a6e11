"""Clips and batches: what every reader makes, every augmentation changes and every method eats.

Legend of every shape comment in the package: N clips, C coordinates, T frames, V joints, M bodies, D feature width,
K queue, P positives, S prototypes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skelbench.errors import DataError
from skelbench.skeleton.topology import Topology


@dataclass(frozen=True, kw_only=True, eq=False)
class Clip:
    """One recorded movement.

    Attributes:
        joints: float32 (T, M, V, C), metres; a body that is absent in a frame is all zero there.
        topology: what the V axis means.
        fps: frames a second.
        label: class index, -1 unknown.
        id: name of the clip in its store.
        about: subject, camera, setup, class_name ... whatever the source says.
        up: which way up the coordinates point: "y", "z", or "-y" for positions in a picture. Views draw the clip accordingly.
    """

    joints: np.ndarray
    topology: Topology
    fps: float = 30.0
    label: int = -1
    id: str = ""
    about: Mapping[str, Any] = field(default_factory=dict)
    up: str = "y"

    def __post_init__(self) -> None:
        shape = self.joints.shape
        if self.joints.ndim != 4 or shape[2] != self.topology.V:
            wanted = f"(T, M, {self.topology.V}, C) for topology {self.topology.name!r}"
            raise DataError(f"clip {self.id!r}: joints have shape {shape}, wanted {wanted}")

    @property
    def present(self) -> np.ndarray:
        """(T, M) bool: the body was seen in that frame."""
        return (self.joints != 0).any(axis=(2, 3))

    def __len__(self) -> int:
        return self.joints.shape[0]


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """Clips of one topology, padded with zeros to a common T.

    Attributes:
        joints: float32 (N, C, T, V, M).
        lengths: int64 (N,), frames before the padding.
        present: bool (N, T, M), the body was seen in that frame.
        labels: int64 (N,), -1 unknown.
        ids: clip names, N of them.
        rows: int64 (N,), row of the clip in its dataset (-1 when it stands in none).
        frames: video of the multi-modal methods: ``rgb | depth | ir`` -> float32 (N, C, T', H, W) in 0..1; C is 3 for ``rgb``, else
            1, and all share T', H and W. A modality that was not recorded is left out; None where nobody asked for video.
        frame_joints: float32 (N, T', V, M, 2), the joints as they stand in these pictures: x to the right, y down, both 0..1 from
            edge to edge (outside of it: out of the picture). A body that is absent is all zero. None where the place is not known.
        frame_index: int64 (N, T'), which frame of the clip, as it is stored, each picture shows.
    """

    joints: Tensor
    lengths: Tensor
    present: Tensor
    labels: Tensor
    ids: tuple[str, ...]
    rows: Tensor
    frames: Mapping[str, Tensor] | None = None
    frame_joints: Tensor | None = None
    frame_index: Tensor | None = None

    def __post_init__(self) -> None:
        if self.joints.ndim != 5:
            raise DataError(f"a batch holds joints (N, C, T, V, M), got shape {tuple(self.joints.shape)}")
        N, _, T, _, M = self.joints.shape
        wanted = {"lengths": (N,), "present": (N, T, M), "labels": (N,), "rows": (N,)}
        for name, shape in wanted.items():
            if getattr(self, name).shape != shape:
                given = tuple(getattr(self, name).shape)
                raise DataError(f"batch: {name} have shape {given}, wanted {shape} for joints {tuple(self.joints.shape)}")
        if len(self.ids) != N:
            raise DataError(f"batch: {len(self.ids)} ids for {N} clips")
        _check_frames(self)

    def __len__(self) -> int:
        return self.joints.shape[0]

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on another device."""
        moved = {k: getattr(self, k).to(device) for k in ("joints", "lengths", "present", "labels", "rows")}
        moved |= {k: v.to(device) for k in ("frame_joints", "frame_index") if (v := getattr(self, k)) is not None}
        frames = {k: v.to(device) for k, v in self.frames.items()} if self.frames is not None else None
        return replace(self, **moved, frames=frames)

    def with_joints(self, joints: Tensor, *, lengths: Tensor | None = None) -> Batch:
        """The same clips with other coordinates (N, C, T, V, M).

        With new ``lengths`` (N,), or where T or M differ, ``present`` is read off the joints, and a clip is as long as ``lengths``
        say, else all of T. Otherwise both are kept. Views fill all their frames: hand over their lengths.
        """
        before, after = self.joints.shape, joints.shape
        if lengths is None and (before[2], before[4]) == (after[2], after[4]):
            return replace(self, joints=joints)
        if lengths is None:
            lengths = self.lengths if before[2] == after[2] else torch.full_like(self.lengths, after[2])
        return replace(self, joints=joints, lengths=lengths, present=(joints != 0).any(dim=3).any(dim=1))


CHANNELS: Mapping[str, int] = {"rgb": 3, "depth": 1, "ir": 1}  # C of each modality of ``Batch.frames``


def _check_frames(batch: Batch) -> None:
    """Raises DataError unless the pictures, their joints and their numbers fit the clips and one another."""
    N, _, _, V, M = batch.joints.shape
    if batch.frames is None:
        if batch.frame_joints is not None or batch.frame_index is not None:
            raise DataError("batch: frame_joints and frame_index come with frames, but there are none")
        return
    if not batch.frames:
        raise DataError("batch: frames hold no modality; leave them None")
    first = next(iter(batch.frames.values()))
    for name, video in batch.frames.items():
        if name not in CHANNELS:
            raise DataError(f"batch: no modality {name!r}; there are {', '.join(CHANNELS)}")
        if video.ndim != 5 or video.shape[:2] != (N, CHANNELS[name]):
            wanted = f"(N, C, T', H, W) with N = {N} and C = {CHANNELS[name]}"
            raise DataError(f"batch: {name} frames have shape {tuple(video.shape)}, wanted {wanted}")
        if video.shape[2:] != first.shape[2:]:
            raise DataError(f"batch: {name} frames are {tuple(video.shape[2:])} (T', H, W), others {tuple(first.shape[2:])}")
    T = first.shape[2]
    for name, shape in {"frame_joints": (N, T, V, M, 2), "frame_index": (N, T)}.items():
        value = getattr(batch, name)
        if value is not None and value.shape != shape:
            raise DataError(f"batch: {name} have shape {tuple(value.shape)}, wanted {shape}")


def collate(clips: Sequence[Clip], rows: Sequence[int] | None = None) -> Batch:
    """Stack clips into a batch, zero-padded to the longest and to the most bodies.

    Raises:
        DataError: no clip given, or clips of different topologies.
    """
    if not clips:
        raise DataError("collate needs at least one clip")
    first = clips[0]
    for clip in clips:
        same = clip.topology is first.topology or clip.topology == first.topology
        if not same or clip.joints.shape[3] != first.joints.shape[3]:
            kinds = [f"{c.id!r} ({c.topology.name}, {c.joints.shape[3]} coordinates)" for c in (clip, first)]
            raise DataError(f"clip {kinds[0]} does not fit {kinds[1]} in one batch")
    T, M = max(len(c) for c in clips), max(c.joints.shape[1] for c in clips)
    V, C = first.joints.shape[2:]
    joints = np.zeros((len(clips), T, M, V, C), np.float32)
    for i, clip in enumerate(clips):
        joints[i, : len(clip), : clip.joints.shape[1]] = clip.joints
    return batch_of(
        joints,
        lengths=[len(c) for c in clips],
        labels=[c.label for c in clips],
        ids=[c.id for c in clips],
        rows=rows,
    )


def batch_of(
    joints: np.ndarray,
    *,
    lengths: Sequence[int] | np.ndarray | None = None,
    labels: Sequence[int] | np.ndarray | None = None,
    ids: Sequence[str] | None = None,
    rows: Sequence[int] | np.ndarray | None = None,
) -> Batch:
    """Batch from one padded array (N, T, M, V, C), everything after a clip's length zero.

    Args:
        joints: coordinates in metres, in the order of a store.
        lengths: frames each clip has before the padding; T when None.
        labels: class indices; -1, unknown, when None.
        ids: names; "0", "1" ... when None.
        rows: rows of the data set; -1, in none, when None.

    Raises:
        DataError: the array has another number of axes, a column another number of clips, or a length is outside 0..T.
    """
    if joints.ndim != 5:
        raise DataError(f"a padded array of clips is (N, T, M, V, C), got shape {joints.shape}")
    N, T = joints.shape[:2]
    x = torch.from_numpy(np.ascontiguousarray(joints, dtype=np.float32))

    def column(values: Any, default: int) -> Tensor:
        return torch.full((N,), default, dtype=torch.int64) if values is None else torch.as_tensor(np.asarray(values, np.int64))

    batch = Batch(
        joints=x.permute(0, 4, 1, 3, 2).contiguous(),  # (N, C, T, V, M)
        present=(x != 0).any(dim=4).any(dim=3),  # (N, T, M)
        lengths=column(lengths, T),
        labels=column(labels, -1),
        ids=tuple(ids) if ids is not None else tuple(str(i) for i in range(N)),
        rows=column(rows, -1),
    )
    check_lengths(batch.joints, batch.lengths)
    return batch


def check_joints(x: Tensor, topology: Topology) -> None:
    """Raises DataError unless ``x`` is (N, C, T, V, M) with the V of the topology."""
    if x.ndim != 5 or x.shape[3] != topology.V:
        wanted = f"(N, C, T, V, M) with V = {topology.V} for topology {topology.name!r}"
        raise DataError(f"joints have shape {tuple(x.shape)}, wanted {wanted}")


def check_lengths(x: Tensor, lengths: Tensor) -> None:
    """Raises DataError unless ``lengths`` is one whole number in 0..T for each of the N clips of ``x`` (N, C, T, V, M)."""
    N, T = x.shape[0], x.shape[2]
    if lengths.shape != (N,) or lengths.is_floating_point():
        given = f"shape {tuple(lengths.shape)} and type {lengths.dtype}"
        raise DataError(f"lengths have {given}, wanted whole numbers of shape ({N},), one a clip")
    if N and (int(lengths.min()) < 0 or int(lengths.max()) > T):
        raise DataError(f"lengths run from {int(lengths.min())} to {int(lengths.max())}, but the clips have {T} frames")


def frame_mask(lengths: Tensor, T: int) -> Tensor:
    """(N, T) bool: the frame comes before the padding."""
    return torch.arange(T, device=lengths.device) < lengths[:, None]
