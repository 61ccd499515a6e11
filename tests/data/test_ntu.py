"""NTU RGB+D as handed out: names, columns, splits, persons, missing lists, archives that mean well and archives that do not."""

import json
import os
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from mutations import mutate_one, mutated
from samples_ntu import BIG, person, text, write_sample

from skelbench.data import describe, import_data, make_split
from skelbench.data.formats import ntu, ntu_files, recognise
from skelbench.data.formats.ntu_files import recordings
from skelbench.data.tables import ntu_classes, ntu_missing, ntu_splits
from skelbench.errors import ConfigError, DataError
from skelbench.skeleton.persons import PERSONS, Persons, choose
from skelbench.skeleton.topology import Topology, topology

ONE = text([[(BIG, person(np.random.default_rng(0), 1)[0])]] * 3)


@pytest.fixture
def folder(tmp_path):
    return write_sample(tmp_path / "nturgb+d_skeletons", np.random.default_rng(0))


def read(path, **options):
    source = ntu.read(path, **options)
    return source, list(source.clips)


def zipped(path, folder, *, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, f"nturgb+d_skeletons/{file.name}")
    return path


# --- what is read ---------------------------------------------------------------------------------------------------------


def test_names_columns_and_coordinates(folder):
    source, clips = read(folder, persons="raw")
    assert (len(clips), source.total, source.bodies, source.units) == (12, 12, 6, "metre")
    assert source.classes == ntu_classes(60) and source.splits == ntu_splits(60)
    assert [c.id for c in clips] == sorted(f.stem for f in folder.iterdir())
    clip = clips[-1]
    assert clip.id == "S001C003P003R002A050" and clip.label == 49 and source.classes[49].startswith("punching/slapping")
    assert clip.fps == 30 and clip.topology == topology("kinect_v2_25")
    assert clip.about == {"subject": 3, "camera": 3, "setup": 1, "replication": 2, "group": 1003002050}
    assert len({c.about["group"] for c in clips}) == 4  # three cameras see one performance
    lines = (folder / f"{clip.id}.skeleton").read_text().splitlines()
    assert len(clip) == int(lines[0]) and lines[1] == "0" and not clip.joints[0].any()  # nobody in the first frame
    first = np.asarray([[float(w) for w in line.split()[:3]] for line in lines[5:30]], np.float32)
    np.testing.assert_array_equal(clip.joints[1, 0], first)
    assert clip.present[1:, :2].all() and not clip.present[:, 2:].any()


def test_persons_are_chosen_as_asked(folder):
    _, raw = read(folder, persons="raw")
    for name in (*PERSONS, Persons(rule="motion", bodies=1)):
        rule = PERSONS[name] if isinstance(name, str) else name
        source, clips = read(folder, persons=name)
        assert source.bodies == rule.bodies and all(c.joints.shape[1] == rule.bodies for c in clips)
        assert source.provenance["persons"]["rule"] == rule.rule
        for clip, seen in zip(clips, raw, strict=True):
            assert len(clip) == len(seen) - (rule.empty == "drop")
            assert (clip.label == 49 or rule.second == "copy" or not clip.present[:, 1:].any()) and clip.present[:, 0].any()
    with pytest.raises(ConfigError, match="no way to choose persons called 'hrnet'; there are: stgcn"):
        ntu.read(folder, persons="hrnet")


def test_import_and_describe(folder, home):
    assert recognise(folder) == "ntu"
    facts = describe(folder).facts
    assert facts["title"] == "NTU RGB+D 60" and facts["clips"] == 12 and facts["splits"] == ["xsub", "xview"]
    assert (facts["subjects"], facts["cameras"], facts["setups"]) == (2, 3, 1)
    facts = ntu.describe(folder)
    assert facts["missing"] == [] and set(facts["options"]) == {"topology", "persons", "missing", "states", "workers"}
    store = import_data(folder, "small", progress=False)
    assert len(store) == 12 and store.bodies == 2 and "academic" in store.meta.licence
    assert store.meta.provenance["bodies seen"] == {"1": 6, "2": 6}
    split = make_split(store, "xsub")
    assert set(store.index["subject"][split.train_all]) == {1} and set(store.index["subject"][split.test]) == {3}
    split = make_split(store, "xview")
    assert set(store.index["camera"][split.train_all]) == {2, 3} and set(store.index["camera"][split.test]) == {1}


