"""Training a classifier for a protocol: SGD over views of the clips, looked at now and then on held-out training subjects."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from skelbench.data.loader import Loader
from skelbench.errors import ConfigError, DataError, RunError
from skelbench.evaluate.features import Features
from skelbench.evaluate.score import Score
from skelbench.evaluate.trial import Trial, refuse_one_shot
from skelbench.methods.base import Method


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a classifier is trained. The values are those of HaLP's and CMD's released scripts for NTU, but for the rate.

    Attributes:
        lr: before any drop.
        momentum: of SGD.
        weight_decay: on every trained parameter.
        batch: clips a step; the last one of an epoch may be smaller.
        epochs: passes over the training clips.
        drops: epochs, counted from 0, from which on the rate is a tenth of what it was.
        warmup: epochs over which the rate rises in equal steps to ``lr``.
        look_every: epochs between two looks at the validation clips; the last epoch is always looked at.
        select: ``validation`` keeps the epoch that does best on held-out training subjects, the first of equals; ``last`` trains on
            the whole training side and keeps the last epoch.
        ratio: shortest and longest stretch of a clip in a training view.
        smoothing: of the labels.
        seed: of new weights, order and views.
    """

    lr: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 0.0
    batch: int = 64
    epochs: int = 80
    drops: tuple[int, ...] = (50, 70)
    warmup: int = 0
    look_every: int = 5
    select: str = "validation"
    ratio: tuple[float, float] = (0.5, 1.0)
    smoothing: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        rules = [
            (self.lr > 0, f"lr={self.lr} must be above 0"),
            (0 <= self.momentum < 1, f"momentum={self.momentum} must lie in [0, 1)"),
            (self.weight_decay >= 0, f"weight_decay={self.weight_decay} must not be negative"),
            (min(self.batch, self.epochs, self.look_every) >= 1, "batch, epochs and look_every must be at least 1"),
            (self.warmup >= 0, f"warmup={self.warmup} must not be negative"),
            (self.select in ("validation", "last"), f"select={self.select!r} is neither 'validation' nor 'last'"),
        ]
        wrong = [text for holds, text in rules if not holds]
        if wrong:
            raise ConfigError(f"{type(self).__qualname__}: {'; '.join(wrong)}")

    def rate(self, epoch: int) -> float:
        """Learning rate of an epoch."""
        rise = min(1.0, (epoch + 1) / self.warmup) if self.warmup else 1.0
        return self.lr * rise * 0.1 ** sum(epoch >= drop for drop in self.drops)

    @property
    def words(self) -> str:
        """The recipe in short."""
        drops = f", /10 at {', '.join(map(str, self.drops))}" if self.drops else ""
        warmup = f", {self.warmup} of them warming up" if self.warmup else ""
        return f"SGD {self.lr:g}, momentum {self.momentum:g}, batch {self.batch}, {self.epochs} epochs{warmup}{drops}"

    @property
    def selection(self) -> str:
        """How the epoch is chosen, in words."""
        if self.select == "last":
            return "none: the last epoch"
        return f"the best of every {self.look_every}th epoch on held-out training subjects, never on test"


def fit_and_score(name: str, learner: Method, trial: Trial, recipe: Recipe, *, frozen: nn.Module | None = None) -> Score:
    """Train ``learner`` on the trial's training side and score its test side.

    Args:
        name: of the protocol.
        learner: a supervised method on the trial's device; it is changed.
        trial: the clips and their sides.
        recipe: how.
        frozen: a part of the learner that stays as it is, in eval mode.

    Raises:
        RunError: the loss is not finite.
        DataError: no labelled clips to train on or to test.
    """
    refuse_one_shot(name, trial.split)
    split, labels = trial.split, trial.store.labels
    held = split.validation[labels[split.validation] >= 0]
    choosing = recipe.select == "validation" and len(held) > 0
    rows = split.train if choosing else split.train_all
    rows, test = rows[labels[rows] >= 0], split.test[labels[split.test] >= 0]
    if not len(rows) or not len(test):
        raise DataError(f"{name} on split {split.name!r}: {len(rows)} labelled training clips and {len(test)} test clips")
    best = _train(learner, trial, recipe, rows=rows, held=held if choosing else held[:0], frozen=frozen)
    by = (
        "validation subjects" if choosing else "the last epoch" if recipe.select == "last" else "the last epoch: nobody to hold out"
    )
    chosen: dict[str, Any] = {"epoch": best.epoch + 1, "by": by}
    held_out = None
    if choosing:
        chosen["validation accuracy"] = best.accuracy
        held_out = _score(name, learner, trial, held)
    return _score(name, learner, trial, test, chosen=chosen, held_out=held_out)


