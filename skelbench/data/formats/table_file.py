"""CSV, TSV and parquet files some thousand rows at a time, column by column; memory does not grow with the file."""

from __future__ import annotations

import csv
import itertools
import operator
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from skelbench.data.words import plain
from skelbench.errors import DataError

ROWS = 4096  # of a chunk; more only keep the garbage collector busy
BLOCK, LINE = 1 << 22, 1 << 20  # characters read at a time, characters of the longest line
WIDEST = 20_000  # columns
PACKED = 2000  # rows that a byte of a parquet file may stand for
ENDINGS = {".csv": ",", ".tsv": "\t", ".parquet": "", ".pq": ""}
BLANK = re.compile(r"\s")
Column = Sequence[str] | np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class Chunk:
    """Consecutive rows.

    Attributes:
        where: file and what its rows are counted as, e.g. ``a.csv:`` or ``a.parquet, row ``.
        lines: (rows,) number of each row.
        columns: name -> words, or numbers of a parquet file.
    """

    where: str
    lines: np.ndarray
    columns: dict[str, Column]

    def at(self, row: int) -> str:
        """Where a row of the chunk stands, for a message."""
        return f"{self.where}{self.lines[row]}"

    def words(self, name: str) -> list[str]:
        """A column as words; whole numbers without a point."""
        column = self.columns[name]
        if not isinstance(column, np.ndarray):
            return [w.strip() for w in column] if BLANK.search("".join(column)) else list(column)
        if column.dtype.kind == "f":
            return [str(int(v)) if v == v and abs(v) < 2**53 and v == int(v) else str(v) if v == v else "" for v in column.tolist()]
        return [str(v) for v in column.tolist()]

    def numbers(self, name: str) -> np.ndarray:
        """A column as float64 (rows,); empty cells are NaN.

        Raises:
            DataError: a word that is no number; with its line.
        """
        column = self.columns[name]
        if isinstance(column, np.ndarray):
            return column.astype(np.float64)
        try:
            values = np.fromiter(map(float, column), np.float64, len(column))
        except ValueError:
            values = np.fromiter((self._number(name, n, w) for n, w in enumerate(column)), np.float64, len(column))
        if "_" in "".join(column):  # Python reads 1_0 as ten
            n = next(n for n, word in enumerate(column) if "_" in word)
            raise DataError(f"{self.at(n)}: {column[n][:40]!r} in column {name!r} is not a number")
        return values

    def _number(self, name: str, row: int, word: str) -> float:
        try:
            return float(word) if word.strip() else float("nan")
        except ValueError as error:
            hint = " (a comma as decimal mark? write a point)" if "," in word else ""
            raise DataError(f"{self.at(row)}: {word[:40]!r} in column {name!r} is not a number{hint}") from error

    def whole(self, name: str) -> np.ndarray:
        """A column as int64 (rows,).

        Raises:
            DataError: a number that is not whole, below zero or huge; with its line.
        """
        values = self.numbers(name)
        bad = np.flatnonzero(~((values >= 0) & (values < 2**31) & (values == np.floor(values))))
        if len(bad):
            raise DataError(f"{self.at(bad[0])}: {values[bad[0]]:g} in column {name!r} is not a whole number from 0 up")
        return values.astype(np.int64)


def runs(words: Sequence[str]) -> list[tuple[int, int]]:
    """(first, end) of every stretch of equal words."""
    changes = np.fromiter(map(operator.ne, words, itertools.islice(words, 1, None)), bool, len(words) - 1)
    bounds = [0, *(np.flatnonzero(changes) + 1).tolist(), len(words)]
    return list(itertools.pairwise(bounds))


def column_names(path: Path) -> list[str]:
    """The columns of a table, in order.

    Raises:
        DataError: not readable, no columns, or a name that stands twice.
    """
    if path.suffix.lower() in (".parquet", ".pq"):
        names = [str(n) for n in _open_parquet(path).schema_arrow.names]
    else:
        with _open_text(path) as file:
            first = next(_lines(path, file), "")
        names = first_cells(path, first)
    twice = next((n for n in names if names.count(n) > 1 and n), None)
    if twice is not None or not any(names) or len(names) > WIDEST:
        what = f"the column {twice!r} stands twice" if twice is not None else "no columns" if not any(names) else "too many columns"
        raise DataError(f"{path}:1: {what}; wanted a first line with a name for every column")
    return names


def first_cells(path: Path, line: str) -> list[str]:
    """The names in the first line of a CSV.

    Raises:
        DataError: quotes that do not close.
    """
    try:
        return [n.strip() for n in next(csv.reader([line], delimiter=_delimiter(path, line), strict=True), [])]
    except csv.Error as error:
        raise DataError(f"{path}:1: cannot be read as a table ({error})") from error


def chunks(path: Path, names: Sequence[str], wanted: Sequence[str], *, rows: int = ROWS) -> Iterator[Chunk]:
    """The rows of a table, these columns only.

    Args:
        path: the file.
        names: its columns, see :func:`column_names`.
        wanted: some of them.
        rows: of a chunk.

    Raises:
        DataError: a line with another number of cells, or a damaged file; with its line.
    """
    if path.suffix.lower() in (".parquet", ".pq"):
        yield from _parquet_chunks(path, wanted, rows)
        return
    with _open_text(path) as file:
        lines, delimiter = _body(path, file)
        for numbers, columns in _cells(path, lines, delimiter, len(names), rows):
            yield Chunk(where=f"{path}:", lines=numbers, columns={w: columns(names.index(w)) for w in wanted})


