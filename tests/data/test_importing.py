"""Imports: done once, undone whole, bounded in memory, from archives too."""

import json
import os
import signal
import stat
import subprocess
import sys
import tracemalloc
import zipfile

import numpy as np
import pytest

from skelbench.data import checksums, import_data, load, write_pack, write_store
from skelbench.data.archive import unpacked
from skelbench.data.formats import bvh
from skelbench.data.formats.options import option_words, parse_options
from skelbench.errors import ConfigError, DataError
from skelbench.skeleton.normalise import preset

BVH = """HIERARCHY
ROOT hips
{{
OFFSET 0 0 0
CHANNELS 3 Xposition Yposition Zposition
JOINT head {{ OFFSET 0 1 0 }}
}}
MOTION
Frames: {frames}
Frame Time: 0.0333333
{motion}
"""


def put(folder, n, *, frames=3, classes=("run", "walk")):
    """n takes, class by class."""
    motion = "\n".join(f"{t} 0 0" for t in range(frames))
    for i in range(n):
        place = folder / classes[i % len(classes)]
        place.mkdir(parents=True, exist_ok=True)
        (place / f"take_{i:04d}.bvh").write_text(BVH.format(frames=frames, motion=motion))
    return folder


@pytest.fixture
def takes(tmp_path):
    return put(tmp_path / "takes", 6)


def bring(path, name="mine", **more):
    return import_data(path, name, progress=False, **{"scale": 1.0} | more)


# Doing it twice


def test_the_same_again_costs_nothing(home, takes, capsys):
    first = bring(takes)
    when = (first.path / "clips.npy").stat().st_mtime_ns
    again = import_data(takes, "mine", scale=1.0)
    assert again.fingerprint == first.fingerprint and "mine: already there, unchanged" in capsys.readouterr().out
    assert (again.path / "clips.npy").stat().st_mtime_ns == when  # not one byte was written
    assert bring(takes, overwrite=True).fingerprint == first.fingerprint
    assert (first.path / "clips.npy").stat().st_mtime_ns > when


@pytest.mark.parametrize("change", ["content", "time", "new file", "gone"])
def test_a_changed_source_is_noticed(change, home, takes):
    bring(takes)
    file = takes / "run" / "take_0000.bvh"
    {
        "content": lambda: file.write_text(file.read_text() + " "),
        "time": lambda: os.utime(file, ns=(1, 1)),
        "new file": lambda: (takes / "run" / "more.bvh").write_text(file.read_text()),
        "gone": file.unlink,
    }[change]()
    with pytest.raises(DataError, match="mine exists already, made from another source; choose another name, or pass overwrite"):
        bring(takes)
    bring(takes, overwrite=True)
    assert bring(takes).path.name == "mine"


