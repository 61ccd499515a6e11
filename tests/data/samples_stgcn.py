"""A small NTU 60 in the arrays of ST-GCN, and as 2s-AGCN, ISC and HaLP keep it: centred, replayed, with numbers of frames."""

import pickle
from pathlib import Path

import numpy as np

FRAMES = 24


def names_of(side: str) -> list[str]:
    subjects = {"train": (1, 2), "val": (3, 6)}[side]
    return [f"S001C{c:03d}P{p:03d}R001A{a:03d}.skeleton" for p in subjects for c in (1, 2) for a in (1, 60)]


def array_of(number: int, rng: np.random.Generator, *, joints: int = 25, replayed: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """(N, 3, 24, V, 2) and the number of frames; every second clip has one body."""
    data = np.zeros((number, 3, FRAMES, joints, 2), np.float32)
    lengths = rng.integers(2, FRAMES - 4, size=number)
    for n, T in enumerate(lengths):
        data[n, :, :T] = rng.normal(size=(3, T, joints, 2))
        data[n, ..., 1] *= n % 2
        if replayed:
            data[n, :, :T] -= data[n, :, :T, 1:2, :1] * (data[n, :, :T] != 0)
            data[n] = data[n][:, np.arange(FRAMES) % T]
    return data, lengths


def write_sides(folder: Path, rng: np.random.Generator, *, replayed: bool, lengths: bool = True) -> dict[str, np.ndarray]:
    """Both sides of one split."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {}
    for side in ("train", "val"):
        names = names_of(side)
        data, frames = array_of(len(names), rng, replayed=replayed)
        np.save(folder / f"{side}_data{'_joint' if replayed else ''}.npy", data)
        (folder / f"{side}_label.pkl").write_bytes(pickle.dumps((names, [int(n[17:20]) - 1 for n in names])))
        if replayed and lengths:
            np.save(folder / f"{side}_num_frame.npy", frames)
        arrays |= {side: data, f"{side}_frames": frames}
    return arrays


def write_sample(folder: Path, rng: np.random.Generator) -> Path:
    """16 clips, as HaLP has them."""
    write_sides(folder / "xsub", rng, replayed=True)
    return folder
