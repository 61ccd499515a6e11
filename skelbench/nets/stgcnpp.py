"""ST-GCN++, the encoder of BRL: a plain graph network with free joint graphs and a temporal unit of many scales (PYSKL, 2022).

Ten blocks of a spatial and a temporal unit. The spatial unit has three graphs A_i (self, inward, outward) that start as the bones
and are free afterwards, a set of them in every block, the same for all clips, frames and channels:

    z_w  = sum_i sum_v  A_i[v, w] (W_i x_v + b_i)
    G(x) = ReLU( BN(z) + shortcut(x) )

The temporal unit sees six scales side by side, each in a sixth of the channels (the first takes what is left over):

    1x1, BN, ReLU, 3 frames with dilation 1, 2, 3, 4 | 1x1, BN, ReLU, maximum of 3 frames | 1x1

then BN, ReLU, 1x1, BN over all of them. The feature is the mean over frames and joints, then over bodies, seen or not.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from skelbench.errors import ConfigError
from skelbench.nets.initial import draw_weights
from skelbench.skeleton.topology import Pairs, Topology


class STGCNPP(nn.Module):
    """Joints (N, C, T, V, M) -> features (N, channels of the last block). Any layout, any number of bodies and frames."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Size of the network. A block that is wider than the one before it halves the frames."""

        channels: tuple[int, ...] = (64, 64, 64, 64, 128, 128, 128, 256, 256, 256)  # of every block; the published ten
        window: int = 3  # frames a temporal convolution and the maximum see
        dilations: tuple[int, ...] = (1, 2, 3, 4)  # of the convolutions, one a branch; two more branches have none

        def __post_init__(self) -> None:
            branches = len(self.dilations) + 2
            rules = [
                (
                    len(self.channels) >= 1 and all(c >= branches for c in self.channels),
                    f"channels={self.channels} must be {branches} or more, the temporal branches, one number a block",
                ),
                (self.window >= 1 and self.window % 2 == 1, f"window={self.window} must be odd"),
                (all(d >= 1 for d in self.dilations), f"dilations={self.dilations} must be 1 or more"),
            ]
            wrong = [text for holds, text in rules if not holds]
            if wrong:
                raise ConfigError(f"STGCNPP: {'; '.join(wrong)}")

    def __init__(self, config: Config, *, topology: Topology, bodies: int, coordinates: int, generator: torch.Generator) -> None:
        super().__init__()
        self.config = config
        self.shape = (coordinates, topology.V, bodies)
        self.input_norm = nn.BatchNorm1d(topology.V * coordinates)  # bodies share it
        graph, widths = published_graph(topology), (coordinates, *config.channels)
        self.blocks = nn.ModuleList(
            Block(config, one, two, graph=graph, first=i == 0) for i, (one, two) in enumerate(itertools.pairwise(widths))
        )
        draw_weights(self, generator)

    @property
    def width(self) -> int:
        """D of the features."""
        return self.config.channels[-1]

    @property
    def learned(self) -> Tensor:
        """A of every block (blocks, 3, V, V); [v, w] weighs what w takes from v."""
        return torch.stack([cast(Block, block).spatial.graph for block in self.blocks])

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, T, V, M) -> (N, D)."""
        return self.mapped(x).mean(dim=(3, 4)).mean(dim=1)

    def mapped(self, x: Tensor) -> Tensor:
        """Features of every frame and joint, before the means: (N, C, T, V, M) -> (N, M, D, T', V)."""
        y = self.normed(x)
        for block in self.blocks:
            y = block(y)
        return y.unflatten(0, (len(x), self.shape[2]))

    def normed(self, x: Tensor) -> Tensor:
        """BatchNorm over joints and coordinates, bodies into the batch: (N, C, T, V, M) -> (N * M, C, T, V)."""
        C, V, M = self.shape
        if x.ndim != 5 or (x.shape[1], x.shape[3], x.shape[4]) != self.shape or not x.shape[2]:
            raise ConfigError(f"STGCNPP: built for joints (N, {C}, T, {V}, {M}), got {tuple(x.shape)}")
        y = self.input_norm(x.permute(0, 4, 3, 1, 2).reshape(-1, V * C, x.shape[2]))
        return y.view(-1, V, C, x.shape[2]).permute(0, 2, 3, 1).contiguous()


class Block(nn.Module):
    """Spatial unit, temporal unit, residual: (B, C, T, V) -> (B, C', T', V)."""

    def __init__(self, config: STGCNPP.Config, given: int, width: int, *, graph: Tensor, first: bool) -> None:
        super().__init__()
        stride = 2 if width > given and not first else 1
        self.spatial = SpatialUnit(given, width, graph=graph)
        self.temporal = TemporalUnit(width, stride=stride, window=config.window, dilations=config.dilations)
        changes = not first and width != given
        self.residual = normed_pointwise(given, width, stride=stride) if changes else None
        self.first = first  # the first block has none: coordinates are no features yet

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, V) -> (B, C', T', V)."""
        y = self.temporal(self.spatial(x))
        if not self.first:
            y = y + (x if self.residual is None else self.residual(x))
        return functional.relu(y)


class SpatialUnit(nn.Module):
    """Mixes joints along three free graphs: (B, C, T, V) -> (B, C', T, V)."""

    def __init__(self, given: int, width: int, *, graph: Tensor) -> None:
        super().__init__()
        self.graph = nn.Parameter(graph.clone())  # A (3, V, V), [v, w] from v to w
        self.mix = nn.Conv2d(given, 3 * width, 1)  # W, the three graphs one after the other
        self.norm = nn.BatchNorm2d(width)
        self.shortcut = normed_pointwise(given, width) if given != width else None

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, V) -> (B, C', T, V)."""
        B, _, T, V = x.shape
        mixed = self.mix(x).view(B, 3, -1, V) @ self.graph.to(x.dtype)  # (B, 3, C' * T, V)
        y = self.norm(mixed.sum(dim=1).view(B, -1, T, V))
        return functional.relu(y + (x if self.shortcut is None else self.shortcut(x)))


class TemporalUnit(nn.Module):
    """Branches of several scales side by side, then one 1x1 over them: (B, C, T, V) -> (B, C, ceil(T / stride), V)."""

    def __init__(self, width: int, *, stride: int, window: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        part = width // (len(dilations) + 2)

        def narrowed(size: int) -> list[nn.Module]:
            return [nn.Conv2d(width, size, 1), nn.BatchNorm2d(size), nn.ReLU()]

        made = []
        for i, dilation in enumerate(dilations):
            size, reach = part if i else width - part * (len(dilations) + 1), dilation * (window - 1) // 2
            along = nn.Conv2d(size, size, (window, 1), stride=(stride, 1), padding=(reach, 0), dilation=(dilation, 1))
            made.append(nn.Sequential(*narrowed(size), along))
        size = part if dilations else width - part
        made.append(nn.Sequential(*narrowed(size), nn.MaxPool2d((window, 1), stride=(stride, 1), padding=(window // 2, 0))))
        made.append(nn.Sequential(nn.Conv2d(width, part, 1, stride=(stride, 1))))
        self.branches = nn.ModuleList(made)
        self.join = nn.Sequential(nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, width, 1), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, V) -> (B, C, T', V)."""
        joined: Tensor = self.join(torch.cat([branch(x) for branch in self.branches], dim=1))
        return joined


def normed_pointwise(given: int, width: int, *, stride: int = 1) -> nn.Sequential:
    """1x1 convolution, then BatchNorm: (B, C, T, V) -> (B, C', ceil(T / stride), V)."""
    return nn.Sequential(nn.Conv2d(given, width, 1, stride=(stride, 1)), nn.BatchNorm2d(width))


def published_graph(topology: Topology) -> Tensor:
    """What A starts from (3, V, V): self, inward, outward; columns sum to 1 or are empty.

    Entry [v, w] is 1 where w takes from v: inward a child from its parent. Bones are those that PYSKL has for the layout (on the
    Kinect, tip and thumb both hang on the hand), where it has any, else the tree.
    """
    listed = [name for name in topology.edges if name.startswith("pyskl")]
    bones: Pairs = topology.edges[listed[0]] if listed else topology.bones
    inward = torch.zeros(topology.V, topology.V)
    for child, parent in bones:
        inward[parent, child] = 1
    stack = torch.stack([torch.eye(topology.V), inward, inward.T])
    return stack / stack.sum(dim=1, keepdim=True).clamp(min=1)
