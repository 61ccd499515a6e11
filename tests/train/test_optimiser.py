"""The optimisers of a run: Adam against its formula, what a checkpoint keeps of it, and the warm-up."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from skelbench.data import Store
from skelbench.errors import ConfigError, RunError
from skelbench.train import Step, open_run, start
from skelbench.train.config import Train
from skelbench.train.loop import learning_rate

ADAM = dict(batch=8, normalise="none", optimiser="adam", lr=0.01, weight_decay=0.0, probe_every=0, save_every=0)


def test_adam_is_adam(store: Store, tiny: type, tmp_path: Path) -> None:
    run = start(tiny, store, folder=tmp_path / "run", epochs=2, momentum=0.8, **ADAM)
    weight, grads, seen = run.method.weight, [], [run.method.weight.detach().clone()]
    weight.register_hook(lambda g: grads.append(g.double().clone()))
    for event in run:
        if isinstance(event, Step):
            seen.append(weight.detach().clone())
    assert len(grads) == 6
    w, m, v = seen[0].double(), torch.zeros_like(grads[0]), torch.zeros_like(grads[0])
    for t, g in enumerate(grads, start=1):  # Kingma & Ba 2015, algorithm 1
        m, v = 0.8 * m + 0.2 * g, 0.999 * v + 0.001 * g * g
        w = w - 0.01 * (m / (1 - 0.8**t)) / ((v / (1 - 0.999**t)).sqrt() + 1e-8)
        assert torch.allclose(w, seen[t].double(), atol=1e-6)


def test_every_adam_step_is_a_place_to_stop(store: Store, tiny: type, tmp_path: Path) -> None:
    whole = start(tiny, store, folder=tmp_path / "whole", epochs=2, **ADAM).run(progress=False)
    run = start(tiny, store, folder=tmp_path / "often", epochs=2, **ADAM)
    while not run.finished:
        for _ in run:
            break
        run.save()
        run = open_run(run.folder)
    assert (whole.folder / "metrics.jsonl").read_bytes() == (run.folder / "metrics.jsonl").read_bytes()
    assert torch.equal(whole.method.weight, run.method.weight)


def test_adams_memory_must_fit(store: Store, tiny: type, tmp_path: Path) -> None:
    run = start(tiny, store, folder=tmp_path / "run", epochs=1, **ADAM).run(steps=2, progress=False)
    weights, tensors, counters = run._state.snapshot()
    assert {k.partition("/")[0] for k in tensors} == {"draws", "exp_avg", "exp_avg_sq", "step"}
    with pytest.raises(RunError, match=r"weight.*has shape"):
        run._state.restore(weights, tensors | {"exp_avg/weight": torch.zeros(2)}, counters)


def test_the_learning_rate_rises_then_falls() -> None:
    train = Train(lr=0.1, warmup=5, drops=(90, 100))
    assert [round(learning_rate(train, e), 9) for e in (0, 1, 4, 5, 89, 90, 100)] == [0.02, 0.04, 0.1, 0.1, 0.1, 0.01, 0.001]
    assert learning_rate(Train(lr=0.1), 0) == 0.1


def test_unknown_optimiser() -> None:
    with pytest.raises(ConfigError, match=r"train\.optimiser"):
        Train(optimiser="lion")  # type: ignore[arg-type]
