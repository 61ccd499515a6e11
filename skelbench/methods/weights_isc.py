"""The released checkpoints of ISC: which representations a file holds, how large they are, what their tensors are called."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from skelbench.errors import ConfigError, RunError
from skelbench.methods.isc import ISC
from skelbench.methods.published import translated
from skelbench.nets.agcn import AGCN
from skelbench.nets.gru import GRU
from skelbench.nets.hcn import HCN
from skelbench.skeleton.topology import Topology

# What tells an encoder, among the names below encoder_q or encoder_r, and the tensor its number of inputs is read from.
_SIGNS = {"seq": "encoder.gru.weight_ih_l0", "graph": "data_bn.weight", "image": "conv1.0.weight"}
_LAYERS = {"point": "conv1{}.0", "time": "conv2{}", "first": "conv3{}.0", "second": "conv4{}.0"}
_IMAGE = {f"{s}.{ours}": theirs.format(end) for s, end in (("joint", ""), ("motion", "m")) for ours, theirs in _LAYERS.items()}
_IMAGE |= {"join": "conv5.0", "last": "conv6.0"}
_GRAPH = {"spatial.learned": "gcn1.PA", "spatial.norm": "gcn1.bn", "input_norm": "data_bn"}
_GRAPH |= {f"spatial.shortcut.{i}": f"gcn1.down.{i}" for i in "01"}
_GRAPH |= {
    f"{ours}.{i}": f"{theirs}.{what}"
    for ours, theirs in (("temporal", "tcn1"), ("residual", "residual"))
    for i, what in (("0", "conv"), ("1", "bn"))
}


def isc_from(path: Path, given: Mapping[str, Tensor], layout: Topology) -> ISC:
    """ISC with these weights; pair, mode and all sizes are read from them. ``path`` is named where something does not fit.

    An image encoder does not say for how many bodies it was made: two, or as many as the other encoder.
    """
    roles = [role for role in "qr" if any(key.startswith(f"encoder_{role}.") for key in given)]
    held = {role: next((n for n, sign in _SIGNS.items() if f"encoder_{role}.{sign}" in given), None) for role in roles}
    queue = given.get("queue" if roles == ["q"] else "Queue_S1")
    known = set(held.values()) - {None}
    if roles not in (["q"], ["q", "r"]) or len(known) < len(roles) or queue is None or queue.ndim != 2:
        raise RunError(
            f"{path}: not an ISC pre-training checkpoint; wanted encoder_q (intra-skeleton, with queue) or encoder_q and encoder_r "
            f"(inter-skeleton, with Queue_S1), different ones of {', '.join(_SIGNS.values())}"
        )
    names = {str(name): role for role, name in held.items()}
    settings: dict[str, Any] = {"pair": tuple(names), "mode": "inter" if len(roles) == 2 else "intra", "queue": queue.shape[1]}
    bodies = []
    for name, role in names.items():
        inside = {key.removeprefix(f"encoder_{role}."): v for key, v in given.items() if key.startswith(f"encoder_{role}.")}
        try:
            settings[name], counted = _READERS[name](inside, layout)
            settings["dim"] = inside["fc.2.weight"].shape[0]
        except (KeyError, IndexError, ZeroDivisionError, ValueError, ConfigError) as error:
            raise RunError(f"{path}: encoder_{role} is no whole {name} encoder of ISC: {error}") from error
        bodies += counted
    shape = {"bodies": bodies[0] if bodies else 2, "coordinates": layout.dims, "classes": 0}
    built = ISC.build(ISC.Config(**settings), topology=layout, generator=torch.Generator(), **shape)
    built.load_state_dict(translated(path, given, built.state_dict(), lambda name: _sources(name, names)))
    return built


def _bodies(inputs: int, layout: Topology) -> list[int]:
    per_body = layout.V * layout.dims
    if not inputs or inputs % per_body:
        raise ValueError(
            f"reads {inputs} numbers a frame; skeleton {layout.name!r} has {per_body} a body. Pass the layout it was trained on"
        )
    return [inputs // per_body]


def _sequence(given: Mapping[str, Tensor], layout: Topology) -> tuple[GRU.Config, list[int]]:
    rows, inputs = given["encoder.gru.weight_ih_l0"].shape
    layers = len([key for key in given if re.fullmatch(r"encoder\.gru\.weight_ih_l\d+", key)])
    return GRU.Config(hidden=rows // 3, layers=layers, input_norm=False), _bodies(inputs, layout)


def _graph(given: Mapping[str, Tensor], layout: Topology) -> tuple[AGCN.Config, list[int]]:
    depth = len([key for key in given if key.endswith("gcn1.PA")])
    channels = tuple(given[f"l{i + 1}.gcn1.conv_d.0.weight"].shape[0] for i in range(depth))
    window = given["l1.tcn1.conv.weight"].shape[2]
    return AGCN.Config(channels=channels, window=window), _bodies(len(given["data_bn.weight"]), layout)


def _image(given: Mapping[str, Tensor], layout: Topology) -> tuple[HCN.Config, list[int]]:
    joints = given["conv3.0.weight"].shape[1]
    if joints != layout.V:
        raise ValueError(f"its picture has {joints} joints, skeleton {layout.name!r} {layout.V}. Pass the layout it was trained on")
    columns = given["conv1.0.weight"].shape[0]
    one, two, three, four = (given[f"conv{i}.0.weight"].shape[0] for i in (3, 4, 5, 6))
    rows = 16 * given["fc.0.weight"].shape[1] // (four * (columns // 16))
    return HCN.Config(rows=rows, columns=columns, channels=(one, two, three, four)), []


_READERS: dict[str, Callable[[Mapping[str, Tensor], Topology], tuple[Any, list[int]]]] = {
    "seq": _sequence,
    "graph": _graph,
    "image": _image,
}


def _sources(name: str, roles: Mapping[str, str]) -> tuple[str, ...]:
    """Names of one of our tensors in the file, three for the subsets of a graph convolution; ``roles`` knows q or r by name."""
    what, representation, rest = name.split(".", 2)
    role = roles[representation]
    if what == "queue":
        ending = "" if len(roles) == 1 else {"q": "_S1", "r": "_S2"}[role]
        return (f"queue_ptr{ending}" if rest == "pointer" else f"Queue{ending}" if ending else "queue",)
    prefix = f"encoder_{role if what == 'query' else {'q': 'k', 'r': 'l'}[role]}."
    part, rest = rest.split(".", 1)
    if part == "head":
        return (f"{prefix}fc.{rest}",)
    if representation == "seq":
        return (f"{prefix}encoder.gru.{rest}",)
    if representation == "image":
        layer, _, kind = rest.rpartition(".")
        return (f"{prefix}{_IMAGE[layer]}.{kind}",)
    return tuple(prefix + key for key in _graph_sources(rest))


def _graph_sources(name: str) -> tuple[str, ...]:
    """Names below an A-GCN of the file."""
    found = re.fullmatch(r"blocks\.(\d+)\.(.*)", name)
    block, rest = (f"l{int(found[1]) + 1}.", found[2]) if found else ("", name)
    subsets = re.fullmatch(r"spatial\.(theta|phi|mix)(_bias)?", rest)
    if subsets:
        letter, kind = {"theta": "a", "phi": "b", "mix": "d"}[subsets[1]], "bias" if subsets[2] else "weight"
        return tuple(f"{block}gcn1.conv_{letter}.{i}.{kind}" for i in range(3))
    if rest in _GRAPH:
        return (block + _GRAPH[rest],)
    layer, _, kind = rest.rpartition(".")
    return (f"{block}{_GRAPH[layer]}.{kind}",)
