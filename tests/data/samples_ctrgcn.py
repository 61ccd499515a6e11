"""A small archive of CTR-GCN: NTU 60, cross subject, rows in the order of CTR-GCN, with the list of names it was made from."""

from pathlib import Path

import numpy as np

TRAIN_SUBJECTS = (1, 2, 8)
OTHERS = (3, 6, 40)


def names_of(rng: np.random.Generator, number: int = 12) -> list[str]:
    """Clip names in no particular order, half of the training subjects."""
    names = []
    for n in range(number):
        person = (TRAIN_SUBJECTS, OTHERS)[n % 2][int(rng.integers(3))]
        names.append(f"S{1 + n % 3:03d}C{1 + n // 3 % 3:03d}P{person:03d}R{1 + n % 2:03d}A{1 + 5 * n % 60:03d}")
    return names


def rows_of(names: list[str], rng: np.random.Generator, *, frames: int = 20, copies: bool = False) -> np.ndarray:
    """(N, frames, 150): zeros at the end, origin at the spine of the first body in frame 0, every second clip with two bodies."""
    rows = np.zeros((len(names), frames, 2, 25, 3), np.float32)
    for n, row in enumerate(rows):
        T = int(rng.integers(1, frames + 1))
        row[:T] = rng.normal(size=(T, 2, 25, 3))
        row[:T] -= row[0, 0, 1]
        if n % 2 == 0:
            row[:, 1] = row[:, 0] if copies else 0
    return rows.reshape(len(names), frames, 150)


def write_archive(path: Path, rng: np.random.Generator, **options: bool) -> tuple[list[str], dict[str, np.ndarray]]:
    """The archive; hands over the names in the order of the list, and the arrays."""
    names = names_of(rng)
    person = {n: int(n[9:12]) for n in names}
    arrays = {}
    for part, people in (("train", TRAIN_SUBJECTS), ("test", OTHERS)):
        order = [n for p in people for n in names if person[n] == p]  # ids ascending, then as in the list
        arrays[f"x_{part}"] = rows_of(order, rng, **options)
        arrays[f"y_{part}"] = np.eye(60)[[int(n[-3:]) - 1 for n in order]]
        arrays[f"ids_{part}"] = np.array(order)
    np.savez_compressed(path, **{k: v for k, v in arrays.items() if k[0] in "xy"})
    return names, arrays


def write_sample(folder: Path, rng: np.random.Generator) -> Path:
    """12 clips of 1 to 20 frames."""
    folder.mkdir(parents=True, exist_ok=True)
    write_archive(folder / "NTU60_CS.npz", rng)
    return folder
