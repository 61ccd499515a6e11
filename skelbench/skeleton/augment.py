"""Augmentations, each for a whole batch at once: one draw a clip, no loop over clips, frames or joints.

A function takes joints (N, C, T, V, M) and the numbers of its draw, or draws them itself from a ``torch.Generator`` where it is
called ``random_*``; numbers are drawn on the generator's device and in float64. ``Views`` puts them together the way ISC (ACM MM
2021) and HaLP (CVPR 2023) make the views they contrast: a random stretch of the clip resized to 64 frames, then exactly one of
shear, joint masking, joint corruption.

A spatial augmentation is linear in the coordinates of a joint, so all of them are one (C, C) matrix a joint: ``Views`` folds
them into a table (N, V, C, C) and touches the coordinates once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from skelbench.errors import ConfigError, DataError
from skelbench.skeleton.clip import check_joints, check_lengths
from skelbench.skeleton.topology import Topology

KINDS = ("none", "shear", "mask", "corrupt")  # what ViewDraw.kind counts
SHEAR, MASK = 1, 2


def _check_shape(name: str, given: Tensor, wanted: tuple[int, ...]) -> None:
    if given.shape != wanted:
        raise DataError(f"{name} have shape {tuple(given.shape)}, wanted {wanted} for this batch")


def _check_axis(x: Tensor, axis: int) -> None:
    if not 0 <= axis < x.shape[1]:
        raise ConfigError(f"axis = {axis}, but these joints have coordinates 0..{x.shape[1] - 1}")


def _uniform(*shape: int, generator: torch.Generator) -> Tensor:
    """U[0, 1) on the generator's own device; float64, so that a draw does not hang on the dtype of the clips."""
    return torch.rand(shape, generator=generator, device=generator.device, dtype=torch.float64)


# --- time -----------------------------------------------------------------------------------------------------------------


def crop_resize(x: Tensor, lengths: Tensor, starts: Tensor, sizes: Tensor, frames: int) -> Tensor:
    """Cut ``sizes[n]`` frames from ``starts[n]`` on and resize them linearly to ``frames`` (N, C, frames, V, M).

    Half-pixel centres: output frame i looks at ``(i + 0.5) * size / frames - 0.5`` of the cut, clamped to its first and last
    frame, as ``torch.nn.functional.interpolate(mode="linear", align_corners=False)`` does.

    Args:
        x: joints (N, C, T, V, M).
        lengths: (N,) frames each clip has.
        starts: (N,) first frame of each cut.
        sizes: (N,) frames of each cut, at least 1.
        frames: frames of the result.

    Raises:
        DataError: a cut is empty or leaves its clip.
    """
    N, C, T, V, M = x.shape
    check_lengths(x, lengths)
    worst = torch.stack([sizes - 1, starts, lengths - starts - sizes]).amin(0)  # (N,) below 0 where a cut does not fit
    if worst.numel() and int(worst.min()) < 0:
        n = int(worst.argmin())
        raise DataError(
            f"clip {n} of the batch: cannot cut {int(sizes[n])} frames from frame {int(starts[n])} of {int(lengths[n])}; "
            f"a cut has at least one frame and stays inside its clip"
        )
    size = sizes.to(x.device)[:, None]
    middle = torch.arange(frames, device=x.device, dtype=torch.float64) + 0.5  # whole numbers divide to float32: multiply first
    at = (middle * size / frames - 0.5).clamp_min(0)  # (N, frames)
    low = at.long().minimum(size - 1)
    weight = (at - low).to(x.dtype)  # (N, frames) of the frame after `low`
    near = torch.stack([low, (low + 1).minimum(size - 1)], -1)  # (N, frames, 2)
    weights = torch.stack([1 - weight, weight], -1)
    # Clip, coordinate and frame are one row number into a table of poses, and embedding_bag is a weighted sum of rows in one
    # pass over memory: less than half the time of two gathers and a lerp.
    row = torch.arange(N * C, device=x.device).view(N, C, 1, 1) * T + starts.to(x.device)[:, None, None, None]  # (N, C, 1, 1)
    resized = functional.embedding_bag(
        (row + near[:, None]).view(-1, 2),
        x.reshape(N * C * T, V * M),
        per_sample_weights=weights[:, None].expand(N, C, frames, 2).reshape(-1, 2),
        mode="sum",
    )
    return resized.view(N, C, frames, V, M)


