"""What normalisations are made of: gaps closed, origins moved, bodies turned. Each for a whole padded batch at once.

Joints are (N, C, T, V, M). A body is absent from a frame where all of its numbers are zero; frames at and after a clip's length
are padding and never read.
"""

from __future__ import annotations

import torch
from torch import Tensor

from skelbench.errors import DataError
from skelbench.skeleton.clip import frame_mask
from skelbench.skeleton.sampling import take_frames
from skelbench.skeleton.topology import Topology

SMALLEST = 1e-6  # a turn whose axis or angle is smaller than this is no turn (published constant)


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


def seen(x: Tensor, lengths: Tensor) -> Tensor:
    """(N, T, M) bool: the body is there, and the frame comes before the padding."""
    return (x != 0).any(dim=1).any(dim=2) & frame_mask(lengths, x.shape[2]).to(x.device)[:, :, None]


def first_frame(there: Tensor) -> tuple[Tensor, Tensor]:
    """First True along T of ``there`` (N, T), 0 where there is none, and whether there is one: both (N,)."""
    return there.to(torch.uint8).argmax(1), there.any(1)


def keep_frames(x: Tensor, keep: Tensor) -> tuple[Tensor, Tensor]:
    """Move the frames ``keep`` (N, T) to the front, in order; the rest becomes padding.

    Returns:
        Joints, same shape, zero from the new length on, and the new lengths (N,).
    """
    count = keep.sum(1)
    moved = (keep != frame_mask(count, x.shape[2])).any(1).nonzero()[:, 0]  # most clips have nothing to move
    if len(moved):
        order = torch.argsort(~keep[moved], dim=1, stable=True)
        x = x.index_copy(0, moved, take_frames(x[moved], order, dim=2))
    return zero_padding(x, count), count


def zero_padding(x: Tensor, lengths: Tensor) -> Tensor:
    """Zero at and after every clip's length."""
    inside = frame_mask(lengths, x.shape[2]).to(x.device)
    return x if bool(inside.all()) else x * inside[:, None, :, None, None]


def joint_at(x: Tensor, frame: Tensor, joint: int, body: int = 0) -> Tensor:
    """One joint of one body in frame ``frame`` (N,) of every clip: (N, C)."""
    return x[torch.arange(x.shape[0], device=x.device), :, frame.to(x.device), joint, body]


def within_axes(x: Tensor, there: Tensor) -> Tensor:
    """Stretch every axis of a clip to -1 .. 1 over its frames and bodies ``there`` (N, T, M); an axis that never changes is 0.

    The published formula divides by zero there. What is not ``there`` is 0 afterwards.
    """
    if x.numel() == 0:
        return x
    mask = there[:, None, :, None, :]  # (N, 1, T, 1, M)
    low = x.masked_fill(~mask, torch.inf).amin(dim=(2, 3, 4), keepdim=True)
    high = x.masked_fill(~mask, -torch.inf).amax(dim=(2, 3, 4), keepdim=True)
    size = high - low
    moves = mask & (size > 0)  # an empty clip has size -inf
    scaled = (x - low) / torch.where(size > 0, size, 1) * 2 - 1
    return torch.where(moves, scaled, torch.zeros((), dtype=x.dtype, device=x.device))


def coordinates(topology: Topology, C: int) -> int:
    """How many of C channels are coordinates: all, or all but a last one, the score.

    Raises:
        DataError: more channels than the topology's coordinates and a score.
    """
    if C > topology.dims + 1:
        raise DataError(
            f"the clips have {C} channels, wanted {topology.dims} coordinates (topology {topology.name!r}), with or without a score"
        )
    return min(C, topology.dims)
