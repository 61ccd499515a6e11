"""Northwestern-UCLA: names, labels, views, frames against the JSON, and damaged files."""

import json
import shutil

import numpy as np
import pytest
from samples_nwucla import write_sample

from skelbench.data import make_split, write_store
from skelbench.data.formats import nwucla
from skelbench.data.tables import table
from skelbench.errors import DataError
from skelbench.skeleton.topology import topology


@pytest.fixture
def folder(tmp_path):
    return write_sample(tmp_path / "all_sqe", np.random.default_rng(0))


def clips_of(path, **options):
    source = nwucla.read(path, **options)
    return source, list(source.clips)


def test_every_number_of_every_file(folder):
    source, clips = clips_of(folder.parent)
    assert (len(clips), source.total, source.bodies) == (18, 18, 1)
    for clip, file in zip(clips, sorted(folder.iterdir()), strict=True):
        wanted = np.array(json.loads(file.read_text())["skeletons"])
        assert clip.id == file.stem and clip.topology == topology("kinect_v1_20") and clip.joints.dtype == np.float32
        assert np.allclose(clip.joints[:, 0], wanted, atol=1e-6)
        action, subject, episode, view = (int(part[1:]) for part in file.stem.split("_"))
        assert clip.about == {"subject": subject, "camera": view, "episode": episode, "group": file.stem[:-4]}
        assert source.classes[clip.label] == {1: "pick up with one hand", 12: "carry"}[action]


def test_the_table_is_the_published_one():
    t = table("nw_ucla")
    frames = np.array(list(t["frames"].values()))
    assert (frames > 0).sum(axis=0)[:2].sum() == 1020 and (frames[:, 2] > 0).sum() == 464
    assert frames[frames > 0].min() == 1 and frames.max() == 201 and t["frames"]["a02_s09_e04"][1] == 1
    assert len(t["classes"]) == len(t["actions"]) == 10
    assert {int(name[1:3]) for name in t["frames"]} == set(t["actions"])


def test_cross_view(folder, tmp_path):
    source = nwucla.read(folder)
    store = write_store(tmp_path / "ucla", source.clips, classes=source.classes, splits=source.splits)
    split = make_split(store, "xview")
    assert set(store.index["camera"][split.train_all]) == {1, 2} and set(store.index["camera"][split.test]) == {3}
    assert len(split.train_all) == 12 and len(split.test) == 6
    assert not set(store.index["subject"][split.train]) & set(store.index["subject"][split.validation])
    assert len(set(store.index["group"])) == 6  # a performance seen by three cameras


def test_lengths_are_compared_with_the_official_list(folder):
    source, clips = clips_of(folder)
    notes = source.provenance["notes"]
    lengths = {c.id: len(c) for c in clips}
    official = table("nw_ucla")["frames"]
    odd = [i for i, T in lengths.items() if official[i[:-4]][int(i[-1]) - 1] != T]
    assert len(notes) == 1 + len(odd) and "of the 1484 official clips" in notes[0] and odd
    assert notes[1].startswith(f"{odd[0]}.json: {lengths[odd[0]]} frames, the official list says")


def test_one_frame_and_201_and_an_axis_that_never_changes(tmp_path):
    for T in (1, 201):
        file = tmp_path / "a02_s09_e04_v02.json"
        file.write_text(json.dumps({"skeletons": [[[0.5, j, t] for j in range(20)] for t in range(T)]}))
        _, (clip,) = clips_of(file)
        assert clip.joints.shape == (T, 1, 20, 3) and (clip.joints[..., 0] == 0.5).all() and clip.joints[-1, 0, 7, 2] == T - 1


def test_describe(folder):
    facts = nwucla.describe(folder)
    assert facts["clips"] == 18 and facts["views"] == [1, 2, 3] and "kinect_v1_20, 20 joints" in facts["skeleton"]
    assert facts["missing"][0].startswith("1466 of the 1484 official clips, the first is a01_s01_e00_v01.json")
    assert set(facts["options"]) == {"topology", "fps"}
    assert nwucla.describe(next(folder.iterdir()))["missing"] == []


def test_sniff(folder, tmp_path):
    assert nwucla.sniff(folder) and nwucla.sniff(folder.parent) and nwucla.sniff(next(folder.iterdir()))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a1_s01_e01_v01.json").write_text("{}")
    assert not nwucla.sniff(tmp_path / "other") and not nwucla.sniff(tmp_path / "none")


def test_joints_by_name(folder):
    one, two = topology("kinect_v1_20").joints[3], topology("kinect_v1_20").joints[2]
    small = type(topology("kinect_v1_20")).from_dict({"name": "small", "joints": [one, two], "parents": [1, -1]})
    _, clips = clips_of(folder, topology=small)
    _, whole = clips_of(folder)
    assert np.array_equal(clips[3].joints, whole[3].joints[:, :, [3, 2]])
    with pytest.raises(DataError, match=r"wants .* joints the file does not have"):
        nwucla.read(folder, topology=topology("kinect_v2_25"))


BAD = [
    ("[]", "v01.json: wanted an object with the key 'skeletons'"),
    ('{"skeleton": []}', "v01.json: wanted an object with the key 'skeletons'"),
    ('{"skeletons": []}', "v01.json: has no frames"),
    ('{"skeletons": [[[1, 2, 3]]]}', r"v01.json: skeletons: item \[0\] is a list of 1; wanted numbers, any number x 20 x 3"),
    ('{"skeletons": "far too long"}', "v01.json: skeletons: found the text"),
    ('{"skeletons": [[[1, 2, NaN]]]}', "v01.json:1: holds NaN"),
    (json.dumps({"skeletons": [[[1, 2, None]] * 20]}), "v01.json: frame 0 holds a coordinate that is not a finite number"),
    (json.dumps({"skeletons": [[[1, 2, 3]] * 20, [[1, 1e39, 3]] * 20]}), "v01.json: frame 1 holds a coordinate"),
    ("{", "v01.json:1: not valid JSON"),
]


@pytest.mark.parametrize("case", range(len(BAD)))
def test_damaged_files(case, folder):
    text, match = BAD[case]
    (folder / "a01_s02_e01_v01.json").write_text(text)
    with pytest.raises(DataError, match=match):
        clips_of(folder)


def test_names_that_do_not_fit(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty: holds no file called aXX_sYY_eZZ_vNN.json"):
        nwucla.read(tmp_path / "empty")
    with pytest.raises(DataError, match="no such file or folder"):
        nwucla.read(tmp_path / "none")
    shutil.copy(folder / "a01_s02_e01_v01.json", folder / "a07_s02_e01_v01.json")
    with pytest.raises(DataError, match=r"a07_s02_e01_v01.json: action 7 is none of the dataset's, which are 1, 2, 3"):
        nwucla.read(folder)
    (folder / "a07_s02_e01_v01.json").unlink()
    (folder / "x").mkdir()
    shutil.copy(folder / "a01_s02_e01_v01.json", folder / "x" / "a01_s02_e01_v01.json")
    with pytest.raises(DataError, match=r"the same clip as .*; keep one of them"):
        nwucla.read(folder)
    with pytest.raises(DataError, match="fps must be a number above zero"):
        nwucla.read(folder / "x", fps=0)
