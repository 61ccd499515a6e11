"""The graph encoder of ISC: A-GCN, a graph network whose joint graph adapts to what it sees (Shi et al., CVPR 2019).

Ten blocks of a spatial and a temporal unit. The spatial unit mixes joints along three graphs (self, inward, outward), and each
graph is a sum of three: A, the bones, fixed; P, learned, the same for all clips; and an attention that every clip makes itself:

    y_w = sum_i W_i sum_v x_v ( softmax_v( theta_i(x)_v . phi_i(x)_w / (c T) ) + A_i + P_i )_vw

The temporal unit is a 9-frame convolution along every joint. The feature is the mean over frames and joints, then over bodies.

W_i and the sum over joints commute, so W_i goes first here, and the arrays lie in memory as (bodies, V, T, C): every 1x1
convolution then leaves what the sums over joints need, and nothing is copied. The numbers are the same up to rounding.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from skelbench.errors import ConfigError
from skelbench.skeleton.topology import Topology

SUBSETS = ("self", "inward", "outward")


class AGCN(nn.Module):
    """Joints (N, C, T, V, M) -> features (N, channels of the last block). Any layout, any number of bodies and frames."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Size of the encoder. A block that is wider than the one before it halves the frames."""

        channels: tuple[int, ...] = (64, 64, 64, 64, 128, 128, 128, 256, 256, 256)  # of every block; the paper's ten
        window: int = 9  # frames the temporal convolution sees

        def __post_init__(self) -> None:
            rules = [
                (
                    len(self.channels) >= 1 and all(c >= 4 and c % 4 == 0 for c in self.channels),
                    f"channels={self.channels} must be multiples of 4, one a block (attention takes a quarter of them)",
                ),
                (self.window >= 1 and self.window % 2 == 1, f"window={self.window} must be odd"),
            ]
            wrong = [text for holds, text in rules if not holds]
            if wrong:
                raise ConfigError(f"AGCN: {'; '.join(wrong)}")

    graph: Tensor

    def __init__(self, config: Config, *, topology: Topology, bodies: int, coordinates: int, generator: torch.Generator) -> None:
        super().__init__()
        self.config = config
        self.shape = (coordinates, topology.V, bodies)
        self.register_buffer("graph", spatial_graph(topology), persistent=False)  # (3, V, V), not a weight
        self.input_norm = nn.BatchNorm1d(bodies * topology.V * coordinates)
        widths = (coordinates, *config.channels)
        self.blocks = nn.ModuleList(
            Block(one, two, V=topology.V, window=config.window, first=i == 0, generator=generator)
            for i, (one, two) in enumerate(itertools.pairwise(widths))
        )

    @property
    def width(self) -> int:
        """D of the features."""
        return self.config.channels[-1]

    @property
    def learned(self) -> Tensor:
        """P of every block (blocks, 3, V, V)."""
        return torch.stack([block.spatial.learned for block in self._blocks()])

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, T, V, M) -> (N, D)."""
        y = self.normed(x)
        for block in self._blocks():
            y = block(y, self.graph)
        return y.mean(dim=(2, 3)).view(len(x), self.shape[2], -1).mean(dim=1)

    def adjacency(self, x: Tensor) -> Tensor:
        """What joints are mixed along: attention + A + P of every clip, body and block (N, M, blocks, 3, V, V); [v, w] is v to w.

        Less ``graph`` and ``learned`` it is the attention alone, whose columns sum to 1.
        """
        y, found = self.normed(x), []
        for block in self._blocks():
            found.append(block.spatial.adjacency(y, self.graph))
            y = block(y, self.graph)
        return torch.stack(found, dim=1).unflatten(0, (len(x), self.shape[2]))

    def _blocks(self) -> list[Block]:
        return [cast(Block, block) for block in self.blocks]

    def normed(self, x: Tensor) -> Tensor:
        """BatchNorm over bodies, joints and coordinates, bodies into the batch: (N, C, T, V, M) -> (N * M, C, V, T)."""
        C, V, M = self.shape
        if x.ndim != 5 or (x.shape[1], x.shape[3], x.shape[4]) != self.shape or not x.shape[2]:
            raise ConfigError(f"AGCN: built for joints (N, {C}, T, {V}, {M}), got {tuple(x.shape)}")
        N, T = x.shape[0], x.shape[2]
        y = self.input_norm(x.permute(0, 4, 3, 1, 2).reshape(N, M * V * C, T))
        y = y.view(N * M, V, C, T).transpose(2, 3).contiguous()  # (N * M, V, T, C) in memory
        return y.permute(0, 3, 1, 2)


class Block(nn.Module):
    """Spatial unit, temporal unit, residual: (B, C, V, T) -> (B, C', V, T')."""

    def __init__(self, given: int, width: int, *, V: int, window: int, first: bool, generator: torch.Generator) -> None:
        super().__init__()
        stride = 2 if width > given and not first else 1
        self.spatial = SpatialUnit(given, width, V=V, generator=generator)
        self.temporal = normed_conv(width, width, window=window, stride=stride, generator=generator)
        changes = not first and (width != given or stride != 1)
        self.residual = normed_conv(given, width, stride=stride, generator=generator) if changes else None
        self.first = first  # the first block has none: coordinates are no features yet

    def forward(self, x: Tensor, graph: Tensor) -> Tensor:
        """Takes x (B, C, V, T) and graph (3, V, V)."""
        y = self.temporal(self.spatial(x, graph))
        if not self.first:
            y = y + (x if self.residual is None else self.residual(x))
        return functional.relu(y)


class SpatialUnit(nn.Module):
    """Mixes joints along three adaptive graphs: (B, C, V, T) -> (B, C', V, T)."""

    def __init__(self, given: int, width: int, *, V: int, generator: torch.Generator) -> None:
        super().__init__()
        embedded = width // 4
        self.theta, self.phi = (kaiming((3, embedded, given), generator) for _ in range(2))
        self.theta_bias, self.phi_bias = (nn.Parameter(torch.zeros(3, embedded)) for _ in range(2))
        self.mix = normal((3, width, given), math.sqrt(2 / (3 * width * given)), generator)  # W
        self.mix_bias = nn.Parameter(torch.zeros(3, width))  # one a subset as in the released weights; only their sum counts
        self.learned = nn.Parameter(torch.full((3, V, V), 1e-6))  # P
        self.norm = nn.BatchNorm2d(width)
        nn.init.constant_(self.norm.weight, 1e-6)  # training starts from the shortcut
        self.shortcut = normed_conv(given, width, generator=generator) if given != width else None

    def forward(self, x: Tensor, graph: Tensor) -> Tensor:
        """Takes x (B, C, V, T) and graph (3, V, V)."""
        B, _, V, T = x.shape
        along = self.adjacency(x, graph).transpose(2, 3)  # (B, 3, w, v)
        # The bias comes after the sum over joints, whose weights do not add up to 1.
        y = self.mix_bias.sum(dim=0).to(x.dtype).expand(B, V, T, -1).reshape(B, V, -1)
        for i in range(3):
            y = torch.baddbmm(y, along[:, i].to(x.dtype), pointwise(x, self.mix[i]))  # (B, V, T * C')
        y = self.norm(y.view(B, V, T, -1).permute(0, 3, 1, 2))
        return functional.relu(y + (x if self.shortcut is None else self.shortcut(x)))

    def adjacency(self, x: Tensor, graph: Tensor) -> Tensor:
        """Attention + A + P (B, 3, V, V) of x (B, C, V, T); [v, w] weighs what w takes from v."""
        found = []
        for i in range(3):
            theta, phi = pointwise(x, self.theta[i], self.theta_bias[i]), pointwise(x, self.phi[i], self.phi_bias[i])
            found.append((theta @ phi.transpose(1, 2) / theta.shape[2]).softmax(dim=1))  # (B, V, V), columns sum to 1
        return torch.stack(found, dim=1) + graph + self.learned


def pointwise(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """1x1 convolution (B, C, V, T) -> (B, V, T * C'); a view where x lies as (B, V, T, C) in memory. Weight (C', C)."""
    y = functional.conv2d(x, weight[:, :, None, None], bias)
    return y.permute(0, 2, 3, 1).flatten(2)


def normed_conv(given: int, width: int, *, window: int = 1, stride: int = 1, generator: torch.Generator) -> nn.Sequential:
    """Convolution over frames, then BatchNorm: (B, C, V, T) -> (B, C', V, ceil(T / stride))."""
    conv = nn.Conv2d(given, width, (1, window), stride=(1, stride), padding=(0, window // 2))
    conv.weight = kaiming((width, given, 1, window), generator)
    nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
    return nn.Sequential(conv, nn.BatchNorm2d(width))


def kaiming(shape: tuple[int, ...], generator: torch.Generator) -> nn.Parameter:
    """He et al. 2015, fan-out, for weights (C', C, ...) or stacks of them (3, C', C)."""
    fan = shape[1] if len(shape) == 3 else shape[0] * math.prod(shape[2:])
    return normal(shape, math.sqrt(2 / fan), generator)


def normal(shape: tuple[int, ...], deviation: float, generator: torch.Generator) -> nn.Parameter:
    """Weights drawn from N(0, deviation^2)."""
    return nn.Parameter(deviation * torch.randn(shape, generator=generator, device=generator.device))


def spatial_graph(topology: Topology) -> Tensor:
    """The fixed graphs A (3, V, V): self, inward (a joint gives to its parent's row), outward; columns sum to 1 or are empty.

    Entry [to, from] is 1 for a bone, inward from child to parent. The network sums over the rows, ``y_w = sum_v x_v A[v, w]``.
    """
    inward = torch.zeros(topology.V, topology.V)
    for child, parent in topology.bones:
        inward[parent, child] = 1
    stack = torch.stack([torch.eye(topology.V), inward, inward.T])
    return stack / stack.sum(dim=1, keepdim=True).clamp(min=1)
