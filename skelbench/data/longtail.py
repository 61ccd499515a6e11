"""Long-tailed training sides: few classes with many clips, many with few. The test side stays complete.

As in BRL (Balanced Representation Learning for long-tailed skeleton action recognition, 2023, section on long-tailed data; lists in
the authors' repository): classes in label order, the first one the most frequent.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from skelbench.data.splits import Split
from skelbench.data.store import Store
from skelbench.data.tables import ntu_classes, table
from skelbench.errors import ConfigError, DataError

STORED = 10  # imbalance of the published lists; those of a larger one are their first names
MANY, FEW = 100, 20  # training clips of a class: above is many, below is few (Shap-Mix, IJCAI 2024)


def profile(classes: int, *, imbalance: float, largest: int) -> np.ndarray:
    """Clips a class: ``floor(largest * imbalance ** (-c / (classes - 1)))``, (classes,).

    Args:
        classes: C.
        imbalance: first class over last class, at least 1; published with 10, 50 and 100.
        largest: clips of class 0.

    Raises:
        ConfigError: an imbalance below 1, or a class that would have no clip.
    """
    if not 1 <= imbalance < float("inf") or largest < 1:
        raise ConfigError(f"imbalance {imbalance:g} and {largest} clips in the largest class: wanted at least 1 of both")
    smallest = 1 / imbalance
    counts = np.asarray([int(largest * smallest ** (c / max(classes - 1, 1))) for c in range(classes)], np.int64)
    if counts.min() < 1:
        raise ConfigError(f"imbalance {imbalance:g} of {largest} clips leaves the last class none; take {largest} at most")
    return counts


def groups(counts: Sequence[int] | np.ndarray, *, many: int = MANY, few: int = FEW) -> np.ndarray:
    """``many``, ``medium`` or ``few`` for every class, by its number of training clips (C,)."""
    counts = np.asarray(counts)
    return np.select([counts > many, counts < few], ["many", "few"], "medium")


def long_tailed(
    store: Store,
    split: Split,
    *,
    imbalance: float = 100,
    largest: int | None = None,
    seed: int = 0,
    names: str | Path | None = None,
    by_size: bool = False,
) -> Split:
    """The split with a long-tailed training side.

    The clips are chosen from the whole training side, validation subjects included, as published; each then stays on its side. What
    is left out is not seen by any method. Where the store is NTU 60 and the split ``xsub`` or ``xview``, the authors' own lists are
    taken (imbalance 10 and more, seed 0). Their lists of NTU 120 follow from the rule, which serves everything else: names in order
    of subject, camera or setup, then name; every class shuffled by NumPy's legacy generator, seeded once; the first ones kept.

    Args:
        store: what the split parts.
        split: its training side is thinned; validation with it, test stays.
        imbalance: clips of the first class over clips of the last.
        largest: clips of the first class; as published where the data are NTU (600; by setup 400) or NW-UCLA (100), else as many as
            there can be.
        seed: of the draw.
        by_size: classes in order of the training clips they have instead of the order of their labels, so that data whose classes
            differ in size lose as few clips as they can. No published list is made so.
        names: a list to take instead: a text file with a clip name a line; the settings above then say nothing.

    Returns:
        The thinner split; ``note`` says how it was made.

    Raises:
        ConfigError: a class has fewer clips than the profile asks for, or only clips of validation subjects; it is named.
        DataError: a line of the list is no clip of the training side, or stands twice.
    """
    if names is not None:
        kept, note = _listed(store, split, Path(names).expanduser()), f"long-tailed: the names in {Path(names).name}"
        return _thinned(store, split, kept, note, f"lt:{Path(names).stem}")
    rows = split.train_all
    known = np.unique(store.labels[rows])
    key = None if by_size else _published_set(store, split)
    if by_size:
        there = np.bincount(store.labels[rows], minlength=len(store.classes))[known]
        known = known[np.argsort(-there, kind="stable")]
    if largest is None:
        largest = table("brl")["largest"][key] if key else _most(store, rows, known, imbalance)
    counts = profile(len(known), imbalance=imbalance, largest=largest)
    listed = _published_list(store, key, counts) if seed == 0 and imbalance >= STORED else None
    if listed is None:
        _check_enough(store, rows, known, counts, imbalance)
    kept = _drawn(store, split, known, counts, seed) if listed is None else listed
    how = "the authors' list" if listed is not None else f"drawn with seed {seed}"
    note = f"long-tailed: {counts[0]} to {counts[-1]} clips a class, {len(kept)} in all, {how}"
    return _thinned(store, split, kept, note, f"lt{imbalance:g}{'size' if by_size else ''}" + (f":{seed}" if seed else ""))


def _published_set(store: Store, split: Split) -> str | None:
    """The name BRL's tables have for this dataset and split."""
    for size, splits in ((60, ("xsub", "xview")), (120, ("xsub", "xset"))):
        if store.classes == ntu_classes(size) and split.name in splits:
            return f"ntu{size}_{split.name}"
    return "nw_ucla" if store.classes == tuple(table("nw_ucla")["classes"]) else None


