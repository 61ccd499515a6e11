"""Stores: what goes in comes out, memory stays flat, folders appear whole or not at all, damage is told."""

import errno
import json
import pickle
import resource
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skelbench.data import Store, container, describe, folders, import_data, list_data, load, verify, write_store, writing
from skelbench.errors import ConfigError, DataError
from skelbench.skeleton.clip import Clip, collate
from skelbench.skeleton.topology import Topology

CLASSES = ("wave", "sit", "fall")


def test_clips_come_back_bit_for_bit(store, clips):
    assert len(store) == len(clips) and store.bodies == 2 and store.coordinates == 3
    for i, clip in enumerate(clips):
        back = store[i]
        assert np.array_equal(back.joints, clip.joints) and back.joints.dtype == np.float32
        assert (back.id, back.label, back.fps) == (clip.id, clip.label, clip.fps)
        assert {k: back.about[k] for k in clip.about} == dict(clip.about)
    assert np.array_equal(store[-1].joints, clips[-1].joints)
    assert store.topology == clips[0].topology and store.classes == CLASSES


def test_a_clip_of_a_store_can_be_changed_without_touching_the_disk(store):
    clip = store[3]
    clip.joints[:] = 7
    assert not np.array_equal(store[3].joints, clip.joints)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.integers(0, 23), min_size=1, max_size=9))
def test_batch_is_what_collating_clip_by_clip_gives(store, rows):
    one, other = store.batch(rows), collate([store[r] for r in rows], rows)
    for key in ("joints", "lengths", "present", "labels", "rows"):
        assert torch.equal(getattr(one, key), getattr(other, key)), key
    assert one.ids == other.ids


def test_batch_takes_lists_arrays_and_tensors(store):
    want = store.batch([4, 2]).joints
    for rows in ((4, 2), np.array([4, 2], np.int32), torch.tensor([4, 2])):
        assert torch.equal(store.batch(rows).joints, want)
    for rows in ([24], [-1]):
        with pytest.raises(IndexError, match=r"outside 0..23"):
            store.batch(rows)
    for rows in ([], [0.5], [[1, 2]]):
        with pytest.raises(DataError, match="whole numbers"):
            store.batch(rows)


def test_rows_by_column(store, clips):
    want = [i for i, c in enumerate(clips) if c.about["camera"] == 2 and c.about["subject"] in (1, 3)]
    assert store.rows(camera=2, subject=[1, 3]).tolist() == want
    with pytest.raises(DataError, match="no column 'colour'; it has: start, length, label"):
        store.rows(colour=1)


def test_clips_npy_is_an_ordinary_npy_file(store, clips):
    frames = np.load(store.path / "clips.npy", allow_pickle=False)
    assert np.array_equal(frames, np.concatenate([c.joints for c in clips]))


def test_words_are_numbered_and_unknown_groups_stand_alone(tmp_path, make):
    people = ["ann", "bo", "ann"]
    clips = [
        Clip(
            joints=c.joints,
            topology=c.topology,
            label=c.label,
            id=c.id,
            about={"subject": p, "camera": "7", "note": "left out"} | g,
        )
        for c, p, g in zip(make(3), people, ({}, {"group": "take 9"}, {"group": "take 9"}), strict=True)
    ]
    store = write_store(tmp_path / "words", clips, classes=CLASSES)
    assert store.index["subject"].tolist() == [0, 1, 0] and store.meta.extra["names"]["subject"] == ["ann", "bo"]
    assert store.index["camera"].tolist() == [7, 7, 7] and "camera" not in store.meta.extra["names"]
    group = store.index["group"]
    assert group[1] == group[2] != group[0] and "note" not in store.index
    assert store.index["setup"].tolist() == [-1, -1, -1]


def test_meta_round_trip(tmp_path, make, tree):
    words = {"units": "metre", "presets": ["isc"], "licence": "CC0", "attribution": "nobody", "splits": {"xsub": {"train": [1]}}}
    store = write_store(tmp_path / "m", make(4), classes=CLASSES, name="M!", provenance={"from": "here"}, extra={"a": 1}, **words)
    meta = Store(tmp_path / "m").meta
    assert meta == store.meta and meta.topology == tree and meta.presets == ("isc",)
    assert (meta.name, meta.provenance, meta.extra) == ("M!", {"from": "here"}, {"a": 1})
    assert (meta.licence, meta.attribution, meta.splits) == ("CC0", "nobody", {"xsub": {"train": [1]}})


