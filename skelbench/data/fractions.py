"""A labelled share of the training side, for semi-supervised protocols, and the names that subsets of a split have.

``make_split(store, "xsub@10%")`` is the split ``xsub`` with a tenth of its labels; a run can be started on it by that name.

    xsub@10%        a tenth of every class, at least one clip
    xsub@10%:3      the same, drawn with seed 3
    xsub@10%any     a tenth of all clips, whatever their class, as published
    xsub@lt100      long-tailed, the first class 100 times as frequent as the last (:mod:`skelbench.data.longtail`)
    xsub@lt10size   the same, the first class being the one that has most clips, for data whose classes differ in size
    xsub@held0      the training side alone, tested on a third of its subjects, to choose settings (:mod:`skelbench.data.inner`)
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from skelbench.data.inner import held_third
from skelbench.data.longtail import long_tailed
from skelbench.data.splits import SUBSET, Split
from skelbench.data.store import Store
from skelbench.errors import ConfigError


def fraction(store: Store, split: Split, share: float, *, seed: int = 0, stratified: bool = True) -> Split:
    """The split with labels for a share of its training side; the clips without are in ``extra``.

    Train and validation are thinned by themselves, so that together they hold the share. A smaller share with the same seed is part
    of a larger one. Methods that learn without labels train on ``extra``, too.

    Args:
        store: what the split parts.
        split: test stays as it is.
        share: of the clips, above 0 and at most 1; 0.01, 0.05, 0.1, 0.2, 0.5 in the papers.
        seed: of the draw. The papers draw without one.
        stratified: the share of every class, rounded, at least one clip; else of all clips, as in the papers.

    Raises:
        ConfigError: a share out of range, or one that leaves a class without training clips; the class is named.
    """
    if not 0 < share <= 1:
        raise ConfigError(f"a share of the labels is above 0 and at most 1; got {share:g}")
    train, validation = (_draw(store, side, share, seed, stratified) for side in (split.train, split.validation))
    bare = np.setdiff1d(store.labels[split.train], store.labels[train])
    if len(bare):
        names = ", ".join(store.classes[c] for c in bare[:5]) + (", ..." if len(bare) > 5 else "")
        raise ConfigError(
            f"{100 * share:g} % of the training clips of {split.name!r}, drawn with seed {seed}, leave no clip of {names}; "
            f"take a larger share, another seed, or stratified=True"
        )
    extra = np.sort(np.concatenate([split.extra, np.setdiff1d(split.train, train)]))
    how = "of every class" if stratified else "of all clips"
    note = f"labels for {100 * share:g} % {how}, {len(train)} training clips, drawn with seed {seed}"
    name = f"{split.name}@{100 * share:g}%{'' if stratified else 'any'}{f':{seed}' if seed else ''}"
    notes = "; ".join(n for n in (split.note, note) if n)
    return replace(split, name=name, train=train, validation=validation, extra=extra, note=notes)


def _draw(store: Store, rows: np.ndarray, share: float, seed: int, stratified: bool) -> np.ndarray:
    """Rows drawn, sorted: the first ones of one order of all rows (of a class)."""
    labels = store.labels[rows]
    parts = [np.flatnonzero(labels == c) for c in np.unique(labels)] if stratified else [np.arange(len(rows))]
    drawn = []
    for part in parts:
        label = int(labels[part[0]]) if stratified and len(part) else -1
        generator = torch.Generator().manual_seed(7919 * seed + label + 1)
        order = torch.randperm(len(part), generator=generator).numpy()
        count = int(share * len(part) + 0.5 + 1e-9)
        drawn.append(part[order[: max(count, 1) if stratified else count]])
    return np.sort(rows[np.concatenate(drawn)]) if drawn else rows


def subset_of(store: Store, split: Split, text: str) -> Split:
    """What stands after the ``@`` of a split's name, done.

    Raises:
        ConfigError: not one of the forms above, or it cannot be drawn.
    """
    match = SUBSET.fullmatch(text)
    if match is None:
        raise ConfigError(
            f"{split.name}@{text}: wanted a share of the labels like 10%, 10%any, 10%:<seed>, lt<imbalance>, "
            "lt<imbalance>size, or held0, held1, held2"
        )
    if match["third"]:
        return held_third(store, split, int(match["third"]))
    seed = int(match["seed"] or 0)
    if match["tail"]:
        return long_tailed(store, split, imbalance=float(match["tail"]), seed=seed, by_size=bool(match["sized"]))
    return fraction(store, split, float(match["share"]) / 100, seed=seed, stratified=not match["any"])
