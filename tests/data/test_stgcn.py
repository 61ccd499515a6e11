"""Arrays of ST-GCN and its descendants: every number, lengths by padding and by list, labels in all their forms, and damage."""

import pickle
import tracemalloc

import numpy as np
import pytest
from mutations import mutate_one
from samples_stgcn import FRAMES, array_of, names_of, write_sample, write_sides

from skelbench.data import import_data, make_split
from skelbench.data.formats import recognise, stgcn
from skelbench.data.formats.label_pickle import read_label_pickle
from skelbench.data.tables import ntu_classes, table
from skelbench.errors import DataError
from skelbench.skeleton.topology import topology


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def clips_of(path, **options):
    source = stgcn.read(path, **options)
    return source, list(source.clips)


def naive(data, frames):
    """(C, T, V, M) -> (T, M, V, C), number by number."""
    C, _, V, M = data.shape
    joints = np.zeros((frames, M, V, C), np.float32)
    for t in range(frames):
        for m in range(M):
            for v in range(V):
                joints[t, m, v] = [data[c, t, v, m] for c in range(C)]
    return joints


@pytest.mark.parametrize("replayed", [False, True])
def test_every_number_and_every_length(tmp_path, rng, replayed):
    arrays = write_sides(tmp_path / "xsub", rng, replayed=replayed)
    source, clips = clips_of(tmp_path)
    data, lengths = (np.concatenate([arrays[f"train{end}"], arrays[f"val{end}"]]) for end in ("", "_frames"))
    assert (source.total, source.bodies, source.units) == (16, 2, "metre") and source.classes == ntu_classes(60)
    assert source.presets == (("isc",) if replayed else ())
    names = [n.removesuffix(".skeleton") for n in (*names_of("train"), *names_of("val"))]
    for clip, row, frames, name in zip(clips, data, lengths, names, strict=True):
        assert np.array_equal(clip.joints, naive(row, frames)) and clip.id == name and clip.label == int(name[-3:]) - 1
        assert (clip.about["subject"], clip.about["camera"]) == (int(name[9:12]), int(name[5:8]))
        assert clip.topology == topology("kinect_v2_25")
    assert source.provenance["notes"] == []


def test_the_split_is_the_folder(tmp_path, rng, home):
    for folder, name in (("xsub", "xsub"), ("xview", "xview"), ("xsetup", "xset"), ("data", "official")):
        write_sides(tmp_path / folder / folder, rng, replayed=True)
        store = import_data(tmp_path / folder, folder, progress=False)
        assert next(iter(store.meta.splits)) == name and {"xsub", "xview"} <= set(store.meta.splits) and "NTU" in store.meta.licence
        split = make_split(store, name)
        assert split.train_all.tolist() == list(range(8)) and split.test.tolist() == list(range(8, 16))
        assert split.by == {"xsub": "subject", "xview": "camera", "xset": "setup", "official": "group"}[name]
    with pytest.raises(DataError, match=r"holds 4 datasets \(data/data, xsetup/xsetup, xsub/xsub, .*; name one of these folders"):
        clips_of(tmp_path)
    source, clips = clips_of(tmp_path / "xsub" / "xsub" / "val_data_joint.npy")
    assert len(clips) == 8 and "split_xsub" not in str(source.splits) and clips[0].about["split_xsub"] == 2
    for part in ("data_joint.npy", "label.pkl", "num_frame.npy"):
        (tmp_path / "xsub" / "xsub" / f"test_{part}").write_bytes((tmp_path / "xsub" / "xsub" / f"val_{part}").read_bytes())
    source, clips = clips_of(tmp_path / "xsub")
    rule = source.splits["xsub"]
    assert (rule["train"], rule["validation"], rule["test"]) == ([1], [3], [2]) and len({c.id for c in clips}) == 24


def test_replayed_clips_without_a_list_of_lengths(tmp_path, rng):
    write_sides(tmp_path, rng, replayed=True, lengths=False)
    told = stgcn.describe(tmp_path)
    assert [m.split(":")[0] for m in told["missing"]] == ["train_num_frame.npy", "val_num_frame.npy"]
    source, clips = clips_of(tmp_path)
    assert {len(c) for c in clips} == {FRAMES}
    assert source.provenance["notes"][0].startswith(f"16 clips fill all {FRAMES} frames and have no number of frames")