@dataclass(frozen=True, kw_only=True)
class _Best:
    epoch: int
    accuracy: float
    weights: Mapping[str, Tensor]


def _train(learner: Method, trial: Trial, recipe: Recipe, *, rows: np.ndarray, held: np.ndarray, frozen: nn.Module | None) -> _Best:
    """Train on ``rows``; the learner ends with the weights of the best epoch on ``held``, of the last one where that is empty."""
    generator = torch.Generator().manual_seed(recipe.seed)
    if frozen is not None:
        frozen.requires_grad_(False)
    trained = [p for p in learner.parameters() if p.requires_grad]
    optimiser = torch.optim.SGD(trained, lr=recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay)
    loader = Loader(trial.store, rows, batch_size=min(recipe.batch, len(rows)), preset=trial.preset, frames=learner.pictures)
    best: _Best | None = None
    for epoch in range(recipe.epochs):
        learner.train()
        if frozen is not None:
            frozen.eval()
        for group in optimiser.param_groups:
            group["lr"] = recipe.rate(epoch)
        for batch in loader.epoch(generator):
            loss = learner.step(batch.to(trial.at), generator).loss
            if not math.isfinite(float(loss.detach())):
                raise RunError(
                    f"the loss is {float(loss.detach())} in epoch {epoch}, at a rate of {recipe.rate(epoch):g}; lower lr"
                )
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
        last = epoch + 1 == recipe.epochs
        if len(held) and (last or (epoch + 1) % recipe.look_every == 0):
            accuracy = _score("look", learner, trial, held).accuracy
            if best is None or accuracy > best.accuracy:
                best = _Best(epoch=epoch, accuracy=accuracy, weights={k: v.clone() for k, v in learner.state_dict().items()})
    if best is None:
        return _Best(epoch=recipe.epochs - 1, accuracy=math.nan, weights={})
    learner.load_state_dict(best.weights)
    return best


def _score(name: str, learner: Method, trial: Trial, rows: np.ndarray, **more: Any) -> Score:
    found = judged(learner, trial, rows)
    return Score.of(name, found, logits=found.values, **more)


@torch.no_grad()
def judged(learner: Method, trial: Trial, rows: np.ndarray) -> Features:
    """Class scores (N, classes) of rows, in the place of features; in ascending row order, one batch in memory at a time."""
    store, rows = trial.store, np.sort(rows)
    loader = Loader(
        store, rows, batch_size=trial.batch_size, preset=trial.preset, shuffle=False, cache=False, frames=learner.pictures
    )
    values = torch.empty(len(rows), len(store.classes))
    done = 0
    for batch in loader.batches():
        block = learner.logits(batch.to(trial.at)).float().cpu()
        if not torch.isfinite(block).all():
            raise RunError(f"{learner.name} gives class scores that are not finite; training has diverged, lower lr")
        values[done : done + len(block)] = block
        done += len(block)
    return Features(
        values=values,
        labels=torch.from_numpy(store.labels[rows].astype(np.int64)),
        rows=torch.from_numpy(rows.astype(np.int64)),
        subjects=torch.from_numpy(store.index["subject"][rows].astype(np.int64)),
        ids=tuple(store.ids[r] for r in rows.tolist()),
        classes=tuple(store.classes),
    )
