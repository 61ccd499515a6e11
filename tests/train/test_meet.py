"""A method is told which labels it will learn from, and may ask for some clips more often than for others."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from skelbench.data import Store
from skelbench.errors import ConfigError, DataError
from skelbench.parts.rebalance import class_counts
from skelbench.train import RunConfig, Step, open_run, presets, start
from skelbench.train.state import generator, prepare


@pytest.fixture(scope="module")
def leaning(tiny: Any) -> Any:
    """Shows every clip of the second class two and a half times, and keeps what it was told."""

    class Leaning(tiny):  # type: ignore[misc]
        name: ClassVar[str] = "leaning"
        supervised: ClassVar[bool] = True

        def meet(self, labels: Tensor, classes: tuple[str, ...]) -> Tensor:
            self.counts, self.classes = class_counts(labels, classes), classes
            return torch.tensor([1.0, 2.5])[labels]

    return Leaning


def settings(method: Any, **edits: Any) -> RunConfig:
    return presets(method, "demo").edit(batch=8, normalise="none", probe_every=0, epochs=3, **edits)


def test_an_epoch_shows_what_was_asked_for(store: Store, leaning: Any) -> None:
    state = prepare(settings(leaning), store)
    labels = store.labels[state.split.train]
    n = np.bincount(labels)
    assert state.method.counts.tolist() == n.tolist() and state.method.classes == ("left", "right")
    assert state.shown == n[0] + 2 * n[1] + n[1] // 2 and state.per_epoch == state.shown // 8 and state.of == 3 * state.per_epoch
    batches = list(state.batches())
    assert len(batches) == state.per_epoch
    expected = [b.rows.tolist() for b in state.loader.epoch(generator(state.config.train.seed, "order 0"))]
    assert [b.rows.tolist() for b in batches] == expected
    seen = np.bincount(np.concatenate(expected), minlength=len(store))
    assert seen.max() == 3 and seen[state.split.train[labels == 0]].max() == 1
    refit = prepare(settings(leaning, refit=True), store)
    assert int(refit.method.counts.sum()) == len(refit.split.train_all) > int(state.method.counts.sum())


def test_a_run_that_stopped_inside_an_epoch_goes_on_to_the_same_weights(store: Store, leaning: Any, tmp_path: Path) -> None:
    whole = start(leaning, store, "demo", folder=tmp_path / "whole", batch=8, normalise="none", probe_every=0, epochs=3)
    rows = [event.rows for event in whole if isinstance(event, Step)]
    cut = start(leaning, store, "demo", folder=tmp_path / "cut", batch=8, normalise="none", probe_every=0, epochs=3)
    cut.run(steps=whole.progress.of // 3 + 2, progress=False)
    cut.stop()
    again = open_run(tmp_path / "cut", method=leaning)
    later = [event.rows for event in again if isinstance(event, Step)]
    assert later == rows[-len(later) :] and len(later) == len(rows) - len(rows) // 3 - 2
    assert torch.equal(again.method.weight, whole.method.weight)


def test_what_it_cannot_learn_from_is_told_before_anything_is_written(
    store: Store, tiny: Any, leaning: Any, tmp_path: Path
) -> None:
    class Third(leaning):  # type: ignore[misc]
        name: ClassVar[str] = "third"

        def meet(self, labels: Tensor, classes: tuple[str, ...]) -> Tensor:
            return super().meet(labels, (*classes, "up"))

    with pytest.raises(DataError, match="class 'up' has no training clip"):
        start(Third, store, "demo", folder=tmp_path / "none", normalise="none")
    assert not (tmp_path / "none").exists()
    with pytest.raises(ConfigError, match="not one full batch"):
        prepare(settings(leaning).edit(batch=500), store)
    assert prepare(settings(tiny), store).repeats is None
