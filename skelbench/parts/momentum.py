"""A slowly following copy of a network (MoCo's key encoder)."""

from __future__ import annotations

import copy

import torch
from torch import nn


def momentum_copy(module: nn.Module) -> nn.Module:
    """A copy with the same weights and buffers whose parameters take no gradient."""
    return copy.deepcopy(module).requires_grad_(False)


@torch.no_grad()
def momentum_update(key: nn.Module, query: nn.Module, m: float) -> None:
    """theta_key <- m theta_key + (1 - m) theta_query, parameters only.

    Buffers stay: the key network's BatchNorm keeps the running statistics of the batches it saw itself.
    """
    for k, q in zip(key.parameters(), query.parameters(), strict=True):
        k.lerp_(q, 1 - m)
