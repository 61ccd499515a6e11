"""Losses for classes of very different size, and what BRL draws and mixes so that rare ones are seen (arXiv 2308.14024).

n_c is the number of training clips of class c, C the number of classes. All weights are scaled to sum to C, and a weighted loss is
the weighted mean, sum_i w_yi l_i / sum_i w_yi.

| loss | l(z, y) | weight |
|---|---|---|
| ce | CE(z, y) | 1 |
| class_balanced (Cui 2019) | CE(z, y) | (1 - b) / (1 - b^n_c), b = 0.999 |
| action_aware (BRL) | CE(z, y) | the same, b_c = v + l (n_c - n_min) / (n_max - n_min), v = 0.99, l = 0.0099 |
| focal (Lin 2017) | (1 - p_y)^g CE(z, y), g = 2 | 1 |
| ldam (Cao 2019) | CE(s (z - m_y e_y), y), m_c = 0.5 (n_min / n_c)^(1/4), s = 30 | class-balanced, b = 0.999999 |
| balanced_softmax (Ren 2020) | CE(z + log n, y) | 1 |

The schedule is detached: plain cross-entropy first, so that features are learned from all clips alike, and the loss in the last
epochs only. LDAM keeps its margins throughout and its weights for the end; balanced softmax needs no schedule.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from skelbench.errors import ConfigError, DataError

GROUPS = ("many", "medium", "few")
LOSSES = ("ce", "class_balanced", "action_aware", "focal", "ldam", "balanced_softmax")


def class_counts(labels: np.ndarray | Tensor, classes: Sequence[str]) -> Tensor:
    """Clips a class, int64 (C,), of the labels (N,) that are trained on; unlabelled clips (-1) do not count.

    Raises:
        DataError: a class without a clip, which is named: its weight would be infinite.
    """
    given = torch.as_tensor(labels, dtype=torch.int64).cpu()
    counts = torch.bincount(given[given >= 0], minlength=len(classes))
    bare = (counts == 0).nonzero()[:, 0].tolist()
    if bare:
        raise DataError(
            f"class {classes[bare[0]]!r} has no training clip ({len(bare)} of {len(classes)} classes have none), and a loss that "
            "weighs classes by their number of clips has no weight for it; take a smaller imbalance or leave the class out"
        )
    return counts


def action_aware_betas(counts: Tensor, *, upsilon: float = 0.99, slope: float = 0.0099) -> Tensor:
    """The b of every class (C,) float64: ``upsilon`` for the rarest, ``upsilon + slope`` for the most frequent (BRL).

    Classes that all have the same size have ``upsilon``.
    """
    n = counts.double()
    return upsilon + slope * (n - n.min()) / (n.max() - n.min()).clamp_min(1)


def effective_weights(counts: Tensor, betas: Tensor | float) -> Tensor:
    """``(1 - b) / (1 - b^n)`` scaled to sum to C: (C,) float64. ``betas`` (C,) or one for all, in [0, 1)."""
    b = torch.as_tensor(betas, dtype=torch.float64, device=counts.device)
    if not bool(((b >= 0) & (b < 1)).all()):
        raise ConfigError(f"beta = {b.flatten().tolist()[:3]}: wanted numbers from 0 to below 1")
    # 1 - b^n with all digits, also where b is next to 1.
    w = (1 - b) / -torch.expm1(counts.double() * torch.log(b)) if bool((b > 0).all()) else (1 - b) / (1 - b**counts)
    return w * len(counts) / w.sum()


def ldam_margins(counts: Tensor, *, largest: float = 0.5) -> Tensor:
    """``largest`` for the rarest class, less with the fourth root of the number of clips: (C,) float64."""
    return largest * (counts.min() / counts.double()) ** 0.25


def focal(logits: Tensor, labels: Tensor, *, gamma: float = 2.0) -> Tensor:
    """Cross-entropy of every clip (N,), scaled by how far it is from certain."""
    entropy = functional.cross_entropy(logits, labels, reduction="none")
    return (-torch.expm1(-entropy)) ** gamma * entropy


def ldam_logits(logits: Tensor, labels: Tensor, margins: Tensor, *, scale: float = 30.0) -> Tensor:
    """The label's own logit less its margin, all times ``scale`` (N, C)."""
    own = functional.one_hot(labels, logits.shape[1]).to(logits.dtype)
    return scale * (logits - own * margins.to(logits)[labels][:, None])


