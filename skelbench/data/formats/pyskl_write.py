"""A store as a pickle of PYSKL and MMAction2, so that whoever wants to can leave with the data.

The instructions are written here, not by the pickle module: they name NumPy's functions as versions before 2 know them (the code
bases that read these files need one), and nothing of what was written is kept in memory.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from skelbench.data.folders import scratch, sync
from skelbench.data.rules import TEST, TRAIN, VALIDATION, follow
from skelbench.data.store import Store
from skelbench.errors import DataError
from skelbench.skeleton.clip import Clip

RECONSTRUCT, NDARRAY, TYPE = b"h\x00", b"h\x01", b"h\x02"  # kept at the beginning
HEAD = b"\x80\x04cnumpy.core.multiarray\n_reconstruct\nq\x000cnumpy\nndarray\nq\x010"


def write_pyskl(
    store: Store, path: str | Path, *, overwrite: bool = False, half: bool = False, picture: tuple[int, int] | None = None
) -> Path:
    """Write a store as one pickle of PYSKL; reading it back gives the same clips.

    2D joints with a score become ``keypoint`` and ``keypoint_score``. Bodies that are absent throughout a clip are left out of it.
    Splits become lists of names: ``xsub_train`` and ``xsub_val``, ``train`` and ``val`` for ``official``. The class names stand
    under ``classes``, which PYSKL ignores.

    Args:
        store: what to write.
        path: the file; ``.pkl`` is added where it does not end so.
        overwrite: replace a file that is there.
        half: write float16, as PYSKL's own files have it. A third of the digits is lost: 2 mm at 4 m.
        picture: (height, width) of the video, for 2D coordinates in pixels whose picture size is not known.

    Returns:
        The file.

    Raises:
        DataError: the file exists, 2D pixels without a picture size, a coordinate too large for ``half``, or the disk is full;
            nothing is left behind.
    """
    path = Path(path).expanduser()
    target = path if path.suffix.lower() in (".pkl", ".pickle") else path.with_name(f"{path.name}.pkl")
    if target.exists() and not (overwrite and target.is_file()):
        raise DataError(f"{target} exists already; choose another name, or pass overwrite=True to replace it")
    if store.coordinates not in (store.topology.dims, store.topology.dims + 1):
        raise DataError(f"{store.meta.name}: {store.coordinates} coordinates a joint, the layout has {store.topology.dims}")
    lists = split_lists(store)
    with scratch(target.absolute().parent) as folder:
        part = folder / "part.pkl"
        try:
            with part.open("wb") as file:
                _write(file, store, lists, half=half, picture=picture)
            sync(part)
            part.replace(target)
        except OSError as error:
            raise DataError(f"{target}: could not be written ({error.strerror or error}); nothing was left behind") from error
    return target


def split_lists(store: Store) -> dict[str, np.ndarray]:
    """Rows of every list, named as PYSKL names them; splits that no two lists can say (one-shot) are left out."""
    lists = {}
    for name, rule in store.meta.splits.items():
        if not isinstance(rule, dict) or "novel" in rule:
            continue
        side = follow(store, name, rule, np.arange(len(store))).side
        three, folds = (side == VALIDATION).any(), re.fullmatch(r"split\d+", name)
        sides = {"train": TRAIN, "val": VALIDATION, "test": TEST} if three else {"train": TRAIN, "test" if folds else "val": TEST}
        for word, number in sides.items():
            lists[_list_name(name, word)] = np.flatnonzero(side == number)
    return lists


def _list_name(split: str, word: str) -> str:
    """``train`` of ``official``, ``train1`` and ``test1`` of ``split1``, ``xsub_train`` of ``xsub``."""
    fold = re.fullmatch(r"split(\d+)", split)
    return f"{word}{fold[1]}" if fold else word if split == "official" else f"{split}_{word}"


def _write(file: IO[bytes], store: Store, lists: dict[str, np.ndarray], *, half: bool, picture: tuple[int, int] | None) -> None:
    file.write(HEAD)
    file.write(_type("<f2" if half else "<f4") + b"q\x020")
    file.write(b"}(" + _text("split") + b"}(")
    for key, rows in lists.items():
        file.write(_text(key) + b"](")
        for row in rows:
            file.write(_text(store.ids[row]))
        file.write(b"e")
    file.write(b"u" + _text("annotations") + b"]")
    for row in range(len(store)):
        file.write(_dict(_annotation(store, store[row], half=half, picture=picture)) + b"a")
    file.write(_text("classes") + b"](" + b"".join(map(_text, store.classes)) + b"eu.")


def _annotation(store: Store, clip: Clip, *, half: bool, picture: tuple[int, int] | None) -> dict[str, Any]:
    dims, joints = store.topology.dims, clip.joints
    seen = np.flatnonzero((joints != 0).any(axis=(0, 2, 3)))
    bodies = joints[:, : int(seen[-1]) + 1 if len(seen) else 1].transpose(1, 0, 2, 3)  # (M, T, V, C)
    with np.errstate(over="ignore"):
        values = np.ascontiguousarray(bodies, "<f2" if half else "<f4")
    if not np.isfinite(values).all():
        raise DataError(f"clip {clip.id!r}: a coordinate is too large for float16; write it with half=False")
    told = {"frame_dir": clip.id, "label": clip.label, "total_frames": len(joints), "keypoint": values[..., :dims]}
    if values.shape[-1] > dims:
        told["keypoint_score"] = values[..., dims]
    if dims == 2:
        told["img_shape"] = told["original_shape"] = _picture(store, clip, picture)
    return told


def _picture(store: Store, clip: Clip, given: tuple[int, int] | None) -> tuple[int, int]:
    """(height, width): from the columns, as given, or 1 where coordinates are shares of the picture."""
    height, width = (int(clip.about.get(key, -1)) for key in ("height", "width"))
    if height > 0 and width > 0:
        return height, width
    if store.meta.units == "image":
        return 1, 1
    if given is None:
        raise DataError(f"clip {clip.id!r}: the size of its picture is not known, which PYSKL needs; pass picture=(height, width)")
    return given


def _text(value: str) -> bytes:
    raw = value.encode("utf-8")
    return b"X" + struct.pack("<I", len(raw)) + raw


def _number(value: int) -> bytes:
    return b"K" + bytes([value]) if 0 <= value < 256 else b"J" + struct.pack("<i", value)


def _tuple(values: Sequence[int]) -> bytes:
    return b"(" + b"".join(map(_number, values)) + b"t"


def _type(code: str) -> bytes:
    """The instructions that make a NumPy type."""
    return b"cnumpy\ndtype\n" + _text(code[1:]) + b"\x89\x88\x87R(K\x03" + _text(code[0]) + b"NNN" + 2 * _number(-1) + b"K\x00tb"


def _array(value: np.ndarray) -> bytes:
    raw = value.tobytes()
    size = b"B" + struct.pack("<I", len(raw)) if len(raw) < 1 << 32 else b"\x8e" + struct.pack("<Q", len(raw))
    return RECONSTRUCT + NDARRAY + b"K\x00\x85C\x01b\x87R(K\x01" + _tuple(value.shape) + TYPE + b"\x89" + size + raw + b"tb"


def _value(value: Any) -> bytes:
    if isinstance(value, np.ndarray):
        return _array(value)
    return _text(value) if isinstance(value, str) else _tuple(value) if isinstance(value, tuple) else _number(value)


def _dict(table: dict[str, Any]) -> bytes:
    return b"}(" + b"".join(_text(key) + _value(value) for key, value in table.items()) + b"u"
