"""The shell: every verb does what its function does, and every mistake is one line and exit code 2."""

import json

import numpy as np
import pytest

from skelbench.cli import main
from skelbench.data import load, write_store
from skelbench.skeleton.clip import Clip
from skelbench.skeleton.topology import topology


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("SKELBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("SKELBENCH_RUNS", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def pack(tmp_path):
    rng = np.random.default_rng(0)
    N, T, V = 48, 24, 5
    joints = np.cumsum(rng.normal(0, 0.02, (N, T, V, 3)), axis=1) + rng.normal(0, 0.3, (1, 1, V, 3))
    folder = tmp_path / "pack"
    folder.mkdir()
    np.savez(
        folder / "mine.npz",
        joints=joints.reshape(N * T, V, 3).astype(np.float32),
        starts=np.arange(N, dtype=np.int64) * T,
        lengths=np.full(N, T, np.int32),
        labels=(np.arange(N) % 3).astype(np.int16),
        subjects=(np.arange(N) // 3 % 4).astype(np.int16),
    )
    names = ["hips", "spine", "left_shoulder", "right_shoulder", "head"]
    meta = {"classes": ["a", "b", "c"], "joint_names": names, "parents": [-1, 0, 1, 1, 1], "fps": 30, "units": "metre"}
    (folder / "meta.json").write_text(json.dumps(meta))
    return folder


def test_import_list_pretrain_evaluate_show(pack, home, capsys):
    assert main(["data", "import", str(pack), "--name", "mine"]) == 0
    assert len(load("mine")) == 48
    assert main(["data", "list"]) == 0
    assert "mine" in capsys.readouterr().out
    assert main(["data", "describe", str(pack)]) == 0
    assert "48" in capsys.readouterr().out
    run = home / "runs" / "r"
    arguments = ["--data", "mine", "--preset", "smoke", "--folder", str(run), "--method.hardness", "0.4", "--train.epochs", "2"]
    assert main(["pretrain", "halp", *arguments]) == 0
    config = json.loads((run / "config.json").read_text())
    assert config["method_config"]["hardness"] == 0.4 and config["train"]["epochs"] == 2 and config["preset"] == "smoke"
    capsys.readouterr()
    assert main(["evaluate", str(run), "--csv", "t.csv"]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in ("halp", "random", "raw", "1-NN", "linear"))
    assert (home / "t.csv").read_text().count("\n") == 7  # head, three methods under two protocols
    assert main(["runs", "list"]) == 0 and main(["runs", "show", str(run)]) == 0
    assert "hardness" in capsys.readouterr().out
    assert main(["runs", "resume", str(run)]) == 0


def test_import_with_options_anywhere_and_twice(pack, home, capsys):
    meta = json.loads((pack / "meta.json").read_text())
    (pack / "meta.json").write_text(json.dumps({**meta, "classes": ["never", "a", "b", "c"]}))
    words = ["--name", "mine", "drop_empty=yes", "--preset", "isc", "--split", "cross_subject"]
    with np.load(pack / "mine.npz") as arrays:
        np.savez(pack / "mine.npz", **{**arrays, "labels": arrays["labels"] + 1})
    assert main(["data", "import", str(pack), *words]) == 0
    assert load("mine").meta.presets == ("isc",) and load("mine").classes == ("a", "b", "c")
    capsys.readouterr()
    assert main(["data", "import", "drop_empty=yes", str(pack), *(w for w in words if "=" not in w)]) == 0
    assert "mine: already there, unchanged" in capsys.readouterr().out
    assert main(["data", "import", str(pack), *words[:2], "drop_empty=true"]) == 2
    assert "made from other settings" in capsys.readouterr().err
    assert main(["data", "describe", "mine"]) == 0
    assert "default split  cross_subject" in " ".join(capsys.readouterr().out.split(" "))


def test_verify_and_export(pack, home, capsys):
    assert main(["data", "import", str(pack), "--name", "mine"]) == 0
    assert main(["data", "verify", "mine"]) == 0
    told = capsys.readouterr().out.splitlines()[-3:]
    assert [line.split()[:2] for line in told] == [[f, "unchanged"] for f in ("clips.npy", "index.npz", "meta.json")]
    assert main(["data", "export", "mine", "out", "--to", "pack"]) == 0
    assert main(["data", "import", "out", "--name", "again"]) == 0
    assert load("again").fingerprint == load("mine").fingerprint
    text = (home / "data" / "mine" / "meta.json").read_text()
    (home / "data" / "mine" / "meta.json").write_text(text.replace('"head"', '"tail"'))
    capsys.readouterr()
    assert main(["data", "verify", "mine"]) == 2
    printed = capsys.readouterr()
    assert (
        "meta.json  CHANGED" in printed.out and "clips.npy  unchanged" in printed.out and "meta.json: not what was" in printed.err
    )


@pytest.mark.parametrize("to, name", [("pack", "out"), ("pyskl", "out.pkl"), ("ntu", "out")])
def test_what_is_exported_can_be_imported(to, name, home, capsys):
    rng = np.random.default_rng(0)
    joints = rng.normal(size=(4, 6, 1, 25, 3)).astype(np.float16).astype(np.float32)  # pyskl keeps half precision
    clips = [
        Clip(
            joints=x,
            topology=topology("kinect_v2_25"),
            label=i % 2,
            id=f"S001C001P00{i + 1}R001A00{i % 2 + 1}",
            about={"subject": i + 1, "camera": 1, "setup": 1, "replication": 1},
        )
        for i, x in enumerate(joints)
    ]
    write_store(home / "data" / "mine", clips, classes=["drink water", "eat meal/snack", "never seen"])
    assert main(["data", "export", "mine", "out", "--to", to]) == 0
    assert main(["data", "import", name, "--name", "back", "--topology", "kinect_v2_25"]) == 0
    back, mine = load("back"), load("mine")
    rows = [back.ids.index(i) for i in mine.ids]
    assert np.allclose([back[r].joints[:, :1] for r in rows], joints, atol=1e-3) and [int(back.labels[r]) for r in rows] == [
        0,
        1,
        0,
        1,
    ]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["data", "export", "playground:1", "out", "--to", "bvh"], "cannot write 'bvh'; there are: pack"),
        (["data", "import", "nowhere", "--name", "x"], "nowhere"),
        (["data", "import", "nowhere", "--name", "x", "fps=3"], "nowhere"),
        (["data", "export", "absent", "out"], "absent"),
        (["data", "verify", "absent"], "absent"),
        (["data", "card", "absent"], "absent"),
        (["evaluate", "no-such-run"], "no-such-run"),
        (["pretrain"], "pretrain what?"),
        (["pretrain", "hlp"], "halp"),
        (["pretrain", "halp", "--data", "absent"], "absent"),
        (["pretrain", "halp", "--preset", "quick"], "smoke"),
        (["demo", "--data", "absent"], "absent"),
        (["weights", "none.pth.tar"], "none.pth.tar"),
        (["lab", "--notebook", "99.ipynb"], "99.ipynb"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(arguments, says, capsys, home):
    assert main(arguments) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert error[-1].startswith("skelbench: ") and says in error[-1]
    assert not (home / "demo").exists()


def test_help_lists_every_verb(capsys):
    with pytest.raises(SystemExit) as left:
        main(["--help"])
    assert left.value.code == 0
    printed = capsys.readouterr().out
    assert all(verb in printed for verb in ("demo", "lab", "data", "pretrain", "evaluate", "measure", "runs", "weights"))


def test_lab_starts_jupyter_with_its_token_on_loopback(monkeypatch, home):
    (home / "notebooks").mkdir()
    (home / "notebooks" / "01_quickstart.ipynb").write_text("{}")
    called = []
    monkeypatch.setattr("os.execv", lambda program, command: called.append(command))
    assert main(["lab", "--no-browser"]) == 0
    command = called[0]
    assert "--ServerApp.ip=127.0.0.1" in command and "--no-browser" in command
    assert not any("token=" in part or "password=" in part for part in command)
