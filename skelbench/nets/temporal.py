"""Convolutions along time at several scales at once (CTR-GCN; PSUMNet section 3.3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from skelbench.errors import ConfigError


class MultiScaleTemporal(nn.Module):
    """Four branches of a quarter of the channels each, side by side: (B, inputs, T, V) -> (B, width, ceil(T / stride), V).

    1. 1x1, BN, ReLU, 5x1 over neighbouring frames, BN
    2. the same over every second frame
    3. 1x1, BN, ReLU, maximum of three frames, BN
    4. 1x1, BN

    There is no residual and no ReLU at the end. Weights are torch's first ones; whoever builds it draws them.
    """

    def __init__(self, inputs: int, width: int, *, stride: int = 1, kernel: int = 5, dilations: tuple[int, ...] = (1, 2)) -> None:
        super().__init__()
        branches = len(dilations) + 2
        if width % branches or kernel % 2 == 0:
            raise ConfigError(f"MultiScaleTemporal: width={width} must divide by its {branches} branches, kernel={kernel} be odd")
        part = width // branches

        def narrowed() -> list[nn.Module]:
            return [nn.Conv2d(inputs, part, 1), nn.BatchNorm2d(part), nn.ReLU()]

        def along(dilation: int) -> nn.Conv2d:
            reach = dilation * (kernel - 1) // 2
            return nn.Conv2d(part, part, (kernel, 1), stride=(stride, 1), padding=(reach, 0), dilation=(dilation, 1))

        made = [nn.Sequential(*narrowed(), along(d), nn.BatchNorm2d(part)) for d in dilations]
        highest = nn.MaxPool2d((3, 1), stride=(stride, 1), padding=(1, 0))
        made.append(nn.Sequential(*narrowed(), highest, nn.BatchNorm2d(part)))
        made.append(nn.Sequential(nn.Conv2d(inputs, part, 1, stride=(stride, 1)), nn.BatchNorm2d(part)))
        self.branches = nn.ModuleList(made)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, T, V) -> (B, width, T', V)."""
        return torch.cat([branch(x) for branch in self.branches], dim=1)
