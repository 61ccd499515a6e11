"""The contrastive loss with one positive and a table of negatives (InfoNCE; MoCo equation 1)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from skelbench.errors import ConfigError


def info_nce(q: Tensor, k: Tensor, negatives: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Cross-entropy of finding k among the negatives, and the logits.

    Args:
        q: queries (N, D), unit rows.
        k: the positive of every query (N, D), unit rows.
        negatives: (K, D), unit rows, shared by all queries.
        temperature: the cosines are divided by it.

    Returns:
        (loss (), logits (N, 1 + K)); column 0 is the positive.
    """
    if q.shape != k.shape or negatives.ndim != 2 or negatives.shape[1] != q.shape[1]:
        given = f"{tuple(q.shape)}, {tuple(k.shape)}, {tuple(negatives.shape)}"
        raise ConfigError(f"info_nce wants q (N, D), k (N, D), negatives (K, D); got {given}")
    if temperature <= 0:
        raise ConfigError(f"the temperature of a contrastive loss must be above 0, got {temperature}")
    positive = (q * k).sum(dim=1, keepdim=True)  # (N, 1)
    logits = torch.cat([positive, q @ negatives.T], dim=1) / temperature  # (N, 1 + K)
    target = torch.zeros(len(q), dtype=torch.int64, device=q.device)
    return functional.cross_entropy(logits, target), logits
