"""A small NTU RGB+D: .skeleton texts of random bodies, written value by value, independent of the package's own writer."""

from pathlib import Path

import numpy as np

BIG = 72057594037927936  # 2^56: neighbours are one number as float


def body_lines(xyz, *, id=BIG, state=2):
    """One body as lines; coordinates (25, 3)."""
    lines = [f"{id} 0 1 1 1 1 0 -0.0123 0.0456 2", "25"]
    for x, y, z in xyz:
        lines.append(f"{x:.7g} {y:.7g} {z:.7g} 250.1 200.2 900.3 500.4 0.1 -0.2 0.3 0.9 {state}")
    return lines


def text(frames, *, end="\r\n"):
    """A file from, per frame, a list of (id, (25, 3))."""
    lines = [str(len(frames))]
    for bodies in frames:
        lines.append(str(len(bodies)))
        for id, xyz in bodies:
            lines += body_lines(xyz, id=id)
    return end.join([*lines, ""]).encode()


def person(rng, frames, *, at=0.0, size=1.0):
    """(frames, 25, 3): a standing body, higher than wide, that wobbles."""
    rest = np.stack([rng.uniform(-0.25, 0.25, 25) + at, np.linspace(-0.9, 0.9, 25), 3 + rng.uniform(-0.2, 0.2, 25)], -1)
    return (
        rest + size * 0.05 * np.cumsum(rng.normal(size=(frames, 25, 3)), axis=0) / np.sqrt(np.arange(1, frames + 1))[:, None, None]
    )


def write_sample(folder: Path, rng: np.random.Generator) -> Path:
    """Twelve recordings: two actions, two subjects, three cameras; one or two bodies, some frames without any."""
    folder.mkdir(parents=True, exist_ok=True)
    for action in (1, 50):
        for subject in (1, 3):
            for camera in (1, 2, 3):
                n = int(rng.integers(14, 20))
                one, two = person(rng, n), person(rng, n, at=1.0)
                frames = [[(BIG + 1, one[t])] + ([(BIG + 2, two[t])] if action == 50 else []) for t in range(n)]
                frames[0] = []
                name = f"S001C{camera:03d}P{subject:03d}R002A{action:03d}.skeleton"
                (folder / name).write_bytes(text(frames))
    return folder