def _most(store: Store, rows: np.ndarray, known: np.ndarray, imbalance: float) -> int:
    """The most clips the first class may have so that every class has what the profile asks for."""
    there = np.bincount(store.labels[rows], minlength=len(store.classes))[known]
    share = imbalance ** (np.arange(len(known)) / max(len(known) - 1, 1))
    return int((there * share + 1e-9).min())


def _published_list(store: Store, key: str | None, counts: np.ndarray) -> np.ndarray | None:
    """Rows of the authors' list, where it is kept and the store has all of its clips."""
    if key is None or key not in table("brl")["lists"]:
        return None
    row = {id: n for n, id in enumerate(store.ids)}
    names = published_names(key)
    wanted = [n for mine, count in zip(names, counts, strict=True) for n in mine[:count]]
    if any(len(mine) < count for mine, count in zip(names, counts, strict=True)) or not all(n in row for n in wanted):
        return None
    return np.asarray([row[n] for n in wanted], np.int64)


def published_names(key: str) -> list[list[str]]:
    """Names of the stored list ``ntu60_xsub`` or ``ntu60_xview`` for imbalance 10, one list a class, in the order of the file."""
    lists = table("brl")["lists"]
    code = np.frombuffer(base64.b64decode("".join(lists[key])), "<u2").astype(np.int64)
    code, replication = np.divmod(code, 2)
    code, subject = np.divmod(code, 40)
    setup, camera = np.divmod(code, 3)
    counts = profile(60, imbalance=STORED, largest=table("brl")["largest"][key])
    label = np.repeat(np.arange(60), counts)
    columns = (setup, camera, subject, replication, label)
    names = [f"S{s:03d}C{c:03d}P{p:03d}R{r:03d}A{a:03d}" for s, c, p, r, a in np.stack(columns, 1) + 1]
    return [list(part) for part in np.split(np.asarray(names), np.cumsum(counts)[:-1])]


def _check_enough(store: Store, rows: np.ndarray, known: np.ndarray, counts: np.ndarray, imbalance: float) -> None:
    there = np.bincount(store.labels[rows], minlength=len(store.classes))[known]
    short = np.flatnonzero(there < counts)
    if len(short):
        c, most = short[0], _most(store, rows, known, imbalance)
        raise ConfigError(
            f"long-tailed: class {store.classes[known[c]]!r} has {there[c]} training clips, the profile wants {counts[c]}; "
            f"take largest={most} at most"
        )


def _drawn(store: Store, split: Split, known: np.ndarray, counts: np.ndarray, seed: int) -> np.ndarray:
    rows = split.train_all
    ids = [store.ids[r] for r in rows]
    order = store.index[split.by][rows] if split.by in ("subject", "camera", "setup") else np.zeros(len(rows), np.int64)
    rows = rows[sorted(range(len(rows)), key=lambda i: (order[i], ids[i]))]
    rng = np.random.RandomState(seed)
    kept = []
    for label, count in zip(known, counts, strict=True):
        mine = rows[store.labels[rows] == label].tolist()
        rng.shuffle(mine)
        kept.append(mine[:count])
    return np.asarray([r for mine in kept for r in mine], np.int64)


def _listed(store: Store, split: Split, path: Path) -> np.ndarray:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as a list of clip names ({error})") from error
    row = {store.ids[r]: int(r) for r in split.train_all}
    kept: dict[int, None] = {}
    for number, line in enumerate(lines, 1):
        name = line.strip().removesuffix(".skeleton")
        if not name:
            continue
        if name not in row:
            raise DataError(f"{path}:{number}: {name[:60]!r} is no training clip of split {split.name!r} of {store.meta.name!r}")
        if row[name] in kept:
            raise DataError(f"{path}:{number}: {name!r} stands twice")
        kept[row[name]] = None
    if not kept:
        raise DataError(f"{path}: lists no clip; wanted a clip name a line")
    return np.asarray(list(kept), np.int64)


def _thinned(store: Store, split: Split, kept: np.ndarray, note: str, suffix: str) -> Split:
    train, validation = (np.intersect1d(side, kept) for side in (split.train, split.validation))
    bare = np.setdiff1d(store.labels[kept], store.labels[train])
    if len(bare):
        raise ConfigError(
            f"long-tailed: all clips left of class {store.classes[bare[0]]!r} belong to validation subjects; "
            f"part the store with another seed or a smaller holdout"
        )
    lost = np.setdiff1d(store.labels[split.test], store.labels[train])
    if len(lost):
        raise ConfigError(
            f"long-tailed: no clip is left of class {store.classes[lost[0]]!r} ({len(lost)} such classes), which is tested; take a "
            f"smaller imbalance, or a list with a clip of every class"
        )
    notes = "; ".join(n for n in (split.note, note) if n)
    nothing = np.zeros(0, np.int64)
    return replace(split, name=f"{split.name}@{suffix}", train=train, validation=validation, extra=nothing, note=notes)
