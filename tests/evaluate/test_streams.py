"""Every stream alone and their sums from one run, against scores asked for one by one."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from skelbench.data.splits import make_split
from skelbench.errors import ConfigError
from skelbench.evaluate import OwnClassifier, Streams, Trial, evaluate, run_protocol
from skelbench.methods import method
from skelbench.methods.psumnet import PSUMNet
from skelbench.methods.supervised import Supervised
from skelbench.nets.ctrgcn import CTRGCN
from skelbench.skeleton.clip import batch_of


def build(store, **edits):
    small = {n: CTRGCN.Config(channels=(4,)) for n in ("body", "hand", "leg")}
    config = PSUMNet.Config(**{**small, "frames": 8, "minimum": 4, **edits})
    shape = {"topology": store.topology, "bodies": store.bodies, "coordinates": store.coordinates, "classes": len(store.classes)}
    made = PSUMNet.build(config, generator=torch.Generator().manual_seed(0), **shape)
    return made.train()


@pytest.fixture
def trial(store):
    weights = PSUMNet.Weights(body=2.0, hand=0.5, leg=1.5)
    made = build(store, weights=weights)
    return Trial(method=made, store=store, split=make_split(store, "cross_subject"), preset="none", batch_size=7)


def asked(trial, rows):
    """Stream -> logits of these rows, clip by clip."""
    found = {}
    for row in np.sort(rows):
        clip = trial.store[int(row)]
        batch = batch_of(clip.joints[None])
        for name, logits in trial.method.stream_logits(batch).items():
            found.setdefault(name, []).append(logits[0])
    return {name: torch.stack(each) for name, each in found.items()}


def test_rows_of_every_stream_and_of_their_sums(trial):
    found = run_protocol(Streams(), trial)
    each = asked(trial, trial.split.test)
    labels = torch.from_numpy(trial.store.labels[np.sort(trial.split.test)].astype(np.int64))
    known = labels >= 0

    def share(logits):
        return float((logits[known].argmax(1) == labels[known]).double().mean())

    names = [m.protocol.removeprefix("classifier: ") for m in found.measures]
    assert names == ["body", "hand", "leg", "sum, as set", "sum, equal", "sum, chosen"]
    rows = dict(zip(names, found.measures, strict=True))
    for name, logits in each.items():
        torch.testing.assert_close(found.streams[name].logits, logits[known], rtol=1e-4, atol=1e-4)
        assert rows[name].accuracy == share(logits)
    assert rows["sum, as set"].accuracy == share(2.0 * each["body"] + 0.5 * each["hand"] + 1.5 * each["leg"])
    assert rows["sum, as set"].accuracy == run_protocol(OwnClassifier(), trial).accuracy
    assert rows["sum, equal"].accuracy == share(sum(each.values()))


def test_weights_are_chosen_by_validation_alone(trial):
    found = run_protocol(Streams(), trial).fused["chosen"]
    weights = found.chosen["weights"]
    held = asked(trial, trial.split.validation)
    labels = torch.from_numpy(trial.store.labels[np.sort(trial.split.validation)].astype(np.int64))
    known = labels >= 0

    def right(weights):
        total = sum(w * held[name][known].double() for name, w in weights.items())
        return float((total.argmax(1) == labels[known]).double().mean())

    grid = [dict(zip(held, (a / 10, b / 10, (10 - a - b) / 10), strict=True)) for a in range(11) for b in range(11 - a)]
    assert right(weights) == pytest.approx(max(map(right, grid))) == pytest.approx(found.chosen["validation accuracy"])
    assert "chosen" not in run_protocol(Streams(), replace(trial, refit=True)).fused


def test_a_run_with_refit_says_so(trial):
    train = SimpleNamespace(normalise="none", seed=0, refit=True)
    run = SimpleNamespace(method=trial.method, store=trial.store, split=trial.split, config=SimpleNamespace(train=train))
    rows = [r.protocol for r in evaluate(run, protocols=[Streams()])]
    assert rows[-1] == "classifier: sum, equal"
    train.refit = False
    assert [r.protocol for r in evaluate(run, protocols=[Streams()])][-1] == "classifier: sum, chosen"


def test_one_stream_has_nothing_to_add_up(trial):
    alone = run_protocol(Streams(), replace(trial, method=build(trial.store, streams=("leg",))))
    assert [m.protocol for m in alone.measures] == ["classifier: leg"] and not alone.fused


def test_methods_without_streams_are_refused(trial):
    shape = {"topology": trial.store.topology, "bodies": trial.store.bodies, "coordinates": 3, "classes": 2}
    other = method("supervised").build(Supervised.Config(), generator=torch.Generator(), **shape)
    with pytest.raises(ConfigError, match=r"'supervised' has no streams .* take the protocol 'classifier'"):
        run_protocol(Streams(), replace(trial, method=other))