def _cells(
    path: Path, lines: Iterator[str], delimiter: str, width: int, rows: int
) -> Iterator[tuple[np.ndarray, Callable[[int], Sequence[str]]]]:
    """Line numbers of some rows, and a function that gives one of their columns. Rows become lists only where there are quotes."""
    begin = 2
    while block := list(itertools.islice(lines, rows)):
        text = delimiter.join(block)
        if '"' in text:
            yield from _quoted_cells(path, itertools.chain(block, lines), delimiter, width, rows, begin)
            return
        numbers = np.arange(begin, begin + len(block))
        begin += len(block)
        if not all(block):
            numbers, block = numbers[[bool(line) for line in block]], [line for line in block if line]
            text = delimiter.join(block)
        counts = np.fromiter(map(operator.methodcaller("count", delimiter), block), np.int64, len(block)) + 1
        _check_width(path, numbers, counts, width)
        cells = text.split(delimiter)
        if block:
            yield numbers, lambda place, cells=cells: cells[place::width]  # type: ignore[misc]


def _quoted_cells(
    path: Path, lines: Iterator[str], delimiter: str, width: int, rows: int, begin: int
) -> Iterator[tuple[np.ndarray, Callable[[int], Sequence[str]]]]:
    reader = csv.reader(lines, delimiter=delimiter)
    while True:
        before = reader.line_num
        try:
            block = list(itertools.islice(reader, rows))
        except csv.Error as error:
            raise DataError(f"{path}:{begin + reader.line_num - 1}: cannot be read as a table ({error})") from error
        if not block:
            return
        numbers = np.arange(begin + before, begin + before + len(block))
        kept = [n for n, row in enumerate(block) if row]
        numbers, block = numbers[kept], [block[n] for n in kept]
        _check_width(path, numbers, np.fromiter(map(len, block), np.int64, len(block)), width)
        columns = list(zip(*block, strict=True))
        if block:
            yield numbers, columns.__getitem__


def _check_width(path: Path, numbers: np.ndarray, counts: np.ndarray, width: int) -> None:
    odd = np.flatnonzero(counts != width)
    if len(odd):
        raise DataError(f"{path}:{numbers[odd[0]]}: {counts[odd[0]]} cells, wanted {width} as in the first line")


def _open_text(path: Path) -> TextIO:
    try:
        if path.exists() and not path.is_file():
            raise DataError(f"{path}: is not a file")
        return path.open(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error


def _body(path: Path, file: TextIO) -> tuple[Iterator[str], str]:
    """The lines below the first, and the delimiter: that which parts the first line most often."""
    lines = _lines(path, file)
    return lines, _delimiter(path, next(lines, ""))


def _delimiter(path: Path, first: str) -> str:
    return max((ENDINGS.get(path.suffix.lower()) or ",", ",", ";", "\t"), key=first.count)


def _lines(path: Path, file: TextIO) -> Iterator[str]:
    rest, count = "", 0
    while block := file.read(BLOCK):
        parts = (rest + block).split("\n")
        rest = parts.pop()
        longest = max(map(len, parts), default=0)
        if max(longest, len(rest)) > LINE:
            raise DataError(f"{path}:{count + 1}: a line of over {LINE} characters somewhere after this one; is it a table?")
        count += len(parts)
        yield from parts
    if rest:
        yield rest


def _open_parquet(path: Path) -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise DataError(
            f"{path}: reading parquet needs pyarrow; pip install 'skelbench[parquet]', or save the table as CSV"
        ) from error
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    try:
        file = pyarrow.parquet.ParquetFile(path)
        rows = file.metadata.num_rows
    except (pyarrow.ArrowException, OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(f"{path}: cannot be read as parquet ({_one_line(error)})") from error
    if not 0 <= rows <= PACKED * path.stat().st_size:
        raise DataError(f"{path}: {rows} rows, which a file of {path.stat().st_size} bytes does not hold")
    return file


def _parquet_chunks(path: Path, wanted: Sequence[str], rows: int) -> Iterator[Chunk]:
    import pyarrow

    file, at = _open_parquet(path), 1
    try:
        for batch in file.iter_batches(batch_size=rows, columns=list(wanted)):
            columns = {name: _values(path, name, batch.column(batch.schema.get_field_index(name))) for name in wanted}
            yield Chunk(where=f"{path}, row ", lines=np.arange(at, at + batch.num_rows), columns=columns)
            at += batch.num_rows
    except (pyarrow.ArrowException, OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(f"{path}: damaged near row {at} ({_one_line(error)})") from error


def _values(path: Path, name: str, column: Any) -> Column:
    import pyarrow.types as kinds

    kind = column.type
    if kinds.is_dictionary(kind):
        column, kind = column.dictionary_decode(), kind.value_type
    if kinds.is_integer(kind) or kinds.is_floating(kind) or kinds.is_boolean(kind) or kinds.is_decimal(kind):
        values = column.to_numpy(zero_copy_only=False)
        return values.astype(np.float64) if values.dtype.kind not in "iuf" else values
    if kinds.is_string(kind) or kinds.is_large_string(kind):
        return ["" if v is None else v for v in column.to_pylist()]
    raise DataError(f"{path}: column {name!r} is of type {kind}; wanted numbers or words")


def _one_line(error: Exception) -> str:
    return plain(" ".join(str(error).split()))[:200]
