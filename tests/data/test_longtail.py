"""Long-tailed training sides: the published counts and lists, the published recipe, refusals."""

import hashlib

import numpy as np
import pytest
from recorded import clips_of, ntu60_names, ntu_about

from skelbench.data import make_split, write_store
from skelbench.data.fractions import fraction
from skelbench.data.longtail import groups, long_tailed, profile, published_names
from skelbench.data.tables import ntu_classes, ntu_splits, table
from skelbench.errors import ConfigError, DataError

TOTALS = {  # set: (classes, largest, {imbalance: total})
    "ntu60_xsub": (60, 600, {10: 14142, 50: 9150, 100: 7892}),
    "ntu60_xview": (60, 600, {10: 14142, 50: 9150, 100: 7892}),
    "ntu120_xsub": (120, 600, {10: 28182, 50: 18137, 100: 15600}),
    "ntu120_xset": (120, 400, {10: 18771, 50: 12069, 100: 10378}),
    "nw_ucla": (10, 100, {10: 403}),
}
SHA256 = {  # of the published lists: names joined by line feeds, in the order of the file
    ("xsub", 10): "4bc0779e83d192d0ea7756ecb54ca9716566fa0b796b71fde76d63c6b52fe262",
    ("xsub", 50): "2cce99ef2be828a25051347d45370d739de8880ba53b02e0c1ae891ad778b53f",
    ("xsub", 100): "992425d1b1f674142523257b13b5b811d2880673443177b9956b420894f25d31",
    ("xview", 10): "7ac11c28379ee988cb745fd409da9a0f45a7cd261abbf6f8188fc7a842ba4c87",
    ("xview", 50): "5507e59373288535e18fe328550f6ba5c8e7d512212a2f42b22d763c640dabc3",
    ("xview", 100): "e4777be86c39a357ff2c483f7bb017715820fae213ae00d39b9895d24a19908a",
}


@pytest.fixture(scope="module")
def ntu60(tmp_path_factory):
    rows = ((name, *ntu_about(name)) for name in ntu60_names())
    return write_store(tmp_path_factory.mktemp("ntu") / "ntu60", clips_of(rows), classes=ntu_classes(60), splits=ntu_splits(60))


def small(path, *, classes=5, each=12, subjects=6, **more):
    rows = [(f"s{s:02d}c{c}n{n}", c, {"subject": s}) for n in range(each) for s in range(subjects, 0, -1) for c in range(classes)]
    splits = {"xsub": {"by": "subject", "train": list(range(1, subjects))}}
    return write_store(path, clips_of(rows), classes=[f"class{c}" for c in range(classes)], splits=splits, overwrite=True, **more)


@pytest.mark.parametrize("key", TOTALS)
def test_published_profiles(key):
    classes, largest, totals = TOTALS[key]
    assert table("brl")["largest"][key] == largest
    for imbalance, total in totals.items():
        counts = profile(classes, imbalance=imbalance, largest=largest)
        naive = [int(largest * (1 / imbalance) ** (c / (classes - 1))) for c in range(classes)]
        assert counts.tolist() == naive and counts.sum() == total and counts[-1] == largest // imbalance


def test_published_counts():
    assert profile(10, imbalance=10, largest=100).tolist() == [100, 77, 59, 46, 35, 27, 21, 16, 12, 10]
    ntu = profile(60, imbalance=100, largest=600)
    assert ntu[:8].tolist() == [600, 554, 513, 474, 439, 406, 375, 347] and ntu[-6:].tolist() == [8, 8, 7, 7, 6, 6]
    assert profile(4, imbalance=1, largest=7).tolist() == [7] * 4 and profile(1, imbalance=50, largest=7).tolist() == [7]
    for key, wanted in (("ntu60_xsub", (23, 21, 16)), ("ntu120_xsub", (47, 41, 32)), ("ntu120_xset", (36, 42, 42))):
        classes, largest, _ = TOTALS[key]
        found = groups(profile(classes, imbalance=100, largest=largest)).tolist()
        assert tuple(found.count(g) for g in ("many", "medium", "few")) == wanted
    assert groups([101, 100, 20, 19]).tolist() == ["many", "medium", "medium", "few"]
    for imbalance, largest in ((0.5, 100), (float("nan"), 9), (10, 0)):
        with pytest.raises(ConfigError, match="wanted at least 1 of both"):
            profile(3, imbalance=imbalance, largest=largest)
    with pytest.raises(ConfigError, match="leaves the last class none; take 20 at most"):
        profile(3, imbalance=50, largest=20)


