"""Weights of torchvision's image and video networks, from a file that is already there.

The networks of :mod:`skelbench.nets.video` and :mod:`skelbench.nets.video3d` have the same parameter names, so torchvision itself
is not needed. Nothing is downloaded. A file is opened with ``weights_only=True``: tensors and plain containers come in, nothing
runs.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from skelbench.errors import RunError

CLASSIFIER = "fc."  # a file's own classifier is left out


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """Names and tensors of a ``.pth`` (``torch.save`` of a state dict) or ``.safetensors`` file.

    Raises:
        RunError: no such file, a damaged one, or one that holds anything but tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise RunError(f"{path}: no such file; give the path of a torchvision weights file (.pth or .safetensors) you have")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            held: object = load_file(path)
        else:
            held = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, OSError) as error:
        raise RunError(f"{path}: no weights file that could be read safely ({str(error).splitlines()[0]})") from error
    except Exception as error:
        if type(error).__name__ != "SafetensorError":  # its class is made in Rust and has no importable base
            raise
        raise RunError(f"{path}: damaged ({error})") from error
    if isinstance(held, Mapping) and isinstance(held.get("state_dict"), Mapping):
        held = held["state_dict"]
    if not isinstance(held, Mapping) or not held or not all(isinstance(v, Tensor) for v in held.values()):
        raise RunError(f"{path}: holds no state dict (names and tensors); save it with torch.save(net.state_dict(), path)")
    return {str(name): tensor for name, tensor in held.items()}


def load_torchvision(net: nn.Module, path: str | Path) -> None:
    """Put the weights of a torchvision file into a network of the same shape; the file's classifier is left out.

    Raises:
        RunError: as ``read_weights``; or names or shapes differ, in which case ``net`` stays as it was.
    """
    given = {name: tensor for name, tensor in read_weights(path).items() if not name.startswith(CLASSIFIER)}
    wanted = net.state_dict()
    old = {name for name in wanted if name.endswith("num_batches_tracked")}  # files of old versions lack these counters
    missing = [name for name in wanted if name not in given and name not in old]
    extra = [name for name in given if name not in wanted]
    if missing or extra:
        says = [f"{len(names)} {text}, first {names[0]!r}" for names, text in ((missing, "missing"), (extra, "too many")) if names]
        raise RunError(f"{path}: not the weights of this {type(net).__name__} ({'; '.join(says)}); is it of another depth or kind?")
    for name, tensor in given.items():
        if tensor.shape != wanted[name].shape:
            shapes = f"{tuple(tensor.shape)}, wanted {tuple(wanted[name].shape)}"
            raise RunError(f"{path}: {name!r} has shape {shapes}; is it of another depth or kind?")
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise RunError(f"{path}: {name!r} holds values that are not finite numbers")
    net.load_state_dict({**{name: wanted[name] for name in old}, **given})


class FrozenNorm(nn.Module):
    """Base of networks whose BatchNorm can be kept as loaded: few strongly related frames a batch make its statistics drift."""

    frozen_norm: bool

    def train(self, mode: bool = True) -> FrozenNorm:
        """Training mode, in which frozen BatchNorm layers stay in eval mode."""
        super().train(mode)
        if self.frozen_norm:
            for layer in self.modules():
                if isinstance(layer, nn.BatchNorm2d | nn.BatchNorm3d):
                    layer.eval()
        return self


def begin_residual(net: nn.Module, generator: torch.Generator) -> None:
    """First weights as torchvision draws them: every convolution N(0, 2 / (values out of it)), BatchNorm 1 and 0."""
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.Conv3d):
            out = layer.weight.shape[0] * layer.weight[0, 0].numel()
            draw = torch.randn(layer.weight.shape, generator=generator, device=generator.device)
            layer.weight.data = (2 / out) ** 0.5 * draw
