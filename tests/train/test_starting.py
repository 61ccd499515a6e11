"""The doors: what a new run writes, what a damaged folder says, what the list shows."""

from __future__ import annotations

import json
import os
import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from skelbench.data import Store
from skelbench.errors import ConfigError, DataError, RunError
from skelbench.train import Run, list_runs, open_run, presets, runs_home, start
from skelbench.train import config as config_module
from skelbench.train.record import take
from skelbench.train.starting import live_changes

EDITS = {"epochs": 3, "batch": 8, "normalise": "none", "keep": 0}


@pytest.fixture
def run(store: Store, tiny: type, tmp_path: Path) -> Run:
    """Three epochs of three steps, a checkpoint after each."""
    return start(tiny, store, folder=tmp_path / "run", **EDITS).run(progress=False)


def files(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file() and not p.name.startswith("."))


def test_what_a_run_leaves(run: Run, store: Store) -> None:
    assert files(run.folder) == sorted(
        ["config.json", "events.jsonl", "metrics.jsonl"]
        + [f"checkpoints/0000000{s}/{f}" for s in (3, 6, 9) for f in ("optimiser.safetensors", "state.json", "weights.safetensors")]
    )
    first = run.events[0]
    assert first["event"] == "start" and first["fingerprint"] == store.fingerprint and first["threads"] == 1
    assert [e["event"] for e in run.events if e["event"] != "epoch"] == ["start", "play", "saved", "saved", "saved", "finished"]


def test_names_of_folders_and_defaults(store: Store, tiny: type) -> None:
    one, two = start(tiny, store, batch=8), start(tiny, store, batch=8)
    assert one.folder.parent == runs_home() and one.folder != two.folder and one.folder.name.startswith("tiny-tiny-demo-2")
    assert one.config.split == "cross_subject" and one.status == "ready"
    assert start(tiny, store, split="by_clip", batch=8).split.by == "group"
    own = presets(tiny).edit(batch=8, data=str(store.path))
    assert start(own).config == own
    assert start("moco", store.path, preset="smoke").config.train.batch == 8
    with pytest.raises(RunError, match=r"is there already; open_run"):
        start(tiny, store, batch=8, folder=one.folder)


def test_data_are_named_so_that_they_are_found_again(
    store: Store, tiny: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SKELBENCH_DATA", str(store.path.parent))
    monkeypatch.chdir(store.path.parent.parent)
    assert [start(tiny, data, batch=8).config.data for data in (store, "tiny", store.path)] == ["tiny"] * 3
    monkeypatch.setenv("SKELBENCH_DATA", str(tmp_path / "elsewhere"))
    run = start(tiny, store.path.relative_to(Path.cwd()), batch=8, folder="a run")
    assert run.config.data == str(store.path.resolve()) and "[a run]" in repr(run)
    monkeypatch.chdir(tmp_path)
    run.run(steps=1, progress=False)  # neither the data nor the folder hang on where one stands
    assert open_run(run.folder).store.fingerprint == store.fingerprint


def test_a_start_that_fails_leaves_nothing(store: Store, tiny: type, tmp_path: Path) -> None:
    for edits, error in [
        ({"lr": -1.0}, ConfigError),
        ({"batch": 10_000}, ConfigError),
        ({"lrr": 1}, ConfigError),
        ({"split": "x"}, ConfigError),
    ]:
        with pytest.raises(error):
            start(tiny, store, folder=tmp_path / "never", **edits)
    with pytest.raises(DataError):
        start(tiny, tmp_path / "no such data", folder=tmp_path / "never")
    with pytest.raises(ConfigError):
        start("no such method", store)
    assert not (tmp_path / "never").exists() and not list(tmp_path.glob(".*"))


def test_open_again(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    again = open_run(run.folder)
    assert again.status == "finished" and again.config == run.config and again.progress.step == 9
    assert {k: again.metrics[k].tolist() for k in again.metrics} == {k: run.metrics[k].tolist() for k in run.metrics}
    assert list(again) == []
    monkeypatch.setenv("SKELBENCH_RUNS", str(run.folder.parent))
    assert open_run(run.folder.name).progress.step == 9
    with pytest.raises(RunError, match="no run at nowhere"):
        open_run("nowhere")


def test_a_method_of_ones_own_in_another_process(run: Run, tiny: type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config_module, "_OWN", {})
    with pytest.raises(RunError, match=r"open_run\(folder, method=YourClass\)"):
        open_run(run.folder)
    assert open_run(run.folder, method=tiny).finished


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda f: (f / "config.json").unlink(), r"config\.json cannot be read"),
        (lambda f: (f / "config.json").write_text("{"), r"config\.json: damaged, not valid JSON"),
        (
            lambda f: (f / "config.json").write_text(json.dumps({**json.loads((f / "config.json").read_text()), "lr": 1})),
            r"config\.json: .*no setting 'lr'",
        ),
        (
            lambda f: (f / "events.jsonl").write_text("nonsense\n" + (f / "events.jsonl").read_text()),
            r"events\.jsonl:1: this is no event",
        ),
        (
            lambda f: (f / "metrics.jsonl").write_text("nonsense\n" * 200),
            r"metrics\.jsonl has .* bytes and does not fit|metrics\.jsonl:1",
        ),
        (
            lambda f: os.truncate(f / "metrics.jsonl", 50),
            r"metrics\.jsonl has 50 bytes and does not fit the checkpoint.*or delete it",
        ),
        (lambda f: shutil.rmtree(f / "checkpoints"), "is empty, but events.jsonl tells of one at step 9"),
    ],
)
def test_damaged_folders_name_the_file_and_what_to_do(run: Run, damage: Any, says: str) -> None:
    damage(run.folder)
    with pytest.raises(RunError, match=says):
        open_run(run.folder)


