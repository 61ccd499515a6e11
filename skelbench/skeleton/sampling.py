"""Which frames of a clip a network sees: one out of each of L equal stretches."""

from __future__ import annotations

import torch
from torch import Tensor

from skelbench.errors import ConfigError


def segment_frames(lengths: Tensor, frames: int, *, generator: torch.Generator | None = None) -> Tensor:
    """One frame out of each of ``frames`` stretches of every clip, in order: int64 (N, frames).

    Stretch i of a clip of n frames is ``floor(i n / frames) .. floor((i + 1) n / frames) - 1``. A clip shorter than ``frames`` is
    run through from a drawn frame on, round and round, as in PYSKL's UniformSample.

    Args:
        lengths: (N,) frames each clip has.
        frames: L.
        generator: draws one frame a stretch, and where short clips begin; without it the middle of every stretch is taken, and
            short clips begin at their beginning.

    Raises:
        ConfigError: ``frames`` below 1.
    """
    if frames < 1:
        raise ConfigError(f"frames={frames}: at least one frame of a clip must be looked at")
    n = lengths.clamp_min(1)[:, None]  # (N, 1); of a clip without frames, its padding
    steps = torch.arange(frames + 1, device=lengths.device)
    bounds = steps * n // frames  # (N, L + 1)
    if generator is None:
        u = torch.full((len(lengths), frames), 0.5, dtype=torch.float64, device=lengths.device)
        start = torch.zeros_like(n)
    else:
        drawn = torch.rand(len(lengths), frames + 1, generator=generator, device=generator.device, dtype=torch.float64)
        drawn = drawn.to(lengths.device)
        u = drawn[:, 1:]
        start = (drawn[:, :1] * n).long().minimum(n - 1)
    size = bounds[:, 1:] - bounds[:, :-1]
    inside = bounds[:, :-1] + (u * size).long().minimum((size - 1).clamp_min(0))  # (N, L)
    return torch.where(n >= frames, inside, (start + steps[:-1]) % n)


def take_frames(x: Tensor, index: Tensor, *, dim: int) -> Tensor:
    """The frames ``index`` (N, L) of x, whose first axis is N and whose frames lie along ``dim``."""
    shape = [1] * x.ndim
    shape[0], shape[dim] = index.shape
    wanted = list(x.shape)
    wanted[dim] = index.shape[1]
    return x.gather(dim, index.to(x.device).view(shape).expand(wanted))
