import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from skelbench.errors import DataError
from skelbench.evaluate import logistic
from skelbench.evaluate.logistic import fit


def reference(values: torch.Tensor, labels: torch.Tensor, l2: float) -> tuple[StandardScaler, LogisticRegression]:
    scaler = StandardScaler().fit(values.double().numpy())
    model = LogisticRegression(C=1 / (len(values) * l2), tol=1e-10, max_iter=5000)
    return scaler, model.fit(scaler.transform(values.double().numpy()), labels.numpy())


@pytest.mark.parametrize(("N", "D"), [(120, 6), (30, 80)])  # the second is solved in the span of the clips
@pytest.mark.parametrize("l2", [0.3, 0.003])
def test_equals_scikit_learn(blobs, N, D, l2):
    train, test = blobs(0, N, D=D), blobs(1, 50, D=D)
    train.values[:, 1] *= 100
    train.values[:, 2] = 3.0  # constant
    fitted = fit(train.values, train.labels, l2=l2, iterations=2000, tolerance=1e-9)
    scaler, model = reference(train.values, train.labels, l2)
    wanted = model.predict_proba(scaler.transform(test.values.double().numpy()))
    np.testing.assert_allclose(fitted.logits(test.values).softmax(dim=1), wanted, atol=1e-5)
    np.testing.assert_allclose(fitted.weight, model.coef_, atol=1e-5)
    assert fitted.slope < 1e-7


def test_blocks_change_nothing(blobs, monkeypatch):
    train = blobs(0, 61)
    whole = fit(train.values, train.labels, l2=0.01, tolerance=1e-10)
    monkeypatch.setattr(logistic, "_BLOCK", 6 * 7)
    torch.testing.assert_close(fit(train.values, train.labels, l2=0.01, tolerance=1e-10).weight, whole.weight, atol=1e-8, rtol=0)


def test_a_warm_start_ends_at_the_same_place(blobs):
    for D in (6, 80):
        train = blobs(0, 50, D=D)
        cold = fit(train.values, train.labels, l2=0.01, tolerance=1e-10)
        start = fit(train.values, train.labels, l2=0.1)
        warm = fit(train.values, train.labels, l2=0.01, tolerance=1e-10, start=start)
        torch.testing.assert_close(warm.weight, cold.weight, atol=1e-7, rtol=0)


def test_directions_of_very_different_spread_take_no_longer(blobs):
    train = blobs(0, 200, D=12)
    mixed = train.values @ (torch.randn(12, 12, generator=torch.Generator().manual_seed(3)) * torch.logspace(0, -4, 12)[:, None])
    fitted = fit(mixed, train.labels, l2=0.001)
    scaler, model = reference(mixed, train.labels, 0.001)
    assert fitted.iterations < 200
    wanted = model.predict_proba(scaler.transform(mixed.double().numpy()))
    np.testing.assert_allclose(fitted.logits(mixed).softmax(dim=1), wanted, atol=2e-3)


def test_one_class_is_always_predicted(blobs):
    train = blobs(0, 40)
    alone = train.take(train.labels == 3)
    assert fit(alone.values, alone.labels, l2=0.1).predict(train.values).tolist() == [3] * 40


def test_labels_must_fit():
    with pytest.raises(DataError, match="linear fit of 4 features to 3 labels"):
        fit(torch.randn(4, 2), torch.tensor([0, 1, 1]), l2=0.1)
