"""Losses of long-tailed learning, clip by clip in plain Python, and against the published numbers."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from skelbench.errors import ConfigError, DataError
from skelbench.parts.rebalance import (
    LOSSES,
    action_aware_betas,
    class_counts,
    class_losses,
    class_weights,
    effective_weights,
    ldam_margins,
    rebalanced_repeats,
    staged,
    weighted_mean,
)

COUNTS = torch.tensor([90, 31, 7, 7, 2])


def clips(N: int = 12, C: int = 5) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(0)
    return 3 * torch.randn(N, C, generator=g, dtype=torch.float64), torch.randint(C, (N,), generator=g)


def naive(name: str, z: list[float], y: int, n: list[int]) -> float:
    """The loss of one clip, from its definition."""
    if name == "ldam":
        z = [30 * (v - (0.5 * (min(n) / n[y]) ** 0.25 if c == y else 0)) for c, v in enumerate(z)]
    if name == "balanced_softmax":
        return -math.log(n[y] * math.exp(z[y]) / sum(m * math.exp(v) for m, v in zip(n, z, strict=True)))
    top = max(z)
    entropy = top + math.log(sum(math.exp(v - top) for v in z)) - z[y]
    return entropy * ((1 - math.exp(-entropy)) ** 2 if name == "focal" else 1)


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_clip_by_clip(name: str) -> None:
    z, y = clips()
    expected = [naive(name, row, int(label), COUNTS.tolist()) for row, label in zip(z.tolist(), y, strict=True)]
    torch.testing.assert_close(class_losses(name, z, y, COUNTS), torch.tensor(expected, dtype=torch.float64), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", LOSSES)
def test_weights_class_by_class(name: str) -> None:
    n = COUNTS.tolist()
    b = {"class_balanced": [0.999] * 5, "ldam": [0.999999] * 5, "action_aware": [0.99 + 0.0099 * (m - 2) / 88 for m in n]}.get(name)
    raw = [(1 - q) / (1 - q**m) for q, m in zip(b, n, strict=True)] if b else [1.0] * 5
    expected = torch.tensor([5 * w / sum(raw) for w in raw], dtype=torch.float64)
    torch.testing.assert_close(class_weights(name, COUNTS), expected, rtol=1e-8, atol=0)
    assert float(class_weights(name, COUNTS).sum()) == pytest.approx(5)


def test_weighted_mean_is_torchs_own() -> None:
    z, y = clips()
    w = class_weights("action_aware", COUNTS)
    ours = weighted_mean(class_losses("action_aware", z, y, COUNTS), w[y])
    torch.testing.assert_close(ours, functional.cross_entropy(z, y, weight=w))


def test_weights_at_the_edges() -> None:
    assert effective_weights(COUNTS, 0.0).tolist() == [1.0] * 5  # one clip says it all
    inverse = 1 / COUNTS.double()
    torch.testing.assert_close(effective_weights(COUNTS, 1 - 1e-12), 5 * inverse / inverse.sum(), rtol=1e-6, atol=0)
    mixed = effective_weights(COUNTS, torch.tensor([0.0, 0.5, 0.5, 0.5, 0.5]))
    assert mixed.isfinite().all() and float(mixed[0] / mixed[1]) == pytest.approx(2, rel=1e-6)
    same = torch.tensor([8, 8, 8])
    assert action_aware_betas(same).tolist() == [0.99] * 3 and class_weights("action_aware", same).tolist() == [1.0] * 3
    assert ldam_margins(COUNTS)[-1] == 0.5 and ldam_margins(COUNTS).diff().min() >= 0
    for beta in (1.0, -0.1):
        with pytest.raises(ConfigError, match="beta ="):
            effective_weights(COUNTS, beta)


def test_detached_schedule() -> None:
    first = {name: staged(name, last_stage=False) for name in LOSSES}
    assert {name for name, (loss, _) in first.items() if loss == "ce"} == {"ce", "class_balanced", "action_aware", "focal"}
    assert not any(weighted for _, weighted in first.values())
    assert all(staged(name, last_stage=True) == (name, True) for name in LOSSES)


def test_counts_are_of_the_labels_and_an_empty_class_is_named() -> None:
    assert class_counts(np.asarray([0, 2, 2, -1, 1]), ["sit", "stand", "wave"]).tolist() == [1, 1, 2]
    with pytest.raises(DataError, match=r"class 'stand' has no training clip \(1 of 3"):
        class_counts(torch.tensor([0, 2, -1]), ["sit", "stand", "wave"])
    for made in (lambda: class_losses("kps", *clips(), COUNTS), lambda: class_weights("kps", COUNTS)):
        with pytest.raises(ConfigError, match="no loss called 'kps'"):
            made()


def test_the_rarest_third_is_repeated_wherever_it_stands() -> None:
    assert rebalanced_repeats(torch.tensor([3, 60, 5, 40, 6, 30, 20])).tolist() == [20, 1, 12, 1, 10, 1, 1]
    assert rebalanced_repeats(torch.tensor([8, 8, 8]), base=5).tolist() == [5, 5, 5]
    assert rebalanced_repeats(torch.tensor([8, 4, 4]), base=2).tolist() == [2, 2, 4]  # of two equal ones the later


@pytest.mark.parametrize("name", ["ntu60", "ntu120_xsub", "ntu120_xset", "nw_ucla"])
def test_published_losses(name: str) -> None:
    folder = os.environ.get("SKELBENCH_REFERENCE")
    if not folder:
        pytest.skip("SKELBENCH_REFERENCE is not set")
    with np.load(Path(folder) / "brl_loss_a.npz", allow_pickle=False) as file:
        given = {k: torch.from_numpy(file[f"input/{name}/{k}"]) for k in ("counts", "logits", "labels")}
        out = {k.removeprefix(f"output/{name}/"): torch.from_numpy(file[k]) for k in file.files if k.startswith(f"output/{name}/")}
    counts, labels, logits = given["counts"], given["labels"], given["logits"].double().requires_grad_()
    near = {"rtol": 2e-4, "atol": 1e-6}  # theirs are 1 - b^n in float32
    torch.testing.assert_close(action_aware_betas(counts), out["beta"].double(), rtol=1e-6, atol=0)
    for loss in ("action_aware", "class_balanced"):
        for epoch in (0, 18, 19, 21, 23):
            kind, weighted = staged(loss, last_stage=epoch >= 19)
            w = class_weights(kind, counts) if weighted else torch.ones(len(counts), dtype=torch.float64)
            torch.testing.assert_close(w, out[f"{loss}/weights_epoch_{epoch}"].double(), **near)
            value = weighted_mean(class_losses(kind, logits, labels, counts), w[labels])
            torch.testing.assert_close(value, out[f"{loss}/loss_epoch_{epoch}"].double(), **near)
            if epoch == 19:
                (slope,) = torch.autograd.grad(value, logits)
                torch.testing.assert_close(slope, out[f"{loss}/grad_logits_epoch_19"].double(), **near)
    for loss, key in (("balanced_softmax", "loss"), ("focal", "loss_epoch_19")):
        value = class_losses(loss, logits, labels, counts).mean()
        torch.testing.assert_close(value, out[f"{loss}/{key}"].double(), **near)