def test_fingerprint_follows_the_content(tmp_path, make):
    one = write_store(tmp_path / "one", make(6), classes=CLASSES)
    same = write_store(tmp_path / "two", make(6), classes=CLASSES, licence="other words")
    other = write_store(tmp_path / "three", make(6, seed=1), classes=CLASSES)
    renamed = write_store(tmp_path / "four", make(6), classes=("a", "b", "c"))
    assert one.fingerprint == same.fingerprint and len({one.fingerprint, other.fingerprint, renamed.fingerprint}) == 3


def test_memory_does_not_grow_with_the_dataset(tmp_path, make, tree):
    def peak(n):
        tracemalloc.start()
        clips = (Clip(joints=np.full((100, 2, 7, 3), i, np.float32), topology=tree, id=f"{i}", label=0) for i in range(n))
        write_store(tmp_path / f"n{n}", clips, classes=CLASSES)
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return top

    peak(10)
    grown = peak(600) - peak(60)  # 540 clips of 16.8 kB are 9 MB
    assert grown < 2e6


def test_fewer_bodies_are_padded_and_more_are_refused(tmp_path, make):
    one, two = list(make(2, bodies=1)), list(make(5, bodies=2, seed=3))[3:]
    store = write_store(
        tmp_path / "padded", [*two, *(Clip(joints=c.joints, topology=c.topology, id=f"x{c.id}") for c in one)], classes=CLASSES
    )
    assert store.bodies == 2 and not store[2].joints[:, 1].any()
    with pytest.raises(DataError, match=r"'clip_003' has 2 bodies and 3 coordinates, the store 1 bodies.*pass bodies=2"):
        write_store(tmp_path / "refused", [*one, *two], classes=CLASSES)
    assert write_store(tmp_path / "said", [*one, *two], classes=CLASSES, bodies=2).bodies == 2


def test_one_frame_clips(tmp_path, make):
    store = write_store(tmp_path / "short", make(3, longest=1), classes=CLASSES)
    assert store.index["length"].tolist() == [1, 1, 1] and store.batch([0, 1, 2]).joints.shape == (3, 3, 1, 7, 2)


def test_stores_travel_to_workers_by_path(store):
    again = pickle.loads(pickle.dumps(store))
    assert len(pickle.dumps(store)) < 1000 and np.array_equal(again[5].joints, store[5].joints)


# What goes wrong


def bad_clips(make, tree):
    good = list(make(3))
    joints = good[2].joints.copy()
    joints[1, 0, 4, 2] = np.nan
    big = good[2].joints.astype(np.float64) * 1e300
    other = Topology.from_dict({"name": "other", "joints": list("abcdefg"), "parents": [-1, 0, 1, 2, 3, 4, 5]})

    def last(**more):
        return [*good[:2], Clip(**{"joints": good[2].joints, "topology": tree, "id": "bad"} | more)]

    return {
        r"clip 'bad', frame 1: joint 4 of body 0 has the coordinate nan": last(joints=joints),
        r"clip 'bad', frame 0: joint 0 of body 0 has the coordinate -?inf": last(joints=big),
        r"clip 'bad' has label 3, but there are 3 classes": last(label=3),
        r"clip 'bad' has label -2": last(label=-2),
        r"clip 'bad' has no frames": last(joints=good[2].joints[:0]),
        r"clip 'bad' has another skeleton \('other', 7 joints\) than the first clip 'clip_000'": last(topology=other),
        r"clip 'bad' has 60 frames a second, the first clip 30": last(fps=60.0),
        r"clip 'clip_000' stands twice": last(id="clip_000"),
        r"a clip name has 1 to 200 characters": last(id="<b>x</b>"),
        r"not a single clip": [],
    }


CASES = range(10)


@pytest.mark.parametrize("case", CASES)
def test_a_bad_clip_is_named_and_nothing_is_left(case, tmp_path, make, tree, unchanged):
    cases = bad_clips(make, tree)
    assert len(cases) == len(CASES)
    match, clips = list(cases.items())[case]
    unchanged()
    with pytest.raises(DataError, match=match):
        write_store(tmp_path / "new" / "deeper" / "bad", clips, classes=CLASSES)
    unchanged()


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "a b", "a\nb", "ends.", "x" * 81, "-dash", "ü"])
def test_names_that_are_not_safe_folder_names(name, home, make, tmp_path, unchanged):
    unchanged()
    with pytest.raises(DataError, match="cannot name a dataset"):
        import_data(tmp_path, name)
    unchanged()
    with pytest.raises(DataError, match="cannot name a dataset"):
        folders.check_name("a/b")