def test_sixty_or_hundred_and_twenty(folder, home):
    for name in ("S018C001P041R001A061", "S002C001P001R001A061", "S003C001P001R001A120"):
        (folder / f"{name}.skeleton").write_bytes(ONE)
        assert describe(folder).facts["title"] == "NTU RGB+D 120" and len(ntu.read(folder).classes) == 120
        assert ntu.read(folder).splits == ntu_splits(120) and "TPAMI" in ntu.read(folder).attribution
        (folder / f"{name}.skeleton").unlink()
    assert describe(folder).facts["title"] == "NTU RGB+D 60"
    for name in ("S002C001P001R001A120", "S003C001P001R001A120"):
        (folder / f"{name}.skeleton").write_bytes(ONE)
    store = import_data(folder, "large", progress=False)
    split = make_split(store, "xset", allow_missing=True)
    assert [store.ids[r] for r in split.train] == ["S002C001P001R001A120"]
    assert [store.ids[r] for r in split.test] == ["S003C001P001R001A120"]
    (folder / "S001C001P001R001A121.skeleton").write_bytes(ONE)
    with pytest.raises(DataError, match=r"A121.skeleton: action 121 is none of the dataset's, which are 1 to 120"):
        ntu.read(folder)


def test_columns_of_every_name_of_the_lists(tmp_path):
    """Names alone: all 535 of the missing list have the columns the official splits ask for."""
    for name in ntu_missing():
        (tmp_path / f"{name}.skeleton").touch()
    entries = recordings(tmp_path)
    assert len(entries) == 535 == len({e.id for e in entries})
    for entry in entries:
        clip = ntu._clip(entry, np.zeros((1, 1, 25, 3), np.float32), topology("kinect_v2_25"))
        assert (
            entry.id == "S{setup:03d}C{camera:03d}P{subject:03d}R{replication:03d}".format(**clip.about) + f"A{clip.label + 1:03d}"
        )


def test_other_joints(folder):
    layout = Topology.from_dict({"name": "arm", "joints": ["left_hand", "left_elbow", "left_shoulder"], "parents": [1, 2, -1]})
    whole, arm = read(folder)[1], read(folder, topology=layout)[1]
    index = [topology("kinect_v2_25").joint(j) for j in layout.joints]
    for a, b in zip(whole, arm, strict=True):
        np.testing.assert_array_equal(a.joints[:, :, index], b.joints)
    with pytest.raises(DataError, match="wants 1 joints the file does not have, the first is 'tail'"):
        ntu.read(folder, topology=Topology.from_dict({"name": "cat", "joints": ["tail"], "parents": [-1]}))


def test_tracking_states(folder):
    plain, scored = read(folder)[1], read(folder, states=True)[1]
    for a, b in zip(plain, scored, strict=True):
        np.testing.assert_array_equal(a.joints, b.joints[..., :3])
        np.testing.assert_array_equal(b.joints[..., 3], np.where(a.present, 1.0, 0.0)[..., None] * np.ones(25))


def test_nobody_and_not_a_number_are_noted(folder, home):
    (folder / "S001C001P001R001A002.skeleton").write_bytes(b"2\r\n0\r\n0\r\n")
    holes = person(np.random.default_rng(1), 14)
    holes[3, 2] = np.nan
    holes[4:6, 7, 0] = np.nan
    (folder / "S001C001P001R001A003.skeleton").write_bytes(text([[(BIG, x)] for x in holes]))
    (folder / "S001C001P001R001A004.skeleton").write_bytes(text([[(BIG, np.zeros((25, 3)))]] * 3))
    store = import_data(folder, "small", progress=False)
    assert len(store) == 13
    assert store.meta.provenance["notes"] == [
        "2 recordings without a body left out: S001C001P001R001A002, S001C001P001R001A004",
        "3 joints with NaN for a coordinate became zero, which is not tracked, in 1 recordings: S001C001P001R001A003",
    ]
    clip = store[store.ids.index("S001C001P001R001A003")]
    assert not clip.joints[3, 0, 2].any() and not clip.joints[4:6, 0, 7].any() and clip.joints[3, 0, 3].any()


