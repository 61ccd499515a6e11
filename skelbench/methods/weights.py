"""Checkpoints of the papers' authors, read without running anything that is in them.

Their files are pickles. They are opened with ``weights_only=True``: tensors, numbers, strings and plain containers come in, a file
that asks for anything else is refused. Nothing is downloaded here; the file is one you already have.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from skelbench.errors import ConfigError, RunError
from skelbench.methods.halp import HaLP
from skelbench.methods.halp_cmd import HaLP3s
from skelbench.methods.isc import ISC
from skelbench.methods.moco import MoCo
from skelbench.methods.psumnet import PSUMNet
from skelbench.methods.published import translated
from skelbench.methods.weights_isc import isc_from
from skelbench.methods.weights_psumnet import psumnet_from
from skelbench.nets.gru import GRU
from skelbench.skeleton.topology import Topology, topology

# How one stream is spelled in a file that holds three of them: ending of encoder, queue and pointer; name of the prototypes.
_STREAMS = {"joint": ("", "prototypes_j"), "motion": ("_motion", "prototypes_m"), "bone": ("_bone", "prototypes_b")}


def load_published(
    path: str | Path | Mapping[str, str | Path], method: str = "halp", *, stream: str = "joint", layout: Topology | None = None
) -> MoCo | HaLP3s | ISC | PSUMNet:
    """A method with the weights of a released checkpoint of HaLP, its MoCo baseline, its three-stream model, ISC or PSUMNet.

    Widths, layers, queue, number of prototypes, and ISC's pair of representations are those of the file; the rest of the config
    keeps the paper's values. A baseline file has no prototypes: a HaLP built from it starts without any and makes them when its
    warm-up ends.

    Args:
        path: ``checkpoint_NNNN.pth.tar``, or any ``torch.save`` of its ``state_dict``. PSUMNet has one file a stream:
            ``{"body": ..., "hand": ..., "leg": ...}``, or some of them.
        method: ``"halp"``, ``"moco"``, ``"halp3s"``, ``"isc"`` or ``"psumnet"``.
        stream: joint, motion or bone, for halp and moco. Of a file with three encoders that one is taken; a file with one encoder
            does not say what it was trained on, so name it here.
        layout: skeleton the file was trained on; Kinect v2 with 25 joints (NTU, PKU-MMD) when None.

    Raises:
        ConfigError: method or stream is not one of these.
        RunError: no such file, a file that holds more than weights, or keys and shapes that do not fit (all are listed).
    """
    layout = topology("kinect_v2_25") if layout is None else layout
    if method == "psumnet":
        if not isinstance(path, Mapping):
            raise ConfigError("PSUMNet has one file a stream: load_published({'body': file, 'hand': file, 'leg': file}, 'psumnet')")
        return psumnet_from({name: (Path(file), read_checkpoint(Path(file))) for name, file in path.items()}, layout)
    if isinstance(path, Mapping):
        raise ConfigError(f"one file is wanted for {method!r}, got {len(path)}")
    if method not in ("halp", "moco", "halp3s", "isc") or stream not in _STREAMS:
        raise ConfigError(
            f"load_published knows methods halp, moco, halp3s, isc, psumnet, and streams {', '.join(_STREAMS)}; got {method!r}, "
            f"{stream!r}"
        )
    path = Path(path)
    given = read_checkpoint(path)
    if method == "isc":
        return isc_from(path, given, layout)
    if method == "halp3s" and not any(key.startswith("encoder_q_motion.") for key in given):
        raise RunError(f"{path}: holds one stream, not three; load_published(path, 'halp', stream=...) takes it")
    given = given if method == "halp3s" else _one_stream(given, stream)
    built = _build(path, given, method, stream, layout)
    built.load_state_dict(translated(path, given, built.state_dict(), _sources, optional=_prototypes(method)))
    return built


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Keys and tensors of a checkpoint, without the prefix that wrappers for several GPUs add.

    Raises:
        RunError: the file is missing, damaged, holds objects other than weights, or no state dict.
    """
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise RunError(f"{path}: cannot read the checkpoint ({error.strerror or error})") from error
    except pickle.UnpicklingError as error:
        reason = str(error).split("\n")[0]
        raise RunError(
            f"{path}: refused. It is no plain weights file: loading it would run code that stands in it, or it is damaged. "
            f"({reason}) If you trust where it comes from, open it yourself and torch.save only its state_dict."
        ) from error
    except Exception as error:  # the restricted unpickler fails in many ways on bytes that are no pickle
        raise RunError(f"{path}: not a checkpoint that torch.load can read ({error})") from error
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping) or not all(isinstance(v, Tensor) for v in content.values()):
        raise RunError(f"{path}: holds no state dict (a mapping of names to tensors, alone or under 'state_dict')")
    return {str(key).removeprefix("module."): value for key, value in content.items()}


