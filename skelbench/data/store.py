"""A dataset as a folder that opens in milliseconds at any size: one memory-mapped array of frames and a table of clips.

    clips.npy    float32 (F, M, V, C): the frames of all clips, one clip after the other, metres
    index.npz    per clip: start and length in clips.npy, label, subject, camera, setup, group, further integer columns, ids
    meta.json    topology, classes, frame rate, where the data come from, licence, splits, checksums

``group`` numbers the source recording a clip was cut from: clips of one group never stand on two sides of a split. Unknown
numbers are -1. Nothing is ever pickled.
"""

from __future__ import annotations

import functools
import hashlib
import html
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm.auto import tqdm

from skelbench.data.container import SEAL, Meta, index_checksum, map_frames, read_index, seal_of
from skelbench.data.folders import check_name, check_target, new_folder, read_json
from skelbench.data.rules import compact
from skelbench.data.writing import FrameWriter
from skelbench.errors import DataError, SkelbenchError
from skelbench.skeleton.clip import Batch, Clip, batch_of
from skelbench.skeleton.topology import Topology


class Store:
    """A dataset on disk, read only. ``len(store)`` clips; ``store[i]`` is a Clip, ``store.batch(rows)`` a padded Batch.

    Attributes:
        path: the folder.
        meta: what ``meta.json`` says.
        index: one integer array (N,) a column: start, length, label, subject, camera, setup, group and what else the source had.
        frames: the memory-mapped (F, M, V, C) array.

    Raises:
        DataError: a file is missing or damaged, or the table points outside the frames. The message names the file.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).resolve()  # a program may change its folder after opening
        if not self.path.is_dir():
            raise DataError(f"{self.path}: no dataset here (no such folder); skelbench.list_data() shows the ones there are")
        table = read_json(self.path / "meta.json")
        self.meta = Meta.from_dict(table, where=str(self.path / "meta.json"))
        self.frames = map_frames(self.path / "clips.npy")
        self.index = read_index(self.path / "index.npz")
        self._check()

    def _check(self) -> None:
        F, _, V, _ = self.frames.shape
        if V != self.topology.V:
            raise DataError(
                f"{self.path}: clips.npy has {V} joints, the topology {self.topology.name!r} in meta.json {self.topology.V}"
            )
        start, length, label = (self.index[k] for k in ("start", "length", "label"))
        bad = np.flatnonzero((start < 0) | (length < 1) | (start > F - length))
        if len(bad):
            row = int(bad[0])
            raise DataError(
                f"{self.path}/index.npz: clip {row} wants {length[row]} frames from {start[row]}, clips.npy has {F}; import again"
            )
        bad = np.flatnonzero((label < -1) | (label >= len(self.classes)))
        if len(bad):
            raise DataError(
                f"{self.path}/index.npz: clip {bad[0]} has label {label[bad[0]]}, but there are {len(self.classes)} classes"
            )

    @property
    def topology(self) -> Topology:
        return self.meta.topology

    @property
    def classes(self) -> tuple[str, ...]:
        return self.meta.classes

    @property
    def bodies(self) -> int:
        """M."""
        return int(self.frames.shape[1])

    @property
    def coordinates(self) -> int:
        """C."""
        return int(self.frames.shape[3])

    @property
    def up(self) -> str:
        """Which way up the coordinates point: "y"; "z" after some normalisations; "-y" for positions in a picture."""
        return self.meta.up

    @property
    def labels(self) -> np.ndarray:
        """(N,) class per clip, -1 unknown."""
        return self.index["label"]

    @functools.cached_property
    def ids(self) -> list[str]:
        """Clip names, in row order."""
        with np.load(self.path / "index.npz", allow_pickle=False) as arrays:
            ids = arrays["ids"]
        if ids.shape != (len(self),) or ids.dtype.kind != "U":
            raise DataError(f"{self.path}/index.npz: damaged, 'ids' is not one name a clip")
        return [str(i) for i in ids]

    @functools.cached_property
    def fingerprint(self) -> str:
        """Short hash of the content: frames, table, classes, topology. Two stores with the same one hold the same data."""
        content = [dict(self.meta.checksums), self.classes, self.topology.to_dict()]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]

    def __len__(self) -> int:
        return len(self.index["start"])

    def __getitem__(self, row: int) -> Clip:
        row = int(self._rows([row + len(self) if row < 0 else row])[0])
        start, length = int(self.index["start"][row]), int(self.index["length"][row])
        return Clip(
            joints=np.array(self.frames[start : start + length]),
            topology=self.topology,
            fps=self.meta.fps,
            label=int(self.labels[row]),
            id=self.ids[row],
            about={k: int(v[row]) for k, v in self.index.items() if k not in ("start", "length", "label")},
            up=self.up,
        )

    def __iter__(self) -> Iterator[Clip]:
        return (self[row] for row in range(len(self)))

    def _rows(self, rows: Any) -> np.ndarray:
        rows = np.atleast_1d(rows.cpu().numpy() if isinstance(rows, torch.Tensor) else np.asarray(rows))
        if rows.ndim != 1 or rows.dtype.kind not in "iu" or not len(rows):
            raise DataError(f"rows of a store are whole numbers, at least one; got shape {rows.shape} of {rows.dtype}")
        bad = rows[(rows < 0) | (rows >= len(self))]
        if len(bad):
            raise IndexError(f"row {bad[0]} is outside 0..{len(self) - 1} of {self.meta.name!r}")
        return rows.astype(np.int64)

    def batch(self, rows: Sequence[int] | np.ndarray | torch.Tensor) -> Batch:
        """The clips of these rows, zero-padded to the longest of them.

        Raises:
            IndexError: a row is outside the store.
        """
        rows = self._rows(rows)
        lengths = self.index["length"][rows]
        joints = gather(self.frames, self.index["start"][rows], lengths)
        return batch_of(joints, lengths=lengths, labels=self.labels[rows], ids=[self.ids[r] for r in rows], rows=rows)

    def rows(self, **where: int | Sequence[int]) -> np.ndarray:
        """Rows whose columns have these values: ``store.rows(tile=1, subject=[1, 2])``.

        Raises:
            DataError: the store has no such column.
        """
        keep = np.ones(len(self), bool)
        for column, values in where.items():
            if column not in self.index:
                raise DataError(f"{self.meta.name!r} has no column {column!r}; it has: {', '.join(self.index)}")
            keep &= np.isin(self.index[column], values)
        return np.flatnonzero(keep)

    def __reduce__(self) -> tuple[type[Store], tuple[Path]]:
        return Store, (self.path,)  # workers map the file again instead of copying it

    def __repr__(self) -> str:
        hours = len(self.frames) / self.meta.fps / 3600
        return (
            f"Store({self.meta.name!r}: {len(self)} clips, {len(self.classes)} classes, {self.topology.V} joints"
            f" ({self.topology.name}), {self.bodies} bodies, {len(self.frames)} frames = {hours:.2f} h at {self.meta.fps:g} fps)"
        )

    def _repr_html_(self) -> str:
        counts = np.bincount(self.labels[self.labels >= 0], minlength=len(self.classes))
        rows = "".join(f"<tr><td>{html.escape(c)}</td><td>{n}</td></tr>" for c, n in zip(self.classes, counts, strict=True))
        licence = f"<p>Licence: {html.escape(self.meta.licence)}</p>" if self.meta.licence else ""
        table = f"<table><tr><th>class</th><th>clips</th></tr>{rows}</table>"
        return f"<p>{html.escape(repr(self))}</p>{licence}<details><summary>classes</summary>{table}</details>"


def gather(frames: np.ndarray, starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Cut clips out of one long array of frames, zero-padded to the longest: (F, M, V, C) -> (N, T, M, V, C)."""
    step = np.arange(int(lengths.max()))  # (T,)
    inside = step < lengths[:, None]  # (N, T)
    joints = np.take(frames, np.where(inside, starts[:, None] + step, starts[:, None]), axis=0)
    joints[~inside] = 0
    return joints


