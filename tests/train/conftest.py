"""A store of short clips of five joints, two classes that differ in where they stand, eight subjects; a method of one matrix."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from skelbench.data import Store, write_store
from skelbench.errors import ConfigError
from skelbench.methods.base import Method, Step
from skelbench.skeleton.clip import Clip
from skelbench.skeleton.topology import Topology

TABLE = {"name": "five", "joints": ["root", "chest", "head", "left_hand", "right_hand"], "parents": [-1, 0, 1, 1, 1]}


def clips(count: int, seed: int = 0, table: dict[str, Any] = TABLE) -> Iterator[Clip]:
    rng, topology = np.random.default_rng(seed), Topology.from_dict(table)
    for i in range(count):
        label, shape = i % 2, (12 + i % 5, 1, topology.V, 3)
        walk = rng.normal(size=shape).cumsum(axis=0) * 0.1 + rng.normal(size=(1, *shape[1:])) * 0.2 + label
        about = {"subject": i % 8, "group": i}
        yield Clip(joints=walk.astype(np.float32), topology=topology, label=label, id=f"clip{i}", about=about)


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """80 clips, half of them to test; what is left for training makes 3 steps of 8 an epoch."""
    return write_store(tmp_path_factory.mktemp("data") / "tiny", clips(80), classes=["left", "right"])


@pytest.fixture(scope="session")
def make_store(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Write another store: ``make_store(count, seed=..., table=...)``."""

    def make(count: int, **how: Any) -> Store:
        return write_store(tmp_path_factory.mktemp("data") / "other", clips(count, **how), classes=["left", "right"])

    return make


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("SKELBENCH_RUNS", str(tmp_path / "runs"))
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Tiny(Method):
    """One matrix on the mean joints; two noisy looks at a clip must agree. ``push`` is live, ``width_`` is not."""

    name: ClassVar[str] = "tiny"
    live: ClassVar[frozenset[str]] = frozenset({"push"})

    @dataclass(frozen=True, kw_only=True)
    class Config:
        width_: int = 4
        push: float = 1.0

        def __post_init__(self) -> None:
            if self.push < 0:
                raise ConfigError(f"push={self.push} must not be negative")

    def __init__(self, config: Any, inputs: int, generator: torch.Generator) -> None:
        super().__init__()
        self.config = config
        self.weight = nn.Parameter(torch.randn(inputs, config.width_, generator=generator))
        self.frozen = nn.Parameter(torch.ones(2), requires_grad=False)
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))
        self.epochs_begun: list[int] = []
        self.explode_at = -1

    @classmethod
    def build(
        cls, config: Any, *, topology: Topology, bodies: int, coordinates: int, classes: int, generator: torch.Generator
    ) -> Tiny:
        return cls(config, topology.V * bodies * coordinates, generator)

    @property
    def width(self) -> int:
        return self.config.width_

    def begin_epoch(self, epoch: int) -> None:
        self.epochs_begun.append(epoch)

    def _look(self, joints: torch.Tensor) -> torch.Tensor:
        return joints.mean(dim=2).flatten(1) @ self.weight  # (N, D)

    def step(self, batch: Any, generator: torch.Generator) -> Step:
        one, two = (self._look(batch.joints + 0.1 * torch.randn(batch.joints.shape, generator=generator)) for _ in range(2))
        loss = functional.mse_loss(one, two) + self.config.push * (one.std(dim=0) - 1).square().mean()
        if int(self.seen) == self.explode_at:
            loss = loss * float("nan")
        return Step(loss=loss, parts={"push": loss.detach() * 0.5}, out={"query": one.detach(), "key": two.detach()})

    def after_step(self, generator: torch.Generator) -> None:
        self.seen += 1

    @torch.no_grad()
    def features(self, batch: Any) -> torch.Tensor:
        return self._look(batch.joints)


@pytest.fixture(scope="session")
def tiny() -> type[Tiny]:
    return Tiny
