"""Plain numpy: one array of many clips (``.npy``, or ``.npz`` with labels beside it), or a folder with one ``.npy`` a clip.

Say which axis is which with ``axes``, e.g. ``NTVC``: N clips, C coordinates, T frames, V joints, M bodies; where only one of the
usual orders fits the shape it is found. Arrays hold no joint names, so ``topology`` is needed. C is x, y or x, y, z and perhaps a
score, y up and metres unless told otherwise (``up``, ``scale``, ``units``). Joints that are NaN were not seen. Clips end before
their trailing frames of zeros, which are padding.

    many.npy                                   labels=labels.npy, classes=names.txt
    many.npz     x (or key=)                   (N, ...) joints
                 labels, y                     (N,) whole numbers or words, or (N, K) with a one in every row
                 ids, lengths                  (N,) optional, as are
                 subjects, cameras, setups     (N,) whole numbers; others of that shape are kept as columns, too
    folder/class/clip.npy                      or labels=labels.csv with the columns file, class, subject

Nothing is loaded whole: ``.npy`` files are mapped, those in an ``.npz`` unpacked a few megabytes at a time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from skelbench.data.formats.array_columns import LABELS, Columns, columns_of, labels_of
from skelbench.data.formats.axes import MANY, ONE, as_clip, fitting, order_of
from skelbench.data.formats.class_names import HINT
from skelbench.data.formats.joint_axis import hint
from skelbench.data.formats.numpy_header import NpyHeader, map_npy, npy_header, npz_headers, read_rows
from skelbench.data.formats.on_disk import holds
from skelbench.data.formats.own_data import Units, Up, coordinates
from skelbench.data.formats.source import (
    Source,
    Take,
    Takes,
    check_positive,
    clip_ids,
    clip_of,
    find_takes,
    missing_labels,
    motion_files,
    options_of,
    stride,
)
from skelbench.errors import DataError
from skelbench.skeleton.clip import Clip
from skelbench.skeleton.topology import Topology

NPY, NPZ = (re.compile(rf".*\.{end}", re.IGNORECASE) for end in ("npy", "npz"))
KEYS = ("joints", "x", "data", "keypoints")  # where several arrays could be joints
TAKEN = {"x_train", "x_test"}  # of another format


def sniff(path: Path) -> bool:
    """Whether there is an array of numbers with 3 to 5 axes, in a ``.npy`` or ``.npz``."""
    return holds(path, NPY, lambda f: bool(_candidates(f))) or holds(path, NPZ, lambda f: bool(_candidates(f)))


def describe(path: Path) -> dict[str, Any]:
    """Shape and kind of the array, the orders of axes that go with it, and what is to be told.

    Raises:
        DataError: no such array, or a damaged header.
    """
    here = _find(path, None)
    shape, orders = here.header.shape, fitting(here.header.shape, V=None, orders=here.orders)
    sizes = dict(zip(orders[0], shape, strict=True)) if len(orders) == 1 else {}
    V, takes = sizes.get("V"), find_takes(path, ".npy") if here.folder else None
    beside = [k for k in npz_headers(here.files[0]) if k != here.key] if here.key is not None else []
    missing = [f"topology: {hint(V) if V else 'what the joints are'} (topology=)"]
    missing += [] if sizes else [f"axes: {' or '.join(orders) or 'which is which'} (axes=)"]
    if takes is not None:
        missing += missing_labels(takes)
    else:
        missing += [HINT] if set(LABELS) & set(beside) else ["labels: one a clip (labels=, a .npy or .txt)", HINT]
    return {
        "clips": len(here.files) if here.folder else sizes.get("N", 1) if sizes else "as the axes say",
        "classes": list(takes.classes) if takes is not None else "told by the labels",
        "skeleton": f"{V} joints without names" if V else "not told",
        "array": f"{here.where}: {here.header.dtype} {shape}",
        "axes": " or ".join(orders) or "not told",
        **({"other arrays": beside} if beside else {}),
        "missing": missing,
        "options": options_of(read),
    }


def read(
    path: Path,
    *,
    topology: Topology | None = None,
    axes: str | None = None,
    key: str | None = None,
    labels: str | Path | None = None,
    classes: str | Path | None = None,
    score: bool | None = None,
    units: Units | None = None,
    scale: float | None = None,
    up: Up = "y",
    rate: float = 30.0,
    fps: float | None = None,
    trim: bool = True,
) -> Source:
    """An array of clips, or a folder of arrays.

    Args:
        path: a ``.npy``, a ``.npz``, or a folder of one ``.npz`` or of ``.npy`` files.
        topology: what the joints on the V axis are.
        axes: one letter of N C T V M an axis, e.g. NTVC; found where only one of the usual orders fits.
        key: which array of an ``.npz`` holds the joints, where several could.
        labels: a .npy or .txt with one label a clip; for a folder, a CSV with the columns file, class and, if wanted, subject.
        classes: names of numbered labels: a text file with one name a line, or a built-in table.
        score: whether the last number of a joint is a score; told by the topology where left out.
        units: metre, pixel or image (shares of the picture); metre in three dimensions where left out.
        scale: metres for one unit of the file, e.g. 0.001 for millimetres.
        up: which way is up in three dimensions: y, z or -y (a camera's y).
        rate: frames a second.
        fps: keep every n-th frame so that the rate comes nearest to this; None keeps all.
        trim: leave out trailing frames of zeros.

    Raises:
        DataError: no topology, axes that do not fit, a damaged or foreign file, labels that do not go with the clips, nobody in any
            clip; with the file, and the clip where there is one.
    """
    check_positive("rate", rate, "a number of frames a second")
    here = _find(path, key)
    shape, where = here.header.shape, here.where
    if topology is None:
        raise DataError(f"{where}: {shape}, and arrays do not say what the joints are; pass topology= (a name or a JSON file)")
    order = order_of(shape, axes, topology=topology, orders=here.orders, where=where)
    if "N" in order and (here.folder or (here.key is not None and order[0] != "N")):
        why = "a .npy of a folder is one clip" if here.folder else "an .npz is unpacked clip by clip, so that N must come first"
        raise DataError(f"{where}: axes in the order {order}, but {why}; save the array anew, or import it alone")
    found, columns = _takes(path, here, order, labels=labels, classes=classes)
    first = next(_one_by_one(found, here, order))
    told: dict[str, Any] = {"score": score, "units": units, "scale": scale, "up": up}
    kind = coordinates(first.shape[3], first, topology=topology, where=where, **told)
    layout, every = kind.layout(topology), stride(rate, fps)
    empty: list[str] = []
    provenance: dict[str, Any] = {
        "format": "arrays",
        "source": path.name,
        "files": len(here.files),
        "axes": order,
        "labels": found.rule,
        "coordinates": kind.told(),
        "empty": empty,
        "notes": list(found.notes),
    }

    def clips() -> Iterator[Clip]:
        unseen = 0
        for n, (take, array) in enumerate(zip(found.takes, _one_by_one(found, here, order), strict=True)):
            if array.shape[2:] != first.shape[2:]:
                raise DataError(f"{take.path}: {array.shape[2:]} joints and numbers, but {where} has {first.shape[2:]}")
            joints, gone = kind.clean(array[: columns.lengths[n]] if columns.lengths is not None else array)
            seen = np.flatnonzero((joints != 0).any(axis=(1, 2, 3)))
            unseen += gone
            if not len(seen):
                empty.append(take.id)
                continue
            joints = joints[: int(seen[-1]) + 1 if trim else None]
            yield clip_of(take, joints[::every], layout, fps=rate / every)
        if len(empty) == len(found.takes):
            raise DataError(f"{path}: nobody in any of {len(empty)} clips, all numbers are zero")
        provenance["notes"] += [f"{len(empty)} clips of zeros left out; see 'empty'"] if empty else []
        provenance["notes"] += [f"{unseen} joints were NaN and are zero now"] if unseen else []

    return Source(
        clips=clips(),
        classes=found.classes,
        total=len(found.takes),
        provenance=provenance,
        bodies=None if here.folder else first.shape[1],
        units=kind.units,
        extra={"image": True} if kind.image else {},
    )


@dataclass(frozen=True, kw_only=True)
class _Input:
    """The files, the key within an ``.npz`` (None for ``.npy``), the header of the first array, whether a file is a clip."""

    files: list[Path]
    key: str | None
    header: NpyHeader
    folder: bool

    @property
    def where(self) -> str:
        return f"{self.files[0]}: {self.key!r}" if self.key is not None else str(self.files[0])

    @property
    def orders(self) -> tuple[str, ...]:
        return ONE if self.folder else (*ONE, *MANY)


def _candidates(file: Path) -> list[str]:
    """Keys of the arrays that may be joints, "" in an ``.npy``; none where there are none, or in a file of another format."""
    try:
        headers = npz_headers(file) if file.suffix.lower() == ".npz" else {"": npy_header(file)}
    except DataError:
        return []
    return [k for k, h in headers.items() if _numbers(h)] if not TAKEN & set(headers) else []


def _numbers(header: NpyHeader) -> bool:
    return header.dtype.kind in "fiu" and 3 <= len(header.shape) <= 5 and 0 not in header.shape


def _find(path: Path, key: str | None) -> _Input:
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    files, packed = motion_files(path, ".npy"), motion_files(path, ".npz")
    if files:
        here = _Input(files=files, key=None, header=npy_header(files[0]), folder=path.is_dir())
    elif len(packed) == 1:
        headers = npz_headers(packed[0])
        fit = _candidates(packed[0])
        chosen = key or (fit[0] if len(fit) == 1 else next((k for k in KEYS if k in fit), None))
        if chosen is None:
            raise DataError(f"{packed[0]}: {' and '.join(fit) or 'no array'} may be joints; say which with key=")
        if chosen not in headers:
            raise DataError(f"{packed[0]}: no array {chosen!r}; there are: {', '.join(headers)}")
        here = _Input(files=packed, key=chosen, header=headers[chosen], folder=False)
    else:
        several = f", and {len(packed)} .npz files; import them one by one" if packed else " and no .npz"
        raise DataError(f"{path}: holds no .npy file{several}")
    if not _numbers(here.header):
        raise DataError(f"{here.where}: {here.header.dtype} {here.header.shape}; wanted numbers with 3 to 5 axes")
    return here


def _takes(path: Path, here: _Input, order: str, *, labels: str | Path | None, classes: str | Path | None) -> tuple[Takes, Columns]:
    """The clips with their labels and columns."""
    if here.folder:
        if classes is not None:
            raise DataError(f"{path}: classes= names numbered labels; here the class folders, or labels= (a CSV), have the names")
        return find_takes(path, ".npy", labels=labels), Columns()
    file, shape = here.files[0], here.header.shape
    N = shape[order.index("N")] if "N" in order else 1
    columns = columns_of(file, here.key, N, frames=shape[order.index("T")])
    names, numbers, rule = labels_of(columns, labels, N, classes=classes, where=str(file))
    (stem,) = clip_ids([file], file.parent)
    ids = columns.ids or ([f"{stem}_{n:06d}" for n in range(N)] if "N" in order else [stem])
    about = [{k: int(v[n]) for k, v in columns.about.items()} for n in range(N)]
    takes = tuple(Take(path=file, id=ids[n], label=numbers[n], about=about[n]) for n in range(N))
    return Takes(takes=takes, classes=names, rule=rule, notes=columns.notes), columns


def _one_by_one(found: Takes, here: _Input, order: str) -> Iterator[np.ndarray]:
    """Every clip as (T, M, V, C)."""
    at = order.find("N")
    if here.folder:
        for take in found.takes:
            header = npy_header(take.path)
            if len(header.shape) != len(order) or not _numbers(header):
                given = f"{header.dtype} {header.shape}"
                raise DataError(f"{take.path}: {given}; wanted numbers with the axes {order} as in {here.where}")
            yield as_clip(map_npy(take.path), order)
    elif here.key is None:
        array = map_npy(here.files[0])
        for n in range(array.shape[at] if at >= 0 else 1):
            yield as_clip(array[(slice(None),) * at + (n,)] if at >= 0 else array, order.replace("N", ""))
    elif at == 0:
        yield from (as_clip(row, order[1:]) for row in read_rows(here.files[0], here.key))
    else:
        yield as_clip(np.stack(list(read_rows(here.files[0], here.key))), order)
