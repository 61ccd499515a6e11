"""The interchange form: there and back without a bit changed, and a strict door."""

import io
import json
import os
import struct
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from skelbench.data import describe, import_data, verify, write_pack, write_store
from skelbench.data.formats import open_source, pack
from skelbench.errors import DataError
from skelbench.skeleton.topology import Topology, topology

META = {
    "title": "toy",
    "classes": ["up", "down"],
    "joint_names": ["hips", "head", "toe"],
    "parents": [-1, 0, 0],
    "fps": 25,
    "licence": "CC0",
    "attribution": "me",
    "splits": {"cross_subject": {"train": [1], "test": [2]}},
    "subject_names": {"1": "ann", "2": "bo"},
    "sample_ids": ["s1", "s2", "s3", "s4"],
    "clips": ["take a", "take b"],
    "glitch_note": "none seen",
}


def arrays():
    rng = np.random.default_rng(0)
    return {
        "joints": rng.normal(size=(20, 3, 3)).astype(np.float32),
        "starts": np.array([0, 5, 10, 12]),
        "lengths": np.array([5, 5, 6, 8], np.int32),
        "labels": np.array([0, 1, 0, 1], np.int16),
        "subjects": np.array([1, 1, 2, 2], np.int16),
        "clips": np.array([0, 0, 1, 1], np.int16),
        "glitch": np.array([0, 0, 0, 1], np.int8),
    }


def put(folder, *, meta=None, change=None, save=np.savez_compressed):
    folder.mkdir(exist_ok=True)
    table = {k: v for k, v in (META | (meta or {})).items() if v is not None}
    (folder / "meta.json").write_text(json.dumps(table))
    save(folder / "toy.npz", **{k: v for k, v in (arrays() | (change or {})).items() if v is not None})
    return folder


def clips_of(path, **options):
    with open_source(path, **options) as source:
        return source, list(source.clips)


def test_what_a_pack_says_is_what_comes_out(home, tmp_path):
    store = import_data(put(tmp_path / "toy"), "toy", progress=False)
    given = arrays()
    for i in range(4):
        start, length = given["starts"][i], given["lengths"][i]
        assert np.array_equal(store[i].joints[:, 0], given["joints"][start : start + length])
    assert store.ids == META["sample_ids"] and store.labels.tolist() == [0, 1, 0, 1] and store.meta.fps == 25
    assert store.index["subject"].tolist() == [1, 1, 2, 2] and store.index["group"].tolist() == [0, 0, 1, 1]
    assert store.index["glitch"].tolist() == [0, 0, 0, 1] and store.index["camera"].tolist() == [-1] * 4
    assert store.meta.splits == META["splits"] and (store.meta.licence, store.meta.attribution) == ("CC0", "me")
    assert store.meta.extra["names"] == {"subject": ["0", "ann", "bo"], "group": ["take a", "take b"]}
    assert store.meta.extra["glitch_note"] == "none seen" and store.meta.provenance["title"] == "toy"


def test_a_subject_number_takes_no_memory(home, tmp_path):
    far = {"subjects": np.array([1, 1, 2, 2**62])}
    store = import_data(put(tmp_path / "toy", change=far), "toy", progress=False)
    assert store.index["subject"].tolist() == [1, 1, 2, 2**62] and store.meta.extra["names"]["subject"] == ["0", "ann", "bo"]


def test_there_and_back(home, tmp_path, make):
    for bodies in (1, 2):
        words = {"licence": "CC0 <b>", "attribution": "ü", "splits": {"xview": {"by": "camera", "train": [2]}}, "presets": ["isc"]}
        classes = ("wave", "sit", "fall")
        store = write_store(
            tmp_path / f"store{bodies}", make(bodies=bodies), classes=classes, extra={"names": {"camera": ["x"]}}, **words
        )
        folder = write_pack(store, tmp_path / f"pack{bodies}")
        assert sorted(p.name for p in folder.iterdir()) == ["meta.json", f"pack{bodies}.npz"]
        again = import_data(folder, f"again{bodies}", progress=False)
        verify(again)
        assert again.fingerprint == store.fingerprint and again.ids == store.ids and again.bodies == bodies
        for key in ("topology", "classes", "fps", "units", "presets", "licence", "attribution", "splits", "checksums", "extra"):
            assert getattr(again.meta, key) == getattr(store.meta, key), key


