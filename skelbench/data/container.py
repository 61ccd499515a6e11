"""The three files of a store, each read with care: meta.json, clips.npy, index.npz."""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from skelbench.data.words import brief
from skelbench.errors import DataError
from skelbench.skeleton.normalise import PRESETS
from skelbench.skeleton.topology import Topology

FORMAT, VERSION = "skelbench-store", 1
SEAL = "sha256"  # of everything else in meta.json
ABOUT = ("subject", "camera", "setup", "group")  # columns every store has
COLUMNS = ("start", "length", "label", *ABOUT)
ID = re.compile(r"[^\x00-\x1f\x7f/\\<>&\"'`]{1,200}")


@dataclass(frozen=True, kw_only=True)
class Meta:
    """What ``meta.json`` says.

    Attributes:
        name: of the dataset.
        topology: what the V axis means.
        classes: class names; a label is a position in this list.
        fps: frames a second, the same for every clip.
        units: of the coordinates.
        presets: normalisations that are baked into the coordinates already.
        provenance: where the data come from and what was done to them on the way in.
        licence: terms of the data, as the source states them.
        attribution: what to cite.
        splits: official splits, e.g. ``{"xsub": {"by": "subject", "train": [1, 2]}}``; see :mod:`skelbench.data.rules`.
        checksums: sha256 of the frames (``clips``) and of the table (``index``).
        extra: anything else worth keeping; ``names`` holds what the numbers of a column stand for.
    """

    name: str
    topology: Topology
    classes: tuple[str, ...]
    fps: float = 30.0
    units: str = "metre"
    presets: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    licence: str = ""
    attribution: str = ""
    splits: Mapping[str, Any] = field(default_factory=dict)
    checksums: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def up(self) -> str:
        """Which way up the coordinates point: "y", "z" or "-y" (positions in a picture), as the player wants to know it."""
        if self.extra.get("image"):
            return "-y"
        preset = PRESETS.get(self.presets[-1]) if self.presets else None
        turned = preset is not None and preset.vertical == 2 and self.topology.spine is not None and self.topology.dims >= 3
        return "z" if turned else "y"  # without a spine nothing was turned

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON form; ``Meta.from_dict`` reads it back."""
        fields = {k: getattr(self, k) for k in self.__dataclass_fields__}
        return {"format": FORMAT, "version": VERSION, **fields, "topology": self.topology.to_dict()}

    @classmethod
    def from_dict(cls, table: Mapping[str, Any], *, where: str) -> Meta:
        """Read the JSON form.

        Raises:
            DataError: another format or version, a field is missing or of another type; ``where`` opens the message.
        """
        if table.get("format") != FORMAT or table.get("version") != VERSION:
            given = f"format {table.get('format')!r}, version {table.get('version')!r}"
            raise DataError(f"{where}: {given}; wanted {FORMAT!r}, version {VERSION}. Import the dataset again with this skelbench")
        kinds: dict[str, type | tuple[type, ...]] = {
            "name": str,
            "topology": dict,
            "classes": list,
            "fps": (int, float),
            "units": str,
        }
        kinds |= {"presets": list, "licence": str, "attribution": str}
        kinds |= {"provenance": dict, "splits": dict, "checksums": dict, "extra": dict}
        for key, kind in kinds.items():
            if not isinstance(table.get(key), kind):
                found = f"a {type(table[key]).__name__}" if key in table else "nothing"
                raise DataError(f"{where}: damaged, {key!r} should be a {getattr(kind, '__name__', 'number')} and is {found}")
        if not all(isinstance(c, str) for c in table["classes"]) or not table["fps"] > 0:
            raise DataError(f"{where}: damaged, 'classes' must be names and 'fps' above zero")
        values = {k: table[k] for k in kinds}
        values |= {k: tuple(table[k]) for k in ("classes", "presets")} | {"topology": Topology.from_dict(table["topology"])}
        return cls(**values)


def seal_of(table: Mapping[str, Any]) -> str:
    """sha256 of what ``meta.json`` says, whatever the order of its keys and its line ends."""
    return hashlib.sha256(json.dumps(table, sort_keys=True).encode()).hexdigest()


def map_frames(path: Path) -> np.ndarray:
    """Memory-map clips.npy after checking that the file is as long as its header says.

    Raises:
        DataError: missing, not an npy file of float32 (F, M, V, C), or cut short.
    """
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
            shape, fortran, dtype = read(file)
            offset, size = file.tell(), path.stat().st_size
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, KeyError) as error:
        raise DataError(f"{path}: not an npy file ({error})") from error
    if dtype != np.dtype("<f4") or len(shape) != 4 or fortran or 0 in shape:
        raise DataError(f"{path}: holds {dtype} {shape}, wanted float32 (frames, bodies, joints, coordinates)")
    wanted = offset + 4 * int(np.prod([int(n) for n in shape], dtype=object))
    if size != wanted:
        raise DataError(
            f"{path}: {size} bytes, but its header {shape} needs {wanted}; the file is damaged, import the dataset again"
        )
    return np.asarray(np.memmap(path, np.dtype("<f4"), "r", offset, shape))


def read_index(path: Path) -> dict[str, np.ndarray]:
    """The columns of index.npz as int64 (N,), without the ids.

    Raises:
        DataError: missing, damaged, or a column is not one whole number a clip.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            index = {k: arrays[k] for k in arrays.files if k != "ids"}
            named = "ids" in arrays.files
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: damaged ({brief(error)}); import the dataset again") from error
    missing = [k for k in COLUMNS if k not in index]
    if missing or not named:
        raise DataError(f"{path}: damaged, the column {(missing or ['ids'])[0]!r} is missing")
    N = len(index["start"]) if index["start"].ndim else 0
    for key, column in index.items():
        if column.shape != (N,) or column.dtype.kind not in "iu" or N == 0:
            raise DataError(f"{path}: damaged, {key!r} is {column.dtype} {column.shape}, wanted whole numbers, one a clip")
    return {k: index[k].astype(np.int64, copy=False) for k in (*COLUMNS, *(k for k in index if k not in COLUMNS))}


def index_checksum(columns: Mapping[str, np.ndarray]) -> str:
    """sha256 over names, types and values of the table's columns (ids included)."""
    digest = hashlib.sha256()
    for key in sorted(columns):
        column = np.ascontiguousarray(columns[key])
        digest.update(f"{key} {column.dtype.str} {column.shape}".encode())
        digest.update(column.tobytes())
    return digest.hexdigest()
