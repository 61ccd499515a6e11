"""The forms an official split takes in ``Source.splits`` and ``meta.splits``, and what a rule says of every clip.

An entry is ``name: rule``; any name will do, ``make_split(store, name)`` finds it. A rule is one of

    {"by": "subject", "train": [1, 2, 4]}                   a column of the table and its values; all other known values test
    {"by": "camera", "train": [2, 3], "test": [1]}          values on neither list take no part
    {"train_ids": ["a", "b"], "test_ids": ["c"]}            clips by name; without "test_ids", all others test
    {"novel": [0, 6, 12], "exemplars": ["a", "b", "c"]}     one-shot: these labels test, against one clip of each; all others train

``by`` may be left out of ``xsub`` (subject), ``xview`` (camera) and ``xset`` (setup). Further keys of any rule:

    "validation": [...], "validation_ids": [...]    an official validation side; without it, training subjects are held out
    "without": ["x"] or "ntu_missing"               clips that take no part, by name, or a missing list that comes with skelbench
    "apart": "subject"                              what separates the sides of a list of names: subject, camera, setup, group (one
                                                    recording is never on two sides; the default) or clip (it may be)

Lists of names are not kept as such: ``write_store`` turns them into a whole-number column ``split_<name>`` (0 neither, 1 train,
2 test, 3 validation) and the rule into ``{"by": "split_<name>", "train": [1], "test": [2], ...}``. A reader that knows the side of
a clip while it reads may write that column into ``clip.about`` itself. Names on a list that the store does not have are counted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from skelbench.data.tables import ntu_missing
from skelbench.errors import DataError

if TYPE_CHECKING:
    from skelbench.data.store import Store

OUT, NOWHERE, TRAIN, TEST, VALIDATION = -1, 0, 1, 2, 3
SIDES = {"train": TRAIN, "test": TEST, "validation": VALIDATION}
COLUMN = {"xsub": "subject", "cross_subject": "subject", "xview": "camera", "xset": "setup"}
APART = ("subject", "camera", "setup", "group", "clip")
_NAME = re.compile(r"[\w.+:-]{1,80}")  # becomes part of the name of a column
_LIST = re.compile(r"(?:(?P<name>.+?)_)?(?P<side>train|val|validation|test)(?P<fold>\d*)")


@dataclass(frozen=True, kw_only=True, eq=False)
class Sides:
    """What a rule says.

    Attributes:
        side: (N,) TRAIN, TEST, VALIDATION or NOWHERE for every row of the store; OUT for what must not be seen at all.
        by: what separates train and test.
        notes: what a reader of a result must know.
        gallery: rows that tests are compared with (one-shot), else empty.
    """

    side: np.ndarray
    by: str
    notes: tuple[str, ...] = ()
    gallery: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))


def compact(
    splits: Mapping[str, Any], ids: Sequence[str], *, taken: Sequence[str] = (), where: str
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Rules with lists of names as rules over new columns, and those columns (N,); other entries stay as they are.

    Args:
        splits: entries in the forms above.
        ids: clip names, in row order.
        taken: columns the table has already.
        where: opens an error message.

    Raises:
        DataError: a name stands twice or on two lists, no name of a list is a clip, or the column is taken.
    """
    kept, columns = dict(splits), {}
    row = {id: n for n, id in enumerate(ids)}
    for name, rule in splits.items():
        if not isinstance(rule, Mapping) or "train_ids" not in rule:
            continue
        if not _NAME.fullmatch(name):
            raise DataError(f"{where}: split {name!r:.90}: wanted a name of letters, digits and . _ + - : , at most 80 characters")
        if "by" in rule or set(SIDES) & set(rule):
            raise DataError(f"{where}: split {name!r} has lists of names and of numbers; give one of them")
        column = f"split_{name}"
        if column in taken:
            raise DataError(f"{where}: split {name!r} has lists of names, but the column {column!r} is there already; give one")
        side = np.zeros(len(ids), np.int64)
        listed, absent = {}, 0
        for word, number in SIDES.items():
            if f"{word}_ids" not in rule:
                continue
            names = _names(rule[f"{word}_ids"], f"{where}: split {name!r}, {word}_ids")
            rows = np.asarray([row[n] for n in names if n in row], np.int64)
            twice = rows[side[rows] > 0]
            if len(twice):
                raise DataError(f"{where}: split {name!r} lists clip {ids[twice[0]]!r} on two sides")
            if names and not len(rows):
                raise DataError(
                    f"{where}: split {name!r}: none of its {len(names)} {word} clips is here, the first is {names[0]!r}"
                )
            side[rows] = number
            listed[word], absent = len(names), absent + len(names) - len(rows)
        if "test" not in listed:
            side[side == NOWHERE] = TEST
        rest = {k: v for k, v in rule.items() if not k.endswith("_ids")}
        values = {word: [number] for word, number in SIDES.items() if word in listed or word == "test"}
        kept[name] = {"apart": COLUMN.get(name, "group"), **rest, "by": column, **values, "listed": listed, "absent": absent}
        columns[column] = side
    return kept, columns


