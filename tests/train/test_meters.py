"""Collapse meters against loops, and at their two ends."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from skelbench.train.meters import alignment, batch_meters, collapse, effective_rank, feature_std, uniformity


def features(n: int, d: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(("n", "d"), [(5, 3), (7, 16), (40, 8)])
def test_meters_match_loops(n: int, d: int) -> None:
    x, y = features(n, d), features(n, d, seed=1)
    unit = [row / math.sqrt(sum(v * v for v in row)) for row in x.numpy()]
    other = [row / math.sqrt(sum(v * v for v in row)) for row in y.numpy()]
    spread = sum(math.sqrt(sum((u[j] - sum(w[j] for w in unit) / n) ** 2 for u in unit) / n) for j in range(d)) / d
    assert feature_std(x) == pytest.approx(spread * math.sqrt(d), rel=1e-12)
    pairs = [math.exp(-2 * sum((a - b) ** 2)) for i, a in enumerate(unit) for b in unit[:i]]
    assert uniformity(x) == pytest.approx(math.log(sum(pairs) / len(pairs)), rel=1e-10)
    assert alignment(x, y) == pytest.approx(sum(sum((a - b) ** 2) for a, b in zip(unit, other, strict=True)) / n, rel=1e-12)
    values = np.linalg.svd(np.array(unit), compute_uv=False)
    share = values / values.sum()
    assert effective_rank(x) == pytest.approx(math.exp(-sum(p * math.log(p) for p in share)), rel=1e-8)
    assert collapse(x.float()) == pytest.approx(collapse(x), rel=1e-4)


def test_a_collapsed_batch_and_a_spread_one() -> None:
    point = torch.ones(32, 16)
    assert feature_std(point) == pytest.approx(0, abs=1e-7)
    assert effective_rank(point) == pytest.approx(1, abs=1e-4)
    assert uniformity(point) == pytest.approx(0, abs=1e-12)
    assert alignment(point, -point) == pytest.approx(4)
    assert effective_rank(torch.eye(16)) == pytest.approx(16)
    assert feature_std(features(4000, 16)) == pytest.approx(1, abs=0.02)
    assert uniformity(torch.ones(1, 4)) == 0


def test_meters_of_a_step_take_what_is_there() -> None:
    q, k = features(6, 4), features(6, 4, seed=1)
    assert batch_meters({"positives": q}) == {}
    assert batch_meters({"query": q}) == collapse(q)
    assert batch_meters({"query": q, "key": k}) == collapse(q) | {"alignment": alignment(q, k)}


def test_every_query_has_its_meters() -> None:
    q, k, r, s = (features(6, 4, seed=i) for i in range(4))
    found = batch_meters({"query": q, "key": k, "query_bone": r, "key_bone": s, "queries": r})
    assert found == batch_meters({"query": q, "key": k}) | {
        f"{name}_bone": value for name, value in batch_meters({"query": r, "key": s}).items()
    }
