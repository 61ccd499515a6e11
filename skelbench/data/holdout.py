"""What is held out of a training side: validation subjects, and source recordings drawn class by class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from skelbench.data.store import Store


def shuffled(n: int, seed: int) -> list[int]:
    """0 .. n-1 in the order of a seed."""
    return torch.randperm(n, generator=torch.Generator().manual_seed(seed)).tolist()


def hold_out(store: Store, train: np.ndarray, *, by: str, share: float, seed: int, notes: list[str]) -> np.ndarray:
    """Rows of held-out training subjects; of held-out recordings where subjects cannot be spared."""
    why = "test is parted by recording, too"
    if by != "group":
        subject, labels = store.index["subject"][train], store.labels[train]
        subjects, classes = np.unique(subject[subject >= 0]), len(np.unique(labels))
        wanted = min(max(1, round(share * len(subjects))), len(subjects) - 1)
        chosen: list[int] = []
        for i in shuffled(len(subjects), seed):
            rest = ~np.isin(subject, [*chosen, subjects[i]])
            if len(chosen) < wanted and len(np.unique(labels[rest])) == classes:
                chosen.append(int(subjects[i]))
        held = np.isin(subject, chosen)
        if 2 * len(np.unique(labels[held])) >= classes:
            notes.append(f"validation: training subjects {named(store, sorted(chosen))}")
            return train[held]
        why = "the training subjects that can be spared perform under half of the classes"
        why = "there is no second training subject" if len(subjects) < 2 else why
    notes.append(f"validation: held-out recordings of the training side, because {why}")
    held = hold_recordings(store, train, part=(0, share), seed=seed + 1)
    if not len(held):
        notes.append("no class has three training recordings, so validation is empty")
    return held


def hold_recordings(store: Store, use: np.ndarray, *, part: tuple[float, float], seed: int) -> np.ndarray:
    """Rows of a part (from, to) of the source recordings of every class that has at least three of them, drawn in one order."""
    group, label, inverse = _recordings(store, use)
    held = np.zeros(len(group), bool)
    for c in np.unique(label):
        mine = np.flatnonzero(label == c)
        if len(mine) < 3:
            continue
        start, stop = (int(len(mine) * share + 1e-9) for share in part)
        held[mine[shuffled(len(mine), seed + 7919 * int(c))[start : max(stop, start + 1)]]] = True
    return use[held[inverse]]


def recorded_thrice(store: Store, use: np.ndarray, notes: list[str]) -> np.ndarray:
    """The rows of classes that have three source recordings or more."""
    _, label, _ = _recordings(store, use)
    classes, times = np.unique(label, return_counts=True)
    few = [store.classes[c] for c in classes[times < 3]]
    if few:
        notes.append(f"{len(few)} classes with fewer than three recordings left out: {', '.join(few)}")
    return use[np.isin(store.labels[use], classes[times >= 3])]


def _recordings(store: Store, use: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Source recordings (G,), the class of each (that of its first clip), and the recording of every row."""
    group, first, inverse = np.unique(store.index["group"][use], return_index=True, return_inverse=True)
    return group, store.labels[use][first], inverse


def named(store: Store, subjects: Sequence[int] | np.ndarray) -> str:
    """Subjects as words, where the store keeps what their numbers stand for."""
    names = store.meta.extra.get("names", {}).get("subject", ())
    return ", ".join(str(names[s]) if s < len(names) else str(s) for s in subjects)
