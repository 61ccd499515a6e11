"""People found in pictures: which of them are kept, in which frame they stand, and what their coordinates are.

Joints are (x, y, score); the score comes last and is no coordinate. A joint of score 0 was not seen: its x and y are zero, too.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from skelbench.data.formats.source import own_or_given
from skelbench.errors import DataError
from skelbench.skeleton.topology import Topology

UNITS = {"image": "share of the picture's width and height", "pixel": "pixel", "metre": "metre"}
SPARE, GAPS = 1000, 20  # a recording may be this many frames, or this many times, longer than what is listed of it


def with_dims(layout: Topology, dims: int, units: str) -> Topology:
    """The layout with another number of coordinates; itself where they agree."""
    return layout if layout.dims == dims else dataclasses.replace(layout, dims=dims, units=UNITS.get(units, units))


def layout_of(path: Path, full: Topology, topology: Topology | None, *, dims: int, units: str) -> tuple[Topology, list[int]]:
    """The layout of an import with ``dims`` coordinates, and where its joints stand among those of ``full``.

    Raises:
        DataError: the topology given has a joint that ``full`` lacks.
    """
    layout, keep = own_or_given(path, full.joints, full.parents, topology, str(path))
    return with_dims(layout, dims, units), keep


def units_of(values: np.ndarray) -> str:
    """``image`` for positions that are shares of the picture, else ``pixel``; a guess by their size, to be written down."""
    return "image" if not values.size or float(np.abs(values).max()) <= 2 else "pixel"


def frame_count(numbers: np.ndarray, where: str) -> tuple[int, int]:
    """(first number, frames T) of a recording of which the frames with these numbers are listed; the others hold nobody.

    Raises:
        DataError: a number below zero, or numbers so far apart that they cannot be one recording.
    """
    first, last = int(numbers.min()), int(numbers.max())
    T = last - first + 1
    most = SPARE + GAPS * len(np.unique(numbers))
    if first < 0 or T > most:
        raise DataError(
            f"{where}: frames {first} to {last}, but only {len(np.unique(numbers))} of them are listed; wanted the frame numbers"
            " of one recording, from 0 or 1 up"
        )
    return first, T


def by_score(at: np.ndarray, people: np.ndarray, scores: np.ndarray, *, T: int, bodies: int) -> np.ndarray:
    """In every frame the ``bodies`` people of highest score, best first: (T, bodies, V, C).

    Args:
        at: (R,) frame of each person found.
        people: (R, V, C) its joints.
        scores: (R,) its score; equal ones keep their order.
        T: frames.
        bodies: M.
    """
    order = np.lexsort((np.arange(len(at)), -scores, at))
    sorted_at = at[order]
    rank = np.arange(len(at)) - np.searchsorted(sorted_at, sorted_at)  # within the frame
    kept = order[rank < bodies]
    joints = np.zeros((T, bodies, *people.shape[1:]), people.dtype)
    joints[at[kept], rank[rank < bodies]] = people[kept]
    return joints


def by_track(at: np.ndarray, people: np.ndarray, scores: np.ndarray, tracks: Sequence[int], *, T: int, bodies: int) -> np.ndarray:
    """Tracked people keep their slot: (T, bodies, V, C).

    Tracks are taken by their summed score; each goes into the first slot that is free in all its frames, else it is dropped. Of a
    track that stands twice in a frame, the better one counts. Arguments as in :func:`by_score`, with the track of each person.
    """
    joints = np.zeros((T, bodies, *people.shape[1:]), people.dtype)
    taken = np.zeros((bodies, T), bool)
    _, track = np.unique(np.asarray(tracks), return_inverse=True)
    order = np.argsort(scores, kind="stable")  # the better one is written last
    for k in np.argsort(-np.bincount(track, weights=scores), kind="stable"):
        rows = order[track[order] == k]
        free = np.flatnonzero(~taken[:, at[rows]].any(axis=1))
        if len(free):
            joints[at[rows], free[0]] = people[rows]
            taken[free[0], at[rows]] = True
    return joints


def unseen(people: np.ndarray) -> np.ndarray:
    """The same people (R, V, 3) with x and y zero where the score is not above zero, and no score below zero."""
    return np.where(people[..., -1:] > 0, people, 0)
