"""Rays and capsules: what every pixel meets first.

A capsule is all points within a radius of a stretch of line. Only pixels in the box that it can cover are tried, all capsules of
all frames at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from skelbench.data.camera import NEAR, Camera


@dataclass(frozen=True, kw_only=True, eq=False)
class Capsules:
    """Q capsules in each of F = N T' frames, camera coordinates.

    Attributes:
        start, end: (F, Q, 3). radius: (F, Q). there: bool (F, Q).
        paint: int64 (F, Q), row of ``colour`` and ``infrared`` of its clip: body x materials.
    """

    start: Tensor
    end: Tensor
    radius: Tensor
    there: Tensor
    paint: Tensor


@dataclass(frozen=True, eq=False)
class Hit:
    """Pixels that show a body: flat number (frame, row, column), capsule, way along the ray of z = 1."""

    pixel: Tensor
    capsule: Tensor
    z: Tensor


def nearest(c: Capsules, camera: Camera, size: int) -> Hit:
    """The nearest capsule of every pixel that shows one."""
    F, Q = c.radius.shape
    T = F // len(camera)
    low, high = boxes(c, camera, T, size)
    wide = (high - low + 1).clamp_min(0)  # (F, Q, 2) columns, rows
    counts = (wide[..., 0] * wide[..., 1]).flatten()
    which = torch.repeat_interleave(torch.arange(F * Q), counts)  # (K,)
    step = torch.arange(len(which)) - (counts.cumsum(0) - counts)[which]
    w = wide[..., 0].flatten()[which]
    row = torch.div(step, w, rounding_mode="floor")
    i, j = low[..., 1].flatten()[which] + row, low[..., 0].flatten()[which] + step - row * w
    frame = torch.div(which, Q, rounding_mode="floor")
    clip = torch.div(frame, T, rounding_mode="floor")
    focal, centre = camera.focal, camera.centre
    dx = (centre[:, 0][clip] - (j + 0.5) / size) / focal[:, 0][clip]
    dy = (centre[:, 1][clip] - (i + 0.5) / size) / focal[:, 1][clip]
    z = meet(dx, dy, c.start.flatten(0, 1), c.end.flatten(0, 1), c.radius.flatten(), which)
    pixel = (frame * size + i) * size + j
    kept = torch.isfinite(z) & (z > NEAR)
    z, pixel, which = z[kept], pixel[kept], which[kept]
    front = torch.full((F * size * size,), torch.inf)
    front.scatter_reduce_(0, pixel, z, "amin")
    won = z == front[pixel]
    z, pixel, which = z[won], pixel[won], which[won]
    first = torch.full((F * size * size,), F * Q)  # two at the very same place: the lower number
    first.scatter_reduce_(0, pixel, which, "amin")
    won = which == first[pixel]
    return Hit(pixel[won], which[won], z[won])


def boxes(c: Capsules, camera: Camera, T: int, size: int) -> tuple[Tensor, Tensor]:
    """First and last column and row (F, Q, 2) of the pixels a capsule can touch; last before first where there is none."""
    F, Q = c.radius.shape
    focal = camera.focal.repeat_interleave(T, 0).view(F, 1, 2)
    centre = camera.centre.repeat_interleave(T, 0).view(F, 1, 2)
    r, bounds = c.radius[..., None], []
    for ball in (c.start, c.end):
        near, far = (ball[..., 2:] - r).clamp_min(NEAR), (ball[..., 2:] + r).clamp_min(NEAR)
        bounds += [ball[..., :2] + sign * r for sign in (-1, 1)]
        bounds[-2:] = [side / z for side in bounds[-2:] for z in (near, far)]
    places = torch.stack([centre - focal * b for b in bounds])  # (8, F, Q, 2)
    low = (places.amin(dim=0) * size - 0.5).ceil().clamp(0, size)
    high = (places.amax(dim=0) * size - 0.5).floor().clamp(-1, size - 1)
    shown = c.there & (torch.maximum(c.start[..., 2], c.end[..., 2]) > NEAR)
    high = torch.where(shown[..., None], high, torch.full((), -1.0))
    return low.long(), high.long()


def meet(dx: Tensor, dy: Tensor, start: Tensor, end: Tensor, radius: Tensor, which: Tensor) -> Tensor:
    """Where rays first meet capsules: z of the point (K,), infinite where they miss.

    The ray is s d, d = (dx, dy, 1). Between its ends A and B a capsule is a cylinder: |s d - A|^2 less the square of the part along
    B - A is r^2. At its ends it is a ball.

    Args:
        dx: (K,), of the rays.
        dy: (K,).
        start: (Q, 3), A.
        end: (Q, 3), B.
        radius: (Q,), r.
        which: int64 (K,), the capsule each ray is tried against.
    """
    axis = end - start
    aa, sa, ss = (axis * axis).sum(-1), (start * axis).sum(-1), (start * start).sum(-1)  # (Q,)
    rr = radius * radius
    table = torch.stack([start[:, 0], start[:, 1], start[:, 2], axis[:, 0], axis[:, 1], axis[:, 2], aa, sa, ss, rr], 1)
    px, py, pz, ax, ay, az, aa, sa, ss, rr = table[which].unbind(1)
    dd = dx * dx + dy * dy + 1
    da, dp = dx * ax + dy * ay + az, dx * px + dy * py + pz
    # Cylinder: (aa dd - da^2) s^2 - 2 (aa dp - da sa) s + aa ss - sa^2 - rr aa = 0.
    a, b, c = aa * dd - da * da, aa * dp - da * sa, aa * ss - sa * sa - rr * aa
    h = b * b - a * c
    s = (b - h.clamp_min(0).sqrt()) / a.clamp_min(1e-12)
    y = s * da - sa  # times aa
    side = (h >= 0) & (a > 1e-12) & (y > 0) & (y < aa)
    # A ball at the end that the ray passes: the first one where it misses the cylinder between them.
    best = torch.where(side, s, torch.inf)
    for more in (0.0, 1.0):
        cp, cc = dp + more * da, ss + more * (2 * sa + aa)
        h = cp * cp - dd * (cc - rr)
        ball = (cp - h.clamp_min(0).sqrt()) / dd
        best = torch.where((h >= 0) & (ball < best), ball, best)
    return best
