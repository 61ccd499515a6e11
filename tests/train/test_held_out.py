"""What a supervised run looks at on held-out subjects, and what it does about it."""

import pytest
import torch

from skelbench.errors import ConfigError
from skelbench.nets.gru import GRU
from skelbench.train import open_run, presets, start
from skelbench.train.held_out import HeldOut


@pytest.mark.parametrize("patience", [1, 3])
def test_the_factor_is_that_of_reduce_on_plateau(patience):
    losses = (2 + torch.randn(40, generator=torch.Generator().manual_seed(patience)).cumsum(0).abs() * 0.1).tolist()
    p = torch.nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.SGD([p], lr=1.0)
    rule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimiser, factor=0.5, patience=patience, threshold=1e-4)
    seen = HeldOut()
    for epoch, loss in enumerate(losses):
        rule.step(loss)
        seen.see(epoch, loss, 0.0, patience=patience, method=None)
        assert seen.factor == optimiser.param_groups[0]["lr"], epoch
    assert seen.factor < 1


def test_counters_come_back():
    seen = HeldOut()
    assert HeldOut.of(seen.counters(), {}) == seen
    seen.see(0, 1.0, 0.5, patience=1, method=None)
    seen.see(1, 2.0, 0.4, patience=1, method=None)
    assert HeldOut.of(seen.counters(), {}) == seen and (seen.epoch, seen.waited) == (0, 1)


def settings(store, **edits):
    config = presets("supervised", "smoke", data=str(store.path))
    return config.edit({"encoder": GRU.Config(hidden=4, layers=1), "normalise": "none", "probe_every": 0, "lr": 2.0, **edits})


def test_a_run_ends_with_the_best_epoch_and_resumes_the_same(store, tmp_path):
    config = settings(store, epochs=6, patience=1, select=True)
    run = start(config, store, folder=tmp_path / "whole")
    looks, kept = [], []
    for event in run:
        if type(event).__name__ == "Epoch":
            looks.append(event.held_out)
            kept.append({k: v.clone() for k, v in run.method.state_dict().items()})
    best = max(range(6), key=lambda e: (looks[e]["accuracy"], -e))
    wanted = kept[best] if best < 5 else kept[-1]
    for key, value in run.method.state_dict().items():
        assert torch.equal(value, wanted[key]), key
    first = start(config, store, folder=tmp_path / "parts")
    for event in first:
        if type(event).__name__ == "Saved" and event.epoch == 2:
            break
    first.stop()
    again = open_run(tmp_path / "parts")
    again.run(progress=False)
    for key, value in again.method.state_dict().items():
        assert torch.equal(value, wanted[key]), key


def test_it_asks_for_labels_and_validation(store):
    with pytest.raises(ConfigError, match="need a method with labels"):
        start(presets("moco", "smoke").edit(patience=2, normalise="none"), store)
    with pytest.raises(ConfigError, match="refit trains on them"):
        start(settings(store, select=True, refit=True), store)
    with pytest.raises(ConfigError, match="SGD with momentum"):
        settings(store, nesterov=True, optimiser="adam")