@pytest.mark.parametrize("classes", [(), ("a", "a"), ("a", "")])
def test_classes_must_be_names(classes, tmp_path, make):
    with pytest.raises(DataError, match="classes must be different names"):
        write_store(tmp_path / "c", make(2), classes=classes)


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt(), RuntimeError("reader broke")]
)
@pytest.mark.parametrize("place", ["frames", "table", "sync"])
def test_a_write_that_ends_early_leaves_nothing(error, place, tmp_path, make, monkeypatch, unchanged):
    def refuse(*_args, **_kwargs):
        raise error

    target = {"frames": (writing.FrameWriter, "append"), "table": (np, "savez"), "sync": (folders, "sync")}[place]
    monkeypatch.setattr(*target, refuse)
    unchanged()
    wanted, match = (
        (DataError, "No space left on device.*nothing was left behind") if isinstance(error, OSError) else (type(error), None)
    )
    with pytest.raises(wanted, match=match):
        write_store(tmp_path / "new" / "set", make(5), classes=CLASSES)
    unchanged()


def test_a_disk_that_really_refuses(tmp_path, tree, unchanged):
    clips = (Clip(joints=np.ones((1000, 1, 7, 3), np.float32), topology=tree, id=f"{i}", label=0) for i in range(30))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    unchanged()
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    try:
        with pytest.raises(DataError, match="File too large"):
            write_store(tmp_path / "big", clips, classes=CLASSES)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    unchanged()


def test_a_failed_replacement_keeps_the_old_dataset(store, make, monkeypatch, unchanged):
    unchanged()
    with pytest.raises(DataError, match="exists already; choose another name, or pass overwrite=True"):
        write_store(store.path, make(3), classes=CLASSES)
    clips = list(make(3))
    with pytest.raises(DataError, match="label"):
        write_store(store.path, clips, classes=("one",), overwrite=True)
    unchanged()
    verify(Store(store.path))
    assert len(write_store(store.path, clips, classes=CLASSES, overwrite=True)) == 3
    unchanged()


def test_a_rename_that_fails_puts_the_old_dataset_back(store, make, monkeypatch, unchanged):
    real, calls = Path.rename, []

    def rename(self, target):
        calls.append(target)
        if len(calls) == 2:  # the old one is aside, the new one is about to take its place
            raise OSError(errno.EIO, "Input/output error")
        return real(self, target)

    unchanged()
    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(DataError, match="Input/output error"):
        write_store(store.path, make(3), classes=CLASSES, overwrite=True)
    unchanged()
    assert len(calls) == 3 and len(Store(store.path)) == 24


def test_overwrite_replaces_nothing_but_datasets(tmp_path, make, unchanged):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter.txt").write_text("dear")
    (tmp_path / "file").write_text("dear")
    unchanged()
    for path in (tmp_path / "home", tmp_path / "file"):
        with pytest.raises(DataError, match="not a dataset folder written by skelbench"):
            write_store(path, make(3), classes=CLASSES, overwrite=True)
    unchanged()


def edit_meta(**changes):
    def edit(path):
        table = json.loads((path / "meta.json").read_text())
        (path / "meta.json").write_text(json.dumps({k: v for k, v in (table | changes).items() if v is not None}))

    return edit


def edit_index(**changes):
    def edit(path):
        with np.load(path / "index.npz") as arrays:
            table = dict(arrays) | {k: change(arrays[k]) for k, change in changes.items()}
        np.savez(path / "index.npz", **{k: v for k, v in table.items() if v is not None})

    return edit


def put(row, value):
    def change(column):
        column[row] = value
        return column

    return change


def cut(name, keep):
    def edit(path):
        content = (path / name).read_bytes()
        (path / name).write_bytes(content[:keep])

    return edit


