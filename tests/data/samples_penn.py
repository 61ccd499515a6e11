"""A small Penn Action: three actions, pictures of two sizes, hidden joints, written by scipy as the original was by MATLAB."""

from pathlib import Path

import numpy as np
from scipy.io import savemat


def content(rng: np.random.Generator, *, action: str = "bowl", T: int = 6, train: int = 1, hidden: float = 0.2) -> dict:
    """The variables of one clip; hidden joints stand at (1, 1)."""
    seen = (rng.random((T, 13)) >= hidden).astype(np.uint8)
    x, y = (np.where(seen, rng.uniform(5, 300, (T, 13)).round(3), 1.0) for _ in range(2))
    return {
        "action": action,
        "pose": "left",
        "x": x,
        "y": y,
        "visibility": seen,
        "bbox": rng.uniform(1, 300, (max(1, T - 2), 4)),
        "dimensions": np.array([[270, 480, T]]),
        "nframes": T,
        "train": train,
    }


def write_sample(folder: Path, rng: np.random.Generator) -> Path:
    """12 clips of 1 to 9 frames; every third one tests."""
    (folder / "labels").mkdir(parents=True, exist_ok=True)
    for n in range(12):
        action = ("squat", "bowl", "golf_swing")[n % 3]
        clip = content(rng, action=action, T=int(rng.integers(1, 10)), train=-1 if n // 3 % 3 == 0 else 1)
        savemat(folder / "labels" / f"{n + 1:04d}.mat", clip, do_compression=n % 2 == 0)
    return folder
