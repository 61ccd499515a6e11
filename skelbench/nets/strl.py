"""STRL, the classifier that SkeletonMAE's encoder is planted into (ICCV 2023, section 3.2; the whole is called SSL there).

M layers, each with an encoder of its own for every person. In a layer the encoder's joints are summed to one vector of the whole
body, which is added to every joint; the joint itself comes along on a residual path:

    SM(H) = Repeat_V( sum_joints G_E(A, H) ) + conv1x1(H) ,      H' = ReLU( SM(H) W )

Then convolutions along time at several scales, the mean over frames, joints and persons, and a linear layer. What the paper leaves
open is decided in ``Config``. Without the residual path all joints of a body would become one: their names survive only there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from skelbench.errors import ConfigError
from skelbench.nets.gin import GIN
from skelbench.nets.initial import draw_weights
from skelbench.nets.temporal import MultiScaleTemporal


class Judged(NamedTuple):
    """What comes out for N clips.

    Attributes:
        logits: (N, classes).
        features: (N, D), what the classifier reads.
        pooled: root mean square of the body vector in every layer (layers,).
        residual: of the residual path in every layer (layers,). Where it is far below ``pooled`` the joints drown.
    """

    logits: Tensor
    features: Tensor
    pooled: Tensor
    residual: Tensor


class Layer(nn.Module):
    """One STRL layer: bodies (G, V, D) of persons ``slot`` (G,) -> (G, V, D)."""

    def __init__(self, config: SpatialTemporal.Config, *, edges: Tensor, bodies: int, generator: torch.Generator) -> None:
        super().__init__()
        D = config.encoder.width
        self.encoders = nn.ModuleList(
            GIN(config.encoder, edges=edges, generator=generator) for _ in range(1 if config.tied else bodies)
        )
        self.residual = nn.Linear(D, D)  # a 1x1 convolution
        self.merge = nn.Linear(2 * D if config.merge == "concat" else D, D)

    def forward(self, x: Tensor, slot: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The joints, and the sizes (root mean square) of the body vector and of the residual path."""
        pooled = x.new_zeros(len(x), x.shape[2])  # (G, D)
        for person, encoder in enumerate(self.encoders):
            mine = (slot == person).nonzero()[:, 0] if len(self.encoders) > 1 else torch.arange(len(x), device=x.device)
            pooled = pooled.index_copy(0, mine, encoder(x[mine]).sum(dim=1).to(pooled.dtype))
        own, body = self.residual(x), pooled[:, None, :].expand_as(x)
        both = torch.cat([body, own], dim=2) if self.merge.in_features > own.shape[2] else body + own
        return self.merge(both).relu(), _size(pooled), _size(own)


