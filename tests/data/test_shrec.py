"""SHREC 2017 and DHG: sequences against the text, both labellings, official lists, trimming, and damaged files."""

import shutil

import numpy as np
import pytest
from samples_shrec import write_sample

from skelbench.data import loso_splits, make_split, write_store
from skelbench.data.formats import shrec
from skelbench.errors import ConfigError, DataError
from skelbench.skeleton.topology import Topology, topology


@pytest.fixture
def folder(tmp_path):
    return write_sample(tmp_path / "shrec", np.random.default_rng(0))


def clips_of(path, **options):
    source = shrec.read(path, **options)
    return source, list(source.clips)


def place(folder, gesture, finger, subject):
    return folder / f"gesture_{gesture}/finger_{finger}/subject_{subject}/essai_1/skeletons_world.txt"


def test_every_number_of_every_sequence(folder):
    source, clips = clips_of(folder)
    assert (len(clips), source.total, source.bodies, len(source.classes)) == (12, 12, 1, 14) and source.provenance["notes"] == []
    for clip in clips:
        about = clip.about
        rows = place(folder, about["gesture"], about["finger"], about["subject"]).read_text().splitlines()
        wanted = np.array([[float(w) for w in row.split()] for row in rows]).reshape(-1, 22, 3)
        assert np.allclose(clip.joints[:, 0], wanted, atol=1e-6) and clip.joints.dtype == np.float32
        assert clip.topology == topology("shrec17_hand_22") and clip.label == about["gesture"] - 1
        assert clip.id == f"g{about['gesture']:02d}_f{about['finger']}_s{about['subject']:02d}_e01"
    assert source.classes[1] == "Tap" and source.classes[13] == "Shake"


def test_twenty_eight_classes(folder):
    source, clips = clips_of(folder, classes=28)
    lists = (folder / "train_gestures.txt").read_text() + (folder / "test_gestures.txt").read_text()
    official = {tuple(row[:4]): row[5] for row in ([int(w) for w in line.split()] for line in lists.splitlines())}
    assert len(source.classes) == 28 == len(set(source.classes)) and source.classes[3] == "Tap (whole hand)"
    for clip in clips:
        key = (clip.about["gesture"], clip.about["finger"], clip.about["subject"], 1)
        assert clip.label == official[key] - 1
    with pytest.raises(ConfigError, match="classes must be 14 or 28, got 15"):
        shrec.read(folder, classes=15)


def test_official_lists(folder, tmp_path):
    source = shrec.read(folder)
    store = write_store(tmp_path / "store", source.clips, classes=source.classes, splits=source.splits)
    split = make_split(store, "official")
    assert {store.ids[r] for r in split.test} == {i for i in store.ids if "_s03_" in i}
    assert {store.ids[r] for r in split.train_all} == {i for i in store.ids if "_s03_" not in i}


def test_sequences_on_no_list_and_lists_without_sequence(folder):
    train = folder / "train_gestures.txt"
    train.write_text("\n".join(train.read_text().splitlines()[1:]) + "\n\n3 1 9 1 3 5 40 \n")
    place(folder, 2, 1, 2).write_text("0 " * 66)
    source, clips = clips_of(folder)
    assert [c.about["split_official"] for c in clips[:3]] == [0, 1, 2]
    assert source.provenance["notes"][0] == "1 sequences of the official lists are not here"
    assert source.provenance["notes"][1].startswith("g02_f1_s02_e01: 1 frames, the official list says ")
    assert shrec.describe(folder)["missing"] == ["1 sequences of the official lists, the first is g03_f1_s09_e01"]


def test_without_lists(folder):
    for side in ("train", "test"):
        (folder / f"{side}_gestures.txt").unlink()
    source, clips = clips_of(folder)
    assert source.splits == {} and "split_official" not in clips[0].about
    assert shrec.describe(folder)["missing"] == [
        "train_gestures.txt, the official list",
        "test_gestures.txt, the official list",
        "2788 of the 2800 sequences of SHREC 2017",
    ]


def test_one_sequence_and_a_part_of_the_tree(folder):
    source, (clip,) = clips_of(place(folder, 14, 2, 3))
    assert clip.id == "g14_f2_s03_e01" and clip.about["split_official"] == 2  # the lists lie above
    assert len(clips_of(folder / "gesture_14")[1]) == 6 and len(clips_of(folder.parent)[1]) == 12


