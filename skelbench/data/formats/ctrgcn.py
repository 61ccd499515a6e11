"""NumPy archives of CTR-GCN, SGN and their successors: ``NTU60_CS.npz``, ``NTU120_CSet.npz``, ``PKUv1_XSub.npz`` ...

    x_train, x_test    float32 (N, 300, 150)     150 = person (2) x joint (25) x (x, y, z), metres; padded with zeros at the end
    y_train, y_test    float64 (N, classes)      one-hot

Train and test are the two sides of the official split; which one, the name of the file says. CTR-GCN has moved the origin to the
spine of the first body, in the first frame where it is seen; nothing is turned or scaled. Where only one body was seen the second
one is zero in NTU 60, a copy of the first in NTU 120: copies are taken out unless ``copies`` is set; the column ``copied`` tells.

The archive holds no names. ``names=`` (CTR-GCN's ``statistics/skes_available_name.txt``) gives them back: the rows stand in the
order of the training ids (subject, camera or setup), then in that of the file. Every label is compared with the name.

An archive cannot be mapped into memory (10 to 20 GB unpacked): its rows are unpacked one after the other.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from skelbench.data.formats.class_names import HINT, name_classes
from skelbench.data.formats.joint_axis import name_joints
from skelbench.data.formats.ntu import LICENCE
from skelbench.data.formats.ntu_names import NAME, ntu_columns, ntu_numbers, with_official
from skelbench.data.formats.numpy_header import NpyHeader, npz_headers, read_rows, stream_rows
from skelbench.data.formats.official_side import protocol_of, side_numbers, side_rule
from skelbench.data.formats.on_disk import files_named, holds, whole_file
from skelbench.data.formats.source import Source, Take, check_positive, clip_of, options_of
from skelbench.data.rules import COLUMN
from skelbench.data.tables import ntu_splits
from skelbench.errors import ConfigError, DataError
from skelbench.skeleton.clip import Clip
from skelbench.skeleton.topology import Topology

LAYOUT, BODIES, JOINTS = "kinect_v2_25", 2, 25
ARCHIVE = re.compile(r".+\.npz", re.IGNORECASE)
MOST_FRAMES, MOST_CLASSES = 100_000, 100_000
SPINE = 1  # joint at the origin
CENTRED = "origin at the spine of body 0 in its first frame (ctrgcn)"  # a note: presets that move the origin may follow
NAMES = "names: CTR-GCN's statistics/skes_available_name.txt gives clip names, subjects, cameras and setups; pass names="


@dataclass(frozen=True, kw_only=True)
class Archive:
    """An archive whose headers were checked. ``parts`` are ``train`` and ``test``, as far as they are there."""

    path: Path
    headers: Mapping[str, NpyHeader]
    parts: tuple[str, ...]
    classes: int

    def clips(self, part: str) -> int:
        """N."""
        return self.headers[f"x_{part}"].shape[0]


def sniff(path: Path) -> bool:
    """Whether the file, or one in the folder, is such an archive."""
    return holds(path, ARCHIVE, _fits)


def _fits(path: Path) -> bool:
    try:
        return bool(_open(path).parts)
    except DataError:
        return False


def describe(path: Path) -> dict[str, Any]:
    """Clips, classes and splits, from the headers of the arrays.

    Raises:
        DataError: no such archive, several of them, or a header that does not fit.
    """
    archive = _open(_file(path))
    protocol = protocol_of(archive.path.stem, archive.path.parent.name)
    names, rule = name_classes(archive.classes, classes=None, known=_dataset(archive), where=str(archive.path))
    return {
        "clips": sum(archive.clips(part) for part in archive.parts),
        **{part: archive.clips(part) for part in archive.parts},
        "classes": list(names),
        "skeleton": f"{LAYOUT}, {JOINTS} joints",
        "bodies": BODIES,
        "frames": f"up to {archive.headers[f'x_{archive.parts[0]}'].shape[1]}, padded with zeros",
        "splits": list(side_rule(protocol, archive.parts)) or "none listed",
        "missing": [HINT] * rule.startswith("numbered") + [NAMES] * (_dataset(archive) in ("ntu60", "ntu120")),
        "options": options_of(read),
    }


def read(
    path: Path,
    *,
    topology: Topology | None = None,
    classes: str | Path | None = None,
    names: str | Path | None = None,
    protocol: str | None = None,
    copies: bool = False,
    fps: float = 30.0,
) -> Source:
    """An archive as clips, first those of ``x_train``, then those of ``x_test``.

    Args:
        path: the ``.npz``, or a folder that holds one.
        topology: joints to keep and their order, found by the names of the layout ``kinect_v2_25``.
        classes: a text file with one class name a line, or the name of a dataset whose classes are built in.
        names: the list of clip names that the archive was made from, NTU RGB+D only.
        protocol: xsub, xview or xset, where the name of the archive does not tell.
        copies: keep a second body that is only a copy of the first.
        fps: frames a second, which the archive does not state.

    Raises:
        DataError: no such archive, a damaged one, a row that is not one-hot, or names that do not fit.
        ConfigError: no such protocol.
    """
    check_positive("fps", fps, "a number")
    if protocol not in (None, "xsub", "xview", "xset", "official"):
        raise ConfigError(f"no protocol {protocol!r}; there are: xsub, xview, xset")
    archive = _open(_file(path))
    protocol = protocol or protocol_of(archive.path.stem, archive.path.parent.name)
    layout, keep = name_joints(JOINTS, known=LAYOUT, topology=topology, where=str(archive.path))
    labels = {part: _labels(archive, part) for part in archive.parts}
    ids = _row_names(archive, labels, Path(names).expanduser(), protocol) if names is not None else {}
    known = f"ntu{archive.classes}" if ids else _dataset(archive)
    class_names, rule = name_classes(archive.classes, classes=classes, known=known, where=str(archive.path))
    sides, notes, empty = side_numbers(archive.parts), list[str](), list[str]()
    provenance: dict[str, Any] = {
        "format": "ctrgcn",
        "source": archive.path.name,
        "classes": rule,
        "names": Path(names).name if names is not None else "none: the rows are numbered",
        "frames": "as many as come before the padding with zeros",
        "empty": empty,
        "notes": notes,
    }

    def clips() -> Iterator[Clip]:
        copied = 0
        for part in archive.parts:
            with closing(read_rows(archive.path, f"x_{part}")) as rows:  # type: ignore[type-var]
                for n, row in enumerate(rows):
                    id = ids[part][n] if ids else f"{part}_{n:06d}"
                    joints, same = _joints(row, copies=copies)
                    if joints is None:
                        empty.append(id)
                        continue
                    copied += same
                    about = {f"split_{protocol}": sides[part], "copied": int(same), **ntu_columns(id)}
                    take = Take(path=archive.path, id=id, label=int(labels[part][n]), about=about)
                    yield clip_of(take, joints[:, :, keep], layout, fps=fps)
        total = sum(len(v) for v in labels.values())
        if len(empty) == total:
            raise DataError(f"{archive.path}: nobody in any frame of {total} clips")
        if copied:
            what = "kept" if copies else "taken out"
            notes.append(f"in {copied} clips the second body is a copy of the first; {what} (column 'copied')")
        if empty:
            notes.append(f"{len(empty)} clips with nobody in any frame left out; see 'empty'")

    return Source(
        clips=clips(),
        classes=class_names,
        total=sum(len(v) for v in labels.values()),
        bodies=BODIES,
        presets=(CENTRED,) if _centred(archive) else (),
        licence=LICENCE if known in ("ntu60", "ntu120") else "",
        splits=with_official(side_rule(protocol, archive.parts), itertools.chain(*ids.values()), known if ids else None),
        attribution="Chen et al., Channel-wise Topology Refinement Graph Convolution, ICCV 2021 (preprocessing)",
        provenance=provenance,
    )


def _file(path: Path) -> Path:
    if path.is_file() and ARCHIVE.fullmatch(path.name):
        return path
    found = [f for f in files_named(path, ARCHIVE) if _fits(f)]
    if len(found) != 1:
        these = f"{len(found)} archives of CTR-GCN ({', '.join(f.name for f in found[:5])})" if found else "no .npz with x_train"
        raise DataError(f"{path}: holds {these}; wanted one, name the file")
    return found[0]


def _open(path: Path) -> Archive:
    """The headers, checked.

    Raises:
        DataError: no archive, or an array of another shape or type; the message names it.
    """
    headers = npz_headers(path)
    parts = tuple(part for part in ("train", "test") if f"x_{part}" in headers)
    if not parts:
        raise DataError(f"{path}: has no array 'x_train'; there are: {', '.join(headers)[:200] or 'none'}")
    widths = set()
    for part in parts:
        x, y = headers[f"x_{part}"], headers.get(f"y_{part}")
        fits = len(x.shape) == 3 and x.shape[2] == BODIES * JOINTS * 3 and 0 not in x.shape and x.shape[1] <= MOST_FRAMES
        if not fits or x.dtype.kind != "f":
            raise DataError(
                f"{path}: 'x_{part}' is {x.dtype} {x.shape}, wanted floats (clips, frames, 150): 2 bodies of 25 joints of x, y, z"
            )
        if y is None:
            raise DataError(f"{path}: 'y_{part}' is missing; there are: {', '.join(headers)[:200]}")
        if len(y.shape) != 2 or y.shape[0] != x.shape[0] or not 1 <= y.shape[1] <= MOST_CLASSES or y.dtype.kind not in "fiub":
            raise DataError(f"{path}: 'y_{part}' is {y.dtype} {y.shape}, wanted ({x.shape[0]}, classes): a one in every row")
        widths.add(y.shape[1])
    if len(widths) > 1:
        raise DataError(f"{path}: 'y_train' and 'y_test' have {' and '.join(map(str, sorted(widths)))} classes, wanted as many")
    return Archive(path=path, headers=headers, parts=parts, classes=widths.pop())


def _labels(archive: Archive, part: str) -> np.ndarray:
    """Position of the one in every row (N,)."""
    found, at = [], 0
    with closing(stream_rows(archive.path, f"y_{part}")) as blocks:  # type: ignore[type-var]
        for block in blocks:
            odd = np.flatnonzero(((block != 0) & (block != 1)).any(axis=1) | ((block != 0).sum(axis=1) != 1))
            if len(odd):
                raise DataError(f"{archive.path}: row {at + odd[0]} of 'y_{part}' is not one-hot; wanted a single 1 among zeros")
            found.append(block.argmax(axis=1))
            at += len(block)
    return np.concatenate(found)


def _joints(row: np.ndarray, *, copies: bool) -> tuple[np.ndarray | None, bool]:
    """A row (frames, 150) without its padding, as (T, 2, 25, 3), and whether the second body is a copy; None where it is empty."""
    seen = np.flatnonzero((row != 0).any(axis=1))
    if not len(seen):
        return None, False
    joints = row[: int(seen[-1]) + 1].reshape(-1, BODIES, JOINTS, 3)
    same = bool(np.array_equal(joints[:, 0], joints[:, 1]))
    if same and not copies:
        joints = joints.copy()
        joints[:, 1] = 0
    return joints, same


def _centred(archive: Archive) -> bool:
    """Whether the spine of body 0 is at the origin in the first frame it is seen in, in all of the first clips."""
    with closing(stream_rows(archive.path, f"x_{archive.parts[0]}")) as blocks:  # type: ignore[type-var]
        block = next(blocks)
    clips = block.reshape(len(block), -1, BODIES, JOINTS, 3)[:, :, 0]  # (n, frames, 25, 3)
    seen = (clips != 0).any(axis=(2, 3))
    there = seen.any(axis=1)
    first = clips[np.flatnonzero(there), seen[there].argmax(axis=1)]
    return bool(there.any() and not (first[:, SPINE] != 0).any())


def _dataset(archive: Archive) -> str | None:
    words = f"{archive.path.parent.name} {archive.path.name}".lower()
    if "pku" in words:
        return "pku_mmd" if archive.classes == 51 else None
    return f"ntu{archive.classes}" if "ntu" in words and archive.classes in (60, 120) else None


def _row_names(archive: Archive, labels: Mapping[str, np.ndarray], path: Path, protocol: str) -> dict[str, list[str]]:
    """Names of the rows of each part, put in the order in which the archive was made.

    Raises:
        DataError: the list is damaged, has another number of clips, or a label is not the one in the name.
    """
    if archive.classes not in (60, 120) or protocol not in ntu_splits(archive.classes):
        raise DataError(
            f"{archive.path}: names= puts back the names of NTU RGB+D, by subject, camera or setup; this archive has"
            f" {archive.classes} classes and the split {protocol!r}. Say which with protocol=xsub, xview or xset"
        )
    rule, at = ntu_splits(archive.classes)[protocol], {"subject": 2, "camera": 1, "setup": 0}[COLUMN[protocol]]
    listed: dict[str, list[tuple[int, int, str]]] = {"train": [], "test": []}
    for n, name in enumerate(_listed_names(path)):
        numbers = ntu_numbers(name)
        assert numbers is not None
        listed["train" if numbers[at] in rule["train"] else "test"].append((numbers[at], n, name))
    ids = {part: [name for _, _, name in sorted(listed[part])] for part in archive.parts}
    for part, names in ids.items():
        if len(names) != len(labels[part]):
            raise DataError(
                f"{path}: {len(names)} of its names are on the {part} side of {protocol}, but 'x_{part}' has {len(labels[part])}"
                " rows; is it the list this archive was made from?"
            )
        told = np.array([int(name[-3:]) - 1 for name in names])
        wrong = np.flatnonzero(told != labels[part])
        if len(wrong):
            n = int(wrong[0])
            raise DataError(
                f"{path}: row {n} of 'x_{part}' would be {names[n]}, but has the label {labels[part][n]} (action"
                f" {labels[part][n] + 1}); is it the list this archive was made from, and the split {protocol!r}?"
            )
    return ids


def _listed_names(path: Path) -> list[str]:
    lines = whole_file(path, limit=64 << 20).decode("utf-8", "replace").splitlines()
    lead: dict[str, int] = {}  # name -> line
    for number, line in enumerate(lines, 1):
        word = line.strip().removesuffix(".skeleton")
        if not word:
            continue
        if not NAME.fullmatch(word):
            raise DataError(f"{path}:{number}: {word[:60]!r} is no clip of NTU RGB+D (SsssCcccPpppRrrrAaaa)")
        if lead.setdefault(word, number) != number:
            raise DataError(f"{path}:{number}: {word} stands twice, first in line {lead[word]}")
    return list(lead)