def test_lengths_that_are_too_large(tmp_path, rng):
    """``num_frame`` counts frames without a body, too; what is not there is not read."""
    arrays = write_sides(tmp_path, rng, replayed=False)
    np.save(tmp_path / "train_num_frame.npy", arrays["train_frames"] + 100)
    np.save(tmp_path / "val_num_frame.npy", np.zeros(8))
    _, clips = clips_of(tmp_path)
    assert [len(c) for c in clips[:8]] == arrays["train_frames"].tolist() and [len(c) for c in clips[8:]] == [1] * 8


def test_streams(tmp_path, rng):
    arrays = write_sides(tmp_path, rng, replayed=True)
    for side in ("train", "val"):
        np.save(tmp_path / f"{side}_data_joint_motion.npy", arrays[side] * 2)
    assert np.array_equal(clips_of(tmp_path)[1][0].joints * 2, clips_of(tmp_path, stream="joint_motion")[1][0].joints)
    with pytest.raises(DataError, match=r"has the streams 'joint', 'joint_motion'; joints are wanted"):
        clips_of(tmp_path, stream="bone")
    for side in ("train", "val"):
        (tmp_path / f"{side}_data_joint.npy").unlink()
    with pytest.raises(DataError, match=r"has the streams 'joint_motion'; joints are wanted .*stream="):
        clips_of(tmp_path)


def kinetics(folder, rng, *, upwards=False):
    """Two clips of 18 joints; x and y around zero, a score."""
    folder.mkdir(parents=True, exist_ok=True)
    data = rng.uniform(0.1, 1, size=(2, 3, FRAMES, 18, 2)).astype(np.float32)
    data[:, :2] -= 0.5
    data[:, 1, :, 0], data[:, 1, :, 10], data[:, 1, :, 13] = -0.4, 0.4, 0.4
    data[:, 1] *= -1 if upwards else 1
    np.save(folder / "val_data.npy", data)
    (folder / "val_label.pkl").write_bytes(pickle.dumps((["a.json", "b.json"], [0, 399])))
    return data


def test_kinetics_has_scores_and_a_picture(tmp_path, rng):
    for upwards in (False, True):
        data = kinetics(tmp_path, rng, upwards=upwards)
        source, clips = clips_of(tmp_path)
        assert [c.id for c in clips] == ["a", "b"] and len(source.classes) == 400 and source.classes[399] == "class 399"
        assert clips[0].topology == topology("openpose_18") and np.array_equal(clips[0].joints, naive(data[0], FRAMES))
        assert source.units == "image" and source.extra.get("image", False) is not upwards
    assert "skeleton" in stgcn.describe(tmp_path) and stgcn.describe(tmp_path)["skeleton"].startswith("openpose_18, 18 joints")


def test_other_layouts_must_be_told(tmp_path, rng):
    data, _ = array_of(2, rng, joints=20)
    np.save(tmp_path / "train_data.npy", data)
    (tmp_path / "train_label.pkl").write_bytes(pickle.dumps((["a", "b"], [0, 1])))
    with pytest.raises(
        DataError, match=r"train_data.npy: 20 joints, and the file does not say which; pass topology='kinect_v1_20'"
    ):
        clips_of(tmp_path)
    assert stgcn.describe(tmp_path)["missing"][-1].startswith("topology: which 20 joints these are; pass topology='kinect_v1_20'")
    assert clips_of(tmp_path, topology=topology("kinect_v1_20"))[1][0].topology == topology("kinect_v1_20")
    data, _ = array_of(2, rng, joints=25)
    np.save(tmp_path / "train_data.npy", data)
    source, clips = clips_of(tmp_path, topology=topology("openpose_body25"))
    assert clips[0].joints.shape[3] == 3 and clips[0].topology.dims == 2 and source.units == "pixel"


