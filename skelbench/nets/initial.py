"""First weights that come from a generator alone."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


def draw_weights(module: nn.Module, generator: torch.Generator) -> None:
    """Draw every linear and convolution layer below ``module`` anew, as torch begins them: uniform in +-1/sqrt(inputs of a unit).

    Everything else (BatchNorm, PReLU, parameters of the module itself) keeps its fixed first values.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d):
            bound = 1 / math.sqrt(layer.weight[0].numel())
            for parameter in (layer.weight, layer.bias):
                if parameter is not None:
                    draw = torch.rand(parameter.shape, generator=generator, device=generator.device)
                    parameter.data = ((2 * draw - 1) * bound).to(parameter)


def drop(x: Tensor, share: float, generator: torch.Generator | None) -> Tensor:
    """``x`` with that share of its values at zero and the others scaled up; as it is without a generator."""
    if generator is None or not share:
        return x
    kept = torch.rand(x.shape, generator=generator, device=generator.device).to(x.device) >= share
    return x * kept / (1 - share)
