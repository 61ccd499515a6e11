"""The network behind a method's features, to be trained further with labels: linear evaluation on views, fine-tuning, transfer.

``backbone`` finds it, ``classifier`` puts a new linear layer on a copy of it. A method of one's own takes part by having a method
``backbone() -> Backbone``.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from skelbench.errors import ConfigError
from skelbench.methods.base import Method
from skelbench.methods.floors import RandomEncoder, Raw, Untrained
from skelbench.methods.halp_cmd import HaLP3s
from skelbench.methods.isc import ISC
from skelbench.methods.moco import Branch, MoCo
from skelbench.methods.skeletonmae import SkeletonMAE
from skelbench.methods.strl import STRL
from skelbench.methods.supervised import Supervised
from skelbench.nets.strl import SpatialTemporal
from skelbench.skeleton.augment import Views
from skelbench.skeleton.streams import stream
from skelbench.skeleton.topology import Topology


@dataclass(frozen=True, kw_only=True, eq=False)
class Backbone:
    """An encoder and what it reads.

    Attributes:
        encoder: joints (N, C, frames, V, M) of the stream -> features (N, width).
        width: D.
        stream: what is made of the joints before.
        frames: frames of a view.
        minimum: fewest frames that a crop takes from a clip.
    """

    encoder: nn.Module
    width: int
    stream: str = "joint"
    frames: int = 64
    minimum: int = 64


class SideBySide(nn.Module):
    """Encoders of several streams of the same joints; their features one after the other."""

    def __init__(self, encoders: Mapping[str, nn.Module], topology: Topology) -> None:
        super().__init__()
        self.encoders = nn.ModuleDict(dict(encoders))
        self.topology = topology

    def forward(self, x: Tensor) -> Tensor:
        """Joints (N, C, T, V, M) -> (N, sum of the widths)."""
        return torch.cat([encoder(stream(name, x, self.topology)) for name, encoder in self.encoders.items()], dim=1)


def backbone(method: Method) -> Backbone:
    """The encoder that gives a method's features.

    Raises:
        ConfigError: the method has none that a linear layer could stand on.
    """
    own = getattr(method, "backbone", None)
    if callable(own):
        return cast(Backbone, own())
    if isinstance(method, Untrained):
        return backbone(method.method)
    c = method.config
    if isinstance(method, Raw):
        return Backbone(encoder=nn.Flatten(), width=method.width, stream=c.stream, frames=c.frames, minimum=c.frames)
    if isinstance(method, RandomEncoder):
        return Backbone(encoder=method.encoder, width=method.width, stream=c.stream, frames=c.frames, minimum=c.frames)
    if isinstance(method, HaLP3s):
        encoders = {name: method.halp(name).query.encoder for name in c.streams}
        return _viewed(SideBySide(encoders, method.topology), method.width, "joint", c.views)
    if isinstance(method, ISC):
        return _viewed(cast(Branch, method.query[c.used]).encoder, method.width, c.stream, c.views)
    if isinstance(method, MoCo):
        return _viewed(method.query.encoder, method.width, c.stream, c.views)
    if isinstance(method, Supervised):
        return _viewed(method.encoder, method.width, c.stream, c.views)
    raise ConfigError(
        f"{method.name!r} offers no encoder that could be trained further; evaluate its features, or give the class a method "
        "backbone() -> skelbench.methods.backbone.Backbone"
    )


def _viewed(encoder: nn.Module, width: int, name: str, views: Views) -> Backbone:
    return Backbone(encoder=encoder, width=width, stream=name, frames=views.frames, minimum=views.minimum)


def classifier(
    method: Method, *, classes: int, generator: torch.Generator, ratio: tuple[float, float] = (0.5, 1.0), smoothing: float = 0.0
) -> Method:
    """A copy of the method's encoder with a new linear layer, N(0, 0.01^2) and bias 0, as a supervised method (HaLP, CMD, ISC).

    A SkeletonMAE is planted into a new STRL network, as its paper does, which reads as many frames and draws them in its own way.

    Args:
        method: trained, or a floor; it stays as it is.
        classes: how many to tell apart.
        generator: of everything new.
        ratio: shortest and longest stretch of a clip in a training view; views have no other augmentation.
        smoothing: of the labels.

    Raises:
        ConfigError: as ``backbone``; or an STRL, which is a classifier already.
    """
    method = method.method if isinstance(method, Untrained) else method
    device = next((p.device for p in method.parameters()), torch.device("cpu"))
    if isinstance(method, SkeletonMAE):
        net = SpatialTemporal.Config(encoder=method.config.encoder, frames=method.config.frames)
        planted = STRL.Config(net=net, graph=method.config.graph, smoothing=smoothing)
        return STRL.from_pretrained(method, classes=classes, config=planted, generator=generator)
    if isinstance(method, STRL):
        raise ConfigError("an STRL is trained with labels as a whole already; evaluate it with the protocol 'classifier'")
    found = backbone(method)
    views = Views(frames=found.frames, ratio=ratio, minimum=found.minimum, p_shear=0, p_mask=0, p_corrupt=0)
    config = Supervised.Config(views=views, stream=found.stream, smoothing=smoothing)
    shape: dict[str, Any] = {"width": found.width, "classes": classes, "topology": cast(Topology, method.topology)}
    made = Supervised(config, copy.deepcopy(found.encoder).requires_grad_(True), generator=generator, **shape)
    made.head.weight.data = 0.01 * torch.randn(classes, found.width, generator=generator)
    made.head.bias.data = torch.zeros(classes)
    return made.to(device)
