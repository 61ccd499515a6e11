"""The graph network of CTR-GCN (Chen et al., ICCV 2021) and of every stream of PSUMNet (ECCVW 2022): a graph for every channel.

Ten blocks, or fewer, of a spatial and a temporal unit. The spatial unit has three graphs (self, inward, outward). Each is learned,
A, and refined for every clip and every channel c by how a joint u differs from a joint v in R relation channels r:

    D_ruv = tanh( mean_t (W1 x + b1)_ru  -  mean_t (W2 x + b2)_rv )
    Q_cuv = sum_r W4_cr D_ruv + b4_c
    z_ctu = sum over the graphs of  sum_v ( alpha Q + A )_cuv (W3 x + b3)_ctv
    G(x)  = ReLU( BN(z) + shortcut(x) )

A starts as the bones and is free afterwards; alpha starts at 0, one a block. [u, v] is what u takes from v; v need not take the
same from u. The temporal unit sees several scales at once (:mod:`skelbench.nets.temporal`). The feature is the mean over frames and
joints, then over bodies, whether they were seen or not.

A mean over frames and a 1x1 convolution commute, so the mean goes first here; W3 of the three graphs is one convolution; a graph is
one product of matrices (``SpatialUnit.graphs``), and sums over joints add up where they are made. The numbers are the same up to
rounding.
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
from skelbench.nets.agcn import kaiming
from skelbench.nets.temporal import MultiScaleTemporal

RAW_CHANNELS = (3, 6)  # as many inputs have 8 relation channels; all others an eighth of them: PSUMNet's 12 have one


class CTRGCN(nn.Module):
    """Inputs (N, C, T, V, M) -> features (N, channels of the last block). Any graph, any number of bodies and frames."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Size of the network. A block that is wider than the one before it halves the frames."""

        channels: tuple[int, ...] = (64, 64, 64, 64, 128, 128, 128, 256, 256, 256)  # of every block
        window: int = 5  # frames a temporal convolution sees
        dilations: tuple[int, ...] = (1, 2)  # of them, one a branch; two more branches have none

        def __post_init__(self) -> None:
            branches = len(self.dilations) + 2
            rules = [
                (
                    len(self.channels) >= 1 and all(c >= branches and c % branches == 0 for c in self.channels),
                    f"channels={self.channels} must be multiples of {branches}, the temporal branches, one number a block",
                ),
                (self.window >= 1 and self.window % 2 == 1, f"window={self.window} must be odd"),
                (all(d >= 1 for d in self.dilations), f"dilations={self.dilations} must be 1 or more"),
            ]
            wrong = [text for holds, text in rules if not holds]
            if wrong:
                raise ConfigError(f"CTRGCN: {'; '.join(wrong)}")

    def __init__(self, config: Config, *, graph: Tensor, bodies: int, coordinates: int, generator: torch.Generator) -> None:
        """``graph`` (3, V, V): what the learned graphs of every block start from, [to, from]."""
        super().__init__()
        if graph.ndim != 3 or len(graph) != 3 or graph.shape[1] != graph.shape[2]:
            raise ConfigError(f"CTRGCN: wanted three graphs (3, V, V), got {tuple(graph.shape)}")
        self.config = config
        self.shape = (coordinates, graph.shape[1], bodies)
        self.input_norm = nn.BatchNorm1d(bodies * graph.shape[1] * coordinates)
        widths = (coordinates, *config.channels)
        self.blocks = nn.ModuleList(
            Block(config, one, two, graph=graph, first=i == 0, generator=generator)
            for i, (one, two) in enumerate(itertools.pairwise(widths))
        )

    @property
    def width(self) -> int:
        """D of the features."""
        return self.config.channels[-1]

    @property
    def learned(self) -> Tensor:
        """A of every block (blocks, 3, V, V)."""
        return torch.stack([block.spatial.learned for block in self.each()])

    @property
    def alpha(self) -> Tensor:
        """How much the graphs of every block hang on the clip (blocks,)."""
        return torch.cat([block.spatial.alpha for block in self.each()])

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, T, V, M) -> (N, D)."""
        return self.pooled(self.mapped(x))

    def mapped(self, x: Tensor) -> Tensor:
        """Features of every frame and joint, before the means: (N, C, T, V, M) -> (N, M, D, T', V)."""
        y = self.normed(x)
        for block in self.blocks:
            y = block(y)
        return y.unflatten(0, (-1, self.shape[2]))

    @staticmethod
    def pooled(y: Tensor) -> Tensor:
        """Mean over frames and joints, then bodies: (N, M, D, T, V) -> (N, D)."""
        return y.mean(dim=(3, 4)).mean(dim=1)

    def adjacency(self, x: Tensor) -> Tensor:
        """Graphs alpha Q + A of the last block, the mean over its channels, for every clip and body (N, M, 3, V, V); [to, from]."""
        y, blocks = self.normed(x), self.each()
        for block in blocks[:-1]:
            y = block(y)
        return blocks[-1].spatial.adjacency(y).mean(dim=2).unflatten(0, (len(x), self.shape[2]))

    def each(self) -> list[Block]:
        """The blocks, from the input on."""
        return [cast(Block, block) for block in self.blocks]

    def normed(self, x: Tensor) -> Tensor:
        """BatchNorm over bodies, joints and coordinates, bodies into the batch: (N, C, T, V, M) -> (N * M, C, T, V)."""
        C, V, M = self.shape
        if x.ndim != 5 or (x.shape[1], x.shape[3], x.shape[4]) != self.shape or not x.shape[2]:
            raise ConfigError(f"CTRGCN: built for inputs (N, {C}, T, {V}, {M}), got {tuple(x.shape)}")
        T = x.shape[2]
        y = self.input_norm(x.permute(0, 4, 3, 1, 2).reshape(-1, M * V * C, T))
        return y.view(-1, V, C, T).permute(0, 2, 3, 1).contiguous()


class Block(nn.Module):
    """Spatial unit, temporal unit, residual: (B, C, T, V) -> (B, C', T', V)."""

    def __init__(
        self, config: CTRGCN.Config, given: int, width: int, *, graph: Tensor, first: bool, generator: torch.Generator
    ) -> None:
        super().__init__()
        stride = 2 if width > given and not first else 1
        self.spatial = SpatialUnit(given, width, graph=graph, generator=generator)
        self.temporal = MultiScaleTemporal(width, width, stride=stride, kernel=config.window, dilations=config.dilations)
        _draw_temporal(self.temporal, generator)
        changes = not first and width != given
        self.residual = normed_pointwise(given, width, stride=stride, generator=generator) if changes else None
        self.first = first  # the first block has none: coordinates are no features yet

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, V) -> (B, C', T', V)."""
        y = self.temporal(self.spatial(x))
        if not self.first:
            y = y + (x if self.residual is None else self.residual(x))
        return functional.relu(y)


class SpatialUnit(nn.Module):
    """Mixes joints along three graphs that differ from channel to channel: (B, C, T, V) -> (B, C', T, V)."""

    def __init__(self, given: int, width: int, *, graph: Tensor, generator: torch.Generator) -> None:
        super().__init__()
        R = 8 if given in RAW_CHANNELS else max(given // 8, 1)
        self.theta, self.phi = (kaiming((3, R, given), generator) for _ in range(2))  # W1, W2
        self.theta_bias, self.phi_bias = (nn.Parameter(torch.zeros(3, R)) for _ in range(2))
        self.value, self.value_bias = kaiming((3, width, given), generator), nn.Parameter(torch.zeros(3, width))  # W3
        self.relation, self.relation_bias = kaiming((3, width, R), generator), nn.Parameter(torch.zeros(3, width))  # W4
        self.learned = nn.Parameter(graph.detach().clone())  # A
        self.alpha = nn.Parameter(torch.zeros(1))
        self.norm = nn.BatchNorm2d(width)
        nn.init.constant_(self.norm.weight, 1e-6)  # training starts from the shortcut
        self.shortcut = normed_pointwise(given, width, generator=generator) if given != width else None

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, V) -> (B, C', T, V)."""
        B, _, T, V = x.shape
        weight, bias = (
            self.value.transpose(0, 1).flatten(0, 1),
            self.value_bias.T.flatten(),
        )  # channel by channel, three graphs each
        values = functional.conv2d(x, weight[:, :, None, None], bias).view(-1, 3, T, V).unbind(dim=1)  # 3 (B * C', t, v)
        z: Tensor | None = None
        for value, graph in zip(values, self.graphs(x), strict=True):
            along = graph.to(x.dtype).view(-1, V, V).transpose(1, 2)  # (B * C', v, u)
            z = torch.bmm(value, along) if z is None else torch.baddbmm(z, value, along)
        assert z is not None
        y = self.norm(z.view(B, -1, T, V))
        return functional.relu(y + (x if self.shortcut is None else self.shortcut(x)))

    def adjacency(self, x: Tensor) -> Tensor:
        """Graphs alpha Q + A of x (B, C, T, V): (B, 3, C', V, V); [u, v] weighs what u takes from v."""
        B, V = x.shape[0], x.shape[3]
        return torch.stack(self.graphs(x), dim=1).view(B, 3, -1, V, V)

    def graphs(self, x: Tensor) -> list[Tensor]:
        """Self, inward, outward of x (B, C, T, V), each (B, C', V * V), one product of matrices each.

        alpha Q + A is a mixture of R + 2 maps, D_1 .. D_R, one and A, with the weights alpha W4, alpha b4 and 1. Written so, no map
        of C' channels is scaled, added or summed by itself, neither here nor in the gradient.
        """
        B = x.shape[0]  # not len(x): a trace for any number of clips would take it for a constant
        mean = x.mean(dim=2)[:, None]  # (B, 1, C, V)
        a = self.theta @ mean + self.theta_bias[..., None]  # (B, 3, R, V)
        b = self.phi @ mean + self.phi_bias[..., None]
        D = torch.tanh(a[..., :, None] - b[..., None, :]).flatten(3)  # (B, 3, R, V * V)
        learned = self.learned.to(D.dtype).flatten(1)[None, :, None].expand(B, -1, -1, -1)
        maps = torch.cat([D, torch.ones_like(learned), learned], dim=2).unbind(dim=1)  # 3 (B, R + 2, V * V)
        one = torch.ones_like(self.relation_bias)[..., None]
        mix = torch.cat([self.alpha * self.relation, self.alpha * self.relation_bias[..., None], one], dim=2)  # (3, C', R + 2)
        return [torch.bmm(weights.to(D.dtype).expand(B, -1, -1), found) for weights, found in zip(mix, maps, strict=True)]


def normed_pointwise(given: int, width: int, *, stride: int = 1, generator: torch.Generator) -> nn.Sequential:
    """1x1 convolution, then BatchNorm: (B, C, T, V) -> (B, C', ceil(T / stride), V)."""
    conv = nn.Conv2d(given, width, 1, stride=(stride, 1))
    conv.weight = kaiming((width, given, 1, 1), generator)
    nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
    return nn.Sequential(conv, nn.BatchNorm2d(width))


def _draw_temporal(unit: nn.Module, generator: torch.Generator) -> None:
    """First weights of the temporal unit: convolutions as everywhere, BatchNorm weights N(1, 0.02^2)."""
    for layer in unit.modules():
        if isinstance(layer, nn.Conv2d):
            layer.weight = kaiming(tuple(layer.weight.shape), generator)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        elif isinstance(layer, nn.BatchNorm2d):
            layer.weight.data = 1 + 0.02 * torch.randn(layer.weight.shape, generator=generator, device=generator.device)


def linear(width: int, classes: int, generator: torch.Generator) -> nn.Linear:
    """The classifier on top: weights N(0, 2 / classes), bias as torch draws it."""
    made = nn.Linear(width, classes)
    made.weight.data = math.sqrt(2 / classes) * torch.randn(classes, width, generator=generator, device=generator.device)
    bound = 1 / math.sqrt(width)
    made.bias.data = (2 * torch.rand(classes, generator=generator, device=generator.device) - 1) * bound
    return made
