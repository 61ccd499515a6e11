"""Kinetics-skeleton: the best two of five against a plain loop, frame numbers, empty clips, labels, and bad input."""

import json

import numpy as np
import pytest
from mutations import mutate_one
from samples_kinetics import LABELS, clip, frame, write_sample

from skelbench.data import import_data, make_split
from skelbench.data.formats import kinetics
from skelbench.errors import DataError
from skelbench.skeleton.topology import topology


def read(path, **options):
    source = kinetics.read(path, **options)
    return source, {c.id: c for c in source.clips}


def write(path, table):
    path.write_text(json.dumps(table))
    return path


def naive(table, bodies=2, most=5):
    """One frame, one person at a time."""
    numbers = [f["frame_index"] for f in table["data"]]
    joints = np.zeros((max(numbers) - min(numbers) + 1, bodies, 18, 3))
    for f in table["data"]:
        people = sorted(f["skeleton"][:most], key=lambda p: -sum(p["score"]))  # a stable sort
        for slot, person in enumerate(people[:bodies]):
            for v, score in enumerate(person["score"]):
                if score > 0:
                    joints[f["frame_index"] - min(numbers), slot, v] = *person["pose"][2 * v : 2 * v + 2], score
    return joints


@pytest.mark.parametrize("seed", range(6))
def test_people_and_frames_against_a_plain_loop(seed, tmp_path):
    rng = np.random.default_rng(seed)
    numbers = rng.permutation(40)[:20]
    table = clip([frame(int(t), int(rng.integers(0, 8)), rng) for t in numbers], "tap dancing")
    table["data"][3]["skeleton"][:2] = [dict(p) for p in frame(0, 1, rng)["skeleton"] * 2]  # equal scores keep their order
    for bodies, most in ((2, 5), (1, 1), (3, 7)):
        _, clips = read(write(tmp_path / "a.json", table), bodies=bodies, most=most)
        assert np.allclose(clips["a"].joints, naive(table, bodies, most), atol=1e-6)


def test_a_sample_becomes_a_store(home, tmp_path):
    folder = write_sample(tmp_path / "in", np.random.default_rng(0))
    assert kinetics.sniff(folder) and kinetics.sniff(folder / "kinetics_val") and not kinetics.sniff(home)
    store = import_data(folder, "kin", format="kinetics", progress=False)
    assert store.classes == tuple(LABELS) and len(store) == 7 and store.bodies == 2 and store.coordinates == 3
    assert store.topology == topology("openpose_18") and store.meta.units == "image" and store.up == "-y"
    assert store.labels.tolist() == [0, 1, 2, 0, 0, 1, 2] and store.ids[0] == "_train-0x"
    split = make_split(store, "official", holdout=0.3)
    assert split.test.tolist() == [4, 5, 6] and split.train_all.tolist() == [0, 1, 2, 3]
    facts = kinetics.describe(folder)
    assert facts["clips"] == 7 and facts["classes"] == list(LABELS) and facts["splits"] == ["official"] and facts["missing"] == []


def test_labels_without_label_files_and_with_one_side(tmp_path):
    folder = write_sample(tmp_path / "in", np.random.default_rng(1))
    with_lists, clips = read(folder / "kinetics_val")
    assert with_lists.classes == tuple(LABELS) and with_lists.splits == {} and list(clips) == [f"_val-{n}x" for n in range(3)]
    assert with_lists.provenance["labels"] == "kinetics_val_label.json"
    for file in folder.glob("*_label.json"):
        file.unlink()
    source, clips = read(folder)
    assert source.classes == tuple(LABELS) and [c.label for c in clips.values()] == [0, 1, 2, 0, 0, 1, 2]
    assert "kinetics_train_label.json" in kinetics.describe(folder)["missing"][0]
    # A part of the classes is numbered anew.
    some = tmp_path / "some"
    some.mkdir()
    for n, word in enumerate(("tap dancing", "using remote controller (not gaming)")):
        write(some / f"{n}.json", clip([frame(1, 1, np.random.default_rng(n))], word))
    source, clips = read(some)
    assert source.classes == ("tap dancing", "using remote controller (not gaming)") and clips["1"].label == 1
    # Clips that say nothing of a class.
    write(some / "2.json", {"data": [frame(1, 1, np.random.default_rng(2))]})
    _, clips = read(some)
    assert clips["2"].label == -1
    assert read(some / "2.json")[0].classes == ("unlabelled",)


def test_frame_numbers(tmp_path):
    rng = np.random.default_rng(2)
    _, clips = read(write(tmp_path / "a.json", clip([frame(300, 1, rng), frame(1, 0, rng), frame(299, 2, rng)], "abseiling")))
    joints = clips["a"].joints
    assert joints.shape == (300, 2, 18, 3)
    assert joints[299, 0].any() and not joints[299, 1].any() and joints[298, 1].any() and not joints[:298].any()
    far = clip([frame(1, 1, rng), frame(10**9, 1, rng)], "abseiling")
    with pytest.raises(DataError, match="frames 1 to 1000000000, but only 2 of them are listed"):
        read(write(tmp_path / "far.json", far))


def test_empty_clips_are_named_and_left_out(home, tmp_path):
    folder = write_sample(tmp_path / "in", np.random.default_rng(3))
    rng = np.random.default_rng(4)
    nobody = frame(1, 1, rng)
    nobody["skeleton"][0]["score"] = [0] * 18
    for id, frames in (("none", []), ("blank", [frame(1, 0, rng), frame(2, 0, rng)]), ("unsure", [nobody])):
        write(folder / "kinetics_train" / f"{id}.json", clip(frames, "abseiling"))
    store = import_data(folder, "kin", format="kinetics", progress=False)
    assert len(store) == 7 and store.meta.provenance["empty"] == ["blank", "none", "unsure"]
    assert "3 clips with nobody in any frame left out; see 'empty'" in store.meta.provenance["notes"]
    with pytest.raises(DataError, match="nobody in any frame of 1 clips"):
        read(folder / "kinetics_train" / "none.json")
    assert kinetics.sniff(folder / "kinetics_train" / "none.json")


