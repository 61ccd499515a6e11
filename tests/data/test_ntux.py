"""NTU-X: arrays against the files, labels from lists and names, sides, and files that do not fit."""

import pickle
import shutil

import h5py
import numpy as np
import pytest
from samples_ntux import write_clip, write_sample

from skelbench.data import make_split, write_store
from skelbench.data.formats import ntux
from skelbench.data.tables import ntu_classes
from skelbench.errors import DataError
from skelbench.skeleton.topology import topology


@pytest.fixture
def folder(tmp_path):
    return write_sample(tmp_path / "ntux", np.random.default_rng(0))


def clips_of(path, **options):
    source = ntux.read(path, **options)
    return source, list(source.clips)


def test_every_number_of_every_clip(folder):
    source, clips = clips_of(folder)
    assert (len(clips), source.total, source.bodies) == (12, 12, 2) and source.classes == ntu_classes(60)
    assert source.provenance["notes"] == []
    for clip in clips:
        side = "test" if "P003" in clip.id else "train"
        with h5py.File(folder / side / f"{clip.id}.h5") as file:
            array = file["joints"][()]
        C, T, V, M = array.shape
        assert clip.joints.shape == (T, M, V, C) and clip.topology == topology("ntu_x_67")
        for c in range(C):
            for m in range(M):
                assert np.array_equal(clip.joints[:, m, :, c], array[c, :, :, m])
        assert clip.label == int(clip.id[-3:]) - 1 and clip.about["split_xsub"] == (2 if side == "test" else 1)
        assert (clip.about["subject"], clip.about["camera"], clip.about["setup"]) == (int(clip.id[9:12]), int(clip.id[5:8]), 1)


def test_sides(folder, tmp_path):
    source = ntux.read(folder)
    store = write_store(tmp_path / "store", source.clips, classes=source.classes, splits=source.splits)
    split = make_split(store, "xsub")  # by folder: P003 tests, P004 trains here
    assert {store.ids[r][8:12] for r in split.test} == {"P003"} and len(split.train_all) == 9
    assert {store.ids[r][4:8] for r in make_split(store, "xview").test} == {"C001"}
    source, _ = clips_of(folder / "train")  # names alone: the official subjects
    assert source.splits["xsub"]["by"] == "subject"


def test_labels_from_lists(folder):
    names = [f.stem for f in (folder / "train").iterdir()]
    for content in ((names, [3] * 9), [(names, np.full(9, 3)), "more"], ([f"{n}.skeleton" for n in names], [3.0] * 9)):
        (folder / "train_label_60.pkl").write_bytes(pickle.dumps(content))
        source, clips = clips_of(folder)
        assert [c.label for c in clips if "P003" not in c.id] == [3] * 9 and source.provenance["notes"] == [
            "9 labels of the lists differ from the action in the name"
        ]
    assert source.classes[3] == "class 3" and source.provenance["labels"] == "numbered, for want of names"
    assert any("classes" in m for m in ntux.describe(folder)["missing"])
    assert ntux.read(folder, classes="ntu60").classes == ntu_classes(60)
    (folder / "train_label_60.pkl").unlink()
    assert [c.label for c in clips_of(folder)[1]] == [int(c.id[-3:]) - 1 for c in clips]  # the names say it, too


def test_other_names(tmp_path):
    for name in ("b.h5", "a.HDF5"):
        write_clip(tmp_path / name, np.ones((3, 2, 67, 1)))
    source, clips = clips_of(tmp_path)
    assert [c.id for c in clips] == ["a", "b"] and [c.label for c in clips] == [0, 0] and source.classes == ("unlabelled",)
    assert source.splits == {} and clips[0].about == {}
    assert ntux.describe(tmp_path)["missing"] == ["labels: train_label_60.pkl and test_label_60.pkl"]
    (tmp_path / "train_label_60.pkl").write_bytes(pickle.dumps((["b"], [1])))
    source, clips = clips_of(tmp_path)
    assert [c.label for c in clips] == [-1, 1] and source.provenance["notes"] == ["1 clips without a label"]


