"""NTU 60 as far as its file names go, for tests of splits: stores of one-frame, one-joint clips."""

import numpy as np

from skelbench.skeleton.clip import Clip
from skelbench.skeleton.topology import Topology

DOT = Topology.from_dict({"name": "dot", "joints": ["a"], "parents": [-1]})


def clips_of(rows):
    """One-frame clips: rows are (id, label, about)."""
    for id, label, about in rows:
        yield Clip(joints=np.ones((1, 1, 1, 3), np.float32), topology=DOT, label=label, id=id, about=about)


def ntu_about(name):
    setup, camera, subject, replication, action = (int(name[i : i + 3]) for i in (1, 5, 9, 13, 17))
    return action - 1, {"subject": subject, "camera": camera, "setup": setup, "replication": replication}


def ntu60_names():
    """All 56,880 names: the (setup, subject) pairs recorded, 3 cameras, 2 replications, 60 actions."""
    pairs = [(s, p) for s, subjects in enumerate(RECORDED, 1) for p in subjects]
    each = [(s, c, p, r) for s, p in pairs for c in (1, 2, 3) for r in (1, 2)]
    return [f"S{s:03d}C{c:03d}P{p:03d}R{r:03d}A{a:03d}" for s, c, p, r in each for a in range(1, 61)]


RECORDED = (  # subjects in the setups S001..S017
    [1, 2, 3, 4, 5, 6, 7, 8],
    [3, 7, 8, 9, 10, 11, 12, 13, 14],
    [1, 2, 7, 8, 15, 16, 17, 18, 19],
    [3, 7, 8, 20],
    [4, 10, 13, 15, 16, 17, 18, 21],
    [1, 7, 8, 15, 16, 17, 19, 22, 23, 24],
    [1, 7, 8, 15, 16, 17, 18, 19, 25, 26, 27, 28],
    [1, 7, 8, 15, 19, 25, 29, 30, 31, 32, 33, 34, 35, 36],
    [7, 8, 15, 16, 17, 19, 25],
    [7, 8, 13, 15, 16, 17, 18, 19, 21, 25],
    [1, 2, 7, 8, 15, 16, 17, 18, 19, 25, 27, 28, 38],
    [7, 8, 15, 16, 17, 18, 19, 25, 27, 28, 37],
    [7, 8, 15, 16, 17, 18, 19, 25, 27, 28, 37],
    [7, 8, 15, 17, 19, 25, 27, 37, 39],
    [7, 8, 15, 16, 17, 19, 25, 37],
    [7, 8, 19, 21, 25, 39, 40],
    [3, 7, 8, 9, 15, 16, 17, 20],
)