def test_missing_lists(folder, tmp_path, home):
    listed = sorted(ntu_missing(60))[0]
    (folder / f"{listed}.skeleton").write_bytes(ONE)
    assert describe(folder).facts["left out"] == "1 of 13 recordings, on the authors' list of missing skeletons"
    source, clips = read(folder)
    assert len(clips) == 12 and source.provenance["notes"] == ["1 recordings on the authors' list of missing skeletons left out"]
    assert source.provenance["files"] == 13
    assert next(ntu.read(folder, missing=False).clips).id == min(listed, "S001C001P001R002A001")
    own = tmp_path / "mine.txt"
    own.write_text(
        "Three lines\nof words\nSxxxCxxx\nS001C001P001R002A001\nS001C002P001R002A001.skeleton\n/a/S001C003P001R002A001 x\n"
    )
    left = {c.id for c in read(folder, missing=str(own))[1]}
    assert len(left) == 10 and listed in left and not {f"S001C00{c}P001R002A001" for c in (1, 2, 3)} & left
    own.write_text("nothing\n")
    with pytest.raises(DataError, match=r"mine.txt: no line holds a name like S001C002P005R002A008"):
        ntu.read(folder, missing=own)
    with pytest.raises(DataError, match=r"gone.txt: cannot be read"):
        ntu.read(folder, missing=tmp_path / "gone.txt")
    own.write_text("\n".join(f.stem for f in folder.iterdir()))
    with pytest.raises(DataError, match=r"every recording is on the list mine.txt; pass missing=False"):
        ntu.read(folder, missing=own)
    store = import_data(folder, "all", missing=False, progress=False)
    assert listed in store.ids and "1 clips on the missing list left out" in make_split(store, "xview").note


def test_files_with_other_names(folder, tmp_path):
    for name in (
        "clip.skeleton",
        "S001C001P001R001A00٣.skeleton",
        "S001C001P001R001A0001.skeleton",
        "._S001C001P001R001A009.skeleton",
    ):
        (folder / name).write_bytes(b"x")
    assert len(recordings(folder)) == 12
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "clip.skeleton").write_bytes(ONE)
    assert not ntu.sniff(tmp_path / "other") and not ntu.sniff(tmp_path / "gone")
    for path in (tmp_path / "other", tmp_path / "other" / "clip.skeleton"):
        with pytest.raises(DataError, match=r"holds no file called SsssCcccPpppRrrrAaaa.skeleton"):
            ntu.read(path)
    deep = tmp_path / "A Cat 42" / "S9"  # letters of folders mean nothing
    deep.mkdir(parents=True)
    (deep / "S001C001P001R001A009.skeleton").write_bytes(ONE)
    assert read(tmp_path / "A Cat 42")[1][0].label == 8
    assert read(deep / "S001C001P001R001A009.skeleton")[1][0].label == 8


def test_damage_names_file_and_line(folder, home, tmp_path, unchanged):
    file = folder / "S001C002P003R002A001.skeleton"
    file.write_bytes(file.read_bytes().replace(b"250.1", b"", 1).replace(b"0.1 -0.2", b"0.1-0.2", 1))
    unchanged()
    for options in ({}, {"workers": 2}):
        with pytest.raises(
            DataError, match=r"S001C002P003R002A001.skeleton:6: 1\d values, wanted 12: joint 0 of body 0 of frame 1"
        ):
            import_data(folder, "bad", progress=False, **options)
    xyz = person(np.random.default_rng(0), 1)[0]
    file.write_bytes(text([[(7, xyz), (7, xyz)]]))
    with pytest.raises(DataError, match=r"S001C002P003R002A001.skeleton: body 7 stands twice in frame 0"):
        import_data(folder, "bad", progress=False)
    unchanged()


