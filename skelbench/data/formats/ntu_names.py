"""Names of NTU RGB+D clips, ``SsssCcccPpppRrrrAaaa``: setup, camera, performer, replication, action; three digits each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from skelbench.data.tables import ntu_splits

NAME = re.compile(r"S(\d{3})C(\d{3})P(\d{3})R(\d{3})A(\d{3})", re.ASCII)


def ntu_numbers(name: str) -> tuple[int, int, int, int, int] | None:
    """Setup, camera, performer, replication and action, all from 1 up; None for any other name."""
    found = NAME.fullmatch(name)
    if found is None:
        return None
    setup, camera, performer, replication, action = map(int, found.groups())
    return setup, camera, performer, replication, action


def ntu_columns(name: str) -> dict[str, int]:
    """What the name says, as columns of a store: subject, camera, setup, replication, group; nothing for any other name.

    ``group`` is the performance, which three cameras film: clips of one performance are one recording. It is written in digits,
    ``sss ppp rrr aaa``.
    """
    numbers = ntu_numbers(name)
    if numbers is None:
        return {}
    setup, camera, performer, replication, action = numbers
    group = ((setup * 1000 + performer) * 1000 + replication) * 1000 + action
    return {"subject": performer, "camera": camera, "setup": setup, "replication": replication, "group": group}


def ntu_classes_of(names: Iterable[str], labels: Sequence[int] | None = None) -> int | None:
    """60 or 120, where all names are NTU's and all labels are the action's number minus 1; None else, and for no names at all."""
    last = 0
    for n, name in enumerate(names):
        numbers = ntu_numbers(name)
        if numbers is None or not 1 <= numbers[-1] <= 120 or (labels is not None and labels[n] != numbers[-1] - 1):
            return None
        last = max(last, numbers[-1])
    return None if last == 0 else 60 if last <= 60 else 120


def with_official(own: dict[str, dict[str, Any]], ids: Iterable[str], dataset: str | None) -> dict[str, dict[str, Any]]:
    """The splits a file brings, and the other official ones that the names of its clips allow.

    Args:
        own: the file's; they stay as they are.
        ids: names of all clips.
        dataset: ``ntu60`` or ``ntu120`` where that is what the file holds; for others nothing is added.
    """
    there = set(ids)
    if dataset not in ("ntu60", "ntu120") or not all(map(NAME.fullmatch, there)):
        return own
    more = {k: v for k, v in ntu_splits(int(dataset[3:])).items() if k not in own}
    lacking = "one_shot" in more and not set(more["one_shot"]["exemplars"]) <= there
    return own | {k: v for k, v in more.items() if not (k == "one_shot" and lacking)}
