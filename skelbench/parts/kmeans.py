"""k-means on the unit sphere: cosine assignment, normalised means."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from skelbench.errors import ConfigError
from skelbench.parts.sphere import angle, unit


@dataclass(frozen=True, kw_only=True, eq=False)
class KMeans:
    """What the clustering found.

    Attributes:
        centres: (S, D), unit rows.
        assignment: cluster of every point (N,).
        counts: points a cluster has (S,).
        inertia: sum of squared chord lengths from the points to their centres ().
        iterations: rounds until the centres stood still.
    """

    centres: Tensor
    assignment: Tensor
    counts: Tensor
    inertia: Tensor
    iterations: int


@torch.no_grad()
def spherical_kmeans(
    points: Tensor, clusters: int, *, generator: torch.Generator, iterations: int = 100, tolerance: float = 1e-3
) -> KMeans:
    """Cluster unit vectors (N, D).

    Seeded in the k-means++ manner with probability proportional to the angle (not its square) to the nearest seed, as HaLP's
    prototypes are. The normalised arithmetic mean stands in for the Frechet mean, a few hundredths of a radian away.
    A cluster that loses all points starts again at a random point. Which rows are drawn does not depend on the device.

    Args:
        points: unit rows (N, D).
        clusters: S, at most N.
        generator: of all random draws.
        iterations: most rounds.
        tolerance: stop when no centre moved further than this.

    Raises:
        ConfigError: points are no (N, D) table, or fewer than clusters.
    """
    if points.ndim != 2 or not 1 <= clusters <= len(points):
        raise ConfigError(f"spherical_kmeans wants points (N, D) with N >= clusters = {clusters}, got points {tuple(points.shape)}")
    centres = _seeds(points, clusters, generator)
    rounds, moved = 0, float("inf")
    while rounds < iterations and moved > tolerance:
        previous = centres
        member = _membership(points, centres)  # (N, S)
        total = member.T @ points  # (S, D); a product, because index_add_ sums in random order on a GPU
        length = torch.linalg.vector_norm(total, dim=1, keepdim=True)
        spare = points[_draws(clusters, generator, points).mul(len(points)).long()]  # (S, D)
        centres = torch.where(length > 1e-6, total / length.clamp(min=1e-6), spare)
        moved = float(torch.linalg.vector_norm(centres - previous, dim=1).max())
        rounds += 1
    member = _membership(points, centres)
    inertia = (2 - 2 * ((points @ centres.T) * member).sum(dim=1)).sum()
    return KMeans(
        centres=centres, assignment=member.argmax(dim=1), counts=member.sum(dim=0).long(), inertia=inertia, iterations=rounds
    )


def _membership(points: Tensor, centres: Tensor) -> Tensor:
    """1 where a point belongs to a centre (N, S)."""
    similarity = points @ centres.T
    return torch.zeros_like(similarity).scatter_(1, similarity.argmax(dim=1, keepdim=True), 1)


def _seeds(points: Tensor, clusters: int, generator: torch.Generator) -> Tensor:
    draws = _draws(clusters, generator, points)
    chosen = [(draws[0] * len(points)).long()]
    far = torch.full((len(points),), torch.inf, dtype=points.dtype, device=points.device)
    for draw in draws[1:]:
        far = torch.minimum(far, angle(points, points[chosen[-1]]))
        mass = far.double().cumsum(0)
        chosen.append(torch.searchsorted(mass, draw * mass[-1], right=True).clamp(max=len(points) - 1))
    return unit(points[torch.stack(chosen)])


def _draws(n: int, generator: torch.Generator, like: Tensor) -> Tensor:
    return torch.rand(n, generator=generator, device=generator.device, dtype=torch.float64).to(like.device)
