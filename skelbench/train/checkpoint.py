"""Checkpoints: written whole or not at all, read with suspicion, never a pickle.

    checkpoints/<step>/
        weights.safetensors     every parameter and buffer of the method
        optimiser.safetensors   what the optimiser remembers (momentum/<parameter>, ...), and the place in the random draws
        state.json              counters, settings in force, checksums of the other two

One is written beside its place and renamed into it. Whatever is half written when the power goes has a name that begins with a
dot, and is removed when the folder is next opened.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import uuid
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import Tensor

from skelbench.data.folders import sync
from skelbench.errors import RunError

WEIGHTS, OPTIMISER, STATE = "weights.safetensors", "optimiser.safetensors", "state.json"
NAME = re.compile(r"(\d+)(?:-(\d+))?")
NEEDED = frozenset({"method", "topology", "joints", "fingerprint", "threads", "counters", "config", "metrics_bytes", "files"})


@dataclass(frozen=True, kw_only=True, eq=False)
class Checkpoint:
    """A checkpoint as read: two sets of tensors and the table of ``state.json``."""

    path: Path
    weights: dict[str, Tensor]
    tensors: dict[str, Tensor]
    about: dict[str, Any]


class Checkpoints:
    """The folder they stand in, named by step; a second one of a step (before and after its probe) ends in ``-2``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def all(self) -> list[Path]:
        """Those there are, oldest first."""
        found = [(NAME.fullmatch(p.name), p) for p in self.folder.glob("[0-9]*") if p.is_dir()]
        return [p for *_, p in sorted((int(m[1]), int(m[2] or 1), p) for m, p in found if m)]

    def save(self, weights: Mapping[str, Tensor], tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> Path:
        """Write one. ``about`` holds the counters, whose ``step`` names it.

        Raises:
            RunError: the disk refused it.
        """
        stem = f"{about['counters']['step']:08d}"
        target = next(p for n in range(1, 1000) if not (p := self.folder / (f"{stem}-{n}" if n > 1 else stem)).exists())
        part = self.folder / f".{target.name}.{uuid.uuid4().hex[:8]}.part"
        try:
            part.mkdir(parents=True)
            write_tensors(part / WEIGHTS, weights)
            write_tensors(part / OPTIMISER, tensors)
            files = {name: file_hash(part / name) for name in (WEIGHTS, OPTIMISER)}
            (part / STATE).write_text(json.dumps({**about, "files": files}, indent=1) + "\n", encoding="utf-8")
            sync(part / STATE)
            sync(part)
            part.rename(target)
            sync(self.folder)
        except (OSError, safetensors.SafetensorError) as error:
            if part.exists():
                shutil.rmtree(part)
            raise RunError(f"{target} could not be written ({error}); the checkpoints before it are whole") from error
        return target

    def prune(self, keep: int) -> None:
        """Remove all but the newest ``keep`` (0 keeps all)."""
        for old in self.all()[:-keep] if keep else []:
            going = self.folder / f".{old.name}.{uuid.uuid4().hex[:8]}.old"
            old.rename(going)
            shutil.rmtree(going)

    def clean(self) -> list[str]:
        """Remove what a killed process left half written; the names."""
        left = [p for p in self.folder.glob(".*") if p.is_dir()]
        for path in left:
            shutil.rmtree(path)
        return [p.name for p in left]

    def newest(self, log: Callable[..., None]) -> Checkpoint | None:
        """The newest one that is whole; None where there is none at all.

        A damaged one is set aside (``damaged-...``), with a warning and an event, and the one before is taken.

        Raises:
            RunError: all are damaged.
        """
        there, first = self.all(), None
        while there:
            path = there.pop()
            try:
                return read_checkpoint(path)
            except RunError as error:
                first = first or error
                if not there:
                    break
                aside, back = self.folder / f"damaged-{path.name}-{uuid.uuid4().hex[:4]}", there[-1].name
                path.rename(aside)
                log("damaged", why=str(error), moved_to=aside.name, fell_back_to=back)
                warnings.warn(f"{error}. It was set aside as {aside.name}; going back to {back}", RuntimeWarning, stacklevel=4)
        if first is not None:
            raise RunError(f"{first}. No older checkpoint is left: put the folder back from a copy, or start a new run") from first
        return None

    def rebase(self) -> None:
        """Tell every checkpoint that ``metrics.jsonl`` begins anew."""
        for checkpoint in self.all():
            path = checkpoint / STATE
            replace_text(path, json.dumps({**read_table(path), "metrics_bytes": 0}, indent=1) + "\n")


def read_checkpoint(path: Path) -> Checkpoint:
    """Read and check a checkpoint folder. Raises RunError naming the file that is missing or damaged."""
    about = read_table(path / STATE)
    lacking = sorted(NEEDED - set(about))
    if lacking or not isinstance(about["files"], dict):
        raise RunError(f"{path / STATE}: damaged, it lacks {', '.join(lacking) or 'checksums'}")
    loaded = {}
    for name in (WEIGHTS, OPTIMISER):
        file = path / name
        if not file.is_file():
            raise RunError(f"{file} is missing")
        if file_hash(file) != about["files"].get(name):
            raise RunError(f"{file} is damaged: its checksum is not the one in {STATE}")
        try:
            loaded[name] = safetensors.torch.load_file(file)
        except (safetensors.SafetensorError, OSError) as error:
            raise RunError(f"{file} cannot be read ({error})") from error
    return Checkpoint(path=path, weights=loaded[WEIGHTS], tensors=loaded[OPTIMISER], about=about)


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """A safetensors file, on the disk when this returns. Tensors that share memory are written one by one."""
    plain, seen = {}, set()
    for name, tensor in tensors.items():
        held = tensor.detach().cpu().contiguous()
        storage = held.untyped_storage().data_ptr()
        plain[name] = held.clone() if storage in seen else held
        seen.add(storage)
    safetensors.torch.save_file(plain, path)
    sync(path)


def read_table(path: Path) -> dict[str, Any]:
    """One JSON object. Raises RunError naming the file."""
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RunError(f"{path} cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise RunError(f"{path}: damaged, not valid JSON ({error})") from error
    if not isinstance(table, dict):
        raise RunError(f"{path}: damaged, wanted one JSON object")
    return table


def replace_text(path: Path, text: str) -> None:
    """Put new text in a file's place in one move."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    sync(part)
    part.replace(path)


def file_hash(path: Path) -> str:
    """sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
