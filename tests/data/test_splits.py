"""Splits: disjoint sides, whole recordings, honest notes, clear refusals."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skelbench.data import import_data, loso_splits, make_split, write_store
from skelbench.errors import ConfigError, DataError
from skelbench.skeleton.clip import Clip
from skelbench.skeleton.topology import Topology

STICK = Topology.from_dict({"name": "dots", "joints": ["a", "b"], "parents": [-1, 0]})


def table(path, rows, *, classes=3, **meta):
    """A store of one-frame clips: rows are (label, about)."""
    clips = (
        Clip(joints=np.ones((1, 1, 2, 3), np.float32), topology=STICK, label=c, id=f"c{i}", about=about)
        for i, (c, about) in enumerate(rows)
    )
    return write_store(path, clips, classes=[f"class{c}" for c in range(classes)], overwrite=True, **meta)


def grid(subjects=6, classes=3, repeats=2, cameras=3):
    """Every subject does every class; one group a performance, seen by all cameras."""
    performances = [(s, c, r) for s in range(1, subjects + 1) for c in range(classes) for r in range(repeats)]
    return [
        (c, {"subject": s, "camera": k, "setup": r + 1, "group": n})
        for n, (s, c, r) in enumerate(performances)
        for k in range(1, cameras + 1)
    ]


SPLITS = {
    "xsub": {"by": "subject", "train": [1, 2, 4, 5]},
    "xview": {"by": "camera", "train": [2, 3]},
    "xset": {"by": "setup", "train": [2]},
}


def check(store, split):
    """What holds for every split."""
    sides = (split.train, split.validation, split.test)
    together = np.concatenate(sides)
    assert len(np.unique(together)) == len(together) and all(np.array_equal(s, np.sort(s)) for s in sides)
    assert np.array_equal(split.train_all, np.sort(np.concatenate(sides[:2])))
    key = store.index["group"] * 100 + (store.index["camera"] if split.by == "camera" else 0)
    for a, b in ((0, 2), (1, 2)):
        assert not np.intersect1d(key[sides[a]], key[sides[b]]).size
    assert not np.intersect1d(store.index["group"][split.train], store.index["group"][split.validation]).size
    assert np.isin(store.labels[split.test], store.labels[split.train]).all()
    assert str(split).startswith(split.name) and split.note


def test_official_lists_are_followed(tmp_path):
    store = table(tmp_path / "g", grid(), splits=SPLITS)
    for name, column, train in (("xsub", "subject", [1, 2, 4, 5]), ("xview", "camera", [2, 3]), ("xset", "setup", [2])):
        split = make_split(store, name)
        check(store, split)
        on_train = np.isin(store.index[column], train)
        assert split.by == column
        assert np.array_equal(split.train_all, np.flatnonzero(on_train)) and np.array_equal(split.test, np.flatnonzero(~on_train))
    held = np.unique(store.index["subject"][make_split(store, "xsub").validation])
    assert len(held) == 1 and held[0] in (1, 2, 4, 5)
    assert f"training subjects {held[0]}" in make_split(store, "xsub").note


def test_both_ways_to_write_a_list_and_who_is_on_none(tmp_path):
    store = table(tmp_path / "g", grid(), splits={"cross_subject": {"train": [1, 2, 3], "test": [5]}})
    for name in ("xsub", "cross_subject"):
        split = make_split(store, name)
        check(store, split)
        assert (
            np.array_equal(split.test, store.rows(subject=5)) and "36 clips whose subject is on neither list left out" in split.note
        )
    for name in ("xview", "xset"):
        with pytest.raises(ConfigError, match=f"no official split '{name}' \\(listed: cross_subject\\); try 'by_clip'"):
            make_split(store, name)


def test_without_a_list_every_second_subject_trains(tmp_path):
    store = table(tmp_path / "g", grid())
    split = make_split(store, "cross_subject")
    check(store, split)
    assert np.array_equal(split.train_all, store.rows(subject=[1, 3, 5])) and "trained on subjects 1, 3, 5" in split.note
    with pytest.raises(ConfigError, match=r"no official split 'xsub'.*try 'cross_subject'"):
        make_split(store, "xsub")


def test_classes_of_a_single_subject_are_left_out_and_named(tmp_path):
    rows = (
        [(0, {"subject": s}) for s in (1, 2, 3, 4)] * 3 + [(1, {"subject": 1}), (1, {"subject": 3})] * 3 + [(2, {"subject": 9})] * 5
    )
    store = table(tmp_path / "g", rows)
    split = make_split(store, "cross_subject")  # every second subject would leave class1 without a test clip
    check(store, split)
    assert set(store.labels[split.test]) == {0, 1} == set(store.labels[split.train_all])
    assert "1 classes left out, performed by a single subject: class2" in split.note and "subjects 9" not in split.note
    alone = table(tmp_path / "h", [(c, {"subject": c + 1}) for c in range(3)])
    with pytest.raises(DataError, match=r"no class is performed by two subjects.*'by_clip'"):
        make_split(alone, "cross_subject")


def test_leave_one_subject_out(tmp_path):
    store = table(tmp_path / "g", grid())
    splits = loso_splits(store, seed=3)
    assert [s.name for s in splits] == [f"loso:{n}" for n in range(1, 7)]
    for n, split in enumerate(splits, 1):
        check(store, split)
        assert np.array_equal(split.test, store.rows(subject=n))
    with pytest.raises(ConfigError, match="no subject '7'; it has: 1, 2, 3, 4, 5, 6"):
        make_split(store, "loso:7")


def test_subjects_by_name(tmp_path):
    rows = [(c, {"subject": s}) for s in ("2", "1", "ann") for c in range(3) for _ in range(3)]
    store = table(tmp_path / "g", rows)
    splits = loso_splits(store)
    assert [s.name for s in splits] == ["loso:2", "loso:1", "loso:ann"]
    assert [int(store.index["subject"][s.test[0]]) for s in splits] == [0, 1, 2]
    assert "validation: training subjects 1" in splits[2].note or "validation: training subjects 2" in splits[2].note


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10_000), per_class=st.lists(st.integers(1, 9), min_size=2, max_size=4))
def test_by_clip_holds_out_a_third_of_the_recordings(tmp_path, seed, per_class):
    groups = [(c, n) for c, count in enumerate(per_class) for n in range(count)]
    rows = [
        (c, {"group": g, "subject": 1}) for g, (c, n) in enumerate(groups) for _ in range(1 + n % 3)
    ]  # windows of one recording
    store = table(tmp_path / "g", rows, classes=4)
    if max(per_class) < 3:
        with pytest.raises(DataError, match="side empty"):
            make_split(store, "by_clip", seed=seed)
        return
    split = make_split(store, "by_clip", seed=seed)
    check(store, split)
    for c, count in enumerate(per_class):
        mine = split.test[store.labels[split.test] == c]
        assert len(np.unique(store.index["group"][mine])) == (count // 3 if count >= 3 else 0)
        assert (f"class{c}" in split.note) == (count < 3)
    few = [c for c, count in enumerate(per_class) if count < 3]
    assert not np.isin(store.labels[split.train_all], few).any()
    assert np.array_equal(split.extra, np.flatnonzero(np.isin(store.labels, few)))  # for learning without labels
    folds = [make_split(store, f"by_clip:{k}", seed=seed) for k in range(3)]
    assert np.array_equal(folds[0].test, split.test)
    tested = np.sort(np.concatenate([f.test for f in folds]))
    assert np.array_equal(tested, np.flatnonzero(~np.isin(store.labels, few)))  # every recording is tested exactly once
    again = make_split(store, "by_clip", seed=seed)
    assert all(np.array_equal(getattr(split, k), getattr(again, k)) for k in ("train", "validation", "test"))


def test_the_seed_alone_decides(tmp_path):
    store = table(tmp_path / "g", grid(subjects=12))
    chosen = {tuple(np.unique(store.index["subject"][make_split(store, "cross_subject", seed=s).validation])) for s in range(8)}
    assert len(chosen) > 1
    assert np.array_equal(make_split(store, "cross_subject").validation, make_split(store, "cross_subject").validation)
    half = make_split(store, "cross_subject", holdout=0.5)
    assert len(np.unique(store.index["subject"][half.validation])) == 3


def test_everything_trains_and_nothing_is_tested(tmp_path):
    rows = grid() + [(-1, {"subject": 1, "group": 99})]
    split = make_split(table(tmp_path / "g", rows), "all")
    assert not len(split.test) and split.extra.tolist() == [len(rows) - 1] and "nothing is tested" in split.note
    assert np.array_equal(split.train_all, np.arange(len(rows) - 1)) and len(split.validation)
    subject = table(tmp_path / "g", rows).index["subject"]
    assert not np.intersect1d(subject[split.train], subject[split.validation]).size
    alone = make_split(table(tmp_path / "one", [(c, {"subject": 1, "group": g}) for c in (0, 1) for g in range(4)]), "all")
    assert alone.by == "group" and len(alone.validation) == 2
    official = {"all": {"by": "subject", "train": [1, 2, 4, 5]}}  # a list of that name comes first
    assert len(make_split(table(tmp_path / "l", grid(), splits=official), "all").test)


def test_extra_never_meets_the_test_side(tmp_path):
    rows = [(label, {"subject": s, "group": -1}) for label in (0, 1, -1) for s in range(1, 7)]
    rows += [(2, {"subject": s}) for s in (1, 1, 2)]  # subject 0 does not exist; class 2 is nobody else's
    store = table(tmp_path / "x", rows, classes=3)
    split = make_split(store, "loso:3")
    subject = store.index["subject"]
    assert (store.labels[split.extra] < 0).all() and len(split.extra) == 5
    assert not np.isin(subject[split.extra], subject[split.test]).any()
    sides = np.concatenate([split.train, split.validation, split.test, split.extra])
    assert len(np.unique(sides)) == len(sides)


def test_rows_narrow_the_split(tmp_path):
    store = table(tmp_path / "g", grid())
    rows = store.rows(camera=1)
    split = make_split(store, "cross_subject", rows=rows)
    check(store, split)
    assert np.isin(np.concatenate([split.train_all, split.test]), rows).all()
    for rows in ([], [-1], [10_000]):
        with pytest.raises(DataError, match=r"the rows to use must be some of 0.."):
            make_split(store, "cross_subject", rows=rows)


def test_clips_without_a_label_are_left_out_and_counted(tmp_path):
    store = table(tmp_path / "g", [*grid(), (-1, {"subject": 1, "group": 999})])
    split = make_split(store, "cross_subject")
    check(store, split)
    assert "1 clips without a label left out" in split.note and len(store) - 1 not in split.train_all


def test_one_training_subject_holds_out_recordings(tmp_path):
    store = table(tmp_path / "g", grid(subjects=2, repeats=4))
    split = make_split(store, "cross_subject")
    check(store, split)
    assert "held-out recordings of the training side, because there is no second training subject" in split.note
    assert set(store.labels[split.validation]) == {0, 1, 2}


def test_validation_subjects_never_take_a_class_with_them(tmp_path):
    # Subject 2 alone has class 1 in training and can never be spared.
    rows = [(0, {"subject": s}) for s in (1, 2, 3)] * 4 + [(1, {"subject": s}) for s in (2, 9)] * 4 + [(0, {"subject": 9})]
    store = table(tmp_path / "g", rows, splits={"xsub": {"by": "subject", "train": [1, 2, 3]}})
    for seed in range(5):
        split = make_split(store, "xsub", seed=seed)
        check(store, split)
        assert set(store.index["subject"][split.validation]) <= {1, 3}


def test_too_few_recordings_for_a_validation_side(tmp_path):
    store = table(tmp_path / "g", [(c, {"subject": s}) for s in (1, 2) for c in range(3)])
    split = make_split(store, "cross_subject")
    assert not len(split.validation) and "validation is empty" in split.note and len(split.train) == 3


def test_a_class_without_training_clips(tmp_path):
    rows = [*grid(subjects=4), (3, {"subject": 2, "group": 900}), (3, {"subject": 2, "group": 901})]
    store = table(tmp_path / "g", rows, classes=4, splits={"xsub": {"by": "subject", "train": [1, 3]}})
    with pytest.raises(DataError, match="no training clip of class3; pass allow_missing=True"):
        make_split(store, "xsub")
    split = make_split(store, "xsub", allow_missing=True)
    check(store, split)
    assert "2 test clips of classes without training clips left out: class3" in split.note


def test_refusals(tmp_path):
    store = table(
        tmp_path / "g", grid(), splits={"xview": {"by": "camera", "train": [1, 2, 3]}, "xset": {"by": "room", "train": [1]}}
    )
    with pytest.raises(ConfigError, match="no split called 'random'; there are: xsub, xview"):
        make_split(store, "random")
    with pytest.raises(DataError, match="leaves the test side empty"):
        make_split(store, "xview")
    with pytest.raises(DataError, match="split 'xset' needs 'by'"):
        make_split(store, "xset")
    for holdout in (0, 1, -0.5):
        with pytest.raises(ConfigError, match="holdout"):
            make_split(store, "by_clip", holdout=holdout)
    both = table(tmp_path / "b", grid(), splits={"xsub": {"train": [1, 2], "test": [2, 3]}})
    with pytest.raises(DataError, match=r"lists subject \[2\] on both sides"):
        make_split(both, "xsub")
    one = table(tmp_path / "o", [(c, {"subject": 1}) for c in range(3)])
    with pytest.raises(ConfigError, match="has only subject 1, so it cannot be parted by subject; try 'by_clip'"):
        make_split(one, "cross_subject")
    none = table(tmp_path / "n", [(c, {}) for c in range(3)])
    with pytest.raises(ConfigError, match="has no subject number at all"):
        loso_splits(none)


def test_a_recording_with_two_subjects_is_refused(tmp_path):
    rows = [(c, {"subject": s, "group": 0 if s < 3 else s}) for s in range(1, 5) for c in range(3)]
    store = table(tmp_path / "g", rows)
    for name in ("cross_subject", "loso:1"):
        with pytest.raises(DataError, match=f"split '{name}' would put clips of one recording on both sides, e.g. "):
            make_split(store, name)


@pytest.mark.skipif("SKELBENCH_REALDATA" not in os.environ, reason="needs the folder of real data packs")
def test_splits_of_real_data(home):
    real = Path(os.environ["SKELBENCH_REALDATA"])
    cmu = import_data(real / "cmu", "cmu", progress=False)
    split = make_split(cmu, "cross_subject")
    check(cmu, split)
    assert {cmu.classes[c] for c in cmu.labels[split.test]} == {"boxing", "jump", "run", "walk"}
    split = make_split(cmu, "by_clip", rows=cmu.rows(tile=1))
    check(cmu, split)
    assert "sit_stand" in split.note
    hdm = import_data(real / "hdm05", "hdm05", progress=False)
    split = make_split(hdm, "xsub")
    check(hdm, split)
    assert np.array_equal(split.test, hdm.rows(subject=4))


@pytest.mark.parametrize("third", [0, 1, 2])
def test_the_training_side_is_parted_once_more_and_the_test_side_left_out(store, third):
    whole, inner = make_split(store, "cross_subject"), make_split(store, f"cross_subject@held{third}")
    assert sorted([*inner.train_all, *inner.test]) == sorted(whole.train_all.tolist())
    assert not set(store.index["subject"][inner.test]) & set(store.index["subject"][inner.train_all])
    assert not len(inner.extra) and inner.name == f"cross_subject@held{third}"


def test_the_thirds_of_the_training_side_cover_it(store):
    tested = [make_split(store, f"by_clip@held{third}").test for third in range(3)]
    assert len(np.unique(np.concatenate(tested))) == sum(len(t) for t in tested)
