"""The simple interchange form: one ``.npz`` of plain arrays and a ``meta.json`` beside it. The easiest way to bring own data in.

A folder with two files (more, e.g. a licence text, may lie beside them):

``NAME.npz``, written with ``numpy.savez_compressed``; no pickled objects. F frames, N samples, V joints, M bodies, C = 2 or 3

    joints     float (F, V, C), or (F, M, V, C) for several bodies   all frames, one sample after the other; absent bodies are zero
    starts     whole numbers (N,)       first frame of a sample
    lengths    whole numbers (N,)       its number of frames; samples may overlap
    labels     whole numbers (N,)       position in ``classes``; -1 unknown
    subjects   whole numbers (N,)       person, from 0 up; -1 unknown. Optional, as are:
    cameras, setups                     likewise
    clips      whole numbers (N,)       source recording. Samples of one recording never stand on two sides of a split
    <others>   whole numbers (N,)       kept as columns of the dataset, e.g. correct, repetition, glitch, tile

``meta.json``

    classes      names, at least one                     required
    class_counts {"never": 0, "wave": 12}                needed where a class has no sample, to say that this is meant
    joint_names  V different names                       required
    parents      V numbers, -1 for the one root          required
    fps          frames a second                         required
    units        "metre" unless said otherwise           optional, as is all that follows
    up_axis      "Y", the only one read
    sample_ids   N different names
    licence, attribution, source, processing ...         words; kept
    splits       {"cross_subject": {"train": [1, 2], "test": [3]}}, or {"xview": {"by": "camera", "train": [2, 3]}}
    presets      normalisations baked in already
    topology     a whole topology table (mirror pairs, parts, ...) with the same joints and parents

Coordinates must be finite. A joint layout that is built in is recognised by its names and parents.
"""

from __future__ import annotations

import json
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from skelbench.data.folders import check_name, new_folder, scratch
from skelbench.data.formats.pack_file import ARRAYS, Pack, check_columns, load_columns, open_pack, unpack
from skelbench.data.formats.source import Source, Take, clip_of, options_of, pick_joints
from skelbench.data.store import Store
from skelbench.errors import DataError
from skelbench.skeleton.clip import Clip
from skelbench.skeleton.topology import Topology

COLUMNS = {"subjects": "subject", "cameras": "camera", "setups": "setup", "clips": "group"}  # npz -> store
STRUCTURE = (
    "classes",
    "joint_names",
    "parents",
    "edges",
    "fps",
    "units",
    "up_axis",
    "sample_ids",
    "licence",
    "attribution",
    "splits",
)
COUNTS = ("format", "arrays", "num_samples", "num_frames_stored", "num_joints", "class_counts", "subject_counts")


def sniff(path: Path) -> bool:
    """Whether there is a ``meta.json`` with ``joint_names``, beside one ``.npz``."""
    folder = path if path.is_dir() else path.parent
    if not (folder / "meta.json").is_file() or not (path.is_dir() or path.suffix == ".npz"):
        return False
    return any(folder.glob("*.npz")) and not (folder / "clips.npy").exists()


def describe(path: Path) -> dict[str, Any]:
    """Samples, classes, joints and licence.

    Raises:
        DataError: a file is missing or damaged.
    """
    pack = open_pack(path)
    columns = load_columns(pack, [])
    meta, shape = pack.meta, pack.shapes["joints"]
    return {
        "title": meta.get("title", pack.npz.stem),
        "clips": len(columns["starts"]),
        "classes": list(pack.classes),
        "skeleton": f"{pack.topology.name}, {pack.topology.V} joints: {', '.join(pack.topology.joints)}",
        "bodies": shape[1] if len(shape) == 4 else 1,
        "frames": f"{shape[0]} at {pack.fps:g} fps",
        "columns": [k for k in pack.shapes if k not in ARRAYS],
        "splits": [k for k, v in pack.meta.get("splits", {}).items() if isinstance(v, dict)] or "none listed",
        "licence": str(meta.get("licence", "not stated")),
        "missing": [],
        "options": options_of(read),
    }


def read(path: Path, *, topology: Topology | None = None, drop_empty: bool = False) -> Source:
    """Every sample as a clip.

    The frames are unpacked into a temporary file, so memory does not grow with the dataset.

    Args:
        path: the folder, or the ``.npz`` in it.
        topology: joints to keep and their order, found by name.
        drop_empty: leave out classes without a sample, and number the others anew.

    Raises:
        DataError: a file is missing or damaged, an array has another shape or type, a sample points outside the frames, a label has
            no class, a class has no sample (unless ``class_counts`` says so, or ``drop_empty``), or a coordinate is not finite
            (while the clips are walked).
    """
    pack = open_pack(path)
    notes: list[str] = []
    columns = load_columns(pack, notes)
    ids = pack.meta.get("sample_ids") or [f"{n:06d}" for n in range(len(columns["starts"]))]
    check_columns(pack, columns, ids)
    classes, labels = _classes(pack, columns["labels"], drop_empty=drop_empty, notes=notes)
    layout = topology or pack.topology
    keep = pick_joints(pack.topology.joints, layout, str(pack.npz))
    about = {COLUMNS.get(k, k): v for k, v in columns.items() if k not in ARRAYS}

    def clips() -> Iterator[Clip]:
        with scratch(Path(tempfile.gettempdir())) as folder:
            frames = unpack(pack, folder)
            for n, (start, length) in enumerate(zip(columns["starts"], columns["lengths"], strict=True)):
                take = Take(path=pack.npz, id=ids[n], label=int(labels[n]), about={k: int(v[n]) for k, v in about.items()})
                yield clip_of(take, frames[start : start + length][..., keep, :], layout, fps=pack.fps)

    meta = pack.meta
    told: dict[str, Any] = {k: meta[k] for k in ("title", "source", "sensor", "processing", "notes", "coordinates") if k in meta}
    rest = {
        k: v
        for k, v in meta.items()
        if k not in (*STRUCTURE, *COUNTS, *told, "topology", "presets", "extra", "clips", "provenance")
    }
    shape = pack.shapes["joints"]
    return Source(
        clips=clips(),
        classes=classes,
        total=len(labels),
        bodies=shape[1] if len(shape) == 4 else 1,
        units=str(meta.get("units", "metre")),
        presets=tuple(map(str, meta.get("presets", ()))),
        licence=str(meta.get("licence", "")),
        attribution=str(meta.get("attribution", "")),
        splits=meta.get("splits", {}),
        extra={**meta.get("extra", {}), **rest, **_names(meta, about)},
        provenance={"format": "pack", "file": pack.npz.name, **told, **meta.get("provenance", {}), "notes on import": notes},
    )


