"""Classes that training never saw, one clip of each to compare with."""

from dataclasses import replace

import numpy as np
import pytest

from skelbench.data.splits import make_split
from skelbench.data.store import write_store
from skelbench.errors import ConfigError
from skelbench.evaluate import KNN, FineTune, OneShot, Table, Trial, evaluate, extract, floors


@pytest.fixture
def unseen(store, tmp_path):
    """The store's second and third class are new; clips 1 and 2 are their exemplars."""
    rule = {"novel": [1, 2], "exemplars": [store.ids[1], store.ids[2]]}
    kept = write_store(tmp_path / "one", list(store), classes=store.classes, splits={"one_shot": rule})
    return kept, make_split(kept, "one_shot")


def test_equals_the_nearest_exemplar_by_hand(unseen, small):
    store, split = unseen
    assert split.gallery.tolist() == [1, 2] and set(store.labels[split.test]) == {1, 2}
    method = small()
    score = OneShot().run(Trial(method=method, store=store, split=split, preset="none"))
    unit = [extract(method, store, rows, preset="none").values.double().numpy() for rows in (split.test, split.gallery)]
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in unit]
    cosine = unit[0] @ unit[1].T
    assert score.predictions.tolist() == (1 + cosine.argmax(axis=1)).tolist()
    assert score.rows.tolist() == sorted(split.test.tolist()) and not set(score.rows.tolist()) & {1, 2}
    np.testing.assert_allclose(score.logits[:, 1:], cosine, atol=1e-5)
    assert score.logits[:, 0].max() == -np.inf and score.chosen == {"classes": 2, "chance": 0.5}


def test_it_stands_in_the_table_beside_its_floors(unseen, small):
    store, split = unseen
    rows = evaluate(small(), store, split, protocols=[OneShot()], seed=0, name="ours", preset="none")
    rows += floors(store, split, beside=small().config, protocols=[OneShot()], preset="none")
    assert [(x.method, x.protocol, x.split) for x in Table(rows).lines()] == [
        (m, "one-shot", "one_shot") for m in ("random", "raw", "ours")
    ]


def test_splits_that_do_not_fit_are_refused(unseen, store, split, small):
    with pytest.raises(ConfigError, match="'cross_subject' has no exemplars"):
        OneShot().run(Trial(method=small(), store=store, split=split))
    one, shot = unseen
    with pytest.raises(ConfigError, match=r"1-NN has nothing to learn them from\. Use the protocol 'one-shot'"):
        evaluate(small(), one, shot, protocols=[KNN()])
    with pytest.raises(ConfigError, match="tests 1 classes that have no exemplar: jump"):
        OneShot().run(Trial(method=small(), store=one, split=replace(shot, gallery=shot.gallery[:1]), preset="none"))
    with pytest.raises(ConfigError, match="nothing to learn"):
        FineTune(epochs=1).run(Trial(method=small(), store=one, split=shot, preset="none"))