LABELS = [
    ((["a", "b"], [0, 1]), [0, 1]),
    ([["a", "b"], [0, 1]], [0, 1]),
    ([(["a", "b"], [0, 1])], [0, 1]),  # PSUMNet: names at [0][0], labels at [0][1]
    ([[["a", "b"], [0, 1]], "more"], [0, 1]),
    ((["a", "b"], [0.0, 50.0]), [0, 50]),  # HaLP, PKU-MMD
    ((np.array(["a", "b"]), np.array([3, 4], np.int32)), [3, 4]),
    ((("a", "b"), (np.int64(1), np.float64(2))), [1, 2]),
    ((["a", "b"], np.array([1.0, -1.0])), [1, -1]),
]


@pytest.mark.parametrize("case", range(len(LABELS)))
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_labels_in_all_their_forms(case, protocol, tmp_path):
    given, wanted = LABELS[case]
    (tmp_path / "l.pkl").write_bytes(pickle.dumps(given, protocol))
    names, labels = read_label_pickle(tmp_path / "l.pkl")
    assert names == ["a", "b"] and labels.dtype == np.int64 and labels.tolist() == wanted


BAD_LABELS = [
    ({"a": 1}, r"l.pkl: wanted the pair \(names, labels\), two lists; found a dict"),
    ([0, 1], r"wanted the pair"),
    ((["a"], [0], [1]), r"wanted the pair"),
    ((["a", "b"], [0]), r"2 names but 1 labels"),
    (([], []), r"holds no label"),
    (([1, 2], [0, 1]), r"entry 0 of the names is no name"),
    (([[1], [2]], [0, 1]), r"entry 0 of the names is no name"),
    (([{}], [{}]), r"wanted the pair"),
    ((["a", "b"], [0, 1.5]), r"label 1 \('b'\) must be a whole number from -1 .*, found 1.5"),
    ((["a", "b"], [0, "x"]), r"label 1 \('b'\) must be a whole number"),
    ((["a", "b"], np.array([0, 2**40])), r"label 1 is 1099511627776, wanted -1 to"),
    ((["a", ""], [0, 1]), r"entry 1 of the names is no name"),
]


@pytest.mark.parametrize("case", range(len(BAD_LABELS)))
def test_labels_that_are_none(case, tmp_path):
    given, match = BAD_LABELS[case]
    (tmp_path / "l.pkl").write_bytes(pickle.dumps(given))
    with pytest.raises(DataError, match=match):
        read_label_pickle(tmp_path / "l.pkl")


def test_names_that_stand_twice_and_classes_of_pku(tmp_path, rng):
    """Several instances of one video carry its name."""
    folder = tmp_path / "pku_part1" / "xsub"
    folder.mkdir(parents=True)
    data, _ = array_of(3, rng)
    np.save(folder / "train_data_joint.npy", data)
    (folder / "train_label_51.pkl").write_bytes(pickle.dumps((["0001-L.txt", "0001-L.txt", "a/b<"], [0.0, 50.0, 3.0])))
    source, clips = clips_of(tmp_path)
    assert [c.id for c in clips] == ["0001-L_000001", "0001-L_000002", "a_b_"]
    assert source.classes == tuple(table("pku_mmd")["classes"])


def test_clips_without_anybody(tmp_path, rng):
    arrays = write_sides(tmp_path, rng, replayed=False)
    arrays["train"][2] = 0
    np.save(tmp_path / "train_data.npy", arrays["train"])
    source, clips = clips_of(tmp_path)
    assert len(clips) == 15 and source.provenance["empty"] == [names_of("train")[2].removesuffix(".skeleton")]
    for side in ("train", "val"):
        np.save(tmp_path / f"{side}_data.npy", arrays[side] * 0)
    with pytest.raises(DataError, match="nobody in any frame of 16 clips"):
        clips_of(tmp_path)


def test_descriptions(tmp_path, rng):
    folder = write_sample(tmp_path / "in", rng)
    assert recognise(folder) == recognise(folder / "xsub" / "train_data_joint.npy") == "stgcn"
    told = stgcn.describe(folder)
    assert (told["clips"], told["train"], told["val"], told["bodies"]) == (16, 8, 8, 2) and told["missing"] == []
    assert told["splits"] == ["xsub"] and told["classes"] == list(ntu_classes(60)) and "stream" in told["options"]
    (tmp_path / "empty").mkdir()
    np.save(tmp_path / "empty" / "train_data.npy", np.zeros((2, 3)))
    assert not stgcn.sniff(tmp_path / "empty") and not stgcn.sniff(tmp_path / "gone")
    with pytest.raises(DataError, match=r"train_data.npy: is float64 \(2, 3\), wanted floats \(clips, 2 or 3 coordinates"):
        clips_of(tmp_path / "empty")
    with pytest.raises(DataError, match=r"label.pkl: holds no array called train_data.npy"):
        clips_of(folder / "xsub" / "train_label.pkl")


