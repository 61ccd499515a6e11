"""STRL, the second stage of SkeletonMAE (Yan et al., ICCV 2023, section 3.2): its encoder, planted into a classifier, fine-tuned.

The network is :class:`skelbench.nets.strl.SpatialTemporal`. Nothing is hidden in this stage and there is no decoder. All weights
learn, the planted ones too, with labels and cross-entropy. The paper reports 91.2 % on FineGym with the pre-trained encoder and
86.3 % for the same network and schedule from scratch: the comparison that counts, and the reason why ``pretrained`` is one setting.

    STRL.build(config, ...)                                     from scratch
    STRL.from_pretrained(method, classes=..., generator=...)    with the encoder and embedding of a SkeletonMAE in every layer
    start("strl", data, pretrained=str(run.folder))             the same, as a run

An honest comparison pre-trains on the training side of the same split; a run does.

Not given in the paper and decided here: weight decay (preset), the size of the pixel noise, that the embedding is taken over
together with the encoder, that BatchNorm goes on learning, what becomes of a person who is absent, and the network's ``Config``.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from skelbench.errors import ConfigError, RunError
from skelbench.methods.base import Method, Step, evaluating, full_precision
from skelbench.methods.pretrained import below, read_pretrained
from skelbench.methods.skeletonmae import SkeletonMAE
from skelbench.methods.supervised import check_labels
from skelbench.nets.gin import adjacency
from skelbench.nets.strl import Judged, SpatialTemporal
from skelbench.skeleton.clip import Batch, check_joints
from skelbench.skeleton.sampling import segment_frames, take_frames
from skelbench.skeleton.topology import Topology


class STRL(Method):
    """Supervised classifier on stacked GIN encoders, from scratch or from a pre-trained SkeletonMAE."""

    name: ClassVar[str] = "strl"
    supervised: ClassVar[bool] = True
    live: ClassVar[frozenset[str]] = frozenset({"smoothing", "noise"})

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """The paper's values where it gives them."""

        net: SpatialTemporal.Config = field(default_factory=SpatialTemporal.Config)
        graph: str = "auto"  # the paper writes another letter for this stage's graph and does not define it
        smoothing: float = 0.1  # of the labels
        noise: float = 0.01  # standard deviation, in the units of the normalised clips; the paper's is not given
        pretrained: str = ""  # folder of a SkeletonMAE run; empty: from scratch

        def __post_init__(self) -> None:
            if not 0 <= self.smoothing < 1 or self.noise < 0:
                raise ConfigError(f"STRL: smoothing={self.smoothing} must lie in [0, 1), noise={self.noise} must not be negative")

    def __init__(self, config: Any, net: SpatialTemporal, *, topology: Topology, coordinates: int) -> None:
        super().__init__()
        self.config, self.topology, self.net = config, topology, net
        self.coordinates = min(coordinates, topology.dims)  # what comes after them is a score

    @classmethod
    def build(
        cls, config: Any, *, topology: Topology, bodies: int, coordinates: int, classes: int, generator: torch.Generator
    ) -> STRL:
        net = SpatialTemporal(
            config.net,
            edges=adjacency(topology, config.graph),
            bodies=bodies,
            coordinates=min(coordinates, topology.dims),
            classes=classes,
            generator=generator,
        )
        made = cls(config, net, topology=topology, coordinates=coordinates)
        if config.pretrained:
            weights = read_pretrained(config.pretrained, method=SkeletonMAE.name, layout=topology)
            try:
                net.plant(below(weights, "embedding"), below(weights, "encoder"))
            except RuntimeError as error:  # what torch says when names or shapes do not fit
                size, why = config.net.encoder, str(error).splitlines()[-1].strip()
                raise RunError(
                    f"{config.pretrained}: its encoder does not fit this network of width {size.width} with {size.layers} GIN "
                    f"layers on {made.coordinates} coordinates ({why})"
                ) from error
        return made

    @classmethod
    def from_pretrained(
        cls, method: SkeletonMAE, *, classes: int, config: Config | None = None, generator: torch.Generator
    ) -> STRL:
        """The classifier with the embedding and encoder of ``method`` in every layer; what is new is drawn from ``generator``.

        The same generator and config give ``build`` the same first weights everywhere else: a fair beginning from scratch.

        Args:
            method: pre-trained.
            classes: how many to tell apart.
            config: settings whose encoder must be that of ``method``; the paper's around that encoder where left out.
            generator: of everything that is not planted.

        Raises:
            ConfigError: the encoder or graph of ``config`` is another one.
        """
        own = method.config
        if config is None:
            config = cls.Config(net=SpatialTemporal.Config(encoder=own.encoder), graph=own.graph)
        if (config.net.encoder, config.graph) != (own.encoder, own.graph):
            raise ConfigError(
                f"the pre-trained encoder is {own.encoder} on graph {own.graph!r}, the settings ask for {config.net.encoder} on "
                f"{config.graph!r}"
            )
        shape: dict[str, Any] = {"topology": method.topology, "bodies": method.bodies, "coordinates": method.coordinates}
        made = cls.build(replace(config, pretrained=""), classes=classes, generator=generator, **shape)
        made.net.plant(method.embedding.state_dict(), method.encoder.state_dict())
        return made.to(method.token.device)

    @property
    def width(self) -> int:
        return self.config.net.encoder.width

    def judge(self, batch: Batch, generator: torch.Generator | None = None) -> Judged:
        """The network on frames of every clip: drawn and noisy with a generator, fixed and clean without."""
        check_joints(batch.joints, self.topology)
        index = segment_frames(batch.lengths, self.config.net.frames, generator=generator)
        x = take_frames(batch.joints[:, : self.coordinates], index, dim=2).permute(0, 2, 4, 3, 1)  # (N, T, M, V, C)
        if generator is not None and self.config.noise:
            x = x + self.config.noise * torch.randn(x.shape, generator=generator, device=generator.device).to(x)
        judged: Judged = self.net(x, take_frames(batch.present, index, dim=1))
        return judged

    def step(self, batch: Batch, generator: torch.Generator) -> Step:
        check_labels(batch)
        judged = self.judge(batch, generator)
        logits = full_precision(judged.logits)
        loss = functional.cross_entropy(logits, batch.labels, label_smoothing=self.config.smoothing)
        parts = {"accuracy": (logits.argmax(dim=1) == batch.labels).to(loss.dtype).mean()}
        for layer, (pooled, residual) in enumerate(zip(judged.pooled, judged.residual, strict=True), start=1):
            parts[f"residual_{layer}"] = residual / (pooled + residual).clamp(min=1e-12)  # 0: the joints drown in the body's sum
        return Step(loss=loss, parts=parts, out={"query": judged.features.detach(), "logits": logits.detach()})

    @torch.no_grad()
    def features(self, batch: Batch) -> Tensor:
        """What the classifier reads (N, D)."""
        with evaluating(self):
            return full_precision(self.judge(batch).features)

    @torch.no_grad()
    def logits(self, batch: Batch) -> Tensor:
        """Class scores (N, classes), in eval mode."""
        with evaluating(self):
            return full_precision(self.judge(batch).logits)
