"""A small store and a method whose features are known, for every protocol test."""

from __future__ import annotations

import weakref
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from skelbench.data.splits import Split
from skelbench.data.store import write_store
from skelbench.evaluate.features import Features
from skelbench.evaluate.trial import Trial
from skelbench.methods.base import Method
from skelbench.methods.floors import RandomEncoder
from skelbench.nets.gru import GRU
from skelbench.skeleton.clip import Clip
from skelbench.skeleton.topology import topology


class Mean(Method):
    """Feature = mean coordinate of every joint over time and bodies; remembers how large its batches were."""

    name = "mean"

    def __init__(self, width: int = 75) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(()))
        self._width = width
        self.batches: list[int] = []
        self.modes: list[bool] = []

    @property
    def width(self):
        return self._width

    def features(self, batch):
        self.batches.append(len(batch))
        self.modes.append(self.training)
        frames = batch.lengths[:, None, None].float()
        return self.scale * (batch.joints.sum(dim=(2, 4)) / frames).flatten(1)


@pytest.fixture(scope="session")
def make_method():
    return Mean


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    """24 clips, 3 classes, 4 subjects, lengths 5 to 12; a class is an offset of one joint's neighbourhood."""
    rng = np.random.default_rng(0)
    layout = topology("kinect_v2_25")
    clips = []
    for i in range(24):
        label, subject = i % 3, (i // 3) % 4
        joints = rng.normal(size=(5 + i % 8, 2, 25, 3)).astype(np.float32)
        joints[:, :, 4 * label : 4 * label + 4] += 1.5
        clips.append(Clip(joints=joints, topology=layout, label=label, id=f"clip{i:02d}", about={"subject": subject}))
    return write_store(tmp_path_factory.mktemp("store") / "tiny", clips, classes=["wave", "sit <b>", "jump"])


@pytest.fixture(scope="session")
def split(store):
    subject = store.index["subject"]
    parts = {"train": (0, 1), "validation": (2,), "test": (3,)}
    return Split(name="cross_subject", by="subject", **{k: np.flatnonzero(np.isin(subject, v)) for k, v in parts.items()})


@pytest.fixture(scope="session")
def small(store):
    """A small untrained GRU: ``small(seed)``."""

    def make(seed: int = 0, *, frames: int = 8) -> RandomEncoder:
        config = RandomEncoder.Config(encoder=GRU.Config(hidden=6, layers=1), frames=frames)
        shape = {"topology": store.topology, "bodies": 2, "coordinates": 3, "classes": 3}
        return RandomEncoder.build(config, **shape, generator=torch.Generator().manual_seed(seed))

    return make


@pytest.fixture
def trial(store, split, small) -> Trial:
    return Trial(method=small(), store=store, split=split, preset="none")


@pytest.fixture(scope="session")
def blobs():
    """Features of Gaussian blobs: ``blobs(seed, N, subjects=...)``, S = 4 classes, D = 6."""

    def make(seed: int, N: int, *, subjects: int = 4, D: int = 6, first: int = 0, spread: float = 1.0) -> Features:
        g = torch.Generator().manual_seed(seed)
        centres = 1.2 * torch.randn(4, D, generator=torch.Generator().manual_seed(99))
        labels = torch.arange(N) % 4
        values = centres[labels] + spread * torch.randn(N, D, generator=g)
        return Features(
            values=values,
            labels=labels,
            rows=first + torch.arange(N),
            subjects=torch.arange(N) % subjects,
            ids=tuple(f"c{first + i}" for i in range(N)),
            classes=("a", "b", "c", "d"),
        )

    return make


class Peak(TorchDispatchMode):
    """The most bytes that tensors made inside it held at one time."""

    def __init__(self) -> None:
        super().__init__()
        self.held, self.most, self._storages = 0, 0, set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        inputs = {t.untyped_storage().data_ptr() for t in tree_leaves((args, kwargs or {})) if isinstance(t, torch.Tensor)}
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                place, size = storage.data_ptr(), storage.nbytes()
                if place in inputs or place in self._storages:
                    continue
                self._storages.add(place)
                self.held += size
                self.most = max(self.most, self.held)
                weakref.finalize(storage, self._let_go, place, size)
        return out

    def _let_go(self, place, size):
        if place in self._storages:
            self._storages.discard(place)
            self.held -= size


def peak_bytes(call: Callable[[], object]) -> int:
    """The most bytes that tensors made by a call held at one time."""
    with Peak() as seen:
        call()
    return seen.most


@pytest.fixture(scope="session")
def peak() -> Callable[[Callable[[], object]], int]:
    return peak_bytes
