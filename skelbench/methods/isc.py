"""ISC, Skeleton-Contrastive 3D Action Representation Learning (Thoker, Doughty, Snoek, ACM MM 2021; arXiv 2108.03656).

A movement can be written down in several ways: as a *sequence* of joint vectors (a GRU reads it), as a *graph* of joints (A-GCN),
as an *image* whose channels are joints (HCN). MoCo lets two augmented views of a clip find each other. ISC lets them do so *across*
two such representations, each with an encoder of its own, so that neither can rely on what only its own notation shows.

For the representations 1 and 2 of a pair, with q = f_q(view 1 as 1), r = f_r(view 1 as 2) and keys k = f_k(view 2 as 1),
l = f_l(view 2 as 2), where f_k and f_l follow f_q and f_r slowly, and queues Q1 of past k, Q2 of past l:

    L1 = - log  exp(q.l / T) / ( exp(q.l / T) + sum_{n in Q2} exp(q.n / T) )
    L2 = - log  exp(r.k / T) / ( exp(r.k / T) + sum_{n in Q1} exp(r.n / T) )
    L  = L1 + L2

A query of one representation meets the *other's* key and the *other's* queue. Both representations of a view share its
augmentation. Chance is 2 log(1 + K).

``mode="intra"`` contrasts a representation with itself, which is MoCo: one name in ``pair`` as in the paper, or two that learn side
by side on the same views and never meet, to compare with.

Afterwards one query encoder is kept, in the paper's numbers the sequence encoder of the pair (seq, graph): ``use``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, cast

import torch
from torch import Tensor, nn

from skelbench.errors import ConfigError
from skelbench.methods.base import Explanation, Method, Step, evaluating, full_precision
from skelbench.methods.moco import Branch, Contrast, encode
from skelbench.nets.agcn import AGCN
from skelbench.nets.encoders import build_encoder
from skelbench.nets.gru import GRU
from skelbench.nets.hcn import HCN
from skelbench.nets.heads import ProjectionHead
from skelbench.parts.infonce import info_nce
from skelbench.parts.momentum import momentum_copy, momentum_update
from skelbench.parts.queue import KeyQueue
from skelbench.parts.sphere import unit
from skelbench.skeleton.augment import Views, centre_crop_resize
from skelbench.skeleton.clip import Batch
from skelbench.skeleton.topology import Topology

REPRESENTATIONS = ("seq", "graph", "image")


class ISC(Method):
    """Contrast between two representations of a skeleton."""

    name: ClassVar[str] = "isc"
    live: ClassVar[frozenset[str]] = frozenset({"views", "momentum", "temperature", "use"})

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Settings of the released scripts, the same on NTU-60 and NTU-120."""

        pair: tuple[str, ...] = ("seq", "graph")  # of seq, graph, image; the paper's main model
        mode: Literal["inter", "intra"] = "inter"
        use: str | None = None  # representation whose query encoder gives the features; None: the first of the pair
        seq: GRU.Config = field(default_factory=lambda: GRU.Config(input_norm=False))  # no BatchNorm here, unlike HaLP
        graph: AGCN.Config = field(default_factory=AGCN.Config)
        image: HCN.Config = field(default_factory=HCN.Config)
        views: Views = field(default_factory=Views)
        queue: int = 16384  # K, of each queue
        momentum: float = 0.999  # of both key encoders
        temperature: float = 0.07  # T
        dim: int = 128  # D of the latent sphere

        def __post_init__(self) -> None:
            wanted, count = ("two", {2}) if self.mode == "inter" else ("one or two", {1, 2})
            known = all(name in REPRESENTATIONS for name in self.pair)
            rules = [
                (self.mode in ("inter", "intra"), f"mode={self.mode!r} is neither 'inter' nor 'intra'"),
                (
                    known and len(set(self.pair)) == len(self.pair) and len(self.pair) in count,
                    f"pair={self.pair!r}: mode {self.mode!r} wants {wanted} of {', '.join(REPRESENTATIONS)}, none of them twice",
                ),
                (self.use is None or self.use in self.pair, f"use={self.use!r} is none of pair={self.pair!r}"),
                (self.queue >= 1, f"queue={self.queue} must hold at least one key"),
                (0 <= self.momentum <= 1, f"momentum={self.momentum} must lie in [0, 1]"),
                (self.temperature > 0, f"temperature={self.temperature} must be above 0"),
                (self.dim >= 2, f"dim={self.dim} must be at least 2"),
            ]
            wrong = [text for holds, text in rules if not holds]
            if wrong:
                raise ConfigError(f"{type(self).__qualname__}: {'; '.join(wrong)}")

        @property
        def used(self) -> str:
            """Representation whose query encoder gives the features."""
            return self.use or self.pair[0]

        @property
        def encoder(self) -> GRU.Config | AGCN.Config | HCN.Config:
            """Settings of the encoder that gives the features."""
            return cast(GRU.Config | AGCN.Config | HCN.Config, getattr(self, self.used))

        @property
        def stream(self) -> str:
            """What the encoders read: always the joints."""
            return "joint"

    def __init__(
        self, config: Any, encoders: Mapping[str, GRU | AGCN | HCN], *, topology: Topology, generator: torch.Generator
    ) -> None:
        """``encoders``: one for every representation of ``config.pair``, from joints (N, C, T, V, M) to (N, width)."""
        super().__init__()
        self.config = config
        self.topology = topology
        self.widths = {name: encoders[name].width for name in config.pair}
        self.query = nn.ModuleDict(
            {name: Branch(encoders[name], head(name, width, config.dim, generator)) for name, width in self.widths.items()}
        )
        self.key = cast(nn.ModuleDict, momentum_copy(self.query))
        self.queue = nn.ModuleDict({name: KeyQueue(config.queue, config.dim, generator=generator) for name in config.pair})

    @classmethod
    def build(
        cls, config: Any, *, topology: Topology, bodies: int, coordinates: int, classes: int, generator: torch.Generator
    ) -> ISC:
        shape: dict[str, Any] = {"topology": topology, "bodies": bodies, "coordinates": coordinates}
        encoders = {name: build_encoder(getattr(config, name), generator=generator, **shape) for name in config.pair}
        return cls(config, encoders, topology=topology, generator=generator)

    @property
    def width(self) -> int:
        return self.widths[self.config.used]

    def partner(self, name: str) -> str:
        """Whose keys and queue the queries of a representation meet: the other's, or its own within one representation."""
        if self.config.mode == "intra":
            return name
        one, two = self.config.pair
        return cast(str, two if name == one else one)

    def step(self, batch: Batch, generator: torch.Generator) -> Step:
        found = self.contrast(*self.views(batch, generator), generator)
        loss = torch.stack([one.loss for one in found.values()]).sum()
        out: dict[str, Tensor] = {}
        for name, one in found.items():
            ending = "" if name == self.config.pair[0] else f"_{name}"
            out |= {f"query{ending}": one.q.detach(), f"key{ending}": one.k}
        return Step(loss=loss, parts=self._measures(found), out=out)

    def views(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Two independently augmented views of every clip (N, C, frames, V, M), each for all representations."""
        view = self.config.views.view
        one, two = (view(batch.joints, batch.lengths, self.topology, generator) for _ in range(2))
        return one, two

    def contrast(self, query_view: Tensor, key_view: Tensor, generator: torch.Generator) -> dict[str, Contrast]:
        """Queries, key encoders follow, keys, losses, enqueue; of every representation with what its queries are to find."""
        names: tuple[str, ...] = self.config.pair
        q = {name: latent(self.query[name], query_view, generator) for name in names}  # (N, D) each
        with torch.no_grad():
            momentum_update(self.key, self.query, self.config.momentum)
            k = {name: latent(self.key[name], key_view, generator) for name in names}  # (N, D) each
        found = {}
        with torch.autocast(query_view.device.type, enabled=False):
            for name in names:
                other = self.partner(name)
                # The backward pass needs these negatives, the queue is about to change: hence the clone.
                negatives = self._queue(other).keys.clone().to(q[name].dtype)
                loss, logits = info_nce(q[name], k[other], negatives, self.config.temperature)
                found[name] = Contrast(q[name], k[other], loss, logits, negatives)
        for name in names:
            self._queue(name).enqueue(k[name])
        return found

    def _queue(self, name: str) -> KeyQueue:
        return cast(KeyQueue, self.queue[name])

    @torch.no_grad()
    def _measures(self, found: Mapping[str, Contrast]) -> dict[str, Tensor]:
        """Scalars for the curves: of every query its loss, how often its key wins, and its mean cosine to every kind of key."""
        parts: dict[str, Tensor] = {}
        keys = {self.partner(name): one.k for name, one in found.items()}
        for name, one in found.items():
            positive = one.logits[:, 0]
            parts[f"loss_{name}"] = one.loss.detach()
            parts[f"top1_{name}"] = (positive > one.logits[:, 1:].amax(dim=1)).to(positive.dtype).mean()
            for other, k in keys.items():
                parts[f"cosine_{name}_{other}"] = (one.q * k).sum(dim=1).mean()
        return parts

    @property
    def chance(self) -> float:
        """The loss of guessing, log(1 + K) for each query."""
        return len(self.config.pair) * math.log(1 + self.config.queue)

    def features(self, batch: Batch) -> Tensor:
        """The query encoder of ``config.use`` on the centre 95 % of every clip, before the head (N, D)."""
        return self.features_of(self.config.used, batch)

    def features_of(self, name: str, batch: Batch) -> Tensor:
        """The same of any representation in the pair (N, ``widths[name]``)."""
        if name not in self.widths:
            raise ConfigError(f"this {self.name} has the representations {', '.join(self.widths)}, not {name!r}")
        encoder = self._encoder(name)
        return encode(encoder, batch, frames=self.config.views.frames, name="joint", topology=self.topology)

    def _encoder(self, name: str) -> nn.Module:
        return cast(Branch, self.query[name]).encoder

    def explain(self, batch: Batch) -> Explanation:
        """What the features hang on.

        ``joints`` (N, T, V): gradient times input of half the squared length of the features, over coordinates and bodies, its
        absolute value as a share of the clip's sum; frames outside the centre crop have 0. ``frames`` is its sum over joints.
        ``pairs`` (N, 3, V, V), where a graph encoder is in the pair: what its last block mixes joints along (self, inward,
        outward; attention + A + P, [v, w] is v to w), the mean over bodies that were seen.
        """
        encoder, size = self._encoder(self.config.used), self.config.views.frames
        with torch.enable_grad(), evaluating(encoder):
            joints = batch.joints.detach().clone().requires_grad_()
            features = encoder(centre_crop_resize(joints, batch.lengths, frames=size))
            (slope,) = torch.autograd.grad(features.square().sum() / 2, joints)
        share = (joints.detach() * slope).sum(dim=(1, 4)).abs()  # (N, T, V)
        share = share / share.sum(dim=(1, 2), keepdim=True).clamp(min=torch.finfo(share.dtype).tiny)
        return Explanation(joints=share, frames=share.sum(dim=2), pairs=self._mixing(batch) if "graph" in self.widths else None)

    @torch.no_grad()
    def _mixing(self, batch: Batch) -> Tensor:
        graph = cast(AGCN, self._encoder("graph"))
        with evaluating(graph):
            x = centre_crop_resize(batch.joints, batch.lengths, frames=self.config.views.frames)
            last = graph.adjacency(x)[:, :, -1]  # (N, M, 3, V, V)
        seen = batch.present.any(dim=1).to(last.dtype)  # (N, M)
        seen = seen / seen.sum(dim=1, keepdim=True).clamp(min=1)
        return torch.einsum("nm,nmivw->nivw", seen, last)


def latent(branch: nn.Module, x: Tensor, generator: torch.Generator) -> Tensor:
    """Joints (N, C, T, V, M) -> unit rows (N, D); an encoder with dropout draws it from ``generator``."""
    encoder, projection = cast(Branch, branch).encoder, cast(Branch, branch).head
    features = encoder(x, generator) if isinstance(encoder, HCN) else encoder(x)
    return unit(full_precision(projection(features)))


def head(name: str, width: int, dim: int, generator: torch.Generator) -> ProjectionHead:
    """The head of a representation; its last layer begins as its encoder does."""
    made = ProjectionHead(width, dim, generator=generator)
    last = cast(nn.Linear, made[2])
    if name == "graph":
        last.weight.data = math.sqrt(2 / dim) * torch.randn(dim, width, generator=generator, device=generator.device)
    if name == "image":
        nn.init.zeros_(last.bias)
    return made
