"""Learning with labels: an encoder and one linear layer, trained together with cross-entropy; what the others are measured against.

The encoder is that of the comparison (the GRU of HaLP where nothing else is asked for); the views are those of its linear
evaluation: a stretch of half to the whole clip, sheared or as it is, with nothing masked.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from skelbench.errors import ConfigError, DataError
from skelbench.methods.base import Method, Step, evaluating, full_precision
from skelbench.methods.moco import encode
from skelbench.nets.agcn import AGCN
from skelbench.nets.encoders import build_encoder
from skelbench.nets.gru import GRU
from skelbench.nets.hcn import HCN
from skelbench.skeleton.augment import Views
from skelbench.skeleton.clip import Batch
from skelbench.skeleton.streams import STREAMS, stream
from skelbench.skeleton.topology import Topology


class Supervised(Method):
    """An encoder with a linear classifier."""

    name: ClassVar[str] = "supervised"
    supervised: ClassVar[bool] = True
    live: ClassVar[frozenset[str]] = frozenset({"views", "smoothing"})

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Which encoder, on which stream and views."""

        encoder: GRU.Config | AGCN.Config | HCN.Config = field(default_factory=GRU.Config)
        views: Views = field(default_factory=lambda: Views(ratio=(0.5, 1.0), p_shear=0.5, p_mask=0.0, p_corrupt=0.0))
        stream: str = "joint"  # taken after the augmentation
        smoothing: float = 0.0  # of the labels

        def __post_init__(self) -> None:
            if self.stream not in STREAMS or not 0 <= self.smoothing < 1:
                wanted = f"a stream among {', '.join(STREAMS)} and smoothing in [0, 1)"
                raise ConfigError(f"Supervised: wanted {wanted}, got stream={self.stream!r}, smoothing={self.smoothing}")

    def __init__(
        self, config: Any, encoder: nn.Module, *, width: int, classes: int, topology: Topology, generator: torch.Generator
    ) -> None:
        """``encoder`` maps joints (N, C, T, V, M) to (N, width)."""
        super().__init__()
        if classes < 1:
            raise ConfigError("a classifier needs at least one class; this data has no class names")
        self.config, self.topology, self._width = config, topology, width
        self.encoder = encoder
        self.head = nn.Linear(width, classes)
        for parameter in self.head.parameters():
            draw = torch.rand(parameter.shape, generator=generator, device=generator.device)
            parameter.data = (2 * draw - 1) / math.sqrt(width)

    @classmethod
    def build(
        cls, config: Any, *, topology: Topology, bodies: int, coordinates: int, classes: int, generator: torch.Generator
    ) -> Supervised:
        shape: dict[str, Any] = {"topology": topology, "bodies": bodies, "coordinates": coordinates}
        encoder = build_encoder(config.encoder, generator=generator, **shape)
        return cls(config, encoder, width=encoder.width, classes=classes, topology=topology, generator=generator)

    @property
    def width(self) -> int:
        return self._width

    def step(self, batch: Batch, generator: torch.Generator) -> Step:
        check_labels(batch)
        view = self.config.views.view(batch.joints, batch.lengths, self.topology, generator)  # (N, C, frames, V, M)
        x = stream(self.config.stream, view, self.topology)
        features = self.encoder(x, generator) if isinstance(self.encoder, HCN) else self.encoder(x)  # HCN draws what drops out
        logits = full_precision(self.head(features))
        loss = functional.cross_entropy(logits, batch.labels, label_smoothing=self.config.smoothing)
        right = (logits.argmax(dim=1) == batch.labels).to(loss.dtype).mean()
        return Step(loss=loss, parts={"accuracy": right}, out={"query": features.detach(), "logits": logits.detach()})

    @torch.no_grad()
    def features(self, batch: Batch) -> Tensor:
        """Encoder on the centre 95 % of every clip (N, D)."""
        c = self.config
        return encode(self.encoder, batch, frames=c.views.frames, name=c.stream, topology=self.topology)

    @torch.no_grad()
    def logits(self, batch: Batch) -> Tensor:
        """Class scores (N, classes) of ``features``."""
        with evaluating(self):
            return full_precision(self.head(self.features(batch)))


def check_labels(batch: Batch) -> None:
    """Raises DataError where a clip has no label: a loss that needs one must not guess."""
    unknown = (batch.labels < 0).nonzero()[:, 0].tolist()
    if unknown:
        raise DataError(
            f"clip {batch.ids[unknown[0]]!r} has no label ({len(unknown)} of {len(batch)} in this batch); a supervised method "
            "learns from labelled clips: leave the others out (a run's split does)"
        )
