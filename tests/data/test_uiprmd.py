"""UI-PRMD: the chain of joints against a walk down the tree, file names, bad input, and the real files against their pack."""

import math
import os
from pathlib import Path

import numpy as np
import pytest
from mutations import mutate_one
from samples_uiprmd import rows, write_sample, write_take

from skelbench.data import describe, import_data
from skelbench.data.formats import open_source, uiprmd
from skelbench.errors import DataError
from skelbench.skeleton.topology import topology

PARENTS = topology("uiprmd_kinect").parents


def read(path, **options):
    source = uiprmd.read(path, **options)
    return source, {c.id: c for c in source.clips}


def turn(axis, degrees):
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    x, y, z = [[1, 0, 0], [0, c, -s], [0, s, c]], [[c, 0, s], [0, 1, 0], [-s, 0, c]], [[c, -s, 0], [s, c, 0], [0, 0, 1]]
    return np.array({"x": x, "y": y, "z": z}[axis])


def test_the_chain_against_a_walk_down_the_tree(tmp_path):
    rng = np.random.default_rng(3)
    offsets, angles = 20 * rng.normal(size=(4, 22, 3)), 180 * rng.normal(size=(4, 22, 3))
    write_take(tmp_path, "m03_s05_e10", offsets.reshape(4, 66), angles.reshape(4, 66))
    source, clips = read(tmp_path)
    clip = clips["m03_s05_e10"]
    for t in range(4):
        world = []
        for j, parent in enumerate(PARENTS):
            ax, ay, az = angles[t, j]
            own = turn("z", az) @ turn("x", ax) @ turn("y", ay)
            if parent < 0:
                world.append((offsets[t, j], own))
            else:
                p, R = world[parent]
                world.append((p + R @ offsets[t, j], R @ own))
        assert np.allclose(clip.joints[t, 0], [p / 100 for p, _ in world], atol=1e-5)
    assert source.classes == ("inline_lunge",) and clip.label == 0 and clip.fps == 30
    assert clip.about == {"subject": 5, "correct": 1, "repetition": 10, "group": "m03_s05"}


def test_a_sample_becomes_a_store(home, tmp_path):
    folder = write_sample(tmp_path / "in", np.random.default_rng(0))
    assert uiprmd.sniff(folder) and not uiprmd.sniff(tmp_path / "home")
    store = import_data(folder, "prmd", format="uiprmd", progress=False)
    assert store.ids == ["m01_s01_e01", "m01_s01_e02", "m01_s02_e01", "m01_s02_e01_inc", "m04_s01_e01"]
    assert store.classes == ("deep_squat", "side_lunge") and store.labels.tolist() == [0, 0, 0, 0, 1]
    assert store.index["correct"].tolist() == [1, 1, 1, 0, 1] and store.index["subject"].tolist() == [1, 1, 2, 2, 1]
    group = store.index["group"]
    assert group[0] == group[1] and len(set(group.tolist())) == 4  # repetitions of one recording stay together
    assert "PDDL" in store.meta.licence and store.topology == topology("uiprmd_kinect")
    facts = uiprmd.describe(folder)
    assert facts["clips"] == 5 and facts["as instructed"] == "4 of 5" and facts["missing"] == [] and "sensor" in facts["options"]


def test_the_official_folders(tmp_path):
    write_sample(tmp_path / "flat", np.random.default_rng(1))
    for file in list((tmp_path / "flat").iterdir()):
        kind = "Positions" if "positions" in file.name else "Angles"
        place = tmp_path / "tree" / ("Incorrect Segmented Movements" if "_inc" in file.name else "Segmented Movements") / kind
        place.mkdir(parents=True, exist_ok=True)
        (place / file.name).write_bytes(file.read_bytes())
    _, flat = read(tmp_path / "flat")
    _, tree = read(tmp_path / "tree")
    assert list(flat) == list(tree) and all(np.array_equal(flat[i].joints, tree[i].joints) for i in flat)


def test_whole_recordings_are_left_out_where_their_repetitions_are(tmp_path):
    write_sample(tmp_path, np.random.default_rng(2))
    write_take(tmp_path, "m01_s01", np.zeros((3, 66)), np.zeros((3, 66)))
    source, clips = read(tmp_path)
    assert "m01_s01" not in clips and source.provenance["notes"] == ["1 whole recordings left out, their repetitions are here"]
    (tmp_path / "whole").mkdir()
    write_take(tmp_path / "whole", "m01_s01", np.zeros((3, 66)), np.zeros((3, 66)))
    _, clips = read(tmp_path / "whole")
    assert "repetition" not in clips["m01_s01"].about


def test_vicon_markers_are_turned_upright(tmp_path):
    markers = np.random.default_rng(4).normal(size=(9, 39, 3)) * 1000
    (tmp_path / "m02_s01_e01_positions.txt").write_text(rows(markers.reshape(9, 117)))
    source, clips = read(tmp_path, fps=100.0)
    clip = clips["m02_s01_e01"]
    assert clip.topology == topology("plugin_gait_39") and clip.fps == 100 and source.provenance["sensor"] == "vicon"
    x, y, z = np.moveaxis(markers / 1000, 2, 0)
    assert np.allclose(clip.joints[:, 0], np.stack([y, z, x], axis=2), atol=1e-5)  # left, up, forwards
    _, clips = read(tmp_path)
    assert len(clips["m02_s01_e01"]) == 3 and math.isclose(clips["m02_s01_e01"].fps, 100 / 3)


