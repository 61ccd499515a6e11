"""Checkpoints: whole or not there, and never believed without a look."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from skelbench.errors import RunError
from skelbench.train import checkpoint as module
from skelbench.train.checkpoint import NEEDED, Checkpoints, read_checkpoint, write_tensors

ABOUT: dict[str, Any] = {key: "x" for key in NEEDED - {"files", "counters"}}


def about(step: int) -> dict[str, Any]:
    return {**ABOUT, "counters": {"step": step}}


def tensors(step: int) -> dict[str, torch.Tensor]:
    shared = torch.arange(6.0)
    return {"w": shared, "same": shared, "part": shared[2:], "n": torch.tensor(step), "b": torch.ones(2, dtype=torch.uint8)}


@pytest.fixture
def three(tmp_path: Path) -> Checkpoints:
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    for step in (5, 10, 10):
        checkpoints.save(tensors(step), {"draws": torch.zeros(3)}, about(step))
    return checkpoints


def test_names_order_and_contents(three: Checkpoints) -> None:
    assert [p.name for p in three.all()] == ["00000005", "00000010", "00000010-2"]
    read = three.newest(lambda *a, **k: pytest.fail("nothing to report"))
    assert read is not None and read.path.name == "00000010-2"
    for name, tensor in tensors(10).items():
        assert torch.equal(read.weights[name], tensor) and read.weights[name].dtype == tensor.dtype
    assert not list(three.folder.rglob("*.pt")) and not list(three.folder.rglob("*.pkl"))
    three.prune(2)
    assert [p.name for p in three.all()] == ["00000010", "00000010-2"]
    three.prune(0)
    assert len(three.all()) == 2


def test_a_failed_write_leaves_nothing(three: Checkpoints, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.safetensors.torch, "save_file", full)
    with pytest.raises(RunError, match=r"00000015 could not be written.*No space left"):
        three.save(tensors(15), {}, about(15))
    assert sorted(p.name for p in three.folder.iterdir()) == ["00000005", "00000010", "00000010-2"]


def test_half_written_ones_are_cleaned(three: Checkpoints) -> None:
    half = three.folder / ".00000015.abc.part"
    half.mkdir()
    write_tensors(half / "weights.safetensors", tensors(15))
    assert len(three.all()) == 3
    assert three.clean() == [half.name] and not half.exists() and len(three.all()) == 3


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (
            lambda p: (p / "weights.safetensors").write_bytes((p / "weights.safetensors").read_bytes()[:-5]),
            "weights.safetensors is damaged",
        ),
        (lambda p: (p / "optimiser.safetensors").unlink(), "optimiser.safetensors is missing"),
        (lambda p: (p / "state.json").write_text('{"counters"'), "state.json: damaged, not valid JSON"),
        (lambda p: (p / "state.json").write_text("[]"), "wanted one JSON object"),
        (lambda p: (p / "state.json").write_text('{"counters": {}}'), "state.json: damaged, it lacks config, "),
        (lambda p: (p / "state.json").unlink(), "state.json cannot be read"),
    ],
)
def test_a_damaged_one_is_set_aside_and_the_one_before_is_taken(three: Checkpoints, damage: Any, says: str) -> None:
    damage(three.all()[-1])
    with pytest.raises(RunError, match=says):
        read_checkpoint(three.all()[-1])
    logged: list[dict[str, Any]] = []
    with pytest.warns(RuntimeWarning, match="going back to 00000010"):
        read = three.newest(lambda event, **fields: logged.append({"event": event, **fields}))
    assert read is not None and read.path.name == "00000010"
    assert logged[0]["event"] == "damaged" and logged[0]["fell_back_to"] == "00000010" and says.split(":")[0] in logged[0]["why"]
    assert (three.folder / logged[0]["moved_to"]).is_dir() and len(three.all()) == 2


def test_weights_that_lie_about_their_size_are_refused(three: Checkpoints) -> None:
    path = three.all()[-1]
    blob = (2**40).to_bytes(8, "little") + b"{}"
    (path / "weights.safetensors").write_bytes(blob)
    state = json.loads((path / "state.json").read_text())
    state["files"]["weights.safetensors"] = module.file_hash(path / "weights.safetensors")
    (path / "state.json").write_text(json.dumps(state))
    with pytest.raises(RunError, match=r"weights\.safetensors cannot be read"):
        read_checkpoint(path)


def test_when_all_are_damaged_nothing_is_moved(three: Checkpoints) -> None:
    three.prune(1)
    (three.all()[0] / "state.json").unlink()
    with pytest.raises(RunError, match="No older checkpoint is left: put the folder back"):
        three.newest(lambda *a, **k: None)
    assert len(three.all()) == 1
    assert Checkpoints(three.folder.parent / "none").newest(lambda *a, **k: None) is None
