"""The two files of the interchange form, checked before any array is read: a header may claim anything."""

from __future__ import annotations

import math
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from skelbench.data.container import ID
from skelbench.data.folders import read_json
from skelbench.data.formats.numpy_header import BROKEN, npz_headers
from skelbench.data.formats.source import own_topology
from skelbench.data.words import brief
from skelbench.errors import DataError
from skelbench.skeleton.topology import Topology

ARRAYS = ("joints", "starts", "lengths", "labels")


@dataclass(frozen=True, kw_only=True, eq=False)
class Pack:
    """Both files, checked as far as that goes without reading an array. ``shapes`` and ``dtypes`` are those of the arrays."""

    npz: Path
    meta: dict[str, Any]
    shapes: dict[str, tuple[int, ...]]
    dtypes: dict[str, np.dtype]
    topology: Topology
    classes: tuple[str, ...]
    fps: float


def open_pack(path: Path) -> Pack:
    """Read meta.json and the headers of the arrays.

    Raises:
        DataError: a file is missing or damaged; the message names it and the entry.
    """
    folder = path if path.is_dir() else path.parent
    found = [path] if path.suffix == ".npz" and path.is_file() else sorted(folder.glob("*.npz"))
    if len(found) != 1:
        raise DataError(f"{path}: wanted one .npz file beside meta.json, found {len(found)}")
    npz, where = found[0], folder / "meta.json"
    meta = read_json(where)
    for key in ("classes", "joint_names", "parents", "fps"):
        if key not in meta:
            raise DataError(f"{where}: {key!r} is missing")
    classes, fps = meta["classes"], meta["fps"]
    if not _words(classes) or len(set(classes)) < len(classes):
        raise DataError(f"{where}: 'classes' must be a list of different names, at least one")
    if not isinstance(fps, int | float) or not (math.isfinite(fps) and 0 < fps <= 1000):
        raise DataError(f"{where}: 'fps' must be a number above 0 and up to 1000, found {fps!r}")
    if str(meta.get("up_axis", "Y")).upper() != "Y":
        raise DataError(f"{where}: 'up_axis' is {meta['up_axis']!r}; turn the coordinates so that y points up")
    for key, kind in (("splits", dict), ("extra", dict), ("provenance", dict), ("presets", list)):
        if not isinstance(meta.get(key, kind()), kind):
            raise DataError(f"{where}: {key!r} must be a {kind.__name__}, found a {type(meta[key]).__name__}")
    if "sample_ids" in meta and not (_words(meta["sample_ids"]) and all(map(ID.fullmatch, meta["sample_ids"]))):
        raise DataError(f"{where}: 'sample_ids' must be names of 1 to 200 characters, without / \\ < > & and quotes")
    topology = _topology_of(meta, where, npz.stem)
    headers = npz_headers(npz)
    shapes, dtypes = {k: h.shape for k, h in headers.items()}, {k: h.dtype for k, h in headers.items()}
    return Pack(npz=npz, meta=meta, shapes=shapes, dtypes=dtypes, topology=topology, classes=tuple(classes), fps=float(fps))


def _words(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(v, str) and v for v in value)


def _topology_of(meta: Mapping[str, Any], where: Path, name: str) -> Topology:
    joints, parents = meta["joint_names"], meta["parents"]
    if not _words(joints) or not isinstance(parents, list) or not all(type(p) is int for p in parents):
        raise DataError(f"{where}: 'joint_names' must be a list of names and 'parents' a list of numbers, -1 for the root")
    if len(joints) != len(parents):
        raise DataError(f"{where}: {len(joints)} joint_names but {len(parents)} parents; every joint needs one")
    try:
        if "topology" not in meta:
            return own_topology(name, joints, parents)
        table = meta["topology"] if isinstance(meta["topology"], dict) else {}
        found = Topology.from_dict(table)
    except DataError as error:
        raise DataError(f"{where}: {error}") from error
    if list(found.joints) != joints or list(found.parents) != parents:
        raise DataError(f"{where}: 'topology' has other joints or parents than 'joint_names' and 'parents'")
    return found


def load_columns(pack: Pack, notes: list[str]) -> dict[str, np.ndarray]:
    """The arrays with one whole number a sample, as int64 (N,); arrays of other kinds are left out with a note.

    Raises:
        DataError: an array is missing or has another shape, or a sample lies outside the frames.
    """
    shapes, V = pack.shapes, pack.topology.V
    for key in ARRAYS:
        if key not in shapes:
            raise DataError(f"{pack.npz}: the array {key!r} is missing; there are: {', '.join(shapes)}")
    joints, dtype = shapes["joints"], pack.dtypes["joints"]
    if len(joints) not in (3, 4) or joints[-2] != V or joints[-1] not in (2, 3) or 0 in joints or dtype.kind != "f":
        raise DataError(
            f"{pack.npz}: 'joints' is {dtype} {joints}, wanted floats (frames, {V}, 3) or (frames, bodies, {V}, 3), or 2 for 3"
        )
    N = shapes["starts"][0] if shapes["starts"] else 0
    columns: dict[str, np.ndarray] = {}
    try:
        with np.load(pack.npz, allow_pickle=False) as arrays:
            for key, shape in shapes.items():
                whole = pack.dtypes[key].kind in "iub" and shape == (N,) and N > 0
                if whole and key.isidentifier():
                    columns[key] = arrays[key].astype(np.int64)
                elif key in ARRAYS[1:]:
                    raise DataError(
                        f"{pack.npz}: {key!r} is {pack.dtypes[key]} {shape}, wanted {N or 'as many'} whole numbers, one a sample"
                    )
                elif key != "joints":
                    notes.append(f"array {key!r} left out, it is not one whole number a sample")
    except BROKEN as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{pack.npz}: damaged ({brief(error)})") from error
    return columns


def check_columns(pack: Pack, columns: Mapping[str, np.ndarray], ids: Sequence[str]) -> None:
    """Compare the samples with the frames, the labels with the classes, the names with the samples.

    Raises:
        DataError: names the first sample that does not fit.
    """
    starts, lengths, labels = (columns[k] for k in ARRAYS[1:])
    F, K = pack.shapes["joints"][0], len(pack.classes)
    if len(ids) != len(starts):
        raise DataError(f"{pack.npz}: {len(starts)} samples, but meta.json has {len(ids)} sample_ids")
    for n in np.flatnonzero((starts < 0) | (lengths < 1) | (starts > F - lengths))[:1]:
        raise DataError(f"{pack.npz}: sample {ids[n]!r} wants {lengths[n]} frames from {starts[n]}, there are {F}")
    for n in np.flatnonzero((labels < -1) | (labels >= K))[:1]:
        raise DataError(f"{pack.npz}: sample {ids[n]!r} has label {labels[n]}, but there are {K} classes (0..{K - 1})")


def unpack(pack: Pack, folder: Path) -> np.ndarray:
    """``joints`` as a memory map (F, V, C) or (F, M, V, C), unpacked into ``folder``.

    Raises:
        DataError: too little room on the disk, or the archive is damaged.
    """
    try:
        with zipfile.ZipFile(pack.npz) as archive:
            member = archive.getinfo("joints.npy")
            free = shutil.disk_usage(folder).free
            if member.file_size > free:
                raise DataError(
                    f"{pack.npz}: unpacking 'joints' takes {member.file_size >> 20} MB in {folder}, {free >> 20} MB are free"
                )
            return np.load(archive.extract(member, folder), mmap_mode="r", allow_pickle=False)
    except BROKEN as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{pack.npz}: 'joints' cannot be unpacked ({brief(error)})") from error
