"""A small UI-PRMD, Kinect part: two movements, two subjects, one repetition done badly; random bones and angles."""

from pathlib import Path

import numpy as np


def rows(values: np.ndarray) -> str:
    return "".join(",".join(f"{v:.6f}" for v in row) + "\n" for row in values)


def write_take(folder: Path, name: str, positions: np.ndarray, angles: np.ndarray, *, badly: bool = False) -> None:
    """Two files of one repetition; both arrays (T, 66)."""
    end = "_inc" if badly else ""
    (folder / f"{name}_positions{end}.txt").write_text(rows(positions))
    (folder / f"{name}_angles{end}.txt").write_text(rows(angles))


def write_sample(folder: Path, rng: np.random.Generator) -> Path:
    """Five repetitions of 1 to 9 frames."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, badly in (("m01_s01_e01", 0), ("m01_s01_e02", 0), ("m01_s02_e01", 0), ("m04_s01_e01", 0), ("m01_s02_e01", 1)):
        T = int(rng.integers(1, 10))
        write_take(folder, name, 20 * rng.normal(size=(T, 66)), 180 * rng.normal(size=(T, 66)), badly=bool(badly))
    return folder
