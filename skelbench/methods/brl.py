"""BRL, balanced representation learning (Liu et al., 2023; arXiv 2308.14024): a few classes with many clips, many with few.

Trained as usual, a network on long-tailed data learns the frequent classes and guesses them for the rest. BRL changes four things
about the training of an ordinary graph network (:mod:`skelbench.nets.stgcnpp`) and nothing about the network. n_c is the number of
training clips of class c:

1. *Rebalanced sampling.* The rarest third of the classes is shown n_max / n_c times as often, every time with other frames of the
   clip and turned otherwise (:func:`skelbench.parts.rebalance.rebalanced_repeats`).
2. *Rebalanced partial mixup.* One clip in sixteen gets the legs of another clip of the batch. Its label is shared between both,
   or goes to the rarer class alone where the other is over three times as frequent (:mod:`skelbench.parts.partial_mixup`):

       l_i = w_i l(z_i, a_i) + (1 - w_i) l(z_i, b_i) ,      a upper body, b lower body

3. *A detached schedule.* Plain cross-entropy first, so that features are learned from all clips alike; in the last epochs the
   *action-aware* loss, which weighs class c by (1 - b_c) / (1 - b_c^n_c) (:mod:`skelbench.parts.rebalance`). Nothing is frozen.
4. *Skip streams.* Beside joints and bones, the vector to the grandparent: six streams with their motions, a network for each,
   whose probabilities are added 2 : 2 : 2 : 1 : 1 : 1 (``skelbench report --fuse brl``).

Every part has a switch, so that the same class trained with ``loss="ce", sampler=False, mixup=0`` is the plain network it is
compared with. Whatever hangs on the data hangs on the n_c that the run was told of; the release has those of imbalance 100 in it.

Different from the release: every mixed clip has a label share of its own (there the last pair of a batch speaks for all); partners
are taken as they were; ``order="preserve"`` leaves mixed joints in their places, ``official`` shuffles them as published; the
weights of the last stage hold in all its epochs (there in every other one); nothing chooses an epoch by the test side. The flip of
the release swaps left and right but not the sign of x; ``negate`` makes it a mirror image. "Temporal reverse perception", which the
paper names, is nowhere in the released settings; ``reverse`` is the reading of it as an augmentation, off unless it is asked for.

As published a rare class counts twice in the last stage: it is shown n_max / n_c times as often, and weighed by about 1 / n_c
besides. Classes in the middle, which have neither, pay for it. ``weigh="shown"`` weighs by the clips of a class as an epoch shows
them, so that all classes end up with the same say.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from skelbench.errors import ConfigError, DataError
from skelbench.methods.base import Explanation, Method, Step, evaluating, full_precision
from skelbench.methods.supervised import check_labels
from skelbench.nets.stgcnpp import STGCNPP
from skelbench.parts.partial_mixup import Order, draw_pairs, halves, mixed_labels, partial_mixup, upper_weight
from skelbench.parts.rebalance import LOSSES, class_losses, class_weights, rebalanced_repeats, staged, weighted_mean
from skelbench.skeleton.clip import Batch, check_joints
from skelbench.skeleton.sampling import take_frames, uniform_frames, uniform_test_frames
from skelbench.skeleton.streams import STREAMS, stream
from skelbench.skeleton.topology import Topology
from skelbench.skeleton.turn import random_turn

if TYPE_CHECKING:
    from skelbench.methods.backbone import Backbone

STILL = {"motion": "joint", "bone_motion": "bone", "skip_motion": "skip"}  # what a motion stream is the motion of
PIECE = 64  # clips a forward pass without gradient takes at a time


class BRL(Method):
    """An encoder with a linear classifier, trained so that rare classes are heard."""

    name: ClassVar[str] = "brl"
    supervised: ClassVar[bool] = True
    live: ClassVar[frozenset[str]] = frozenset(
        {"loss", "switch", "mixup", "rebalanced", "kappa", "order", "scale", "turn", "flip", "negate", "reverse", "test_clips"}
    )

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """The values of the released configs for NTU RGB+D."""

        encoder: STGCNPP.Config = field(default_factory=STGCNPP.Config)
        stream: str = "joint"  # one of the six; of the frames as recorded, before any is left out
        frames: int = 64  # T of what the network sees
        loss: str = "action_aware"  # skelbench.parts.rebalance.LOSSES
        weigh: Literal["clips", "shown"] = "clips"  # n_c of the weights: the clips there are, or as an epoch shows them
        switch: int = 19  # epoch from which the loss and its weights hold, after plain cross-entropy; 19 of 24
        sampler: bool = True  # the rarest third as often as the most frequent class; else all alike in an epoch as long
        repeat: float = 5.0  # times an epoch shows a clip of the other classes
        mixup: float = 1 / 16  # share of a batch that gets other legs; 0 none
        rebalanced: bool = True  # the rarer class takes the label; else it is always shared
        kappa: float = 3.0  # how many times more frequent a class must be to lose its label
        order: Order = "preserve"  # joints of a mixed clip; "official" shuffles them, as published
        scale: float = 0.1  # every axis of a clip by a factor in 1 +- scale
        turn: float = 0.3  # radians; three angles a clip, uniform
        flip: float = 0.5  # probability that left and right change names
        negate: bool = False  # and x its sign, which makes it a mirror image; not in the release
        lateral: Literal[0, 1, 2] = 0  # which coordinate that is; x after the preset brl
        reverse: float = 0.0  # probability that a clip runs backwards; named in the paper, in no released config
        test_clips: int = 10  # frames are drawn so often from a clip that is tested, and probabilities averaged

        def __post_init__(self) -> None:
            shares = {name: getattr(self, name) for name in ("mixup", "flip", "reverse")}
            rules = [
                (self.stream in STREAMS, f"stream={self.stream!r} must be one of {', '.join(STREAMS)}"),
                (self.loss in LOSSES, f"loss={self.loss!r} must be one of {', '.join(LOSSES)}"),
                (self.weigh in ("clips", "shown"), f"weigh={self.weigh!r} is neither 'clips' nor 'shown'"),
                (self.order in ("preserve", "official"), f"order={self.order!r} is neither 'preserve' nor 'official'"),
                (
                    self.frames >= 2 and self.test_clips >= 1,
                    f"frames={self.frames} must be 2 or more, test_clips={self.test_clips} 1 or more",
                ),
                (self.switch >= 0, f"switch={self.switch} must be 0 or more"),
                (self.repeat > 0, f"repeat={self.repeat} must be above 0"),
                (self.kappa >= 1, f"kappa={self.kappa} must be 1 or more"),
                (0 <= self.scale < 1 and self.turn >= 0, f"scale={self.scale} must lie in [0, 1), turn={self.turn} be 0 or more"),
                (self.lateral in (0, 1, 2), f"lateral={self.lateral} must be 0, 1 or 2"),
                *((0 <= v <= 1, f"{name}={v} must lie between 0 and 1") for name, v in shares.items()),
            ]
            wrong = [text for holds, text in rules if not holds]
            if wrong:
                raise ConfigError(f"BRL: {'; '.join(wrong)}")

    def __init__(
        self, config: Any, *, topology: Topology, bodies: int, coordinates: int, classes: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        if classes < 1:
            raise ConfigError("BRL is a classifier and needs at least one class; this data has no class names")
        self.config, self.topology = config, topology
        self.coordinates = min(coordinates, topology.dims)  # what comes after them is a score
        if config.mixup:
            halves(topology)  # refuses a body without legs before anything is trained
        shape: dict[str, Any] = {"topology": topology, "bodies": bodies, "coordinates": self.coordinates}
        self.encoder = STGCNPP(config.encoder, generator=generator, **shape)
        self.head = nn.Linear(self.encoder.width, classes)
        self.head.weight.data = 0.01 * torch.randn(classes, self.encoder.width, generator=generator, device=generator.device)
        self.head.bias.data = torch.zeros(classes)
        self.epoch = 0
        self.counts: Tensor | None = None  # n_c (classes,), as ``meet`` was told
        self.shown = torch.zeros(classes, dtype=torch.float64)  # n_c as an epoch shows them, set by ``meet``

    @classmethod
    def build(
        cls, config: Any, *, topology: Topology, bodies: int, coordinates: int, classes: int, generator: torch.Generator
    ) -> BRL:
        shape: dict[str, Any] = {"topology": topology, "bodies": bodies, "coordinates": coordinates, "classes": classes}
        return cls(config, generator=generator, **shape)

    @property
    def width(self) -> int:
        return self.encoder.width

    # what it learns from

    def meet(self, labels: Tensor, classes: tuple[str, ...]) -> Tensor | None:
        """Counts the classes, and asks for clips of the rare ones more often.

        Without the sampler all clips are asked for equally often, and an epoch is as long as with it: what is compared has seen as
        many clips. A class without a clip on the training side (a split may leave one out) has no weight and is never the answer.
        """
        given = labels.cpu()
        if not bool((given >= 0).any()):
            raise DataError("BRL counts the clips of every class, and none of these clips has a label")
        self.counts = torch.bincount(given[given >= 0], minlength=len(classes))
        times, there = torch.zeros(len(classes), dtype=torch.float64), self.counts > 0
        times[there] = rebalanced_repeats(self.counts[there], base=self.config.repeat)
        if not self.config.sampler:
            times[there] = float((times * self.counts).sum() / self.counts.sum())
        self.shown = times * self.counts
        return times[given.clamp_min(0)] * (given >= 0)

    def begin_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    @property
    def last_stage(self) -> bool:
        """Whether the loss and its weights hold now."""
        return self.epoch >= self.config.switch

    @property
    def counted(self) -> Tensor:
        """n_c (classes,). Raises ConfigError where nobody has told it the labels."""
        if self.counts is None:
            raise ConfigError(
                "BRL weighs classes by their number of training clips and has not met them; call meet(labels, classes)"
            )
        return self.counts

    def _weighed(self) -> Tensor:
        """n_c that weights and the shift of balanced softmax come from (classes,)."""
        return self.counted if self.config.weigh == "clips" else self.shown

    @property
    def weights(self) -> Tensor:
        """W of every class in this epoch (classes,) float64; 0 where a class has no training clip."""
        (name, weighted), n = staged(self.config.loss, last_stage=self.last_stage), self._weighed()
        w = (n > 0).double()
        if weighted:
            w[n > 0] = class_weights(name, n[n > 0])
        return w

    def losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The loss of this stage for every clip (N,), before any weight, among the classes that have training clips."""
        name, _ = staged(self.config.loss, last_stage=self.last_stage)
        n = self._weighed() if name == "balanced_softmax" else self.counted
        there = (n > 0).to(logits.device)
        place = there.cumsum(0) - 1
        return class_losses(name, logits[:, there], place[labels], n[n > 0].to(logits.device))

    # what the network sees

    def view(self, batch: Batch, generator: torch.Generator | None = None, *, index: Tensor | None = None) -> Tensor:
        """The stream of some frames of every clip (N, C, frames, V, M): drawn and augmented with a generator, else ``index``.

        Augmentations change a pose without regard to time, and a stream is of neighbouring frames of the recording; so only the
        frames that are seen, and for motions those after them, are ever touched.
        """
        check_joints(batch.joints, self.topology)
        c, last = self.config, (batch.lengths - 1).clamp_min(0)[:, None]
        at = uniform_frames(batch.lengths, c.frames, generator=generator) if generator is not None else index
        assert at is not None
        after = (at + 1).minimum(last)  # the last frame does not move
        if generator is not None and c.reverse:
            backwards = _chance(len(batch), c.reverse, generator).to(at.device)[:, None]
            at, after = (torch.where(backwards, last - frame, frame) for frame in (at, after))
        still = STILL.get(c.stream, c.stream)
        x = take_frames(batch.joints[:, : self.coordinates], torch.cat([at, after], dim=1) if c.stream in STILL else at, dim=2)
        x = stream(still, x if generator is None else self.augmented(x, generator), self.topology)
        return x[:, :, c.frames :] - x[:, :, : c.frames] if c.stream in STILL else x

    def augmented(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Clips scaled, turned, and left for right, one draw a clip (N, C, T, V, M)."""
        c, (N, C) = self.config, x.shape[:2]
        if c.scale:
            u = torch.rand(N, C, generator=generator, device=generator.device, dtype=torch.float64)
            x = x * (1 + c.scale * (2 * u - 1)).to(x)[:, :, None, None, None]
        if c.turn:
            x = random_turn(x, limit=c.turn, generator=generator)
        if c.flip:
            hit = _chance(N, c.flip, generator).to(x.device)[:, None, None, None, None]
            twins = x[:, :, :, list(self.topology.flip_index)]
            if c.negate:
                sign = torch.ones(C, dtype=x.dtype, device=x.device)
                sign[c.lateral] = -1
                twins = twins * sign[:, None, None, None]
            x = torch.where(hit, twins, x)
        return x

    def mixed(self, x: Tensor, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Partial mixup of a batch: clips (N, C, T, V, M), label below (N,), weight of the label above (N,), anchors (pairs,)."""
        c = self.config
        anchors, partners = draw_pairs(len(x), ratio=c.mixup, generator=generator)
        if not len(anchors):
            return x, labels, torch.ones(len(x), dtype=torch.float64, device=labels.device), anchors
        below = mixed_labels(labels, anchors, partners)
        upper, lower = halves(self.topology)
        share = len(upper) / (len(upper) + len(lower))
        n = self.counted if c.rebalanced else torch.ones_like(self.counted)
        weight = upper_weight(labels, below, n.to(labels.device), share=share, kappa=c.kappa)
        return partial_mixup(x, anchors, partners, self.topology, order=c.order), below, weight, anchors

    def step(self, batch: Batch, generator: torch.Generator) -> Step:
        check_labels(batch)
        w = self.weights.to(batch.labels.device)
        x, below, share, anchors = self.mixed(self.view(batch, generator), batch.labels, generator)
        features = self.encoder(x)
        logits = full_precision(self.head(features))
        above, share = self.losses(logits, batch.labels), share.to(logits.dtype)
        both = torch.cat([above, self.losses(logits, below)])
        weights = torch.cat([share * w[batch.labels].to(share), (1 - share) * w[below].to(share)])
        loss = weighted_mean(both, weights)
        guess = logits.detach().argmax(dim=1)
        right = share * (guess == batch.labels) + (1 - share) * (guess == below)
        parts = {"accuracy": right.mean(), "mixed": loss.new_tensor(len(anchors) / len(batch))}
        return Step(loss=loss, parts=parts, out={"query": features.detach(), "logits": logits.detach(), "anchors": anchors})

    # what it says

    def _test_views(self, batch: Batch) -> list[Tensor]:
        frames = uniform_test_frames(batch.lengths, self.config.frames, clips=self.config.test_clips)  # (N, clips, L)
        return [self.view(batch, index=frames[:, k]) for k in range(self.config.test_clips)]

    def _test_features(self, batch: Batch) -> Tensor:
        """(test clips, N, D), in eval mode."""
        with evaluating(self):
            seen = [torch.cat([self.encoder(piece) for piece in view.split(PIECE)]) for view in self._test_views(batch)]
        return full_precision(torch.stack(seen))

    @torch.no_grad()
    def features(self, batch: Batch) -> Tensor:
        """What the classifier reads, the mean over the test clips (N, D)."""
        return self._test_features(batch).mean(dim=0)

    @torch.no_grad()
    def logits(self, batch: Batch) -> Tensor:
        """Logarithm of the mean probability over the test clips (N, classes), next to nothing where a class has no training clip.

        Balanced softmax and LDAM change the scores in training only.
        """
        each = full_precision(self.head(self._test_features(batch)))
        if self.counts is not None:
            each = each.masked_fill((self.counts == 0).to(each.device), -torch.inf)
        return each.softmax(dim=2).mean(dim=0).clamp_min(torch.finfo(each.dtype).tiny).log()

    def backbone(self) -> Backbone:
        """The encoder on its stream, for a new classifier on top."""
        from skelbench.methods.backbone import Backbone

        c = self.config
        return Backbone(encoder=Cut(self), width=self.width, stream=c.stream, frames=c.frames, minimum=min(c.frames, 64))

    def explain(self, batch: Batch) -> Explanation:
        """What the decision hangs on.

        ``joints`` (N, T, V): gradient times input of the winning score, over coordinates and bodies, its absolute value as a share
        of the clip's sum; ``frames`` is its sum over joints. ``pairs`` (N, 3, V, V): the graphs of the last block (self, inward,
        outward), [v, w] is v to w, the same for all clips.
        """
        with torch.enable_grad(), evaluating(self):
            joints = batch.joints.detach().clone().requires_grad_()
            views = self._test_views(batch.with_joints(joints))
            scores = torch.stack([self.head(self.encoder(view)) for view in views]).mean(dim=0)
            (slope,) = torch.autograd.grad(scores.amax(dim=1).sum(), joints)
        share = (joints.detach() * slope).sum(dim=(1, 4)).abs()  # (N, T, V)
        share = share / share.sum(dim=(1, 2), keepdim=True).clamp(min=torch.finfo(share.dtype).tiny)
        pairs = self.encoder.learned[-1].detach().expand(len(batch), -1, -1, -1)
        return Explanation(joints=share, frames=share.sum(dim=2), pairs=pairs)


class Cut(nn.Module):
    """The encoder of a BRL on all coordinates that the data has: what comes after those of the layout is left out."""

    def __init__(self, method: BRL) -> None:
        super().__init__()
        self.encoder, self.coordinates = method.encoder, method.coordinates

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, T, V, M) -> (N, D)."""
        features: Tensor = self.encoder(x[:, : self.coordinates])
        return features


def _chance(N: int, p: float, generator: torch.Generator) -> Tensor:
    """True with probability p (N,)."""
    return torch.rand(N, generator=generator, device=generator.device, dtype=torch.float64) < p
