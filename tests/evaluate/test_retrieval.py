"""Precision and average precision against sorting everything by hand; working space that does not grow."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from skelbench.errors import ConfigError, DataError
from skelbench.evaluate import KNN, Features, Retrieval
from skelbench.evaluate.retrieval import block_sizes
from skelbench.parts.nearest import nearest


def features(values, labels, first=0, classes=5):
    N = len(values)
    return Features(
        values=values,
        labels=labels,
        rows=first + torch.arange(N),
        subjects=torch.zeros(N, dtype=torch.int64),
        ids=tuple(f"c{first + i}" for i in range(N)),
        classes=tuple("abcdefghijklmnopqrstuvwxyz"[:classes]),
    )


def naive(test, gallery, ks):
    """Sort the gallery for every query; walk down the list."""
    q, g = (v / np.maximum(np.linalg.norm(v, axis=1, keepdims=True), 1e-12) for v in (test[0], gallery[0]))
    average, precision = [], {k: [] for k in ks}
    for x, label in zip(q, test[1], strict=True):
        order = np.argsort(-np.round(g @ x, 9), kind="stable")
        right = gallery[1][order] == label
        seen, total = 0, 0.0
        for rank, hit in enumerate(right, start=1):
            seen += hit
            total += hit * seen / rank
        average.append(total / max(seen, 1))
        for k in ks:
            precision[k].append(right[:k].mean())
    return np.array(average), {k: np.array(v) for k, v in precision.items()}


@settings(max_examples=60, deadline=None)
@given(
    Q=st.integers(1, 25),
    G=st.integers(3, 60),
    D=st.integers(1, 6),
    memory=st.sampled_from([1, 4000, 40_000, 1 << 24]),
    seed=st.integers(0, 999),
    coarse=st.booleans(),
)
def test_equals_sorting_by_hand_whatever_the_chunks(Q, G, D, memory, seed, coarse):
    g = torch.Generator().manual_seed(seed)
    values = torch.randn(Q + G, D, generator=g)
    values = values.round() if coarse else values  # many exact ties
    labels = torch.randint(0, 4, (Q + G,), generator=g)
    test, gallery = features(values[:Q], labels[:Q], first=G), features(values[Q:], labels[Q:])
    found = Retrieval(at=(1, 3), memory=memory).run(gallery, test)
    numbers = [(f.values.double().numpy(), f.labels.numpy()) for f in (test, gallery)]
    average, precision = naive(*numbers, (1, 3))
    np.testing.assert_allclose(found.average_precision, average, atol=1e-12)
    for k in (1, 3):
        np.testing.assert_allclose(found.precision[k], precision[k], atol=1e-7)
    one = found.measures[1]
    nn = KNN().run(gallery, test)
    assert (one.protocol, one.n) == ("P@1", Q)
    assert one.accuracy == pytest.approx(nn.accuracy) and one.mean_class == pytest.approx(nn.mean_class)


def test_mean_average_precision_equals_scikit_learn(blobs):
    gallery, test = blobs(0, 200), blobs(1, 60, first=200)
    found = Retrieval().run(gallery, test)
    unit = torch.nn.functional.normalize
    similarity = (unit(test.values.double(), dim=1) @ unit(gallery.values.double(), dim=1).T).numpy()
    wanted = [average_precision_score(gallery.labels.numpy() == y, s) for y, s in zip(test.labels.numpy(), similarity, strict=True)]
    np.testing.assert_allclose(found.average_precision, wanted, atol=1e-9)
    assert [m.protocol for m in found.measures] == ["mAP", "P@1", "P@5", "P@10"]
    assert found.measures[0].accuracy == pytest.approx(np.mean(wanted)) == found.mean_average_precision


def test_validation_clips_are_gallery_and_unlabelled_ones_take_no_part(blobs):
    train, validation, test = blobs(0, 40), blobs(1, 12, first=40), blobs(2, 12, first=60)
    train.labels[3], test.labels[2] = -1, -1
    found = Retrieval(at=(2,)).run(train, test, validation=validation)
    keep = torch.cat([train.labels, validation.labels]) >= 0
    values, labels = torch.cat([train.values, validation.values])[keep], torch.cat([train.labels, validation.labels])[keep]
    asked = test.labels >= 0
    average, _ = naive(
        (test.values[asked].double().numpy(), test.labels[asked].numpy()), (values.double().numpy(), labels.numpy()), (2,)
    )
    np.testing.assert_allclose(found.average_precision, average, atol=1e-12)
    assert found.rows.tolist() == test.rows[asked].tolist() and "selection" in Retrieval().describe()


def test_a_class_that_the_gallery_lacks_counts_nothing(blobs):
    gallery, test = blobs(0, 40), blobs(1, 8, first=40)
    found = Retrieval(at=(1,)).run(gallery.take(gallery.labels != 2), test)
    assert found.average_precision[test.labels == 2].tolist() == [0.0, 0.0]
    assert found.measures[0].chosen == {"test clips whose class is not in the gallery": 2}


def test_settings_and_features_are_checked(blobs):
    for at in ((), (0,), (1, 1)):
        with pytest.raises(ConfigError, match=r"Retrieval\.at"):
            Retrieval(at=at)
    with pytest.raises(ConfigError, match="precision at 10 among 9 gallery clips"):
        Retrieval().run(blobs(0, 9), blobs(1, 4, first=9))
    broken = blobs(1, 4, first=40)
    broken.values[1, 1] = float("nan")
    with pytest.raises(DataError, match="not finite"):
        Retrieval(at=(1,)).run(blobs(0, 40), broken)


@pytest.mark.parametrize("what", ["retrieval", "nearest"])
def test_working_space_does_not_grow_with_the_gallery(what, peak):
    memory, D, Q = 1 << 20, 16, 12

    def run(G, memory=memory):
        g = torch.Generator().manual_seed(0)
        gallery = features(torch.randn(G, D, generator=g), torch.arange(G) % 26, classes=26)
        test = features(torch.randn(Q, D, generator=g), torch.arange(Q) % 4, first=G, classes=26)
        call = Retrieval(memory=memory).run if what == "retrieval" else lambda a, b: nearest(b.values, a.values, 5, memory=memory)
        return peak(lambda: call(gallery, test)) - 2 * G  # a bool and its like for every gallery clip: which are of the class

    small, large = run(1_000), run(16_000)
    assert small < memory and large < memory
    assert large < 2 * small, (small, large)  # for 16 times the clips
    assert run(16_000, memory=1 << 30) > 8 * large  # where it may, it takes more: the measuring works


@settings(max_examples=60, deadline=None)
@given(Q=st.integers(1, 10**6), G=st.integers(1, 10**8), share=st.floats(0.001, 1), D=st.integers(1, 5000))
def test_block_sizes_stay_below_the_limit(Q, G, share, D):
    memory, R = 128 << 20, max(1, int(G * share))
    q, g = block_sizes(Q, G, R, D, memory=memory)
    assert 1 <= q <= Q and 1 <= g <= G
    assert q == 1 or q * (120 * R + 32 * D) <= memory / 2
    assert g == 1 or g * (72 * q + 32 * D) <= memory / 2
