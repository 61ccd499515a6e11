"""A small PKU-MMD of phase I: six performances of three views, two intervals each, label and split files beside them."""

from pathlib import Path

import numpy as np


def write_sample(folder: Path, rng: np.random.Generator) -> Path:
    """18 recordings of 12 to 20 frames; performances 0291 and 0292 test across subjects, view L across views."""
    for part in ("Skeleton", "Label"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    names = [f"{number:04d}-{view}" for number in (2, 3, 4, 5, 291, 292) for view in "LMR"]
    for n, name in enumerate(names):
        T = int(rng.integers(12, 21))
        write_skeleton(folder / "Skeleton" / f"{name}.txt", rng.normal(size=(T, 2, 25, 3)) * [[[1]], [[n % 2]]])
        labels = f"{1 + n // 3 % 2},0,5,1\n{51 - n // 3 % 2},6,{T},2\n"
        (folder / "Label" / f"{name}.txt").write_text(labels)
    train, test = [m for m in names if m < "0291"], [m for m in names if m > "0291"]
    write_split(folder / "cross-subject.txt", train, test)
    write_split(folder / "cross-view.txt", [m for m in names if m[-1] != "L"], [m for m in names if m[-1] == "L"])
    return folder


def write_skeleton(path: Path, joints: np.ndarray) -> None:
    """Joints (T, 2, 25, 3) as text, a blank at the end of every line as in the original."""
    rows = joints.reshape(len(joints), 150)
    path.write_text("".join(" ".join(f"{v:.5f}" for v in row) + " \n" for row in rows))


def write_split(path: Path, train: list[str], test: list[str]) -> None:
    path.write_text("Training videos:\n" + ", ".join(train) + ", \n Validataion videos:\n" + ", ".join(test) + ", \n")
