"""Rows that an epoch shows more than once, or once in several epochs: what a rebalanced sampler asks of the loader."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from skelbench.errors import DataError


class Repeats:
    """How often every row is shown in an epoch: the whole part of a number always, its fraction by lot.

    Of n rows that share a label and a number r, ``floor((r - floor(r)) n)`` are drawn anew every epoch to be shown once more, so
    that an epoch always has the same length. (The rebalanced sampler of BRL, 2023.)

    Args:
        times: r of every row (n,), 0 or more.
        labels: what rows share a lot (n,).

    Raises:
        DataError: shapes that do not fit, a number that is negative or not finite, or nothing left to show.
    """

    def __init__(self, times: Sequence[float] | np.ndarray, labels: Sequence[int] | np.ndarray) -> None:
        r, label = np.asarray(times, np.float64), np.asarray(labels, np.int64)
        if r.ndim != 1 or r.shape != label.shape or not np.isfinite(r).all() or (r < 0).any():
            raise DataError(
                f"repeats: wanted a finite number, 0 or more, and a label for every row; got {r.shape} and {label.shape}"
            )
        _, self._group, size = np.unique(np.stack([label, r]), axis=1, return_inverse=True, return_counts=True)
        self._group = self._group.reshape(-1)
        self._whole = np.floor(r).astype(np.int64)
        first = np.unique(self._group, return_index=True)[1]
        self._more = np.floor((r[first] - self._whole[first]) * size).astype(np.int64)  # (groups,) shown once more
        self._start = np.cumsum(size) - size  # of a group, among rows in order of groups
        self.total = int(self._whole.sum() + self._more.sum())
        if not self.total:
            raise DataError("repeats: no row is shown at all")

    def __len__(self) -> int:
        """Rows there are."""
        return len(self._group)

    def drawn(self, generator: torch.Generator) -> np.ndarray:
        """Positions of the rows of one epoch (total,), not shuffled."""
        lot = torch.rand(len(self), generator=generator, dtype=torch.float64).numpy()
        order = np.lexsort((lot, self._group))
        rank = np.empty(len(self), np.int64)
        rank[order] = np.arange(len(self)) - self._start[self._group[order]]
        return np.repeat(np.arange(len(self)), self._whole + (rank < self._more[self._group]))
