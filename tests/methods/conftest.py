"""A small flat store: two classes that differ in where people stand, six subjects, every fifth clip without a label."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from skelbench.data import Store, write_store
from skelbench.skeleton.clip import Clip
from skelbench.skeleton.topology import topology


@pytest.fixture(scope="session")
def flat(tmp_path_factory: pytest.TempPathFactory) -> Store:
    layout = topology("coco_17")

    def made() -> Iterator[Clip]:
        rng = np.random.default_rng(0)
        for i in range(90):
            kind = i % 2
            walk = rng.normal(size=(12 + i % 5, 2, 17, 2)).cumsum(axis=0) * 0.05 + rng.normal(size=(1, 2, 17, 2)) * 0.3 + kind
            walk[:, 1] *= i % 3 == 0
            label = -1 if i % 5 == 4 else kind
            yield Clip(
                joints=walk.astype(np.float32), topology=layout, label=label, id=f"c{i}", about={"subject": i % 6, "group": i}
            )

    return write_store(tmp_path_factory.mktemp("data") / "flat", made(), classes=["left", "right"])


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the runs of a test are kept."""
    monkeypatch.setenv("SKELBENCH_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"
