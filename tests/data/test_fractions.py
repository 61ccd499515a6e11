"""Labelled shares: counts against a loop, nested, disjoint from the test side; what is emptied is named."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from recorded import clips_of

from skelbench.data import make_split, write_store
from skelbench.data.fractions import fraction
from skelbench.errors import ConfigError
from skelbench.train import start

LIST = {"xsub": {"by": "subject", "train": [1, 2, 3, 4, 5]}}


def store_of(path, counts, *, subjects=8):
    """A store with so many clips of every class a subject."""
    rows = [(f"s{s}c{c}n{n}", c, {"subject": s}) for s in range(1, subjects + 1) for c, k in enumerate(counts) for n in range(k)]
    rows.append(("nobody", -1, {"subject": 1}))
    return write_store(path, clips_of(rows), classes=[f"class{c}" for c in range(len(counts))], splits=LIST, overwrite=True)


def rows_of(split):
    return {side: set(getattr(split, side).tolist()) for side in ("train", "validation", "test", "extra")}


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    counts=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    share=st.sampled_from([0.01, 0.1, 0.25, 0.5, 0.9, 1.0]),
    seed=st.integers(0, 1000),
)
def test_a_share_of_every_class(tmp_path, counts, share, seed):
    store = store_of(tmp_path / "s", counts)
    whole = make_split(store, "xsub")
    part = fraction(store, whole, share, seed=seed)
    for side in ("train", "validation"):
        mine, all_ = getattr(part, side), getattr(whole, side)
        assert set(mine) <= set(all_) and np.array_equal(mine, np.unique(mine))
        for c in range(len(counts)):
            there = int((store.labels[all_] == c).sum())
            assert int((store.labels[mine] == c).sum()) == max(1, int(np.floor(share * there + 0.5))) * (there > 0)
    assert np.array_equal(part.test, whole.test) and part.by == whole.by
    rows = rows_of(part)
    assert rows["extra"] == (set(whole.train) - rows["train"]) | set(whole.extra)
    assert not rows["extra"] & (rows["validation"] | rows["test"]) and set(whole.extra) == {len(store) - 1}
    more = fraction(store, whole, min(1.0, share * 2), seed=seed)
    assert rows["train"] <= set(more.train) and rows["validation"] <= set(more.validation)
    again = fraction(store, whole, share, seed=seed)
    assert rows_of(again) == rows and again.note == part.note


def test_seeds_differ_and_every_clip_gets_its_turn(tmp_path):
    store = store_of(tmp_path / "s", [6, 6])
    whole = make_split(store, "xsub")
    draws = [set(fraction(store, whole, 0.2, seed=s).train.tolist()) for s in range(40)]
    assert len({frozenset(d) for d in draws}) > 30 and set().union(*draws) == set(whole.train.tolist())


def test_a_share_of_all_clips(tmp_path):
    store = store_of(tmp_path / "s", [12, 6])
    whole = make_split(store, "xsub")
    part = fraction(store, whole, 0.25, seed=3, stratified=False)
    assert len(part.train) == round(0.25 * len(whole.train)) and len(part.validation) == int(0.25 * len(whole.validation) + 0.5)
    counts = [np.bincount(store.labels[fraction(store, whole, 0.25, seed=s, stratified=False).train]) for s in range(20)]
    assert len({tuple(c) for c in counts}) > 3  # classes as they fall
    assert abs(np.mean([c[0] for c in counts]) - 0.25 * (store.labels[whole.train] == 0).sum()) < 2
    assert "25 % of all clips" in part.note and part.name == "xsub@25%any:3"


def test_an_emptied_class_is_named(tmp_path):
    store = store_of(tmp_path / "s", [40, 1])
    whole = make_split(store, "xsub")
    bare = [s for s in range(30) if not (store.labels[_first(store, whole, s)] == 1).any()]
    assert bare
    with pytest.raises(
        ConfigError, match=r"5 % of the training clips of 'xsub', drawn with seed \d+, leave no clip of class1; take a larger"
    ):
        fraction(store, whole, 0.05, seed=bare[0], stratified=False)
    assert (store.labels[fraction(store, whole, 0.05, seed=bare[0]).train] == 1).sum() == 1


def _first(store, whole, seed):
    try:
        return fraction(store, whole, 0.05, seed=seed, stratified=False).train
    except ConfigError:
        return np.zeros(0, np.int64)


def test_by_name(tmp_path):
    store = store_of(tmp_path / "s", [6, 6, 6])
    whole = make_split(store, "xsub", seed=2, holdout=0.4)
    for name, wanted in (
        ("xsub@10%", fraction(store, whole, 0.1)),
        ("xsub@2.5%:7", fraction(store, whole, 0.025, seed=7)),
        ("xsub@50%any:1", fraction(store, whole, 0.5, seed=1, stratified=False)),
    ):
        split = make_split(store, name, seed=2, holdout=0.4)
        assert split.name == name == wanted.name and rows_of(split) == rows_of(wanted) and split.note == wanted.note
        assert split.note.startswith(whole.note) and str(split).startswith(name)
    assert rows_of(make_split(store, "xsub@100%")) == rows_of(make_split(store, "xsub"))
    loso = make_split(store, "loso:3@50%")
    assert np.array_equal(loso.test, store.rows(subject=3)) and loso.name == "loso:3@50%"
    for name in ("xsub@half", "xsub@10", "@10%", "xsub@lt", "xsub@10%:x"):
        with pytest.raises(ConfigError, match=r"no split called .* \(a part of a split is written xsub@10%, xsub@lt100\)"):
            make_split(store, name)
    with pytest.raises(ConfigError, match=r"above 0 and at most 1; got 1\.5"):
        make_split(store, "xsub@150%")
    with pytest.raises(ConfigError, match="got 0"):
        make_split(store, "xsub@0%")


def test_a_run_on_a_share_sees_the_rest_without_labels(tmp_path, make):
    store = write_store(
        tmp_path / "s", make(48, subjects=6), classes=("a", "b", "c"), splits={"xsub": {"by": "subject", "train": [1, 2, 3, 4]}}
    )
    edits = {"epochs": 1, "batch": 4, "probe_every": 0, "meter_every": 0, "normalise": "none", "frames": 4, "minimum": 1}
    run = start("moco", store, "smoke", split="xsub@25%", folder=tmp_path / "run", **edits)
    whole = make_split(store, "xsub")
    assert run.config.split == "xsub@25%" and len(run.split.train) < len(whole.train)
    assert np.array_equal(run._state.rows, whole.train)  # moco reads no labels
