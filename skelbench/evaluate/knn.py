"""kNN on frozen features: nothing is trained, nothing is chosen."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from skelbench.errors import ConfigError
from skelbench.evaluate.features import Features
from skelbench.evaluate.score import Description, Score
from skelbench.parts.nearest import Nearest, nearest

__all__ = ["KNN", "Nearest", "nearest", "vote"]


@dataclass(frozen=True, kw_only=True)
class KNN:
    """k nearest neighbours by cosine among the training clips, majority vote (HaLP and ISC: k = 1).

    Frozen: the whole network. Gallery: training clips, those of the validation subjects among them. Selection: none.

    Attributes:
        k: neighbours that vote.
        memory: bytes of working space for the search; changes no result.
    """

    k: int = 1
    memory: int = 128 << 20

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ConfigError(f"KNN needs k >= 1, got {self.k}")

    @property
    def name(self) -> str:
        return f"{self.k}-NN"

    def describe(self) -> Description:
        """The protocol in words."""
        return Description(
            frozen="the whole network, in eval mode",
            trained="nothing",
            gallery="training clips and those of the validation subjects, centre crops",
            metric="cosine of the features before the projection head",
            vote="the nearest clip" if self.k == 1 else f"majority of {self.k}; a tie goes to the class that stands nearest",
            selection="none",
        )

    def run(self, train: Features, test: Features, *, validation: Features | None = None) -> Score:
        """Score of ``test`` with ``train`` and ``validation`` as the gallery. Clips without a class take no part.

        Raises:
            ConfigError: fewer than k gallery clips.
        """
        gallery, test = train.join(validation).labelled("training"), test.labelled("test")
        found = nearest(test.values, gallery.values, self.k, memory=self.memory)
        return Score.of(self.name, test, predictions=vote(gallery.labels[found.rows], classes=len(test.classes)))


def vote(labels: Tensor, *, classes: int) -> Tensor:
    """Majority class (Q,) of neighbours' labels (Q, k), nearest first; a tie goes to the class that stands nearest."""
    k = labels.shape[1]
    counts = torch.zeros(len(labels), classes, dtype=torch.int64, device=labels.device)
    counts.scatter_add_(1, labels, torch.ones_like(labels))  # (Q, classes)
    order = torch.arange(k, 0, -1, device=labels.device)
    return labels.gather(1, (counts.gather(1, labels) * (k + 1) + order).argmax(dim=1, keepdim=True)).squeeze(1)