@pytest.mark.parametrize("name", ["xsub", "xview"])
def test_the_authors_lists_of_ntu60(ntu60, name):
    whole = make_split(ntu60, name)
    before = None
    for imbalance in (10, 50, 100):
        split = long_tailed(ntu60, whole, imbalance=imbalance)
        kept = split.train_all
        counts = profile(60, imbalance=imbalance, largest=600)
        assert np.array_equal(np.bincount(ntu60.labels[kept], minlength=60), counts)
        names = [n for mine, count in zip(published_names(f"ntu60_{name}"), counts, strict=True) for n in mine[:count]]
        assert hashlib.sha256("\n".join(names).encode()).hexdigest() == SHA256[name, imbalance]
        assert {ntu60.ids[r] for r in kept} == set(names)
        assert np.array_equal(split.test, whole.test) and not len(split.extra)
        assert set(split.train) <= set(whole.train) and set(split.validation) <= set(whole.validation)
        assert f"600 to {counts[-1]} clips a class, {len(kept)} in all, the authors' list" in split.note
        assert before is None or set(kept) < before
        before = set(kept)
    by_name = make_split(ntu60, f"{name}@lt100")
    assert np.array_equal(by_name.train_all, split.train_all) and by_name.name == f"{name}@lt100" == split.name
    other = make_split(ntu60, f"{name}@lt100:1")
    assert (
        "drawn with seed 1" in other.note and len(other.train_all) == 7892 and not np.array_equal(other.train_all, split.train_all)
    )
    assert "drawn with seed 0" in long_tailed(ntu60, whole, imbalance=5).note  # the lists end at 10


def test_the_authors_recipe(ntu60):
    """As for NTU 120: names by subject, then by name; one generator for all classes."""
    whole = make_split(ntu60, "xsub")
    split = long_tailed(ntu60, whole, imbalance=20, largest=300, seed=4)
    names = sorted((ntu60.ids[r] for r in whole.train_all), key=lambda n: (n[8:12], n))
    rng, kept = np.random.RandomState(4), set()
    for c in range(60):
        mine = [n for n in names if n.endswith(f"A{c + 1:03d}")]
        rng.shuffle(mine)
        kept |= set(mine[: int(300 * (1 / 20) ** (c / 59))])
    assert {ntu60.ids[r] for r in split.train_all} == kept


def test_any_dataset(tmp_path):
    store = small(tmp_path / "s")
    whole = make_split(store, "xsub")
    split = make_split(store, "xsub@lt10")
    counts = np.bincount(store.labels[split.train_all])
    assert counts.tolist() == profile(5, imbalance=10, largest=60).tolist()  # 5 training subjects, 12 clips each
    assert np.array_equal(split.test, whole.test) and len(split.validation)
    again = make_split(store, "xsub@lt10")
    assert all(np.array_equal(getattr(split, k), getattr(again, k)) for k in ("train", "validation", "test", "extra"))
    seeds = [tuple(make_split(store, f"xsub@lt10:{s}").train_all) for s in range(5)]
    assert len(set(seeds)) == 5
    nested = long_tailed(store, whole, imbalance=30, largest=60)
    assert set(nested.train_all) < set(split.train_all)


def test_the_largest_class_is_as_large_as_the_others_allow(tmp_path):
    rows = [(f"s{s}c{c}n{n}", c, {"subject": s}) for s in range(1, 7) for c, k in enumerate((4, 9, 2)) for n in range(k)]
    splits = {"xsub": {"by": "subject", "train": [1, 2, 3, 4, 5]}}
    store = write_store(tmp_path / "s", clips_of(rows), classes=("a", "b", "c"), splits=splits)
    split = long_tailed(store, make_split(store, "xsub"), imbalance=1)
    assert np.bincount(store.labels[split.train_all]).tolist() == [10, 10, 10]
    split = long_tailed(store, make_split(store, "xsub"), imbalance=4)
    assert np.bincount(store.labels[split.train_all]).tolist() == [20, 10, 5]
    with pytest.raises(ConfigError, match="class 'a' has 20 training clips, the profile wants 21; take largest=20 at most"):
        long_tailed(store, make_split(store, "xsub"), imbalance=4, largest=21)


