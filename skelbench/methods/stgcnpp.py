"""One stream of ST-GCN++ with labels: the plain graph network that PSUMNet's part streams and BRL's sampling are compared with.

The network is :class:`skelbench.nets.stgcnpp.STGCNPP` (Duan et al., PYSKL, 2022); on top stands one linear layer, trained with it
by cross-entropy. Clips come to it as they come to PSUMNet: a stretch of half to the whole clip, brought to a fixed number of frames
and turned a little; in evaluation the middle 95 %. What differs between a table's lines is then the network and what it reads, not
the views. PYSKL's own recipe is another one (frames drawn one from each of 100 pieces, a cosine schedule, ten views in evaluation).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from skelbench.errors import ConfigError
from skelbench.methods.base import Step, evaluating, full_precision
from skelbench.methods.supervised import Supervised, check_labels
from skelbench.nets.stgcnpp import STGCNPP
from skelbench.skeleton.augment import centre_crop_resize, random_crop_resize
from skelbench.skeleton.clip import Batch, check_joints
from skelbench.skeleton.streams import STREAMS, stream
from skelbench.skeleton.topology import Topology
from skelbench.skeleton.turn import random_turn

if TYPE_CHECKING:
    from skelbench.methods.backbone import Backbone

PIECE = 64  # clips a forward pass without gradient takes at a time


class OneStream(Supervised):
    """ST-GCN++ on one stream with a linear classifier."""

    name: ClassVar[str] = "stgcnpp"
    live: ClassVar[frozenset[str]] = frozenset({"ratio", "minimum", "turn", "smoothing"})

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """The published network under the views of PSUMNet's released configs."""

        net: STGCNPP.Config = field(default_factory=STGCNPP.Config)
        stream: str = "joint"  # taken after the clip was cut and turned
        frames: int = 64  # T of what the network sees
        ratio: tuple[float, float] = (0.5, 1.0)  # of the clip in a training crop
        minimum: int = 64  # but never fewer frames, as far as the clip has them
        turn: float = 0.3  # radians; three angles a clip, uniform
        smoothing: float = 0.0  # of the labels

        def __post_init__(self) -> None:
            span = tuple(self.ratio)
            rules = [
                (self.stream in STREAMS, f"stream={self.stream!r} must be one of {', '.join(STREAMS)}"),
                (
                    self.frames >= 2 and self.minimum >= 1,
                    f"frames={self.frames} must be at least 2, minimum={self.minimum} at least 1",
                ),
                (len(span) == 2 and 0 < span[0] <= span[1] <= 1, f"ratio={self.ratio} must be (low, high), 0 < low <= high <= 1"),
                (self.turn >= 0, f"turn={self.turn} must be 0 or more"),
                (0 <= self.smoothing < 1, f"smoothing={self.smoothing} must lie in [0, 1)"),
            ]
            wrong = [text for holds, text in rules if not holds]
            if wrong:
                raise ConfigError(f"OneStream: {'; '.join(wrong)}")

    @classmethod
    def build(
        cls, config: Any, *, topology: Topology, bodies: int, coordinates: int, classes: int, generator: torch.Generator
    ) -> OneStream:
        known = min(coordinates, topology.dims)  # what comes after them is a score
        net = STGCNPP(config.net, topology=topology, bodies=bodies, coordinates=known, generator=generator)
        return cls(config, Reader(net), width=net.width, classes=classes, topology=topology, generator=generator)

    def view(self, batch: Batch, generator: torch.Generator | None = None) -> Tensor:
        """The stream as the network sees it (N, C, frames, V, M): cropped and turned with a generator, the middle 95 % without."""
        check_joints(batch.joints, self.topology)
        c, x = self.config, batch.joints[:, : self.topology.dims]
        if generator is None:
            x = centre_crop_resize(x, batch.lengths, frames=c.frames)
        else:
            kept: dict[str, Any] = {"ratio": tuple(c.ratio), "minimum": c.minimum, "generator": generator}
            x = random_crop_resize(x, batch.lengths, frames=c.frames, **kept)
            x = random_turn(x, limit=c.turn, generator=generator) if c.turn else x
        return stream(c.stream, x, self.topology)

    def step(self, batch: Batch, generator: torch.Generator) -> Step:
        check_labels(batch)
        features = self.encoder(self.view(batch, generator))
        logits = full_precision(self.head(features))
        loss = functional.cross_entropy(logits, batch.labels, label_smoothing=self.config.smoothing)
        right = (logits.argmax(dim=1) == batch.labels).to(loss.dtype).mean()
        return Step(loss=loss, parts={"accuracy": right.detach()}, out={"query": features.detach(), "logits": logits.detach()})

    @torch.no_grad()
    def features(self, batch: Batch) -> Tensor:
        """Of the middle 95 % of every clip (N, D), in eval mode."""
        with evaluating(self):
            return torch.cat([full_precision(self.encoder(piece)) for piece in self.view(batch).split(PIECE)])

    def backbone(self) -> Backbone:
        """The network, for a new classifier on top."""
        from skelbench.methods.backbone import Backbone

        c = self.config
        return Backbone(encoder=self.encoder, width=self.width, stream=c.stream, frames=c.frames, minimum=c.minimum)


class Reader(nn.Module):
    """The network without the scores that may come after a picture's coordinates: (N, C, T, V, M) -> (N, D)."""

    def __init__(self, net: STGCNPP) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, T, V, M) -> (N, D)."""
        features: Tensor = self.net(x[:, : self.net.shape[0]])
        return features
