"""Named recipes that bring clips of any camera into one frame of reference, each for a whole padded batch at once.

``isc`` is what ISC (ACM MM 2021) and HaLP (CVPR 2023) train on: null frames filled, every frame centred on the spine of the
first body, spine turned to +z, shoulders turned to +x. No scale is touched.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from skelbench.errors import ConfigError, DataError
from skelbench.skeleton.clip import check_joints, check_lengths, frame_mask
from skelbench.skeleton.topology import Topology

SMALLEST = 1e-6  # a turn whose axis or angle is smaller than this is no turn (published constant)


@dataclass(frozen=True, kw_only=True)
class Preset:
    """One named normalisation.

    Attributes:
        name: key in ``PRESETS``.
        doc: one line for people.
        lateral: coordinate that runs from the left to the right shoulder afterwards; what a mirror negates.
        vertical: coordinate that points up afterwards; what a turn of the body turns about.
        steps: the work, ``(joints (N, C, T, V, M), lengths (N,), topology) -> joints``.
    """

    name: str
    doc: str
    lateral: int = 0
    vertical: int = 1
    steps: Callable[[Tensor, Tensor, Topology], Tensor]

    def apply(self, joints: Tensor, lengths: Tensor, topology: Topology) -> Tensor:
        """Normalised joints, same shape, dtype and device; frames at and after a clip's length are zero.

        Args:
            joints: (N, C, T, V, M).
            lengths: (N,), frames each clip has before the padding.
            topology: names the joints that centring and turning need.

        Raises:
            DataError: shapes do not fit each other or the topology, or a length is outside 0..T.
        """
        check_joints(joints, topology)
        check_lengths(joints, lengths)
        return self.steps(joints, lengths, topology)


def fill_null_frames(x: Tensor, lengths: Tensor) -> Tensor:
    """Close the gaps that a body leaves when the sensor loses it, body by body (N, C, T, V, M).

    A body whose first frame is null has all its null frames removed and the rest moved to the front. Then the null tail, up to
    the clip's length, is filled by repeating what stands before it, cyclically. Null frames inside stay when frame 0 is there.

    Args:
        x: joints (N, C, T, V, M); null = all coordinates of the body zero in that frame.
        lengths: (N,), frames each clip has before the padding.
    """
    T = x.shape[2]
    if x.numel() == 0:
        return x
    inside = frame_mask(lengths, T).to(x.device)  # (N, T)
    seen = (x != 0).any(dim=1).any(dim=2) & inside[:, :, None]  # (N, T, M)
    t = torch.arange(T, device=x.device)[None, :, None]  # (1, T, 1)
    first = seen[:, :1]  # (N, 1, M)
    packed = torch.argsort(~seen, dim=1, stable=True).to(t.dtype)  # (N, T, M) seen frames, in order, before the others
    last = torch.where(seen, t, -1).amax(dim=1, keepdim=True)  # (N, 1, M)
    prefix = torch.where(first, last + 1, seen.sum(dim=1, keepdim=True))  # (N, 1, M) frames before the tail
    prefix = torch.where(last < 0, T, prefix)  # a body that is never there has nothing to repeat
    source = torch.where(first, t, packed).gather(1, t % prefix)  # (N, T, M)
    moved = ((source != t) & inside[:, :, None]).flatten(1).any(1).nonzero()[:, 0]  # clips that have a gap; most have none
    if len(moved):
        index = source[moved][:, None, :, None, :].expand_as(x[moved])
        x = x.index_copy(0, moved, x[moved].gather(2, index))
    return x if bool(inside.all()) else x * inside[:, None, :, None, None]


def centre_per_frame(x: Tensor, joint: int) -> Tensor:
    """Subtract one joint of the first body, frame by frame, from all bodies (N, C, T, V, M).

    The walk through the room is removed; a second body is seen from the first. A joint whose coordinates sum to 0 (absent) is 0
    afterwards, as published. Where the first body is absent, zeros are subtracted: the second body stays where it stood.
    """
    there = x.unbind(1)
    total = there[0]
    for coordinate in there[1:]:  # a fixed order of additions: exact zeros must not depend on how a kernel sums
        total = total + coordinate
    return (x - x[:, :, :, joint : joint + 1, :1]) * (total != 0)[:, None]


def minimal_rotation(v: Tensor, u: Tensor) -> Tensor:
    """Smallest rotation R with ``R v`` along ``u`` (N, 3, 3); about ``v x u``, by the angle between them.

    Identity where the axis (``v x u`` with ``u`` of unit length) or the angle is below 1e-6: also for ``v`` = 0, and for ``v``
    exactly opposite to ``u``, where no smallest rotation exists.

    Args:
        v: (N, 3), any length.
        u: (3,) or (N, 3), unit length.
    """
    u = u.expand_as(v)
    axis = torch.linalg.cross(v, u)  # (N, 3)
    length = torch.linalg.vector_norm(v, dim=1, keepdim=True)
    w = axis / length.clamp_min(torch.finfo(v.dtype).tiny)  # sine of the angle times the unit axis
    sine, cosine = torch.linalg.vector_norm(w, dim=1), (v * u).sum(1) / length[:, 0].clamp_min(torch.finfo(v.dtype).tiny)
    still = (torch.linalg.vector_norm(axis, dim=1) < SMALLEST) | (torch.atan2(sine, cosine) < SMALLEST)
    # R = I + [w] + [w]^2 (1 - cos) / sin^2, without an arccos: it loses half the digits near 0. (1 - cos) / sin^2 = 1 / (1 + cos).
    factor = torch.where(cosine >= 0, 1 / (1 + cosine).clamp_min(SMALLEST), (1 - cosine) / (sine * sine).clamp_min(SMALLEST**3))
    zero = torch.zeros_like(sine)
    cross = torch.stack([zero, -w[:, 2], w[:, 1], w[:, 2], zero, -w[:, 0], -w[:, 1], w[:, 0], zero], 1).view(-1, 3, 3)
    eye = torch.eye(3, dtype=v.dtype, device=v.device)
    return torch.where(still[:, None, None], eye, eye + cross + factor[:, None, None] * (cross @ cross))


def rotate_to(x: Tensor, pair: tuple[int, int], axis: int) -> Tensor:
    """Turn whole clips by the minimal rotation that puts ``pair[1] - pair[0]`` of body 0 in frame 0 on +axis (N, 3, T, V, M)."""
    v = x[:, :, 0, pair[1], 0] - x[:, :, 0, pair[0], 0]  # (N, 3)
    u = torch.eye(3, dtype=x.dtype, device=x.device)[axis]
    return torch.matmul(minimal_rotation(v, u), x.flatten(2)).view_as(x)


def _isc(x: Tensor, lengths: Tensor, topology: Topology) -> Tensor:
    if x.shape[1] > topology.dims:
        raise DataError(
            f"preset 'isc': the clips have {x.shape[1]} coordinates, topology {topology.name!r} has {topology.dims}; "
            f"a score is not a coordinate, leave it out"
        )
    x = centre_per_frame(fill_null_frames(x, lengths), topology.center)
    if x.shape[1] == 3 and x.shape[2] > 0:
        if topology.spine:
            x = rotate_to(x, topology.spine, 2)
        if topology.shoulders:  # not restricted to a turn about z: afterwards the shoulders are exactly x, the spine only nearly z
            x = rotate_to(x, topology.shoulders, 0)
    return x


def _none(x: Tensor, lengths: Tensor, topology: Topology) -> Tensor:
    inside = frame_mask(lengths, x.shape[2]).to(x.device)
    return x if bool(inside.all()) else x * inside[:, None, :, None, None]


PRESETS: dict[str, Preset] = {
    "none": Preset(name="none", doc="as recorded: metres in the sensor's frame, y up", steps=_none),
    "isc": Preset(
        name="isc",
        doc="null frames filled, each frame centred on the spine, spine to +z, shoulders to +x (ISC, HaLP)",
        vertical=2,
        steps=_isc,
    ),
}


def preset(name: str) -> Preset:
    """A normalisation by name. Raises ConfigError listing the names there are."""
    if name not in PRESETS:
        raise ConfigError(f"no preset called {name!r}; there are: {', '.join(PRESETS)}")
    return PRESETS[name]
