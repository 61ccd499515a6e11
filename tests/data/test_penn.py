"""Penn Action: every number of every clip, hidden joints, official sides, and files that do not fit."""

import numpy as np
import pytest
from samples_penn import content, write_sample
from scipy.io import loadmat, savemat

from skelbench.data import make_split, write_store
from skelbench.data.formats import penn
from skelbench.data.tables import table
from skelbench.errors import DataError
from skelbench.skeleton.topology import Topology, topology


@pytest.fixture
def folder(tmp_path):
    return write_sample(tmp_path / "penn", np.random.default_rng(0))


def clips_of(path, **options):
    source = penn.read(path, **options)
    return source, list(source.clips)


def test_every_number_of_every_clip(folder):
    source, clips = clips_of(folder)
    assert (len(clips), source.total, source.bodies, source.units, source.extra) == (12, 12, 1, "pixel", {"image": True})
    assert source.classes == tuple(sorted(source.classes)) and len(source.classes) == 15
    for clip in clips:
        given = loadmat(folder / "labels" / f"{clip.id}.mat")
        for t in range(len(given["x"])):
            for v in range(13):
                seen = given["visibility"][t, v]
                wanted = [given["x"][t, v], given["y"][t, v], 1] if seen else [0, 0, 0]
                assert np.allclose(clip.joints[t, 0, v], wanted)
        assert len(clip) == given["nframes"].item() and source.classes[clip.label] == given["action"][0]
        assert clip.about == {
            "width": 480,
            "height": 270,
            "split_official": 1 if given["train"].item() == 1 else 2,
            "camera": "left",
        }
    layout = clips[0].topology
    assert layout.joints == topology("penn_action_13").joints and layout.dims == 2 and clips[0].joints.shape[3] == 3
    assert source.provenance["notes"] == []


def test_official_sides(folder, tmp_path):
    source = penn.read(folder)
    store = write_store(
        tmp_path / "store", source.clips, classes=source.classes, splits=source.splits, extra=source.extra, units=source.units
    )
    split = make_split(store, "official")
    assert sorted(store.ids[r] for r in split.test) == ["0001", "0002", "0003", "0010", "0011", "0012"]
    assert len(split.train_all) == 6 and store.meta.up == "-y" and store.meta.units == "pixel"


def test_a_hidden_joint_away_from_the_corner_is_noted(tmp_path):
    clip = content(np.random.default_rng(0), T=2, hidden=0)
    clip["visibility"][1, 4], clip["x"][1, 4], clip["y"][1, 4] = 0, 50, 60
    clip["nframes"] = 3
    savemat(tmp_path / "0001.mat", clip)
    source, (found,) = clips_of(tmp_path)
    assert found.joints[1, 0, 4].tolist() == [0, 0, 0] and (found.joints[0, 0, :, 2] == 1).all()
    assert source.provenance["notes"] == [
        "0001.mat: 2 frames, nframes says 3",
        "1 joints of visibility 0 had coordinates away from the corner; they are zero here, too",
    ]


def test_describe_and_sniff(folder, tmp_path):
    facts = penn.describe(folder)
    assert facts["clips"] == 12 and facts["missing"] == ["2314 of the 2326 clips"] and facts["picture"].startswith("480 x 270")
    assert set(facts["options"]) == {"topology", "fps"} and facts["splits"] == ["official"]
    assert penn.describe(folder / "labels" / "0002.mat")["missing"] == []
    assert penn.sniff(folder) and penn.sniff(folder / "labels" / "0001.mat") and not penn.sniff(tmp_path / "none")
    (tmp_path / "other").mkdir()
    savemat(tmp_path / "other" / "0001.mat", {"x": 1, "action": "bowl"})
    (tmp_path / "other" / "0002.mat").write_bytes(b"MATLAB")
    assert not penn.sniff(tmp_path / "other") and not penn.sniff(tmp_path / "other" / "0002.mat")


def test_joints_by_name(folder):
    hands = Topology.from_dict({"name": "hands", "joints": ["right_wrist", "head"], "parents": [1, -1]})
    assert np.array_equal(clips_of(folder, topology=hands)[1][3].joints, clips_of(folder)[1][3].joints[:, :, [6, 0]])


def changed(**values):
    return {**content(np.random.default_rng(1), T=4, hidden=0), **values}


BAD = [
    (changed(action="Sit Up"), r"0001.mat: action is 'Sit Up', wanted one of baseball_pitch"),
    (changed(action=7), "0001.mat: action is no text, wanted one of"),
    (changed(pose=3), "0001.mat: pose is no text, wanted a word"),
    (changed(pose="<b>"), "0001.mat: pose is '<b>', wanted a word"),
    (changed(x=np.zeros((4, 12))), r"x, y and visibility have sizes \(4, 12\), \(4, 13\), \(4, 13\); wanted frames x 13 each"),
    (changed(y=np.zeros((5, 13))), r"x, y and visibility have sizes"),
    (changed(x=np.zeros((0, 13)), y=np.zeros((0, 13)), visibility=np.zeros((0, 13))), "x, y and visibility have sizes"),
    (changed(x="text"), "variable 'x' is text, wanted numbers"),
    (changed(x=np.full((4, 13), np.nan)), "frame 1 holds a position outside any picture"),
    (changed(y=np.full((4, 13), 1e9)), "frame 1 holds a position outside any picture"),
    (changed(visibility=np.full((4, 13), 2)), "frame 1 holds .* a visibility outside 0..1"),
    (changed(bbox=np.zeros((5, 4))), r"bbox has size \(5, 4\), wanted up to 4 x 4"),
    (changed(bbox=np.zeros((3, 5))), r"bbox has size \(3, 5\)"),
    (changed(dimensions=[[0, 480, 4]]), r"dimensions are \[0.0, 480.0, 4.0\], wanted height, width and frames"),
    (changed(dimensions=[[270]]), r"dimensions are \[270.0\]"),
    (changed(train=0), r"train is 0, wanted 1 \(train\) or -1 \(test\)"),
    (changed(train=[[1, 1]]), r"variable 'train' is \[1.0, 1.0\], wanted one whole number"),
    (changed(nframes=np.inf), r"variable 'nframes' is \[inf\], wanted one whole number"),
    (changed(x=np.array([1, "a"], object)), "variable 'x' is a cell array"),
    ({k: v for k, v in changed().items() if k != "visibility"}, "no variable 'visibility'; there are: action, pose, x"),
]


@pytest.mark.parametrize("case", range(len(BAD)))
def test_files_that_do_not_fit(case, tmp_path):
    clip, match = BAD[case]
    savemat(tmp_path / "0001.mat", clip)
    with pytest.raises(DataError, match=match):
        clips_of(tmp_path)


def test_nothing_there(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty: holds no file called like 0001.mat"):
        penn.read(tmp_path / "empty")
    with pytest.raises(DataError, match="none: no such file or folder"):
        penn.read(tmp_path / "none")
    (folder / "more").mkdir()
    (folder / "more" / "0001.mat").write_bytes(b"")
    with pytest.raises(DataError, match=r"0001.mat: the same clip as .*; keep one of them"):
        penn.read(folder)
    assert table("penn_action")["sequences"] == 2326
