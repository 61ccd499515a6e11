"""The annotations in a pickle of PYSKL or MMAction2, checked one by one; see :mod:`skelbench.data.formats.pyskl`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from skelbench.data.formats.unpickle import load_pickle
from skelbench.errors import DataError

UNSAFE = re.compile(r"[\x00-\x1f\x7f/\\<>&\"'`]")
MOST_BODIES, MOST_FRAMES = 100, 1_000_000
HEAD = 1 << 12  # bytes looked at to recognise a file
NAMES = ("frame_dir", "filename")


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class Entry:
    """One clip. Its coordinates stand in one of three ways: frame by frame, as a list of people found, or in another file.

    Attributes:
        name: as in the file.
        id: the same without what a clip name may not have.
        label: -1 unknown.
        frames: T; 0 where only the coordinates tell.
        keypoint: (M, T, V, C); (R, V, C) with ``found``; None where it stands in ``raw_file``, or where the clip has nobody.
        score: of the joints, (M, T, V) or (R, V), or None.
        found: (R,) the frame of each person found, or None.
        box_score: (R,) how sure the detector was of each, or None.
        raw_file: name of the file with the coordinates, or "".
        picture: (height, width), 0 where not told.
    """

    name: str
    id: str
    label: int
    frames: int
    keypoint: np.ndarray | None
    score: np.ndarray | None
    found: np.ndarray | None
    box_score: np.ndarray | None
    raw_file: str
    picture: tuple[int, int]


@dataclass(frozen=True, kw_only=True, eq=False)
class Annotations:
    """What a pickle holds.

    Attributes:
        path: of it.
        entries: the clips, in order.
        lists: split -> ids.
        classes: names, where the pickle has them (PYSKL's own do not), else none.
        nobody: how many annotations are None: the code that writes these files leaves that for a clip without a body.
    """

    path: Path
    entries: tuple[Entry, ...]
    lists: Mapping[str, Sequence[str]]
    classes: tuple[str, ...]
    nobody: int

    @property
    def joints(self) -> int:
        """V; 0 where no coordinates are here."""
        return next((e.keypoint.shape[-2] for e in self.entries if e.keypoint is not None), 0)

    @property
    def dims(self) -> int:
        """Coordinates without the score: 2 or 3; 2 where no coordinates are here."""
        first = next((e for e in self.entries if e.keypoint is not None), None)
        return 2 if first is None or first.found is not None else int(first.keypoint.shape[-1])  # type: ignore[union-attr]

    @property
    def scored(self) -> bool:
        """Whether joints have a score."""
        first = next((e for e in self.entries if e.keypoint is not None), None)
        return first is None or first.found is not None or first.score is not None


def looks_like(path: Path) -> bool:
    """Whether a file begins like one of these pickles. Never raises."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError:
        return False
    if head[:1] not in (b"\x80", b"(", b"}", b"]"):
        return False
    return b"annotations" in head or b"frame_dir" in head or b"total_frames" in head or b"split" in head[:64]


def read_annotations(path: Path) -> Annotations:
    """The pickle, checked: every value has the type and shape that is wanted, and all clips have the same joints.

    Arrays stay in the file until they are used.

    Raises:
        DataError: no such pickle (see :func:`skelbench.data.formats.unpickle.load_pickle`), or an annotation is damaged; the
            message names it.
    """
    content = load_pickle(path)
    table = content if isinstance(content, dict) else {"annotations": content}
    annotations, split, classes = table.get("annotations"), table.get("split", {}), table.get("classes", [])
    if isinstance(content, dict) and annotations is None and content and all(isinstance(v, dict) for v in content.values()):
        if any("keypoint" in v for v in content.values()):
            raise DataError(f"{path}: holds coordinates without labels (a kpfile); pass the index file, and this one as kpfiles=")
    if not isinstance(annotations, list) or not annotations or not isinstance(split, dict):
        kind = type(content).__name__
        raise DataError(f"{path}: wanted a dict with 'split' and 'annotations' (a list of dicts), found {_a(kind)}")
    if not isinstance(classes, list) or not all(isinstance(c, str) and c for c in classes):
        raise DataError(f"{path}: 'classes' must be a list of names")
    entries = tuple(_entry(raw, f"{path}: annotation {n}") for n, raw in enumerate(annotations) if raw is not None)
    if not entries:
        raise DataError(f"{path}: not a single annotation holds a clip")
    _check_together(path, entries)
    lists = {_name(key, f"{path}: a split"): _ids(value, f"{path}: split {key!r}") for key, value in split.items()}
    nobody = len(annotations) - len(entries)
    return Annotations(path=path, entries=entries, lists=lists, classes=tuple(classes), nobody=nobody)


def _entry(raw: Any, where: str) -> Entry:
    if not isinstance(raw, dict):
        raise DataError(f"{where}: wanted a dict, found {_a(type(raw).__name__)}")
    key = next((k for k in NAMES if k in raw), None)
    if key is None:
        raise DataError(f"{where}: has no 'frame_dir' (the name of the clip); it has: {', '.join(map(_short, list(raw)[:12]))}")
    name = _name(raw[key], f"{where}: {key!r}")
    where = f"{where} ({name[:80]!r})"
    label = whole(raw.get("label", -1), -1, 1 << 20, f"{where}: 'label'")
    frames = whole(raw.get("total_frames", 0), 0, MOST_FRAMES, f"{where}: 'total_frames'")
    found = None if raw.get("frame_inds") is None else numbers(raw["frame_inds"], (None,), "iu", f"{where}: 'frame_inds'")
    box = None if raw.get("box_score") is None else numbers(raw["box_score"], (None,), "f", f"{where}: 'box_score'")
    keypoint, score = raw.get("keypoint"), raw.get("keypoint_score")
    raw_file = _name(raw["raw_file"], f"{where}: 'raw_file'") if keypoint is None and raw.get("raw_file") is not None else ""
    if keypoint is None and not raw_file:
        raise DataError(f"{where}: has neither 'keypoint' nor 'raw_file' (where its coordinates are)")
    if found is None and raw_file:
        raise DataError(f"{where}: has 'raw_file' but no 'frame_inds', which says in which frame a person was found")
    if keypoint is not None:
        shape = (None, None, None) if found is not None else (None, None, None, None)
        keypoint = numbers(keypoint, shape, "f", f"{where}: 'keypoint'")
        frames = _check_keypoint(keypoint, score is not None, frames, compressed=found is not None, where=where)
        if score is not None:
            score = numbers(score, keypoint.shape[:-1], "f", f"{where}: 'keypoint_score'")
    people = keypoint.shape[0] if keypoint is not None and found is not None else None if found is None else len(found)
    for column, array in (("frame_inds", found), ("box_score", box)):
        if people is not None and array is not None and len(array) != people:
            raise DataError(f"{where}: {column!r} has {len(array)} entries, wanted one for each of the {people} people found")
    return Entry(
        name=name,
        id=UNSAFE.sub("_", name)[:200],
        label=label,
        frames=frames,
        keypoint=keypoint,
        score=score if keypoint is not None else None,
        found=found,
        box_score=box if found is not None else None,
        raw_file=raw_file,
        picture=_picture(raw, where),
    )


def _check_keypoint(keypoint: np.ndarray, scored: bool, frames: int, *, compressed: bool, where: str) -> int:
    """T, after a look at the shape."""
    V, C = keypoint.shape[-2:]
    if V == 0 or C not in (2, 3):
        raise DataError(f"{where}: 'keypoint' has shape {keypoint.shape}; wanted 2 or 3 coordinates of at least one joint")
    if compressed:
        if C + scored != 3:
            raise DataError(
                f"{where}: compressed people need x, y and a score for every joint; 'keypoint' has shape {keypoint.shape}"
            )
        return frames
    M, T = keypoint.shape[:2]
    if M > MOST_BODIES:
        raise DataError(
            f"{where}: 'keypoint' has {M} bodies, wanted up to {MOST_BODIES}; is its shape (bodies, frames, joints, 2 or 3)?"
        )
    if frames not in (0, T):
        raise DataError(f"{where}: 'total_frames' is {frames}, but 'keypoint' has {T} frames")
    return T


def _check_together(path: Path, entries: Sequence[Entry]) -> None:
    first: dict[str, Entry] = {}
    like = next((e for e in entries if e.keypoint is not None), None)
    for entry in entries:
        if first.setdefault(entry.id, entry) is not entry:
            raise DataError(f"{path}: two annotations are called {entry.id!r}; every clip needs a name of its own")
        if entry.keypoint is None or like is None or like.keypoint is None:
            continue
        ours = (entry.keypoint.shape[-2:], entry.found is None, entry.score is None)
        theirs = (like.keypoint.shape[-2:], like.found is None, like.score is None)
        if ours != theirs:
            raise DataError(
                f"{path}: clip {entry.name[:80]!r} has {ours[0][0]} joints of {ours[0][1]} coordinates {_kind(entry)}, the first"
                f" clip {like.name[:80]!r} {theirs[0][0]} of {theirs[0][1]} {_kind(like)}; import them apart"
            )


def _kind(entry: Entry) -> str:
    return f"({'with' if entry.score is not None else 'without'} scores{', compressed' if entry.found is not None else ''})"


def _picture(raw: Mapping[Any, Any], where: str) -> tuple[int, int]:
    """Height and width."""
    size = raw.get("img_shape", raw.get("original_shape"))
    if size is None:
        return 0, 0
    if not isinstance(size, tuple | list | np.ndarray) or np.ndim(size) != 1 or not 2 <= len(size) <= 3:
        raise DataError(f"{where}: 'img_shape' must be the height and width of the picture, found {_a(type(size).__name__)}")
    height, width = (whole(n, 1, 1 << 20, f"{where}: 'img_shape'") for n in list(size)[:2])
    return height, width


def whole(value: Any, low: int, high: int, where: str) -> int:
    """A whole number between two others; floats without a fraction count.

    Raises:
        DataError: anything else.
    """
    number: Any = value[()] if isinstance(value, np.ndarray) and value.ndim == 0 else value
    if isinstance(number, float | np.floating):
        number = int(number) if np.isfinite(number) and number == np.floor(number) else None
    fits = isinstance(number, int | np.integer) and not isinstance(number, bool | np.bool_)
    if not fits or not low <= int(number) <= high:
        raise DataError(f"{where} must be a whole number from {low} to {high}, found {_short(value)}")
    return int(number)


def numbers(value: Any, shape: Sequence[int | None], kinds: str, where: str) -> np.ndarray:
    """An array of numbers with a given shape; None stands for any size.

    Raises:
        DataError: no array, or another shape or type.
    """
    if isinstance(value, list) and len(shape) == 1 and all(type(v) in (int, float) for v in value):
        try:
            value = np.asarray(value, np.int64 if kinds == "iu" else np.float64)
        except OverflowError as error:
            raise DataError(f"{where} holds a number that is too large") from error
    fits = isinstance(value, np.ndarray) and value.ndim == len(shape) and value.dtype.kind in kinds
    if not fits or any(n is not None and n != m for n, m in zip(shape, value.shape, strict=True)):
        wanted = ", ".join("any" if n is None else str(n) for n in shape)
        found = f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else _a(type(value).__name__)
        kind = "whole numbers" if kinds == "iu" else "floats"
        raise DataError(f"{where} must be an array of {kind}, shape ({wanted}); found {found}")
    return value


def _name(value: Any, where: str) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= 4096:
        raise DataError(f"{where} must be a name, found {_short(value)}")
    return str(value)


def _ids(value: Any, where: str) -> list[str]:
    if isinstance(value, np.ndarray) and value.ndim == 1 and value.dtype.kind == "U":
        value = value.tolist()
    if not isinstance(value, list | tuple) or not all(isinstance(v, str) for v in value):
        raise DataError(f"{where} must be a list of clip names, found {_a(type(value).__name__)}")
    return [UNSAFE.sub("_", v)[:200] for v in value]


def _short(value: Any) -> str:
    plain = isinstance(value, str | int | float | np.generic | None)
    return ascii(value)[:60] if plain and not (isinstance(value, int) and abs(value) > 1 << 64) else _a(type(value).__name__)


def _a(kind: str) -> str:
    return f"an {kind}" if kind[:1] in "aeiou" else f"a {kind}"
