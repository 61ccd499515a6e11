"""Rebalanced partial mixup of BRL (arXiv 2308.14024): the upper body of one clip on the legs of another, labelled with the rarer.

A clip x of class a and its partner y of class b give a new one with the upper body of x and the lower body of y, all frames and
bodies. How much of its label is a hangs on n_a and n_b, the training clips of both classes:

    w = 0      n_a > k n_b    (b is much rarer: all weight on b)
    w = 1      n_b > k n_a
    w = alpha  otherwise      (the share of the joints that came from x)

The released code has one w for a whole batch, that of its last pair; here every clip has its own. It also leaves the joints of a
mixed clip in another order than all others, first the upper body, then the lower (``order="official"``); ``preserve`` keeps every
joint at its place.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from skelbench.errors import ConfigError, DataError
from skelbench.skeleton.clip import check_joints
from skelbench.skeleton.topology import Topology

Order = Literal["preserve", "official"]


def halves(topology: Topology) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Joints of the upper and of the lower body, every joint in one of them.

    The layout's own, ``brl_upper`` and ``brl_lower``, where it names them. Else the lower body is both legs, with the joint that
    they hang on if no arm and no head has part in it or hangs on it.

    Raises:
        DataError: a layout without two legs, or with nothing else.
    """
    parts = topology.parts
    if "brl_upper" in parts and "brl_lower" in parts:
        return tuple(sorted(parts["brl_upper"])), tuple(sorted(parts["brl_lower"]))
    if not parts.get("left_leg") or not parts.get("right_leg"):
        raise DataError(
            f"skeleton {topology.name!r} names no left_leg and right_leg, so it has no upper and lower body to mix; "
            "name them as parts of the layout, or switch the mixup off (mix=0)"
        )
    lower = set(parts["left_leg"]) | set(parts["right_leg"])
    above = {j for name in ("left_arm", "right_arm", "head") for j in parts.get(name, ())}
    carriers = {topology.parents[j] for j in lower} - lower
    if len(carriers) == 1 and (hip := carriers.pop()) >= 0 and hip not in above:
        if not any(topology.parents[j] == hip for j in above):
            lower.add(hip)
    upper = set(range(topology.V)) - lower
    if not upper:
        raise DataError(f"skeleton {topology.name!r} is all legs: it has no upper body to mix; switch the mixup off (mix=0)")
    return tuple(sorted(upper)), tuple(sorted(lower))


def draw_pairs(N: int, *, ratio: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """``floor(ratio N)`` different clips of a batch, and a partner for each among all others: two int64 (pairs,).

    Nothing is drawn in a batch of one.
    """
    if not 0 <= ratio <= 1:
        raise ConfigError(f"ratio = {ratio} of a batch: wanted a number between 0 and 1")
    pairs = int(ratio * N) if N > 1 else 0
    device = generator.device
    anchors = torch.randperm(N, generator=generator, device=device)[:pairs]
    if not pairs:
        return anchors, anchors
    steps = torch.randint(1, N, (pairs,), generator=generator, device=device)
    return anchors, (anchors + steps) % N


def partial_mixup(x: Tensor, anchors: Tensor, partners: Tensor, topology: Topology, *, order: Order = "preserve") -> Tensor:
    """A batch in which the clips ``anchors`` (pairs,) have the lower body of their ``partners`` (pairs,): (N, C, T, V, M).

    Partners are taken as they were before any was mixed. With ``order="official"`` slot s of a mixed clip holds the s-th joint of
    upper body and lower body, one after the other.
    """
    check_joints(x, topology)
    if order not in ("preserve", "official"):
        raise ConfigError(f"order = {order!r}: wanted 'preserve' or 'official'")
    upper, lower = halves(topology)
    anchors, partners = anchors.to(x.device), partners.to(x.device)
    below = torch.zeros(topology.V, dtype=torch.bool, device=x.device)
    below[list(lower)] = True
    mixed = torch.where(below[:, None], x[partners], x[anchors])  # (pairs, C, T, V, M)
    if order == "official":
        mixed = mixed[:, :, :, [*upper, *lower]]
    return x.index_copy(0, anchors, mixed)


def mixed_labels(labels: Tensor, anchors: Tensor, partners: Tensor) -> Tensor:
    """Label of the lower body of every clip (N,): its partner's where it was mixed, else its own."""
    anchors, partners = anchors.to(labels.device), partners.to(labels.device)
    return labels.index_copy(0, anchors, labels[partners])


def upper_weight(upper: Tensor, lower: Tensor, counts: Tensor, *, share: float, kappa: float = 3.0) -> Tensor:
    """Weight w of the upper body's label for every clip (N,) float64; 1 where both labels are the same.

    Args:
        upper: label of the upper body (N,).
        lower: label of the lower body (N,).
        counts: training clips of every class (C,).
        share: alpha, the weight between classes of similar size; in the paper upper joints over all joints, 16 of 25.
        kappa: how many times more frequent a class must be to lose its weight.
    """
    if not 0 <= share <= 1 or kappa < 1:
        raise ConfigError(f"share = {share}, kappa = {kappa}: wanted a share between 0 and 1 and a kappa of 1 or more")
    a, b = counts[upper].double(), counts[lower].double()
    weight = torch.full_like(a, share)
    weight = torch.where(a > kappa * b, torch.zeros_like(a), weight)
    weight = torch.where(b > kappa * a, torch.ones_like(a), weight)
    return torch.where(upper == lower, torch.ones_like(a), weight)