def _one_stream(given: Mapping[str, Tensor], stream: str) -> dict[str, Tensor]:
    """Of a file with three streams the wanted one, under the names of a file with one."""
    if not any(key.startswith("encoder_q_motion.") for key in given):
        return dict(given)
    ending, prototypes = _STREAMS[stream]
    names = {f"encoder_{b}{ending}": f"encoder_{b}" for b in "qk"}
    names |= {f"queue{ending}": "queue", f"queue_ptr{ending}": "queue_ptr", prototypes: "prototypes"}
    parted = {key: key.partition(".") for key in given}
    return {names[head] + dot + rest: given[key] for key, (head, dot, rest) in parted.items() if head in names}


def _build(path: Path, given: Mapping[str, Tensor], method: str, stream: str, layout: Topology) -> MoCo | HaLP3s:
    """The method at the sizes of the file; its initial weights are all overwritten."""
    wanted = {"encoder_q.encoder.gru.weight_ih_l0": 2, "encoder_q.fc.2.weight": 2, "queue": 2}
    odd = [key for key, ndim in wanted.items() if key not in given or given[key].ndim != ndim or not given[key].numel()]
    if odd:
        raise RunError(f"{path}: not a HaLP or MoCo pre-training checkpoint; missing or not a table: {', '.join(odd)}")
    gates, inputs = given["encoder_q.encoder.gru.weight_ih_l0"].shape
    dim, queue = given["encoder_q.fc.2.weight"].shape[0], given["queue"].shape[1]
    per_body = layout.V * layout.dims
    if gates % 3 or inputs % per_body:
        raise RunError(
            f"{path}: its encoder reads {inputs} numbers a frame in {gates} gate rows; skeleton {layout.name!r} has {per_body} "
            "numbers a body and a GRU three gates. Pass the layout it was trained on."
        )
    layers = 0
    while f"encoder_q.encoder.gru.weight_ih_l{layers}" in given:
        layers += 1
    settings: dict[str, Any] = {
        "encoder": GRU.Config(hidden=gates // 3, layers=layers),
        "stream": stream,
        "queue": queue,
        "dim": dim,
    }
    kind: type[MoCo] | type[HaLP3s] = {"halp": HaLP, "moco": MoCo, "halp3s": HaLP3s}[method]
    if method != "moco":
        table = given.get("prototypes_j" if method == "halp3s" else "prototypes")
        prototypes = min(HaLP.Config.prototypes, queue) if table is None else table.shape[0]
        settings |= {"prototypes": prototypes, "prototypes_from": min(HaLP.Config.prototypes_from, queue)}
    if method == "halp3s":
        settings |= {"distil_from": min(HaLP3s.Config.distil_from, queue)}
    shape = {"bodies": inputs // per_body, "coordinates": layout.dims, "classes": 0}
    built = kind.build(kind.Config(**settings), topology=layout, generator=torch.Generator(), **shape)
    assert isinstance(built, kind)
    return built


def _prototypes(method: str) -> frozenset[str]:
    """Tables that a baseline file lacks."""
    return frozenset(name for _, name in _STREAMS.values()) if method == "halp3s" else frozenset({"prototypes"})


def _sources(name: str) -> tuple[str, ...]:
    """Name of one of our tensors in the released files, none for what they do not store."""
    if name.startswith("streams."):
        _, stream, rest = name.split(".", 2)
        ending, prototypes = _STREAMS[stream]
        parted = [key.partition(".") for key in _sources(rest)]
        return tuple(prototypes if head == "prototypes" else head + ending + dot + tail for head, dot, tail in parted)
    fixed = {"queue.keys": "queue", "queue.pointer": "queue_ptr", "prototypes": "prototypes", "progress": None}
    if name in fixed:
        found = fixed[name]
        return () if found is None else (found,)
    branch, part, rest = name.split(".", 2)
    where = {"head": "fc.", "encoder": "" if rest.startswith("input_norm.") else "encoder.gru."}[part]
    return (f"encoder_{branch[0]}.{where}{rest}",)
