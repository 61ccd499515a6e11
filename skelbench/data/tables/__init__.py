"""Facts of public datasets as small JSON files beside this one: class names, subjects of the official splits, missing lists.

``table("ntu")`` is the file as it stands; the functions below give it the form that readers and splits want.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

from skelbench.errors import ConfigError, DataError

NTU = (60, 120)  # classes of the two sizes of NTU RGB+D


@functools.cache
def table(name: str) -> dict[str, Any]:
    """One of the JSON files in this folder, by its name without ending. Do not change what comes back: it is kept.

    Raises:
        DataError: no such table; the message lists those there are.
    """
    path = Path(__file__).parent / f"{name}.json"
    if not path.is_file():
        there = ", ".join(sorted(p.stem for p in path.parent.glob("*.json")))
        raise DataError(f"no table called {name!r}; there are: {there}")
    return json.loads(path.read_text(encoding="utf-8"))


def _check(classes: int) -> None:
    if classes not in NTU:
        raise ConfigError(f"NTU RGB+D has 60 or 120 classes, not {classes}")


def ntu_classes(classes: int = 120) -> tuple[str, ...]:
    """Class names in label order: label = number after the A in the file name, minus 1."""
    _check(classes)
    return tuple(table("ntu")["classes"][:classes])


def ntu_groups(classes: int = 120) -> tuple[str, ...]:
    """``daily``, ``medical`` or ``mutual`` (two people) per class, in label order."""
    _check(classes)
    group = {number: name for name, numbers in table("ntu")["groups"].items() for number in numbers}
    return tuple(group.get(number, "daily") for number in range(1, classes + 1))


def ntu_missing(classes: int = 120) -> frozenset[str]:
    """Names of the recordings without usable bodies: 302 of NTU 60, 535 of NTU 120, as the dataset's authors list them."""
    _check(classes)
    last = table("ntu")["setups_of_60"]
    return frozenset(n for n in table("ntu")["missing"] if classes == 120 or int(n[1:4]) <= last)


def ntu_splits(classes: int = 120) -> dict[str, dict[str, Any]]:
    """Official protocols in the form ``meta.splits`` takes (:mod:`skelbench.data.rules`).

    60 classes: ``xsub`` and ``xview``. 120 classes: ``xsub``, ``xset`` and ``one_shot``. Clips on the missing list are left out.
    The store needs the columns ``subject``, ``camera`` and ``setup`` with the numbers of the file names, and the names as ids.
    """
    _check(classes)
    t = table("ntu")
    subjects = t["train_subjects"][: t["train_subjects_of_60"] if classes == 60 else None]
    without = {"without": "ntu_missing"}
    xsub = {"by": "subject", "train": list(subjects), **without}
    if classes == 60:
        return {"xsub": xsub, "xview": {"by": "camera", "train": t["train_cameras"], "test": t["test_cameras"], **without}}
    one_shot = {"novel": [n - 1 for n in t["one_shot"]["novel"]], "exemplars": t["one_shot"]["exemplars"], **without}
    return {"xsub": xsub, "xset": {"by": "setup", "train": t["train_setups"], **without}, "one_shot": one_shot}
