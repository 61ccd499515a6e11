"""What the points of a map can be coloured by: a category with names, or a number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from skelbench.data.store import Store
from skelbench.errors import DataError
from skelbench.widgets.palette import RAMP, class_colours, class_shapes

MOST_NUMBERS = 60  # whole numbers with at most so many values are a category


@dataclass(frozen=True, kw_only=True, eq=False)
class Column:
    """One value a point.

    Attributes:
        name: as it stands in the menu.
        values: float (N,), or the number of the category (N,), -1 unknown.
        names: names of the categories; empty for a number.
    """

    name: str
    values: np.ndarray
    names: tuple[str, ...] = ()

    @property
    def categorical(self) -> bool:
        return bool(self.names)

    def words(self, i: int) -> str:
        """The value of one point, for a person."""
        if not self.categorical:
            return f"{self.values[i]:.4g}"
        return self.names[int(self.values[i])] if self.values[i] >= 0 else "unknown"

    def marker(self) -> dict[str, Any]:
        """Colours and shapes of all points, as plotly's ``marker`` wants them: one array, one trace."""
        if not self.categorical:
            finite = self.values[np.isfinite(self.values)]
            low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
            scale = [[i / (len(RAMP) - 1), c] for i, c in enumerate(RAMP)]
            return {"color": self.values, "colorscale": scale, "cmin": low, "cmax": high or 1.0, "symbol": "circle"}
        codes = np.arange(-1, len(self.names))
        edges = np.linspace(0, 1, len(codes) + 1)
        scale = [[float(e), c] for i, c in enumerate(class_colours(codes)) for e in edges[i : i + 2]]
        shapes = class_shapes(codes)
        symbol = "circle" if len(set(shapes)) == 1 else [shapes[int(v) + 1] for v in self.values]
        return {
            "color": self.values.astype(np.float32),
            "colorscale": scale,
            "cmin": -1.5,
            "cmax": len(self.names) - 0.5,
            "symbol": symbol,
        }

    def key(self) -> dict[str, Any]:
        """What the key beside the map shows."""
        if not self.categorical:
            marker = self.marker()
            return {"entries": [], "ramp": list(RAMP), "ends": [f"{marker['cmin']:.4g}", f"{marker['cmax']:.4g}"]}
        counts = np.bincount(self.values[self.values >= 0].astype(int), minlength=len(self.names))
        codes = np.arange(len(self.names))
        entries = [
            {"name": n, "colour": c, "shape": s, "count": int(k)}
            for n, c, s, k in zip(self.names, class_colours(codes), class_shapes(codes), counts, strict=True)
        ]
        return {"entries": entries, "ramp": [], "ends": []}


def column(name: str, values: Sequence[Any] | np.ndarray, N: int, *, names: Sequence[str] = ()) -> Column:
    """A column of any values: words, truth values and few whole numbers become a category, the rest stays a number.

    Raises:
        DataError: not one value a point, or a category without a name.
    """
    table = np.asarray(values)
    if table.shape != (N,):
        raise DataError(f"column {name!r} has shape {table.shape}, wanted one value for each of {N} points")
    if names:
        if table.dtype.kind not in "iu" or table.min(initial=0) < -1 or table.max(initial=-1) >= len(names):
            raise DataError(f"column {name!r}: values must be -1 .. {len(names) - 1}, numbers of the {len(names)} names given")
        return Column(name=name, values=table.astype(np.int64), names=tuple(str(n) for n in names))
    if table.dtype.kind == "b":
        return Column(name=name, values=table.astype(np.int64), names=("no", "yes"))
    if table.dtype.kind in "iu":
        found = np.unique(table[table >= 0])
        if len(found) <= MOST_NUMBERS:
            codes = np.where(table >= 0, np.searchsorted(found, table), -1)
            return Column(name=name, values=codes, names=tuple(str(f) for f in found) or ("unknown",))
    if table.dtype.kind in "iuf":
        return Column(name=name, values=table.astype(np.float32))
    words, codes = np.unique(table.astype(str), return_inverse=True)
    return Column(name=name, values=codes.astype(np.int64), names=tuple(str(w) for w in words))


def columns_of(
    N: int, *, store: Store | None, rows: np.ndarray, labels: Any, classes: Sequence[str] | None, more: Mapping[str, Any] | None
) -> dict[str, Column]:
    """Class, subject, camera and setup where they are known and differ, then the caller's own columns."""
    found: dict[str, Column] = {}
    if labels is None and store is not None:
        labels, classes = store.labels[rows], store.classes
    if labels is not None:
        numbers = np.asarray(labels)
        names = list(classes) if classes is not None else [f"class {i}" for i in range(int(numbers.max(initial=-1)) + 1)]
        found["class"] = column("class", numbers, N, names=names)
    for name in ("subject", "camera", "setup"):
        if store is not None and len(np.unique(store.index[name][rows])) > 1:
            found[name] = column(name, store.index[name][rows], N)
    for name, values in (more or {}).items():
        found[name] = column(name, values, N)
    return found or {"all": Column(name="all", values=np.zeros(N, np.int64), names=("points",))}
