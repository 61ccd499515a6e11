"""The work behind each normalisation preset, one function a code base: ``(joints, lengths, topology, size) -> (joints, lengths)``.

Joints are (N, C, T, V, M) with a score as last channel where C = dims + 1; scores move with their frames and bodies and are never
changed. ``size`` (N, 2) is width and height of the picture, for 2D presets. The topology names the joints.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from skelbench.errors import DataError
from skelbench.skeleton.clip import frame_mask
from skelbench.skeleton.geometry import (
    centre_per_frame,
    coordinates,
    fill_null_frames,
    first_frame,
    joint_at,
    keep_frames,
    minimal_rotation,
    rotate_to,
    seen,
    within_axes,
    zero_padding,
)
from skelbench.skeleton.topology import Topology

Steps = Callable[[Tensor, Tensor, Topology, Tensor | None], tuple[Tensor, Tensor]]
Done = tuple[Tensor, Tensor]

UNSEEN = 0.01  # a 2D joint whose score is this or less is no joint (published threshold)
SMALLEST_BOX = 10.0  # pixels; a smaller box of joints is no person to scale by (published)
LONGEST = 300  # frames that the tensors of MAMP's PKU-MMD hold
WRIST, MIDDLE = ("wrist",), ("middle_base", "middle_mcp")  # names of these joints in hand layouts


def as_recorded(x: Tensor, lengths: Tensor, topology: Topology, size: Tensor | None) -> Done:
    return zero_padding(x, lengths), lengths


def isc(x: Tensor, lengths: Tensor, topology: Topology, size: Tensor | None) -> Done:
    """2s-AGCN, ISC, HaLP: gaps closed, every frame centred on the spine of body 0, spine to +z, shoulders to +x."""
    d = coordinates(topology, x.shape[1])
    x = fill_null_frames(x, lengths)
    y = centre_per_frame(x[:, :d], topology.center)
    if d == 3 and x.shape[2] > 0:
        if topology.spine:
            y = rotate_to(y, topology.spine, 2)
        if topology.shoulders:  # not restricted to a turn about z: afterwards the shoulders are exactly x, the spine only nearly z
            y = rotate_to(y, topology.shoulders, 0)
    return _with_score(y, x, d), lengths


def ctrgcn(x: Tensor, lengths: Tensor, topology: Topology, size: Tensor | None) -> Done:
    """CTR-GCN: one origin a clip, the spine of body 0 in the first frame where it is seen.

    Where a second body is ever seen, frames without a body are zero afterwards; in clips of one body they are not: there the origin
    is subtracted from zeros, as published (the files have no such frames).
    """
    d, T = coordinates(topology, x.shape[1]), x.shape[2]
    if x.numel() == 0:
        return x, lengths
    there = seen(x, lengths)  # (N, T, M)
    at, found = first_frame(there[:, :, 0])
    origin = joint_at(x[:, :d], at, topology.center) * found[:, None]  # (N, d)
    alone = ~there[:, :, 1:].any(2).any(1)  # (N,)
    first = there[:, :, 0] | (alone[:, None] & frame_mask(lengths, T).to(x.device))
    mask = torch.cat([first[:, :, None], there[:, :, 1:]], 2)[:, None, :, None, :]  # (N, 1, T, 1, M)
    y = (x[:, :d] - origin[:, :, None, None, None]) * mask
    return _with_score(y, zero_padding(x, lengths), d), lengths


def ctrgcn120(x: Tensor, lengths: Tensor, topology: Topology, size: Tensor | None) -> Done:
    """CTR-GCN on NTU 120: as ``ctrgcn``, and the second body of a clip of one body is a copy of the first."""
    if x.shape[4] < 2:
        raise DataError(
            "preset 'ctrgcn120' copies a lone body into the second slot, and these clips have one; import with bodies=2"
        )
    x, lengths = ctrgcn(x, lengths, topology, size)
    alone = ~(x[..., 1:] != 0).flatten(1).any(1)
    second = torch.where(alone[:, None, None, None], x[..., 0], x[..., 1])
    return torch.cat([x[..., :1], second[..., None], x[..., 2:]], 4), lengths


def pyskl(x: Tensor, lengths: Tensor, topology: Topology, size: Tensor | None) -> Done:
    """PYSKL and BRL, 3D: frames without body 0 dropped, origin at its spine in the first frame left, spine to +z, shoulders to +x.

    Of two bodies the one seen in more frames is body 0. A joint that is all zero stays so, and a clip without any body.
    The published code centres layouts other than Kinect v2 on their last joint; here it is always the centre of the topology.
    """
    d = coordinates(topology, x.shape[1])
    if d != 3:
        raise DataError(f"preset 'pyskl' turns bodies in space, and topology {topology.name!r} has {d} coordinates; take 'pyskl2d'")
    spine = _needed(topology.spine, "pyskl", "spine", topology)
    shoulders = _needed(topology.shoulders, "pyskl", "shoulders", topology)
    if x.numel() == 0:
        return x, lengths
    there = seen(x, lengths)  # (N, T, M)
    if x.shape[4] > 1:
        times = there.sum(1)  # (N, M)
        swap = (times[:, 1] > times[:, 0]).nonzero()[:, 0]
        if len(swap):
            order = [1, 0, *range(2, x.shape[4])]
            x = x.index_copy(0, swap, x[swap][..., order])
            there = there.index_copy(0, swap, there[swap][..., order])
    keep, inside = there[:, :, 0], frame_mask(lengths, x.shape[2]).to(x.device)
    x, lengths = keep_frames(x, torch.where(keep.any(1, keepdim=True), keep, inside))
    y = x[:, :d]
    y = (y - y[:, :, :1, topology.center, None, :1]) * (y != 0).any(1, keepdim=True)
    return _with_score(torch.matmul(_upright(y, spine, shoulders), y.flatten(2)).view_as(y), x, d), lengths


def _upright(x: Tensor, spine: tuple[int, int], shoulders: tuple[int, int]) -> Tensor:
    """The turn of the spine to +z and then of the shoulders to +x, body 0 and frame 0, as one matrix a clip (N, 3, 3)."""
    up, across = (x[:, :, 0, pair[1], 0] - x[:, :, 0, pair[0], 0] for pair in (spine, shoulders))  # (N, 3)
    eye = torch.eye(3, dtype=x.dtype, device=x.device)
    first = minimal_rotation(up, eye[2])
    second = minimal_rotation(torch.matmul(first, across[:, :, None])[:, :, 0], eye[0])
    return torch.matmul(second, first)


def pyskl2d(x: Tensor, lengths: Tensor, topology: Topology, size: Tensor | None) -> Done:
    """PYSKL, 2D: the picture becomes -1 .. 1 in both directions; joints with a score of 0.01 or less become 0."""
    if size is None or not bool((size > 0).all()):
        which = "" if size is None else f" (clip {int((size <= 0).any(1).nonzero()[0])} of the batch has none)"
        raise DataError(
            f"preset 'pyskl2d' needs width and height of the picture{which}: columns 'width' and 'height' of the store; "
            f"without them take 'pyskl2d_auto', which scales by the box of the joints"
        )
    x, d, there = _scored(x, lengths, topology, UNSEEN)
    half = (size.to(x) / 2)[:, :, None, None, None]
    return _with_score((x[:, :d] - half) / half * there, x, d), lengths


def pyskl2d_auto(x: Tensor, lengths: Tensor, topology: Topology, size: Tensor | None) -> Done:
    """PYSKL, 2D without a picture size: the box of all joints of a clip becomes -1 .. 1.

    A box of 10 pixels or less in a direction (a hundredth of the picture, for coordinates from 0 to 1) is taken to be that large.
    """
    x, d, there = _scored(x, lengths, topology, UNSEEN)
    if x.numel() == 0:
        return x, lengths
    y = x[:, :d]
    low = y.masked_fill(~there, torch.inf).amin(dim=(2, 3, 4), keepdim=True)
    high = y.masked_fill(~there, -torch.inf).amax(dim=(2, 3, 4), keepdim=True)
    least = torch.full_like(low, SMALLEST_BOX)
    if size is not None:
        unit = size.to(x)[:, :, None, None, None]
        least = torch.where(unit > 1, least, unit / 100)
    y = torch.where(there, (y - (low + high) / 2) / ((high - low).maximum(least) / 2), torch.zeros_like(y))
    return _with_score(y, x, d), lengths


def kinetics(x: Tensor, lengths: Tensor, topology: Topology, size: Tensor | None) -> Done:
    """ST-GCN on Kinetics skeletons: the middle of the picture becomes the origin; a joint with score 0 becomes 0."""
    x, d, there = _scored(x, lengths, topology, 0.0)
    y = x[:, :d]
    if size is not None and bool((size > 0).all()):
        y = y / size.to(x)[:, :, None, None, None]
    largest = float((y * there).abs().max()) if x.numel() else 0.0
    if largest > 2:
        raise DataError(
            f"preset 'kinetics' wants coordinates from 0 to 1, these reach {largest:.5g}; pixels need columns 'width' and 'height'"
        )
    return _with_score((y - 0.5) * there, x, d), lengths


def nwucla(x: Tensor, lengths: Tensor, topology: Topology, size: Tensor | None) -> Done:
    """CTR-GCN on NW-UCLA: centred on the spine of frame 0, then every axis stretched to -1 .. 1 over the whole clip.

    Bodies lose their proportions. In training the published feeder turns the clip (60 degrees about x and y) and scales it (0.5
    to 1.5) between the two.
    """
    d = coordinates(topology, x.shape[1])
    if x.numel() == 0:
        return x, lengths
    x = zero_padding(x, lengths)
    y = x[:, :d] - x[:, :d, :1, topology.center, None, :1]
    return _with_score(within_axes(y, seen(x, lengths)), x, d), lengths


def shrec(x: Tensor, lengths: Tensor, topology: Topology, size: Tensor | None) -> Done:
    """DSTA-Net and PSUMNet on SHREC'17: origin at the wrist of frame 0, unit = the bone from wrist to middle finger.

    The bone is measured in the first frame where it has a length. A frame without the hand stays zero.
    """
    d, wrist, middle = coordinates(topology, x.shape[1]), _named(topology, WRIST), _named(topology, MIDDLE)
    if x.numel() == 0:
        return x, lengths
    x = zero_padding(x, lengths)
    bone = torch.linalg.vector_norm(x[:, :d, :, middle, 0] - x[:, :d, :, wrist, 0], dim=1)  # (N, T)
    at, found = first_frame(bone > 0)
    unit = torch.where(found, bone.gather(1, at[:, None])[:, 0], 1)[:, None, None, None, None]
    y = (x[:, :d] - x[:, :d, :1, wrist, None, :1]) / unit * seen(x, lengths)[:, None, :, None, :]
    return _with_score(y, x, d), lengths


def mamp_pku(x: Tensor, lengths: Tensor, topology: Topology, size: Tensor | None) -> Done:
    """MAMP on PKU-MMD: as recorded, cut after 300 frames."""
    lengths = lengths.clamp_max(LONGEST)
    return zero_padding(x, lengths), lengths


def _with_score(y: Tensor, x: Tensor, d: int) -> Tensor:
    """New coordinates ``y`` (N, d, T, V, M) with the score channel of ``x``, if it has one."""
    return y if x.shape[1] == d else torch.cat([y, x[:, d:]], 1)


def _scored(x: Tensor, lengths: Tensor, topology: Topology, threshold: float) -> tuple[Tensor, int, Tensor]:
    """Joints of a picture without what stands in the padding, number of coordinates, and which joints are there (N, 1, T, V, M).

    Without scores, a joint is there where it is not exactly at the corner (0, 0).
    """
    d = coordinates(topology, x.shape[1])
    if d != 2:
        raise DataError(f"this preset is for joints in pictures, topology {topology.name!r} has {d} coordinates")
    x = zero_padding(x, lengths)
    return x, d, x[:, d:] > threshold if x.shape[1] > d else (x != 0).any(1, keepdim=True)


def _needed(pair: tuple[int, int] | None, preset: str, role: str, topology: Topology) -> tuple[int, int]:
    if pair is None:
        raise DataError(
            f"preset {preset!r} turns by the {role}, topology {topology.name!r} names none; give it {role!r}: two joint numbers"
        )
    return pair


def _named(topology: Topology, names: tuple[str, ...]) -> int:
    found = [topology.joints.index(n) for n in names if n in topology.joints]
    if not found:
        raise DataError(f"preset 'shrec' needs the joint {' or '.join(map(repr, names))}, topology {topology.name!r} has none")
    return found[0]
