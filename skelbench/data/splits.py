"""Who is trained on and who is tested on.

Three sides, always disjoint: ``train``, ``validation`` (held-out *training* subjects: settings and stopping are chosen there) and
``test`` (looked at once). A source recording (``group``) never stands on two sides. Which official splits a store has stands in
its ``meta.splits``; :mod:`skelbench.data.rules` says in which forms. Parts of a training side (semi-supervised shares, long-tailed
subsets) are drawn in :mod:`skelbench.data.fractions` and :mod:`skelbench.data.longtail`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from skelbench.data.holdout import hold_out, hold_recordings, named, recorded_thrice
from skelbench.data.rules import OUT, TEST, TRAIN, VALIDATION, Sides, follow
from skelbench.data.store import Store
from skelbench.errors import ConfigError, DataError

EVERYTHING = "all"
NAMES = ("xsub", "xview", "xset", "cross_subject", "by_clip", "by_clip:1", "by_clip:2", "loso:<subject>", EVERYTHING)
ALIASES = {"xsub": ("xsub", "cross_subject"), "cross_subject": ("cross_subject", "xsub")}
# what may stand after an @ in the name of a split
SUBSET = re.compile(
    r"(?:(?P<share>\d+(?:\.\d+)?)%(?P<any>any)?|lt(?P<tail>\d+(?:\.\d+)?)(?P<sized>size)?)(?::(?P<seed>\d{1,9}))?|held(?P<third>[012])"
)
OFFICIAL = ("xsub", "xview", "xset", "one_shot")  # only where meta.splits has them
FOLDS = ("by_clip:0", "by_clip:1", "by_clip:2", "by_clip")  # the last one is the first


@dataclass(frozen=True, kw_only=True, eq=False)
class Split:
    """One way to part a store.

    Attributes:
        name: as it was asked for.
        train: rows to learn from.
        validation: rows held out of the training side, to choose settings on.
        test: rows of the other side.
        by: what separates train and test: ``subject``, ``camera``, ``setup``, ``group``, ``clip`` or ``label``.
        extra: rows that no protocol measures (no label, or a class too rarely recorded) but that share nothing with the test side,
            so that learning without labels may see them, too.
        gallery: one-shot: the one clip of every tested class that ``test`` is compared with; else empty.
        note: what a reader of a result must know: what validation is, what was left out and why.
    """

    name: str
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    by: str
    note: str = ""
    extra: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    gallery: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))

    @property
    def train_all(self) -> np.ndarray:
        """Train and validation together: what the published protocols train on."""
        return np.sort(np.concatenate([self.train, self.validation]))

    def __str__(self) -> str:
        sizes = f"{len(self.train)} train, {len(self.validation)} validation, {len(self.test)} test"
        sizes += f", {len(self.extra)} without a part in it" if len(self.extra) else ""
        return f"{self.name} (by {self.by}): {sizes}{'. ' + self.note if self.note else ''}"


def make_split(
    store: Store,
    name: str,
    *,
    seed: int = 0,
    holdout: float = 0.2,
    rows: Sequence[int] | np.ndarray | None = None,
    allow_missing: bool = False,
) -> Split:
    """Part a store by name.

    Any name in ``meta.splits`` follows the rule that stands there; ``xsub``, ``xview``, ``xset`` and ``one_shot`` exist only so.
    ``cross_subject`` is ``xsub`` where there is one, and without a list takes every second subject; classes seen in a single
    subject are then left out, and the note says so. ``loso:<subject>`` tests on one subject (number or name). ``by_clip`` holds out
    a third of the source recordings of every class that has at least three; the other classes are left out. ``by_clip:1`` and
    ``by_clip:2`` hold out the other two thirds. ``all`` tests nothing: every clip may be learned from, to be measured on other
    data (:class:`skelbench.evaluate.Transfer`). ``<name>@10%`` keeps the labels of a tenth of the training side,
    ``<name>@lt100`` makes it long-tailed, ``<name>@held0`` parts the training side alone; :mod:`skelbench.data.fractions` lists the
    forms.

    Args:
        store: what to part.
        name: one of the names above.
        seed: picks the validation subjects (and the recordings of ``by_clip``).
        holdout: share of the training subjects (``by_clip``: recordings) that go to validation, at least one.
        rows: use only these rows, e.g. ``store.rows(tile=1)``: the windows of CMU that do not overlap.
        allow_missing: drop test clips of classes that have no training clip, and count them in the note, instead of refusing.

    Raises:
        ConfigError: no such split, or the store lacks what it needs; the message lists what there is.
        DataError: a side would be empty, or a class with test clips has none to train on.
    """
    if not 0 < holdout < 1:
        raise ConfigError(f"holdout is the share of training subjects kept for validation, above 0 and below 1; got {holdout}")
    base, _, subset = name.rpartition("@")
    if base and SUBSET.fullmatch(subset):
        from skelbench.data.fractions import subset_of

        whole = make_split(store, base, seed=seed, holdout=holdout, rows=rows, allow_missing=allow_missing)
        return subset_of(store, whole, subset)
    use = np.arange(len(store)) if rows is None else np.unique(np.asarray(rows, np.int64))
    if not len(use) or use[0] < 0 or use[-1] >= len(store):
        raise DataError(f"split {name!r}: the rows to use must be some of 0..{len(store) - 1}")
    notes: list[str] = []
    everything, unlabelled = use, int((store.labels[use] < 0).sum())
    if unlabelled:
        notes.append(f"{unlabelled} clips without a label left out")
        use = use[store.labels[use] >= 0]
    if name == EVERYTHING and name not in store.meta.splits:
        return _everything(store, use, np.setdiff1d(everything, use), seed=seed, holdout=holdout, notes=notes)
    found = _sides(store, name, use=use, seed=seed, notes=notes)
    side, by = found.side, found.by
    train_all, test = np.flatnonzero((side == TRAIN) | (side == VALIDATION)), np.flatnonzero(side == TEST)
    kept = test
    if len(train_all) and not len(found.gallery):  # one-shot tests classes that were never trained on
        kept = _same_classes(store, name, train_all, test, allow_missing=allow_missing, notes=notes)
    for what, clips in (("train", np.flatnonzero(side == TRAIN)), ("test", kept)):
        if not len(clips):
            raise DataError(
                f"split {name!r} of {store.meta.name!r} leaves the {what} side empty; choose another split or other rows"
            )
    validation = np.flatnonzero(side == VALIDATION)
    if len(validation):
        notes.append("validation: the official list")
    else:
        validation = hold_out(store, train_all, by=by, share=holdout, seed=seed, notes=notes)
    train = np.setdiff1d(train_all, validation)
    extra = _extra(store, everything[side[everything] != OUT], train_all, np.union1d(test, found.gallery), by)
    sides = {"train": train, "validation": validation, "test": kept, "extra": extra, "gallery": found.gallery}
    return Split(name=name, by=by, note="; ".join(notes), **sides)


def _everything(store: Store, use: np.ndarray, unlabelled: np.ndarray, *, seed: int, holdout: float, notes: list[str]) -> Split:
    """Every clip on the training side; subjects are held out for validation, or recordings where there is one subject."""
    by = "subject" if len(np.unique(store.index["subject"][use])) > 1 else "group"
    validation = hold_out(store, use, by=by, share=holdout, seed=seed, notes=notes)
    notes.append("nothing is tested")
    train, none = np.setdiff1d(use, validation), np.zeros(0, np.int64)
    sides = {"train": train, "validation": validation, "test": none, "extra": unlabelled}
    return Split(name=EVERYTHING, by=by, note="; ".join(notes), **sides)


def usual_split(store: Store) -> str:
    """The split a dataset is reported on.

    The one that was kept with it on import; else across subjects where it lists that; else the only one it lists; else by recording
    where several clips share one; else across subjects.
    """
    if isinstance(store.meta.extra.get("split"), str):
        return str(store.meta.extra["split"])
    for name in ("xsub", "cross_subject"):
        if name in store.meta.splits:
            return name
    listed = [name for name, rule in store.meta.splits.items() if isinstance(rule, Mapping)]
    if len(listed) == 1:
        return listed[0]
    repeated = len(set(store.index["group"].tolist())) < len(store)
    return "by_clip" if repeated else "cross_subject"


def loso_splits(store: Store, **options: Any) -> list[Split]:
    """Leave one subject out, one split a subject; without those who share no class with anybody. Options: :func:`make_split`."""
    rows = options.get("rows")
    use = np.arange(len(store)) if rows is None else np.asarray(rows, np.int64)
    subject, label = store.index["subject"][use], store.labels[use]
    shares = [
        s for s in _values(store, "subject", use) if np.isin(label[subject == s], label[(subject >= 0) & (subject != s)]).any()
    ]
    return [make_split(store, f"loso:{named(store, [s])}", **options) for s in shares]


def _values(store: Store, column: str, use: np.ndarray) -> list[int]:
    """Known values of a column, sorted; refuses a store where there are fewer than two."""
    values = [int(v) for v in np.unique(store.index[column][use]) if v >= 0]
    if len(values) < 2:
        known = f"only {column} {values[0]}" if values else f"no {column} number at all"
        raise ConfigError(f"{store.meta.name!r} has {known}, so it cannot be parted by {column}; try 'by_clip'")
    return values


def _sides(store: Store, name: str, *, use: np.ndarray, seed: int, notes: list[str]) -> Sides:
    """The side of every row of the store, and the column that parts them."""
    side = np.zeros(len(store), np.int8)
    if name.startswith("loso:"):
        subject = _subject(store, name, _values(store, "subject", use))
        known = use[store.index["subject"][use] >= 0]
        side[known] = np.where(store.index["subject"][known] == subject, TEST, TRAIN)
        _check_groups(store, name, side)
        return Sides(side=side, by="subject")
    if name in FOLDS:
        often = recorded_thrice(store, use, notes)
        side[often] = TRAIN
        fold = FOLDS.index(name) if name in FOLDS[:3] else 0
        side[hold_recordings(store, often, part=(fold / 3, (fold + 1) / 3), seed=seed)] = TEST
        return Sides(side=side, by="group")
    there = {k: v for k, v in store.meta.splits.items() if isinstance(v, Mapping)}
    listed = next((there[k] for k in ALIASES.get(name, (name,)) if k in there), None)
    if listed is not None:
        found = follow(store, name, listed, use)
        notes += found.notes
        if found.by == "clip":
            notes += _shared_recordings(store, found.side)
        elif found.by != "camera":  # by camera, one performance stands on both sides on purpose: seen from another place
            _check_groups(store, name, found.side)
        return found
    if name == "cross_subject":
        return Sides(side=_alternate_subjects(store, use, notes), by="subject")
    if name in OFFICIAL:
        hint = "cross_subject" if name == "xsub" else "by_clip"
        raise ConfigError(
            f"{store.meta.name!r} has no official split {name!r} (listed: {', '.join(there) or 'none'}); try {hint!r}"
        )
    hint = " (a part of a split is written xsub@10%, xsub@lt100)" if "@" in name else ""
    raise ConfigError(f"no split called {name!r}{hint}; there are: {', '.join([*NAMES, *(k for k in there if k not in NAMES)])}")


def _check_groups(store: Store, name: str, side: np.ndarray) -> None:
    group = store.index["group"]
    both = np.intersect1d(group[side == TRAIN], group[side == TEST])
    if len(both):
        ids = [store.ids[r] for r in np.flatnonzero(group == both[0])[:2]]
        raise DataError(
            f"split {name!r} would put clips of one recording on both sides, e.g. {ids}; the lists in meta.json do not fit"
        )


def _shared_recordings(store: Store, side: np.ndarray) -> list[str]:
    group = store.index["group"]
    both = len(np.intersect1d(group[side == TRAIN], group[side == TEST]))
    return [f"{both} recordings have clips on both sides of the official lists"] if both else []


def _subject(store: Store, name: str, subjects: list[int]) -> int:
    wanted = name.removeprefix("loso:")
    names = [str(n) for n in store.meta.extra.get("names", {}).get("subject", ())]
    if wanted in names:
        return names.index(wanted)
    if wanted.isdecimal() and int(wanted) in subjects:
        return int(wanted)
    raise ConfigError(f"{store.meta.name!r} has no subject {wanted!r}; it has: {named(store, subjects)}")


def _alternate_subjects(store: Store, use: np.ndarray, notes: list[str]) -> np.ndarray:
    """Every second subject trains; subjects then change sides until every class that can stand on both sides does."""
    at = use[store.index["subject"][use] >= 0]
    subjects = np.asarray(_values(store, "subject", at))
    table = np.zeros((len(subjects), len(store.classes)), np.int64)  # clips a subject has of a class
    np.add.at(table, (np.searchsorted(subjects, store.index["subject"][at]), store.labels[at]), 1)
    shared = (table > 0).sum(axis=0) >= 2
    if not shared.any():
        raise DataError(
            f"{store.meta.name!r}: no class is performed by two subjects, so 'cross_subject' has nothing to test; try 'by_clip'"
        )
    useful = table[:, shared].any(axis=1)
    subjects, table = subjects[useful], table[useful][:, shared]
    train = _both_sides(table)
    side = np.zeros(len(store), np.int8)
    kept = at[shared[store.labels[at]]]
    side[kept] = np.where(np.isin(store.index["subject"][kept], subjects[train]), TRAIN, TEST)
    _check_groups(store, "cross_subject", side)
    single = (np.bincount(store.labels[at], minlength=len(store.classes)) > 0) & ~shared
    if single.any():
        names = ", ".join(c for c, alone in zip(store.classes, single, strict=True) if alone)
        notes.append(f"{int(single.sum())} classes left out, performed by a single subject: {names}")
    notes.append(f"no official list; trained on subjects {named(store, subjects[train])}")
    return side


def _both_sides(table: np.ndarray) -> np.ndarray:
    """Which subjects train (S,), given their clips a class (S, classes): every second one, then the best single change, repeated.

    The side with more clips trains.
    """

    def badness(train: np.ndarray) -> tuple[int, float]:
        clips = np.stack([table[train].sum(axis=0), table[~train].sum(axis=0)])  # (2, classes)
        return int((clips == 0).sum()), abs(float(clips[0].sum() / clips.sum()) - 0.5)

    every = np.arange(len(table))
    train = every % 2 == 0
    while badness(train)[0]:
        best = min((np.where(every == s, ~train, train) for s in every), key=badness)
        if badness(best) >= badness(train):
            break
        train = best
    return train if table[train].sum() >= table[~train].sum() else ~train


def _same_classes(
    store: Store, name: str, train: np.ndarray, test: np.ndarray, *, allow_missing: bool, notes: list[str]
) -> np.ndarray:
    """The test rows whose class can be learned."""
    missing = np.setdiff1d(store.labels[test], store.labels[train])
    if len(missing) and not allow_missing:
        names = ", ".join(store.classes[c] for c in missing)
        raise DataError(f"split {name!r}: no training clip of {names}; pass allow_missing=True to leave their test clips out")
    keep = ~np.isin(store.labels[test], missing)
    if len(missing):
        names = ", ".join(store.classes[c] for c in missing)
        notes.append(f"{int((~keep).sum())} test clips of classes without training clips left out: {names}")
    return test[keep]


def _extra(store: Store, use: np.ndarray, train: np.ndarray, test: np.ndarray, by: str) -> np.ndarray:
    """Rows on neither side that share neither recording nor the parting column's value (known, not -1) with the test side."""
    rest = np.setdiff1d(use, np.concatenate([train, test]))
    for column in {"group", by} & set(store.index):
        values = store.index[column]
        rest = rest[~np.isin(values[rest], values[test]) & (values[rest] >= 0)]
    return rest