def pair_lists(lists: Mapping[str, Sequence[str]]) -> tuple[dict[str, dict[str, list[str]]], list[str]]:
    """Lists named as in the pickles of pyskl, side by side: ``xsub_train`` and ``xsub_val`` become the split ``xsub``.

    The tested list is ``test`` where there is one, else ``val``. ``train`` and ``val`` alone are the split ``official``, ``train1``
    and ``test1`` are ``split1``.

    Returns:
        Rules with lists of names, and the lists that found no partner and were left out.
    """
    found: dict[str, dict[str, str]] = {}
    for key in lists:
        match = _LIST.fullmatch(key)
        if match:
            name, fold = match["name"], match["fold"]
            name = f"{name}{fold}" if name else f"split{fold}" if fold else "official"
            found.setdefault(name, {})["val" if match["side"] == "validation" else match["side"]] = key
    splits, used = {}, set()
    for name, keys in found.items():
        if "train" not in keys or len(keys) < 2:
            continue
        sides = {"train_ids": keys["train"], "test_ids": keys.get("test", keys.get("val", ""))}
        if len(keys) == 3:
            sides["validation_ids"] = keys["val"]
        splits[name] = {word: [str(n) for n in lists[key]] for word, key in sides.items()}
        used |= set(sides.values())
    return splits, [key for key in lists if key not in used]


def follow(store: Store, name: str, rule: Mapping[str, Any], use: np.ndarray) -> Sides:
    """What a rule of ``meta.splits`` says of the rows ``use``.

    Raises:
        DataError: the rule is in none of the forms above, or does not fit the store; the message names the file and the split.
    """
    where = f"{store.path}/meta.json: split {name!r}"
    out = _without(store, rule, use, where)
    use, notes = np.setdiff1d(use, out), [f"{len(out)} clips on the missing list left out"] if len(out) else []
    found = _followed(store, name, rule, use, notes, where)
    found.side[out] = OUT
    return found


def _followed(store: Store, name: str, rule: Mapping[str, Any], use: np.ndarray, notes: list[str], where: str) -> Sides:
    if "novel" in rule:
        return _one_shot(store, rule, use, notes, where)
    if "train_ids" in rule:  # a store that was not written by write_store
        rules, columns = compact({name: rule}, store.ids, taken=list(store.index), where=str(store.path / "meta.json"))
        rule = rules[name]
        values: np.ndarray = columns[rule["by"]]
    else:
        by = str(rule.get("by", COLUMN.get(name)))
        lists = [rule.get(word) for word in SIDES]
        fit = all(v is None or (isinstance(v, list) and all(isinstance(n, int) for n in v)) for v in lists)
        if by not in store.index or lists[0] is None or not fit:
            raise DataError(f"{where} needs 'by' (a column) and 'train' (a list of numbers); found {dict(rule)}")
        values = store.index[by]
    return _by_column(store, name, rule, values, use, notes, where)


