"""The released checkpoints of PSUMNet: one file a stream. Its names say how deep it is, its tables how many joints it has."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from skelbench.errors import ConfigError, RunError
from skelbench.methods.psumnet import PSUMNet
from skelbench.methods.published import translated
from skelbench.nets.ctrgcn import CTRGCN
from skelbench.skeleton.part_streams import STREAM_NAMES, part_streams
from skelbench.skeleton.topology import Topology

_SUBSETS = {"theta": "conv1", "phi": "conv2", "value": "conv3", "relation": "conv4"}
_NAMES = {"spatial.learned": "gcn1.PA", "spatial.alpha": "gcn1.alpha"}
_LAYERS = {"spatial.norm": "gcn1.bn", "spatial.shortcut.0": "gcn1.down.0", "spatial.shortcut.1": "gcn1.down.1"}
_LAYERS |= {"residual.0": "residual.conv", "residual.1": "residual.bn"}
_LAYERS |= {f"temporal.branches.{b}.{i}": f"tcn1.branches.{b}.{i}" for b in range(4) for i in (0, 1, 4)}
_LAYERS |= {f"temporal.branches.{b}.{i}": f"tcn1.branches.{b}.3.{what}" for b in (0, 1) for i, what in ((3, "conv"), (4, "bn"))}


def psumnet_from(files: Mapping[str, tuple[Path, Mapping[str, Tensor]]], layout: Topology) -> PSUMNet:
    """PSUMNet with the weights of these files, by stream; depth, widths, classes and bodies are those of the files.

    Args:
        files: stream -> where it was read, what it holds.
        layout: skeleton it was trained on.

    Raises:
        ConfigError: no such stream.
        RunError: a file that is none of PSUMNet, of another part or layout, or files that were not trained for the same classes.
    """
    unknown = [name for name in files if name not in STREAM_NAMES]
    if unknown or not files:
        raise ConfigError(f"PSUMNet has the streams {', '.join(STREAM_NAMES)}; got {', '.join(map(repr, files)) or 'none'}")
    parts = part_streams(layout)
    shapes: dict[str, tuple[int, int]] = {}
    settings: dict[str, Any] = _shrec(layout)
    for name, (path, given) in files.items():
        if name not in parts:
            raise RunError(f"{path}: skeleton {layout.name!r} has no stream {name!r}; it has {', '.join(parts)}")
        settings[name], shapes[name] = _read(path, given, parts[name].V, name, layout)
    if len(set(shapes.values())) > 1:
        told = "; ".join(f"{path}: {shapes[name][1]} classes, {shapes[name][0]} bodies" for name, (path, _) in files.items())
        raise RunError(f"these streams do not belong together: {told}")
    bodies, classes = next(iter(shapes.values()))
    config = PSUMNet.Config(streams=tuple(n for n in STREAM_NAMES if n in files), **settings)
    shape: dict[str, Any] = {"bodies": bodies, "coordinates": layout.dims, "classes": classes}
    built = PSUMNet.build(config, topology=layout, generator=torch.Generator(), **shape)
    for name, (path, given) in files.items():
        for module, sources in ((built.nets[name], net_sources), (built.heads[name], lambda key: (f"fc.{key}",))):
            head = module is built.heads[name]
            own = {key: v for key, v in given.items() if key.startswith("fc.") == head}
            module.load_state_dict(translated(path, own, module.state_dict(), sources, turned=False))
    return built


def _shrec(layout: Topology) -> dict[str, Any]:
    """Hands were trained on whole clips of 180 frames, without augmentation."""
    return {"frames": 180, "fit": "pad", "turn": 0.0} if layout.name == "shrec17_hand_22" else {}


def _read(path: Path, given: Mapping[str, Tensor], V: int, name: str, layout: Topology) -> tuple[CTRGCN.Config, tuple[int, int]]:
    """Settings of one stream, and (bodies, classes)."""
    blocks = sorted({int(found[1]) for key in given if (found := re.match(r"layers\.(\d+)\.", key))})
    wanted = ["data_bn.weight", "fc.weight", *(f"layers.{i}.gcn1.{what}" for i in blocks for what in ("PA", "bn.weight"))]
    lacking = [key for key in wanted if key not in given]
    if not blocks or blocks != list(range(len(blocks))) or lacking:
        raise RunError(f"{path}: not a checkpoint of a PSUMNet stream; missing: {', '.join(lacking) or 'blocks, layers.0 and on'}")
    inputs, joints = len(given["data_bn.weight"]), given["layers.0.gcn1.PA"].shape[-1]
    per_body = 4 * layout.dims * V
    if joints != V or not inputs or inputs % per_body:
        raise RunError(
            f"{path}: a stream of {joints} joints that reads {inputs} numbers a frame; stream {name!r} of {layout.name!r} has "
            f"{V} joints and {per_body} numbers a body. Name the stream and the layout it was trained on"
        )
    try:
        config = CTRGCN.Config(channels=tuple(len(given[f"layers.{i}.gcn1.bn.weight"]) for i in blocks))
    except ConfigError as error:
        raise RunError(f"{path}: {error}") from error
    return config, (inputs // per_body, given["fc.weight"].shape[0])


def net_sources(name: str) -> tuple[str, ...]:
    """Names in a released file of one tensor of our network."""
    if name.startswith("input_norm."):
        return (name.replace("input_norm", "data_bn"),)
    _, number, rest = name.split(".", 2)
    block = f"layers.{number}."
    subsets = re.fullmatch(r"spatial\.(theta|phi|value|relation)(_bias)?", rest)
    if subsets:
        kind = "bias" if subsets[2] else "weight"
        return tuple(f"{block}gcn1.convs.{k}.{_SUBSETS[subsets[1]]}.{kind}" for k in range(3))
    if rest in _NAMES:
        return (block + _NAMES[rest],)
    layer, _, kind = rest.rpartition(".")
    return (f"{block}{_LAYERS[layer]}.{kind}",)