def verify(store: Store) -> None:
    """Read everything once and compare with the checksums in ``meta.json``.

    Raises:
        DataError: frames, table or ``meta.json`` are not what was written; the message names the file.
    """
    for sum in checksums(store):
        if not sum.good:
            raise DataError(f"{sum.file}: checksum is {sum.found[:12]}..., meta.json says {str(sum.wanted)[:12]}...; import again")


@dataclass(frozen=True, kw_only=True)
class Checksum:
    """Of one file of a store: sha256 as it is and as it was when written (None: not written down)."""

    file: Path
    found: str
    wanted: str | None

    @property
    def good(self) -> bool:
        return self.found == self.wanted

    def __str__(self) -> str:
        return f"{self.file.name:<10} {'unchanged' if self.good else 'CHANGED'}  sha256 {self.found}"


def checksums(store: Store) -> list[Checksum]:
    """Read every file of a store once: frames, table, description."""
    digest = hashlib.sha256()
    step = max(1, (1 << 24) // store.frames[0].nbytes)
    for at in range(0, len(store.frames), step):
        digest.update(np.ascontiguousarray(store.frames[at : at + step]).tobytes())
    with np.load(store.path / "index.npz", allow_pickle=False) as arrays:
        table = index_checksum({k: arrays[k] for k in arrays.files})
    words = read_json(store.path / "meta.json")
    known, seal = store.meta.checksums, words.pop(SEAL, None)
    return [
        Checksum(file=store.path / "clips.npy", found=digest.hexdigest(), wanted=known.get("clips")),
        Checksum(file=store.path / "index.npz", found=table, wanted=known.get("index")),
        Checksum(file=store.path / "meta.json", found=seal_of(words), wanted=seal),
    ]


def write_store(
    path: str | Path,
    clips: Iterable[Clip],
    *,
    classes: Sequence[str],
    name: str | None = None,
    bodies: int | None = None,
    units: str = "metre",
    presets: Sequence[str] = (),
    provenance: Mapping[str, Any] | None = None,
    licence: str = "",
    attribution: str = "",
    splits: Mapping[str, Any] | None = None,
    extra: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    progress: bool = False,
    total: int | None = None,
    check: Callable[[Store], object] | None = None,
) -> Store:
    """Write clips as a store; the folder appears whole or not at all.

    Topology and frame rate are those of the first clip. Whole numbers in ``clip.about`` become columns of the table; ``subject``,
    ``camera``, ``setup`` and ``group`` may be words, which (unless all are numbers) are numbered in order of appearance and kept in
    ``meta.extra["names"]``. Other entries of ``about`` are not stored. A clip without ``group`` is a group of its own.

    Args:
        path: folder to make; its last part must be a safe name.
        clips: any iterable, walked once.
        classes: names of the labels 0, 1, ...
        name: of the dataset; the folder's name where left out.
        bodies: M; that of the first clip where left out. Clips with fewer bodies are padded with zeros.
        units: of the coordinates.
        presets: normalisations baked into the coordinates already.
        provenance: where the data come from; read at the end, so a reader may still add notes while the clips stream.
        licence: terms of the data.
        attribution: what to cite.
        splits: official splits, in the forms of :mod:`skelbench.data.rules`; lists of names become columns.
        extra: anything else to keep, plain JSON.
        overwrite: replace a dataset that is there already.
        progress: show a bar.
        total: number of clips, for the progress bar.
        check: looks at the finished store before it takes its place; what it raises undoes everything.

    Returns:
        The store, opened.

    Raises:
        DataError: no clips, the path exists, the disk is full, or a clip is bad: other topology or frame rate than the first, too
            many bodies, coordinates that are not finite, a label without a class, a name that is unsafe or stands twice.
    """
    path = Path(path)
    check_name(path.name)
    check_target(path, overwrite=overwrite)
    if not classes or len(set(classes)) != len(classes) or not all(classes):
        raise DataError(f"{path.name}: classes must be different names, at least one; got {list(classes)!r}")
    with new_folder(path, overwrite=overwrite) as folder:
        with (folder / "clips.npy").open("wb") as file:
            writer = FrameWriter(file, classes=len(classes), bodies=bodies)
            for clip in tqdm(clips, total=total, desc=f"writing {path.name}", unit="clip", disable=not progress):
                writer.append(clip)
            first = writer.finish(path.name)
        columns, names = writer.table()
        rules, sides = compact(splits or {}, list(writer.ids), taken=list(columns), where=path.name)
        columns |= sides
        np.savez(folder / "index.npz", **columns)  # type: ignore[arg-type]
        extra = dict(extra or {})
        extra |= {"names": {**extra.get("names", {}), **names}} if names else {}
        meta = Meta(
            name=name or path.name,
            topology=first.topology,
            classes=tuple(classes),
            fps=float(first.fps),
            units=units,
            presets=tuple(presets),
            provenance=dict(provenance or {}),
            licence=licence,
            attribution=attribution,
            splits=rules,
            checksums={"clips": writer.digest.hexdigest(), "index": index_checksum(columns)},
            extra=extra,
        )
        table = meta.to_dict()
        try:
            text = json.dumps({**table, SEAL: seal_of(table)}, indent=1, ensure_ascii=False, allow_nan=False).encode()
        except ValueError as error:  # half of a surrogate pair in a name, NaN in a note
            raise DataError(f"{path.name}: what the source says of itself cannot be written as JSON ({error})") from error
        (folder / "meta.json").write_bytes(text)
        if check is not None:
            _look(check, folder, path)
    return Store(path)


def _look(check: Callable[[Store], object], folder: Path, path: Path) -> None:
    """Let somebody look at a store that stands in ``folder`` still; an error names the place it was meant for."""
    try:
        check(Store(folder))
    except SkelbenchError as error:
        raise type(error)(str(error).replace(str(folder.resolve()), str(path)).replace(str(folder), str(path))) from error
