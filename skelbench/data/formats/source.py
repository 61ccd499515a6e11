"""What every reader hands over, and what readers of folders full of takes share: labels, ids, frame rates, joints by name."""

from __future__ import annotations

import csv
import difflib
import inspect
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from skelbench.errors import DataError
from skelbench.skeleton.clip import Clip
from skelbench.skeleton.topology import Topology, topologies
from skelbench.skeleton.topology import topology as find_topology

UNLABELLED = "unlabelled"


@dataclass(frozen=True, kw_only=True)
class Source:
    """A dataset about to be imported.

    Attributes:
        clips: the clips, read one by one; may be walked once, and is closed by whoever walks it.
        classes: names of the labels.
        total: number of clips, for a progress bar; readers that leave out empty clips as they meet them may hand over fewer.
        bodies: M, None where every clip has that of the first.
        provenance: what was read and how; readers may add notes to ``provenance["notes"]`` while the clips are walked.
        splits: official splits, in the forms of :mod:`skelbench.data.rules`; lists of clip names are welcome.
    """

    clips: Iterator[Clip]
    classes: tuple[str, ...]
    total: int
    provenance: Mapping[str, Any]
    bodies: int | None = None
    units: str = "metre"
    presets: tuple[str, ...] = ()
    licence: str = ""
    attribution: str = ""
    splits: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Take:
    """One motion file: where it is, its name in the store, its class, and the whole-number columns that go with it."""

    path: Path
    id: str
    label: int
    about: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Takes:
    """The takes of one import, in order, and the classes their labels point to. ``rule`` says where the labels come from."""

    takes: tuple[Take, ...]
    classes: tuple[str, ...]
    rule: str
    notes: tuple[str, ...] = ()


