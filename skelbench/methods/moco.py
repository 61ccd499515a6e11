"""MoCo on skeletons: two views of a clip must find each other among the keys of past clips.

He et al. 2020; the base of HaLP, CMD and ISC.

A query encoder learns by gradient. A key encoder follows it slowly, so that the keys in a long queue stay comparable. For a clip
with query q and key k, and a queue of past keys, the loss is cross-entropy of picking k:

    L = - log  exp(q.k / T) / ( exp(q.k / T) + sum_j exp(q.queue_j / T) )

Nothing says what a movement *is*; only that it stays itself when cropped in time, sheared, or seen with joints missing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from skelbench.errors import ConfigError
from skelbench.methods.base import Method, Step
from skelbench.nets.gru import GRU
from skelbench.nets.heads import ProjectionHead
from skelbench.parts.infonce import info_nce
from skelbench.parts.momentum import momentum_copy, momentum_update
from skelbench.parts.queue import KeyQueue
from skelbench.parts.sphere import unit
from skelbench.skeleton.augment import Views, centre_crop_resize
from skelbench.skeleton.clip import Batch
from skelbench.skeleton.streams import STREAMS, stream
from skelbench.skeleton.topology import Topology


class Branch(nn.Module):
    """An encoder and its projection head; there is one for queries and one for keys."""

    def __init__(self, encoder: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head

    def forward(self, x: Tensor) -> Tensor:
        """Joints (N, C, T, V, M) -> latent (N, D) on the unit sphere, at least float32 whatever the encoder ran in."""
        return unit(_full(self.head(self.encoder(x))))


class Contrast(NamedTuple):
    """One contrastive step: queries and keys (N, D), loss (), logits (N, 1 + K), and the negatives (K, D) they were told from."""

    q: Tensor
    k: Tensor
    loss: Tensor
    logits: Tensor
    negatives: Tensor


class MoCo(Method):
    """Momentum contrast of two views of a clip."""

    name: ClassVar[str] = "moco"
    live: ClassVar[frozenset[str]] = frozenset({"views", "momentum", "temperature"})

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Settings of the HaLP and CMD scripts on NTU."""

        encoder: GRU.Config = field(default_factory=GRU.Config)
        views: Views = field(default_factory=Views)
        stream: str = "joint"  # joint, bone or motion; taken after the augmentation (HaLP section 3.2)
        queue: int = 16384  # K, HaLP and CMD scripts
        momentum: float = 0.999  # of the key encoder, MoCo
        temperature: float = 0.07  # T, MoCo
        dim: int = 128  # D of the latent sphere, MoCo

        def __post_init__(self) -> None:
            rules = [
                (self.stream in STREAMS, f"stream={self.stream!r} is not one of {', '.join(STREAMS)}"),
                (self.queue >= 1, f"queue={self.queue} must hold at least one key"),
                (0 <= self.momentum <= 1, f"momentum={self.momentum} must lie in [0, 1]"),
                (self.temperature > 0, f"temperature={self.temperature} must be above 0"),
                (self.dim >= 2, f"dim={self.dim} must be at least 2"),
            ]
            wrong = [text for holds, text in rules if not holds]
            if wrong:
                raise ConfigError(f"{type(self).__qualname__}: {'; '.join(wrong)}")

    def __init__(self, config: Any, encoder: nn.Module, *, width: int, topology: Topology, generator: torch.Generator) -> None:
        """Args say what is contrasted: encoder maps joints (N, C, T, V, M) to (N, width)."""
        super().__init__()
        self.config = config
        self.topology = topology
        self.query = Branch(encoder, ProjectionHead(width, config.dim, generator=generator))
        self.key = momentum_copy(self.query)
        self.queue = KeyQueue(config.queue, config.dim, generator=generator)
        self._width = width

    @classmethod
    def build(
        cls, config: Any, *, topology: Topology, bodies: int, coordinates: int, classes: int, generator: torch.Generator
    ) -> MoCo:
        encoder = GRU(config.encoder, topology=topology, bodies=bodies, coordinates=coordinates, generator=generator)
        return cls(config, encoder, width=encoder.width, topology=topology, generator=generator)

    @property
    def width(self) -> int:
        return self._width

    def step(self, batch: Batch, generator: torch.Generator) -> Step:
        found = self.contrast(*self.views(batch, generator))
        return Step(loss=found.loss, parts=self._measures(found), out={"query": found.q.detach(), "key": found.k})

    def views(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Two independently augmented views of every clip, in the stream of the config: (N, C, frames, V, M) each."""
        one, two = (
            stream(self.config.stream, self.config.views.view(batch.joints, batch.lengths, self.topology, generator), self.topology)
            for _ in range(2)
        )
        return one, two

    def contrast(self, query_view: Tensor, key_view: Tensor) -> Contrast:
        """MoCo's order: query, key encoder follows, key, loss, enqueue. Views are (N, C, T, V, M)."""
        q = self.query(query_view)  # (N, D)
        with torch.no_grad():
            momentum_update(self.key, self.query, self.config.momentum)
            k = self.key(key_view)  # (N, D)
        with torch.autocast(q.device.type, enabled=False):
            # The backward pass needs these negatives, the queue is about to change: hence the clone.
            negatives = self.queue.keys.clone().to(q.dtype)
            loss, logits = info_nce(q, k, negatives, self.config.temperature)
        self.queue.enqueue(k)
        return Contrast(q, k, loss, logits, negatives)

    @torch.no_grad()
    def _measures(self, found: Contrast) -> dict[str, Tensor]:
        """Scalars for the curves: the loss, how often the key wins against the queue, and the mean q.k."""
        positive = found.logits[:, 0]
        return {
            "moco": found.loss.detach(),
            "top1": (positive > found.logits[:, 1:].amax(dim=1)).to(positive.dtype).mean(),
            "similarity": positive.mean() * self.config.temperature,
        }

    @torch.no_grad()
    def features(self, batch: Batch) -> Tensor:
        """Query encoder on the centre 95 % of every clip, before the head (N, D)."""
        return encode(self.query.encoder, batch, frames=self.config.views.frames, name=self.config.stream, topology=self.topology)


@torch.no_grad()
def encode(encoder: nn.Module, batch: Batch, *, frames: int, name: str, topology: Topology) -> Tensor:
    """Frozen features (N, D): centre crop, stream, encoder in eval mode; the encoder's mode is left as it was."""
    x = stream(name, centre_crop_resize(batch.joints, batch.lengths, frames=frames), topology)
    training = encoder.training
    encoder.eval()
    try:
        return _full(encoder(x))
    finally:
        encoder.train(training)


def _full(x: Tensor) -> Tensor:
    """Out of half precision: the sphere needs more digits than the encoder does."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
