"""Clips brought to one length, by the rules the papers state (``Preset.length``)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from skelbench.errors import ConfigError
from skelbench.skeleton.augment import centre_crop_resize, random_crop_resize
from skelbench.skeleton.geometry import fill_null_frames, zero_padding
from skelbench.skeleton.normalise import Length
from skelbench.skeleton.sampling import even_frames, take_frames, uniform_frames, uniform_test_frames


def pad_to(x: Tensor, lengths: Tensor, frames: int) -> tuple[Tensor, Tensor]:
    """Zeros at the end up to ``frames``, and nothing after: (N, C, frames, V, M), and lengths (N,) of at most ``frames``."""
    lengths = lengths.clamp_max(frames)
    x = zero_padding(x[:, :, :frames], lengths)
    return torch.nn.functional.pad(x, (0, 0, 0, 0, 0, frames - x.shape[2])), lengths


def replay_to(x: Tensor, lengths: Tensor, frames: int) -> Tensor:
    """Every body repeated from its start on, after it was last seen, up to ``frames``: (N, C, frames, V, M). 2s-AGCN, ISC, HaLP.

    Their feeders cut views out of a clip's own frames all the same, so keep its length.
    """
    x, lengths = pad_to(x, lengths, frames)
    return fill_null_frames(x, torch.full_like(lengths, frames))


def to_length(
    x: Tensor,
    lengths: Tensor,
    steps: Sequence[Length],
    *,
    generator: torch.Generator | None = None,
    ratio: tuple[float, float] = (0.5, 1.0),
    minimum: int = 64,
) -> tuple[Tensor, Tensor]:
    """The published steps one after the other: joints (N, C, L, V, M), and how many of the L frames each clip fills (N,).

    A clip that was padded or replayed is cut and resized within its own frames, as the feeders do.

    Args:
        x: joints (N, C, T, V, M).
        lengths: (N,), frames each clip has before the padding; at least 1 for every rule but pad, replay and cut.
        steps: what to do, e.g. ``preset("ctrgcn").length``.
        generator: for training: draws the cut or the frames; without it, the test rule: the middle 95 %, even frames, PYSKL's
            seeded draw.
        ratio: shortest and longest stretch a training cut takes, as a share of the clip.
        minimum: but never fewer frames than this, as far as the clip has them.

    Raises:
        ConfigError: a step below one frame.
        DataError: lengths do not fit the joints.
    """
    for step in steps:
        L = step.frames
        if L < 1:
            raise ConfigError(f"length rule {step.rule!r}: {L} frames; wanted at least 1")
        if step.rule == "cut":
            lengths = lengths.clamp_max(L)
            x = zero_padding(x[:, :, :L], lengths)
        elif step.rule == "pad":
            x, lengths = pad_to(x, lengths, L)
        elif step.rule == "replay":
            x, lengths = replay_to(x, lengths, L), lengths.clamp_max(L)
        else:
            x = _resampled(x, lengths, step, generator, ratio, minimum)
            lengths = torch.full_like(lengths, L)
    return x, lengths


def _resampled(
    x: Tensor, lengths: Tensor, step: Length, generator: torch.Generator | None, ratio: tuple[float, float], minimum: int
) -> Tensor:
    L = step.frames
    if step.rule == "crop_resize":
        if generator is None:
            return centre_crop_resize(x, lengths, frames=L)
        return random_crop_resize(x, lengths, frames=L, ratio=ratio, minimum=minimum, generator=generator)
    if step.rule == "evenly":
        index = even_frames(lengths, L, generator=generator)
    elif generator is None:
        index = uniform_test_frames(lengths, L)[:, 0]
    else:
        index = uniform_frames(lengths, L, generator=generator)
    return take_frames(x, index, dim=2)
