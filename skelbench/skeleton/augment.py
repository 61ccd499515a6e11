"""Augmentations, each for a whole batch at once: one draw a clip, no loop over clips, frames or joints.

Every function takes joints (N, C, T, V, M) and the numbers of its draw; the ``random_*`` twin draws them from a
``torch.Generator``. ``Views`` puts them together the way ISC (ACM MM 2021) and HaLP (CVPR 2023) make the views they contrast:
a random stretch of the clip resized to 64 frames, then exactly one of shear, joint masking, joint corruption.

A spatial augmentation is linear in the coordinates of a joint, so all of them are one (C, C) matrix a joint: ``Views`` folds
them into a table (N, V, C, C) and touches the coordinates once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from skelbench.errors import ConfigError, DataError
from skelbench.skeleton.clip import check_joints, check_lengths
from skelbench.skeleton.topology import Topology

KINDS = ("none", "shear", "mask", "corrupt")  # what ViewDraw.kind counts


def _uniform(*shape: int, generator: torch.Generator, like: Tensor | None = None) -> Tensor:
    """U[0, 1) from the generator's own device; float64, so that a length does not hang on the dtype of the clips."""
    u = torch.rand(shape, generator=generator, device=generator.device, dtype=torch.float64)
    return u if like is None else u.to(like.device, like.dtype)


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
    if bool(((sizes < 1) | (starts < 0) | (starts + sizes > lengths)).any()):
        n = int(((sizes < 1) | (starts < 0) | (starts + sizes > lengths)).nonzero()[0])
        raise DataError(
            f"clip {n} of the batch: cannot cut {int(sizes[n])} frames from frame {int(starts[n])} of {int(lengths[n])}; "
            f"a cut has at least one frame and stays inside its clip"
        )
    size = sizes.to(x.device)[:, None]
    at = (torch.arange(frames, device=x.device, dtype=torch.float64) + 0.5) * (size / frames) - 0.5  # (N, frames)
    at = at.clamp_min(0)
    low = at.long().clamp_max(size - 1)
    high = (low + 1).minimum(size - 1)
    weight = (at - low).to(x.dtype)
    rows = torch.arange(N * C, device=x.device).view(N, C, 1) * T + starts.to(x.device)[:, None, None]  # (N, C, 1)
    table = x.reshape(N * C * T, V * M)
    before = table.index_select(0, (rows + low[:, None]).flatten()).view(N, C, frames, V, M)
    after = table.index_select(0, (rows + high[:, None]).flatten()).view(N, C, frames, V, M)
    return before.lerp(after, weight[:, None, :, None, None])


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
    table = matrices.to(x.dtype).permute(2, 3, 0, 1)[:, :, :, None, :, None]  # (C, C, N, 1, V, 1)
    return torch.stack([sum(table[c, d] * x[:, d] for d in range(x.shape[1])) for c in range(x.shape[1])], 1)  # type: ignore[misc]


def shear(x: Tensor, matrices: Tensor) -> Tensor:
    """``y = S x`` for every joint of a clip, ``matrices`` (N, C, C) (N, C, T, V, M)."""
    return torch.matmul(matrices.to(x.dtype), x.flatten(2)).view_as(x)


def shear_matrices(N: int, C: int, *, amplitude: float = 1.0, generator: torch.Generator) -> Tensor:
    """Unit diagonal, off-diagonals uniform in (-amplitude, amplitude): (N, C, C) float64 on the generator's device."""
    eye = torch.eye(C, dtype=torch.float64, device=generator.device)
    return torch.where(eye.bool(), eye, (2 * _uniform(N, C, C, generator=generator) - 1) * amplitude)


def random_shear(x: Tensor, *, amplitude: float = 1.0, generator: torch.Generator) -> Tensor:
    """Shear every clip by a matrix of its own (N, C, T, V, M)."""
    return shear(x, shear_matrices(x.shape[0], x.shape[1], amplitude=amplitude, generator=generator).to(x.device))


def draw_joints(N: int, V: int, count: int, *, generator: torch.Generator) -> Tensor:
    """``count`` of V joints for each clip, without replacement: (N, V) bool on the generator's device."""
    order = _uniform(N, V, generator=generator).argsort(dim=1)
    return torch.zeros(N, V, dtype=torch.bool, device=order.device).scatter_(1, order[:, :count], True)


def mask_joints(x: Tensor, hit: Tensor) -> Tensor:
    """Set the joints ``hit`` (N, V) to 0 in all frames and bodies (N, C, T, V, M)."""
    return x.masked_fill(hit.to(x.device)[:, None, None, :, None], 0)


def corrupt_joints(x: Tensor, hit: Tensor, matrices: Tensor) -> Tensor:
    """Joints ``hit`` (N, V) become row vector times matrix, ``x C`` with ``matrices`` (N, C, C) (N, C, T, V, M)."""
    return torch.where(hit.to(x.device)[:, None, None, :, None], shear(x, matrices.transpose(1, 2)), x)


def corruption_matrices(N: int, C: int, *, generator: torch.Generator) -> Tensor:
    """All entries uniform in (-1, 1): (N, C, C) float64 on the generator's device."""
    return 2 * _uniform(N, C, C, generator=generator) - 1


