"""The two floors that every learned representation must rise above: an untrained encoder, and no encoder at all."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from skelbench.errors import ConfigError
from skelbench.methods.base import Method, Step
from skelbench.methods.moco import encode
from skelbench.nets.agcn import AGCN
from skelbench.nets.encoders import build_encoder
from skelbench.nets.gru import GRU
from skelbench.nets.hcn import HCN
from skelbench.skeleton.augment import centre_crop_resize
from skelbench.skeleton.clip import Batch
from skelbench.skeleton.streams import STREAMS, stream
from skelbench.skeleton.topology import Topology


def _check(name: str, frames: int) -> None:
    if name not in STREAMS or frames < 1:
        wanted = f"a stream among {', '.join(STREAMS)} and frames >= 1"
        raise ConfigError(f"a floor needs {wanted}, got stream={name!r}, frames={frames}")


class _Floor(Method):
    trains: ClassVar[bool] = False

    def step(self, batch: Batch, generator: torch.Generator) -> Step:
        raise TypeError(f"{self.name} is a floor: it has nothing to train; ask it for features")


class RandomEncoder(_Floor):
    """The encoder as it was before the first step.

    Its input BatchNorm, where it has one, stands at mean 0, variance 1: joints come in metres, and no data set has touched it.
    """

    name: ClassVar[str] = "random"

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Which encoder, on which stream."""

        encoder: GRU.Config | AGCN.Config | HCN.Config = field(default_factory=GRU.Config)
        stream: str = "joint"
        frames: int = 64  # as in HaLP's evaluation crops

        def __post_init__(self) -> None:
            _check(self.stream, self.frames)

        @classmethod
        def fits(cls, method: Any) -> bool:
            """Whether a method with these settings has one encoder (not several streams) and views to build the floor from."""
            return all(hasattr(method, name) for name in ("encoder", "stream", "views")) and not hasattr(method, "streams")

        @classmethod
        def of(cls, method: Any) -> RandomEncoder.Config:
            """The floor below a method with these settings: same encoder, same stream, same frames."""
            return cls(encoder=method.encoder, stream=method.stream, frames=method.views.frames)

    def __init__(self, config: Config, encoder: nn.Module, *, width: int, topology: Topology) -> None:
        super().__init__()
        self.config = config
        self.topology = topology
        self.encoder = encoder.requires_grad_(False)
        self._width = width

    @classmethod
    def build(
        cls, config: Any, *, topology: Topology, bodies: int, coordinates: int, classes: int, generator: torch.Generator
    ) -> RandomEncoder:
        shape: dict[str, Any] = {"topology": topology, "bodies": bodies, "coordinates": coordinates}
        encoder = build_encoder(config.encoder, generator=generator, **shape)
        return cls(config, encoder, width=encoder.width, topology=topology)

    @property
    def width(self) -> int:
        return self._width

    def features(self, batch: Batch) -> Tensor:
        return encode(self.encoder, batch, frames=self.config.frames, name=self.config.stream, topology=self.topology)


class Untrained(_Floor):
    """A method of its own kind as it was before the first step, for methods whose encoder is not one of ``nets.encoders``."""

    name: ClassVar[str] = "random"
    Config: ClassVar[type] = object

    def __init__(self, method: Method) -> None:
        super().__init__()
        self.config = method.config
        self.method = method.requires_grad_(False)

    @classmethod
    def beside(cls, config: Any, *, generator: torch.Generator, **shape: Any) -> Untrained:
        """The method these settings belong to, fresh from ``generator``; ``shape`` is what ``build`` takes besides.

        Raises:
            ConfigError: the settings are not a ``Config`` that stands inside a method.
        """
        owner: Any = sys.modules[type(config).__module__]
        for name in type(config).__qualname__.split(".")[:-1]:
            owner = getattr(owner, name, None)
        if not (isinstance(owner, type) and issubclass(owner, Method)):
            raise ConfigError(f"no method has the settings {config!r}; a floor stands beside the Config of a method")
        return cls(owner.build(config, generator=generator, **shape))

    @property
    def width(self) -> int:
        return self.method.width

    def features(self, batch: Batch) -> Tensor:
        return self.method.features(batch)


class Raw(_Floor):
    """The resized joints themselves, as one long vector."""

    name: ClassVar[str] = "raw"

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Which stream, how many frames."""

        stream: str = "joint"
        frames: int = 64

        def __post_init__(self) -> None:
            _check(self.stream, self.frames)

    def __init__(self, config: Config, *, topology: Topology, bodies: int, coordinates: int) -> None:
        super().__init__()
        self.config = config
        self.topology = topology
        self._width = coordinates * config.frames * topology.V * bodies

    @classmethod
    def build(
        cls, config: Any, *, topology: Topology, bodies: int, coordinates: int, classes: int, generator: torch.Generator
    ) -> Raw:
        return cls(config, topology=topology, bodies=bodies, coordinates=coordinates)

    @property
    def width(self) -> int:
        return self._width

    @torch.no_grad()
    def features(self, batch: Batch) -> Tensor:
        """The centre 95 % of every clip, flattened (N, C * frames * V * M)."""
        x = centre_crop_resize(batch.joints, batch.lengths, frames=self.config.frames)
        return stream(self.config.stream, x, self.topology).flatten(1)
