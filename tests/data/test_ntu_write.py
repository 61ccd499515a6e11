"""Clips written as .skeleton files come back bit by bit; what a file cannot hold is refused."""

from dataclasses import replace

import numpy as np
import pytest

from skelbench.data import import_data, write_store
from skelbench.data.formats import ntu, writer
from skelbench.data.formats.ntu_write import FIRST_ID, skeleton_text, write_ntu
from skelbench.data.playground import clips as playground_clips
from skelbench.errors import DataError
from skelbench.skeleton.clip import Clip
from skelbench.skeleton.topology import topology

KINECT = topology("kinect_v2_25")


def clip(joints, *, id="c", label=0, **about):
    return Clip(joints=np.asarray(joints, np.float32), topology=KINECT, label=label, id=id, about=about)


def back(path, **options):
    return list(ntu.read(path, persons="raw", missing=False, **options).clips)


def test_the_playground_comes_back(tmp_path):
    given = list(playground_clips(12))
    folder = write_ntu(given, tmp_path / "out")
    assert writer("ntu") is write_ntu and len(list(folder.iterdir())) == 12
    there = {}
    for c in back(folder):
        there.setdefault((c.about["setup"], c.about["camera"], c.about["subject"], c.label), []).append(c)
    for c in given:
        same = there[(c.about["setup"], c.about["camera"], c.about["subject"], c.label)].pop(0)
        M = c.joints.shape[1]
        np.testing.assert_array_equal(same.joints[:, :M], c.joints)
        assert not same.joints[:, M:].any() and len(same) == len(c)


def test_every_float32_comes_back(tmp_path):
    """All magnitudes from the smallest denormal on, both zeros, and bodies that come and go."""
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 0x7F000000, (20, 2, 25, 3), dtype=np.uint32) | (
        rng.integers(0, 2, (20, 2, 25, 3), dtype=np.uint32) << 31
    )
    joints = bits.view(np.float32)
    joints[0, 0, :5] = [
        [0.0, -0.0, 1e-45],
        [0.1, 1 / 3, -1e-30],
        [1e30, -3.4e38, 16777217],
        [9.999999, 10, -10],
        [1e-5, 1e-4, 1e-3],
    ]
    joints[3, 1], joints[5, 0], joints[7] = 0, 0, 0
    folder = write_ntu([clip(joints, setup=3, camera=2, subject=5, replication=1, label=59)], tmp_path / "out")
    (found,) = back(folder)
    assert found.id == "S003C002P005R001A060" and found.label == 59
    assert np.array_equal(found.joints[:, :2].view(np.uint32), joints.view(np.uint32))


def test_columns_of_the_text():
    joints = np.zeros((2, 2, 25, 4))
    joints[0, 1, :, :3] = np.random.default_rng(0).normal(size=(25, 3)) + [0, 0, 3]
    joints[0, 1, :, 3] = np.arange(25) % 3 / 2
    joints[0, 1, 1, :3] = joints[0, 1, 0, :3] + [0, -0.3, 0]  # spine upside down
    lines = skeleton_text(clip(joints)).decode().split("\r\n")
    assert lines[:2] == ["2", "1"] and lines[3] == "25" and lines[29:] == ["0", ""]
    assert lines[2].split() == [str(FIRST_ID + 1), *["0"] * 8, "2"]
    rows = np.asarray([[float(w) for w in line.split()] for line in lines[4:29]])
    x, y, z = rows[:, :3].T
    np.testing.assert_allclose(rows[:, 3:5], np.stack([256 + 365.5 * x / z, 212 - 365.5 * y / z], 1), rtol=1e-6)
    np.testing.assert_allclose(rows[:, 5:7], np.stack([960 + 1081.4 * x / z, 540 - 1081.4 * y / z], 1), rtol=1e-6)
    assert rows[:, 11].tolist() == [j % 3 for j in range(25)]
    for j, parent in enumerate(KINECT.parents):
        w, qx, qy, qz = rows[j, 7:11]
        if parent < 0:
            assert (w, qx, qy, qz) == (0, 0, 0, 0)
            continue
        up = np.array([2 * (qx * qy - w * qz), 1 - 2 * (qx * qx + qz * qz), 2 * (qy * qz + w * qx)])  # +y turned
        bone = rows[j, :3] - rows[parent, :3]
        np.testing.assert_allclose(up, bone / np.linalg.norm(bone), atol=1e-5)


