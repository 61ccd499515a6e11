import dataclasses

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from skelbench.errors import ConfigError
from skelbench.evaluate.linear import Linear, PaperLinear


def reference(values: torch.Tensor, labels: torch.Tensor, l2: float) -> tuple[StandardScaler, LogisticRegression]:
    scaler = StandardScaler().fit(values.double().numpy())
    model = LogisticRegression(C=1 / (len(values) * l2), tol=1e-10, max_iter=5000)
    return scaler, model.fit(scaler.transform(values.double().numpy()), labels.numpy())


def test_a_class_without_training_clips_is_never_predicted(blobs):
    train, test = blobs(0, 80), blobs(1, 40, first=80)
    train = train.take(train.labels != 2)
    score = Linear().run(train, test)
    assert 2 not in score.predictions.tolist()
    assert score.per_class[2] == 0


def test_the_test_set_chooses_nothing(blobs):
    train, validation, test = blobs(0, 60), blobs(1, 20, first=60), blobs(2, 40, first=80)
    g = torch.Generator().manual_seed(5)
    other = dataclasses.replace(test, labels=test.labels[torch.randperm(40, generator=g)])
    for protocol in (Linear(), PaperLinear(epochs=3)):
        a, b = (protocol.run(train, t, validation=validation) for t in (test, other))
        assert torch.equal(a.predictions, b.predictions)
        assert a.chosen == b.chosen
        assert a.accuracy != b.accuracy


def test_l2_is_chosen_on_validation_and_refitted_on_both(blobs):
    train, validation, test = blobs(0, 24, spread=2.0), blobs(1, 60, first=24, spread=2.0), blobs(2, 80, first=90, spread=2.0)
    protocol = Linear(grid=(10.0, 1.0, 0.1, 0.01, 0.0001))
    accuracy = []
    for l2 in protocol.grid:
        scaler, model = reference(train.values, train.labels, l2)
        accuracy.append(model.score(scaler.transform(validation.values.double().numpy()), validation.labels.numpy()))
    score = protocol.run(train, test, validation=validation)
    assert score.chosen["l2"] == protocol.grid[int(np.argmax(accuracy))]  # argmax takes the first: the strongest of equals
    assert score.chosen["validation accuracy"] == max(accuracy)
    both = train.join(validation)
    scaler, model = reference(both.values, both.labels, score.chosen["l2"])
    assert score.predictions.tolist() == model.predict(scaler.transform(test.values.double().numpy())).tolist()


def test_without_validation_every_fifth_training_subject_is_held_out(blobs, monkeypatch):
    train, test = blobs(0, 60, subjects=6), blobs(1, 20, first=60)
    seen = []
    real = Linear._choose
    monkeypatch.setattr(Linear, "_choose", lambda self, a, b: seen.append((a, b)) or real(self, a, b))
    score = Linear().run(train, test)
    (fitted, held) = seen[0]
    assert set(held.subjects.tolist()) == {0, 5}
    assert set(fitted.subjects.tolist()) == {1, 2, 3, 4}
    assert score.chosen["by"] == "every fifth training subject"
    alone = Linear().run(blobs(0, 60, subjects=1), test)
    assert len(seen) == 1
    assert alone.chosen["l2"] == Linear().grid[2] and "nobody" in alone.chosen["by"]


def test_paper_linear_is_sgd_by_hand(blobs):
    train, test = blobs(0, 40), blobs(1, 20, first=40)
    protocol = PaperLinear(lr=0.05, batch=16, epochs=6, drops=(3, 5), seed=3)
    score = protocol.run(train, test)
    g = torch.Generator().manual_seed(3)
    W = (0.01 * torch.randn(4, 6, generator=g)).double()
    b, vW, vb = torch.zeros(4).double(), torch.zeros(4, 6).double(), torch.zeros(4).double()
    x, y = train.values.double(), torch.eye(4).double()[train.labels]
    lr = 0.05
    for epoch in range(6):
        lr = 0.05 * 0.1 ** sum(epoch >= d for d in (3, 5))
        for at in torch.randperm(40, generator=g).split(16):
            error = ((x[at] @ W.T + b).softmax(dim=1) - y[at]) / len(at)
            vW, vb = 0.9 * vW + error.T @ x[at], 0.9 * vb + error.sum(dim=0)
            W, b = W - lr * vW, b - lr * vb
    assert score.predictions.tolist() == (test.values.double() @ W.T + b).argmax(dim=1).tolist()
    assert set(protocol.differs) == {"crops", "selection"}


def test_same_seed_same_answer_and_no_global_draws(blobs):
    train, test = blobs(0, 40), blobs(1, 20, first=40)
    before = torch.random.get_rng_state()
    a, b = (PaperLinear(epochs=2).run(train, test).predictions for _ in range(2))
    Linear().run(train, test)
    assert torch.equal(a, b)
    assert torch.equal(before, torch.random.get_rng_state())


def test_settings_are_checked(blobs):
    for grid in ((), (0.1, 1.0), (0.0,)):
        with pytest.raises(ConfigError, match="strongest first"):
            Linear(grid=grid)
    with pytest.raises(ConfigError, match="epochs >= 1"):
        PaperLinear(epochs=0)
