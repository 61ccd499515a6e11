"""Own data as tables: long (a row a joint) or wide (a row a frame), as CSV or parquet."""

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from skelbench.skeleton.topology import topology

JOINTS = topology("penn_action_13").joints
AXES = "xyz"


def long_rows(id: str, joints: np.ndarray, **more: Any) -> list[dict[str, Any]]:
    """Rows of a clip (T, M, 13, 3)."""
    T, M, V, _ = joints.shape
    places = ((t, m, v) for t in range(T) for m in range(M) for v in range(V))
    return [
        {"clip": id, "frame": t, "body": m, "joint": JOINTS[v], **dict(zip(AXES, joints[t, m, v].tolist(), strict=True)), **more}
        for t, m, v in places
    ]


def wide_rows(id: str, joints: np.ndarray, **more: Any) -> list[dict[str, Any]]:
    """Rows of a clip (T, M, 13, 3)."""
    T, M = joints.shape[:2]
    names = [f"{j}_{a}" for j in JOINTS for a in AXES]
    return [
        {"clip": id, "frame": t, "body": m, **dict(zip(names, joints[t, m].ravel().tolist(), strict=True)), **more}
        for t in range(T)
        for m in range(M)
    ]


def write_csv(path: Path, rows: Sequence[dict[str, Any]], *, delimiter: str = ",") -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_parquet(path: Path, rows: Sequence[dict[str, Any]], *, row_group_size: int = 50) -> Path:
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(rows)), path, row_group_size=row_group_size)
    return path


def sample_rows(make: Callable[..., list[dict[str, Any]]], rng: np.random.Generator) -> list[dict[str, Any]]:
    """Three clips, 2 to 4 frames of one or two bodies."""
    rows = []
    for n, word in enumerate(("jump", "clap", "jump")):
        joints = rng.normal(size=(int(rng.integers(2, 5)), 1 + n % 2, 13, 3)).round(3)
        rows += make(f"clip{n}", joints, label=word, subject=n + 1)
    return rows


def write_sample(folder: Path, rng: np.random.Generator) -> Path:
    """One table, a CSV with a row a joint or, a third of the time, a parquet file with a row a frame."""
    folder.mkdir(parents=True, exist_ok=True)
    if rng.random() < 1 / 3:
        write_parquet(folder / "poses.parquet", sample_rows(wide_rows, rng))
    else:
        write_csv(folder / "poses.csv", sample_rows(long_rows, rng))
    return folder
