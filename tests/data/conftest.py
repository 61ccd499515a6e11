"""Small made-up datasets that the tests of this room share."""

import numpy as np
import pytest

from skelbench.data import write_store
from skelbench.skeleton.clip import Clip
from skelbench.skeleton.topology import Topology

TREE = Topology.from_dict(
    {
        "name": "stick",
        "joints": ["hips", "spine", "head", "left_shoulder", "right_shoulder", "left_hand", "right_hand"],
        "parents": [-1, 0, 1, 1, 1, 3, 4],
    }
)


def made_up(n=24, *, bodies=2, topology=TREE, subjects=4, classes=3, seed=0, longest=12):
    """Clips of all lengths from 1, every subject performing every class; bodies vanish in some frames."""
    rng = np.random.default_rng(seed)
    for i in range(n):
        joints = rng.normal(size=(1 + i % longest, bodies, topology.V, 3)).astype(np.float32)
        joints[1::3, bodies - 1] = 0 if bodies > 1 else joints[1::3, bodies - 1]
        about = {"subject": 1 + (i // classes) % subjects, "camera": 1 + i % 2, "setup": 1 + i // 6, "correct": i % 2}
        yield Clip(joints=joints, topology=topology, label=i % classes, id=f"clip_{i:03d}", about=about)


CLASSES = ("wave", "sit", "fall")


@pytest.fixture
def clips():
    return list(made_up())


@pytest.fixture
def store(tmp_path, clips):
    return write_store(tmp_path / "made_up", clips, classes=CLASSES)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty data home; the datasets of a test lie here."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("SKELBENCH_DATA", str(folder))
    return folder


@pytest.fixture
def make():
    return made_up


@pytest.fixture
def tree():
    return TREE


def listing(folder):
    """Every path below a folder, hidden ones too."""
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))


@pytest.fixture
def unchanged(tmp_path):
    """Call once before and once after; the test's folder must hold exactly the same paths."""
    before = []

    def check():
        now = listing(tmp_path)
        if not before:
            before.append(now)
        assert now == before[0]

    return check
