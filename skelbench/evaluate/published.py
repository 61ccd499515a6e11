"""Numbers that the papers report, each with where it stands and how it is known; the facts lie in ``published.json``.

They are for a column beside one's own numbers. Nothing is ever selected or passed by them.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

EVIDENCE = {
    "P": "read in the paper",
    "I": "from the result images of the authors' repository",
    "R": "from the tables in the text of the authors' repository",
    "Z": "from the model zoo of the authors' repository",
    "L": "from the listing of a public leaderboard",
    "T": "from another paper's table",
}


@dataclass(frozen=True, kw_only=True)
class Published:
    """One number of a paper.

    Attributes:
        method: name of the method.
        data: key of the dataset in the recipes: ``ntu60``, ``ntu60_2d``, ``pku2`` ...
        split: as in ``make_split``.
        protocol: ``linear``, ``1-nn``, ``fine-tune``, or ``scratch``: the same without pre-training.
        measure: ``accuracy``, or ``mean_class`` where the paper averages over classes.
        value: per cent.
        evidence: key of ``EVIDENCE``.
        source: paper, table, variant.
    """

    method: str
    data: str
    split: str
    protocol: str
    measure: str
    value: float
    evidence: str
    source: str

    @property
    def share(self) -> float:
        """In [0, 1], as in a row of the table."""
        return self.value / 100

    @property
    def known(self) -> str:
        """Source and evidence in words."""
        return f"{self.source} ({EVIDENCE[self.evidence]})"


@functools.cache
def published() -> tuple[Published, ...]:
    """All numbers that are known."""
    table: Mapping[str, list[dict[str, object]]] = json.loads(
        (Path(__file__).parent / "published.json").read_text(encoding="utf-8")
    )
    return tuple(Published(**row) for row in table["rows"])  # type: ignore[arg-type]


def find_published(method: str, data: str, split: str) -> tuple[Published, ...]:
    """Those of one method on one split; empty where none is known."""
    return tuple(p for p in published() if (p.method, p.data, p.split) == (method, data, split))
