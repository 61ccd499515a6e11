"""Is the representation alive? Collapse meters of a batch, and the nearest-neighbour probe on held-out training subjects.

A contrastive network can fail while its loss looks well: all clips move to one point (collapse), or into a few directions
(dimensional collapse). Four numbers tell, all of unit vectors:

    feature_std     spread per dimension times sqrt(D): 1 = all over the sphere, 0 = one point
    effective_rank  exp(entropy of the singular values), Roy & Vetterli 2007: how many directions are in use, 1 .. min(N, D)
    alignment       mean squared distance of a query and its own key (Wang & Isola 2020): small = two views of a clip agree
    uniformity      log mean exp(-2 squared distance) over pairs (same paper): low = spread out, 0 = one point
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from skelbench.skeleton.clip import Batch


@torch.no_grad()
def feature_std(x: Tensor) -> float:
    """Mean over dimensions of the standard deviation of unit rows (N, D), times sqrt(D)."""
    x = functional.normalize(x.double(), dim=1)
    return float(x.std(dim=0, correction=0).mean() * math.sqrt(x.shape[1]))


@torch.no_grad()
def effective_rank(x: Tensor) -> float:
    """exp(-sum p log p) with p the singular values of the unit rows (N, D), as shares of their sum. Source: Roy & Vetterli 2007."""
    x = functional.normalize(x.double(), dim=1)
    gram = x @ x.T if x.shape[0] < x.shape[1] else x.T @ x
    share = torch.linalg.eigvalsh(gram).clamp(min=0).sqrt()
    share = share / share.sum().clamp(min=1e-300)
    return float(torch.special.entr(share).sum().exp())


@torch.no_grad()
def alignment(q: Tensor, k: Tensor) -> float:
    """Mean squared distance of the unit rows of q and k (N, D): 0 .. 4."""
    return float((functional.normalize(q.double(), dim=1) - functional.normalize(k.double(), dim=1)).square().sum(dim=1).mean())


@torch.no_grad()
def uniformity(x: Tensor) -> float:
    """Log of the mean of exp(-2 d^2) over all pairs of different rows (N, D); 0 for a single row."""
    x = functional.normalize(x.double(), dim=1)
    N = x.shape[0]
    if N < 2:
        return 0.0
    squared = (2 - 2 * (x @ x.T)).clamp(min=0)  # (N, N)
    upper = torch.ones_like(squared, dtype=torch.bool).triu(diagonal=1)
    return float((-2 * squared[upper]).logsumexp(dim=0) - math.log(N * (N - 1) / 2))


def collapse(x: Tensor) -> dict[str, float]:
    """The three meters that need one set of features (N, D)."""
    return {"feature_std": feature_std(x), "effective_rank": effective_rank(x), "uniformity": uniformity(x)}


def batch_meters(out: Mapping[str, Any]) -> dict[str, float]:
    """Meters of one training step from the method's intermediates ``query`` and ``key`` (N, D); empty where it has no query.

    A method with several encoders gives ``query_<name>`` and ``key_<name>`` of the others, and gets ``alignment_<name>`` ...
    """
    meters: dict[str, float] = {}
    for name, query in out.items():
        if name.partition("_")[0] != "query" or not isinstance(query, Tensor) or query.ndim != 2:
            continue
        ending, key = name.removeprefix("query"), out.get(name.replace("query", "key", 1))
        found = collapse(query)
        if isinstance(key, Tensor) and key.shape == query.shape:
            found["alignment"] = alignment(query, key)
        meters |= {f"{meter}{ending}": value for meter, value in found.items()}
    return meters


def embed(method: Any, batches: Iterable[Batch], device: torch.device) -> tuple[Tensor, Tensor]:
    """Frozen features and labels of batches: (N, D) and (N,), both on the device."""
    values, labels = [], []
    for batch in batches:
        moved = batch.to(device)
        values.append(method.features(moved).float())
        labels.append(moved.labels)
    return torch.cat(values), torch.cat(labels)