def test_processes_change_nothing(folder, home):
    for n in range(40):
        (folder / f"S001C001P001R001A{n + 2:03d}.skeleton").write_bytes(ONE)
    one = import_data(folder, "one", progress=False, workers=1)
    two = import_data(folder, "two", progress=False, workers=2)
    assert len(one) == 52 and one.ids == two.ids and one.fingerprint == two.fingerprint
    with pytest.raises(ConfigError, match="workers=0; wanted at least 1"):
        import_data(folder, "none", progress=False, workers=0)


def test_reference_files_through_the_reader(tmp_path):
    reference = os.environ.get("SKELBENCH_REFERENCE")
    if not reference:
        pytest.skip("SKELBENCH_REFERENCE is not set")
    case = np.load(Path(reference) / "ntu_skeleton_file_a.npz", allow_pickle=False)
    samples = json.loads(str(case["meta"]))["samples"]
    for n in range(len(samples)):
        (tmp_path / f"S001C001P001R001A{n + 1:03d}.skeleton").write_bytes(case[f"input/text/{n:02d}"].tobytes())
    for name, key in (("agcn", "energy_order"), ("ctrgcn", "denoised")):
        for clip in read(tmp_path, persons=name, missing=False)[1]:
            wanted = case[f"output/{key}/{clip.label:02d}"]
            wanted = wanted.transpose(1, 3, 2, 0) if key == "energy_order" else wanted.reshape(len(wanted), -1, 25, 3)
            np.testing.assert_allclose(clip.joints[:, : wanted.shape[1]], wanted, atol=1e-5)
            assert not clip.joints[:, wanted.shape[1] :].any()


# --- archives -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_archives_stay_packed(folder, tmp_path, home, compression, monkeypatch):
    plain = import_data(folder, "plain", progress=False)
    archive = zipped(tmp_path / "nturgbd_skeletons_s001_to_s017.zip", folder, compression=compression)
    monkeypatch.setattr("skelbench.data.importing.unpacked", lambda *a, **k: pytest.fail("unpacked"))
    assert recognise(archive) == "ntu" and describe(archive).facts["clips"] == 12
    for workers in (1, 2):
        store = import_data(archive, f"packed{workers}", progress=False, workers=workers)
        assert store.fingerprint == plain.fingerprint
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_file()) == [archive.name]


def test_a_folder_of_archives_and_files(folder, tmp_path, home):
    both = tmp_path / "both"
    both.mkdir()
    zipped(both / "nturgbd_skeletons_s001_to_s017.zip", folder)
    more = tmp_path / "more"
    more.mkdir()
    (more / "S018C001P008R001A061.skeleton").write_bytes(ONE)
    zipped(both / "nturgbd_skeletons_s018_to_s032.ZIP", more)
    (both / "S002C001P001R001A009.skeleton").write_bytes(ONE)
    with zipfile.ZipFile(both / "pictures.zip", "w") as archive:
        archive.writestr("cat.png", b"x")
    assert recognise(both) == "ntu"
    store = import_data(both, "both", progress=False)
    assert len(store) == 14 and store.ids == sorted(store.ids) and len(store.classes) == 120
    (both / "S018C001P008R001A061.skeleton").write_bytes(ONE)
    with pytest.raises(DataError, match=r"s032.ZIP/.*S018C001P008R001A061.skeleton: the same recording as .*; keep one of them"):
        import_data(both, "twice", progress=False)


def hostile(path, name, *, mode=0, data=ONE):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/S001C001P001R001A001.skeleton", ONE)
        info = zipfile.ZipInfo(name)
        info.external_attr = mode << 16
        archive.writestr(info, data)
    return path


@pytest.mark.parametrize(
    "name, mode, match",
    [
        ("/etc/S001C001P001R001A002.skeleton", 0, "a name that leads out of the archive"),
        ("../../S001C001P001R001A002.skeleton", 0, "a name that leads out of the archive"),
        ("a/../../evil", 0, "a name that leads out of the archive"),
        ("..\\S001C001P001R001A002.skeleton", 0, "a name that leads out of the archive"),
        ("C:\\S001C001P001R001A002.skeleton", 0, "a name that leads out of the archive"),
        ("a/S001C001P001R001A002.skeleton", 0o120777, "is a link"),
        ("b" * 300, 0, "a path of 300 characters"),
        ("x/S001C001P001R001A001.skeleton", 0, "the same recording as"),
    ],
)
def test_archives_that_lead_elsewhere(tmp_path, home, name, mode, match, unchanged):
    archive = hostile(tmp_path / "a.zip", name, mode=mode)
    unchanged()
    for ask in (
        lambda: import_data(archive, "bad", format="ntu", progress=False),
        lambda: import_data(tmp_path, "bad", progress=False),
    ):
        with pytest.raises(DataError, match=match):
            ask()
    unchanged()


