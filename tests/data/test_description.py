"""describe: what is there, what is missing, and commands that work as they stand."""

import shlex
import zipfile

import numpy as np
import pytest

from skelbench.cli import main
from skelbench.data import describe, import_data, load, write_pack, write_store
from skelbench.errors import DataError

BVH = """HIERARCHY
ROOT hips
{
OFFSET 0 0 0
CHANNELS 3 Xposition Yposition Zposition
JOINT head { OFFSET 0 1 0 }
}
MOTION
Frames: 2
Frame Time: 0.0333333
0 0 0
1 0 0
"""


@pytest.fixture
def takes(tmp_path):
    for name in ("run/a", "run/b", "walk/c"):
        (tmp_path / "my takes" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "my takes" / f"{name}.bvh").write_text(BVH)
    return tmp_path / "my takes"


def run(line):
    """A line of the description, as a shell would take it apart."""
    program, *words = shlex.split(line)
    assert program == "skelbench"
    return main(words)


def test_the_commands_work_as_they_stand(home, takes):
    told = describe(takes)
    assert told.facts["format"] == "bvh" and told.facts["clips"] == 3 and told.facts["classes"] == ["run", "walk"]
    assert told.missing == () and "fps" in told.options and "labels" in told.options
    (line,) = told.shell
    assert line == f"skelbench data import '{takes}' --name my_takes" and run(line) == 0
    assert len(load("my_takes")) == 3
    names = {}
    exec("\n".join(told.python), names)
    assert names["data"].fingerprint == load("my_takes").fingerprint
    (here,) = [line for line in describe("my_takes").shell if "verify" in line]
    assert run(here) == 0


def test_what_is_missing_stands_in_the_commands(home, takes):
    told = describe(takes / "run" / "a.bvh")
    assert told.facts["clips"] == 1 and "labels=" in told.missing[0]
    assert told.shell[1] == f"{told.shell[0]} --labels labels.csv" and run(told.shell[0]) == 0  # it can be read without
    assert "still missing" in str(told) and "Still missing" in told._repr_html_()


def test_an_option_that_must_be_chosen_stands_in_the_commands(home, tmp_path):
    from samples_uiprmd import write_take

    for sensor, width in (("Kinect", 66), ("Vicon", 117)):
        take = tmp_path / "both" / sensor / "Positions"
        take.mkdir(parents=True)
        write_take(take, "m01_s01_e01", np.ones((3, width)), np.ones((3, width)))
    told = describe(tmp_path / "both")
    assert told.shell[0].startswith(f"skelbench data import {tmp_path / 'both'} sensor=kinect") and run(told.shell[0]) == 0


def test_an_archive_is_described_by_what_is_in_it(home, takes, tmp_path, monkeypatch, unchanged):
    with zipfile.ZipFile(tmp_path / "takes.zip", "w") as archive:
        for file in takes.rglob("*.bvh"):
            archive.write(file, f"takes/{file.relative_to(takes)}")
    unchanged()
    told = describe(tmp_path / "takes.zip")
    unchanged()
    assert told.facts["format"] == "bvh" and told.facts["clips"] == 3
    assert told.shell == (f"skelbench data import {tmp_path}/takes.zip --name takes",) and run(told.shell[0]) == 0
    monkeypatch.setattr("skelbench.data.description.MOST_UNPACKED", 100)
    told = describe(tmp_path / "takes.zip")
    assert told.facts["format"] == "a zip archive" and "a zip archive of 3 .bvh files" in told.facts["found"]


def test_two_formats_are_told_apart_by_the_user(home, takes):
    (takes / "x.amc").write_text("")
    (takes / "x.asf").write_text("")
    told = describe(takes)
    assert set(told.facts["several formats"]) == {"acclaim", "bvh"} and "format=" in told.missing[0]
    assert told.facts["several formats"]["bvh"] == "3 clips" and "not readable" in told.facts["several formats"]["acclaim"]
    assert [line.split("--format ")[1] for line in told.shell] == list(told.facts["several formats"])


def test_an_unknown_format_is_described_by_what_was_seen(home, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    for i in range(12):
        (folder / f"{i}.json").write_text('{"frames": [], "person": 1}')
    (folder / "film.mp4").write_bytes(b"x")
    told = describe(folder)
    found = told.facts["found"]
    assert "a folder of 12 .json files" in found and "keys frames, person" in found and "none with key skeletons" in found
    assert "video: estimate poses first" in found and told.facts["format"] == "not one that can be read"
    assert any("one CSV" in way for way in told.missing) and any("skeleton.json" in way for way in told.missing)
    with pytest.raises(DataError, match=r"a folder of 12 .json files .*none with key skeletons"):
        import_data(folder, "mine", progress=False)
    assert main(["data", "describe", str(folder)]) == 0


@pytest.mark.parametrize(
    "name, content, says",
    [
        ("a.json", b"{", "damaged"),
        ("a.json", b"[" * 100_000, "no keys at its beginning"),
        ("a.json", b"[1, 2]", "a list of 2"),
        ("a.csv", b"frame;x;y\n1;2;3\n", "begins with 'frame;x;y'"),
        ("a.txt", b"1 2 3 4\n", "the first line has 4 numbers"),
        ("a.txt", b"", "empty"),
        ("a.npy", b"no array", "damaged"),
        ("a.npz", b"PK", "damaged"),
        ("a.xyz", bytes(range(256)), "a .xyz file"),
        ("a", b"", "a file without ending"),
    ],
)
def test_single_files(name, content, says, home, tmp_path):
    (tmp_path / name).write_bytes(content)
    told = describe(tmp_path / name).facts["found"]
    assert says in told and told.startswith(f"a {tmp_path.joinpath(name).suffix or 'file'}")


def test_arrays_are_described_by_their_headers(home, tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((3, 4), np.float16))
    np.savez(tmp_path / "b.npz", first=[1], second=[2])
    assert "float16 (3, 4)" in str(describe(tmp_path).facts["found"])
    assert "arrays first, second" in describe(tmp_path / "b.npz").facts["found"]


def test_a_store_and_its_default_split(home, make):
    write_store(home / "mine", make(), classes=("a", "b", "c"), extra={"split": "loso:1"})
    told = describe("mine")
    assert told.facts["default split"] == "loso:1" and told.facts["coordinates"] == "3, metre, up is y"
    assert "default split" not in describe(write_pack(load("mine"), home.parent / "pack")).facts
    page = told._repr_html_()
    assert "skelbench data card mine" in page and "sb.load(&#x27;mine&#x27;)" in page


def test_hostile_names_are_shown_as_they_are(home, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("<script>x", "\u202egpj", "line\nend"):
        (folder / f"{name}.exe").write_text("x")
    told = describe(folder)
    page = told._repr_html_()
    assert "<script>" not in page and "\u202e" not in page + str(told) and str(told).count("\n") == len(str(told).splitlines()) - 1
    assert "line\nend" not in str(told)


def test_nothing_there(home, tmp_path):
    (tmp_path / "empty").mkdir()
    for name, says in (("gone", "no such file or folder"), ("empty", "the folder is empty")):
        with pytest.raises(DataError, match=says):
            describe(tmp_path / name)
