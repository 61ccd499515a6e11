"""Retrieval: the gallery put in order of likeness to every test clip. Nothing is trained, nothing is chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from skelbench.errors import ConfigError
from skelbench.evaluate.features import Features
from skelbench.evaluate.score import Description, Measure
from skelbench.parts.nearest import rank_keys, unit_rows


@dataclass(frozen=True, kw_only=True, eq=False)
class Retrieved:
    """How well Q test clips find their own class.

    Attributes:
        classes: class names.
        labels: true classes (Q,).
        rows: rows of the test clips in their store (Q,).
        average_precision: per test clip (Q,), float64.
        precision: k -> share of its class among the k most alike (Q,), float64.
        chosen: whatever a reader must know.
    """

    classes: tuple[str, ...]
    labels: Tensor
    rows: Tensor
    average_precision: Tensor
    precision: Mapping[int, Tensor]
    chosen: Mapping[str, Any] = field(default_factory=dict)

    @property
    def mean_average_precision(self) -> float:
        """Over test clips."""
        return float(self.average_precision.mean())

    @property
    def measures(self) -> tuple[Measure, ...]:
        """``mAP`` and ``P@k`` for every k, as rows of the table."""
        numbers = {"mAP": self.average_precision, **{f"P@{k}": value for k, value in self.precision.items()}}
        return tuple(
            Measure(
                protocol=name,
                accuracy=float(value.mean()),
                mean_class=self._mean_class(value),
                n=len(value),
                chosen=self.chosen,
            )
            for name, value in numbers.items()
        )

    def _mean_class(self, values: Tensor) -> float:
        sums, counts = (torch.zeros(len(self.classes), dtype=torch.float64) for _ in range(2))
        sums.index_add_(0, self.labels, values)
        counts.index_add_(0, self.labels, torch.ones_like(values))
        return float((sums / counts)[counts > 0].mean())


@dataclass(frozen=True, kw_only=True)
class Retrieval:
    """Precision at k and mean average precision by cosine, exact over the whole gallery.

    Frozen: the whole network. Gallery: training clips, those of the validation subjects among them. Selection: none. Equal
    similarities are ordered as in 1-NN, so that P@1 is 1-NN accuracy.

    Attributes:
        at: the k of precision at k.
        memory: bytes of working space; it grows neither with queries nor with the gallery. Changes no result.
    """

    at: tuple[int, ...] = (1, 5, 10)
    memory: int = 128 << 20

    def __post_init__(self) -> None:
        if not self.at or min(self.at) < 1 or len(set(self.at)) < len(self.at):
            raise ConfigError(f"Retrieval.at lists different numbers of clips, 1 or more; got {self.at}")

    @property
    def name(self) -> str:
        return "retrieval"

    def describe(self) -> Description:
        """The protocol in words."""
        return Description(
            frozen="the whole network, in eval mode",
            trained="nothing",
            gallery="training clips and those of the validation subjects, centre crops",
            metric="cosine of the features before the projection head",
            selection="none",
        )

    def run(self, train: Features, test: Features, *, validation: Features | None = None) -> Retrieved:
        """How ``test`` finds its classes among ``train`` and ``validation``. Clips without a class take no part.

        A test clip whose class the gallery lacks counts 0.

        Raises:
            ConfigError: a gallery of fewer than k clips.
        """
        gallery, test = train.join(validation).labelled("training"), test.labelled("test")
        if max(self.at) > len(gallery):
            raise ConfigError(f"precision at {max(self.at)} among {len(gallery)} gallery clips; choose {len(gallery)} at most")
        average = torch.zeros(len(test), dtype=torch.float64)
        precision = {k: torch.zeros(len(test), dtype=torch.float64) for k in self.at}
        sizes = torch.bincount(gallery.labels, minlength=len(test.classes))  # clips of every class
        unmatched = int((sizes[test.labels] == 0).sum())
        asked = test.labels.argsort(stable=True)  # few classes a block
        asked = asked[sizes[test.labels[asked]] > 0]
        q, g = block_sizes(len(asked), len(gallery), int(sizes.max()), test.values.shape[1], memory=self.memory)
        for at in asked.split(q) if len(asked) else ():
            ranks = class_ranks(test.values[at], test.labels[at], gallery.values, gallery.labels, rows=g)  # (q, R)
            there, at = ranks > 0, at.cpu()
            found = there.cumsum(1).double()  # how many of the class came up to here
            average[at] = (torch.where(there, found / ranks.clamp(min=1), 0).sum(dim=1) / there.sum(dim=1)).cpu()
            for k in self.at:
                precision[k][at] = ((there & (ranks <= k)).sum(dim=1) / k).double().cpu()
        return Retrieved(
            classes=test.classes,
            labels=test.labels.cpu(),
            rows=test.rows.cpu(),
            average_precision=average,
            precision=precision,
            chosen={"test clips whose class is not in the gallery": unmatched} if unmatched else {},
        )


def class_ranks(queries: Tensor, labels: Tensor, gallery: Tensor, classes: Tensor, *, rows: int) -> Tensor:
    """Where the clips of each query's class stand in the order of the whole gallery, the best first: int64 (q, R), from 1 on.

    R is the size of the largest class; rows of smaller ones end in zeros. The gallery is walked through ``rows`` clips at a time:
    once, class by class, for the similarities of the class, and once to count for each of them how many are larger. No order of the
    whole gallery is ever made.

    Args:
        queries: features (q, D).
        labels: their classes (q,), each with at least one clip in the gallery.
        gallery: (G, D).
        classes: of the gallery's clips (G,).
        rows: gallery clips at a time.
    """
    unit = unit_rows(queries)
    own = {label: (classes == label).nonzero()[:, 0] for label in labels.unique().tolist()}
    R, last = max(len(at) for at in own.values()), torch.iinfo(torch.int64).max
    theirs = torch.full((len(unit), R), last, dtype=torch.int64, device=unit.device)  # padded where a class is smaller
    for label, clips in own.items():
        of = (labels == label).nonzero()[:, 0]
        for first, at in zip(range(0, len(clips), rows), clips.split(rows), strict=True):
            theirs[of, first : first + len(at)] = rank_keys(unit[of], unit_rows(gallery[at]), at)
    theirs = theirs.sort(dim=1).values  # the least alike first
    passed = torch.zeros(len(unit), R + 1, dtype=torch.int64, device=unit.device)
    for first in range(0, len(gallery), rows):
        block = unit_rows(gallery[first : first + rows])
        keys = rank_keys(unit, block, torch.arange(first, first + len(block), device=unit.device))  # (q, g)
        below = torch.searchsorted(theirs, keys)  # how many of the class are less alike than this clip
        passed.scatter_add_(1, below, torch.ones_like(below))
    # passed[j] clips are more alike than exactly j of the class; ahead of its j-th stand those that pass more than j
    ranks = passed.flip(1).cumsum(1)[:, :-1] + 1  # (q, R), the padding first
    ranks = ranks.masked_fill(theirs.flip(1) == last, 0)
    return ranks.gather(1, (ranks == 0).to(torch.int8).argsort(dim=1, stable=True))


def block_sizes(Q: int, G: int, R: int, D: int, *, memory: int) -> tuple[int, int]:
    """Queries and gallery clips at a time, so that working space stays below ``memory`` bytes.

    A query costs 120 bytes for every clip of the largest class (similarities, their order, counts) and 32 D (float64, normalised,
    temporaries); a gallery clip 32 D, and a pair 72 bytes.
    """
    q = max(1, min(Q, memory // 3 // (120 * R + 32 * D)))
    g = max(1, min(G, memory // 3 // (72 * q + 32 * D)))
    return int(q), int(g)
