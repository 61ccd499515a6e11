"""Rows that are shown more than once an epoch: every lot counted, and what the loader makes of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from skelbench.data import Store
from skelbench.data.loader import Loader
from skelbench.data.longtail import profile
from skelbench.data.repeats import Repeats
from skelbench.errors import ConfigError, DataError
from skelbench.parts.rebalance import rebalanced_repeats


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_whole_parts_always_and_fractions_by_lot_of_every_label() -> None:
    labels = np.asarray([0] * 4 + [1] * 10 + [2] * 3)
    times = np.asarray([1.0] * 4 + [2.37] * 10 + [0.5] * 3)
    repeats = Repeats(times, labels)
    assert len(repeats) == 17 and repeats.total == 4 + (20 + 3) + 1
    more = np.zeros(17)
    for seed in range(200):
        shown = np.bincount(repeats.drawn(generator(seed)), minlength=17)
        assert shown.sum() == repeats.total
        assert (shown[:4] == 1).all() and sorted(shown[4:14]) == [2] * 7 + [3] * 3 and sorted(shown[14:]) == [0, 0, 1]
        more += shown - np.floor(times)
    assert (more[4:14] > 30).all() and (more[14:] > 40).all()  # of 60 and 67 expected: the lot falls on everyone
    assert np.array_equal(repeats.drawn(generator(3)), repeats.drawn(generator(3)))


@pytest.mark.parametrize(
    ("classes", "largest", "imbalance", "total"),
    [(60, 600, 100, 98_106), (120, 600, 100, 195_257), (120, 400, 100, 130_103), (10, 100, 10, 3_720)],
)
def test_published_number_of_clips_an_epoch(classes: int, largest: int, imbalance: float, total: int) -> None:
    counts = profile(classes, imbalance=imbalance, largest=largest)
    times = rebalanced_repeats(torch.from_numpy(counts), base=5).numpy()
    labels = np.repeat(np.arange(classes), counts)
    repeats = Repeats(times[labels], labels)
    assert repeats.total == total
    shown = np.bincount(labels[repeats.drawn(generator())], minlength=classes)
    tail = 2 * (classes // 3)
    assert (shown[:tail] == 5 * counts[:tail]).all() and set(shown[tail:]) <= {5 * largest, 5 * largest - 1}


def test_a_loader_shows_what_it_is_told_and_skips_what_was_used(store: Store) -> None:
    rows = np.arange(3, 13)
    loader = Loader(store, rows, batch_size=4, drop_last=True, repeats=Repeats([0.5, 3] * 5, [0, 1] * 5))
    assert loader.shown == 17 and len(loader) == 4
    batches = [b.rows.tolist() for b in loader.epoch(generator())]
    assert batches[2:] == [b.rows.tolist() for b in loader.epoch(generator(), skip=2)]
    assert batches != [b.rows.tolist() for b in loader.epoch(generator(1))]
    flat = np.bincount(np.concatenate(batches) - 3, minlength=10)
    assert flat.sum() == 16 and flat[::2].max() <= 1 and flat[1::2].max() == 3
    assert next(b.rows.tolist() for b in loader.batches()) == [3, 4, 5, 6]
    with pytest.raises(DataError, match="repeats are of 2 rows, the loader has 10"):
        Loader(store, rows, batch_size=4, repeats=Repeats([1, 1], [0, 0]))
    with pytest.raises(ConfigError, match="does not fit 5 clips"):
        Loader(store, rows, batch_size=8, drop_last=True, repeats=Repeats([0.5] * 10, [0] * 10))


def test_what_is_refused() -> None:
    for times in ([1.0], [-1.0, 1.0], [float("nan"), 1.0], [0.0, 0.4]):
        with pytest.raises(DataError, match="repeats:"):
            Repeats(times, [0, 0])
