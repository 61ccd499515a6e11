"""Official splits: every form of a rule, the NTU protocols counted from names, one-shot, honest refusals."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recorded import clips_of, ntu60_names, ntu_about

from skelbench.data import make_split, write_store
from skelbench.data.rules import compact, pair_lists
from skelbench.data.splits import Split
from skelbench.data.store import Store
from skelbench.data.tables import ntu_classes, ntu_groups, ntu_missing, ntu_splits, table
from skelbench.errors import ConfigError, DataError


def people(**about):
    """Six subjects, three classes, twice each."""
    rows = [(f"s{s}c{c}r{r}", c, {"subject": s, **about}) for s in range(1, 7) for c in range(3) for r in range(2)]
    return rows


def of(path, rows, *, classes=3, **meta):
    return write_store(path, clips_of(rows), classes=[f"class{c}" for c in range(classes)], overwrite=True, **meta)


def ids_of(rows, subjects):
    return [id for id, _, about in rows if about["subject"] in subjects]


def parts(split):
    return [set(getattr(split, side).tolist()) for side in ("train", "validation", "test", "gallery")]


# --- lists of names -------------------------------------------------------------------------------------------------------


def test_lists_of_names_become_a_column(tmp_path):
    rows = people()
    train, test = ids_of(rows, {1, 2, 3, 4}), ids_of(rows, {5})
    store = of(tmp_path / "n", rows, splits={"official": {"train_ids": train, "test_ids": [*test, "lost"], "apart": "subject"}})
    rule = json.loads((store.path / "meta.json").read_text())["splits"]["official"]
    assert rule["by"] == "split_official" and rule["listed"] == {"train": 24, "test": 7} and rule["absent"] == 1
    assert "train_ids" not in rule and store.index["split_official"].tolist() == [1] * 24 + [2] * 6 + [0] * 6
    split = make_split(store, "official")
    assert split.by == "subject" and split.train_all.tolist() == list(range(24)) and split.test.tolist() == list(range(24, 30))
    assert "6 clips on no list left out; 1 clips of the official lists are not in this dataset" in split.note
    assert len(np.unique(store.index["subject"][split.validation])) == 1 and "validation: training subjects" in split.note


def test_lists_of_names_in_a_meta_file_written_by_hand(tmp_path):
    rows = people()
    store = of(tmp_path / "n", rows)
    meta = json.loads((store.path / "meta.json").read_text())
    meta["splits"] = {"mine": {"train_ids": ids_of(rows, {1, 2, 3})}}  # no "test_ids": all others
    (store.path / "meta.json").write_text(json.dumps(meta))
    split = make_split(Store(store.path), "mine")
    assert split.by == "group" and split.train_all.tolist() == list(range(18)) and split.test.tolist() == list(range(18, 36))


def test_a_reader_may_write_the_column_itself(tmp_path):
    rows = [(id, c, {**about, "split_xsub": 1 + (about["subject"] > 4)}) for id, c, about in people()]
    store = of(tmp_path / "n", rows, splits={"xsub": {"by": "split_xsub", "train": [1], "test": [2], "apart": "subject"}})
    split = make_split(store, "xsub")
    assert split.test.tolist() == store.rows(subject=[5, 6]).tolist() and split.by == "subject"


def test_an_official_validation_list(tmp_path):
    rows = people()
    rule = {"train_ids": ids_of(rows, {1, 2}), "validation_ids": ids_of(rows, {3}), "test_ids": ids_of(rows, {4, 5, 6})}
    split = make_split(of(tmp_path / "n", rows, splits={"official": rule}), "official")
    assert [len(p) for p in parts(split)] == [12, 6, 18, 0] and "validation: the official list" in split.note
    store = of(tmp_path / "m", rows, splits={"o": {"by": "subject", "train": [1, 2], "validation": [3]}})  # test: all others
    assert parts(make_split(store, "o")) == parts(split)


def test_a_recording_on_both_sides(tmp_path):
    rows = [(id, c, {**about, "group": c}) for id, c, about in people()]
    lists = {"train_ids": ids_of(rows, {1, 2, 3}), "test_ids": ids_of(rows, {4, 5, 6})}
    store = of(tmp_path / "n", rows, splits={"a": lists, "b": {**lists, "apart": "clip"}})
    with pytest.raises(DataError, match="split 'a' would put clips of one recording on both sides"):
        make_split(store, "a")
    split = make_split(store, "b")
    assert split.by == "clip" and "3 recordings have clips on both sides of the official lists" in split.note
    assert len(split.test) == 18


def test_lists_that_do_not_fit_are_refused(tmp_path):
    ids = ["a", "b", "c"]
    for rule, message in (
        ({"train_ids": ["a", "a"]}, "'a' stands twice"),
        ({"train_ids": ["a", "b"], "test_ids": ["b"]}, "lists clip 'b' on two sides"),
        ({"train_ids": ["q"], "test_ids": ["b"]}, "none of its 1 train clips is here, the first is 'q'"),
        ({"train_ids": "abc"}, "must be a list of clip names"),
        ({"train_ids": ["a"], "test": [1]}, "has lists of names and of numbers; give one of them"),
        ({"train_ids": ["a"], "test_ids": [3]}, "must be a list of clip names"),
    ):
        with pytest.raises(DataError, match=f"^here: split 'x'.*{message}"):
            compact({"x": rule}, ids, where="here")
    with pytest.raises(DataError, match="the column 'split_x' is there already"):
        compact({"x": {"train_ids": ["a"]}}, ids, taken=["split_x"], where="here")
    for name in ("", "a/b", "a b", "x" * 81):
        with pytest.raises(DataError, match=r"here: split .* wanted a name of letters"):
            compact({name: {"train_ids": ["a"]}}, ids, where="here")
    store = of(tmp_path / "n", people(), splits={"x": {"by": "subject", "train": [1], "apart": "room"}})
    with pytest.raises(DataError, match="'apart' is 'room', wanted one of subject"):
        make_split(store, "x")
    for bad in ({"by": "subject", "train": [1], "test": 2}, {"by": "subject"}, {"train": [1]}, {"by": ["subject"], "train": [1]}):
        with pytest.raises(DataError, match="split 'x' needs 'by'"):
            make_split(of(tmp_path / "n", people(), splits={"x": bad}), "x")
    with pytest.raises(ConfigError, match=r"no split called 'y'; there are: xsub, .*, loso:<subject>, all, x"):
        make_split(store, "y")


def test_a_refused_list_leaves_nothing_behind(tmp_path):
    with pytest.raises(DataError, match="two sides"):
        of(tmp_path / "n", people(), splits={"x": {"train_ids": ["s1c0r0"], "test_ids": ["s1c0r0"]}})
    assert not list(tmp_path.iterdir())


def test_lists_side_by_side():
    lists = {"xsub_train": ["a"], "xsub_val": ["b"], "train": ["c"], "val": ["d"], "test": ["e"], "train1": ["f"], "test1": ["g"]}
    splits, left = pair_lists({**lists, "xset_val": ["h"], "odd": ["i"]})
    assert splits == {
        "xsub": {"train_ids": ["a"], "test_ids": ["b"]},
        "official": {"train_ids": ["c"], "test_ids": ["e"], "validation_ids": ["d"]},
        "split1": {"train_ids": ["f"], "test_ids": ["g"]},
    }
    assert left == ["xset_val", "odd"]


WORDS = st.sampled_from(
    ["by", "train", "test", "validation", "train_ids", "test_ids", "validation_ids", "novel", "exemplars", "without", "apart"]
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 8)
    | st.sampled_from(
        [10**30, -(10**30), 1.5, float("nan"), "", "subject", "camera", "group", "ntu_missing", "s1c0r0", "s2c1r1", "clip"]
    ),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None)
@given(rule=st.dictionaries(WORDS, VALUES, max_size=6) | VALUES, name=st.sampled_from(["x", "xsub", "one_shot", "cross_subject"]))
def test_whatever_stands_in_the_meta_file(fuzzed, rule, name):
    object.__setattr__(fuzzed.meta, "splits", {name: rule})
    try:
        split = make_split(fuzzed, name, allow_missing=True)
    except (DataError, ConfigError):
        return
    train, validation, test, gallery = parts(split)
    assert train and test and not (train & test or train & validation or test & validation or gallery & (train | test))


@settings(max_examples=80, deadline=None)
@given(rule=st.dictionaries(WORDS, VALUES, max_size=6), name=st.text(max_size=5))
def test_whatever_a_reader_hands_over(rule, name):
    try:
        kept, columns = compact({name: rule}, ["s1c0r0", "s2c1r1"], where="here")
    except DataError:
        return
    assert all(c.shape == (2,) and set(c) <= {0, 1, 2, 3} for c in columns.values()) and len(kept) == 1


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory):
    return of(tmp_path_factory.mktemp("fuzz") / "f", people(camera=1))


# --- NTU ------------------------------------------------------------------------------------------------------------------


def test_the_table():
    assert len(ntu_classes()) == 120 and ntu_classes(60) == ntu_classes()[:60] and len(set(ntu_classes())) == 120
    groups = ntu_groups()
    assert [groups.count(g) for g in ("daily", "medical", "mutual")] == [82, 12, 26]
    assert {n + 1 for n, g in enumerate(groups) if g == "mutual"} == {*range(50, 61), *range(106, 121)}
    assert len(ntu_missing(60)) == 302 and len(ntu_missing()) == 535 and ntu_missing(60) < ntu_missing()
    small, large = ntu_splits(60), ntu_splits(120)
    assert list(small) == ["xsub", "xview"] and list(large) == ["xsub", "xset", "one_shot"]
    assert small["xsub"]["train"] == large["xsub"]["train"][:20] and len(set(large["xsub"]["train"])) == 53
    assert large["one_shot"]["novel"] == list(range(0, 120, 6))
    with pytest.raises(ConfigError, match="60 or 120 classes, not 61"):
        ntu_classes(61)
    with pytest.raises(DataError, match=r"no table called 'ntv'; there are: .*ntu"):
        table("ntv")


@pytest.fixture(scope="module")
def ntu60(tmp_path_factory) -> Store:
    """NTU 60 as far as names go: one frame of one joint a clip."""
    rows = ((name, *ntu_about(name)) for name in ntu60_names())
    path = tmp_path_factory.mktemp("ntu") / "ntu60"
    return write_store(path, clips_of(rows), classes=ntu_classes(60), splits=ntu_splits(60))


@pytest.mark.parametrize(
    ("name", "train", "test", "least", "most"), [("xsub", 40091, 16487, 632, 672), ("xview", 37646, 18932, 597, 632)]
)
def test_ntu60_counts_from_names_alone(ntu60: Store, name: str, train: int, test: int, least: int, most: int) -> None:
    split: Split = make_split(ntu60, name)
    counts = np.bincount(ntu60.labels[split.train_all])
    assert (len(ntu60), len(split.train_all), len(split.test)) == (56880, train, test)
    assert (counts.min(), counts.max()) == (least, most)
    assert "302 clips on the missing list left out" in split.note and not len(split.extra)
    seen = np.concatenate([split.train, split.validation, split.test])
    assert len(np.unique(seen)) == 56578 and not ntu_missing(60) & {ntu60.ids[r] for r in seen}
    held = set(ntu60.index["subject"][split.validation])
    assert 0 < len(split.validation) < train and not held & set(ntu60.index["subject"][split.train])


def test_ntu120_rules_on_names(tmp_path):
    names = [
        f"S{s:03d}C{c:03d}P{p:03d}R001A{a:03d}"
        for s in range(1, 33)
        for c in (1, 2)
        for p in (1, 3, 8, 46, 106)
        for a in (1, 61, 120)
    ]
    names += [e for e in [*ntu_splits(120)["one_shot"]["exemplars"], *sorted(ntu_missing())[::9]] if e not in names]
    about = [ntu_about(n) for n in names]
    store = write_store(
        tmp_path / "s", clips_of(zip(names, *zip(*about, strict=True), strict=True)), classes=ntu_classes(), splits=ntu_splits()
    )
    used = [n for n in names if n not in ntu_missing()]
    assert len(used) < len(names)
    xset, xsub = (make_split(store, name, allow_missing=True) for name in ("xset", "xsub"))
    assert {store.ids[r] for r in xset.train_all} == {n for n in used if int(n[1:4]) % 2 == 0}
    assert {store.ids[r] for r in xsub.test} == {n for n in used if int(n[9:12]) in (3, 106)}
    shot = make_split(store, "one_shot")
    assert [store.ids[r] for r in shot.gallery] == sorted(ntu_splits()["one_shot"]["exemplars"], key=names.index)
    assert shot.by == "label" and len(shot.gallery) == 20 == len(set(store.labels[shot.gallery]))
    assert "clips on the missing list left out" in shot.note
    assert {store.ids[r] for r in shot.test} == {n for n in used if n.endswith(("A001", "A061"))} - {
        store.ids[r] for r in shot.gallery
    }
    assert {store.ids[r] for r in shot.train_all} == {n for n in used if n.endswith("A120")} and len(shot.validation)
    assert "one-shot: 20 classes that training never sees" in shot.note


def test_one_shot_refusals(tmp_path):
    rows = people()

    def split(rule):
        return make_split(of(tmp_path / "n", rows, splits={"one_shot": rule}), "one_shot")

    good = split({"novel": [0], "exemplars": ["s1c0r0"]})
    assert [len(p) for p in parts(good)][2:] == [11, 1] and len(good.train_all) == 24
    for rule, message in (
        ({"novel": [0], "exemplars": ["s9c0r0"]}, "the exemplar 's9c0r0' is not among the clips"),
        ({"novel": [0], "exemplars": ["s1c1r0"]}, r"the exemplars are of the classes \[.*1.*\], wanted one of each of \[0\]"),
        ({"novel": [0, 1], "exemplars": ["s1c0r0"]}, "wanted one of each"),
        ({"novel": [7], "exemplars": ["s1c0r0"]}, "'novel' must list labels of the 3 classes"),
        ({"novel": [0]}, "exemplars must be a list of clip names"),
        ({"novel": [0], "exemplars": ["s1c0r0"], "without": "ntv_missing"}, "wanted a list of clip names or 'ntu_missing'"),
        ({"novel": [0], "exemplars": ["s1c0r0"], "without": ["s1c0r0"]}, "is not among the clips"),
    ):
        with pytest.raises(DataError, match=f"meta.json: split 'one_shot'.*{message}"):
            split(rule)


def test_clips_that_take_no_part_are_not_extra(tmp_path):
    rule = {"by": "subject", "train": [1, 2, 3], "test": [4, 5], "without": ["s1c0r0", "s6c0r0", "elsewhere"]}
    store = of(tmp_path / "n", people(), splits={"xsub": rule})
    split = make_split(store, "xsub")
    assert len(split.train_all) == 17 and len(split.extra) == 5 and "2 clips on the missing list left out" in split.note
    assert "s6c0r0" not in {store.ids[r] for r in split.extra}


@pytest.mark.skipif("SKELBENCH_REFERENCE" not in os.environ, reason="needs the folder of fact sheets")
def test_the_table_is_that_of_the_sheet():
    sheet = Path(os.environ["SKELBENCH_REFERENCE"]).parent / "specs/data"
    splits, classes = (json.loads((sheet / f"{n}.json").read_text()) for n in ("splits", "ntu_classes"))
    assert ntu_classes() == tuple(c["name"] for c in classes["classes"])
    assert ntu_groups() == tuple(c["group"] for c in classes["classes"])
    missing = splits["ntu_missing_skeletons"]
    assert ntu_missing() == set(missing["ntu120"]) and ntu_missing(60) == set(missing["ntu60"])
    assert ntu_splits(60)["xsub"]["train"] == splits["ntu60"]["xsub"]["train_subjects"]
    large = ntu_splits(120)
    assert large["xsub"]["train"] == splits["ntu120"]["xsub"]["train_subjects"]
    assert large["xset"]["train"] == splits["ntu120"]["xset"]["train_setups"]
    assert large["one_shot"]["exemplars"] == splits["ntu120"]["one_shot"]["exemplars"]