def test_the_face(tmp_path):
    array = np.random.default_rng(0).normal(size=(3, 5, 118, 2)).astype(np.float16)
    write_clip(tmp_path / "S001C001P001R001A060.h5", array)
    _, (whole,) = clips_of(tmp_path)
    _, (body,) = clips_of(tmp_path, face=False)
    _, (same,) = clips_of(tmp_path, topology=topology("ntu_x_67"))
    assert whole.topology == topology("ntu_x_118") and body.topology == topology("ntu_x_67") == same.topology
    assert np.array_equal(whole.joints[:, :, :67], body.joints) and np.array_equal(same.joints, body.joints)
    assert whole.joints.dtype == np.float32


def test_describe_and_sniff(folder, tmp_path):
    facts = ntux.describe(folder)
    assert facts["clips"] == 12 and facts["skeleton"] == "ntu_x_67, 67 joints, 3 coordinates" and facts["missing"] == []
    assert "xsub" in facts["splits"] and set(facts["options"]) == {"topology", "classes", "face", "bodies", "fps"}
    assert ntux.sniff(folder) and ntux.sniff(next((folder / "test").iterdir())) and not ntux.sniff(tmp_path / "none")
    (tmp_path / "other").mkdir()
    write_clip(tmp_path / "other" / "a.h5", np.ones((3, 2, 25, 1)))
    (tmp_path / "other" / "b.h5").write_bytes(b"no")
    assert not ntux.sniff(tmp_path / "other")


BAD = [
    (np.ones((2, 4, 67, 2)), r"A001.h5: the last array has size \(2, 4, 67, 2\), wanted \(3, frames, 67 or 118 joints, bodies\)"),
    (np.ones((3, 4, 25, 2)), r"A001.h5: the last array has size \(3, 4, 25, 2\)"),
    (np.ones((3, 67, 2)), r"A001.h5: the last array has size \(3, 67, 2\)"),
    (np.ones((3, 4, 118, 2)), r"A001.h5: 118 joints and 2 bodies, wanted the 67 joints of S001C001P001R001A007.h5"),
    (np.ones((3, 4, 67, 3)), r"A001.h5: 67 joints and 3 bodies, wanted the 67 joints .* up to 2 bodies; .* pass bodies="),
    (np.full((3, 4, 67, 2), np.nan), "A001.h5: frame 0 holds a coordinate that is not a finite number"),
    (np.full((3, 4, 67, 2), 1e300), "A001.h5: frame 0 holds a coordinate"),
]


@pytest.mark.parametrize("case", range(len(BAD)))
def test_arrays_that_do_not_fit(case, tmp_path):
    array, match = BAD[case]
    write_clip(tmp_path / "S001C001P001R001A007.h5", np.ones((3, 2, 67, 2)))
    write_clip(tmp_path / "S001C002P001R001A001.h5", array)
    with pytest.raises(DataError, match=match):
        clips_of(tmp_path)


LISTS = [
    (7, "wanted the pair"),
    ([], "wanted the pair"),
    ((["a"], [1], [2]), "wanted the pair"),
    ((["a", 3], [1, 2]), "entry 1 of the names is no name"),
    ((["a"], [1, 2]), "1 names but 2 labels"),
    ((["a"], [-2]), "label 0"),
    ((["a"], [1.5]), "label 0"),
    ((["a"], [10_000]), "label 10000; wanted labels below 10000"),
    ((["a"], ["x"]), "label 0"),
    ((["a"], {"x": 1}), "wanted the pair"),
    ((["a"], print), "builtins"),
]


@pytest.mark.parametrize("case", range(len(LISTS)))
def test_lists_that_do_not_fit(case, folder):
    content, match = LISTS[case]
    (folder / "train_label_60.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(DataError, match=match) as caught:
        ntux.read(folder)
    assert "train_label_60.pkl" in str(caught.value)


def test_files_that_stand_twice_or_nowhere(folder, tmp_path):
    with pytest.raises(DataError, match="none: no such file or folder"):
        ntux.read(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty: holds no .h5 file"):
        ntux.read(tmp_path / "empty")
    with pytest.raises(DataError, match="bodies must be at least 1, got 0"):
        ntux.read(folder, bodies=0)
    (folder / "train_label_120.pkl").write_bytes(pickle.dumps(([], [])))
    with pytest.raises(DataError, match=r"train_label_60.pkl: a second list like .*train_label_120.pkl"):
        ntux.read(folder)
    (folder / "train_label_120.pkl").unlink()
    file = next((folder / "train").iterdir())
    shutil.copy(file, folder / "test" / file.name)
    with pytest.raises(DataError, match=r"the same clip as .*; keep one of them"):
        ntux.read(folder)