def test_tracking_states_come_back(tmp_path):
    joints = np.random.default_rng(0).normal(size=(3, 1, 25, 4))
    joints[..., 3] = np.random.default_rng(1).integers(0, 3, (3, 1, 25)) / 2
    folder = write_ntu([clip(joints)], tmp_path / "out")
    (found,) = back(folder, states=True)
    np.testing.assert_array_equal(found.joints[:, :1], joints.astype(np.float32))


def test_names(tmp_path):
    x = np.ones((1, 1, 25, 3))
    given = [clip(x, label=4), clip(2 * x, label=4), clip(x, label=4, replication=9), clip(x, setup=1, camera=2, subject=106)]
    folder = write_ntu(given, tmp_path / "out")
    names = sorted(f.name for f in folder.iterdir())
    assert names == [
        f"{n}.skeleton" for n in ("S000C000P000R001A005", "S000C000P000R002A005", "S000C000P000R009A005", "S001C002P106R001A001")
    ]
    assert (folder / "S000C000P000R002A005.skeleton").read_text().splitlines()[4].startswith("2.0 2.0 2.0 ")


def test_a_store_goes_out_and_in(tmp_path, home):
    store = write_store(tmp_path / "mine", list(playground_clips(9)), classes=[f"c{n}" for n in range(30)])
    write_ntu(store, tmp_path / "out")
    again = import_data(tmp_path / "out", "again", persons="tracks", missing=False, progress=False)
    assert len(again) == 9 and sorted(again.labels) == sorted(store.labels)
    assert sorted(again.index["subject"]) == sorted(store.index["subject"])


def test_what_cannot_be_written(tmp_path, unchanged):
    x = np.ones((2, 1, 25, 3))
    toy = replace(topology("coco_17"), name="toy")
    unchanged()
    for given, match in (
        ([], "there is not a single clip to write"),
        ([clip(x, label=-1)], "clip 'c' has no label"),
        ([clip(x, subject=1000)], "clip 'c': subject 1000; the name of a .skeleton file holds a number up to 999"),
        ([clip(x, setup="lab")], "clip 'c': setup 'lab'"),
        ([clip(x, label=999)], "action 1000; three digits at most"),
        ([clip(x, replication=3), clip(x, replication=3)], "another clip is called S000C000P000R003A001.skeleton already"),
        ([clip(x), clip(np.nan * x, id="hole")], "clip 'hole' holds a coordinate that is not finite"),
        ([clip(x[..., :2])], "25 joints of 'kinect_v2_25' with 2 coordinates"),
        ([Clip(joints=np.ones((1, 1, 17, 3), np.float32), topology=toy, label=0)], "17 joints of 'toy' with 3 coordinates"),
    ):
        with pytest.raises(DataError, match=match):
            write_ntu(given, tmp_path / "out")
    unchanged()
    store = write_store(tmp_path / "pixels", [clip(x)], classes=["a"], units="pixel")
    with pytest.raises(DataError, match=r"coordinates in pixel; .skeleton files hold metres"):
        write_ntu(store, tmp_path / "out")
    write_ntu([clip(x)], tmp_path / "out")
    for overwrite in (False, True):  # a folder of somebody's files is never replaced
        with pytest.raises(DataError, match=r"out exists already|not a dataset folder"):
            write_ntu([clip(x)], tmp_path / "out", overwrite=overwrite)