DAMAGE = [
    (lambda p: (p / "meta.json").unlink(), r"meta.json: cannot be read \(No such file"),
    (lambda p: (p / "clips.npy").unlink(), r"clips.npy: cannot be read \(No such file"),
    (lambda p: (p / "index.npz").unlink(), r"index.npz: cannot be read \(No such file"),
    (cut("meta.json", 300), r"meta.json:\d+: not valid JSON"),
    (cut("meta.json", 0), r"meta.json:1: not valid JSON"),
    (cut("clips.npy", -4), r"clips.npy: \d+ bytes, but its header .* needs \d+"),
    (cut("clips.npy", 40), r"clips.npy: not an npy file"),
    (cut("index.npz", 200), r"index.npz: damaged"),
    (edit_meta(version=99), r"version 99; wanted 'skelbench-store', version 1"),
    (edit_meta(classes="abc"), r"damaged, 'classes' should be a list and is a str"),
    (edit_meta(topology=None), r"damaged, 'topology' should be a dict and is nothing"),
    (edit_meta(fps=0), r"'fps' above zero"),
    (
        edit_meta(topology={"joints": ["a", "b"], "parents": [-1, 0]}),
        r"clips.npy has 7 joints, the topology 'custom' in meta.json 2",
    ),
    (edit_meta(classes=["only"]), r"label 1, but there are 1 classes"),
    (lambda p: (p / "meta.json").write_text('{"fps": NaN}'), r"meta.json: holds NaN"),
    (lambda p: (p / "meta.json").write_text("[1]"), r"wanted one JSON object, found a list"),
    (lambda p: (p / "meta.json").write_text("[" * 100_000), r"nested too deeply"),
    (lambda p: (p / "meta.json").write_bytes(b"\xff\xfe"), r"not UTF-8"),
    (edit_index(start=put(5, -1)), r"index.npz: clip 5 wants \d+ frames from -1"),
    (edit_index(length=put(23, 10**12)), r"index.npz: clip 23 wants 1000000000000 frames"),
    (edit_index(length=put(2, 0)), r"clip 2 wants 0 frames"),
    (edit_index(label=put(4, 9)), r"clip 4 has label 9"),
    (edit_index(group=lambda _: None), r"the column 'group' is missing"),
    (edit_index(camera=lambda c: c[:3]), r"'camera' is int64 \(3,\), wanted whole numbers, one a clip"),
    (edit_index(camera=lambda c: c.astype(float)), r"'camera' is float64"),
    (edit_index(camera=lambda c: c.astype(object)), r"index.npz: damaged \(Object arrays cannot be loaded"),
]


@pytest.mark.parametrize("case", range(len(DAMAGE)))
def test_a_damaged_store_says_what_is_wrong(case, store):
    damage, match = DAMAGE[case]
    damage(store.path)
    with pytest.raises(DataError, match=match):
        Store(store.path)


def test_a_header_may_claim_anything(store):
    path = store.path / "clips.npy"
    content = path.read_bytes()
    shape = str(tuple(store.frames.shape)).encode()
    huge = str((10**12, *store.frames.shape[1:])).encode()
    path.write_bytes(content.replace(shape, huge, 1).replace(b" " * (len(huge) - len(shape)) + b"\n", b"\n", 1))
    with pytest.raises(DataError, match=r"its header \(1000000000000, 2, 7, 3\) needs"):
        container.map_frames(path)


@pytest.mark.parametrize("file, place", [("clips.npy", 4000), ("index.npz", None)])
def test_verify_finds_a_flipped_bit(file, place, store):
    verify(store)
    path = store.path / file
    if place is None:
        edit_index(subject=put(0, 77))(store.path)
    else:
        content = bytearray(path.read_bytes())
        content[place] ^= 1
        path.write_bytes(content)
    with pytest.raises(DataError, match=f"{file}: checksum is"):
        verify(Store(store.path))


# Names and listings


def test_load_by_name_and_by_path(home, make):
    write_store(home / "mine", make(3), classes=CLASSES)
    assert len(load("mine")) == len(load(home / "mine")) == len(load(str(home / "mine"))) == 3
    with pytest.raises(DataError, match=r"no dataset 'yours' under .* \(there: mine\); bring one in with"):
        load("yours")
    for name in ("playground:", "playground:x", "playground:0", "playground:-3"):
        with pytest.raises(ConfigError, match="wanted playground:<number of clips>"):
            load(name)


def test_listings_and_descriptions_escape_what_they_show(home, make):
    assert "no datasets" in str(list_data()) and "no datasets" in list_data()._repr_html_()
    evil = "<script>alert(1)</script>"
    store = write_store(home / "evil", make(4), classes=(evil, "b", "c"), licence=evil, name=evil)
    (home / "broken").mkdir()
    (home / ".half.part").mkdir()
    listed = list_data()
    assert [r.name for r in listed.rows] == ["broken", "evil"] and "does not open" in str(listed)
    told = describe("evil")
    assert "clips" in str(told) and "4" in str(told) and evil in str(told)
    for page in (listed._repr_html_(), told._repr_html_(), store._repr_html_()):
        assert "<script>" not in page and "&lt;script&gt;" in page