def test_both_sensors_in_one_folder(tmp_path):
    write_sample(tmp_path, np.random.default_rng(5))
    (tmp_path / "vicon").mkdir()
    (tmp_path / "vicon" / "m01_s01_e01_positions.txt").write_text(rows(np.ones((2, 117))))
    assert "sensor=" in uiprmd.describe(tmp_path)["missing"][0]
    with pytest.raises(DataError, match="holds both the Kinect and the Vicon part; say sensor='kinect'"):
        read(tmp_path)
    source, clips = read(tmp_path, sensor="kinect")
    assert len(clips) == 5 and source.provenance["notes"] == ["1 files of the other sensor left out"]
    assert len(read(tmp_path, sensor="vicon")[1]) == 1
    with pytest.raises(DataError, match="sensor must be kinect or vicon, got 'xsens'"):
        read(tmp_path, sensor="xsens")
    with pytest.raises(DataError, match="holds no positions of sensor='kinect', only of 'vicon'"):
        read(tmp_path / "vicon", sensor="kinect")


ROW = ",".join(["0.5"] * 66)
BAD = [
    ("", r"e01_positions.txt:1: 0 numbers in a line, wanted 66 \(kinect\) or 117 \(vicon\)"),
    (ROW + "\n" + ROW[:-8], r"e01_positions.txt:2: 64 numbers, wanted 66; the file is cut short"),
    (ROW + "\n\n" + ROW.replace("0.5", "nan", 1), r"e01_positions.txt:3: 'nan' is not a finite number"),
    (ROW.replace("0.5", "x", 1), r"e01_positions.txt:1: 'x' is not a finite number"),
    (ROW.replace("0.5", "1e999", 1), r"e01_positions.txt:1: '1e999' is not a finite number"),
    (ROW.replace("0.5", "1_0", 1), r"e01_positions.txt:1: '1_0' is not a finite number"),
    (ROW, r"e01_positions.txt: 1 frames, but m01_s01_e01_angles.txt has 2"),
]


@pytest.mark.parametrize("case", range(len(BAD)))
def test_broken_files_name_file_and_line(case, home, tmp_path, unchanged):
    text, match = BAD[case]
    (tmp_path / "m01_s01_e01_positions.txt").write_text(text)
    (tmp_path / "m01_s01_e01_angles.txt").write_text(f"{ROW}\n{ROW}\n")
    unchanged()
    with pytest.raises(DataError, match=match):
        import_data(tmp_path, "broken", format="uiprmd", progress=False)
    unchanged()


def test_missing_and_repeated_files(tmp_path):
    folder = write_sample(tmp_path / "in", np.random.default_rng(6))
    (folder / "copy").mkdir()
    (folder / "copy" / "m01_s01_e01_positions.txt").write_text(ROW)
    with pytest.raises(DataError, match=r"m01_s01_e01_positions.txt: the same repetition as .*m01_s01_e01_positions.txt; keep one"):
        read(folder)
    (folder / "copy" / "m01_s01_e01_positions.txt").unlink()
    (folder / "m04_s01_e01_angles.txt").unlink()
    assert uiprmd.describe(folder)["missing"] == ["1 angles files, the first to go with m04_s01_e01_positions.txt"]
    with pytest.raises(DataError, match=r"its angles are missing; m04_s01_e01_angles.txt must lie below .*in"):
        read(folder)
    with pytest.raises(DataError, match="no such file or folder"):
        read(tmp_path / "gone")
    with pytest.raises(DataError, match=r"holds no file called like m01_s02_e03_positions\.txt"):
        read(folder / "copy")
    assert len(read(folder / "m01_s01_e02_positions.txt")[1]) == 1


def test_loose_writing_is_read(tmp_path):
    folder = write_sample(tmp_path / "in", np.random.default_rng(7))
    _, want = read(folder)
    for file in folder.iterdir():
        text = file.read_text().replace(",", " ,  ").replace("\n", "\r\n\r\n")
        file.write_bytes(b"\xef\xbb\xbf" + text.encode())
    _, have = read(folder)
    assert all(np.array_equal(want[i].joints, have[i].joints) for i in want)


@pytest.mark.parametrize("seed", range(60))
def test_damaged_files_end_in_a_data_error(seed, tmp_path):
    rng = np.random.default_rng(seed)
    folder = write_sample(tmp_path / "in", rng)
    mutate_one(folder, rng)
    for ask in (lambda: uiprmd.describe(folder), lambda: read(folder)):
        try:
            ask()
        except DataError as error:
            assert "_s0" in str(error)  # the file
    uiprmd.sniff(folder)


@pytest.mark.skipif("SKELBENCH_REALDATA" not in os.environ, reason="needs the folder of real data packs")
def test_real_files_match_their_pack(home):
    real = Path(os.environ["SKELBENCH_REALDATA"]) / "uiprmd_kinect"
    pack = import_data(real, "pack", progress=False)
    with open_source(real / "raw", format="uiprmd", sensor="kinect") as source:
        raw = list(source.clips)
    assert len(raw) == 13 and {source.classes[c.label] for c in raw} == set(pack.classes)
    for clip in raw:
        theirs = pack[pack.ids.index(clip.id)]
        assert clip.topology == theirs.topology and source.classes[clip.label] == pack.classes[theirs.label]
        assert all(clip.about[k] == theirs.about[k] for k in ("subject", "correct", "repetition"))
        assert np.abs(clip.joints - theirs.joints).max() < 6e-5  # the pack is rounded to 0.1 mm
    with open_source(real / "raw", format="uiprmd", sensor="vicon") as source:
        (markers,) = source.clips
    head, heel = markers.topology.joint("LFHD"), markers.topology.joint("LHEE")
    assert (markers.joints[:, 0, head, 1] > markers.joints[:, 0, heel, 1] + 0.5).all()  # stands upright
    assert describe(real).facts["format"] == "pack"