def balanced_logits(logits: Tensor, counts: Tensor) -> Tensor:
    """Logits (N, C) with the log of the class sizes added, as if every class were drawn as often as it is there."""
    return logits + counts.to(logits).log()


def weighted_mean(losses: Tensor, weights: Tensor) -> Tensor:
    """``sum_i w_i l_i / sum_i w_i``, a scalar; torch's own weighted cross-entropy."""
    return (weights * losses).sum() / weights.sum()


def class_losses(name: str, logits: Tensor, labels: Tensor, counts: Tensor) -> Tensor:
    """The named loss of every clip (N,), before any weight.

    Args:
        name: one of ``LOSSES``.
        logits: (N, C).
        labels: (N,).
        counts: training clips of every class (C,).

    Raises:
        ConfigError: no such loss.
    """
    if name not in LOSSES:
        raise ConfigError(f"no loss called {name!r}; there are: {', '.join(LOSSES)}")
    if name == "focal":
        return focal(logits, labels)
    if name == "ldam":
        logits = ldam_logits(logits, labels, ldam_margins(counts))
    if name == "balanced_softmax":
        logits = balanced_logits(logits, counts)
    return functional.cross_entropy(logits, labels, reduction="none")


def class_weights(name: str, counts: Tensor) -> Tensor:
    """Weights of the named loss in its last stage (C,) float64, 1 where it has none; they sum to C. Raises as ``class_losses``."""
    if name not in LOSSES:
        raise ConfigError(f"no loss called {name!r}; there are: {', '.join(LOSSES)}")
    betas = {"class_balanced": 0.999, "ldam": 0.999999}
    if name == "action_aware":
        return effective_weights(counts, action_aware_betas(counts))
    return effective_weights(counts, betas[name]) if name in betas else torch.ones(len(counts), dtype=torch.float64)


def staged(name: str, *, last_stage: bool) -> tuple[str, bool]:
    """What the detached schedule makes of a loss: the loss to take, and whether it is weighted.

    Before the last stage action-aware, class-balanced and focal loss are plain cross-entropy. LDAM keeps its margins and balanced
    softmax its shift throughout.
    """
    deferred = name in ("action_aware", "class_balanced", "focal")
    return ("ce" if deferred and not last_stage else name), last_stage


def rebalanced_repeats(counts: Tensor, *, base: float = 1.0) -> Tensor:
    """How often an epoch shows a clip of every class (C,) float64: ``base``, and in the tail ``base * n_max / n_c``.

    The tail is the rarest third of the classes, those from place ``2 floor(C / 3)`` on in order of falling size (of two that are
    equal the later one is the rarer); with the published lists these are the last third of the labels. BRL has ``base`` 5.
    """
    n = counts.cpu()
    times = torch.full((len(n),), float(base), dtype=torch.float64)
    tail = torch.argsort(n, descending=True, stable=True)[2 * (len(n) // 3) :]
    times[tail] = base * (n.max() / n[tail].double())  # in this order, for the published number of clips an epoch
    return times


def thirds(counts: Tensor) -> tuple[str, ...]:
    """``many``, ``medium`` or ``few`` for every class, C of them; "" for a class without training clips.

    Of the K classes with clips, by falling number, the first ``floor(K / 3)`` are many, from place ``2 floor(K / 3)`` on they are
    few; of two that are equal the later one is the rarer, as for BRL's sampler.
    """
    known = int((counts > 0).sum())
    order = torch.argsort(counts, descending=True, stable=True)[:known].tolist()
    found = [""] * len(counts)
    for place, c in enumerate(order):
        found[c] = GROUPS[min(place // max(known // 3, 1), 2)] if known >= 3 else GROUPS[2 * place // max(known - 1, 1)]
    return tuple(found)
