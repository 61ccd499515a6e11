"""The image encoder of ISC: HCN, which reads a movement as a picture (Li et al., IJCAI 2018).

Every joint first gets features of its own from a few frames. Then the axes change places: *joints become the channels* of a
picture whose rows are frames and whose columns are those features, so that each further convolution sees all joints at once. Two
such streams, one of places and one of steps between frames, are joined; of several bodies the largest answer counts, element by
element.

    places or steps (3, T, V)  ->  1x1 conv to 64, ReLU  ->  3x1 conv to 64  ->  picture (V, T, 64)
    picture  ->  3x3 conv to 32, pool  ->  3x3 conv to 64, dropout, pool                                  two streams: 128
    joined   ->  3x3 conv to 128, ReLU, dropout, pool  ->  3x3 conv to 256, ReLU, dropout, pool  ->  max over bodies

There is no ReLU after the first two 3x3 convolutions, as in the released model. Dropout takes whole channels, so it comes after the
pooling here: the numbers are the same, on a quarter of the points.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from skelbench.errors import ConfigError
from skelbench.skeleton.topology import Topology


class HCN(nn.Module):
    """Joints (N, C, T, V, M) -> features (N, channels * rows/16 * columns/16). Any layout, any number of bodies and frames.

    Weights are Xavier-uniform, biases 0.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Size of the encoder; the paper's values."""

        rows: int = 64  # of the picture: frames; clips of another length are resized
        columns: int = 64  # of the picture: features of every joint and frame
        channels: tuple[int, int, int, int] = (32, 64, 128, 256)  # of the four 3x3 convolutions
        dropout: float = 0.5  # share of channels

        def __post_init__(self) -> None:
            rules = [
                (
                    self.rows >= 16 and self.columns >= 16,
                    f"rows={self.rows} and columns={self.columns} must be at least 16 (four poolings halve them)",
                ),
                (len(self.channels) == 4 and min(self.channels) >= 1, f"channels={self.channels} must be four numbers above 0"),
                (0 <= self.dropout < 1, f"dropout={self.dropout} must lie in [0, 1)"),
            ]
            wrong = [text for holds, text in rules if not holds]
            if wrong:
                raise ConfigError(f"HCN: {'; '.join(wrong)}")

    def __init__(self, config: Config, *, topology: Topology, bodies: int, coordinates: int, generator: torch.Generator) -> None:
        super().__init__()
        self.config = config
        self.shape = (coordinates, topology.V, bodies)
        _, two, three, four = config.channels
        self.joint, self.motion = (Stream(config, coordinates, topology.V, generator) for _ in range(2))
        self.join = xavier_conv(2 * two, three, (3, 3), generator)
        self.last = xavier_conv(three, four, (3, 3), generator)
        self._width = four * (config.rows // 16) * (config.columns // 16)

    @property
    def width(self) -> int:
        """D of the features."""
        return self._width

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """(N, C, T, V, M) -> (N, D). In training mode the channels that drop out are drawn from ``generator``."""
        places, steps = self.pictures(x)
        seen = [stream(picture) for stream, picture in ((self.joint, places), (self.motion, steps))]
        y = torch.cat([self._drop(one, generator) for one in seen], dim=1)
        for conv in (self.join, self.last):
            y = self._drop(functional.relu(functional.max_pool2d(conv(y), 2)), generator)
        return y.reshape(len(x), self.shape[2], self._width).max(dim=1).values

    def pictures(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Places and steps of every body: (N, C, T, V, M) -> twice (N * M, C, V, rows). T - 1 steps are resized to T."""
        C, V, M = self.shape
        if x.ndim != 5 or (x.shape[1], x.shape[3], x.shape[4]) != self.shape or x.shape[2] < 2:
            raise ConfigError(f"HCN: built for joints (N, {C}, T, {V}, {M}) with T of at least 2, got {tuple(x.shape)}")
        places = x.permute(0, 4, 1, 3, 2).flatten(0, 1)  # (N * M, C, V, T)
        places = _resized(places, self.config.rows)
        return places, _resized(places[..., 1:] - places[..., :-1], self.config.rows)

    def _drop(self, y: Tensor, generator: torch.Generator | None) -> Tensor:
        """Channel dropout of (B, C, H, W), out of the generator's draws."""
        share = self.config.dropout
        if not self.training or not share:
            return y
        if generator is None:
            raise ConfigError("HCN drops channels while it trains: forward(x, generator) says where the draws come from")
        kept = torch.rand(*y.shape[:2], 1, 1, generator=generator, device=generator.device) >= share
        return y * (kept.to(device=y.device, dtype=y.dtype) / (1 - share))


class Stream(nn.Module):
    """Places or steps (B, C, V, rows) -> (B, channels, rows / 4, columns / 4)."""

    def __init__(self, config: HCN.Config, coordinates: int, V: int, generator: torch.Generator) -> None:
        super().__init__()
        one, two, *_ = config.channels
        self.point = xavier_conv(coordinates, config.columns, (1, 1), generator)
        self.time = xavier_conv(config.columns, config.columns, (1, 3), generator)
        self.first = xavier_conv(V, one, (3, 3), generator)
        self.second = xavier_conv(one, two, (3, 3), generator)

    def forward(self, x: Tensor) -> Tensor:
        y = self.picture(x).contiguous(memory_format=torch.channels_last)
        for conv in (self.first, self.second):
            y = functional.max_pool2d(conv(y), 2)
        return y

    def picture(self, x: Tensor) -> Tensor:
        """Joints become channels: (B, C, V, rows) -> (B, V, rows, columns)."""
        y = functional.relu(self.point(x.contiguous(memory_format=torch.channels_last)))
        return self.time(y).permute(0, 2, 3, 1)


def _resized(x: Tensor, frames: int) -> Tensor:
    """Linear in time, half-pixel centres: (B, C, V, T) -> (B, C, V, frames)."""
    if x.shape[3] == frames:
        return x
    return functional.interpolate(x.flatten(1, 2), size=frames, mode="linear").unflatten(1, x.shape[1:3])


def xavier_conv(given: int, width: int, window: tuple[int, int], generator: torch.Generator) -> nn.Conv2d:
    """Convolution that keeps the size, Xavier-uniform, without bias to begin with."""
    conv = nn.Conv2d(given, width, window, padding=(window[0] // 2, window[1] // 2))
    bound = math.sqrt(6 / ((given + width) * math.prod(window)))
    draw = torch.rand(conv.weight.shape, generator=generator, device=generator.device)
    conv.weight = nn.Parameter((2 * draw - 1) * bound)
    nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
    return conv
