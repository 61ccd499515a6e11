"""Own data as plain numpy: a folder of arrays in class folders, or one ``.npz`` with labels beside the joints."""

from pathlib import Path
from typing import Any

import numpy as np

from skelbench.skeleton.topology import Topology

STICK = Topology.from_dict(
    {
        "name": "stick",
        "joints": ["hips", "spine", "head", "left_hand", "right_hand", "left_foot", "right_foot"],
        "parents": [-1, 0, 1, 1, 1, 0, 0],
    }
)
OPTIONS: dict[str, Any] = {"topology": STICK}  # what the reader must be told


def write_sample(folder: Path, rng: np.random.Generator) -> Path:
    """Five clips of 3 to 9 frames, padded with zeros; subjects 1 and 2."""
    folder.mkdir(parents=True, exist_ok=True)
    lengths = rng.integers(3, 10, 5)
    joints = rng.normal(size=(5, 9, 7, 3)).astype(np.float32)
    joints[np.arange(9) >= lengths[:, None]] = 0
    np.savez(folder / "own.npz", joints=joints, labels=np.array([0, 1, 1, 2, 0]), subjects=np.array([1, 1, 2, 2, 1]))
    return folder