def test_joints_are_picked_and_have_two_dimensions(tmp_path):
    table = clip([frame(1, 1, np.random.default_rng(5))], "abseiling")
    chosen = {"name": "arm", "joints": ["left_wrist", "left_elbow", "left_shoulder"], "parents": [1, 2, -1]}
    arm = topology("openpose_18").from_dict(chosen)
    _, clips = read(write(tmp_path / "a.json", table), topology=arm)
    assert clips["a"].topology.joints == arm.joints and clips["a"].topology.dims == 2
    assert np.allclose(clips["a"].joints[:, 0], naive(table)[:, 0][:, [7, 6, 5]], atol=1e-6)


RNG = np.random.default_rng(9)
GOOD = clip([frame(1, 1, RNG), frame(2, 2, RNG)], "abseiling")


def damaged(*path, to):
    table = json.loads(json.dumps(GOOD))
    place = table
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = to
    return table


PERSON = ("data", 1, "skeleton", 1)
BAD = [
    ([], r"a.json: a clip is an object with 'data'"),
    (damaged("data", to={}), r"a.json: a clip is an object with 'data', a list of frames"),
    (damaged("data", 1, to=7), r"a.json: entry 1 of 'data' needs 'frame_index'"),
    (damaged("data", 1, "frame_index", to=-1), r"a.json: entry 1 of 'data' needs 'frame_index'"),
    (damaged("data", 1, "frame_index", to=2.5), r"a.json: entry 1 of 'data' needs"),
    (damaged("data", 1, "frame_index", to=True), r"a.json: entry 1 of 'data' needs"),
    (damaged("data", 1, "frame_index", to=1), r"a.json: frame_index 1 stands twice"),
    (damaged(*PERSON, to=[]), r"a.json, frame_index 2: a person needs 'pose' \(36 numbers\) and 'score'"),
    (damaged(*PERSON, "pose", to=[0.5] * 35), r"a.json, frame_index 2, pose: found a list of 35; wanted numbers, 36"),
    (damaged(*PERSON, "pose", 4, to=[1]), r"a.json, frame_index 2, pose: item \[4\] is a list of 1"),
    (damaged(*PERSON, "score", 17, to=None), r"a.json, frame_index 2: score holds a number that is not finite"),
    (damaged(*PERSON, "pose", 0, to=1e30), r"a.json, frame_index 2: pose holds a number that is not finite or beyond any picture"),
    (damaged("label", to=3), r"a.json: 'label' must be a name and 'label_index' a number"),
    (damaged("label_index", to=-3), r"a.json: 'label' must be a name and 'label_index' a number"),
]


@pytest.mark.parametrize("case", range(len(BAD)))
def test_broken_clips_name_file_and_frame(case, home, tmp_path, unchanged):
    table, match = BAD[case]
    write(tmp_path / "a.json", table)
    unchanged()
    with pytest.raises(DataError, match=match):
        import_data(tmp_path / "a.json", "broken", format="kinetics", progress=False)
    unchanged()


def test_labels_that_disagree(tmp_path):
    folder = write_sample(tmp_path / "in", np.random.default_rng(6))
    lists = folder / "kinetics_val_label.json"
    good = json.loads(lists.read_text())
    entry = {"has_skeleton": True, "label": "abseiling", "label_index": 1}
    for listed, match in (
        ({**good, "_val-1x": entry}, "label 'abseiling' has the number 1, but '(tap dancing|abseiling)' has [01] in"),
        ({**good, "_val-1x": good["_val-0x"]}, r"_val-1x.json: its label is 'tap dancing' \(1\), but .*says 'abseiling' \(0\)"),
        ({**good, "_val-1x": {}}, r"kinetics_val_label.json: clip '_val-1x' needs 'label'"),
        ({**good, "_val-1x": 3}, r"kinetics_val_label.json: clip '_val-1x': wanted an object"),
        ({**good, "_train-0x": {**entry, "label": "tap dancing"}}, r"clip '_train-0x' has another label than in .*label.json"),
        ([], r"kinetics_val_label.json: a label file holds one object"),
    ):
        write(lists, listed)
        with pytest.raises(DataError, match=match):
            read(folder)
    write(lists, {**good, "gone": entry | {"label_index": 0}})
    assert read(folder)[0].provenance["notes"] == ["1 clips listed without a file"]


def test_settings_that_make_no_sense(tmp_path):
    folder = write_sample(tmp_path / "in", np.random.default_rng(7))
    with pytest.raises(DataError, match="bodies must be at least 1 and at most 'most'"):
        read(folder, bodies=6)
    with pytest.raises(DataError, match="rate must be a number of frames a second above zero, got 0"):
        read(folder, rate=0)
    with pytest.raises(DataError, match="no such file or folder"):
        read(tmp_path / "gone")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty: holds no \.json file of a clip"):
        read(tmp_path / "empty")


@pytest.mark.parametrize("seed", range(60))
def test_damaged_files_end_in_a_data_error(seed, tmp_path):
    rng = np.random.default_rng(seed)
    folder = write_sample(tmp_path / "in", rng)
    mutate_one(folder, rng)
    kinetics.sniff(folder)
    for ask in (lambda: kinetics.describe(folder), lambda: read(folder)):
        try:
            ask()
        except DataError as error:
            assert ".json" in str(error)
