"""Frame extractors: one picture in, one vector out. Every modality has an extractor of its own, and no weight is shared.

``FrameCNN`` learns from scratch: four stages of two 3x3 convolutions, GroupNorm because the frames of a clip are far too alike
for BatchNorm. ``ResNet`` has the shape and the parameter names of torchvision's ResNet-18, -34 and -50, so that a weights file of
theirs can be put in; it reads three channels, and depth or infrared is shown to it three times.
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

CHANNELS = {"rgb": 3, "depth": 1, "ir": 1}  # of the modalities
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # mean and standard deviation of the channels
BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}


class FrameCNN(nn.Module):
    """Small CNN: frames (B, C, H, W) in [0, 1] -> (B, D)."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Sizes of the fact sheet's light default: 0.22 M parameters."""

        widths: tuple[int, ...] = (16, 32, 64, 96)  # of the stages; each halves the picture
        groups: int = 8  # of GroupNorm; as many as channels would take a picture's own brightness away
        features: int = 128  # D

        def __post_init__(self) -> None:
            if not self.widths or any(w < 1 or w % self.groups for w in self.widths) or self.features < 1 or self.groups < 1:
                raise ConfigError(f"FrameCNN: widths={self.widths} must divide by groups={self.groups}, features={self.features}")

    def __init__(self, config: Config, *, channels: int, generator: torch.Generator) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, width in zip((channels, *config.widths), config.widths, strict=False):
            for given, stride in ((before, 2), (width, 1)):
                layers += [nn.Conv2d(given, width, 3, stride=stride, padding=1), nn.GroupNorm(config.groups, width), nn.ReLU()]
        self.stages = nn.Sequential(*layers)
        self.out = nn.Linear(config.widths[-1], config.features)
        draw_weights(self, generator)

    @property
    def width(self) -> int:
        return self.out.out_features

    def maps(self, x: Tensor) -> Tensor:
        """Last maps (B, C', H', W'), before the mean over the picture."""
        maps: Tensor = self.stages(2 * x - 1)
        return maps

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, D)."""
        features: Tensor = self.out(self.maps(x).mean(dim=(2, 3)))
        return features


class Plain(nn.Module):
    """Two 3x3 convolutions with a shortcut (torchvision's BasicBlock)."""

    grows = 1

    def __init__(self, given: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(given, width, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _shortcut(given, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H / stride, W / stride)."""
        y = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        return functional.relu(y + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 with a shortcut; the 3x3 has the stride, as in torchvision."""

    grows = 4

    def __init__(self, given: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(given, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.downsample = _shortcut(given, 4 * width, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H / stride, W / stride)."""
        y = functional.relu(self.bn1(self.conv1(x)))
        y = self.bn3(self.conv3(functional.relu(self.bn2(self.conv2(y)))))
        return functional.relu(y + (x if self.downsample is None else self.downsample(x)))


def _shortcut(given: int, width: int, stride: int) -> nn.Sequential | None:
    if stride == 1 and given == width:
        return None
    return nn.Sequential(nn.Conv2d(given, width, 1, stride=stride, bias=False), nn.BatchNorm2d(width))


class ResNet(FrozenNorm):
    """ResNet without its classifier: frames (B, 1 or 3, H, W) in [0, 1] -> (B, D); D is 512, or 2048 for depth 50."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Which of them, and where its weights come from."""

        depth: Literal[18, 34, 50] = 34
        weights: str = ""  # path of a torchvision weights file; empty: drawn
        frozen_norm: bool = True  # BatchNorm stays as loaded; only where weights are loaded

        def __post_init__(self) -> None:
            if self.depth not in BLOCKS:
                raise ConfigError(f"ResNet: depth={self.depth} is none of {', '.join(map(str, BLOCKS))}")

    def __init__(self, config: Config, *, generator: torch.Generator) -> None:
        super().__init__()
        kind: type[Plain] | type[Bottleneck] = Bottleneck if config.depth == 50 else Plain
        self.frozen_norm = config.frozen_norm and bool(config.weights)
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        given, layers = 64, []
        for i, blocks in enumerate(BLOCKS[config.depth]):
            width, made = 64 * 2**i, []
            for j in range(blocks):
                made.append(kind(given, width, 2 if i and not j else 1))
                given = width * kind.grows
            layers.append(nn.Sequential(*made))
        self.layer1, self.layer2, self.layer3, self.layer4 = layers
        self.width = given
        mean, spread = (torch.tensor(v).view(1, 3, 1, 1) for v in IMAGENET)
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("spread", spread, persistent=False)
        begin_residual(self, generator)
        if config.weights:
            load_torchvision(self, config.weights)
        self.train()

    def maps(self, x: Tensor) -> Tensor:
        """Last maps (B, D, H / 32, W / 32), before the mean over the picture."""
        y = (x.expand(-1, 3, -1, -1) - self.get_buffer("mean")) / self.get_buffer("spread")
        y = functional.max_pool2d(functional.relu(self.bn1(self.conv1(y))), 3, stride=2, padding=1)
        maps: Tensor = self.layer4(self.layer3(self.layer2(self.layer1(y))))
        return maps

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1 or 3, H, W) -> (B, D)."""
        return self.maps(x).mean(dim=(2, 3))


def build_extractor(config: FrameCNN.Config | ResNet.Config, *, channels: int, generator: torch.Generator) -> FrameCNN | ResNet:
    """The extractor of one modality with so many channels."""
    if isinstance(config, ResNet.Config):
        return ResNet(config, generator=generator)
    return FrameCNN(config, channels=channels, generator=generator)