def test_memory_does_not_grow_with_the_clips(tmp_path, rng, home):
    np.save(tmp_path / "train_data.npy", rng.normal(size=(200, 3, 100, 25, 2)).astype(np.float32))  # 12 MB
    (tmp_path / "train_label.pkl").write_bytes(pickle.dumps(([f"c{n}" for n in range(200)], [n % 4 for n in range(200)])))
    tracemalloc.start()
    import_data(tmp_path, "big", format="stgcn", progress=False)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6e6


def drop(name):
    return lambda folder: (folder / name).unlink()


def save(name, array):
    return lambda folder: np.save(folder / name, array)


def put(name, content):
    return lambda folder: (folder / name).write_bytes(content)


BAD = [
    (drop("train_label.pkl"), r"train_data_joint.npy: wanted its labels beside it, in train_label.pkl; there are: none"),
    (put("train_label.pkl", b"cos\nsystem\n(S'ls'\ntR."), r"train_label.pkl: the pickle holds os.system, which no data needs"),
    (put("train_label.pkl", pickle.dumps((["a"], [0]))), r"train_label.pkl: 1 labels, but train_data_joint.npy has 8 clips"),
    (save("train_num_frame.npy", np.ones(3, int)), r"train_num_frame.npy: is int64 \(3,\), wanted one number for each of 8 clips"),
    (save("train_num_frame.npy", np.full(8, -1)), r"train_num_frame.npy: clip 0 has -1 frames"),
    (save("train_num_frame.npy", np.full(8, np.nan)), r"train_num_frame.npy: clip 0 has nan frames"),
    (save("train_num_frame.npy", np.array(["a"] * 8)), r"train_num_frame.npy: is <U1 \(8,\)"),
    (save("train_data_joint.npy", np.zeros((8, 3, 24, 25, 2), int)), r"train_data_joint.npy: is int64"),
    (save("train_data_joint.npy", np.ones((8, 4, 24, 25, 2))), r"train_data_joint.npy: is float64 \(8, 4, 24, 25, 2\)"),
    (save("train_data_joint.npy", np.ones((8, 3, 9, 25, 2))), r"the arrays have the shapes .* a clip; wanted equal ones"),
    (save("train_data_joint.npy", np.array([{}], object)), r"train_data_joint.npy is pickled; save plain arrays"),
    (save("train_data_joint.npy", np.full((8, 3, 24, 25, 2), np.nan)), r"frame 0: joint 0 of body 0 has the coordinate nan"),
    (save("train_data_joint.npy", np.full((8, 3, 24, 25, 2), 1e300)), r"frame 0: joint 0 of body 0 has the coordinate inf"),
    (put("val_data_joint.npy", b""), r"val_data_joint.npy: not an npy array"),
]


@pytest.mark.parametrize("case", range(len(BAD)))
def test_the_door_is_strict(case, tmp_path, rng, home, unchanged):
    change, match = BAD[case]
    write_sides(tmp_path / "xsub", rng, replayed=True)
    change(tmp_path / "xsub")
    unchanged()
    with pytest.raises(DataError, match=match):
        import_data(tmp_path / "xsub", "a", format="stgcn", progress=False)
    with pytest.raises(DataError, match="fps must be a number above zero"):
        stgcn.read(tmp_path / "xsub", fps=0)
    unchanged()


def test_mutated_files_end_in_clips_or_a_data_error(tmp_path, rng):
    ended = [0, 0]
    for _ in range(120):
        folder = write_sample(tmp_path / "in", rng)
        mutate_one(folder, rng)
        try:
            stgcn.sniff(folder)
            stgcn.describe(folder)
            for clip in stgcn.read(folder).clips:
                assert len(clip) > 0
            ended[0] += 1
        except DataError as error:
            assert str(tmp_path) in str(error)
            ended[1] += 1
    assert min(ended) > 0
