import numpy as np
import pytest
import torch

from skelbench.errors import DataError, RunError
from skelbench.evaluate.features import Features, extract


def test_rows_come_sorted_with_everything_that_belongs_to_them(store, make_method):
    method = make_method()
    found = extract(method, store, [7, 3, 20, 11], preset="none", batch_size=3)
    assert found.rows.tolist() == [3, 7, 11, 20]
    assert found.ids == ("clip03", "clip07", "clip11", "clip20")
    assert found.labels.tolist() == [3 % 3, 7 % 3, 11 % 3, 20 % 3]
    assert found.subjects.tolist() == [store.index["subject"][r] for r in (3, 7, 11, 20)]
    assert found.classes == store.classes
    for at, row in enumerate(found.rows.tolist()):
        wanted = store[row].joints.astype(np.float64).sum(axis=(0, 1)) / len(store[row])  # (V, C)
        np.testing.assert_allclose(found.values[at].reshape(3, 25).T, wanted, atol=1e-5)


def test_batches_stay_small_and_the_mode_comes_back(store, make_method):
    method = make_method().train()
    extract(method, store, batch_size=7)
    assert method.batches == [7, 7, 7, 3]
    assert method.modes == [False] * 4
    assert method.training


@pytest.mark.parametrize("batch_size", [1, 5, 24, 100])
def test_batch_size_changes_nothing(store, make_method, batch_size):
    torch.testing.assert_close(extract(make_method(), store, batch_size=batch_size).values, extract(make_method(), store).values)


def test_no_rows_is_an_empty_set_of_the_right_width(store, make_method):
    found = extract(make_method(), store, [])
    assert found.values.shape == (0, 75)
    assert found.ids == ()


def test_what_it_refuses(store, make_method):
    with pytest.raises(DataError, match="twice"):
        extract(make_method(), store, [1, 1])
    with pytest.raises(DataError, match="store of 24"):
        extract(make_method(), store, [24])
    with pytest.raises(RunError, match=r"promised features \(24, 5\)"):
        extract(make_method(width=5), store)
    broken = make_method()
    broken.scale.data.fill_(float("nan"))
    with pytest.raises(RunError, match="'clip02'"):
        extract(broken, store, [5, 2])
    assert broken.training


def test_features_that_do_not_fit_together_are_refused(blobs):
    good = blobs(0, 8)
    with pytest.raises(DataError, match="labels 7"):
        Features(
            values=good.values, labels=good.labels[:7], rows=good.rows, subjects=good.subjects, ids=good.ids, classes=good.classes
        )
    with pytest.raises(DataError, match="no name"):
        Features(
            values=good.values, labels=good.labels, rows=good.rows, subjects=good.subjects, ids=good.ids, classes=("a", "b", "c")
        )


def test_take_join_and_labelled(blobs):
    a, b = blobs(0, 8), blobs(1, 4, first=8)
    both = b.join(a)
    assert both.rows.tolist() == list(range(12))
    assert both.ids == a.ids + b.ids
    torch.testing.assert_close(both.values, torch.cat([a.values, b.values]))
    assert a.join(None) is a
    with pytest.raises(DataError, match="disjoint"):
        a.join(blobs(3, 2, first=7))
    picked = a.take(torch.tensor([5, 1]))
    assert picked.ids == ("c5", "c1")
    torch.testing.assert_close(picked.values, a.values[[5, 1]])
    a.labels[0] = -1
    assert a.labelled("test").rows.tolist() == list(range(1, 8))
    a.labels[:] = -1
    with pytest.raises(DataError, match="none of the 8 gallery clips"):
        a.labelled("gallery")


def test_fingerprint_follows_the_content(blobs):
    a, b = blobs(0, 8), blobs(0, 8)
    assert a.fingerprint == b.fingerprint
    b.values[3, 2] += 1e-6
    assert a.fingerprint != b.fingerprint
