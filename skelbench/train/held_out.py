"""What the validation subjects decide, where a recipe has something decided on held-out clips: the learning rate, and the epoch.

Released recipes often let the test side halve the learning rate and pick the best epoch. Here clips of *training* subjects that are
held out do both: ``train.patience`` and ``train.select``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from skelbench.methods.base import Method, evaluating
from skelbench.skeleton.clip import Batch

FACTOR = 0.5  # of the learning rate, when the loss stops falling
THRESHOLD = 1e-4  # a loss must fall by this share to count as better; both are torch's ReduceLROnPlateau as PSUMNet calls it


@dataclass(kw_only=True)
class HeldOut:
    """What was seen on validation so far.

    Attributes:
        factor: what the learning rate is multiplied with.
        lowest: lowest loss.
        waited: epochs since.
        accuracy: highest accuracy, -1 before the first look.
        epoch: when that was, -1 before the first look.
        weights: the weights then, where they are kept.
    """

    factor: float = 1.0
    lowest: float = math.inf
    waited: int = 0
    accuracy: float = -1.0
    epoch: int = -1
    weights: dict[str, Tensor] = field(default_factory=dict, repr=False)

    def see(self, epoch: int, loss: float, accuracy: float, *, patience: int, method: Method | None) -> None:
        """Take in one epoch: halve ``factor`` where the loss fell in none of more than ``patience`` epochs, keep the best weights.

        Args:
            epoch: that ended.
            loss: mean over validation clips.
            accuracy: on the same.
            patience: 0 leaves ``factor`` alone.
            method: whose weights are kept where the accuracy is higher than ever; nobody's where None.
        """
        if loss < self.lowest * (1 - THRESHOLD):
            self.lowest, self.waited = loss, 0
        else:
            self.waited += 1
        if patience and self.waited > patience:
            self.factor, self.waited = self.factor * FACTOR, 0
        if accuracy > self.accuracy:
            self.accuracy, self.epoch = accuracy, epoch
            if method is not None:
                self.weights = {name: held.detach().clone() for name, held in method.state_dict().items()}

    def counters(self) -> dict[str, Any]:
        """Plain numbers, for a checkpoint; a loss that was never seen is left out."""
        known = {name: getattr(self, name) for name in ("factor", "lowest", "waited", "accuracy", "epoch")}
        return {name: value for name, value in known.items() if math.isfinite(value)}

    @classmethod
    def of(cls, counters: Mapping[str, Any], weights: dict[str, Tensor]) -> HeldOut:
        """What ``counters`` and ``weights`` saw."""
        kinds = {"factor": float, "lowest": float, "waited": int, "accuracy": float, "epoch": int}
        return cls(**{name: kind(counters[name]) for name, kind in kinds.items() if name in counters}, weights=weights)


@torch.no_grad()
def judged(method: Method, batches: Iterable[Batch], device: torch.device) -> tuple[float, float]:
    """(mean loss, accuracy) of a classifier on these clips, in eval mode."""
    loss, right, seen = 0.0, 0, 0
    with evaluating(method):
        for each in batches:
            batch = each.to(device)
            loss += float(method.held_out_loss(batch).double().sum())
            right += int((method.logits(batch).argmax(dim=1) == batch.labels).sum())
            seen += len(batch)
    return loss / max(seen, 1), right / max(seen, 1)