def patched(path, field, value):
    """Change a field of the central directory, in every member: offsets from the record's start."""
    data = bytearray(path.read_bytes())
    at = data.find(b"PK\x01\x02")
    while at >= 0:
        struct.pack_into("<I" if field in (20, 24) else "<H", data, at + field, value)
        at = data.find(b"PK\x01\x02", at + 4)
    path.write_bytes(data)
    return path


def test_archives_that_lie_about_sizes(folder, tmp_path, monkeypatch):
    bomb = patched(zipped(tmp_path / "claims.zip", folder), 24, 0xFFFFFFF0)
    with pytest.raises(DataError, match=r"claims 12 members of 51\d+ bytes, more than such an archive can hold"):
        ntu.read(bomb)
    large = zipped(tmp_path / "large.zip", folder)
    monkeypatch.setattr(ntu_files, "LARGEST", 5000)
    with pytest.raises(DataError, match=r"large.zip: member '.*skeleton' claims \d+ bytes, more than 5000"):
        ntu.read(large)
    monkeypatch.undo()
    short = patched(zipped(tmp_path / "short.zip", folder), 24, 100)  # less than there is: only that much is unpacked
    with pytest.raises(DataError, match=r"short.zip/.*skeleton: cannot be unpacked \(Bad CRC-32|short.zip/.*:\d+: "):
        read(short)
    crowd = patched(zipped(tmp_path / "crowd.zip", folder), 20, 1 << 20)
    with pytest.raises(DataError, match=r"crowd.zip: its members lie on top of each other"):
        ntu.read(crowd)


def test_archives_that_are_damaged(folder, tmp_path):
    good = zipped(tmp_path / "good.zip", folder).read_bytes()
    bad = tmp_path / "bad.zip"
    bad.write_bytes(b"PK\x03\x04 and no more")
    assert not ntu.sniff(bad)
    with pytest.raises(DataError, match=r"bad.zip: not a zip archive"):
        ntu.read(bad)
    data = bytearray(good)
    data[200] ^= 0xFF  # inside the first member
    bad.write_bytes(data)
    with pytest.raises(DataError, match=r"bad.zip/nturgb\+d_skeletons/S001C001P001R002A001.skeleton: cannot be unpacked"):
        read(bad)
    bad.write_bytes(good)
    with pytest.raises(DataError, match="is encrypted; unpack the archive by hand"):
        read(patched(bad, 8, 1))
    rng = np.random.default_rng(3)
    for _ in range(150):
        bad.write_bytes(mutated(good, rng))
        try:
            read(bad)
        except DataError as error:
            assert "bad.zip" in str(error)


def test_damage_at_random(tmp_path):
    rng = np.random.default_rng(4)
    refused = 0
    for n in range(60):
        folder = write_sample(tmp_path / f"{n}", rng)
        damaged = mutate_one(folder, rng)
        for file in folder.iterdir():
            if file != damaged:
                file.unlink()
        try:
            _, clips = read(folder, persons=list(PERSONS)[n % len(PERSONS)], states=n % 2 == 0)
            assert all(np.isfinite(c.joints).all() for c in clips)
        except DataError as error:
            refused += 1
            assert damaged.name in str(error)
    assert refused > 20


def test_choosing_is_that_of_the_rule(folder):
    """The reader hands the file's tracks to ``choose`` unchanged."""
    from skelbench.data.formats.ntu_text import parse

    for clip in read(folder, persons="pyskl")[1]:
        found = parse((folder / f"{clip.id}.skeleton").read_bytes(), clip.id)
        np.testing.assert_array_equal(clip.joints, choose(found.tracks(), found.frames, "pyskl"))
