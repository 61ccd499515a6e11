"""Networks on short videos that keep two maps: an early one with fine detail, a late one whose cells become tokens.

``VideoCNN`` learns from scratch. ``VideoResNet`` has the shape and the parameter names of torchvision's R3D-18 and MC3-18 (a mixed
network: 3D convolutions in the first stage, 2D after it), so that a weights file of theirs can be put in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from skelbench.errors import ConfigError
from skelbench.nets.initial import draw_weights
from skelbench.nets.torchvision import FrozenNorm, begin_residual, load_torchvision

KINETICS = ((0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989))  # mean and standard deviation of the channels


class VideoCNN(nn.Module):
    """Small 3D CNN: video (B, 3, T, H, W) in [0, 1] -> early map (B, C_m, T, H / 4, W / 4), late map (B, C, T', H / 8, W / 8)."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Sizes of the fact sheet's light default: 0.09 M parameters."""

        widths: tuple[int, int, int, int] = (16, 32, 64, 96)
        groups: int = 8  # of GroupNorm
        stride: int = 2  # of the last convolution, along time: T' = ceil(T / stride)

        def __post_init__(self) -> None:
            if len(self.widths) != 4 or self.groups < 1 or any(w < 1 or w % self.groups for w in self.widths) or self.stride < 1:
                wanted = f"four widths that divide by groups={self.groups}, and a stride of 1 or more"
                raise ConfigError(f"VideoCNN: wanted {wanted}; got widths={self.widths}, stride={self.stride}")

    def __init__(self, config: Config, *, generator: torch.Generator) -> None:
        super().__init__()
        a, b, c, d = config.widths

        def unit(given: int, width: int, kernel: tuple[int, int, int], stride: tuple[int, int, int]) -> list[nn.Module]:
            conv = nn.Conv3d(given, width, kernel, stride=stride, padding=(kernel[0] // 2, kernel[1] // 2, kernel[2] // 2))
            return [conv, nn.GroupNorm(config.groups, width), nn.ReLU()]

        self.early = nn.Sequential(*unit(3, a, (3, 3, 3), (1, 2, 2)), *unit(a, b, (3, 3, 3), (1, 2, 2)))
        along = unit(c, d, (3, 1, 1), (config.stride, 1, 1))
        self.late = nn.Sequential(*unit(b, c, (1, 3, 3), (1, 2, 2)), *unit(c, c, (1, 3, 3), (1, 1, 1)), *along)
        self.stride = config.stride
        self.channels = (b, d)
        draw_weights(self, generator)

    def size(self, frames: int, height: int, width: int) -> tuple[int, int, int]:
        """(T', h, w) of the late map for a video of this size."""
        return -(-frames // self.stride), -(-height // 8), -(-width // 8)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, T, H, W) -> early map, late map."""
        early = self.early(2 * x - 1)
        return early, self.late(early)


class Residual(nn.Module):
    """Two convolutions with a shortcut (torchvision's BasicBlock for video); ``deep`` ones reach over three frames."""

    def __init__(self, given: int, width: int, stride: int, *, deep: bool) -> None:
        super().__init__()

        def conv(inputs: int, step: int) -> nn.Conv3d:
            if deep:
                return nn.Conv3d(inputs, width, 3, stride=step, padding=1, bias=False)
            return nn.Conv3d(inputs, width, (1, 3, 3), stride=(1, step, step), padding=(0, 1, 1), bias=False)

        self.conv1 = nn.Sequential(conv(given, stride), nn.BatchNorm3d(width), nn.ReLU())
        self.conv2 = nn.Sequential(conv(width, 1), nn.BatchNorm3d(width))
        self.downsample = None
        if stride != 1 or given != width:
            step = (stride if deep else 1, stride, stride)
            self.downsample = nn.Sequential(nn.Conv3d(given, width, 1, stride=step, bias=False), nn.BatchNorm3d(width))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> (B, C', T / stride where deep, H / stride, W / stride)."""
        y: Tensor = self.conv2(self.conv1(x))
        return functional.relu(y + (x if self.downsample is None else self.downsample(x)))


class VideoResNet(FrozenNorm):
    """R3D-18 or MC3-18 without its classifier; the late map is averaged to ``grid`` x ``grid`` cells."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Which of them, and where its weights come from."""

        kind: Literal["mc3_18", "r3d_18"] = "mc3_18"  # mc3 keeps all frames, r3d halves them three times
        weights: str = ""  # path of a torchvision weights file; empty: drawn
        frozen_norm: bool = True  # BatchNorm stays as loaded; only where weights are loaded
        middle: Literal[1, 2] = 2  # stage after which the early map is taken
        grid: int = 7

        def __post_init__(self) -> None:
            if self.kind not in ("mc3_18", "r3d_18") or self.middle not in (1, 2) or self.grid < 1:
                given = f"kind={self.kind!r}, middle={self.middle}, grid={self.grid}"
                raise ConfigError(f"VideoResNet: wanted kind mc3_18 or r3d_18, middle 1 or 2, grid 1 or more; got {given}")

    def __init__(self, config: Config, *, generator: torch.Generator) -> None:
        super().__init__()
        self.config, self.frozen_norm = config, config.frozen_norm and bool(config.weights)
        first = nn.Conv3d(3, 64, (3, 7, 7), stride=(1, 2, 2), padding=(1, 3, 3), bias=False)
        self.stem = nn.Sequential(first, nn.BatchNorm3d(64), nn.ReLU())
        given, layers = 64, []
        for i in range(4):
            width, deep = 64 * 2**i, config.kind == "r3d_18" or i == 0
            layers.append(nn.Sequential(Residual(given, width, 2 if i else 1, deep=deep), Residual(width, width, 1, deep=deep)))
            given = width
        self.layer1, self.layer2, self.layer3, self.layer4 = layers
        self.channels = (64 * config.middle, 512)
        mean, spread = (torch.tensor(v).view(1, 3, 1, 1, 1) for v in KINETICS)
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("spread", spread, persistent=False)
        begin_residual(self, generator)
        if config.weights:
            load_torchvision(self, config.weights)
        self.train()

    def size(self, frames: int, height: int, width: int) -> tuple[int, int, int]:
        """(T', h, w) of the late map for a video of this size."""
        return (frames if self.config.kind == "mc3_18" else -(-frames // 8)), self.config.grid, self.config.grid

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, T, H, W) -> early map (B, C_m, T or T / 2, H / 2 or H / 4, ...), late map (B, 512, T', grid, grid)."""
        one = self.layer1(self.stem((x - self.get_buffer("mean")) / self.get_buffer("spread")))
        two = self.layer2(one)
        late = self.layer4(self.layer3(two))
        late = functional.adaptive_avg_pool3d(late, (late.shape[2], self.config.grid, self.config.grid))
        return (one if self.config.middle == 1 else two), late


def build_video(config: VideoCNN.Config | VideoResNet.Config, *, generator: torch.Generator) -> VideoCNN | VideoResNet:
    """The network those settings are of."""
    return (
        VideoResNet(config, generator=generator)
        if isinstance(config, VideoResNet.Config)
        else VideoCNN(config, generator=generator)
    )