def find_takes(path: Path, suffix: str, *, labels: str | Path | None = None) -> Takes:
    """The motion files at ``path`` with their classes.

    With ``labels``, a CSV whose first line names the columns: ``file`` (path below ``path``, file name or name without ending),
    ``class``, and if wanted ``subject`` and any further whole-number columns; files it does not list are left out. Without, the
    class is the name of the folder a file lies in, where all files lie in sub-folders; else all are of the class ``unlabelled``.

    Raises:
        DataError: nothing there, no file with this ending, or the CSV does not fit; the message names the line.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    root = path if path.is_dir() else path.parent
    files = motion_files(path, suffix)
    if not files:
        raise DataError(f"{path}: holds no {suffix} file")
    ids = clip_ids(files, root)
    if labels is not None:
        return _takes_of_csv(Path(labels).expanduser(), files, ids, root)
    folders = [f.parent.name if f.parent != root else "" for f in files]
    if path.is_dir() and any(folders):
        if not all(folders):
            alone = files[folders.index("")]
            raise DataError(
                f"{path}: some files lie in class folders and some, like {alone.name}, do not; sort them, or pass labels= (a CSV)"
            )
        classes = tuple(sorted(set(folders)))
        found = [Take(path=f, id=i, label=classes.index(c), about={}) for f, i, c in zip(files, ids, folders, strict=True)]
        return Takes(takes=tuple(found), classes=classes, rule="class = name of the folder")
    found = [Take(path=f, id=i, label=0, about={}) for f, i in zip(files, ids, strict=True)]
    return Takes(takes=tuple(found), classes=(UNLABELLED,), rule="no labels given")


def motion_files(path: Path, suffix: str) -> list[Path]:
    """Files with this ending (any case), hidden ones left out: the file itself, or all below a folder, sorted by name."""
    if path.is_file():
        return [path] if path.suffix.lower() == suffix else []
    found = (f for f in path.rglob("*") if f.suffix.lower() == suffix and not f.name.startswith(".") and f.is_file())
    return sorted(found, key=lambda f: f.relative_to(path).as_posix())


def clip_ids(files: Sequence[Path], root: Path) -> list[str]:
    """File names without ending; with their folders where two would be the same."""
    stems = [f.stem for f in files]
    if len(set(stems)) < len(stems):
        stems = [f.relative_to(root).with_suffix("").as_posix().replace("/", "__") for f in files]
    return [re.sub(r"[\x00-\x1f\x7f/\\<>&\"'`]", "_", s) for s in stems]


def _takes_of_csv(table: Path, files: Sequence[Path], ids: Sequence[str], root: Path) -> Takes:
    rows = csv_rows(table)
    known: dict[str, list[int]] = {}
    for n, file in enumerate(files):
        relative = file.relative_to(root)
        for key in {relative.as_posix(), relative.with_suffix("").as_posix(), file.name, file.stem}:
            known.setdefault(key, []).append(n)
    classes = tuple(sorted({row["class"] for _, row in rows}))
    takes: dict[int, Take] = {}
    for line, row in rows:
        where = f"{table}:{line}"
        match = known.get(row["file"].replace("\\", "/"), [])
        if len(match) != 1 or match[0] in takes:
            why = "stands in no folder given" if not match else "fits several files" if len(match) > 1 else "is listed twice"
            raise DataError(f"{where}: file {row['file']!r} {why}; write it as in {files[0].relative_to(root).as_posix()!r}")
        about: dict[str, Any] = {
            k: whole_number(v, k, where) for k, v in row.items() if k not in ("file", "class", "subject") and v
        }
        if row.get("subject"):
            about["subject"] = row["subject"]
        n = match[0]
        takes[n] = Take(path=files[n], id=ids[n], label=classes.index(row["class"]), about=about)
    left = len(files) - len(takes)
    notes = (f"{left} files not listed in {table.name} left out",) if left else ()
    return Takes(takes=tuple(takes[n] for n in sorted(takes)), classes=classes, rule=f"labels from {table.name}", notes=notes)


def csv_rows(table: Path) -> list[tuple[int, dict[str, str]]]:
    """(line, column -> word) of every line after the first."""
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            columns = [c.strip() for c in reader.fieldnames or ()]
            if "file" not in columns or "class" not in columns:
                raise DataError(
                    f"{table}:1: the first line must name the columns 'file' and 'class'; found {', '.join(columns) or 'nothing'}"
                )
            reader.fieldnames = columns
            rows = []
            for row in reader:
                if None in row or None in row.values():
                    raise DataError(f"{table}:{reader.line_num}: wanted {len(columns)} columns, as in the first line")
                words = {k: v.strip() for k, v in row.items()}
                if not words["file"] or not words["class"]:
                    raise DataError(f"{table}:{reader.line_num}: 'file' and 'class' must not be empty")
                rows.append((reader.line_num, words))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{table}: cannot be read as a CSV table ({error})") from error
    if not rows:
        raise DataError(f"{table}: lists no file")
    return rows


def whole_number(word: str, column: str, where: str) -> int:
    """A number of a table of labels.

    Raises:
        DataError: not a whole number of at most 18 digits.
    """
    if not re.fullmatch(r"[+-]?\d{1,18}", word):
        raise DataError(f"{where}: column {column!r} holds {word[:40]!r}, wanted a whole number")
    return int(word)


def own_topology(name: str, joints: Sequence[str], parents: Sequence[int]) -> Topology:
    """The built-in layout with exactly these joints and parents, else a layout of its own."""
    for key in topologies():
        layout = find_topology(key)
        if layout.joints == tuple(joints) and layout.parents == tuple(parents):
            return layout
    return Topology.from_dict({"name": name, "joints": list(joints), "parents": list(parents)})


def pick_joints(joints: Sequence[str], topology: Topology, where: str) -> list[int]:
    """Where the joints of a topology stand among those of a file, found by name.

    Raises:
        DataError: the file has no joint of that name; the message lists the nearest ones.
    """
    missing = [j for j in topology.joints if j not in joints]
    if missing:
        near = difflib.get_close_matches(missing[0], joints, n=3, cutoff=0.4)
        hint = f"nearest: {', '.join(near)}; " if near else ""
        raise DataError(
            f"{where}: topology {topology.name!r} wants {len(missing)} joints the file does not have, the first is {missing[0]!r}"
            f" ({hint}there are: {', '.join(joints)})"
        )
    return [list(joints).index(j) for j in topology.joints]


def own_or_given(
    path: Path, joints: Sequence[str], parents: Sequence[int], topology: Topology | None, where: str
) -> tuple[Topology, list[int]]:
    """The layout of an import, and where its joints stand among those of a file that brings a skeleton of its own.

    Raises:
        DataError: the topology given has a joint the file lacks.
    """
    layout = topology or own_topology(path.stem, joints, parents)
    return layout, pick_joints(joints, layout, where)


def check_positive(option: str, value: float | None, what: str) -> None:
    """Refuse a length or rate that is zero, negative or not finite; None stands for "not given".

    Raises:
        DataError: says which option, and what it is.
    """
    if value is not None and not (math.isfinite(value) and value > 0):
        raise DataError(f"{option} must be {what} above zero, got {value}")


def options_of(read: Callable[..., Source]) -> dict[str, str]:
    """Option -> what it does, from the ``Args`` of a reader's docstring; ``path`` is none."""
    args = (inspect.getdoc(read) or "").partition("Args:\n")[2].partition("\n\n")[0]
    found = re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", args, re.MULTILINE)
    plain = {name: re.sub(r":\w+:`[\w.]*?(\w+)`|``", r"\1", text) for name, text in found if name != "path"}
    return {name: " ".join(text.split()).removesuffix(".") for name, text in plain.items()}


def missing_labels(takes: Takes) -> list[str]:
    """What to bring where no take has a class."""
    unlabelled = takes.classes == (UNLABELLED,)
    return ["classes: sort the files into folders, or pass labels= (a CSV with the columns file, class, subject)"] * unlabelled


def stride(rate: float, fps: float | None) -> int:
    """Every how many frames to keep: the whole number that comes nearest to ``fps``; 1 for None (as recorded).

    Raises:
        DataError: ``fps`` is not above zero.
    """
    if fps is not None and not fps > 0:
        raise DataError(f"fps must be above zero, or None to keep the frame rate of the file; got {fps}")
    return max(1, round(rate / fps)) if fps else 1


def clip_of(take: Take, joints: np.ndarray, topology: Topology, *, fps: float) -> Clip:
    """A Clip of one body (T, V, C) or several (T, M, V, C)."""
    joints = joints[:, None] if joints.ndim == 3 else joints
    with np.errstate(over="ignore"):  # infinite values are refused when the clip is written
        joints = np.ascontiguousarray(joints, np.float32)
    return Clip(joints=joints, topology=topology, fps=fps, label=take.label, id=take.id, about=take.about)
