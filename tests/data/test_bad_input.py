"""What a person types wrong: paths, names, labels, topologies. Each is told in words, and nothing is left behind."""

import json

import numpy as np
import pytest

from skelbench.data import FORMATS, describe, import_data, load, write_store
from skelbench.data.formats import recognise
from skelbench.errors import ConfigError, DataError

ONE = """HIERARCHY
ROOT hips
{
OFFSET 0 0 0
CHANNELS 3 Xposition Yposition Zposition
JOINT head { OFFSET 0 1 0 }
}
MOTION
Frames: 1
Frame Time: 0.0333333
0 0 0
"""


@pytest.fixture
def takes(tmp_path):
    """Six files in two class folders."""
    for folder in ("walk", "run"):
        (tmp_path / "takes" / folder).mkdir(parents=True)
        for n in range(3):
            (tmp_path / "takes" / folder / f"{folder}_{n}.bvh").write_text(ONE)
    return tmp_path / "takes"


def test_nothing_there(home, tmp_path, unchanged):
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("dear")
    unchanged()
    for path, match in (
        ("gone", r"gone: no such file or folder"),
        ("empty", "empty: the folder is empty"),
        ("other", r"other: not in a format that can be read; a folder of 1 .txt file \(e.g. notes.txt: begins with 'dear'\)"),
        ("other/notes.txt", "notes.txt: not in a format that can be read; a .txt file, begins with 'dear'"),
    ):
        with pytest.raises(DataError, match=match):
            import_data(tmp_path / path, "new", progress=False)
        if "other" not in path:  # what lies there can at least be described
            with pytest.raises(DataError, match=match):
                describe(tmp_path / path)
        for format in FORMATS:
            with pytest.raises(DataError, match=r"no such file|holds no|wanted one .npz file"):
                import_data(tmp_path / path, "new", format=format, progress=False)
    np.savez(tmp_path / "other" / "toy.npz", labels=[1])
    with pytest.raises(DataError, match=r"meta.json: cannot be read \(No such file"):
        import_data(tmp_path / "other", "new", format="pack", progress=False)
    (tmp_path / "other" / "toy.npz").unlink()
    unchanged()


def test_a_name_that_is_taken(home, takes, unchanged):
    store = import_data(takes, "mine", progress=False, scale=1.0)
    unchanged()
    hint = "; choose another name, or pass overwrite=True to replace it"
    for why, again in (
        ("made from another source and other settings", lambda: import_data(takes / "run", "mine", progress=False)),
        ("made from another source", lambda: import_data(takes / "run", "mine", progress=False, scale=1.0)),
        ("made from other settings", lambda: import_data(takes, "mine", progress=False, scale=2.0)),
    ):
        with pytest.raises(DataError, match=f"mine exists already, {why}{hint}"):
            again()
    unchanged()
    again = import_data(takes / "run", "mine", progress=False, scale=1.0, overwrite=True)
    assert len(store) == 6 and len(again) == 3 == len(load("mine"))
    unchanged()
    with pytest.raises(DataError, match="'playground' belongs to the built-in set"):
        import_data(takes, "playground", progress=False)
    unchanged()


def test_formats_by_name(home, takes, unchanged):
    assert recognise(takes) == "bvh" and {"pack", "bvh", "acclaim"} <= set(FORMATS)
    with pytest.raises(ConfigError, match=r"no format called 'mp4'; there are: pack, .*bvh, acclaim"):
        import_data(takes, "x", format="mp4", progress=False)
    (takes / "walk" / "walk_0.amc").write_text("")
    with pytest.raises(DataError, match="holds several formats, bvh and acclaim; say which one with format="):
        import_data(takes, "x", progress=False)
    unchanged()


def test_classes_are_folder_names(home, takes):
    store = import_data(takes, "mine", progress=False, scale=1.0)
    assert store.classes == ("run", "walk") and store.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert store.ids == ["run_0", "run_1", "run_2", "walk_0", "walk_1", "walk_2"]
    (takes / "walk" / "run_0.BVH").write_text(ONE)
    (takes / ".hidden.bvh").write_text("")
    store = import_data(takes, "more", progress=False, scale=1.0)
    assert len(store) == 7 and store.ids[0] == "run__run_0" and "walk__run_0" in store.ids
    (takes / "loose.bvh").write_text(ONE)
    with pytest.raises(DataError, match=r"some files lie in class folders and some, like loose.bvh, do not"):
        import_data(takes, "mixed", progress=False, scale=1.0)


