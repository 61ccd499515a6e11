"""Spherical k-means against a naive Lloyd loop and against scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans as Reference

from skelbench.errors import ConfigError
from skelbench.parts.kmeans import spherical_kmeans
from skelbench.parts.sphere import unit


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def blobs(clusters=6, each=20, D=8, spread=0.15, seed=0):
    centres = unit(torch.randn(clusters, D, generator=generator(seed), dtype=torch.float64))
    noise = torch.randn(clusters * each, D, generator=generator(seed + 1), dtype=torch.float64)
    return unit(centres.repeat_interleave(each, 0) + spread * noise)


def test_result_is_a_fixed_point_of_lloyd():
    points = unit(torch.randn(80, 5, generator=generator(), dtype=torch.float64))
    found = spherical_kmeans(points, 7, generator=generator(), tolerance=0.0, iterations=500)
    for n, point in enumerate(points):
        assert int(found.assignment[n]) == max(range(7), key=lambda s: float(point @ found.centres[s]))
    for s in range(7):
        members = [points[n] for n in range(80) if found.assignment[n] == s]
        assert len(members) == int(found.counts[s]) > 0
        mean = sum(members)
        torch.testing.assert_close(found.centres[s], mean / mean.norm())
    chord = sum(float((points[n] - found.centres[found.assignment[n]]).square().sum()) for n in range(80))
    assert found.inertia.item() == pytest.approx(chord)


def test_as_tight_as_scikit_learn():
    """Its KMeans minimises the same sum of squared chords but lets centres leave the sphere; they are put back to compare."""
    for points, clusters in ((blobs(), 6), (unit(torch.randn(256, 32, generator=generator(3), dtype=torch.float64)), 20)):
        best = min(spherical_kmeans(points, clusters, generator=generator(s)).inertia.item() for s in range(5))
        reference = Reference(clusters, n_init=5, random_state=0).fit(points.numpy())
        centres = reference.cluster_centers_ / np.linalg.norm(reference.cluster_centers_, axis=1, keepdims=True)
        chord = float(((points.numpy() - centres[reference.labels_]) ** 2).sum())
        assert best <= 1.02 * chord


def test_finds_planted_clusters_and_repeats_itself():
    points = blobs(spread=0.05)
    found = spherical_kmeans(points, 6, generator=generator(1))
    again = spherical_kmeans(points, 6, generator=generator(1))
    assert torch.equal(found.centres, again.centres) and torch.equal(found.assignment, again.assignment)
    hits = {tuple(sorted(set(found.assignment[20 * c : 20 * c + 20].tolist()))) for c in range(6)}
    assert len(hits) == 6 and all(len(h) == 1 for h in hits)
    torch.testing.assert_close(found.centres.norm(dim=1), torch.ones(6, dtype=torch.float64))


def test_seeds_are_drawn_in_proportion_to_the_angle():
    """Three points at known angles: with two clusters the second seed is the far one as often as its share of the angles."""
    angles = torch.tensor([0.0, 0.5, 1.5], dtype=torch.float64)
    points = torch.stack([angles.cos(), angles.sin()], dim=1)
    pairs = [spherical_kmeans(points, 2, generator=generator(s), iterations=0).centres for s in range(1500)]
    from_first = [pair[1] for pair in pairs if torch.equal(pair[0], points[0])]
    assert len(from_first) == pytest.approx(500, abs=80)
    far = sum(torch.equal(second, points[2]) for second in from_first)
    assert far / len(from_first) == pytest.approx(0.75, abs=0.07)  # 1.5 / (0.5 + 1.5); squared it would be 0.9


def test_empty_clusters_start_again_at_a_point():
    points = torch.cat([blobs(1, 30, spread=0.01), blobs(1, 1, seed=7)])
    points = torch.cat([points, points[:1].repeat(20, 1)])
    found = spherical_kmeans(points, 25, generator=generator())
    torch.testing.assert_close(found.centres.norm(dim=1), torch.ones(25, dtype=torch.float64))
    same = points[:1].repeat(9, 1)
    found = spherical_kmeans(same, 4, generator=generator())
    torch.testing.assert_close(found.centres, same[:4])
    assert int(found.counts.sum()) == 9
    opposite = torch.cat([points[:1], -points[:1]])  # the mean of a cluster may vanish
    assert torch.isfinite(spherical_kmeans(opposite, 1, generator=generator()).centres).all()


def test_what_does_not_fit_is_told():
    with pytest.raises(ConfigError, match="clusters = 5"):
        spherical_kmeans(torch.eye(4), 5, generator=generator())
    with pytest.raises(ConfigError, match=r"\(4,\)"):
        spherical_kmeans(torch.ones(4), 1, generator=generator())
