"""Encoders by their settings: whoever holds a ``Config`` gets the network it belongs to."""

from __future__ import annotations

from typing import Any

import torch

from skelbench.errors import ConfigError
from skelbench.nets.agcn import AGCN
from skelbench.nets.gru import GRU
from skelbench.nets.hcn import HCN
from skelbench.skeleton.topology import Topology

ENCODERS: tuple[Any, ...] = (GRU, AGCN, HCN)


def build_encoder(
    config: Any, *, topology: Topology, bodies: int, coordinates: int, generator: torch.Generator
) -> GRU | AGCN | HCN:
    """The encoder whose ``Config`` this is, with fresh weights: joints (N, C, T, V, M) -> features (N, ``width``).

    Raises:
        ConfigError: settings of something else.
    """
    for net in ENCODERS:
        if isinstance(config, net.Config):
            built: GRU | AGCN | HCN = net(config, topology=topology, bodies=bodies, coordinates=coordinates, generator=generator)
            return built
    known = ", ".join(f"{net.__name__}.Config" for net in ENCODERS)
    raise ConfigError(f"no encoder has the settings {config!r}; there are {known}")
