"""A small NTU-X of 67 joints: three actions, four subjects in folders train and test, label lists beside them."""

import pickle
from pathlib import Path

import h5py
import numpy as np


def write_sample(folder: Path, rng: np.random.Generator) -> Path:
    """12 clips of 2 to 7 frames and two bodies; subject 3 tests."""
    lists: dict[str, tuple[list[str], list[int]]] = {"train": ([], []), "test": ([], [])}
    for n, subject in enumerate((1, 2, 3, 4)):
        side = "test" if subject == 3 else "train"
        (folder / side).mkdir(parents=True, exist_ok=True)
        for action in (1, 7, 60):
            name = f"S001C{1 + n % 3:03d}P{subject:03d}R001A{action:03d}"
            array = rng.normal(size=(3, int(rng.integers(2, 8)), 67, 2)).astype(np.float32)
            write_clip(folder / side / f"{name}.h5", array, compression="gzip" if action == 7 else None)
            lists[side][0].append(name)
            lists[side][1].append(action - 1)
    for side, pair in lists.items():
        (folder / f"{side}_label_60.pkl").write_bytes(pickle.dumps([pair]))
    return folder


def write_clip(path: Path, array: np.ndarray, **options) -> None:
    """The array under the last name, as in the original; something else before it."""
    with h5py.File(path, "w") as file:
        file.create_dataset("joints", data=array, **options)
        file.create_dataset("frames", data=np.arange(array.shape[1]))