def test_dhg(folder, tmp_path):
    for file in folder.rglob("skeletons_world.txt"):
        file.rename(file.with_name("skeleton_world.txt"))
    for side in ("train", "test"):
        (folder / f"{side}_gestures.txt").unlink()
    rows = {key: i for i in range(12) for key in [f"{(2, 14)[i // 6]} {1 + i // 3 % 2} {1 + i % 3} 1"]}
    cuts = "".join(f"{key} 1 2\n" for key in list(rows)[:-2]) + f"{list(rows)[-2]} 1 99\n{list(rows)[-1]} 90 99\n"
    whole = clips_of(folder)[1]
    (folder / "informations_troncage_sequences.txt").write_text(cuts)
    source, clips = clips_of(folder)
    assert [len(c) for c in clips[:-2]] == [2] * 10 and np.array_equal(clips[0].joints, whole[0].joints[1:3])
    assert np.array_equal(clips[-2].joints, whole[-2].joints[1:]) and np.array_equal(clips[-1].joints, whole[-1].joints)
    assert source.provenance["notes"] == [
        f"g14_f2_s02_e01: frames 1 to 99 are listed, {len(whole[-2])} there",
        f"g14_f2_s03_e01: frames 90 to 99 are listed, {len(whole[-1])} there",
    ]
    assert shrec.describe(folder)["missing"] == []
    store = write_store(tmp_path / "dhg", clips, classes=source.classes)
    assert [len(s.test) for s in loso_splits(store)] == [4, 4, 4]


def test_describe_and_sniff(folder, tmp_path):
    facts = shrec.describe(folder)
    assert (facts["clips"], facts["subjects"], facts["splits"], facts["missing"]) == (12, 3, ["official"], [])
    assert set(facts["options"]) == {"topology", "classes", "fps"} and "22 joints" in facts["skeleton"]
    assert shrec.sniff(folder) and shrec.sniff(folder.parent) and shrec.sniff(place(folder, 2, 1, 1))
    shutil.copy(place(folder, 2, 1, 1), tmp_path / "skeletons_world.txt")
    assert not shrec.sniff(tmp_path / "skeletons_world.txt") and not shrec.sniff(tmp_path / "none")


def test_joints_by_name(folder):
    tips = Topology.from_dict({"name": "tips", "joints": ["index_tip", "wrist"], "parents": [1, -1]})
    assert np.array_equal(clips_of(folder, topology=tips)[1][4].joints, clips_of(folder)[1][4].joints[:, :, [9, 0]])


WORLD = "gesture_2/finger_1/subject_1/essai_1/skeletons_world.txt"
BAD = [
    (WORLD, "0 " * 66 + "\n" + "0 " * 65, r"skeletons_world.txt:2: 65 numbers, wanted 66"),
    (WORLD, "0 " * 65 + "x", r"skeletons_world.txt:1: 'x' is not a number"),
    (WORLD, "0 " * 65 + "inf", r"skeletons_world.txt:1: holds a number that is not finite"),
    (WORLD, " \n", r"essai_1/skeletons_world.txt: has no frames"),
    ("train_gestures.txt", "2 1 1 1 2 3\n", r"train_gestures.txt:1: 6 numbers, wanted 7"),
    ("train_gestures.txt", "2 1 1 1 2 3 4.5\n", r"train_gestures.txt: entry 1 holds a number that is not whole"),
    ("train_gestures.txt", "2 1 1 1 2 1e30 4\n", r"train_gestures.txt: entry 1 holds a number that is not whole"),
    ("train_gestures.txt", "2 1 1 1 2 16 9\n", r"entry 1: gesture 2 with finger 1 has the labels 2 and 16, wanted 2 and 3"),
    ("train_gestures.txt", "2 1 3 1 2 3 9\n", r"test_gestures.txt: entry 1 \(g02_f1_s03_e01\) stands on the lists twice"),
    ("more/train_gestures.txt", "", r"train_gestures.txt: a second list like .*; keep one of them"),
    (
        "gesture_15/finger_1/subject_1/essai_1/skeletons_world.txt",
        "0 " * 66,
        r"gesture 15 with finger 1; there are gestures",
    ),
    ("gesture_2/finger_3/subject_1/essai_1/skeletons_world.txt", "0 " * 66, r"gesture 2 with finger 3; there are"),
    ("x/" + WORLD, "0 " * 66, r"the same sequence as .*; keep one of them"),
    ("informations_troncage_sequences.txt", "2 1 1 1 2\n", r"sequences.txt:1: 5 numbers, wanted 6"),
]


@pytest.mark.parametrize("case", range(len(BAD)))
def test_damaged_files(case, folder):
    name, text, match = BAD[case]
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    with pytest.raises(DataError, match=match):
        clips_of(folder)


def test_lists_of_something_else(folder):
    (folder / "train_gestures.txt").write_text("3 1 9 1 3 5 40\n")
    (folder / "test_gestures.txt").unlink()
    with pytest.raises(DataError, match=r"none of the 1 sequences of the official lists is here, e.g. g03_f1_s09_e01"):
        shrec.read(folder)


def test_nothing_there(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty: holds no gesture_\*/finger_\*"):
        shrec.read(tmp_path / "empty")
    with pytest.raises(DataError, match="none: no such file or folder"):
        shrec.read(tmp_path / "none")