def test_a_table_beside_the_data_counts_with_its_state(home, takes, tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text("file,class\ntake_0000,a\n")
    bring(takes, labels=table)
    bring(takes, labels=table)
    table.write_text("file,class\ntake_0000,b\n")
    os.utime(table, ns=(5, 5))
    with pytest.raises(DataError, match="exists already, made from files that changed since"):
        bring(takes, labels=table)


def test_hidden_files_do_not_count(home, takes):
    bring(takes)
    (takes / ".DS_Store").write_text("x")
    bring(takes)


def test_a_dataset_that_does_not_open_is_not_called_unchanged(home, takes):
    path = bring(takes).path
    (path / "index.npz").unlink()
    with pytest.raises(DataError, match=r"mine exists already and does not open .*index.npz.*pass overwrite=True"):
        bring(takes)
    assert len(bring(takes, overwrite=True)) == 6


# A split that is kept


def test_a_split_is_checked_and_kept(home, tmp_path, unchanged):
    rng = np.random.default_rng(0)
    folder = tmp_path / "pack"
    folder.mkdir()
    joints = rng.normal(size=(60, 2, 3)).astype(np.float32)
    columns = {"labels": np.arange(20) % 2, "subjects": np.arange(20) // 2 % 4}
    np.savez(folder / "pack.npz", joints=joints, starts=np.arange(20) * 3, lengths=np.full(20, 3), **columns)
    (folder / "meta.json").write_text(json.dumps({"classes": ["a", "b"], "joint_names": ["x", "y"], "parents": [-1, 0], "fps": 30}))
    unchanged()
    with pytest.raises(ConfigError, match="'mine' has no official split 'xview'"):
        import_data(folder, "mine", split="xview", progress=False)
    with pytest.raises(ConfigError, match="no split called 'nonsense'"):
        import_data(folder, "mine", split="nonsense", progress=False)
    unchanged()
    assert import_data(folder, "mine", split="cross_subject", progress=False).meta.extra["split"] == "cross_subject"


# A normalisation that is baked in


@pytest.mark.parametrize("chunk", [2, 64])
def test_a_preset_is_what_the_loader_would_have_done(chunk, home, tmp_path, make, monkeypatch):
    monkeypatch.setattr("skelbench.data.normalised.CHUNK", chunk)
    given = write_pack(write_store(tmp_path / "given", make(), classes=("a", "b", "c")), tmp_path / "pack")
    plain = import_data(given, "plain", progress=False)
    for name, up in (("isc", "z"), ("pyskl", "z"), ("ctrgcn", "y"), ("ctrgcn120", "y")):
        baked = import_data(given, name, preset=name, progress=False)
        assert baked.meta.presets == (name,) and baked.up == up == baked[0].up and plain.up == plain[0].up == "y"
        assert baked.ids == plain.ids and baked.bodies == 2
        for row in (0, 7, 11):
            batch = plain.batch([row])
            joints, lengths = preset(name).run(batch.joints, batch.lengths, plain.topology)
            mine = baked.batch([row])
            assert mine.lengths.tolist() == lengths.tolist()
            assert np.allclose(mine.joints, joints[:, :, : int(lengths[0])], atol=1e-5)
    assert import_data(given, "plain", progress=False).meta.presets == ()
    with pytest.raises(DataError, match="plain exists already, made from other settings"):
        import_data(given, "plain", preset="isc", progress=False)
    with pytest.raises(ConfigError, match="no preset called 'iso'"):
        import_data(given, "more", preset="iso", progress=False)
    packed = write_pack(load("isc"), tmp_path / "normalised")
    assert import_data(packed, "again", preset="agcn", progress=False).meta.presets == ("isc", "agcn")
    with pytest.raises(ConfigError, match="stored with the preset 'isc', so 'pyskl' cannot be applied"):
        import_data(packed, "twice", preset="pyskl", progress=False)


def test_a_preset_tells_the_reader_how_to_choose_persons(home, takes, monkeypatch):
    """A reader that takes a rule gets that of the preset, unless the user named one."""
    asked = []
    real = bvh.read

    def read(path, *, topology=None, scale=None, persons="tracks"):
        asked.append(persons)
        return real(path, topology=topology, scale=scale)

    monkeypatch.setattr(bvh, "read", read)
    bring(takes, "one", preset="ctrgcn")
    bring(takes, "two", preset="ctrgcn", persons="raw")
    bring(takes, "three")
    assert asked == ["ctrgcn", "raw", "tracks"]


# Killed in the middle

SLOW = """
import sys, time
from skelbench.data import import_data
from skelbench.data.formats import bvh

real, seen = bvh.parse, []

def parse(path):
    seen.append(path)
    if len(seen) == 4:
        print("reading", flush=True)
        time.sleep(60)
    return real(path)

bvh.parse = parse
import_data(sys.argv[1], "mine", progress=False, scale=1.0)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_an_import_that_is_stopped(how, home, takes):
    environment = {**os.environ, "SKELBENCH_DATA": str(home)}
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW, str(takes)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    )
    try:
        assert process.stdout.readline() == "reading\n"
        os.kill(process.pid, how)
    finally:
        process.wait(timeout=60)
        process.stdout.close()
    left = [p.name for p in home.iterdir()]
    assert len(left) == (how == signal.SIGKILL) and not [n for n in left if not n.startswith(".mine.")]
    with pytest.raises(DataError, match="no dataset 'mine'"):
        load("mine")
    assert len(bring(takes)) == 6 and [p.name for p in home.iterdir()] == ["mine"]
    assert all(sum.good for sum in checksums(load("mine")))


# Memory


def test_memory_grows_by_the_index_alone(home, tmp_path):
    """Ten times the clips: 360 more of 60 kB each are 21 MB, of which the import must keep the table only."""

    def peak(n):
        folder = put(tmp_path / f"n{n}", n, frames=200)
        tracemalloc.start()
        bring(folder, f"n{n}", fps=None)
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return top

    peak(5)
    few, many = peak(40), peak(400)
    assert many - few < 360 * 3000
    assert load("n400").frames.nbytes > 10 * load("n40").frames.nbytes * 0.99


# Archives


def pack_up(folder, target, *, inside=""):
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*.bvh")):
            archive.write(file, inside + file.relative_to(folder).as_posix())
        archive.writestr("__MACOSX/._take.bvh", "rubbish")
    return target


@pytest.mark.parametrize("inside", ["", "deep/er/"])
def test_an_archive_is_read_like_its_folder(inside, home, takes, tmp_path):
    archive = pack_up(takes, tmp_path / "takes.zip", inside=inside)
    one, other = bring(takes, "one"), bring(archive, "other")
    assert one.fingerprint == other.fingerprint and one.classes == other.classes == ("run", "walk") and one.ids == other.ids
    assert sorted(p.name for p in home.iterdir()) == ["one", "other"]
    assert bring(archive, "other").fingerprint == one.fingerprint


def write(archive, name, data=b"x", *, mode=0):
    entry = zipfile.ZipInfo(name)
    entry.external_attr = mode << 16
    archive.writestr(entry, data)


HOSTILE = [
    (lambda z: write(z, "../../out.bvh"), r"member '../../out.bvh' has a name that leads out of the archive"),
    (lambda z: write(z, "/etc/out.bvh"), r"leads out of the archive"),
    (lambda z: write(z, "..\\out.bvh"), r"leads out of the archive"),
    (lambda z: write(z, "c:/out.bvh"), r"leads out of the archive"),
    (lambda z: write(z, "a\nb.bvh"), r"cannot be written"),
    (lambda z: write(z, "a" * 300 + ".bvh"), r"a path of 304 characters"),
    (lambda z: write(z, "a.bvh", b"/etc/passwd", mode=stat.S_IFLNK | 0o777), r"member 'a.bvh' is a link"),
]


@pytest.mark.parametrize("case", range(len(HOSTILE)))
def test_archives_that_mean_harm(case, home, tmp_path, unchanged):
    add, match = HOSTILE[case]
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        add(archive)
    unchanged()
    with pytest.raises(DataError, match=match):
        bring(tmp_path / "bad.zip")
    unchanged()


def test_an_archive_that_is_damaged_or_too_large(home, takes, tmp_path, monkeypatch, unchanged):
    archive = pack_up(takes, tmp_path / "takes.zip")
    content = bytearray(archive.read_bytes())
    broken = tmp_path / "broken.zip"
    for at in (40, 60, 80):
        content[at] ^= 0xFF
    broken.write_bytes(content)
    (tmp_path / "none.zip").write_bytes(b"PK")
    unchanged()
    with pytest.raises(DataError, match=r"broken.zip: the archive cannot be unpacked"):
        bring(broken)
    with pytest.raises(DataError, match=r"none.zip: the archive cannot be unpacked \(File is not a zip file"):
        bring(tmp_path / "none.zip")
    with monkeypatch.context() as full:
        full.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 100})())
        with pytest.raises(DataError, match=r"takes.zip: unpacking takes \d+ MB in .*, 0 MB are free"):
            bring(archive)
    with monkeypatch.context() as strict:
        strict.setattr("skelbench.data.archive.GROWTH", 0)
        with pytest.raises(DataError, match="more than such an archive can hold"):
            with unpacked(archive):
                raise AssertionError("never reached")
    unchanged()


# Options as words


def test_options_become_what_the_reader_wants():
    assert parse_options("bvh", ["fps=none", "scale=0.5", "end-sites=false", "skip=2", "labels=a/b.csv"]) == {
        "fps": None,
        "scale": 0.5,
        "end_sites": False,
        "skip": 2,
        "labels": "a/b.csv",
    }
    assert parse_options("pack", ["drop_empty=yes"]) == {"drop_empty": True} and parse_options("pack", []) == {}
    assert option_words("bvh")["fps"] == "30.0 (a number or none)" and "true or false" in option_words("bvh")["end_sites"]


@pytest.mark.parametrize(
    "format, pairs, match",
    [
        ("bvh", ["speed=3"], r"the reader of 'bvh' has no option 'speed'; it has: labels, fps, scale"),
        ("bvh", ["fps"], r"'fps': wanted an option of the reader as KEY=VALUE"),
        ("bvh", ["=3"], r"wanted an option of the reader as KEY=VALUE"),
        ("bvh", ["fps=fast"], r"option fps='fast': wanted a number or none"),
        ("bvh", ["skip=1.5"], r"option skip='1.5': wanted a whole number"),
        ("bvh", ["end_sites=maybe"], r"option end_sites='maybe': wanted true or false"),
        ("bvh", ["fps=3", "fps=4"], r"'fps' is given twice: 3.0 and '4'"),
        ("mp4", ["fps=3"], r"no format called 'mp4'; there are: pack"),
    ],
)
def test_options_that_do_not_fit(format, pairs, match):
    with pytest.raises(ConfigError, match=match):
        parse_options(format, pairs)
