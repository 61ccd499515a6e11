"""Geometry on the unit sphere, accurate from coinciding to antipodal vectors.

Angles are not taken through arccos of a dot product, which loses half the digits near 0 and pi and turns NaN when rounding
gives a cosine above 1. Two chords say the same without that: for unit a, b at angle W, ``|a - b| = 2 sin(W/2)`` and
``|a + b| = 2 cos(W/2)``.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def unit(x: Tensor) -> Tensor:
    """Rows (..., D) divided by their length; a zero row stays zero."""
    return functional.normalize(x, dim=-1)


def angle(a: Tensor, b: Tensor) -> Tensor:
    """Angle between unit vectors (..., D) in radians, 0 .. pi (...)."""
    return angle_of(torch.linalg.vector_norm(a - b, dim=-1), torch.linalg.vector_norm(a + b, dim=-1))


def angle_of(chord: Tensor, cochord: Tensor) -> Tensor:
    """Angle from ``|a - b|`` and ``|a + b|``."""
    return 2 * torch.atan2(chord, cochord)


def chords(a: Tensor, b: Tensor) -> Tensor:
    """``|a_i - b_j|`` of all pairs: (N, D), (S, D) -> (N, S). Differences are taken first, so equal rows give exactly 0."""
    return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")


def antipodal(cochord: Tensor) -> Tensor:
    """Whether two unit vectors point so exactly away from each other that no great circle between them stands out."""
    return cochord < torch.finfo(cochord.dtype).eps ** 0.5


def slerp_weights(t: Tensor, chord: Tensor, cochord: Tensor) -> tuple[Tensor, Tensor]:
    """Weights of a and b in the point t of the way from a to b on their great circle.

    ``sin((1-t)W) / sin W`` and ``sin(tW) / sin W``; 1-t and t for coinciding vectors; 1 and 0 for antipodal ones (the point
    stays at a).
    """
    omega, sine = angle_of(chord, cochord), chord * cochord / 2
    same, away = sine <= torch.finfo(sine.dtype).tiny, antipodal(cochord)
    safe = torch.where(same | away, torch.ones_like(sine), sine)
    one = torch.where(same, 1 - t, torch.sin((1 - t) * omega) / safe)
    two = torch.where(same, t, torch.sin(t * omega) / safe)
    return torch.where(away, torch.ones_like(one), one), torch.where(away, torch.zeros_like(two), two)


def slerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """Point t (...) of the way from a to b (..., D) along their great circle, unit length (..., D)."""
    one, two = slerp_weights(t, torch.linalg.vector_norm(a - b, dim=-1), torch.linalg.vector_norm(a + b, dim=-1))
    return unit(one.unsqueeze(-1) * a + two.unsqueeze(-1) * b)


def boundary(anchor_near: Tensor, anchor_target: Tensor, anchor_away: Tensor, near_target: Tensor) -> Tensor:
    """Largest t for which the point t of the way from anchor a to target p_s is still no closer to p_s than to p_0.

    ``z(t) . p_0 >= z(t) . p_s`` reads ``A sin((1-t)W) >= B sin(tW)`` with ``A = a.p_0 - a.p_s``, ``B = 1 - p_0.p_s``, W the
    angle from a to p_s, and is an equality at ``t_max = atan2(A sin W, B + A cos W) / W``. The two-argument arctangent also gets
    the case ``B + A cos W < 0`` right (targets behind the anchor in few dimensions), where atan of the quotient turns negative.

    Args:
        anchor_near: ``|a - p_0|``; p_0 is the prototype nearest to a.
        anchor_target: ``|a - p_s|``.
        anchor_away: ``|a + p_s|``.
        near_target: ``|p_0 - p_s|``.

    Returns:
        t_max in [0, 1], same shape. 0 where a is as near to p_s as to p_0 (a tie, p_s equal to p_0 included) and where p_s is
        the antipode of a.
    """
    A = ((anchor_target - anchor_near) * (anchor_target + anchor_near) / 2).clamp(min=0)
    B = near_target.square() / 2
    omega, sine = angle_of(anchor_target, anchor_away), anchor_target * anchor_away / 2
    cosine = (anchor_away.square() - anchor_target.square()) / 4
    limit = torch.atan2(A * sine, B + A * cosine) / omega.clamp(min=torch.finfo(omega.dtype).tiny)
    return torch.where(antipodal(anchor_away), torch.zeros_like(limit), limit.clamp(0, 1))


def t_max(anchors: Tensor, near: Tensor, targets: Tensor) -> Tensor:
    """``boundary`` for vectors: anchors, their nearest prototypes and targets, unit rows (..., D) that broadcast -> (...)."""

    def length(x: Tensor) -> Tensor:
        return torch.linalg.vector_norm(x, dim=-1)

    return boundary(length(anchors - near), length(anchors - targets), length(anchors + targets), length(near - targets))
