"""Weights of a pre-training run, taken up by a method that is fine-tuned from them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from skelbench.errors import RunError
from skelbench.skeleton.topology import Topology

WEIGHTS, STATE = "weights.safetensors", "state.json"


def read_pretrained(path: str | Path, *, method: str, layout: Topology) -> dict[str, Tensor]:
    """Parameters and buffers of a run's newest checkpoint.

    Args:
        path: a run folder, one of its checkpoints, or a ``weights.safetensors`` alone (nothing then says which method made it).
        method: name of the method that must have made it.
        layout: skeleton it must have been made on.

    Raises:
        RunError: nothing there, no checkpoint yet, a damaged file, or a run of another method or on another skeleton; the message
            names the file.
    """
    path = Path(path).expanduser()
    folder = path
    if (path / "config.json").is_file():
        saved = sorted(p for p in (path / "checkpoints").glob("[0-9]*") if (p / WEIGHTS).is_file())
        if not saved:
            raise RunError(f"{path}: this run has no checkpoint yet; train it first, or call its save()")
        folder = saved[-1]
    file = folder if folder.is_file() else folder / WEIGHTS
    if not file.is_file():
        raise RunError(f"{path}: no run, no checkpoint and no {WEIGHTS}; give the folder of a {method} run (run.folder)")
    if folder.is_dir():
        about = _about(folder / STATE)
        made = str(about.get("config", {}).get("method"))
        if made != method:
            raise RunError(f"{folder}: a checkpoint of {made!r}, wanted one of {method!r}")
        name, joints = about.get("topology", layout.name), about.get("joints", layout.V)
        if (name, joints) != (layout.name, layout.V):
            raise RunError(
                f"{folder}: a checkpoint on skeleton {name!r} ({joints} joints), these clips have {layout.name!r} ({layout.V}); "
                "bring them to that skeleton first (skelbench.data.retarget), or pre-train on this one"
            )
        if hashlib.sha256(file.read_bytes()).hexdigest() != about.get("files", {}).get(WEIGHTS):
            raise RunError(f"{file} is damaged: its checksum is not the one in {STATE}")
    try:
        return safetensors.torch.load_file(file)
    except (safetensors.SafetensorError, OSError) as error:
        raise RunError(f"{file} cannot be read ({error})") from error


def below(weights: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """The part of a state dict that belongs to the module ``name``, under its own names."""
    return {key.removeprefix(f"{name}."): value for key, value in weights.items() if key.startswith(f"{name}.")}


def _about(file: Path) -> dict[str, Any]:
    try:
        table = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{file} cannot be read ({error})") from error
    if not isinstance(table, dict) or not isinstance(table.get("config"), dict) or not isinstance(table.get("files"), dict):
        raise RunError(f"{file}: damaged, wanted one JSON object with 'config' and 'files'")
    return table
