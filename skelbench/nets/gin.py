"""Graph isomorphism network on the joints of single frames: the encoder and decoder of SkeletonMAE (ICCV 2023).

One layer adds to a joint the sum of its neighbours and sends the result through a small perceptron (Xu et al. 2019):

    x_i' = act( BN( MLP( (1 + eps) x_i + sum_{j in N(i)} x_j ) ) ) ,       MLP = Linear, BN, act, Linear

The paper names GIN, BatchNorm and the activation (PReLU in the text, ReLU in its figure) and no more; sum aggregation, a fixed
eps of 0, the two-layer perceptron and no residual are those of GraphMAE, whose equations the paper shares. A skeleton has few
joints, so the neighbour sum is one product with the dense adjacency matrix.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from skelbench.errors import ConfigError
from skelbench.nets.initial import draw_weights
from skelbench.skeleton.topology import Topology

OWN_GRAPH = "skeletonmae_graph"  # the edges the paper draws, where a layout has them


def adjacency(topology: Topology, graph: str = "auto") -> Tensor:
    """Symmetric 0/1 matrix (V, V), 1 where two joints are connected, 0 on the diagonal.

    Args:
        topology: the layout.
        graph: name of one of its edge lists; ``auto`` takes the edges the paper draws where the layout has them, else its tree.

    Raises:
        ConfigError: the layout has no edge list of that name.
    """
    if graph == "auto":
        graph = OWN_GRAPH if OWN_GRAPH in topology.edges else "tree"
    if graph not in topology.edges:
        there = ", ".join(["auto", *topology.edges])
        raise ConfigError(f"graph={graph!r}: topology {topology.name!r} has no edge list of that name; it has: {there}")
    matrix = torch.zeros(topology.V, topology.V)
    for a, b in topology.edges[graph]:
        matrix[a, b] = matrix[b, a] = 1
    return matrix


class Perceptron(nn.Module):
    """Linear, BatchNorm, activation, Linear on every joint: (G, V, inputs) -> (G, V, width)."""

    def __init__(self, inputs: int, width: int, activation: str) -> None:
        super().__init__()
        self.one = nn.Linear(inputs, width)
        self.norm = JointNorm(width)
        self.act = activated(activation)
        self.two = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.two(self.act(self.norm(self.one(x))))
        return y


class JointNorm(nn.BatchNorm1d):
    """BatchNorm of (G, V, D) over all graphs and joints."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.flatten(0, 1)).view_as(x)


class GINLayer(nn.Module):
    """One layer: (G, V, inputs) -> (G, V, width).

    ``outer=False`` leaves out the last BatchNorm and activation, as the decoder does.
    """

    def __init__(self, inputs: int, width: int, *, epsilon: float = 0.0, activation: str = "prelu", outer: bool = True) -> None:
        super().__init__()
        self.epsilon = epsilon
        self.perceptron = Perceptron(inputs, width, activation)
        self.norm = JointNorm(width) if outer else None
        self.act = activated(activation) if outer else None

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        """Joints (G, V, inputs) and adjacency (V, V) -> (G, V, width)."""
        y: Tensor = self.perceptron((1 + self.epsilon) * x + edges @ x)
        if self.norm is not None and self.act is not None:
            y = self.act(self.norm(y))
        return y


class GIN(nn.Module):
    """Joints (G, V, D) -> joints (G, V, D): every frame of every body is a graph of its own."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Size of the encoder."""

        width: int = 64  # D of the paper; the width of the encoder is not given, stacking it needs the same
        layers: int = 3  # L_D, best of 1 to 4 (ablation on FineGym)
        epsilon: float = 0.0  # not given; fixed, as in GraphMAE
        activation: Literal["prelu", "relu"] = "prelu"  # PReLU in the text, ReLU in figure 2

        def __post_init__(self) -> None:
            if self.width < 1 or self.layers < 1:
                raise ConfigError(f"GIN: width={self.width} and layers={self.layers} must both be at least 1")
            activated(self.activation)

    edges: Tensor

    def __init__(self, config: Config, *, edges: Tensor, generator: torch.Generator) -> None:
        """``edges``: adjacency (V, V)."""
        super().__init__()
        self.config = config
        D, how = config.width, config
        self.layers = nn.ModuleList(GINLayer(D, D, epsilon=how.epsilon, activation=how.activation) for _ in range(config.layers))
        self.register_buffer("edges", edges, persistent=False)
        draw_weights(self, generator)

    def forward(self, x: Tensor) -> Tensor:
        """(G, V, D) -> (G, V, D). Without any graph there is nothing to normalise, and nothing comes out."""
        if x.ndim != 3 or x.shape[1:] != (len(self.edges), self.config.width):
            wanted = f"(graphs, {len(self.edges)}, {self.config.width})"
            raise ConfigError(f"GIN: built for joints {wanted}, got {tuple(x.shape)}")
        if len(x):
            for layer in self.layers:
                x = layer(x, self.edges)
        return x


def activated(name: str) -> nn.Module:
    """The activation of that name. Raises ConfigError."""
    if name not in ("prelu", "relu"):
        raise ConfigError(f"activation={name!r} is not known; it is 'prelu' (the paper's text) or 'relu' (its figure)")
    return nn.PReLU() if name == "prelu" else nn.ReLU()
