"""The table of results: mean, spread and interval over seeds, folds or draws, always beside the two floors."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skelbench.errors import ConfigError, DataError
from skelbench.evaluate import exports
from skelbench.evaluate.rows import DRAW, FLOORS, Row

Key = tuple[str, str, str]  # data, split, protocol


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Mean of a number over independent repetitions.

    Attributes:
        mean: average.
        sd: standard deviation between repetitions (n - 1); None for one.
        low: lower end of the 95 % Student-t interval of the mean; None for one repetition.
        high: upper end.
        n: repetitions.
        over: what is repeated: ``seeds``, ``folds``, or ``draws`` of the labels.
    """

    mean: float
    sd: float | None
    low: float | None
    high: float | None
    n: int
    over: str

    @property
    def clear(self) -> bool:
        """The interval leaves out 0: for a difference, it has a sign."""
        return self.low is not None and self.high is not None and self.low * self.high > 0


@dataclass(frozen=True, kw_only=True)
class Line:
    """One printed row: a method under a protocol, all its repetitions together.

    Attributes:
        data: name of the data set.
        split: name of the split.
        protocol: name of the protocol.
        method: name of the method.
        accuracy: over its repetitions.
        mean_class: mean per-class accuracy, averaged over repetitions.
        n: test clips of all folds together.
        over: paired difference to each floor; None for the floor itself.
        paper: the published number, where every repetition was made by the published recipe.
        source: where it stands.
    """

    data: str
    split: str
    protocol: str
    method: str
    accuracy: Estimate
    mean_class: float
    n: int
    over: Mapping[str, Estimate | None]
    paper: float | None = None
    source: str = ""


def estimate(values: Sequence[float], *, over: str) -> Estimate:
    """Mean, standard deviation and 95 % Student-t interval of independent values."""
    n = len(values)
    if not n:
        raise DataError("a mean of no values was asked for")
    mean = math.fsum(values) / n
    if n == 1:
        return Estimate(mean=mean, sd=None, low=None, high=None, n=1, over=over)
    from scipy.special import stdtrit

    sd = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (n - 1))
    half = float(stdtrit(n - 1, 0.975)) * sd / math.sqrt(n)
    return Estimate(mean=mean, sd=sd, low=mean - half, high=mean + half, n=n, over=over)


