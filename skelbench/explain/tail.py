"""What a long tail looks like to BRL: clips of every class, clips as its sampler shows them, weights, and two bodies made one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skelbench.data.longtail import profile
from skelbench.errors import ConfigError, DataError
from skelbench.parts.partial_mixup import halves, partial_mixup, upper_weight
from skelbench.parts.rebalance import class_weights, rebalanced_repeats, thirds
from skelbench.skeleton.clip import Clip

WEIGH = ("clips", "shown")


@dataclass(frozen=True, kw_only=True, eq=False)
class Tail:
    """Classes in order of their clips.

    Attributes:
        names: C class names, the most frequent first.
        counts: training clips n_c (C,) int64.
        shown: clips as an epoch of the rebalanced sampler shows them (C,) float64.
        weights: in the last stage (C,) float64; they sum to C.
        groups: many, medium or few for every class.
    """

    names: tuple[str, ...]
    counts: Tensor
    shown: Tensor
    weights: Tensor
    groups: tuple[str, ...]

    @classmethod
    def of(cls, names: Sequence[str], counts: Sequence[int] | Tensor, *, loss: str = "action_aware", weigh: str = "clips") -> Tail:
        """The tail of classes with these training clips; those without any are left out.

        Args:
            names: of all classes.
            counts: training clips of each.
            loss: of ``skelbench.parts.rebalance.LOSSES``.
            weigh: weights from the ``clips`` there are, as published, or from those ``shown``.

        Raises:
            ConfigError: no such loss or way to weigh; DataError: no clip at all.
        """
        if weigh not in WEIGH:
            raise ConfigError(f"weigh={weigh!r} is neither 'clips' nor 'shown'")
        n = torch.as_tensor(counts, dtype=torch.int64)
        order = [c for c in torch.argsort(n, descending=True, stable=True).tolist() if n[c] > 0]
        if not order or len(n) != len(names):
            raise DataError(
                f"{len(n)} counts for {len(names)} classes, {len(order)} of them with a clip; wanted one a class, some above 0"
            )
        n = n[order]
        shown = rebalanced_repeats(n) * n
        weights = class_weights(loss, n if weigh == "clips" else shown)
        return cls(names=tuple(names[c] for c in order), counts=n, shown=shown, weights=weights, groups=thirds(n))

    @classmethod
    def profile(cls, names: Sequence[str], *, imbalance: float, largest: int, **how: Any) -> Tail:
        """The tail that a long-tailed split of this imbalance would have. Raises as ``skelbench.data.longtail.profile``."""
        return cls.of(names, torch.from_numpy(profile(len(names), imbalance=imbalance, largest=largest)), **how)

    @property
    def say(self) -> Tensor:
        """Clips shown times weight, as a multiple of the mean over classes (C,): what a class has to say in the last stage."""
        say = self.shown * self.weights
        return say / say.mean()


@dataclass(frozen=True, kw_only=True, eq=False)
class MixedBody:
    """One clip with the legs of another.

    Attributes:
        clips: anchor, partner, the mixed body with joints in their places, and with joints as the release leaves them.
        weight: of the anchor's label, 0 .. 1; the rest is its partner's.
        titles: one a clip.
    """

    clips: tuple[Clip, Clip, Clip, Clip]
    weight: float
    titles: tuple[str, str, str, str]


def mixed_body(
    anchor: Clip, partner: Clip, counts: Sequence[int] | Tensor, classes: Sequence[str], *, kappa: float = 3.0
) -> MixedBody:
    """Partial mixup of two clips, to be looked at.

    The clips are cut to the shorter one, and hips are laid on hips in the first frame, as normalised clips have them.

    Args:
        anchor: gives the upper body.
        partner: gives the lower body.
        counts: training clips of every class.
        classes: their names.
        kappa: how many times more frequent a class must be to lose its label.

    Raises:
        DataError: clips of different skeletons, without labels, or a skeleton without legs.
    """
    if anchor.topology != partner.topology or anchor.joints.shape[3] != partner.joints.shape[3]:
        raise DataError(f"clips {anchor.id!r} and {partner.id!r} have different skeletons; a body is mixed from two of one kind")
    if min(anchor.label, partner.label) < 0:
        raise DataError(f"clips {anchor.id!r} and {partner.id!r} need labels, from which the share of each follows")
    T, M = min(len(anchor), len(partner)), max(anchor.joints.shape[1], partner.joints.shape[1])
    root = anchor.topology.root
    pair = np.zeros((2, T, M, *anchor.joints.shape[2:]), np.float32)
    for row, clip in zip(pair, (anchor, partner), strict=True):
        there = clip.joints[:T]
        seen = (there != 0).any(axis=(2, 3))
        start = there[:, 0][seen[:, 0]][:1, root] if seen[:, 0].any() else np.zeros((1, there.shape[3]), np.float32)
        row[:, : there.shape[1]] = np.where(seen[..., None, None], there - start[0], 0)
    x = torch.from_numpy(pair).permute(0, 4, 1, 3, 2)  # (2, C, T, V, M)
    one, other = torch.tensor([0]), torch.tensor([1])
    made = [
        partial_mixup(x, one, other, anchor.topology, order=order)[0].permute(1, 3, 2, 0).numpy()
        for order in ("preserve", "official")
    ]
    upper, lower = halves(anchor.topology)
    n = torch.as_tensor(counts, dtype=torch.int64)
    labels = torch.tensor([anchor.label]), torch.tensor([partner.label])
    weight = float(upper_weight(*labels, n, share=len(upper) / (len(upper) + len(lower)), kappa=kappa)[0])
    a, b = classes[anchor.label], classes[partner.label]
    both = f"{weight:.2f} {a}, {1 - weight:.2f} {b}"
    shown = [replace(anchor, joints=pair[0]), replace(partner, joints=pair[1])]
    shown += [replace(anchor, joints=joints, id=f"{anchor.id} on {partner.id}") for joints in made]
    titles = (
        f"anchor: {a} ({int(n[anchor.label])} clips)",
        f"partner: {b} ({int(n[partner.label])} clips)",
        f"mixed: {both}",
        "official order",
    )
    return MixedBody(clips=tuple(shown), weight=weight, titles=titles)  # type: ignore[arg-type]