def test_classes_from_a_table(home, takes, tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text("file,class,subject,camera,take\nrun_1,fast,ann,2,9\nwalk/walk_0.bvh,slow,bo,1,\nwalk_2.bvh,slow,ann,,7\n")
    store = import_data(takes, "mine", labels=table, progress=False, scale=1.0)
    assert store.ids == ["run_1", "walk_0", "walk_2"] and store.classes == ("fast", "slow") and store.labels.tolist() == [0, 1, 1]
    assert store.index["subject"].tolist() == [0, 1, 0] and store.meta.extra["names"]["subject"] == ["ann", "bo"]
    assert store.index["camera"].tolist() == [2, 1, -1] and store.index["take"].tolist() == [9, -1, 7]
    assert store.meta.provenance["notes"] == ["3 files not listed in labels.csv left out"]
    assert store.meta.provenance["labels"] == "labels from labels.csv"


@pytest.mark.parametrize(
    "text, match",
    [
        ("", r"labels.csv:1: the first line must name the columns 'file' and 'class'; found nothing"),
        ("name,class\n", r"labels.csv:1: the first line must name the columns 'file' and 'class'; found name, class"),
        ("file,class\n", r"labels.csv: lists no file"),
        ("file,class\nrun_9,fast\n", r"labels.csv:2: file 'run_9' stands in no folder given; write it as in 'run/run_0.bvh'"),
        ("file,class\nrun_0,fast\nrun/run_0.bvh,slow\n", r"labels.csv:3: file 'run/run_0.bvh' is listed twice"),
        ("file,class\nrun_0\n", r"labels.csv:2: wanted 2 columns, as in the first line"),
        ("file,class\nrun_0,fast,more\n", r"labels.csv:2: wanted 2 columns"),
        ("file,class\nrun_0,\n", r"labels.csv:2: 'file' and 'class' must not be empty"),
        ("file,class,camera\nrun_0,fast,left\n", r"labels.csv:2: column 'camera' holds 'left', wanted a whole number"),
        (b"file,class\nrun_0,\xff\xfe\n", r"labels.csv: cannot be read as a CSV table"),
    ],
)
def test_tables_that_do_not_fit(text, match, home, takes, tmp_path, unchanged):
    (tmp_path / "labels.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    unchanged()
    with pytest.raises(DataError, match=match):
        import_data(takes, "mine", labels=tmp_path / "labels.csv", progress=False, scale=1.0)
    with pytest.raises(DataError, match=r"none.csv: cannot be read as a CSV table"):
        import_data(takes, "mine", labels=tmp_path / "none.csv", progress=False, scale=1.0)
    unchanged()


def test_two_files_of_one_name_must_be_told_apart(home, takes, tmp_path):
    (takes / "walk" / "run_0.bvh").write_text(ONE)
    (tmp_path / "labels.csv").write_text("file,class\nrun_0,fast\n")
    with pytest.raises(DataError, match=r"labels.csv:2: file 'run_0' fits several files"):
        import_data(takes, "mine", labels=tmp_path / "labels.csv", progress=False, scale=1.0)


@pytest.mark.parametrize(
    "table, match",
    [
        (
            {"joints": ["hips", "heart"], "parents": [-1, 0]},
            r"wants 1 joints the file does not have, the first is 'heart' \(nearest: head",
        ),
        ({"joints": ["hips", "zzz"], "parents": [-1, 0]}, r"the first is 'zzz' \(there are: hips, head\)"),
        ({"joints": ["hips", "head"], "parents": [-1, 1]}, r"do not lead to the root"),
        ({"joints": ["hips", "hips"], "parents": [-1, 0]}, r"joint names stand twice"),
        ({"joints": ["hips"]}, r"needs 'joints'"),
    ],
)
def test_topologies_that_do_not_fit(table, match, home, takes, tmp_path, unchanged):
    (tmp_path / "mine.json").write_text(json.dumps(table))
    unchanged()
    with pytest.raises(DataError, match=match):
        import_data(takes, "mine", topology=tmp_path / "mine.json", progress=False, scale=1.0)
    with pytest.raises(DataError, match=r"none.json: no such topology file; built-in layouts are: kinect_v2_25"):
        import_data(takes, "mine", topology="none.json", progress=False)
    unchanged()


def test_ctrl_c_in_the_middle_of_an_import(home, takes, monkeypatch, unchanged):
    calls = []
    real = FORMATS["bvh"].parse

    def parse(path):
        calls.append(path)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(path)

    monkeypatch.setattr(FORMATS["bvh"], "parse", parse)
    unchanged()
    with pytest.raises(KeyboardInterrupt):
        import_data(takes, "mine", progress=False, scale=1.0)
    unchanged()


def test_ids_of_odd_file_names_are_made_safe(home, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "<img src=x> & 'co'.bvh").write_text(ONE)
    store = import_data(tmp_path / "in", "odd", progress=False, scale=1.0)
    assert store.ids == ["_img src=x_ _ _co_"]


def test_home_follows_the_environment(home, takes, monkeypatch, tmp_path):
    import_data(takes, "mine", progress=False, scale=1.0)
    monkeypatch.setenv("SKELBENCH_DATA", str(tmp_path / "elsewhere" / "deep"))
    with pytest.raises(DataError, match="no dataset 'mine'"):
        load("mine")
    monkeypatch.delenv("SKELBENCH_DATA")
    monkeypatch.chdir(tmp_path)
    store = import_data(takes, "mine", progress=False, scale=1.0)
    assert (tmp_path / "data" / "mine" / "clips.npy").is_file() and len(store) == 6
    assert write_store(tmp_path / "direct", store, classes=store.classes).fingerprint == store.fingerprint