class Table:
    """Rows of (data, split, method, protocol), averaged over seeds. Prints only beside the floors ``random`` and ``raw``.

    With several folds (left-out subjects) or draws (of labels), these are what is repeated: seeds are averaged within. Differences
    are paired: the same fold and the same seed stand against each other; a method without a seed (``raw``) against every one.
    """

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        self.rows: list[Row] = []
        self.add(rows)

    def add(self, rows: Iterable[Row]) -> Table:
        """Append rows. Raises DataError when a number for the same method, protocol, fold and seed is there already."""
        for row in rows:
            if any(_place(row) == _place(r) for r in self.rows):
                raise DataError(
                    f"{row.method}, {row.protocol} on {row.data}/{row.split}, fold {row.fold or 'none'}, seed {row.seed} is "
                    "in the table already; two numbers for one place would count as two repetitions"
                )
            self.rows.append(row)
        return self

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __repr__(self) -> str:
        methods = dict.fromkeys(r.method for r in self.rows)
        return f"Table({len(self.rows)} rows: {', '.join(methods)})"

    def __str__(self) -> str:
        return self.to_markdown()

    def lines(self) -> list[Line]:
        """Everything that is printed, floors first within each (data, split, protocol).

        Raises:
            ConfigError: a floor is missing somewhere; the message says where and what to run.
        """
        groups: dict[Key, list[Row]] = {}
        for row in self.rows:
            groups.setdefault((row.data, row.split, row.protocol), []).append(row)
        lines = []
        for key, rows in groups.items():
            names = dict.fromkeys(r.method for r in rows)
            missing = [f for f in FLOORS if f not in names]
            if missing:
                raise ConfigError(
                    f"{key[2]} on {key[0]}/{key[1]} has no row of the floor {' and '.join(missing)}: a number means nothing "
                    "without them. Add skelbench.evaluate.floors(store, split, ...) to the table"
                )
            order = [*FLOORS, *(m for m in names if m not in FLOORS)]
            lines += [self._line(key, m, [r for r in rows if r.method == m]) for m in order]
        return lines

    def _line(self, key: Key, method: str, rows: list[Row]) -> Line:
        data, split, protocol = key
        folds = {r.fold: r.n for r in rows}
        accuracy = _over_units({(r.fold, r.seed): r.accuracy for r in rows})
        paper = {(r.paper, r.source) for r in rows}
        published, source = paper.pop() if len(paper) == 1 else (None, "")
        return Line(
            data=data,
            split=split,
            protocol=protocol,
            method=method,
            accuracy=accuracy,
            mean_class=_over_units({(r.fold, r.seed): r.mean_class for r in rows}).mean,
            n=max(folds.values()) if accuracy.over == "draws" else sum(folds.values()),  # draws share their test clips
            over={f: self.compare(method, f, data=data, split=split, protocol=protocol) if f != method else None for f in FLOORS},
            paper=published,
            source=source,
        )

    def compare(self, a: str, b: str, *, protocol: str, data: str | None = None, split: str | None = None) -> Estimate:
        """Accuracy of ``a`` minus ``b``, paired by fold and seed, with a 95 % interval where there is more than one pair.

        Raises:
            ConfigError: a method has no such row, the choice of data or split is open, or no two rows can be paired.
        """
        found = [r for r in self.rows if r.protocol == protocol and data in (None, r.data) and split in (None, r.split)]
        places = {(r.data, r.split) for r in found}
        if len(places) != 1:
            there = ", ".join(sorted(f"{d}/{s}" for d, s in places)) or "none"
            raise ConfigError(f"compare({a!r}, {b!r}, protocol={protocol!r}): say which data and split; there are: {there}")
        place = places.pop()
        left, right = ({(r.fold, r.seed): r.accuracy for r in self._of(m, protocol, place)} for m in (a, b))
        pairs = {
            (fold, seed if seed is not None else other): value - against
            for (fold, seed), value in left.items()
            for (fold_b, other), against in right.items()
            if fold == fold_b and (seed == other or seed is None or other is None)
        }
        if not pairs:
            raise ConfigError(
                f"{a} and {b} share no fold and seed under {protocol} on {'/'.join(place)}: run them with the same seeds"
            )
        return _over_units(pairs)

    def _of(self, method: str, protocol: str, place: tuple[str, str]) -> list[Row]:
        rows = [r for r in self.rows if r.method == method and r.protocol == protocol and (r.data, r.split) == place]
        if not rows:
            raise ConfigError(f"no row of {method!r} under {protocol!r} on {place[0]}/{place[1]}")
        return rows

    def differences(self) -> dict[str, dict[str, tuple[Any, Any]]]:
        """Per method: setting -> (published recipe, here)."""
        found: dict[str, dict[str, tuple[Any, Any]]] = {}
        for row in self.rows:
            if row.differs:
                found.setdefault(row.method, {}).update(row.differs)
        return found

    def to_markdown(self) -> str:
        """Markdown table, what differs from the recipe below it."""
        return exports.markdown(self.lines(), self.differences())

    def to_html(self) -> str:
        """The same as an HTML fragment that follows the page's colours."""
        return exports.page(self.lines(), self.differences())

    def to_latex(self) -> str:
        """The same as a LaTeX ``tabular`` that needs no package, what differs as footnotes below it."""
        return exports.latex(self.lines(), self.differences())

    def _repr_html_(self) -> str:
        return self.to_html()

    def to_csv(self) -> str:
        """Every single row (nothing averaged), then it can be averaged elsewhere. Asks for the floors like every other output."""
        self.lines()
        return exports.values(self.rows)

    def to_json(self) -> str:
        """JSON text of every row; ``Table.from_json`` reads it back."""
        return json.dumps([dataclasses.asdict(r) for r in self.rows], indent=1, default=str) + "\n"

    @classmethod
    def from_json(cls, text: str | Path) -> Table:
        """Read ``to_json`` text, or the file it was written to.

        Raises:
            DataError: not of that form.
        """
        where, text = (str(text), text.read_text()) if isinstance(text, Path) else ("the text", text)
        try:
            rows = json.loads(text)
        except json.JSONDecodeError as error:
            raise DataError(f"{where}, line {error.lineno}: not valid JSON ({error.msg})") from error
        names = {f.name for f in dataclasses.fields(Row)}
        needed = {"data", "split", "method", "protocol", "accuracy", "mean_class", "n"}
        if not isinstance(rows, list) or not all(isinstance(r, dict) and needed <= set(r) <= names for r in rows):
            listed = f"{', '.join(sorted(needed))} (and {', '.join(sorted(names - needed))})"
            raise DataError(f"{where}: a table is a JSON list of rows with {listed}")
        return cls(Row(**{**r, "differs": {k: tuple(v) for k, v in r.get("differs", {}).items()}}) for r in rows)


def _place(row: Row) -> tuple[Any, ...]:
    return row.data, row.split, row.fold, row.method, row.protocol, row.seed


def _over_units(values: Mapping[tuple[str, int | None], float]) -> Estimate:
    """Over folds or draws where there are several (seeds averaged within each), else over seeds."""
    folds: dict[str, list[float]] = {}
    for (fold, _), value in values.items():
        folds.setdefault(fold, []).append(value)
    if len(folds) > 1:
        over = "draws" if all(fold.startswith(DRAW) for fold in folds) else "folds"
        return estimate([math.fsum(v) / len(v) for v in folds.values()], over=over)
    return estimate(list(values.values()), over="seeds")
