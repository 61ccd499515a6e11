"""The sequence encoder of HaLP: input BatchNorm, then layers of two *forward* GRU streams.

The paper calls it bidirectional. What is trained in practice reads one frame after the other and carries the hidden state of both
"directions" forward, so each layer is two independent forward GRUs whose outputs stand side by side. Here every stream runs over
the whole sequence at once, which gives the same numbers much faster. ``true_bidirectional`` turns the second stream around in time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from skelbench.errors import ConfigError
from skelbench.skeleton.topology import Topology


class GRU(nn.Module):
    """Joints (N, C, T, V, M) -> features (N, width), width = 2 * hidden (8 * hidden for ``readout="quarters"``).

    The parameters keep the names of ``torch.nn.GRU``; ``_reverse`` marks the second stream of a layer, gates are stacked
    reset, update, new. Weights are Xavier-uniform, biases uniform in +-1/sqrt(hidden).
    """

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Size and reading of the encoder."""

        hidden: int = 1024  # per stream; HaLP section 4.1, as in CMD
        layers: int = 3
        true_bidirectional: bool = False  # True: the second stream reads the clip backwards; not what the paper's numbers come from
        input_norm: bool = True  # BatchNorm over V*C*M features, statistics over batch and time
        # The paper reads the last frame. Ours, for small data: the mean over frames, or the means over the quarters of a clip side
        # by side, so that sitting down differs from standing up.
        readout: Literal["last", "mean", "quarters"] = "last"

        def __post_init__(self) -> None:
            if self.hidden < 1 or self.layers < 1:
                raise ConfigError(f"GRU: hidden={self.hidden} and layers={self.layers} must both be at least 1")
            if self.readout not in ("last", "mean", "quarters"):
                raise ConfigError(f"GRU: readout={self.readout!r} is not known; it is 'last' (the paper), 'mean' or 'quarters'")

    def __init__(self, config: Config, *, topology: Topology, bodies: int, coordinates: int, generator: torch.Generator) -> None:
        super().__init__()
        self.config = config
        self.inputs = topology.V * coordinates * bodies
        self.shape = (coordinates, topology.V, bodies)
        H = config.hidden
        for layer in range(config.layers):
            F = self.inputs if layer == 0 else 2 * H
            for stream in ("", "_reverse"):
                self.register_parameter(f"weight_ih_l{layer}{stream}", _xavier((3 * H, F), generator))
                self.register_parameter(f"weight_hh_l{layer}{stream}", _xavier((3 * H, H), generator))
                self.register_parameter(f"bias_ih_l{layer}{stream}", _uniform((3 * H,), 1 / math.sqrt(H), generator))
                self.register_parameter(f"bias_hh_l{layer}{stream}", _uniform((3 * H,), 1 / math.sqrt(H), generator))
        self.input_norm = nn.BatchNorm1d(self.inputs) if config.input_norm else None

    @property
    def width(self) -> int:
        """D of the features: both streams side by side, four times over for quarters."""
        return 2 * self.config.hidden * (4 if self.config.readout == "quarters" else 1)

    def sequence_layout(self, x: Tensor) -> Tensor:
        """(N, C, T, V, M) -> (N, T, V*C*M); feature index = C*M*joint + M*coordinate + body."""
        return x.permute(0, 2, 3, 1, 4).flatten(2)

    def sequence(self, x: Tensor) -> Tensor:
        """Output of the last layer in every frame: (N, C, T, V, M) -> (N, T, 2 * hidden)."""
        return self._frames(x).transpose(0, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, T, V, M) -> (N, width): the last frame, the mean over frames, or the means over the quarters of the clip.

        Quarters differ by a frame where T is no multiple of four; a clip of fewer than four frames is refused with ConfigError.
        """
        y = self._frames(x)  # (T, N, 2H)
        if self.config.readout == "quarters":
            if len(y) < 4:
                raise ConfigError(f"GRU: readout='quarters' needs four frames or more, got {len(y)}")
            return torch.cat([part.mean(dim=0) for part in y.tensor_split(4)], dim=1)
        return y[-1] if self.config.readout == "last" else y.mean(dim=0)

    def _frames(self, x: Tensor) -> Tensor:
        C, V, M = self.shape
        if x.ndim != 5 or (x.shape[1], x.shape[3], x.shape[4]) != self.shape or not x.shape[2]:
            raise ConfigError(f"GRU: built for joints (N, {C}, T, {V}, {M}), got {tuple(x.shape)}")
        N, T = x.shape[0], x.shape[2]
        y = x.permute(2, 0, 3, 1, 4).reshape(T, N, self.inputs)  # time first: the gates of one frame lie side by side
        if self.input_norm is not None:
            y = self.input_norm(y.view(T * N, self.inputs)).view(T, N, self.inputs)
        for layer in range(self.config.layers):
            one = self._stream(y, layer, "")
            if self.config.true_bidirectional:
                two = self._stream(y.flip(0), layer, "_reverse").flip(0)
            else:
                two = self._stream(y, layer, "_reverse")
            y = torch.cat([one, two], dim=2)  # (T, N, 2H)
        return y

    def _stream(self, x: Tensor, layer: int, stream: str) -> Tensor:
        """One forward GRU over the whole sequence: (T, N, F) -> (T, N, H)."""
        names = (f"{kind}_l{layer}{stream}" for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
        start = x.new_zeros(1, x.shape[1], self.config.hidden)
        return torch.gru(x, start, [getattr(self, n) for n in names], True, 1, 0.0, torch.is_grad_enabled(), False, False)[0]


def _uniform(shape: tuple[int, ...], bound: float, generator: torch.Generator) -> nn.Parameter:
    return nn.Parameter((2 * torch.rand(shape, generator=generator, device=generator.device) - 1) * bound)


def _xavier(shape: tuple[int, int], generator: torch.Generator) -> nn.Parameter:
    return _uniform(shape, math.sqrt(6 / (shape[0] + shape[1])), generator)