def test_a_pack_is_written_whole_or_not_at_all(store, tmp_path, monkeypatch, unchanged):
    unchanged()
    with monkeypatch.context() as broken:
        broken.setattr(pack, "_write_array", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(DataError, match="No space left on device"):
            write_pack(store, tmp_path / "new" / "pack")
    unchanged()
    with pytest.raises(DataError, match="exists already"):
        write_pack(store, store.path)
    unchanged()
    folder = write_pack(store, tmp_path / "pack")
    assert write_pack(store, tmp_path / "pack", overwrite=True) == folder


def test_memory_does_not_grow_with_the_frames(tmp_path, home):
    joints = np.zeros((200_000, 3, 3), np.float32)  # 7 MB
    change = {"joints": joints, "starts": np.arange(4) * 50_000, "lengths": np.full(4, 2000)}
    put(tmp_path / "toy", change=change)
    tracemalloc.start()
    import_data(tmp_path / "toy", "toy", progress=False)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < joints.nbytes / 2


def test_half_and_double_precision_several_bodies_two_coordinates(tmp_path):
    for dtype in (np.float16, np.float64):
        _, clips = clips_of(put(tmp_path / "toy", change={"joints": arrays()["joints"].astype(dtype)}))
        assert clips[0].joints.dtype == np.float32
    joints = np.random.default_rng(1).normal(size=(20, 2, 3, 2)).astype(np.float32)
    source, clips = clips_of(put(tmp_path / "toy", change={"joints": joints}))
    assert source.bodies == 2 and np.array_equal(clips[3].joints, joints[12:20])


def test_built_in_layouts_are_recognised(tmp_path):
    kinect = topology("kinect_v2_25")
    joints = np.ones((20, 25, 3), np.float32)
    meta = {"joint_names": list(kinect.joints), "parents": list(kinect.parents)}
    _, clips = clips_of(put(tmp_path / "toy", meta=meta, change={"joints": joints}))
    assert clips[0].topology is kinect


def test_joints_are_picked_by_name(tmp_path):
    two = Topology.from_dict({"name": "two", "joints": ["toe", "hips"], "parents": [1, -1]})
    _, clips = clips_of(put(tmp_path / "toy"), topology=two)
    assert np.array_equal(clips[0].joints[:, 0], arrays()["joints"][:5][:, [2, 0]]) and clips[0].topology == two
    with pytest.raises(
        DataError, match=r"toy.npz: topology 'odd' wants 1 joints the file does not have, the first is 'tow' \(nearest: toe"
    ):
        clips_of(tmp_path / "toy", topology=Topology.from_dict({"name": "odd", "joints": ["hips", "tow"], "parents": [-1, 0]}))


def test_an_empty_class(home, tmp_path, unchanged):
    meta = {"classes": ["never", "up", "not", "down"]}
    change = {"labels": np.array([1, 3, 1, -1])}
    put(tmp_path / "toy", meta=meta, change=change)
    unchanged()
    with pytest.raises(DataError, match="no sample of class 'never', 'not'; pass drop_empty=True"):
        import_data(tmp_path / "toy", "toy", progress=False)
    unchanged()
    store = import_data(tmp_path / "toy", "toy", progress=False, drop_empty=True)
    assert store.classes == ("up", "down") and store.labels.tolist() == [0, 1, 0, -1]
    assert "never, not" in store.meta.provenance["notes on import"][0]
    put(tmp_path / "toy", meta={**meta, "class_counts": {"never": 0, "up": 2, "not": 0, "down": 1}}, change=change)
    meant = import_data(tmp_path / "toy", "meant", progress=False)
    assert meant.classes == ("never", "up", "not", "down") and meant.labels.tolist() == [1, 3, 1, -1]
    again = import_data(write_pack(meant, tmp_path / "back"), "again", progress=False)
    assert again.fingerprint == meant.fingerprint and again.classes == meant.classes


def test_arrays_of_other_kinds_are_left_out_and_noted(tmp_path):
    source, clips = clips_of(
        put(tmp_path / "toy", change={"score": np.ones(4), "table": np.ones((2, 2), int), "good": np.ones(4, bool)})
    )
    assert [n.split(",")[0] for n in source.provenance["notes on import"]] == ["array 'score' left out", "array 'table' left out"]
    assert clips[0].about["good"] == 1 and "score" not in clips[0].about


def nan_at(frame):
    joints = arrays()["joints"]
    joints[frame, 1, 2] = np.nan
    return joints


BAD = [
    ({"change": {"labels": None}}, r"toy.npz: the array 'labels' is missing; there are: joints, starts"),
    ({"change": {"labels": np.array([0, 1, 2, 0])}}, r"sample 's3' has label 2, but there are 2 classes \(0..1\)"),
    ({"change": {"labels": np.array([0, 1, -2, 0])}}, r"sample 's3' has label -2"),
    ({"change": {"labels": np.array([0, 1, 0])}}, r"'labels' is int64 \(3,\), wanted 4 whole numbers"),
    ({"change": {"labels": np.array([0.0, 1, 0, 1])}}, r"'labels' is float64 \(4,\)"),
    ({"change": {"starts": np.array([0, 5, 10, 13])}}, r"sample 's4' wants 8 frames from 13, there are 20"),
    ({"change": {"starts": np.array([0, -1, 10, 12])}}, r"sample 's2' wants 5 frames from -1"),
    ({"change": {"lengths": np.array([5, 0, 6, 8])}}, r"sample 's2' wants 0 frames"),
    ({"change": {"lengths": np.array([5, 2**62, 6, 8])}}, r"sample 's2' wants 4611686018427387904 frames"),
    ({"change": {"starts": np.zeros((), int)}}, r"'starts' is int64 \(\)"),
    ({"change": {"joints": np.zeros((20, 4, 3))}}, r"'joints' is float64 \(20, 4, 3\), wanted floats \(frames, 3, 3\)"),
    ({"change": {"joints": np.zeros((20, 3, 4))}}, r"'joints' is float64 \(20, 3, 4\)"),
    ({"change": {"joints": np.zeros((20, 9))}}, r"'joints' is float64 \(20, 9\)"),
    ({"change": {"joints": np.zeros((20, 3, 3), int)}}, r"'joints' is int64"),
    ({"change": {"joints": np.zeros((0, 3, 3))}}, r"'joints' is float64 \(0, 3, 3\)"),
    ({"change": {"joints": nan_at(11)}}, r"clip 's3', frame 1: joint 1 of body 0 has the coordinate nan"),
    ({"change": {"joints": np.full((20, 3, 3), 1e300)}}, r"clip 's1', frame 0: .* the coordinate inf"),
    ({"change": {"labels": np.array([0, 1, 0, 1], object)}}, r"'labels' is pickled; save plain arrays"),
    ({"change": {"joints": np.asfortranarray(arrays()["joints"])}}, r"'joints' is in Fortran order"),
    ({"meta": {"classes": None}}, r"meta.json: 'classes' is missing"),
    ({"meta": {"classes": []}}, r"meta.json: 'classes' must be a list of different names"),
    ({"meta": {"classes": ["a", "a"]}}, r"meta.json: 'classes' must be a list of different names"),
    ({"meta": {"classes": "ab"}}, r"meta.json: 'classes' must be a list"),
    ({"meta": {"joint_names": ["a", "b"]}}, r"meta.json: 2 joint_names but 3 parents"),
    ({"meta": {"joint_names": ["a", "b", "b"]}}, r"meta.json: topology 'toy': joint names stand twice: b"),
    ({"meta": {"parents": [-1, 2, 1]}}, r"meta.json: topology 'toy': the parents of joint 1 \(head\) do not lead to the root"),
    ({"meta": {"parents": [-1, -1, 0]}}, r"exactly one joint must have parent -1, found 2"),
    ({"meta": {"parents": [-1, 0, 7]}}, r"meta.json: topology 'toy'"),
    ({"meta": {"parents": [-1, 0, "x"]}}, r"'parents' a list of numbers"),
    ({"meta": {"fps": "fast"}}, r"'fps' must be a number above 0 and up to 1000, found 'fast'"),
    ({"meta": {"fps": 0}}, r"'fps' must be a number above 0"),
    ({"meta": {"up_axis": "Z"}}, r"'up_axis' is 'Z'; turn the coordinates so that y points up"),
    ({"meta": {"splits": ["a"]}}, r"'splits' must be a dict, found a list"),
    ({"meta": {"sample_ids": ["a", "b", "c"]}}, r"4 samples, but meta.json has 3 sample_ids"),
    ({"meta": {"sample_ids": ["a", "b", "c", "c"]}}, r"clip 'c' stands twice"),
    ({"meta": {"sample_ids": ["a", "b", "c", "../../etc"]}}, r"'sample_ids' must be names of 1 to 200 characters"),
    ({"meta": {"sample_ids": ["a", "b", "c", "<script>"]}}, r"'sample_ids' must be names"),
    ({"meta": {"topology": {"joints": ["x", "y", "z"], "parents": [-1, 0, 1]}}}, r"'topology' has other joints or parents"),
]


@pytest.mark.parametrize("case", range(len(BAD)))
def test_the_door_is_strict(case, home, tmp_path, unchanged):
    change, match = BAD[case]
    put(tmp_path / "toy", **change)
    unchanged()
    with pytest.raises(DataError, match=match):
        import_data(tmp_path / "toy", "toy", progress=False)
    unchanged()


def npy(shape, payload, dtype="<f4"):
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": dtype, "fortran_order": False, "shape": shape})
    return file.getvalue() + payload


def test_headers_are_compared_with_the_file_before_memory_is_taken(tmp_path):
    """An array header of 36 TB, and an archive entry that claims as much."""
    put(tmp_path / "toy")
    with zipfile.ZipFile(tmp_path / "toy" / "toy.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for key, value in arrays().items():
            if key == "joints":
                archive.writestr("joints.npy", npy((10**12, 3, 3), bytes(720)))
            else:
                archive.writestr(f"{key}.npy", npy(value.shape, value.tobytes(), value.dtype.str))
    with pytest.raises(DataError, match=r"'joints' should be \(1000000000000, 3, 3\), which the \d+ bytes in the file do not hold"):
        clips_of(tmp_path / "toy")
    # Now the central directory lies too: the stored size says that all is there.
    size = len(npy((10**8, 3, 3), b"")) + 4 * 9 * 10**8
    with zipfile.ZipFile(tmp_path / "toy" / "toy.npz", "w") as archive:
        archive.writestr("joints.npy", npy((10**8, 3, 3), bytes(720)))
    content = bytearray((tmp_path / "toy" / "toy.npz").read_bytes())
    at = content.rindex(b"PK\x01\x02")
    content[at + 24 : at + 28] = struct.pack("<I", size)
    (tmp_path / "toy" / "toy.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"toy.npz: 'joints' should be \(100000000, 3, 3\)"):
        clips_of(tmp_path / "toy")


@pytest.mark.parametrize("keep", [0, 10, 200, -30, -1])
def test_a_pack_that_is_cut_short(keep, home, tmp_path, unchanged):
    put(tmp_path / "toy")
    path = tmp_path / "toy" / "toy.npz"
    path.write_bytes(path.read_bytes()[:keep])
    unchanged()
    with pytest.raises(DataError, match=r"toy.npz: (cannot be read as .npz|damaged)"):
        import_data(tmp_path / "toy", "toy", progress=False)
    unchanged()


def test_a_pack_with_a_flipped_bit(home, tmp_path, unchanged):
    put(tmp_path / "toy", save=np.savez)
    path = tmp_path / "toy" / "toy.npz"
    content = bytearray(path.read_bytes())
    content[content.index(b"joints.npy") + 400] ^= 1
    path.write_bytes(content)
    unchanged()
    with pytest.raises(DataError, match=r"toy.npz: .*Bad CRC-32 for file 'joints.npy'"):
        import_data(tmp_path / "toy", "toy", progress=False)
    unchanged()


def test_two_archives_in_a_folder(tmp_path):
    put(tmp_path / "toy")
    np.savez(tmp_path / "toy" / "other.npz", a=np.ones(1))
    with pytest.raises(DataError, match=r"wanted one .npz file beside meta.json, found 2"):
        clips_of(tmp_path / "toy")
    assert len(clips_of(tmp_path / "toy" / "toy.npz")[1]) == 4


def test_a_description(tmp_path):
    told = describe(put(tmp_path / "toy"))
    assert told.facts["clips"] == 4 and told.facts["classes"] == ["up", "down"] and "20 at 25 fps" in str(told)


@pytest.mark.skipif("SKELBENCH_REALDATA" not in os.environ, reason="needs the folder of real data packs")
@pytest.mark.parametrize("name", ["cmu", "hdm05", "uiprmd_kinect"])
def test_real_packs(name, home, tmp_path):
    real = Path(os.environ["SKELBENCH_REALDATA"]) / name
    store = import_data(real, name, progress=False)
    given, meta = dict(np.load(real / f"{name}.npz")), json.loads((real / "meta.json").read_text())
    assert len(store) == meta["num_samples"] and list(store.classes) == meta["classes"] and store.ids == meta["sample_ids"]
    for i in range(0, len(store), 37):
        start, length = given["starts"][i], given["lengths"][i]
        assert np.array_equal(store[i].joints[:, 0], given["joints"][start : start + length])
    again = import_data(write_pack(store, tmp_path / "pack"), "again", progress=False)
    assert again.fingerprint == store.fingerprint