def _by_column(
    store: Store, name: str, rule: Mapping[str, Any], values: np.ndarray, use: np.ndarray, notes: list[str], where: str
) -> Sides:
    by = str(rule.get("by", COLUMN.get(name)))
    apart = str(rule.get("apart", by))
    if "apart" in rule and apart not in APART:
        raise DataError(f"{where}: 'apart' is {apart!r}, wanted one of {', '.join(APART)}")
    lists: list[Any] = [rule.get(word) for word in SIDES]
    train, test, validation = lists
    for a, b in ((train, test), (train, validation), (test, validation)):
        if a and b and set(a) & set(b):
            raise DataError(f"{where} lists {by} {sorted(set(a) & set(b))} on both sides")
    side = np.zeros(len(store), np.int8)
    in_validation = np.isin(values, validation or [])
    in_test = np.isin(values, test) if test is not None else (values >= 0) & ~np.isin(values, train) & ~in_validation
    sides = [np.isin(values[use], train), in_test[use], in_validation[use]]
    side[use] = np.select(sides, [TRAIN, TEST, VALIDATION], NOWHERE)
    left = int((side[use] == NOWHERE).sum())
    if left:
        notes.append(f"{left} clips whose {by} is on neither list left out" if by == apart else f"{left} clips on no list left out")
    if rule.get("absent"):
        notes.append(f"{rule['absent']} clips of the official lists are not in this dataset")
    return Sides(side=side, by=apart, notes=tuple(notes))


def _one_shot(store: Store, rule: Mapping[str, Any], use: np.ndarray, notes: list[str], where: str) -> Sides:
    novel, names = rule["novel"], _names(rule.get("exemplars"), f"{where}, exemplars")
    if not isinstance(novel, list) or not all(isinstance(n, int) and 0 <= n < len(store.classes) for n in novel):
        raise DataError(f"{where}: 'novel' must list labels of the {len(store.classes)} classes; found {novel!r}")
    row = {id: n for n, id in enumerate(store.ids)}
    missing = [n for n in names if n not in row or row[n] not in use]
    if missing:
        raise DataError(f"{where}: the exemplar {missing[0]!r} is not among the clips; import them all, or correct 'exemplars'")
    gallery = np.asarray([row[n] for n in names], np.int64)
    if sorted(store.labels[gallery]) != sorted(set(novel)):
        raise DataError(f"{where}: the exemplars are of the classes {sorted(store.labels[gallery])}, wanted one of each of {novel}")
    side = np.zeros(len(store), np.int8)
    side[use] = np.where(np.isin(store.labels[use], novel), TEST, TRAIN)
    side[gallery] = NOWHERE
    notes.append(f"one-shot: {len(novel)} classes that training never sees, each compared with one clip")
    return Sides(side=side, by="label", notes=tuple(notes), gallery=np.sort(gallery))


def _without(store: Store, rule: Mapping[str, Any], use: np.ndarray, where: str) -> np.ndarray:
    """The rows that take no part."""
    given = rule.get("without", [])
    if given != "ntu_missing" and not isinstance(given, list):
        raise DataError(f"{where}: 'without' is {given!r}, wanted a list of clip names or 'ntu_missing'")
    names = ntu_missing() if given == "ntu_missing" else {str(n) for n in given}
    return use[[store.ids[r] in names for r in use]] if names else use[:0]


def _names(given: Any, where: str) -> list[str]:
    if not isinstance(given, list | tuple) or not all(isinstance(n, str) for n in given):
        raise DataError(f"{where} must be a list of clip names; found {str(given)[:80]}")
    if len(set(given)) < len(given):
        twice = next(n for n in given if given.count(n) > 1)
        raise DataError(f"{where}: {twice!r} stands twice")
    return list(given)