def _classes(pack: Pack, labels: np.ndarray, *, drop_empty: bool, notes: list[str]) -> tuple[tuple[str, ...], np.ndarray]:
    """Class names and labels, without the classes that no sample has."""
    used = np.isin(np.arange(len(pack.classes)), labels)
    if used.all():
        return pack.classes, labels
    empty = [c for c, u in zip(pack.classes, used, strict=True) if not u]
    counts = pack.meta.get("class_counts")
    meant = isinstance(counts, dict) and all(counts.get(c) == 0 for c in empty)  # whoever wrote it knew
    if meant and not drop_empty:
        return pack.classes, labels
    if not drop_empty or not used.any():
        raise DataError(
            f"{pack.npz}: no sample of class {', '.join(map(repr, empty))}; pass drop_empty=True to leave such classes out"
        )
    notes.append(f"classes without a sample left out: {', '.join(empty)}")
    renumber = np.append(np.cumsum(used) - 1, -1)  # the last entry answers label -1
    return tuple(c for c, u in zip(pack.classes, used, strict=True) if u), renumber[labels]


def _names(meta: Mapping[str, Any], about: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """What the numbers of subjects and recordings stand for, where meta.json says so, as ``{"names": {column: [word, ...]}}``."""
    names = dict(meta.get("extra", {}).get("names", {}))
    people, recordings = meta.get("subject_names"), meta.get("clips")
    if isinstance(people, dict) and "subject" in about:
        listed = [int(k) for k in people if k.isdecimal() and len(k) < 6]  # a number may be any; beyond the names it is its own
        names["subject"] = [
            str(people.get(str(n), n)) for n in range(min(int(about["subject"].max()), max(listed, default=-1)) + 1)
        ]
    if isinstance(recordings, list) and "group" in about:
        names["group"] = [str(r) for r in recordings]
    return {"names": names} if names else {}


def write_pack(store: Store, folder: str | Path, *, overwrite: bool = False) -> Path:
    """Write a store in the interchange form, to hand it on; nothing is rounded, and reading it back gives the same store.

    Args:
        store: what to write.
        folder: to make; its last part names the ``.npz``.
        overwrite: replace a pack that is there already.

    Returns:
        The folder.

    Raises:
        DataError: an unsafe name, the folder exists, or the disk is full; nothing is left behind.
    """
    folder = Path(folder)
    check_name(folder.name)
    meta = store.meta
    back = {v: k for k, v in COLUMNS.items()}
    counts = np.bincount(store.labels[store.labels >= 0], minlength=len(meta.classes))
    columns = {back.get(k, f"{k}s" if f"{k}s" in ARRAYS else k): v for k, v in store.index.items()}
    about = {
        "title": meta.name,
        "classes": list(meta.classes),
        "class_counts": dict(zip(meta.classes, counts.tolist(), strict=True)),
        "joint_names": list(store.topology.joints),
        "parents": list(store.topology.parents),
        "topology": store.topology.to_dict(),
        "fps": meta.fps,
        "units": meta.units,
        "up_axis": "Y",
        "presets": list(meta.presets),
        "splits": dict(meta.splits),
        "licence": meta.licence,
        "attribution": meta.attribution,
        "provenance": dict(meta.provenance),
        "extra": dict(meta.extra),
        "sample_ids": store.ids,
    }
    with new_folder(folder, overwrite=overwrite) as part:
        with zipfile.ZipFile(part / f"{folder.name}.npz", "w", zipfile.ZIP_DEFLATED, allowZip64=True) as archive:
            for key, column in columns.items():
                _write_array(archive, key, column)
            _write_array(archive, "joints", store.frames[:, 0] if store.bodies == 1 else store.frames)
        text = json.dumps(about, indent=1, ensure_ascii=False, allow_nan=False)
        (part / "meta.json").write_text(text, encoding="utf-8")
    return folder


def _write_array(archive: zipfile.ZipFile, key: str, array: np.ndarray) -> None:
    """One member, a few megabytes at a time."""
    rows = max(1, (1 << 24) // max(1, array[0].nbytes))
    with archive.open(f"{key}.npy", "w", force_zip64=True) as file:
        head = {"descr": array.dtype.str, "fortran_order": False, "shape": array.shape}
        np.lib.format.write_array_header_1_0(file, head)
        for at in range(0, len(array), rows):
            file.write(np.ascontiguousarray(array[at : at + rows]).tobytes())
