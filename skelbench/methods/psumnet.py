"""PSUMNet, unified modality part streams (Trivedi and Sarvadevabhatla, ECCV 2022 workshops; arXiv 2208.05775).

Graph networks on skeletons used to be trained four times, on joints, bones and the velocities of both, and their scores added.
PSUMNet turns this round: the four *modalities* of a clip are one input of 12 channels, and the *streams* are parts of the body,

    x_part = [ joints, bones, velocity of the joints, velocity of the bones ]  of body, hand (arms and hands), leg

each with a network of its own (:mod:`skelbench.nets.ctrgcn`), the smaller the part the shallower: 10, 6 and 4 blocks. Scores are
added with fixed weights,

    s = w_body s_body + w_hand s_hand + w_leg s_leg

The streams share no weight, so the sum of their losses trains each of them as if it were alone; here they learn side by side from
the same views, in one pass over the data, and one run says what each stream is worth alone (the protocol ``streams``). A network
of the body that reads joints alone, ``streams=("body",), modalities=("joint",)``, is what the paper is measured against: CTR-GCN's
joint stream. Velocities are taken after the clip was brought to 64 frames, parts after it was turned,
bones from the part's own tree (:mod:`skelbench.skeleton.part_streams`, which says what ``reading`` is about).

The released recipe chose its fusion weights, learning rate and epoch by a look at the test side. Here validation subjects
drive the schedule and choose the epoch; weights come from the caller, or from validation
(:func:`skelbench.parts.fusion.fit_weights`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from skelbench.errors import ConfigError
from skelbench.methods.base import Explanation, Method, Step, evaluating, full_precision
from skelbench.methods.supervised import check_labels
from skelbench.nets.ctrgcn import CTRGCN, linear
from skelbench.skeleton.augment import centre_crop_resize, random_crop_resize
from skelbench.skeleton.clip import Batch, check_joints
from skelbench.skeleton.fixed_length import pad_to
from skelbench.skeleton.part_streams import MODALITIES, STREAM_NAMES, PartStream, part_streams
from skelbench.skeleton.topology import Topology
from skelbench.skeleton.turn import random_turn

if TYPE_CHECKING:
    from skelbench.methods.backbone import Backbone

# Weights (body, hand, leg) of the released fusion script, by data and split. They were chosen on test scores.
FUSION: dict[str, tuple[float, float, float]] = {
    "ntu60 xsub": (2.0, 1.8, 0.7),
    "ntu60 xview": (2.1, 1.6, 0.7),
    "ntu120 xsub": (2.2, 1.5, 0.7),
    "ntu120 xset": (2.1, 2.0, 0.8),
    "ntu60-x": (3.4, 2.0, 1.0),
    "ntu120-x": (2.4, 2.2, 1.0),
}
PIECE = 32  # clips a forward pass without gradient takes at a time: a graph for every channel is large


class PSUMNet(Method):
    """A network for every part, their scores added."""

    name: ClassVar[str] = "psumnet"
    supervised: ClassVar[bool] = True
    live: ClassVar[frozenset[str]] = frozenset({"ratio", "minimum", "turn", "weights"})

    @dataclass(frozen=True, kw_only=True)
    class Weights:
        """What the scores of the streams are multiplied with before they are added; the released ones for NTU-60, xsub."""

        body: float = 2.0
        hand: float = 1.8
        leg: float = 0.7

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """The values of the released configs."""

        streams: tuple[str, ...] | None = None  # of body, hand, leg; None: those that the skeleton has
        modalities: tuple[str, ...] = MODALITIES  # that a stream reads; ("joint",) is the ablation without the others
        reading: Literal["faithful", "fixed"] = "faithful"  # of the released part graphs
        body: CTRGCN.Config = field(default_factory=CTRGCN.Config)  # 10 blocks
        hand: CTRGCN.Config = field(default_factory=lambda: CTRGCN.Config(channels=(64, 128, 128, 128, 256, 256)))
        leg: CTRGCN.Config = field(default_factory=lambda: CTRGCN.Config(channels=(64, 128, 128, 256)))
        weights: PSUMNet.Weights = field(default_factory=lambda: PSUMNet.Weights())
        frames: int = 64  # T of what the networks see
        fit: Literal["resize", "pad"] = "resize"  # how a clip gets there; SHREC: zeros at the end, whole, 180 frames
        ratio: tuple[float, float] = (0.5, 1.0)  # of the clip in a training crop
        minimum: int = 64  # but never fewer frames, as far as the clip has them
        turn: float = 0.3  # radians; three angles a clip, uniform

        def __post_init__(self) -> None:
            streams, span = self.streams, tuple(self.ratio)
            rules = [
                (
                    streams is None or _some(streams, STREAM_NAMES),
                    f"streams={streams!r} must be some of {', '.join(STREAM_NAMES)}, none of them twice, or None",
                ),
                (
                    _some(self.modalities, MODALITIES),
                    f"modalities={self.modalities!r} must be some of {', '.join(MODALITIES)}, none of them twice",
                ),
                (self.reading in ("faithful", "fixed"), f"reading={self.reading!r} is neither 'faithful' nor 'fixed'"),
                (self.fit in ("resize", "pad"), f"fit={self.fit!r} is neither 'resize' nor 'pad'"),
                (
                    self.frames >= 2 and self.minimum >= 1,
                    f"frames={self.frames} must be at least 2, minimum={self.minimum} at least 1",
                ),
                (len(span) == 2 and 0 < span[0] <= span[1] <= 1, f"ratio={self.ratio} must be (low, high), 0 < low <= high <= 1"),
                (self.turn >= 0, f"turn={self.turn} must be 0 or more"),
            ]
            wrong = [text for holds, text in rules if not holds]
            if wrong:
                raise ConfigError(f"PSUMNet: {'; '.join(wrong)}")

    def __init__(
        self, config: Any, *, topology: Topology, bodies: int, coordinates: int, classes: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        if classes < 1:
            raise ConfigError("PSUMNet is a classifier and needs at least one class; this data has no class names")
        self.config, self.topology = config, topology
        self.coordinates = min(coordinates, topology.dims)  # what comes after them is a score
        self.parts = self._parts()
        nets = {}
        for name, part in self.parts.items():
            channels = len(config.modalities) * self.coordinates
            shape: dict[str, Any] = {"bodies": bodies, "coordinates": channels, "generator": generator}
            nets[name] = CTRGCN(getattr(config, name), graph=part.graph(), **shape)
        self.nets = nn.ModuleDict(nets)
        self.heads = nn.ModuleDict({name: linear(net.width, classes, generator) for name, net in nets.items()})

    def _parts(self) -> dict[str, PartStream]:
        """The streams of this skeleton that are asked for."""
        there, wanted = part_streams(self.topology, reading=self.config.reading), self.config.streams
        lacking = [name for name in wanted or () if name not in there]
        if lacking:
            raise ConfigError(f"skeleton {self.topology.name!r} has the streams {', '.join(there)}, not {lacking[0]!r}")
        return {name: there[name] for name in STREAM_NAMES if name in there and (wanted is None or name in wanted)}

    @classmethod
    def build(
        cls, config: Any, *, topology: Topology, bodies: int, coordinates: int, classes: int, generator: torch.Generator
    ) -> PSUMNet:
        shape: dict[str, Any] = {"topology": topology, "bodies": bodies, "coordinates": coordinates, "classes": classes}
        return cls(config, generator=generator, **shape)

    @property
    def streams(self) -> tuple[str, ...]:
        """Names of the streams there are, in order."""
        return tuple(self.parts)

    @property
    def width(self) -> int:
        return sum(getattr(self.config, name).channels[-1] for name in self.parts)

    def view(self, batch: Batch, generator: torch.Generator | None = None) -> Tensor:
        """Clips as the streams see them (N, C, frames, V, M): cropped and turned with a generator, the middle 95 % without.

        With ``fit="pad"`` nothing is cropped: zeros follow the clip, which ends with a jump to the origin, as published.
        """
        check_joints(batch.joints, self.topology)
        c, x = self.config, batch.joints[:, : self.coordinates]
        if c.fit == "pad":
            x = pad_to(x, batch.lengths, c.frames)[0]
        elif generator is None:
            x = centre_crop_resize(x, batch.lengths, frames=c.frames)
        else:
            kept: dict[str, Any] = {"ratio": tuple(c.ratio), "minimum": c.minimum, "generator": generator}
            x = random_crop_resize(x, batch.lengths, frames=c.frames, **kept)
        return x if generator is None or not c.turn else random_turn(x, limit=c.turn, generator=generator)

    def encode(self, view: Tensor) -> dict[str, Tensor]:
        """Features of every stream (N, D) of views (N, C, frames, V, M)."""
        return {name: self.nets[name](self.unified(name, view)) for name in self.parts}

    def unified(self, name: str, view: Tensor) -> Tensor:
        """What the network of a stream reads of views (N, C, frames, V, M): its joints, their modalities along C."""
        return self.parts[name].unified(view, self.topology, self.config.modalities)

    def scored(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        """Logits of every stream (N, classes) of its features."""
        return {name: full_precision(self.heads[name](one)) for name, one in features.items()}

    def fused(self, scores: dict[str, Tensor]) -> Tensor:
        """The weighted sum of the streams' logits (N, classes)."""
        return torch.stack([getattr(self.config.weights, name) * one for name, one in scores.items()]).sum(dim=0)

    def step(self, batch: Batch, generator: torch.Generator) -> Step:
        check_labels(batch)
        features = self.encode(self.view(batch, generator))
        scores = self.scored(features)
        losses = {name: functional.cross_entropy(one, batch.labels) for name, one in scores.items()}
        parts: dict[str, Tensor] = {}
        for name, one in scores.items():
            parts |= {f"loss_{name}": losses[name], f"accuracy_{name}": _right(one, batch.labels)}
        whole = self.fused({name: one.detach() for name, one in scores.items()})
        parts["accuracy"] = _right(whole, batch.labels)
        query = torch.cat([one.detach() for one in features.values()], dim=1)
        loss = torch.stack(list(losses.values())).sum()
        return Step(loss=loss, parts={k: v.detach() for k, v in parts.items()}, out={"query": query, "logits": whole})

    @torch.no_grad()
    def stream_features(self, batch: Batch) -> dict[str, Tensor]:
        """What the classifier of every stream reads (N, D), in eval mode."""
        with evaluating(self):
            pieces = [self.encode(piece) for piece in self.view(batch).split(PIECE)]
        return {name: full_precision(torch.cat([piece[name] for piece in pieces])) for name in self.parts}

    def features(self, batch: Batch) -> Tensor:
        """The features of the streams one after the other (N, D)."""
        return torch.cat(list(self.stream_features(batch).values()), dim=1)

    @torch.no_grad()
    def stream_logits(self, batch: Batch) -> dict[str, Tensor]:
        """Class scores of every stream alone (N, classes)."""
        return self.scored(self.stream_features(batch))

    def logits(self, batch: Batch) -> Tensor:
        """Class scores, fused (N, classes)."""
        return self.fused(self.stream_logits(batch))

    def held_out_loss(self, batch: Batch) -> Tensor:
        """Cross-entropy of every clip, summed over the streams as in training (N,)."""
        scores = self.stream_logits(batch)
        return torch.stack([functional.cross_entropy(one, batch.labels, reduction="none") for one in scores.values()]).sum(dim=0)

    def backbone(self) -> Backbone:
        """All streams side by side, for a new classifier on top."""
        from skelbench.methods.backbone import Backbone

        c = self.config
        if c.fit == "pad":
            raise ConfigError("a PSUMNet that pads its clips (fit='pad') cannot be trained further on crops; take fit='resize'")
        return Backbone(encoder=Streams(self), width=self.width, frames=c.frames, minimum=c.minimum)

    def explain(self, batch: Batch) -> Explanation:
        """What the decision hangs on.

        ``joints`` (N, T, V): gradient times input of the winning fused score, over coordinates and bodies, its absolute value as
        a share of the clip's sum; ``frames`` is its sum over joints. ``pairs`` (N, 3 S, V, V): the graphs that the last block of
        each of the S streams mixes joints along (self, inward, outward; alpha Q + A, the mean over channels and the bodies that
        were seen), [v, w] is v to w, 0 for joints outside the part.
        """
        with torch.enable_grad(), evaluating(self):
            joints = batch.joints.detach().clone().requires_grad_()
            one = self.fused(self.scored(self.encode(self.view(batch.with_joints(joints)))))
            (slope,) = torch.autograd.grad(one.amax(dim=1).sum(), joints)
        share = (joints.detach() * slope).sum(dim=(1, 4)).abs()  # (N, T, V)
        share = share / share.sum(dim=(1, 2), keepdim=True).clamp(min=torch.finfo(share.dtype).tiny)
        return Explanation(joints=share, frames=share.sum(dim=2), pairs=self._mixing(batch))

    @torch.no_grad()
    def _mixing(self, batch: Batch) -> Tensor:
        seen = batch.present.any(dim=1).to(batch.joints.dtype)  # (N, M)
        seen = seen / seen.sum(dim=1, keepdim=True).clamp(min=1)
        V, found = self.topology.V, []
        with evaluating(self):
            view = self.view(batch)
            for name, part in self.parts.items():
                net: Any = self.nets[name]
                graphs = torch.einsum("nm,nmiuv->nivu", seen, net.adjacency(self.unified(name, view)))
                at = torch.tensor(part.joints, device=graphs.device)
                whole = graphs.new_zeros(len(graphs), 3, V, V)
                whole[:, :, at[:, None], at] = graphs
                found.append(whole)
        return torch.cat(found, dim=1)


class Streams(nn.Module):
    """The streams of a PSUMNet as one encoder: joints (N, C, T, V, M) -> their features one after the other (N, D)."""

    def __init__(self, method: PSUMNet) -> None:
        super().__init__()
        self.nets, self.parts, self.topology, self.coordinates = method.nets, method.parts, method.topology, method.coordinates
        self.modalities = method.config.modalities

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, T, V, M) -> (N, D)."""
        x = x[:, : self.coordinates]
        made = {name: part.unified(x, self.topology, self.modalities) for name, part in self.parts.items()}
        return torch.cat([self.nets[name](one) for name, one in made.items()], dim=1)


def _some(chosen: tuple[str, ...], known: tuple[str, ...]) -> bool:
    """At least one of the known names, none twice."""
    return len(chosen) > 0 and set(chosen) <= set(known) and len(set(chosen)) == len(chosen)


def _right(scores: Tensor, labels: Tensor) -> Tensor:
    return (scores.detach().argmax(dim=1) == labels).to(scores.dtype).mean()
