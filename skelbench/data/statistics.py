"""What a dataset is like in numbers: classes on each side of a split, lengths, rigid bones, what is missing.

The frames of at most ``MOST`` clips, evenly taken, are looked at; how many they were stands in the result.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from skelbench.data.splits import Split, make_split, usual_split
from skelbench.data.store import Store
from skelbench.errors import ConfigError, DataError

MOST = 2000  # clips whose frames are read
CHUNK = 64 << 20  # bytes of frames looked at in one go
BINS = 24  # of the histogram of lengths


@dataclass(frozen=True, kw_only=True, eq=False)
class Statistics:
    """Numbers of a store. K classes, V joints, B = V - 1 bones in the order of ``topology.bones``.

    Attributes:
        counts: side (train, validation, test, other) -> clips a class (K,); one side "clips" where no split fits.
        split: the split behind the sides; None where no split fits.
        why_not: why no split fits; empty where one does.
        unlabelled: clips without a label.
        lengths: (edges (bins + 1,), clips a bin (bins,)) of the number of frames.
        median_length: frames of the middle clip.
        people: column (subject, camera, setup) -> clips per value, values ascending; only columns that are known.
        looked_at: clips whose frames were read for what follows.
        seen: (M,) share of the frames in which so many bodies were there or more: at least one, at least two, ...
        empty_clips: clips of those looked at in which nobody is ever seen.
        joint_missing: (V,) share of the bodies seen that lack this joint (all coordinates zero, or score zero).
        bone_spread: (B,) standard deviation of a bone's length over its mean within a clip, median over clips and bodies; nan where
            it cannot be told.
        bone_length: (B,) its median length, in the units of the store.
    """

    counts: dict[str, np.ndarray]
    split: Split | None
    why_not: str
    unlabelled: int
    lengths: tuple[np.ndarray, np.ndarray]
    median_length: float
    people: dict[str, dict[int, int]]
    looked_at: int
    seen: np.ndarray
    empty_clips: int
    joint_missing: np.ndarray
    bone_spread: np.ndarray
    bone_length: np.ndarray


def statistics(store: Store, *, split: str | None = None) -> Statistics:
    """Look at a dataset once.

    Args:
        store: the dataset.
        split: whose sides are counted; :func:`usual_split` where left out, and none where that does not fit the data.

    Raises:
        ConfigError: ``split`` was asked for, and there is no such split.
        DataError: ``split`` was asked for, and a side of it is empty.
    """
    parted, why = None, ""
    try:
        parted = make_split(store, split or usual_split(store), allow_missing=True)
    except (ConfigError, DataError) as error:
        if split is not None:
            raise
        why = str(error)
    length = store.index["length"]
    edges = _edges(length)
    rows = np.unique(np.linspace(0, len(store) - 1, min(MOST, len(store))).round().astype(np.int64))
    columns = {c: np.unique(store.index[c][store.index[c] >= 0], return_counts=True) for c in ("subject", "camera", "setup")}
    people = {c: dict(zip(v.tolist(), n.tolist(), strict=True)) for c, (v, n) in columns.items() if len(v)}
    return Statistics(
        counts=_counts(store, parted),
        split=parted,
        why_not=why,
        unlabelled=int((store.labels < 0).sum()),
        lengths=(edges, np.histogram(length, edges)[0]),
        median_length=float(np.median(length)),
        people=people,
        looked_at=len(rows),
        **_frames(store, rows),
    )


def _counts(store: Store, split: Split | None) -> dict[str, np.ndarray]:
    """Clips a class on every side (K,)."""
    K = len(store.classes)

    def count(rows: np.ndarray) -> np.ndarray:
        labels = store.labels[rows]
        return np.bincount(labels[labels >= 0], minlength=K)

    if split is None:
        return {"clips": count(np.arange(len(store)))}
    sides = {"train": split.train, "validation": split.validation, "test": np.union1d(split.test, split.gallery)}
    rest = np.setdiff1d(np.arange(len(store)), np.concatenate(list(sides.values())))
    return {side: count(rows) for side, rows in {**sides, "other": rest}.items() if len(rows)}


def _edges(length: np.ndarray) -> np.ndarray:
    """Whole-number edges of at most so many bins of one width."""
    low, high = int(length.min()), int(length.max())
    width = max(1, -(-(high - low + 1) // BINS))
    return np.arange(low, high + width + 1, width, dtype=np.int64)


def _frames(store: Store, rows: np.ndarray) -> dict[str, Any]:
    """What takes a look at the frames of these clips, chunk by chunk."""
    M, V, topology = store.bodies, store.topology.V, store.topology
    C = min(store.coordinates, topology.dims)
    children, parents = (np.array(side, np.int64) for side in (zip(*topology.bones, strict=True) if topology.bones else ((), ())))
    seen, missing, frames, bodies, empty = np.zeros(M), np.zeros(V), 0, 0, 0
    spreads, means = [], []
    for some in _chunks(store, rows):
        starts, lengths = store.index["start"][some], store.index["length"][some]
        x = np.concatenate([store.frames[s : s + n] for s, n in zip(starts, lengths, strict=True)]).astype(
            np.float32
        )  # (F, M, V, C)
        there = (x[..., :C] != 0).any(-1)  # (F, M, V)
        if store.coordinates > topology.dims:
            there &= x[..., topology.dims] > 0
        body = there.any(-1)  # (F, M)
        crowd = body.sum(1)  # (F,)
        first = np.concatenate([[0], np.cumsum(lengths)[:-1]])  # of every clip
        seen += [(crowd > m).sum() for m in range(M)]
        empty += int((np.add.reduceat(crowd, first) == 0).sum())
        missing += (~there & body[..., None]).sum((0, 1))
        frames, bodies = frames + len(x), bodies + int(body.sum())
        length = np.linalg.norm((x[:, :, children] - x[:, :, parents])[..., :C].astype(np.float64), axis=-1)  # (F, M, B)
        spread, mean = _spread(length, there[:, :, children] & there[:, :, parents], first)
        spreads.append(spread)
        means.append(mean)
    with np.errstate(all="ignore"):
        return {
            "seen": seen / max(frames, 1),
            "empty_clips": empty,
            "joint_missing": missing / max(bodies, 1),
            "bone_spread": _median(np.concatenate(spreads)),
            "bone_length": _median(np.concatenate(means)),
        }


def _chunks(store: Store, rows: np.ndarray) -> list[np.ndarray]:
    """The rows in pieces whose frames take about CHUNK bytes."""
    size = np.cumsum(store.index["length"][rows] * store.frames[0].nbytes)
    return np.split(rows, np.flatnonzero(np.diff(size // CHUNK)) + 1)


def _spread(length: np.ndarray, known: np.ndarray, first: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Spread over mean, and mean, of bone lengths (F, M, B) within every clip: (clips * M, B), nan below two known frames."""
    n = np.add.reduceat(known.astype(np.int64), first)  # (clips, M, B)
    total = np.add.reduceat(np.where(known, length, 0.0), first)
    with np.errstate(all="ignore"):
        mean = total / n
        clip = np.repeat(np.arange(len(first)), np.diff(np.append(first, len(length))))
        square = np.add.reduceat(np.where(known, (length - mean[clip]) ** 2, 0.0), first)
        spread = np.where((n >= 2) & (mean > 0), np.sqrt(square / n) / mean, np.nan)
        mean = np.where(n >= 1, mean, np.nan)
    rows, B = spread.shape[0] * spread.shape[1], spread.shape[2]
    return spread.reshape(rows, B), mean.reshape(rows, B)


def _median(table: np.ndarray) -> np.ndarray:
    """Median over the rows that know a value (n, B) -> (B,); nan where none does."""
    known = np.isfinite(table)
    return np.array([np.median(table[known[:, b], b]) if known[:, b].any() else np.nan for b in range(table.shape[1])])
