"""SkeletonMAE, the graph one (Yan, Liu, Wei, Li, Li, Lin, ICCV 2023; arXiv 2307.08476): hide body parts, guess them from the rest.

Not to be confused with the transformer of the same name (Wu et al., arXiv 2209.02399). The authors have not released code; what
the paper leaves open is decided here, named, and a setting where two readings are possible.

Every frame of every body is one graph X of V joints. There is no time in this stage.

1. Each joint's coordinates become D numbers by one linear map: x_i, the *target*.
2. Some of six body parts are hidden: the features of their joints are replaced by one learnable vector, the mask token.
3. An encoder of L_D GIN layers sees the rest:        H = G_E(A, X hidden)
4. A decoder of one GIN layer guesses:                Y = G_D(A, W H)
5. The loss compares directions on the V hidden joints of each graph (equation 5; no lengths, and no edges although the abstract
   promises them):

       L = sum_{i hidden} ( 1/|V| - cos(x_i, y_i) / |V| )^beta ,      beta = 2

What is ours, because the paper does not say (each is a setting below):
- ``stop_gradient``: the target comes out of a trainable map, so the loss could also fall by squeezing all targets into a narrow
  cone. No gradient flows into the target; ``spread`` in the curves is the mean cosine between targets, which tells either way.
- ``remask``: GraphMAE, whose loss this is, also zeroes hidden joints before the decoder. With whole limbs hidden and a decoder that
  hears one bone far, wrists and ankles would then be guessed from nothing: off.
- ``inside_power``: as printed, |V| stands inside the power, and L shrinks with it. GraphMAE's mean is the other reading.
- ``masking``: the text draws parts at random, every table hides a fixed set; the tables also hide random joints.
- ``noise``: pixel noise in training, of unknown size. GraphMAE's replacement of joints and its dropout are not mentioned: none.
- ``graph``: the drawing shows 18 edges on COCO; other edge lists of a layout can be named.
- width of the encoder, its activation, first values of the token (zeros), how frames are drawn: see ``Config`` and ``GIN.Config``.

The paper's input is 17 joints in the plane. Any layout works: :func:`skelbench.skeleton.bodyparts.six_parts` says what its six
parts are, and a score channel is left out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from skelbench.errors import ConfigError, DataError
from skelbench.methods.base import Explanation, Method, Step, evaluating, full_precision
from skelbench.nets.gin import GIN, GINLayer, adjacency
from skelbench.nets.initial import draw_weights
from skelbench.skeleton.augment import draw_joints
from skelbench.skeleton.bodyparts import six_parts
from skelbench.skeleton.clip import Batch, check_joints
from skelbench.skeleton.sampling import segment_frames, take_frames
from skelbench.skeleton.topology import Topology

MASKINGS = ("parts", "random_parts", "joints")
READOUTS = ("body", "joints", "quarters")


class Frames(NamedTuple):
    """Frames of N clips: joints (N, L, M, V, C) and which bodies are there (N, L, M)."""

    joints: Tensor
    present: Tensor

    @property
    def graphs(self) -> Tensor:
        """The bodies that are there, each a graph of its own (G, V, C)."""
        return self.joints[self.present]

    def back(self, values: Tensor, fill: float = 0.0) -> Tensor:
        """Values of the graphs (G, V, ...) in their places (N, L, V, M, ...); ``fill`` where there is no body."""
        full = values.new_full((*self.present.shape, *values.shape[1:]), fill)
        full[self.present] = values
        return full.transpose(2, 3)


class Guess(NamedTuple):
    """What comes of G graphs with hidden joints: targets x, hidden states h, guesses y (G, V, D)."""

    x: Tensor
    h: Tensor
    y: Tensor

    @property
    def cosine(self) -> Tensor:
        """Cosine of guess and target at every joint (G, V)."""
        return functional.cosine_similarity(self.x, self.y, dim=2)


def reweighted_cosine(cosine: Tensor, hidden: Tensor, *, beta: float = 2.0, inside_power: bool = True) -> Tensor:
    """The loss of every graph (G,), 0 for a graph without hidden joints.

    Args:
        cosine: of guess and target (G, V).
        hidden: (G, V) bool.
        beta: exponent, at least 1.
        inside_power: 1/|V| is raised to beta with the rest, as printed; else the mean of (1 - cos)^beta, as in GraphMAE.
    """
    count = hidden.sum(dim=1).clamp(min=1).to(cosine.dtype)  # (G,)
    error = torch.where(hidden, (1 - cosine).clamp(min=0), 0)  # rounding may take a cosine above 1, where a power has no gradient
    if inside_power:
        return (error / count[:, None]).pow(beta).sum(dim=1)
    return error.pow(beta).sum(dim=1) / count


class SkeletonMAE(Method):
    """Masked autoencoder on the body graph."""

    name: ClassVar[str] = "skeletonmae"
    live: ClassVar[frozenset[str]] = frozenset(
        {"masking", "parts", "count", "ratio", "beta", "inside_power", "stop_gradient", "remask", "noise"}
    )

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """The paper's values where it gives them."""

        encoder: GIN.Config = field(default_factory=GIN.Config)  # L_D = 3, D = 64; section 4.2
        graph: str = "auto"  # edge list of the layout; auto: the 18 edges of figure 2 on COCO, else the tree
        frames: int = 64  # T, of every clip; how they are chosen is not said: one out of each of 64 equal stretches
        masking: Literal["parts", "random_parts", "joints"] = "parts"  # the tables; the text; the tables' comparison
        parts: tuple[int, ...] = (3, 5)  # of the six, 0 .. 5; right arm and right leg, the headline numbers. Most ablations: (3,)
        count: int = 1  # parts drawn for every graph by "random_parts"
        ratio: float = 0.3  # share of the joints drawn for every graph by "joints"
        beta: float = 2.0  # equation 5
        inside_power: bool = True  # |V| inside the power, as printed; False: GraphMAE's mean
        stop_gradient: bool = True  # not said
        remask: bool = False  # not said; GraphMAE does
        noise: float = 0.01  # standard deviation, in the units of the normalised clips; the paper's is not given
        readout: Literal["body", "joints", "quarters"] = (
            "body"  # features: mean over joints and frames; over frames; over frames of
        )
        # every quarter of the clip: D, V * D, 4 V * D numbers

        def __post_init__(self) -> None:
            rules = [
                (self.frames >= 1, f"frames={self.frames} must be at least 1"),
                (self.masking in MASKINGS, f"masking={self.masking!r} is not {', '.join(MASKINGS)}"),
                (
                    bool(self.parts) and set(self.parts) <= set(range(6)) and len(set(self.parts)) == len(self.parts),
                    f"parts={self.parts} must be some of 0 .. 5, each once",
                ),
                (1 <= self.count <= 5, f"count={self.count} must be 1 .. 5, so that something is left to see"),
                (0 < self.ratio < 1, f"ratio={self.ratio} must lie between 0 and 1"),
                (self.beta >= 1, f"beta={self.beta} must be at least 1 (equation 5)"),
                (self.noise >= 0, f"noise={self.noise} must not be negative"),
                (self.readout in READOUTS, f"readout={self.readout!r} is not {', '.join(READOUTS)}"),
                (self.readout != "quarters" or self.frames >= 4, f"frames={self.frames} cannot be read in quarters"),
            ]
            rules.append((self.masking != "parts" or len(self.parts) < 6, f"parts={self.parts} leaves nothing to see"))
            wrong = [text for holds, text in rules if not holds]
            if wrong:
                raise ConfigError(f"{type(self).__qualname__}: {'; '.join(wrong)}")

    membership: Tensor

    def __init__(
        self, config: Any, encoder: GIN, *, topology: Topology, bodies: int, coordinates: int, generator: torch.Generator
    ) -> None:
        """``encoder`` maps joints (G, V, D) to joints (G, V, D); the rest is drawn from ``generator``."""
        super().__init__()
        D = config.encoder.width
        self.config, self.topology, self.bodies = config, topology, bodies
        self.coordinates = min(coordinates, topology.dims)  # what comes after them is a score
        self.embedding = nn.Linear(self.coordinates, D)
        self.token = nn.Parameter(torch.zeros(D))
        self.encoder = encoder
        self.bridge = nn.Linear(D, D, bias=False)
        self.decoder = GINLayer(D, D, epsilon=config.encoder.epsilon, activation=config.encoder.activation, outer=False)
        for part in (self.embedding, self.bridge, self.decoder):
            draw_weights(part, generator)
        self.parts = six_parts(topology) if config.masking != "joints" or topology.V >= 6 else {}
        table = torch.zeros(len(self.parts), topology.V, dtype=torch.bool)
        for row, joints in enumerate(self.parts.values()):
            table[row, list(joints)] = True
        self.register_buffer("membership", table, persistent=False)  # (6, V)

    @classmethod
    def build(
        cls, config: Any, *, topology: Topology, bodies: int, coordinates: int, classes: int, generator: torch.Generator
    ) -> SkeletonMAE:
        encoder = GIN(config.encoder, edges=adjacency(topology, config.graph), generator=generator)
        return cls(config, encoder, topology=topology, bodies=bodies, coordinates=coordinates, generator=generator)

    @property
    def width(self) -> int:
        return (
            self.config.encoder.width * {"body": 1, "joints": self.topology.V, "quarters": 4 * self.topology.V}[self.config.readout]
        )

    def frames(self, batch: Batch, generator: torch.Generator | None = None, *, frames: int | None = None) -> Frames:
        """``frames`` of every clip, drawn where there is a generator, else fixed; the score is left out."""
        check_joints(batch.joints, self.topology)
        index = segment_frames(batch.lengths, frames or self.config.frames, generator=generator)
        joints = take_frames(batch.joints[:, : self.coordinates], index, dim=2)  # (N, C, L, V, M)
        return Frames(joints.permute(0, 2, 4, 3, 1), take_frames(batch.present, index, dim=1))

    def draw_hidden(self, G: int, generator: torch.Generator) -> Tensor:
        """Which joints of G graphs are hidden (G, V) bool, on the generator's device."""
        c, table = self.config, self.membership.to(generator.device)
        if c.masking != "joints" and not len(table):
            six_parts(self.topology)  # says why there are none
        if c.masking == "parts":
            return table[list(c.parts)].any(dim=0).expand(G, -1)
        if c.masking == "random_parts":
            return draw_joints(G, len(table), c.count, generator=generator).float() @ table.float() > 0
        V = self.topology.V
        return draw_joints(G, V, min(max(round(c.ratio * V), 1), V - 1), generator=generator)

    def guess(self, graphs: Tensor, hidden: Tensor, *, remask: bool | None = None) -> Guess:
        """Embed, hide, encode and decode joints (G, V, C). ``hidden`` is (G, V) or (V,); ``remask`` overrules the config."""
        hidden = hidden.to(graphs.device).expand(graphs.shape[:2])[:, :, None]
        x = self.embedding(graphs)  # (G, V, D)
        h = self.encoder(torch.where(hidden, self.token.to(x), x))
        bridged = self.bridge(h)
        if self.config.remask if remask is None else remask:
            bridged = bridged.masked_fill(hidden, 0)
        y = self.decoder(bridged, self.encoder.edges) if len(graphs) else bridged
        return Guess(x.detach() if self.config.stop_gradient else x, h, y)

    def step(self, batch: Batch, generator: torch.Generator) -> Step:
        c, frames = self.config, self.frames(batch, generator)
        graphs = frames.graphs
        if not len(graphs):
            raise DataError(f"no body is there in any frame of the clips {', '.join(batch.ids[:5])} ...: nothing to hide")
        if c.noise:
            noise = torch.randn(graphs.shape, generator=generator, device=generator.device)
            graphs = graphs + c.noise * noise.to(graphs)
        hidden = self.draw_hidden(len(graphs), generator).to(graphs.device)
        made = self.guess(graphs, hidden)
        with torch.autocast(graphs.device.type, enabled=False):
            made = Guess(*(full_precision(v) for v in made))
            cosine = made.cosine
            # |V| counts the hidden joints of one graph, never those of the batch
            loss = reweighted_cosine(cosine, hidden, beta=c.beta, inside_power=c.inside_power).mean()
        error = 1 - cosine.detach()
        parts = {
            "error": error[hidden].mean(),  # mean 1 - cos at the hidden joints
            "seen": error[~hidden].mean(),  # and at the others, which nothing trains
            "spread": mean_cosine(made.x.detach()),
        }
        out = {
            "mask": frames.back(hidden, fill=0),
            "error": frames.back(error, fill=float("nan")),
            "query": self._pool(frames, made.h.detach()),
        }
        return Step(loss=loss, parts=parts, out=out)

    def _pool(self, frames: Frames, h: Tensor) -> Tensor:
        """Hidden states of the graphs (G, V, D) -> one vector a clip (N, width); zeros where there is no body."""
        pooled = h.mean(dim=1) if self.config.readout == "body" else h.flatten(1)  # (G, D or V * D)
        clip, when, _ = frames.present.nonzero(as_tuple=True)  # (G,)
        N, L, _ = frames.present.shape
        slots = 4 if self.config.readout == "quarters" else 1
        slot = clip * slots + when * slots // L
        total = pooled.new_zeros(N * slots, pooled.shape[1]).index_add_(0, slot, pooled)
        count = torch.bincount(slot, minlength=N * slots).clamp(min=1)[:, None]
        return (total / count).reshape(N, -1)

    @torch.no_grad()
    def features(self, batch: Batch) -> Tensor:
        """Encoder without anything hidden, mean over bodies and fixed frames (N, width)."""
        with evaluating(self):
            frames = self.frames(batch)
            return self._pool(frames, full_precision(self.encoder(self.embedding(frames.graphs))))

    @torch.no_grad()
    def explain(self, batch: Batch) -> Explanation:
        """How hard a joint is to guess: 1 - cos when its part is hidden, mean over bodies; of frames, the mean over joints."""
        turns = self.membership if len(self.membership) else torch.eye(self.topology.V, dtype=torch.bool, device=self.token.device)
        with evaluating(self):
            frames = self.frames(batch)
            graphs = frames.graphs
            error = torch.zeros(graphs.shape[:2], dtype=full_precision(graphs).dtype, device=graphs.device)
            for hidden in turns:
                error = torch.where(hidden, 1 - full_precision(self.guess(graphs, hidden).cosine), error)
        there = frames.present.sum(dim=2).clamp(min=1)[:, :, None]  # (N, L, 1)
        joints = frames.back(error).sum(dim=3) / there  # (N, L, V)
        return Explanation(joints=joints, frames=joints.mean(dim=2))


@torch.no_grad()
def mean_cosine(x: Tensor) -> Tensor:
    """Mean cosine between different ones of the vectors x (..., D): 1 where all point the same way."""
    u = functional.normalize(x.flatten(0, -2), dim=1)
    n = len(u)
    return (u.sum(dim=0).square().sum() - n) / max(n * (n - 1), 1)
