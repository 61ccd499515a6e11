"""Heads that stand on an encoder."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class ProjectionHead(nn.Sequential):
    """Linear, ReLU, Linear: features (N, width) -> latent (N, dim), thrown away after pre-training (HaLP, CMD, ISC).

    The first layer starts as torch starts a Linear, the second Xavier-uniform, as in the released recipe.
    """

    def __init__(self, width: int, dim: int = 128, *, generator: torch.Generator) -> None:
        super().__init__(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, dim))
        bound = 1 / math.sqrt(width)
        bounds = {"0.weight": bound, "0.bias": bound, "2.weight": math.sqrt(6 / (width + dim)), "2.bias": bound}
        for name, parameter in self.named_parameters():
            draw = torch.rand(parameter.shape, generator=generator, device=generator.device)
            parameter.data = (2 * draw - 1) * bounds[name]

    def forward(self, features: Tensor) -> Tensor:
        """(N, width) -> (N, dim), not normalised."""
        return super().forward(features)
