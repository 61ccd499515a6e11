"""The training side parted once more, to choose settings on held-out *training* subjects without a look at a test clip.

``make_split(store, "xsub@held0")`` trains on two thirds of the training subjects of ``xsub`` and tests on the others; ``@held1``
and ``@held2`` test on the other thirds. The clips that ``xsub`` tests on are on no side.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from skelbench.data.holdout import hold_out, hold_recordings, named, shuffled
from skelbench.data.splits import Split
from skelbench.data.store import Store
from skelbench.errors import ConfigError

THIRDS = 3


def held_third(store: Store, split: Split, third: int, *, holdout: float = 0.2) -> Split:
    """One third of the training subjects (of the recordings of every class, where the split parts by recording) as the test side.

    Args:
        store: what the split parts.
        split: its training and validation clips are parted anew.
        third: 0, 1 or 2; always the same third of the same store.
        holdout: share of what is left that becomes the validation side.

    Raises:
        ConfigError: fewer than two training subjects, or no class in both parts.
    """
    use = split.train_all
    notes: list[str] = []
    if split.by == "group":
        test = hold_recordings(store, use, part=(third / THIRDS, (third + 1) / THIRDS), seed=0)
    else:
        subject = store.index["subject"][use]
        subjects = np.unique(subject[subject >= 0])
        if len(subjects) < 2:
            raise ConfigError(f"{split.name!r} has {len(subjects)} training subjects; two or more can be parted once more")
        chosen = subjects[shuffled(len(subjects), 0)][third % len(subjects) :: THIRDS]
        test = use[np.isin(subject, chosen)]
        notes.append(f"tested on training subjects {named(store, sorted(chosen.tolist()))}")
    rest = np.setdiff1d(use, test)
    test = test[np.isin(store.labels[test], store.labels[rest])]
    if not len(test):
        raise ConfigError(f"{split.name}@held{third}: no class stands on both sides; the training side is too small to be parted")
    validation = hold_out(store, rest, by=split.by, share=holdout, seed=0, notes=notes)
    train, empty = np.setdiff1d(rest, validation), np.zeros(0, np.int64)
    notes.append(f"the test side of {split.name!r} left out")
    name, note = f"{split.name}@held{third}", "; ".join(notes)
    return replace(split, name=name, note=note, train=train, validation=validation, test=test, extra=empty, gallery=empty)
