import math

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, confusion_matrix

from skelbench.errors import DataError
from skelbench.evaluate.score import Score


def score(labels, predictions, classes=("wave", "<script>", "never seen")):
    return Score(
        protocol="linear & co",
        classes=classes,
        labels=torch.tensor(labels),
        predictions=torch.tensor(predictions),
        rows=torch.arange(len(labels)),
        chosen={"l2": "<0.1>"},
    )


def test_numbers_equal_scikit_learn():
    rng = np.random.default_rng(0)
    labels, predictions = rng.integers(0, 5, 200), rng.integers(0, 5, 200)
    found = score(labels.tolist(), predictions.tolist(), classes=tuple("abcde"))
    np.testing.assert_array_equal(found.confusion, confusion_matrix(labels, predictions))
    assert found.mean_class == pytest.approx(balanced_accuracy_score(labels, predictions))
    assert found.accuracy == pytest.approx((labels == predictions).mean())
    assert found.n == 200


def test_classes_without_test_clips_do_not_count():
    found = score([0, 0, 0, 1], [0, 0, 1, 1])
    assert found.per_class[:2].tolist() == pytest.approx([2 / 3, 1.0])
    assert math.isnan(found.per_class[2])
    assert found.mean_class == pytest.approx(5 / 6)
    assert found.accuracy == 0.75


def test_most_frequent_mistakes_come_first():
    found = score([0, 0, 1, 1, 1, 2], [1, 0, 2, 2, 1, 2])
    assert found.confused() == [("<script>", "never seen", 2), ("wave", "<script>", 1)]
    assert found.confused(1) == [("<script>", "never seen", 2)]


def test_html_escapes_every_name():
    page = score([0, 0, 1, 1], [1, 0, 1, 0])._repr_html_()
    assert "<script>" not in page and "&lt;script&gt;" in page
    assert "&lt;0.1&gt;" in page and "linear &amp; co" in page
    assert "never seen" not in page
    assert "50.0 % of 4 clips" in page


def test_nothing_to_score_is_refused():
    with pytest.raises(DataError, match="predictions"):
        score([], [])
    with pytest.raises(DataError, match=r"\(1,\) predictions for \(2,\)"):
        score([0, 1], [0])
