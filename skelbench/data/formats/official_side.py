"""Which official split a file belongs to, by the words in its name, for formats that keep its sides apart without saying more."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from skelbench.data.rules import COLUMN, SIDES

WORDS = {
    "xsub": r"xsub|x-sub|cross.?subject|csub|cs",
    "xview": r"xview|x-view|cross.?view|cv",
    "xset": r"xset(up)?|x-set(up)?|cross.?set(up)?|cset",
}
NUMBER = {"train": SIDES["train"], "val": SIDES["validation"], "test": SIDES["test"]}


def protocol_of(*names: str) -> str:
    """``xsub``, ``xview`` or ``xset`` where the first of some file or folder names that holds such a word says so; else
    ``official``.
    """
    for name in names:
        for protocol, words in WORDS.items():
            if re.search(rf"(?<![a-z])({words})(?![a-z])", name.lower()):
                return protocol
    return "official"


def side_numbers(parts: Iterable[str]) -> dict[str, int]:
    """What the column ``split_<name>`` holds for ``train``, ``val`` and ``test``; ``val`` alone is what is tested on."""
    parts = tuple(parts)
    return {part: SIDES["test"] if part == "val" and "test" not in parts else NUMBER[part] for part in parts}


def side_rule(protocol: str, parts: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The rule for ``Source.splits`` of a reader that writes the column ``split_<protocol>``; none where a side is missing."""
    numbers = side_numbers(parts)
    if not {SIDES["train"], SIDES["test"]} <= set(numbers.values()):
        return {}
    listed = {word: [number] for word, number in SIDES.items() if number in numbers.values()}
    return {protocol: {"by": f"split_{protocol}", **listed, "apart": COLUMN.get(protocol, "group")}}
