import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors

from skelbench.errors import ConfigError, DataError
from skelbench.evaluate.knn import KNN, nearest, vote
from skelbench.parts.nearest import chunk_rows


def naive(queries: torch.Tensor, gallery: torch.Tensor, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Sort every row by (similarity rounded to 1e-9, row), float64."""
    q, g = queries.double().numpy(), gallery.double().numpy()
    q = q / np.maximum(np.linalg.norm(q, axis=1, keepdims=True), 1e-12)
    g = g / np.maximum(np.linalg.norm(g, axis=1, keepdims=True), 1e-12)
    similarity = np.round(q @ g.T, 9)
    order = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(similarity, order, axis=1), order


@settings(max_examples=60, deadline=None)
@given(
    Q=st.integers(1, 40),
    G=st.integers(1, 60),
    D=st.integers(1, 9),
    k=st.integers(1, 60),
    memory=st.sampled_from([1, 3000, 20_000, 1 << 24]),
    seed=st.integers(0, 999),
    coarse=st.booleans(),
)
def test_equals_a_stable_sort_whatever_the_chunks(Q, G, D, k, memory, seed, coarse):
    g = torch.Generator().manual_seed(seed)
    queries, gallery, k = torch.randn(Q, D, generator=g), torch.randn(G, D, generator=g), min(k, G)
    if coarse:  # many exact ties, zero rows among them
        queries, gallery = queries.round(), gallery.round()
    found = nearest(queries, gallery, k, memory=memory)
    similarity, rows = naive(queries, gallery, k)
    np.testing.assert_array_equal(found.rows, rows)
    np.testing.assert_allclose(found.similarity, similarity, atol=2e-9)


def test_equals_scikit_learn_brute_force():
    g = torch.Generator().manual_seed(1)
    queries, gallery = torch.randn(150, 32, generator=g), torch.randn(400, 32, generator=g)
    reference = NearestNeighbors(n_neighbors=7, metric="cosine", algorithm="brute").fit(gallery.double().numpy())
    distance, rows = reference.kneighbors(queries.double().numpy())
    found = nearest(queries, gallery, 7, memory=100_000)
    np.testing.assert_array_equal(found.rows, rows)
    np.testing.assert_allclose(found.similarity, 1 - distance, atol=1e-8)


def test_ties_go_to_the_lower_row():
    gallery = torch.tensor([[0.0, 1.0], [3.0, 0.0], [1.0, 0.0], [5.0, 0.0]])
    assert nearest(torch.tensor([[2.0, 0.0]]), gallery, 3).rows.tolist() == [[1, 2, 3]]


@settings(max_examples=60, deadline=None)
@given(Q=st.integers(1, 10**7), G=st.integers(1, 10**9), D=st.integers(1, 5000), k=st.integers(1, 500))
def test_working_space_does_not_grow_with_the_data(Q, G, D, k):
    memory = 128 << 20
    q, g = chunk_rows(Q, G, D, k, memory=memory)
    assert 1 <= q <= Q and 1 <= g <= G
    assert 32 * q * g + 32 * D * (q + g) + 64 * k * q <= memory * 1.001


def test_what_nearest_refuses():
    x = torch.randn(4, 3)
    with pytest.raises(ConfigError, match="gallery of 4"):
        nearest(x, x, 5)
    with pytest.raises(DataError, match=r"\(4, 3\) and \(4, 2\)"):
        nearest(x, x[:, :2])
    with pytest.raises(DataError, match="not finite"):
        nearest(x, torch.full((2, 3), float("nan")))


@settings(max_examples=80, deadline=None)
@given(st.lists(st.lists(st.integers(0, 4), min_size=5, max_size=5), min_size=1, max_size=8))
def test_majority_vote(rows):
    def by_hand(labels):
        most = max(labels.count(c) for c in labels)
        return next(c for c in labels if labels.count(c) == most)  # first in order of nearness among the most frequent

    assert vote(torch.tensor(rows), classes=5).tolist() == [by_hand(r) for r in rows]


def test_protocol_uses_validation_as_gallery_and_skips_unlabelled_clips(blobs):
    train, validation, test = blobs(0, 30), blobs(1, 10, first=30), blobs(2, 12, first=40)
    train.labels[4], test.labels[3] = -1, -1
    score = KNN(k=1).run(train, test, validation=validation)
    gallery = torch.cat([train.values, validation.values])
    labels = torch.cat([train.labels, validation.labels])
    _, rows = naive(test.values[test.labels >= 0], gallery[labels >= 0], 1)
    assert score.n == 11
    assert 3 + 40 not in score.rows.tolist()
    assert score.predictions.tolist() == labels[labels >= 0][rows[:, 0]].tolist()
    assert score.protocol == "1-NN"
    assert KNN().describe()["selection"] == "none"


def test_protocol_settings_are_checked(blobs):
    with pytest.raises(ConfigError, match="k >= 1"):
        KNN(k=0)
    with pytest.raises(ConfigError, match="gallery of 5"):
        KNN(k=6).run(blobs(0, 5), blobs(1, 4, first=5))
