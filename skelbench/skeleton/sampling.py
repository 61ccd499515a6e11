"""Which frames of a clip a network sees: whole numbers (N, L) that ``take_frames`` takes. Every draw has a generator of its own.

``segment_frames`` draws one frame out of each of L equal stretches; ``uniform_frames`` does what PYSKL's UniformSample does, which
differs for clips of L to 2 L frames; ``even_frames`` is the rule of NW-UCLA.
"""

from __future__ import annotations

import functools

import numpy as np
import torch
from torch import Tensor

from skelbench.errors import ConfigError

TEST_SEED = 255  # of PYSKL's test-time draws


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
    _check(frames)
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


def uniform_frames(lengths: Tensor, frames: int, *, generator: torch.Generator) -> Tensor:
    """One training clip of L = ``frames`` frames as PYSKL and BRL draw it: int64 (N, L).

    With n frames: n < L starts anywhere and replays the clip in a loop; L <= n < 2 L drops n - L frames anywhere and keeps the
    order; n >= 2 L takes one frame out of each of L equal stretches.

    Args:
        lengths: (N,) frames each clip has.
        frames: L.
        generator: makes N (2 L + 2) draws, whatever the lengths.

    Raises:
        ConfigError: ``frames`` below 1.
    """
    _check(frames)
    n = lengths.clamp_min(1)[:, None]
    u = torch.rand(len(lengths), 2 * frames + 2, generator=generator, device=generator.device, dtype=torch.float64)
    u = u.to(lengths.device)
    start = (u[:, :1] * n).long().minimum(n - 1)
    rank = u[:, 1 : frames + 2].argsort(1).argsort(1)  # n - L of the L + 1 gaps, without replacement
    bounds = torch.arange(frames + 1, device=n.device) * n // frames  # (N, L + 1)
    size = bounds[:, 1:] - bounds[:, :-1]
    offset = (u[:, frames + 2 :] * size).long().minimum((size - 1).clamp_min(0))
    return drawn_frames(lengths, frames, start=start[:, 0], gaps=rank < n - frames, offset=offset)


def drawn_frames(lengths: Tensor, frames: int, *, start: Tensor, gaps: Tensor, offset: Tensor) -> Tensor:
    """The frames of ``uniform_frames`` for given draws: int64 (N, L).

    Args:
        lengths: (N,) frames n of each clip.
        frames: L.
        start: (N,) first frame where n < L.
        gaps: (N, L + 1) bool, n - L of them, where L <= n < 2 L: frame t is t and as many more as gaps up to t are chosen.
        offset: (N, L) frame within each stretch where n >= 2 L.
    """
    n = lengths.clamp_min(1)[:, None]
    t = torch.arange(frames, device=n.device)
    looped = (start[:, None] + t) % n
    spread = t + gaps[:, :frames].cumsum(1)
    return torch.where(n < frames, looped, torch.where(n < 2 * frames, spread, t * n // frames + offset))


def uniform_test_frames(lengths: Tensor, frames: int, *, clips: int = 1, seed: int = TEST_SEED) -> Tensor:
    """The frames of PYSKL's and BRL's test clips, the very ones: int64 (N, clips, L).

    The published code seeds NumPy's global generator anew for every sample, so they hang on the number of frames alone. Here the
    legacy generator is one of its own, seeded the same.

    Args:
        lengths: (N,) frames each clip has.
        frames: L.
        clips: test clips of a sample, 10 in the papers.
        seed: of every sample.

    Raises:
        ConfigError: ``frames`` or ``clips`` below 1.
    """
    _check(frames)
    if clips < 1:
        raise ConfigError(f"clips={clips}: at least one test clip must be looked at")
    known, which = lengths.clamp_min(1).unique(return_inverse=True)
    table = np.stack([_test_frames(int(n), frames, clips, seed) for n in known.tolist()])
    return torch.from_numpy(table).to(lengths.device)[which]


@functools.lru_cache(maxsize=4096)
def _test_frames(n: int, frames: int, clips: int, seed: int) -> np.ndarray:
    """(clips, L) for a clip of n frames."""
    rng, t = np.random.RandomState(seed), np.arange(frames)
    bounds = np.arange(frames + 1) * n // frames
    found = np.empty((clips, frames), np.int64)
    for clip in range(clips):
        if n < frames:
            found[clip] = ((clip if n < clips else clip * n // clips) + t) % n
            continue
        rng.rand(), rng.randint(1)  # two draws of the published code that come to nothing
        if n < 2 * frames:
            chosen = rng.choice(frames + 1, n - frames, replace=False)
            found[clip] = t + np.cumsum(np.isin(np.arange(frames + 1), chosen))[:frames]
        else:
            found[clip] = bounds[:-1] + rng.randint(np.diff(bounds))
    return found


def even_frames(lengths: Tensor, frames: int, *, generator: torch.Generator | None = None) -> Tensor:
    """Evenly spaced from the first to the last frame: ``floor(i (n - 1) / (L - 1))``, int64 (N, L). CTR-GCN on NW-UCLA.

    Args:
        lengths: (N,) frames each clip has.
        frames: L.
        generator: draws L frames with replacement instead, in order: its training rule.

    Raises:
        ConfigError: ``frames`` below 1.
    """
    _check(frames)
    n = lengths.clamp_min(1)[:, None]
    if generator is None:
        return torch.arange(frames, device=n.device) * (n - 1) // max(frames - 1, 1)
    u = torch.rand(len(lengths), frames, generator=generator, device=generator.device, dtype=torch.float64).to(n.device)
    return (u * n).long().minimum(n - 1).sort(1).values


def _check(frames: int) -> None:
    if frames < 1:
        raise ConfigError(f"frames={frames}: at least one frame of a clip must be looked at")


def take_frames(x: Tensor, index: Tensor, *, dim: int) -> Tensor:
    """The frames ``index`` (N, L) of x, whose first axis is N and whose frames lie along ``dim``."""
    shape = [1] * x.ndim
    shape[0], shape[dim] = index.shape
    wanted = list(x.shape)
    wanted[dim] = index.shape[1]
    return x.gather(dim, index.to(x.device).view(shape).expand(wanted))
