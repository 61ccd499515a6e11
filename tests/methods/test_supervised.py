"""An encoder with a linear classifier, and the way labels take to it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from skelbench.data import Store
from skelbench.errors import ConfigError, DataError
from skelbench.methods.moco import encode
from skelbench.methods.supervised import Supervised
from skelbench.nets.gru import GRU
from skelbench.nets.hcn import HCN
from skelbench.skeleton.augment import Views
from skelbench.skeleton.clip import Batch, batch_of
from skelbench.skeleton.streams import motion
from skelbench.skeleton.topology import topology
from skelbench.train import Step, start

KINECT = topology("kinect_v2_25")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def build(classes: int = 3, **config: Any) -> Supervised:
    settings = {"encoder": GRU.Config(hidden=6, layers=1), "views": Views(frames=8, minimum=4)} | config
    shape: dict[str, Any] = {"topology": KINECT, "bodies": 2, "coordinates": 3, "classes": classes}
    return Supervised.build(Supervised.Config(**settings), generator=generator(), **shape)


def clips(labels: list[int]) -> Batch:
    joints = np.random.default_rng(0).normal(size=(len(labels), 12, 2, 25, 3)).astype(np.float32)
    return batch_of(joints, lengths=[12 - n % 3 for n in range(len(labels))], labels=labels)


def test_step_is_cross_entropy_of_the_view() -> None:
    method, batch = build(stream="motion", smoothing=0.3), clips([0, 1, 2, 2])
    step = method.step(batch, generator(5))
    view = method.config.views.view(batch.joints, batch.lengths, KINECT, generator(5))
    logits = method.head(method.encoder(motion(view))).detach()
    loss = 0.0
    for n in range(4):
        log = [float(v) - math.log(sum(math.exp(float(w)) for w in logits[n])) for v in logits[n]]
        loss -= sum(((c == batch.labels[n]) * 0.7 + 0.1) * log[c] for c in range(3)) / 4
    assert float(step.loss.detach()) == pytest.approx(float(loss), rel=1e-5)
    assert set(step.parts) == {"accuracy"} and step.out["query"].shape == (4, 12)


def test_features_and_logits_in_eval_mode_whatever_the_mode() -> None:
    method, batch = build().train(), clips([0, 1, 2])
    features = method.features(batch)
    expected = encode(method.encoder, batch, frames=8, name="joint", topology=KINECT)
    assert torch.equal(features, expected) and features.shape == (3, method.width) == (3, 12)
    torch.testing.assert_close(method.logits(batch), method.head(features).detach())
    assert method.training and method.encoder.training and not method.logits(batch).requires_grad


def test_any_encoder_of_the_house() -> None:
    views = Views(frames=32, minimum=8)
    method = build(encoder=HCN.Config(), views=views)
    assert isinstance(method.encoder, HCN) and method.step(clips([0, 1, 2, 0]), generator()).loss.isfinite()


def test_first_weights_come_from_the_generator_alone() -> None:
    assert all(torch.equal(a, b) for a, b in zip(build().parameters(), build().parameters(), strict=True))


def test_what_is_refused() -> None:
    with pytest.raises(DataError, match=r"clip '2' has no label \(1 of 3"):
        build().step(clips([0, 1, -1]), generator())
    with pytest.raises(ConfigError, match="at least one class"):
        build(0)
    for settings in ({"stream": "joints"}, {"smoothing": 1.0}):
        with pytest.raises(ConfigError, match=f"{next(iter(settings))}="):
            Supervised.Config(**settings)


def test_a_run_hands_labels_and_only_labelled_clips(flat: Store, runs: Path) -> None:
    unlabelled = {i for i in range(len(flat)) if flat.labels[i] < 0}
    assert len(unlabelled) == 18
    seen: set[int] = set()
    run = start("supervised", flat, "smoke", normalise="none", epochs=15, lr=0.02, probe_every=0, refit=True)
    for event in run:
        if isinstance(event, Step):
            seen |= set(event.rows)
    assert seen and not seen & unlabelled and seen <= set(run.split.train_all.tolist())
    assert np.mean(run.metrics["accuracy"][-10:]) > 0.85
    hidden = start("skeletonmae", flat, "smoke", normalise="none", probe_every=0)
    rows = {r for event in hidden if isinstance(event, Step) for r in event.rows}
    assert rows & unlabelled  # who needs no labels may see those clips
