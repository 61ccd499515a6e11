"""Forward kinematics of motion files: rotations from Euler angles and points down the chain, all frames at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from skelbench.errors import DataError

BODY = (0.5, 2.5)  # metres from the root to the farthest tip that a person may have


def rotation(axis: str, degrees: np.ndarray) -> np.ndarray:
    """Right-handed rotation about one coordinate axis: degrees (T,) -> (T, 3, 3)."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn = np.zeros((*np.shape(degrees), 3, 3))
    i = "xyz".index(axis)
    j, k = (i + 1) % 3, (i + 2) % 3
    turn[..., i, i] = 1
    turn[..., j, j], turn[..., j, k] = c, -s
    turn[..., k, j], turn[..., k, k] = s, c
    return turn


def product(axes: Sequence[str], degrees: np.ndarray) -> np.ndarray:
    """Elementary rotations multiplied in the order given, the first one leftmost: degrees (T, len(axes)) -> (T, 3, 3)."""
    turn = np.broadcast_to(np.eye(3), (len(degrees), 3, 3))
    for n, axis in enumerate(axes):
        turn = turn @ rotation(axis, degrees[:, n])
    return turn


def reach(parents: Sequence[int], offsets: np.ndarray) -> float:
    """Length of the longest chain from the root to a tip. Parents stand before their children; offsets (V, 3)."""
    lengths = np.zeros(len(parents))
    for j, p in enumerate(parents):
        lengths[j] = 0.0 if p < 0 else lengths[p] + np.linalg.norm(offsets[j])
    return float(lengths.max())


def check_size(metres: float, where: str) -> None:
    """Refuse a skeleton that is no person's, which means that the unit was misread.

    Raises:
        DataError: the reach is outside 0.5 to 2.5 m.
    """
    if not BODY[0] <= metres <= BODY[1]:
        raise DataError(
            f"{where}: from root to farthest tip this skeleton would measure {metres:.3g} m, which is no person;"
            " pass scale= (metres for one unit of the file)"
        )
