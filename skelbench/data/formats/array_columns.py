"""What stands beside an array of clips: labels, names, lengths, subjects and other columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from skelbench.data.container import ID
from skelbench.data.formats.class_names import name_classes
from skelbench.data.formats.numpy_header import map_npy, npz_headers, stream_rows
from skelbench.data.formats.on_disk import whole_file
from skelbench.data.formats.source import UNLABELLED
from skelbench.errors import DataError

LABELS, IDS = ("labels", "label", "y"), ("ids", "names", "sample_ids", "sample_names")
LENGTHS = ("lengths", "length", "num_frames", "num_frame")
ABOUT = {"subjects": "subject", "cameras": "camera", "setups": "setup", "clips": "group", "groups": "group"}
OURS = ("start", "length", "label")  # columns a store makes itself
MOST = 100_000  # classes


@dataclass(frozen=True, kw_only=True, eq=False)
class Columns:
    """Of N clips; what was not told is empty or None.

    Attributes:
        labels: as in the file.
        ids: names of the clips.
        lengths: (N,) frames before the padding.
        about: (N,) whole numbers by name.
        notes: arrays that were left out.
    """

    labels: np.ndarray | None = None
    ids: list[str] | None = None
    lengths: np.ndarray | None = None
    about: dict[str, np.ndarray] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def columns_of(file: Path, key: str | None, N: int, *, frames: int) -> Columns:
    """The other arrays of an ``.npz`` that have one entry a clip; none for an ``.npy`` (``key`` None).

    Raises:
        DataError: names or lengths that do not fit, or a damaged archive.
    """
    if key is None:
        return Columns()
    found, left = {}, []
    for name, header in npz_headers(file).items():
        if header.shape[:1] == (N,) and (len(header.shape) == 1 or (name in LABELS and len(header.shape) == 2)):
            found[name] = np.concatenate(list(stream_rows(file, name)))
        elif name != key:
            left.append(name)
    labels = next((found.pop(k) for k in LABELS if k in found), None)
    ids = next((found.pop(k) for k in IDS if k in found), None)
    lengths = next((found.pop(k) for k in LENGTHS if k in found), None)
    about = {}
    for name, column in found.items():
        if column.dtype.kind in "iub" and name.isidentifier() and name not in OURS:
            about[ABOUT.get(name, name)] = column.astype(np.int64)
        else:
            left.append(name)
    notes = (f"arrays left out, not one whole number a clip: {', '.join(sorted(left))}",) if left else ()
    return Columns(
        labels=labels,
        ids=_ids(ids, file) if ids is not None else None,
        lengths=_lengths(lengths, file, frames) if lengths is not None else None,
        about=about,
        notes=notes,
    )


def labels_of(
    columns: Columns, labels: str | Path | None, N: int, *, classes: str | Path | None, where: str
) -> tuple[tuple[str, ...], list[int], str]:
    """Class names, the label of every clip (-1 unknown), and in words where they come from.

    Labels that are words become the classes in alphabetical order; numbers are kept, and named by ``classes``.

    Args:
        columns: of the file.
        labels: a file of labels, used instead: ``.npy``, or text with one label a line.
        N: clips.
        classes: what names the numbers, see :func:`skelbench.data.formats.class_names.name_classes`.
        where: opens the message.

    Raises:
        DataError: not one label a clip, or labels that are neither words nor whole numbers.
    """
    values, source = columns.labels, f"{Path(where).name}, labels"
    if labels is not None:
        file = Path(labels).expanduser()
        values, source, where = _label_file(file), f"from {file.name}", str(file)
    if values is None:
        return (UNLABELLED,), [0] * N, "no labels given"
    if len(values) != N:
        raise DataError(f"{where}: {len(values)} labels for {N} clips")
    if values.dtype.kind in "US" and values.ndim == 1:
        words = _words(values, where)
        names = tuple(sorted(set(words)))
        if not all(w.strip() for w in names):
            raise DataError(f"{where}: clip {words.index(names[0])} has an empty label")
        place = {name: n for n, name in enumerate(names)}
        return names, [place[w] for w in words], source
    numbers = _whole(values, where)
    names, named = name_classes(int(numbers.max()) + 1, classes=classes, known=None, where=where)
    return names or (UNLABELLED,), [int(n) for n in numbers], f"{source}; names {named}"


def _words(values: np.ndarray, where: str) -> list[str]:
    """Words (N,) as they are; bytes are taken as UTF-8. What is no character would make numpy fail later, so it is refused here."""
    if values.dtype.kind == "U" and values.size and values.dtype.itemsize:
        codes = np.ascontiguousarray(values).view(np.dtype(np.uint32).newbyteorder(values.dtype.byteorder))
        if ((codes > 0x10FFFF) | ((codes >= 0xD800) & (codes < 0xE000))).any():
            raise DataError(f"{where}: a word holds something that is no character; the file is damaged")
    return [str(v, "utf-8", "replace") if isinstance(v, bytes) else str(v) for v in values.tolist()]


def _label_file(file: Path) -> np.ndarray:
    if file.suffix.lower() == ".npy":
        return np.array(map_npy(file))
    if file.suffix.lower() not in (".txt", ".csv"):
        raise DataError(f"{file}: labels of an array come as .npy or as .txt with one label a line")
    lines = whole_file(file).decode("utf-8-sig", "replace").splitlines()
    words = [line.strip() for line in lines if line.strip()]
    whole = bool(words) and all(w.removeprefix("-").isdecimal() and len(w) < 19 for w in words)
    return np.array([int(w) for w in words]) if whole else np.array(words or [""], object).astype(str)


def _whole(values: np.ndarray, where: str) -> np.ndarray:
    """Labels (N,) from whole numbers of any type, or from one-hot rows."""
    if values.ndim == 2 and values.shape[1] > 1:
        if values.dtype.kind not in "fiub" or not (((values == 0) | (values == 1)).all() and (values.sum(axis=1) == 1).all()):
            raise DataError(f"{where}: labels of shape {values.shape} must have a single one in every row, and zeros")
        return values.argmax(axis=1)
    values = values.reshape(len(values), -1)[:, 0] if values.size == len(values) else values
    whole = values.ndim == 1 and values.dtype.kind in "iufb" and bool((np.isfinite(values) & (values == np.floor(values))).all())
    if not whole or values.min() < -1 or values.max() >= MOST:
        given = f"{values.dtype} {values.shape}"
        raise DataError(f"{where}: labels must be words, or whole numbers from 0 (-1 unknown) up to {MOST}; they are {given}")
    return values.astype(np.int64)


def _ids(values: np.ndarray, file: Path) -> list[str]:
    if values.dtype.kind not in "USiu":
        raise DataError(f"{file}: names of clips are words; they are {values.dtype}")
    ids = _words(values, str(file))
    odd = next((i for i in ids if not ID.fullmatch(i)), None)
    if odd is not None or len(set(ids)) < len(ids):
        what = f"{odd!r:.60} is none" if odd is not None else f"{next(i for i in ids if ids.count(i) > 1)!r:.60} stands twice"
        raise DataError(f"{file}: names of clips are different words without / \\\\ < > & and quotes; {what}")
    return ids


def _lengths(values: np.ndarray, file: Path, frames: int) -> np.ndarray:
    bad: Sequence[int] = np.flatnonzero((values < 1) | (values > frames)).tolist() if values.dtype.kind in "iu" else [0]
    if bad:
        wanted = f"whole numbers from 1 to the {frames} frames there are"
        raise DataError(f"{file}: clip {bad[0]} has a length of {values[bad[0]]}; wanted {wanted}")
    return values.astype(np.int64)