def test_half_lines_of_a_killed_writer_are_cut(run: Run) -> None:
    for name in ("metrics.jsonl", "events.jsonl"):
        with (run.folder / name).open("a") as file:
            file.write('{"half')
    before = len(run.events)
    again = open_run(run.folder)
    assert again.metrics.rows == 9 and (run.folder / "metrics.jsonl").read_bytes().endswith(b"}\n")
    assert [e["event"] for e in again.events[before:]] == ["cleaned", "resume"]


def test_a_damaged_checkpoint_costs_an_epoch_and_says_so(run: Run) -> None:
    whole = (run.folder / "metrics.jsonl").read_bytes()
    (run.folder / "checkpoints/00000009/weights.safetensors").write_bytes(b"")
    with pytest.warns(RuntimeWarning, match=r"weights\.safetensors is damaged.*going back to 00000006"):
        again = open_run(run.folder)
    assert again.progress.step == 6 and again.metrics["step"].tolist() == [1, 2, 3, 4, 5, 6]
    assert any(e["event"] == "damaged" for e in again.events)
    again.run(progress=False)
    assert (run.folder / "metrics.jsonl").read_bytes() == whole
    for name, tensor in run.method.state_dict().items():
        assert torch.equal(again.method.state_dict()[name], tensor)


def test_lost_metrics_are_lost_but_the_run_goes_on(run: Run) -> None:
    (run.folder / "metrics.jsonl").unlink()
    with pytest.warns(RuntimeWarning, match="goes on without its earlier rows"):
        again = open_run(run.folder)
    assert again.metrics.rows == 0
    again.set(epochs=4).run(progress=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert open_run(run.folder).metrics["step"].tolist() == [10, 11, 12]


def test_checkpoints_of_something_else_are_refused(run: Run, store: Store, make_store: Any, tmp_path: Path) -> None:
    wide = start(type(run.method), store, folder=tmp_path / "wide", **{**EDITS, "width_": 7}).run(progress=False)
    shutil.rmtree(run.folder / "checkpoints/00000009")
    shutil.copytree(wide.folder / "checkpoints/00000009", run.folder / "checkpoints/00000009")
    state = run.folder / "checkpoints/00000009/state.json"
    about = json.loads(state.read_text())
    about["config"]["method_config"]["width_"] = 4
    state.write_text(json.dumps(about))
    with pytest.raises(RunError, match=r"00000009 does not fit.*tensor 'weight' has shape \(15, 7\), wanted \(15, 4\)"):
        open_run(run.folder)
    moco = start("moco", store, "smoke", folder=tmp_path / "moco", epochs=1).run(progress=False)
    shutil.rmtree(run.folder / "checkpoints/00000009")
    shutil.copytree(moco.folder / "checkpoints/00000003", run.folder / "checkpoints/00000009")
    with pytest.raises(RunError, match="checkpoint of 'moco', this run trains 'tiny'"):
        open_run(run.folder)


def test_other_data_are_refused(run: Run, make_store: Any) -> None:
    with pytest.raises(DataError, match="the data changed since this run began"):
        open_run(run.folder, data=make_store(80, seed=1))
    table = {"name": "four", "joints": ["root", "chest", "head", "hand"], "parents": [-1, 0, 1, 1]}
    with pytest.raises(RunError, match=r"skeleton 'five' \(5 joints\).*'four' \(4\)"):
        open_run(run.folder, data=make_store(80, table=table))
    moved = make_store(80)  # the same clips in another place
    again = open_run(run.folder, data=moved)
    assert again.finished and again.config.data == str(moved.path)


def test_the_device_may_be_another(run: Run) -> None:
    config = run.folder / "config.json"
    for path in (config, run.folder / "checkpoints/00000009/state.json"):
        path.write_text(path.read_text().replace('"device": "auto"', '"device": "xpu:7"'))
    with pytest.raises(ConfigError, match="xpu:7"):
        open_run(run.folder)
    assert open_run(run.folder, device="cpu").config.train.device == "cpu"


def test_two_writers_are_kept_apart(run: Run) -> None:
    again, stale = open_run(run.folder).set(epochs=5), open_run(run.folder).set(epochs=4)
    with take(run.folder), pytest.raises(RunError, match="is being written by this process"):
        open_run(run.folder)
    again.run(steps=2, progress=False)
    with pytest.raises(RunError, match="it was continued or changed elsewhere"):
        stale.run(progress=False)
    with pytest.raises(RunError, match="it was continued or changed elsewhere"):
        stale.save()
    assert again.run(progress=False).finished


def test_live_changes_and_what_took_them_back() -> None:
    made = [{"event": "set", "step": s, "changes": {}} for s in (3, 5, 7)]
    assert live_changes([made[0], {"event": "saved"}, made[1]]) == made[:2]
    assert live_changes([made[0], made[1], {"event": "rewind", "sets": 1}, made[2]]) == [made[0], made[2]]


def test_the_list_of_runs(run: Run, tmp_path: Path) -> None:
    (tmp_path / "junk").mkdir()
    (tmp_path / ".hidden").mkdir()
    with take(run.folder):
        going = {row.folder.name: row for row in list_runs(tmp_path)}
    rows = list_runs(tmp_path)
    found = {row.folder.name: row for row in rows}
    assert set(found) == {"run", "junk"}
    assert (found["run"].method, found["run"].step, found["run"].state) == ("tiny", 9, "trained")
    assert "config.json cannot be read" in found["junk"].state and going["run"].state == "going"
    assert "<td>run</td>" in rows._repr_html_() and list_runs(tmp_path / "nowhere") == []
