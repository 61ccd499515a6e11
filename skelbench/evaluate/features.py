"""Frozen features of a data set: extracted once, then every protocol reads them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from skelbench.data.loader import Loader
from skelbench.errors import DataError, RunError
from skelbench.methods.base import Method

if TYPE_CHECKING:
    from skelbench.data.store import Store


@dataclass(frozen=True, kw_only=True, eq=False)
class Features:
    """What a method says about N clips. Not normalised: that is each protocol's business.

    Attributes:
        values: float32 (N, D).
        labels: int64 (N,), -1 unknown.
        rows: int64 (N,), rows of the store, ascending.
        subjects: int64 (N,), -1 unknown.
        ids: N clip names.
        classes: class names, indexed by label.
    """

    values: Tensor
    labels: Tensor
    rows: Tensor
    subjects: Tensor
    ids: tuple[str, ...]
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        N = len(self.values)
        lengths = {"labels": len(self.labels), "rows": len(self.rows), "subjects": len(self.subjects), "ids": len(self.ids)}
        wrong = [f"{name} {n}" for name, n in lengths.items() if n != N]
        if self.values.ndim != 2 or wrong:
            raise DataError(f"features (N, D) of shape {tuple(self.values.shape)} do not fit {', '.join(wrong) or 'two axes'}")
        if N and int(self.labels.max()) >= len(self.classes):
            raise DataError(f"label {int(self.labels.max())} has no name: there are {len(self.classes)} classes")

    def __len__(self) -> int:
        return len(self.values)

    def take(self, index: Tensor) -> Features:
        """The clips of a boolean mask (N,) or of positions, in that order."""
        at = torch.arange(len(self))[index.cpu()]
        on = at.to(self.values.device)
        return replace(
            self,
            values=self.values[on],
            labels=self.labels[on],
            rows=self.rows[on],
            subjects=self.subjects[on],
            ids=tuple(self.ids[i] for i in at.tolist()),
        )

    def labelled(self, role: str) -> Features:
        """The clips that have a class. Raises DataError naming their ``role`` when there is none."""
        known = self.labels >= 0
        if not bool(known.any()):
            raise DataError(f"none of the {len(self)} {role} clips has a class; a labelled split is needed")
        return self if bool(known.all()) else self.take(known)

    def join(self, other: Features | None) -> Features:
        """These clips and those of ``other``, by row. What stands in both is an error."""
        if other is None or not len(other):
            return self
        rows = torch.cat([self.rows, other.rows])
        if len(rows.unique()) < len(rows):
            raise DataError("the same clip stands in two parts of the split; the parts must be disjoint")
        both = replace(
            self,
            values=torch.cat([self.values, other.values]),
            labels=torch.cat([self.labels, other.labels]),
            rows=rows,
            subjects=torch.cat([self.subjects, other.subjects]),
            ids=self.ids + other.ids,
        )
        return both.take(rows.argsort())

    def to(self, device: torch.device | str) -> Features:
        """The same features on another device."""
        moved = {k: getattr(self, k).to(device) for k in ("values", "labels", "rows", "subjects")}
        return replace(self, **moved)

    @property
    def fingerprint(self) -> str:
        """Content hash of values and rows."""
        return hashlib.sha256(self.values.cpu().numpy().tobytes() + self.rows.cpu().numpy().tobytes()).hexdigest()[:16]


def extract(
    method: Method,
    store: Store,
    rows: Sequence[int] | np.ndarray | None = None,
    *,
    preset: str = "isc",
    batch_size: int = 256,
) -> Features:
    """Frozen features of ``rows`` (all where None), in ascending row order, on the CPU.

    One batch is in memory at a time; values go straight into an array made beforehand. The method chooses its own crop (the
    contrastive ones take the centre 95 %), is in eval mode while it does, and comes back as it was.

    Raises:
        DataError: a row stands twice or is not in the store.
        RunError: the method answers with another shape than it promises, or with a value that is not finite.
    """
    wanted = np.arange(len(store)) if rows is None else np.sort(np.asarray(rows, np.int64))
    if len(np.unique(wanted)) < len(wanted):
        raise DataError("a row stands twice among those whose features are wanted")
    if len(wanted) and not 0 <= wanted[0] <= wanted[-1] < len(store):
        raise DataError(f"rows {wanted[0]}..{wanted[-1]} wanted from a store of {len(store)} clips")
    values = torch.empty(len(wanted), method.width)  # (N, D)
    training = method.training
    method.eval()
    try:
        _fill(values, method, store, wanted, preset=preset, batch_size=batch_size)
    finally:
        method.train(training)
    return Features(
        values=values,
        labels=torch.from_numpy(np.asarray(store.index["label"])[wanted].astype(np.int64)),
        rows=torch.from_numpy(wanted),
        subjects=torch.from_numpy(np.asarray(store.index["subject"])[wanted].astype(np.int64)),
        ids=tuple(store.ids[i] for i in wanted.tolist()),
        classes=tuple(store.classes),
    )


def _fill(values: Tensor, method: Method, store: Store, rows: np.ndarray, *, preset: str, batch_size: int) -> None:
    device = next((p.device for p in method.parameters()), torch.device("cpu"))
    done = 0
    if not len(rows):  # a split may have no validation clips
        return
    loader = Loader(store, rows, batch_size=batch_size, preset=preset, shuffle=False, cache=False, frames=method.pictures)
    for batch in loader.batches():
        with torch.no_grad():
            block = method.features(batch.to(device)).float().cpu()
        _check(method, block, batch.ids)
        values[done : done + len(block)] = block
        done += len(block)


def _check(method: Method, block: Tensor, ids: Sequence[str]) -> None:
    if block.shape != (len(ids), method.width):
        raise RunError(f"{method.name} promised features ({len(ids)}, {method.width}) and gave {tuple(block.shape)}")
    bad = ~torch.isfinite(block).all(dim=1)
    if bool(bad.any()):
        first = ids[int(bad.nonzero()[0])]
        raise RunError(f"{method.name} gives no finite features for clip {first!r}; training has diverged or the clip is broken")