def mirror(x: Tensor, topology: Topology, axis: int = 0, which: Tensor | None = None) -> Tensor:
    """Swap left and right: joints change places with their twins and the lateral coordinate its sign (N, C, T, V, M).

    Args:
        x: joints (N, C, T, V, M).
        topology: knows the twins.
        axis: lateral coordinate; 0 after the ``isc`` preset, where the shoulders lie along x.
        which: (N,) bool, the clips to mirror; all when None.
    """
    check_joints(x, topology)
    sign = torch.ones(x.shape[1], dtype=x.dtype, device=x.device)
    sign[axis] = -1
    flipped = x.index_select(3, torch.tensor(topology.flip_index, device=x.device)) * sign[:, None, None, None]
    return flipped if which is None else torch.where(which.to(x.device)[:, None, None, None, None], flipped, x)


def rotation_about(angles: Tensor, axis: int) -> Tensor:
    """Counter-clockwise turns about one coordinate axis, looking down that axis; ``angles`` (N,) in radians (N, 3, 3)."""
    a, b = (axis + 1) % 3, (axis + 2) % 3
    R = torch.eye(3, dtype=angles.dtype, device=angles.device).repeat(angles.shape[0], 1, 1)
    R[:, a, a], R[:, a, b], R[:, b, a], R[:, b, b] = angles.cos(), -angles.sin(), angles.sin(), angles.cos()
    return R


def rotate(x: Tensor, angles: Tensor, *, axis: int = 2) -> Tensor:
    """Turn every clip about one axis, the vertical of the ``isc`` preset by default; ``angles`` (N,) in radians (N, 3, T, V, M)."""
    return shear(x, rotation_about(angles.to(x.device), axis))


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
        matrices: (N, C, C): the shear, or the corruption already transposed to act from the left, or zero for masking.
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
        object.__setattr__(self, "ratio", tuple(self.ratio))  # JSON brings a list
        chances = {k: getattr(self, k) for k in ("p_shear", "p_mask", "p_corrupt", "mirror", "joints_hit")}
        rules = [
            ("frames", self.frames, self.frames >= 1, "at least 1"),
            ("minimum", self.minimum, self.minimum >= 1, "at least 1"),
            (
                "ratio",
                self.ratio,
                len(self.ratio) == 2 and 0 < self.ratio[0] <= self.ratio[-1] <= 1,
                "(low, high) with 0 < low <= high <= 1",
            ),
            ("shear", self.shear, 0 <= self.shear < math.inf, "0 or more"),
            ("lateral", self.lateral, self.lateral in (0, 1, 2), "0, 1 or 2"),
            *((k, p, 0 <= p <= 1, "between 0 and 1") for k, p in chances.items()),
        ]
        for name, value, fits, wanted in rules:
            if not fits:
                raise ConfigError(f"views: {name} = {value}, wanted {wanted}")
        total = self.p_shear + self.p_mask + self.p_corrupt
        if total > 1 + 1e-9:
            raise ConfigError(
                f"views: p_shear + p_mask + p_corrupt = {total:g}; a clip gets one of them, so they may add up to 1 at most"
            )

    def draw(self, lengths: Tensor, topology: Topology, coordinates: int, generator: torch.Generator) -> ViewDraw:
        """Draw one view of every clip. The draws hang on N, V and C alone: padding does not change them."""
        N, V, C = lengths.shape[0], topology.V, coordinates
        starts, sizes = random_crop(lengths, ratio=self.ratio, minimum=self.minimum, generator=generator)
        u = _uniform(2, N, generator=generator)
        edges = torch.tensor([self.p_shear, self.p_shear + self.p_mask, self.p_shear + self.p_mask + self.p_corrupt])
        kind = (1 + torch.bucketize(u[0], edges.to(u), right=True)) % 4  # past the last edge: 0, none
        hit = draw_joints(N, V, round(self.joints_hit * V), generator=generator) & (kind >= 2)[:, None]
        sheared = shear_matrices(N, C, amplitude=self.shear, generator=generator)
        corrupted = corruption_matrices(N, C, generator=generator).transpose(1, 2)
        eye = torch.eye(C, dtype=torch.float64, device=u.device)
        choices = torch.stack([eye.expand_as(sheared), sheared, torch.zeros_like(sheared), corrupted])  # (4, N, C, C)
        matrices = choices[kind, torch.arange(N, device=u.device)]
        to = lengths.device
        return ViewDraw(
            starts=starts,
            sizes=sizes,
            mirrored=(u[1] < self.mirror).to(to),
            kind=kind.to(to),
            hit=hit.to(to),
            matrices=matrices.to(to),
        )

    def make(self, x: Tensor, lengths: Tensor, topology: Topology, drawn: ViewDraw) -> Tensor:
        """The view that was drawn (N, C, frames, V, M)."""
        check_joints(x, topology)
        x = crop_resize(x, lengths, drawn.starts, drawn.sizes, self.frames)
        if self.mirror > 0:
            x = mirror(x, topology, self.lateral, drawn.mirrored)
        eye = torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
        struck = (drawn.hit | (drawn.kind == 1)[:, None]).to(x.device)  # (N, V) a shear strikes every joint
        table = torch.where(struck[:, :, None, None], drawn.matrices.to(x)[:, None], eye)  # (N, V, C, C)
        return transform_joints(x, table)

    def view(self, x: Tensor, lengths: Tensor, topology: Topology, generator: torch.Generator) -> Tensor:
        """One random view of every clip (N, C, frames, V, M)."""
        return self.make(x, lengths, topology, self.draw(lengths, topology, x.shape[1], generator))