def random_crop(
    lengths: Tensor, *, ratio: tuple[float, float] = (0.1, 1.0), minimum: int = 64, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Where ``random_crop_resize`` cuts: starts (N,), sizes (N,).

    With n frames and s uniform in ``ratio``, the size is ``min(max(floor(n s), minimum), n)`` and the start uniform in
    ``0 .. n - size``: short clips are taken whole, and long ones have an atom at ``minimum``.
    """
    u = _uniform(2, lengths.shape[0], generator=generator).to(lengths.device)
    sizes = (lengths * (ratio[0] + (ratio[1] - ratio[0]) * u[0])).floor().long().clamp_min(minimum).minimum(lengths)
    room = lengths - sizes
    return (u[1] * (room + 1)).floor().long().minimum(room), sizes


def centre_crop(lengths: Tensor, *, ratio: float = 0.95) -> tuple[Tensor, Tensor]:
    """Where ``centre_crop_resize`` cuts: start ``floor((1 - ratio) n / 2)``, and as many frames less at the end."""
    starts = ((1 - ratio) * lengths.double() / 2).floor().long()
    return starts, lengths - 2 * starts


def random_crop_resize(
    x: Tensor,
    lengths: Tensor,
    *,
    frames: int = 64,
    ratio: tuple[float, float] = (0.1, 1.0),
    minimum: int = 64,
    generator: torch.Generator,
) -> Tensor:
    """A random stretch of every clip, resized to ``frames`` (N, C, frames, V, M). Linear evaluation uses ratio (0.5, 1)."""
    return crop_resize(x, lengths, *random_crop(lengths, ratio=ratio, minimum=minimum, generator=generator), frames)


def centre_crop_resize(x: Tensor, lengths: Tensor, *, frames: int = 64, ratio: float = 0.95) -> Tensor:
    """The middle ``ratio`` of every clip, resized to ``frames`` (N, C, frames, V, M): what tests and nearest neighbours see."""
    return crop_resize(x, lengths, *centre_crop(lengths, ratio=ratio), frames)


# --- space ----------------------------------------------------------------------------------------------------------------


def transform_joints(x: Tensor, matrices: Tensor) -> Tensor:
    """``y_v = A_v x_v`` with one matrix for each clip and joint (N, C, T, V, M).

    Args:
        x: joints (N, C, T, V, M).
        matrices: (N, V, C, C).
    """
    N, C, T, V, M = x.shape
    _check_shape("matrices", matrices, (N, V, C, C))
    # The bodies are written out, so that the innermost V * M numbers are one contiguous run in both factors.
    table = matrices.to(x).permute(0, 3, 2, 1).repeat_interleave(M, 3)  # (N, C in, C out, V * M)
    flat = x.reshape(N, C, 1, T, V * M)
    y = table[:, 0, :, None] * flat[:, 0]
    for c in range(1, C):
        y.addcmul_(table[:, c, :, None], flat[:, c])
    return y.view(N, C, T, V, M)


def shear(x: Tensor, matrices: Tensor) -> Tensor:
    """``y = S x`` for every joint of a clip, with one matrix a clip, ``matrices`` (N, C, C): result (N, C, T, V, M)."""
    _check_shape("matrices", matrices, (x.shape[0], x.shape[1], x.shape[1]))
    return torch.matmul(matrices.to(x), x.flatten(2)).view_as(x)


def shear_matrices(N: int, C: int, *, amplitude: float = 1.0, generator: torch.Generator) -> Tensor:
    """Unit diagonal, off-diagonals uniform in (-amplitude, amplitude): (N, C, C) float64 on the generator's device."""
    eye = torch.eye(C, dtype=torch.float64, device=generator.device)
    return torch.where(eye.bool(), eye, (2 * _uniform(N, C, C, generator=generator) - 1) * amplitude)


def random_shear(x: Tensor, *, amplitude: float = 1.0, generator: torch.Generator) -> Tensor:
    """Shear every clip by a matrix of its own (N, C, T, V, M)."""
    return shear(x, shear_matrices(x.shape[0], x.shape[1], amplitude=amplitude, generator=generator))


def draw_joints(N: int, V: int, count: int, *, generator: torch.Generator) -> Tensor:
    """``count`` of V joints for each clip, without replacement: (N, V) bool on the generator's device."""
    if not 0 <= count <= V:
        raise ConfigError(f"cannot draw {count} of {V} joints without replacement")
    order = _uniform(N, V, generator=generator).argsort(dim=1)
    return torch.zeros(N, V, dtype=torch.bool, device=order.device).scatter_(1, order[:, :count], True)


def mask_joints(x: Tensor, hit: Tensor) -> Tensor:
    """Set the joints ``hit`` (N, V) to 0 in all frames and bodies: result (N, C, T, V, M)."""
    _check_shape("joints to mask", hit, (x.shape[0], x.shape[3]))
    return x.masked_fill(hit.to(x.device)[:, None, None, :, None], 0)


def corrupt_joints(x: Tensor, hit: Tensor, matrices: Tensor) -> Tensor:
    """Joints ``hit`` (N, V) become row vector times matrix, ``x C`` with ``matrices`` (N, C, C): result (N, C, T, V, M).

    Published with all entries of C uniform in (-1, 1), one matrix a clip.
    """
    _check_shape("joints to corrupt", hit, (x.shape[0], x.shape[3]))
    return torch.where(hit.to(x.device)[:, None, None, :, None], shear(x, matrices.transpose(1, 2)), x)


def mirror(x: Tensor, topology: Topology, axis: int = 0, which: Tensor | None = None) -> Tensor:
    """Swap left and right: joints change places with their twins and the lateral coordinate its sign (N, C, T, V, M).

    Args:
        x: joints (N, C, T, V, M).
        topology: knows the twins.
        axis: lateral coordinate (``Preset.lateral``); 0 after ``isc``, where the shoulders lie along x.
        which: (N,) bool, the clips to mirror; all when None.
    """
    check_joints(x, topology)
    _check_axis(x, axis)
    N, C, T, V, M = x.shape
    which = torch.ones(N, dtype=torch.bool, device=x.device) if which is None else which.to(x.device)
    _check_shape("clips to mirror", which, (N,))
    sign = torch.ones(N, C, dtype=x.dtype, device=x.device)
    sign[:, axis] -= 2 * which
    twins = torch.tensor([topology.flip_index, range(V)], device=x.device)  # mirrored, and as it is
    columns = twins[:, :, None] * M + torch.arange(M, device=x.device)  # (2, V, M) in the V * M columns of a pose
    index = columns.flatten(1)[(~which).long()][:, None, None].expand(N, C, T, V * M)
    return x.reshape(N, C, T, V * M).gather(3, index).view(N, C, T, V, M) * sign[:, :, None, None, None]


def rotation_about(angles: Tensor, axis: int) -> Tensor:
    """Turns about one coordinate axis, counter-clockwise seen from its tip; ``angles`` (N,) in radians: (N, 3, 3)."""
    a, b = (axis + 1) % 3, (axis + 2) % 3
    R = torch.eye(3, dtype=angles.dtype, device=angles.device).repeat(angles.shape[0], 1, 1)
    R[:, a, a], R[:, a, b], R[:, b, a], R[:, b, b] = angles.cos(), -angles.sin(), angles.sin(), angles.cos()
    return R


def rotate(x: Tensor, angles: Tensor, *, axis: int = 2) -> Tensor:
    """Turn every clip about one coordinate axis through the origin (N, 3, T, V, M).

    Args:
        x: joints (N, 3, T, V, M).
        angles: (N,) radians.
        axis: what to turn about (``Preset.vertical`` for a turn of the body): 2 after ``isc``, 1 as recorded.
    """
    if x.shape[1] != 3:
        raise DataError(f"a turn needs three coordinates, these joints have {x.shape[1]}")
    _check_axis(x, axis)
    return shear(x, rotation_about(angles, axis))


def random_rotate(x: Tensor, *, limit: float = math.pi, axis: int = 2, generator: torch.Generator) -> Tensor:
    """Turn every clip about ``axis`` by an angle uniform in (-limit, limit) radians (N, 3, T, V, M)."""
    return rotate(x, (2 * _uniform(x.shape[0], generator=generator) - 1) * limit, axis=axis)


# --- views ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, eq=False)
class ViewDraw:
    """What was drawn for one view of every clip; with it the view can be made again, or explained.

    Attributes:
        starts: (N,) first frame of the cut.
        sizes: (N,) frames of the cut.
        mirrored: (N,) bool.
        kind: (N,) index into ``KINDS``.
        hit: (N, V) bool, joints that masking or corruption strikes (all False elsewhere).
        matrices: (N, C, C) float64, what the joints that are struck (all, with a shear) are multiplied with from the left: the
            shear, zero for masking, or the corruption, transposed with respect to the row-vector form of the papers.
    """

    starts: Tensor
    sizes: Tensor
    mirrored: Tensor
    kind: Tensor
    hit: Tensor
    matrices: Tensor


@dataclass(frozen=True, kw_only=True)
class Views:
    """How ISC and HaLP make a view: crop and resize in time, then at most one spatial augmentation a clip.

    Attributes:
        frames: frames of a view.
        ratio: shortest and longest stretch that is cut, as a share of the clip.
        minimum: but never fewer frames than this, as far as the clip has them.
        shear: off-diagonals of the shear matrix are uniform in (-shear, shear).
        p_shear: probability of a shear.
        p_mask: probability of joint masking.
        p_corrupt: probability of joint corruption. What the three leave of 1 is a view without spatial augmentation.
        joints_hit: share of the joints that masking and corruption strike; 15 of 25.
        mirror: probability that left and right are swapped first; the papers do not.
        lateral: coordinate that the mirror negates; 0 after the ``isc`` preset.
    """

    frames: int = 64
    ratio: tuple[float, float] = (0.1, 1.0)
    minimum: int = 64
    shear: float = 1.0
    p_shear: float = 0.5
    p_mask: float = 0.25
    p_corrupt: float = 0.25
    joints_hit: float = 0.6
    mirror: float = 0.0
    lateral: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.ratio, list):  # JSON knows no tuples
            object.__setattr__(self, "ratio", tuple(self.ratio))
        span = self.ratio
        rules: list[tuple[str, bool, str]] = [
            (name, isinstance(value, int) and value >= 1, "a whole number, at least 1")
            for name, value in (("frames", self.frames), ("minimum", self.minimum))
        ]
        fits = isinstance(span, tuple) and len(span) == 2 and 0 < span[0] <= span[1] <= 1
        rules.append(("ratio", fits, "(low, high) with 0 < low <= high <= 1"))
        rules.append(("shear", 0 <= self.shear < math.inf, "0 or more"))
        rules.append(("lateral", self.lateral in (0, 1, 2), "0, 1 or 2"))
        for name in ("p_shear", "p_mask", "p_corrupt", "joints_hit", "mirror"):
            rules.append((name, 0 <= getattr(self, name) <= 1, "between 0 and 1"))
        for name, fits, wanted in rules:
            if not fits:
                raise ConfigError(f"views: {name} = {getattr(self, name)!r}, wanted {wanted}")
        total = self.p_shear + self.p_mask + self.p_corrupt
        if total > 1 + 1e-9:
            raise ConfigError(f"views: p_shear + p_mask + p_corrupt = {total:g}; a clip gets one of them, so at most 1 is wanted")

    def draw(self, lengths: Tensor, topology: Topology, coordinates: int, generator: torch.Generator) -> ViewDraw:
        """Draw one view of every clip. The draws hang on N, V and C alone: padding does not change them."""
        N, V, C = lengths.shape[0], topology.V, coordinates
        starts, sizes = random_crop(lengths, ratio=self.ratio, minimum=self.minimum, generator=generator)
        u = _uniform(2, N, generator=generator)
        kind = self._kind(u[0])
        hit = draw_joints(N, V, round(self.joints_hit * V), generator=generator) & (kind >= MASK)[:, None]
        # Shear and corruption both are entries uniform about 0, so one draw serves the one that a clip gets.
        scale = torch.tensor([0, self.shear, 0, 1], dtype=u.dtype, device=u.device)[kind]
        matrices = (2 * _uniform(N, C, C, generator=generator) - 1) * scale[:, None, None]
        matrices.diagonal(dim1=1, dim2=2).masked_fill_((kind == SHEAR)[:, None], 1)
        mirrored = u[1] < self.mirror
        drawn = {"mirrored": mirrored, "kind": kind, "hit": hit, "matrices": matrices}
        return ViewDraw(starts=starts, sizes=sizes, **{name: value.to(lengths.device) for name, value in drawn.items()})

    def _kind(self, u: Tensor) -> Tensor:
        """Index into ``KINDS`` for uniform numbers ``u``; what lies past the three shares is 0, none."""
        shares = torch.tensor([self.p_shear, self.p_mask, self.p_corrupt], dtype=u.dtype, device=u.device)
        edges = shares.cumsum(0)
        if self.p_shear + self.p_mask + self.p_corrupt > 1 - 1e-9:  # 0.1 + 0.2 + 0.7 may round to less than 1
            edges[-1:].fill_(1)
        return (1 + torch.bucketize(u, edges, right=True)) % 4

    def make(self, x: Tensor, lengths: Tensor, topology: Topology, drawn: ViewDraw) -> Tensor:
        """The view that was drawn (N, C, frames, V, M)."""
        check_joints(x, topology)
        x = crop_resize(x, lengths, drawn.starts, drawn.sizes, self.frames)
        if self.mirror > 0:
            x = mirror(x, topology, self.lateral, drawn.mirrored)
        eye = torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
        struck = (drawn.hit | (drawn.kind == SHEAR)[:, None]).to(x.device)  # (N, V); a shear strikes every joint
        table = torch.where(struck[:, :, None, None], drawn.matrices.to(x)[:, None], eye)  # (N, V, C, C)
        return transform_joints(x, table)

    def view(self, x: Tensor, lengths: Tensor, topology: Topology, generator: torch.Generator) -> Tensor:
        """One random view of every clip (N, C, frames, V, M)."""
        return self.make(x, lengths, topology, self.draw(lengths, topology, x.shape[1], generator))
