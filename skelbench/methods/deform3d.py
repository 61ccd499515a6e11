"""3D deformable attention, reconstruction (Kim, Ahn and Ko, ICCV 2023; arXiv 2212.05638): video and skeleton in one transformer.

Tokens of two kinds go in: cells of a video map, and joints where they stand in the picture. Two modal tokens, one a stream, carry
what the streams tell each other. A block lets them look, in turn,

    at the video      through points that a 3D token search moves to where something is, in space *and* time
    at the joints     in every frame, among every second joint ("local joint stride attention")
    at the moments    among the joints of every second frame ("temporal stride attention")

and the last modal tokens are classified. The stride attentions save time: fewer tokens meet in one attention. The pieces stand in
:mod:`skelbench.nets.deform3d`, tokens and network in :mod:`skelbench.nets.deform3d_net`.

**The paper's formulas, sizes and settings were not at hand and no code was released**: the topology is the paper's, the formulas
are a reconstruction. What can be chosen otherwise is a setting. ``reads="rgb"`` and ``"pose"`` are the streams alone (a pose token
then knows its place and velocity, nothing of the video), ``"late"`` adds the scores of those two; ``search="full"``, a search range
of (0, 0, 0), ``joint_stride=1`` and ``temporal_stride=1`` take one idea away each.

What the paper claims is learning without pre-training. The fact sheet's halved learning rate of the offsets is not done here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from skelbench.data.frames import FrameSettings
from skelbench.errors import ConfigError, DataError
from skelbench.methods.base import Explanation, Method, Step, evaluating, full_precision
from skelbench.methods.mmixer import jittered
from skelbench.methods.supervised import check_labels
from skelbench.nets.deform3d_looks import Looked
from skelbench.nets.deform3d_net import Judged, Network, Reads
from skelbench.skeleton.clip import Batch, check_joints
from skelbench.skeleton.frame_views import FrameViews
from skelbench.skeleton.topology import Topology

PIECE = 16  # clips a forward pass without gradient takes at a time


class Deform3D(Method):
    """Video and joints, one transformer, or each alone."""

    name: ClassVar[str] = "deform3d"
    supervised: ClassVar[bool] = True
    live: ClassVar[frozenset[str]] = frozenset({"views", "jitter", "lost", "smoothing"})

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """The fact sheet's recommendations at paper scale; the paper's own values are not known."""

        net: Network.Config = field(default_factory=Network.Config)
        pictures: FrameSettings = field(default_factory=lambda: FrameSettings(modalities=("rgb",), frames=16, size=64))
        reads: Literal["both", "rgb", "pose", "late"] = "both"
        smoothing: float = 0.1  # of the labels
        views: FrameViews = field(default_factory=FrameViews)  # one window a clip, for pixels and joints
        jitter: float = 0.2  # most that brightness and contrast change, one draw a clip
        lost: float = 0.0  # share of joints that are taken away while it trains, as a detector loses them

        def __post_init__(self) -> None:
            p = self.pictures
            rules = {
                f"modalities={p.modalities} must be ('rgb',): no other is read": p.modalities == ("rgb",),
                f"reads={self.reads!r}: both, rgb, pose or late": self.reads in ("both", "rgb", "pose", "late"),
                f"smoothing={self.smoothing}, jitter={self.jitter}, lost={self.lost} must lie in [0, 1)": all(
                    0 <= v < 1 for v in (self.smoothing, self.jitter, self.lost)
                ),
            }
            wrong = [text for text, holds in rules.items() if not holds]
            if wrong:
                raise ConfigError(f"deform3d: {'; '.join(wrong)}")

    def __init__(self, config: Any, *, topology: Topology, bodies: int, classes: int, generator: torch.Generator) -> None:
        super().__init__()
        if classes < 1:
            raise ConfigError("deform3d is a classifier and needs at least one class; this data has no class names")
        self.config, self.topology = config, topology
        kinds: tuple[Reads, ...] = ("rgb", "pose") if config.reads == "late" else (config.reads,)
        shape: dict[str, Any] = {"joints": topology.V, "bodies": bodies, "classes": classes}
        shape |= {"frames": config.pictures.frames, "picture": config.pictures.size}
        self.nets = nn.ModuleDict({kind: Network(config.net, reads=kind, generator=generator, **shape) for kind in kinds})

    @classmethod
    def build(
        cls, config: Any, *, topology: Topology, bodies: int, coordinates: int, classes: int, generator: torch.Generator
    ) -> Deform3D:
        return cls(config, topology=topology, bodies=bodies, classes=classes, generator=generator)

    @property
    def width(self) -> int:
        return self.config.net.block.width * (2 if self.config.reads in ("both", "late") else 1)

    @property
    def pictures(self) -> FrameSettings:
        settings: FrameSettings = self.config.pictures
        return settings

    def inputs(self, batch: Batch, generator: torch.Generator | None = None) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Video (N, 3, T, H, W), joints (N, T, V, M, 2), confidence (N, T, V, M), 0: absent; a training view with a generator.

        Raises:
            DataError: what is to be read is not there, or has another shape.
        """
        c, frames = self.config, batch.frames or {}
        first = str(batch.ids[0]) if len(batch) else ""
        if c.reads != "pose" and "rgb" not in frames:
            had = f"there is {', '.join(frames)}" if frames else "the batch has no pictures"
            raise DataError(f"clip {first!r}: deform3d reads rgb frames; {had}. A loader brings them with frames=method.pictures")
        if c.reads != "rgb" and batch.frame_joints is None:
            raise DataError(
                f"clip {first!r}: deform3d reads joints as they stand in the pictures (batch.frame_joints); there are none"
            )
        check_joints(batch.joints, self.topology)
        if generator is not None and frames:
            batch = c.views.view(batch, self.topology, generator)
            frames = batch.frames or {}
        rgb, places = frames.get("rgb"), batch.frame_joints
        T = rgb.shape[2] if rgb is not None else places.shape[1] if places is not None else 0
        at = ((torch.arange(c.pictures.frames) + 0.5) * T / c.pictures.frames).long()  # as many as were built for
        confidence = None
        if places is not None:
            places = places[:, at.to(places.device)]
            known = torch.isfinite(places).all(dim=4)
            places = torch.where(known[..., None], places, 0)
            confidence = (known & (places != 0).any(dim=4)).to(places.dtype)
            if generator is not None and c.lost:
                kept = torch.rand(confidence.shape, generator=generator, device=generator.device) >= c.lost
                confidence = confidence * kept.to(confidence)
        if rgb is not None:
            rgb = rgb[:, :, at.to(rgb.device)]
            if generator is not None and c.jitter:
                rgb = jittered(rgb, c.jitter, generator)
        return rgb, places, confidence

    def step(self, batch: Batch, generator: torch.Generator) -> Step:
        check_labels(batch)
        given = self.inputs(batch, generator)
        made = {kind: net(*given, generator) for kind, net in self.nets.items()}
        scores = {kind: full_precision(one.logits) for kind, one in made.items()}
        losses = {k: functional.cross_entropy(s, batch.labels, label_smoothing=self.config.smoothing) for k, s in scores.items()}
        logits = torch.stack(list(scores.values())).mean(dim=0).detach()
        parts = {"accuracy": (logits.argmax(dim=1) == batch.labels).float().mean()}
        if len(losses) > 1:
            parts |= {f"loss_{kind}": loss.detach() for kind, loss in losses.items()}
        query = torch.cat([one.features.detach() for one in made.values()], dim=1)
        return Step(loss=torch.stack(list(losses.values())).sum(), parts=parts, out={"query": query, "logits": logits})

    def seen(self, batch: Batch, *, weights: bool = False) -> dict[str, list[Judged]]:
        """The networks on whole clips, in eval mode and without gradient, a few clips at a time."""
        given = self.inputs(batch)
        found: dict[str, list[Judged]] = {}
        with evaluating(self), torch.no_grad():
            for kind, net in self.nets.items():
                pieces = [[None if x is None else x[at : at + PIECE] for x in given] for at in range(0, len(batch), PIECE)]
                found[kind] = [net(*piece, weights=weights) for piece in pieces]
        return found

    def features(self, batch: Batch) -> Tensor:
        """The last modal tokens (N, D)."""
        return torch.cat([full_precision(torch.cat([p.features for p in one])) for one in self.seen(batch).values()], dim=1)

    def logits(self, batch: Batch) -> Tensor:
        """Class scores (N, classes), in eval mode."""
        return torch.stack([full_precision(torch.cat([p.logits for p in one])) for one in self.seen(batch).values()]).mean(dim=0)

    def explain(self, batch: Batch) -> Explanation:
        """What the modal tokens look at; means over blocks, heads and both tokens.

        ``joints`` (N, T, V): in the joint stride attention, summed over bodies; ``frames`` (N, T): in the temporal one, summed over
        joints. Both are shares of their sum over the clip; a token frame stands for its stretch of the clip's frames, and padding
        has 0. ``pairs`` and ``frame_pairs``: joint to joint and token frame to token frame, by head; 0 between phases, which do not
        meet. ``samples``, ``references``, ``sample_weights``: points of the token search, see :class:`Explanation`.
        """
        found: dict[str, Any] = {}
        for kind, pieces in self.seen(batch, weights=True).items():
            looks = [[piece.looks[i] for piece in pieces] for i in range(self.config.net.block.blocks)]
            if kind != "pose":
                found |= self._points(looks)
            if kind != "rgb":
                found |= self._joints(looks, batch.lengths, batch.joints.shape[2])
        return Explanation(**found, streams=("rgb", "pose"))

    def _points(self, looks: list[list[Looked]]) -> dict[str, Tensor]:
        net: Any = next(net for kind, net in self.nets.items() if kind != "pose")
        if looks[0][0].searched is None:  # search="full"
            return {}
        size = torch.tensor(net.size, dtype=torch.float32, device=looks[0][0].searched.references.device)
        samples = [torch.cat([one.searched.positions for one in block if one.searched]) for block in looks]
        weights = [torch.cat([one.to_points.mean(dim=(1, 2)) for one in block if one.to_points is not None]) for block in looks]
        return {
            "samples": (torch.stack(samples, dim=1) + 0.5) / size,
            "references": (looks[0][0].searched.references + 0.5) / size,
            "sample_weights": full_precision(torch.stack(weights, dim=1)),
        }

    def _joints(self, looks: list[list[Looked]], lengths: Tensor, T: int) -> dict[str, Tensor]:
        def mean(name: str) -> Tensor:
            return full_precision(torch.stack([torch.cat([getattr(one, name) for one in block]) for block in looks]).mean(dim=0))

        def over_clip(x: Tensor) -> Tensor:
            """(N, T', ...) at the clip's own frames, as shares of the sum."""
            t = torch.arange(T, device=x.device)
            n = lengths.clamp(min=1)[:, None]
            at = (t * x.shape[1] // n).clamp(max=x.shape[1] - 1)  # (N, T)
            y = x[torch.arange(len(x), device=x.device)[:, None], at]
            y = y * (t < lengths[:, None]).view(*at.shape, *[1] * (x.ndim - 2))
            return y / y.flatten(1).sum(dim=1).clamp(min=torch.finfo(y.dtype).tiny).view(-1, *[1] * (y.ndim - 1))

        return {
            "joints": over_clip(mean("to_joints").mean(dim=(1, 2)).sum(dim=2)),
            "frames": over_clip(mean("to_moments").mean(dim=(1, 2)).sum(dim=(2, 3))),
            "pairs": mean("joint_pairs"),
            "frame_pairs": mean("frame_pairs"),
        }