def test_classes_in_order_of_their_size(tmp_path):
    """Of 40, 90 and 20 clips the second class is the head; in order of labels the first would hold it down."""
    rows = [(f"s{s}c{c}n{n}", c, {"subject": s}) for s in range(1, 12) for c, k in enumerate((4, 9, 2)) for n in range(k)]
    splits = {"xsub": {"by": "subject", "train": list(range(1, 11))}}
    store = write_store(tmp_path / "s", clips_of(rows), classes=("a", "b", "c"), splits=splits)
    sized, plain = make_split(store, "xsub@lt9size"), make_split(store, "xsub@lt9")
    assert np.bincount(store.labels[sized.train_all]).tolist() == [30, 90, 10] and sized.name == "xsub@lt9size"
    assert np.bincount(store.labels[plain.train_all]).tolist() == [40, 13, 4]
    assert "90 to 10 clips a class" in sized.note and np.array_equal(sized.test, plain.test)
    inside = make_split(store, "xsub@held1@lt2size:4")
    whole = make_split(store, "xsub@held1")
    assert set(inside.train_all) < set(whole.train_all) and np.array_equal(inside.test, whole.test)


def test_a_list_that_leaves_a_tested_class_without_a_clip_is_refused(tmp_path):
    store = small(tmp_path / "s")
    names = [store.ids[r] for r in make_split(store, "xsub").train_all if store.labels[r] != 3]
    (tmp_path / "names.txt").write_text("\n".join(names))
    with pytest.raises(ConfigError, match=rf"no clip is left of class '{store.classes[3]}' \(1 such classes\), which is tested"):
        long_tailed(store, make_split(store, "xsub"), names=tmp_path / "names.txt")


def test_a_class_that_only_validation_subjects_kept_is_named(tmp_path):
    store = small(tmp_path / "s", each=2)
    whole = make_split(store, "xsub")
    bare = []
    for seed in range(60):
        try:
            long_tailed(store, whole, imbalance=10, seed=seed)
        except ConfigError as error:
            bare.append(str(error))
    assert bare and all("belong to validation subjects; part the store with another seed" in text for text in bare)
    assert all("all clips left of class 'class3'" in text or "all clips left of class 'class4'" in text for text in bare)  # 1 each


def test_a_list_of_ones_own(tmp_path):
    store = small(tmp_path / "s")
    whole = make_split(store, "xsub")
    wanted = [store.ids[r] for r in whole.train_all[::3]]
    path = tmp_path / "list.txt"
    path.write_text("\n".join([wanted[0] + ".skeleton", "", *wanted[1:]]) + "\n")
    split = long_tailed(store, whole, names=path)
    assert [store.ids[r] for r in split.train_all] == wanted and split.name == "xsub@lt:list"
    assert "long-tailed: the names in list.txt" in split.note
    for text, message in (
        (f"{wanted[0]}\nnobody\n", r"list.txt:2: 'nobody' is no training clip of split 'xsub' of 's'"),
        (f"{store.ids[whole.test[0]]}\n", r"list.txt:1: .* is no training clip"),
        (f"{wanted[0]}\n\n{wanted[0]}\n", r"list.txt:3: .* stands twice"),
        ("\n \n", "lists no clip"),
    ):
        path.write_text(text)
        with pytest.raises(DataError, match=message):
            long_tailed(store, whole, names=path)
    with pytest.raises(DataError, match="cannot be read as a list"):
        long_tailed(store, whole, names=tmp_path / "none.txt")
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="cannot be read as a list"):
        long_tailed(store, whole, names=path)


def test_nothing_is_drawn_from_the_global_generator(tmp_path):
    store = small(tmp_path / "s")
    np.random.seed(0)
    before = np.random.get_state()[1].copy()
    make_split(store, "xsub@lt10")
    assert np.array_equal(before, np.random.get_state()[1])


def ucla_rows():
    """Names of NW-UCLA, with the view they were seen from."""
    t = table("nw_ucla")
    for name, frames in t["frames"].items():
        action, subject = int(name[1:3]), int(name[5:7])
        for view, count in enumerate(frames, 1):
            if count:
                yield f"{name}_v{view:02d}", t["actions"].index(action), {"subject": subject, "camera": view}


def test_nw_ucla(tmp_path):
    t = table("nw_ucla")
    splits = {"xview": {"by": "camera", "train": t["train_views"], "test": t["test_views"]}}
    store = write_store(tmp_path / "ucla", clips_of(ucla_rows()), classes=t["classes"], splits=splits)
    whole = make_split(store, "xview")
    assert (len(whole.train_all), len(whole.test)) == (1020, 464) and len(whole.validation)
    split = make_split(store, "xview@lt10")
    assert len(split.train_all) == 403 and "100 to 10 clips a class, 403 in all" in split.note
    tail = fraction(store, whole, 0.05)
    assert np.bincount(store.labels[tail.train]).min() >= 1
