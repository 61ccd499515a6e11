"""The numbers of a run as columns, and as the lines of ``metrics.jsonl``.

A line holds no time of day, so a run that was killed and resumed writes the same file as one that was not:

    {"step": 12, "epoch": 0, "loss": 4.1, "lr": 0.05, "parts": {"moco": 4.1}, "meters": {}}
    {"step": 36, "epoch": 0, "probe": {"accuracy": 0.41, "meters": {...}, "clips": [800, 200]}}
"""

from __future__ import annotations

import json
import math
import threading
from array import array
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from skelbench.errors import RunError
from skelbench.train.events import Probe, Step

COUNTS = ("step", "epoch")


class Columns(Mapping[str, np.ndarray]):
    """Rows that grow while others read them: ``columns["loss"]`` is an array (rows,), NaN where a row has no such number."""

    def __init__(self) -> None:
        self._rows = 0
        self._columns: dict[str, array[float]] = {}
        self._lock = threading.Lock()

    def add(self, row: Mapping[str, float | None]) -> None:
        """Append one row."""
        with self._lock:
            for name in row:
                if name not in self._columns:
                    self._columns[name] = array("d", [math.nan]) * self._rows
            for name, column in self._columns.items():
                value = row.get(name)
                column.append(math.nan if value is None else value)
            self._rows += 1

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return self._rows

    def last(self, name: str) -> float:
        """Newest known value of a column, NaN where there is none."""
        with self._lock:
            return next((v for v in reversed(self._columns.get(name, ())) if not math.isnan(v)), math.nan)

    def __getitem__(self, name: str) -> np.ndarray:
        with self._lock:
            if name not in self._columns:
                raise KeyError(f"no column {name!r}; there are: {', '.join(self._columns) or 'none yet'}")
            return np.array(self._columns[name], np.int64 if name in COUNTS else np.float64)

    def __iter__(self) -> Iterator[str]:
        with self._lock:
            return iter(list(self._columns))

    def __len__(self) -> int:
        return len(self._columns)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._rows} rows: {', '.join(self)})"


class Metrics(Columns):
    """One row a step: step, epoch, loss, lr, then the parts of the loss and the collapse meters under their own names.

    Attributes:
        probes: one row a probe: step, epoch, accuracy and the meters of the probed features.
    """

    def __init__(self) -> None:
        super().__init__()
        self.probes = Columns()

    def line(self, table: Mapping[str, Any]) -> None:
        """Take one line of ``metrics.jsonl``, parsed."""
        counts = {name: table[name] for name in COUNTS}
        if "probe" in table:
            probe = table["probe"]
            self.probes.add(_flat({**counts, "accuracy": probe["accuracy"]}, meters=probe["meters"]))
        else:
            fixed = {**counts, "loss": table["loss"], "lr": table["lr"]}
            self.add(_flat(fixed, parts=table["parts"], meters=table["meters"]))

    def read(self, path: Path) -> None:
        """Take every line of a file. Raises RunError naming the line that is damaged."""
        with path.open("rb") as file:
            for number, text in enumerate(file, start=1):
                try:
                    self.line(json.loads(text))
                except (ValueError, KeyError, TypeError) as error:
                    raise RunError(
                        f"{path}:{number}: this is no line of metrics ({error}). Put the file back from a copy, or delete it to go "
                        "on without the rows so far"
                    ) from error


def table_of(event: Step | Probe) -> dict[str, Any]:
    """The line an event leaves in ``metrics.jsonl``."""
    counts = {"step": event.step, "epoch": event.epoch}
    if isinstance(event, Probe):
        return {**counts, "probe": {"accuracy": event.accuracy, "meters": _finite(event.meters), "clips": list(event.clips)}}
    return {**counts, "loss": event.loss, "lr": event.lr, "parts": _finite(event.parts), "meters": _finite(event.meters)}


def _finite(values: Mapping[str, float]) -> dict[str, float | None]:
    return {k: v if math.isfinite(v) else None for k, v in values.items()}


def _flat(fixed: dict[str, Any], **groups: Mapping[str, Any]) -> dict[str, Any]:
    row = dict(fixed)
    for group, values in groups.items():
        row |= {(f"{group}.{name}" if name in row else name): value for name, value in values.items()}
    return row