class SpatialTemporal(nn.Module):
    """Frames of bodies (N, T, M, V, C) -> class scores (N, classes)."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """The paper's values where it gives them; ``frames`` because the position embedding is as long."""

        encoder: GIN.Config = field(default_factory=GIN.Config)  # L_D = 3, D = 64
        layers: int = 3  # M, best of 1 to 4
        frames: int = 64  # T
        tied: bool = False  # one encoder for all persons; the paper has "two pre-trained encoders"
        merge: Literal["add", "concat"] = "add"  # the circled plus of figure 3, not explained
        absent: Literal["skip", "zeros"] = "skip"  # a person who is not there: takes no part, or is a body of zeros; not said
        classifier: Literal["linear", "mlp"] = "linear"  # "MLP", sizes not given; mlp is D - D - classes

        def __post_init__(self) -> None:
            choices = {"merge": ("add", "concat"), "absent": ("skip", "zeros"), "classifier": ("linear", "mlp")}
            wrong = [f"{k}={getattr(self, k)!r} is not {' or '.join(v)}" for k, v in choices.items() if getattr(self, k) not in v]
            if self.layers < 1 or self.frames < 1:
                wrong.append(f"layers={self.layers} and frames={self.frames} must be at least 1")
            if self.encoder.width % 4:
                wrong.append(f"width={self.encoder.width} must divide by 4, the branches of the temporal module")
            if wrong:
                raise ConfigError(f"SpatialTemporal: {'; '.join(wrong)}")

    def __init__(
        self, config: Config, *, edges: Tensor, bodies: int, coordinates: int, classes: int, generator: torch.Generator
    ) -> None:
        """``edges``: adjacency (V, V); ``bodies``: M, persons; ``coordinates``: C."""
        super().__init__()
        if classes < 1:
            raise ConfigError("a classifier needs at least one class; this data has no class names")
        self.config, self.bodies = config, bodies
        D = config.encoder.width
        self.embedding = nn.Linear(coordinates, D)
        self.position = nn.Parameter(0.02 * torch.randn(config.frames, D, generator=generator, device=generator.device))
        self.layers = nn.ModuleList(Layer(config, edges=edges, bodies=bodies, generator=generator) for _ in range(config.layers))
        self.temporal = MultiScaleTemporal(D, D)
        hidden = [nn.Linear(D, D), nn.ReLU()] if config.classifier == "mlp" else []
        self.classifier = nn.Sequential(*hidden, nn.Linear(D, classes))
        draw_weights(self, generator)

    def plant(self, embedding: dict[str, Tensor], encoder: dict[str, Tensor]) -> None:
        """Put pre-trained weights (two state dicts) into the embedding and into the encoder of every person in every layer."""
        self.embedding.load_state_dict(embedding)
        for layer in self.layers:
            for own in layer.encoders:  # type: ignore[union-attr]
                own.load_state_dict(encoder)

    def forward(self, joints: Tensor, present: Tensor) -> Judged:
        """Joints (N, T, M, V, C) of bodies that are there where ``present`` (N, T, M) says so.

        Raises:
            ConfigError: another number of frames or persons than it was built for.
        """
        N, T, M, V, _ = joints.shape
        if (T, M) != (self.config.frames, self.bodies):
            raise ConfigError(f"STRL: built for {self.config.frames} frames of {self.bodies} persons, got {T} of {M}")
        there = torch.ones_like(present) if self.config.absent == "zeros" else present
        _, frame, slot = there.nonzero(as_tuple=True)  # (G,)
        x = self.embedding(joints[there]) + self.position[frame][:, None, :]  # (G, V, D)
        sizes = []
        for layer in self.layers:
            x, *size = layer(x, slot)
            sizes.append(size)
        features = self._over_time(x, there)
        pooled, residual = (torch.stack(s) for s in zip(*sizes, strict=True))
        return Judged(self.classifier(features), features, pooled, residual)

    def _over_time(self, x: Tensor, there: Tensor) -> Tensor:
        """Bodies (G, V, D) in their frames -> one vector a clip (N, D); zeros for a clip without bodies."""
        N, T, M = there.shape
        placed = x.new_zeros(N, T, M, *x.shape[1:]).index_put(there.nonzero(as_tuple=True), x)  # (N, T, M, V, D)
        seen = there.any(dim=1)  # (N, M)
        tracks = placed.permute(0, 2, 4, 1, 3)[seen]  # (B, D, T, V), persons who are there at some time
        if not len(tracks):
            return x.new_zeros(N, x.shape[2])
        y = self.temporal(tracks).mean(dim=3)  # (B, D, T)
        when = there.permute(0, 2, 1)[seen].to(y.dtype)  # (B, T)
        person = (y * when[:, None]).sum(dim=2) / when.sum(dim=1, keepdim=True)  # (B, D), over the frames they are there
        clip = seen.nonzero()[:, 0]
        total = y.new_zeros(N, y.shape[1]).index_add(0, clip, person)
        return total / seen.sum(dim=1).clamp(min=1)[:, None]


def _size(x: Tensor) -> Tensor:
    return x.detach().square().mean().sqrt() if x.numel() else x.new_zeros(())
