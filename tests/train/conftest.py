"""A store of 48 short clips of five joints, two classes that differ in where the second body stands, six subjects."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from skelbench.data import Store, write_store
from skelbench.skeleton.clip import Clip
from skelbench.skeleton.topology import Topology

TOPOLOGY = Topology.from_dict(
    {"name": "five", "joints": ["root", "chest", "head", "left_hand", "right_hand"], "parents": [-1, 0, 1, 1, 1]}
)


def clips(count: int = 48, seed: int = 0) -> Iterator[Clip]:
    rng = np.random.default_rng(seed)
    for i in range(count):
        label = i % 2
        walk = rng.normal(size=(12 + i % 5, 2, 5, 3)).cumsum(axis=0) * 0.1 + rng.normal(size=(1, 1, 5, 3)) * 0.2 + label
        about = {"subject": i % 6, "group": i}
        yield Clip(joints=walk.astype(np.float32), topology=TOPOLOGY, label=label, id=f"clip{i}", about=about)


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return write_store(tmp_path_factory.mktemp("data") / "tiny", clips(), classes=["left", "right"])


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("SKELBENCH_RUNS", str(tmp_path / "runs"))
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
