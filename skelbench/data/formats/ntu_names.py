"""Names of NTU RGB+D clips, ``SsssCcccPpppRrrrAaaa``: setup, camera, performer, replication, action; three digits each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

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
