"""Normalised batches of a store: in order, or shuffled by a generator that alone decides the order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from skelbench.data.frames import FrameSettings, FrameStore, frames_of
from skelbench.data.normalised import picture_sizes
from skelbench.data.repeats import Repeats
from skelbench.data.store import Store, gather
from skelbench.errors import ConfigError, DataError
from skelbench.skeleton.clip import Batch, batch_of
from skelbench.skeleton.normalise import to_apply

CACHE_BYTES = 256 << 20  # normalised clips up to this size stay in memory
CHUNK = 256  # clips normalised at a time while the cache is filled


class Loader:
    """Batches of some rows of a store, normalised and zero-padded to the longest clip of the batch.

    Small sets (up to 256 MB) are normalised once, at the first batch, and kept; larger ones are read from the memory map and
    normalised batch by batch.

    Args:
        store: where the clips are.
        rows: which of them, in the order of ``batches()``.
        batch_size: N; the last batch may be smaller.
        preset: normalisation, a name in ``skelbench.skeleton.normalise.PRESETS``. Clips that were stored with it are left as they
            are (:func:`skelbench.skeleton.normalise.to_apply`). Where it drops frames, clips are as long as what is left of them.
        shuffle: whether ``epoch`` draws a new order.
        drop_last: leave out a last batch that is smaller than the others (``epoch`` only).
        cache: keep normalised clips where they fit.
        repeats: how often an epoch shows every row; every row once when None. ``batches()`` knows nothing of it.
        frames: pictures the batches bring along; they are opened, or rendered, at the first batch. Where more are kept than shown,
            a shuffled epoch draws one from each stretch of the clip; otherwise the middle one is shown.

    Raises:
        ConfigError: no such preset, a store that was normalised in another way, a batch size below 1, or ``drop_last`` with fewer
            clips than one batch.
        DataError: no rows, or rows outside the store.
    """

    def __init__(
        self,
        store: Store,
        rows: Sequence[int] | np.ndarray | torch.Tensor,
        *,
        batch_size: int,
        preset: str = "isc",
        shuffle: bool = True,
        drop_last: bool = False,
        cache: bool = True,
        repeats: Repeats | None = None,
        frames: FrameSettings | None = None,
    ) -> None:
        self.store, self.batch_size, self.shuffle, self.drop_last = store, batch_size, shuffle, drop_last
        self.preset = to_apply(preset, store.meta.presets, where=repr(store.meta.name))
        self.rows = np.asarray(rows, np.int64)
        if self.rows.ndim != 1 or not len(self.rows) or self.rows.min() < 0 or self.rows.max() >= len(store):
            raise DataError(f"a loader needs rows between 0 and {len(store) - 1}, at least one; got shape {self.rows.shape}")
        if repeats is not None and len(repeats) != len(self.rows):
            raise DataError(f"repeats are of {len(repeats)} rows, the loader has {len(self.rows)}")
        self.repeats = repeats
        self.frames = frames
        self._pictures: FrameStore | None = None
        if batch_size < 1 or (drop_last and batch_size > self.shown):
            raise ConfigError(f"batch_size {batch_size} does not fit {self.shown} clips (drop_last={drop_last})")
        self._lengths = np.zeros(0, np.int64)  # (n,) of the clips in the cache
        self._starts = np.zeros(0, np.int64)  # (n,) their first frames in the cache
        self._cached: np.ndarray | None = None  # (sum of lengths, M, V, C)
        self._keep = cache and int(store.index["length"][self.rows].sum()) * store.frames[0].nbytes <= CACHE_BYTES

    @property
    def shown(self) -> int:
        """Clips in one ``epoch``, before ``drop_last``; a clip counts as often as it is shown."""
        return len(self.rows) if self.repeats is None else self.repeats.total

    def __len__(self) -> int:
        """Batches in one ``epoch``."""
        n = self.shown
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)

    def epoch(self, generator: torch.Generator, *, skip: int = 0) -> Iterator[Batch]:
        """One pass. The order is drawn at the call, so that a resumed run can repeat it.

        Args:
            generator: decides the order, and which rows are shown once more (not touched without ``shuffle`` and ``repeats``).
            skip: batches to leave out at the front, for a run that stopped in the middle of an epoch.
        """
        n = self.shown
        order = torch.randperm(n, generator=generator).numpy() if self.shuffle else np.arange(n)
        if self.repeats is not None:
            order = self.repeats.drawn(generator)[order]
        size = self.batch_size
        if not self.shuffle or self.frames is None or self.frames.kept == self.frames.frames:
            return (self._batch(order[i * size : (i + 1) * size]) for i in range(skip, len(self)))
        seeds = torch.randint(1 << 62, (len(self),), generator=generator).tolist()  # one a batch, so that any can be left out
        draws = [torch.Generator().manual_seed(seed) for seed in seeds]
        return (self._batch(order[i * size : (i + 1) * size], draws[i]) for i in range(skip, len(self)))

    def batches(self) -> Iterator[Batch]:
        """All rows in the order they were given; nothing is dropped."""
        n = len(self.rows)
        return (self._batch(np.arange(at, min(at + self.batch_size, n))) for at in range(0, n, self.batch_size))

    def _batch(self, which: np.ndarray, draws: torch.Generator | None = None) -> Batch:
        """The clips at these positions of ``rows``, with their pictures where they are wanted."""
        batch = self._joints(which)
        if self.frames is None:
            return batch
        if self._pictures is None:
            self._pictures = frames_of(self.store, self.frames)
        return self._pictures.add_to(batch, self.frames.modalities, self.frames.frames, draws)

    def _joints(self, which: np.ndarray) -> Batch:
        rows = self.rows[which]
        if not self._keep:
            return self._normalised(rows)
        if self._cached is None:
            self._fill()
        assert self._cached is not None
        lengths = self._lengths[which]
        joints = gather(self._cached, self._starts[which], lengths)
        ids = [self.store.ids[r] for r in rows]
        return batch_of(joints, lengths=lengths, labels=self.store.labels[rows], ids=ids, rows=rows)

    def _fill(self) -> None:
        store, n = self.store, len(self.rows)
        cached = np.empty((int(store.index["length"][self.rows].sum()), *store.frames.shape[1:]), np.float32)
        lengths = np.zeros(n, np.int64)
        end = 0
        for at in range(0, n, CHUNK):
            batch = self._normalised(self.rows[at : at + CHUNK])
            joints, own = batch.joints.permute(0, 2, 4, 3, 1).numpy(), batch.lengths.numpy()  # (N, T, M, V, C)
            start, end = end, end + int(own.sum())
            cached[start:end] = joints[np.arange(joints.shape[1]) < own[:, None]]
            lengths[at : at + CHUNK] = own
        self._lengths, self._starts, self._cached = lengths, np.cumsum(lengths) - lengths, cached[:end]

    def _normalised(self, rows: np.ndarray) -> Batch:
        """These clips of the store, normalised and padded to the longest of what is left of them."""
        raw = self.store.batch(rows)
        columns: dict[str, np.ndarray] = {k: self.store.index[k][rows] for k in ("width", "height") if k in self.store.index}
        size = picture_sizes(len(rows), columns, self.store.meta.units)
        joints, lengths = self.preset.run(raw.joints, raw.lengths, self.store.topology, size=size)
        return raw.with_joints(joints[:, :, : int(lengths.max())], lengths=lengths)
