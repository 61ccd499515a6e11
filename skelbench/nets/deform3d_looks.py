"""Where a block of the 3D deformable transformer looks, in the order of joints, frames and points."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

if TYPE_CHECKING:
    from skelbench.nets.deform3d import Block


class Searched(NamedTuple):
    """What the search found.

    Attributes:
        tokens: (N, K, D), K = t^ h^ w^ points.
        positions: (N, G, K, 3), where every group of channels was read, (t, y, x) in tokens.
        references: (K, 3), where the grid stands before it is moved.
    """

    tokens: Tensor
    positions: Tensor
    references: Tensor


class Looked(NamedTuple):
    """Attention of one block, for pictures; parts that the block lacks are None.

    Attributes:
        searched: where the search read.
        to_points: weights of the modal tokens on searched tokens (N, heads, S, K).
        to_joints: of the modal tokens on joints in their frame (N, heads, S, T, M, J), 0 where the joint is not there.
        joint_pairs: joint to joint within a frame (N, heads, J, J), the mean over frames and persons; 0 across phases.
        to_moments: of the modal tokens on joints in the temporal attention (N, heads, S, T, M, J).
        frame_pairs: frame to frame in it (N, heads, T, T), summed over joints looked at, the mean over joints that look.
        traffic: share of c's weight that stays with the modal tokens, in each of the three attentions (N, 3); nan without one.
    """

    searched: Searched | None
    to_points: Tensor | None
    to_joints: Tensor | None
    joint_pairs: Tensor | None
    to_moments: Tensor | None
    frame_pairs: Tensor | None
    traffic: Tensor


def look(
    config: Block.Config,
    searched: Searched | None,
    on_points: Tensor | None,
    by_joint: list[Tensor],
    by_time: list[Tensor],
    *,
    modal: int,
    mask: Tensor | None,
) -> Looked:
    """Gather the weights of one block.

    Args:
        config: its strides.
        searched: what its search found.
        on_points: weights of the first attention (N, heads, T h w + S, K + S), modal tokens last.
        by_joint: of the second, one a phase (B, heads, S + joints, S + joints), modal tokens first.
        by_time: of the third, likewise; further tokens last.
        modal: S.
        mask: (N, T, M, J) joints that are there.
    """
    S, traffic = modal, [torch.tensor(torch.nan)] * 3
    to_points = None
    if on_points is not None:
        own = on_points[:, :, -S:]
        to_points = own[..., :-S]
        traffic[0] = own[..., -S:].sum(dim=3).mean(dim=(1, 2))
    told = pairs = moments = between = None
    if mask is not None and by_joint:
        N = len(mask)
        told, pairs = _joints(config, by_joint, mask, S)
        moments, between = _moments(config, by_time, mask, S)
        for i, phases in ((1, by_joint), (2, by_time)):
            stays = [one[:, :, :S, :S].sum(dim=3).mean(dim=(1, 2)).view(N, -1).mean(dim=1) for one in phases]
            traffic[i] = torch.stack(stays).mean(dim=0)
    N = len(on_points) if on_points is not None else len(mask) if mask is not None else 0
    shares = torch.stack([t.expand(N).cpu() for t in traffic], dim=1)
    return Looked(
        searched=searched,
        to_points=None if searched is None else to_points,
        to_joints=told,
        joint_pairs=pairs,
        to_moments=moments,
        frame_pairs=between,
        traffic=shares,
    )


def _joints(config: Block.Config, phases: list[Tensor], mask: Tensor, S: int) -> tuple[Tensor, Tensor]:
    """Modal tokens to joints (N, heads, S, T, M, J), joints to joints (N, heads, J, J), of the joint stride attention."""
    N, T, M, J = mask.shape
    H = phases[0].shape[1]
    told = phases[0].new_zeros(N, H, S, T, M, J)
    pairs = phases[0].new_zeros(N, H, J, J)
    for k, one in enumerate(phases):
        at = slice(k, None, config.joint_stride)
        there = mask[..., at].to(one.dtype)  # (N, T, M, Jk)
        count = there.sum(dim=(1, 2)).clamp(min=1)[:, None, :, None]  # (N, 1, Jk, 1), who looks
        Jk = there.shape[3]
        if config.joint_scope == "frame":
            one = one.view(N, T, H, *one.shape[2:])
            told[..., at] = one[..., :S, S:].reshape(N, T, H, S, M, Jk).permute(0, 2, 3, 1, 4, 5)
            inner = one[..., S:, S:].reshape(N, T, H, M, Jk, M, Jk)
            pairs[:, :, at, at] = torch.einsum("nthmjab,ntmj->nhjb", inner, there) / count
        else:
            told[..., at] = one[:, :, :S, S:].reshape(N, H, S, T, M, Jk)
            inner = one[:, :, S:, S:].reshape(N, H, T, M, Jk, T, M, Jk)
            pairs[:, :, at, at] = torch.einsum("nhtmjuab,ntmj->nhjb", inner, there) / count
    return told, pairs


def _moments(config: Block.Config, phases: list[Tensor], mask: Tensor, S: int) -> tuple[Tensor, Tensor]:
    """Modal tokens to joints (N, heads, S, T, M, J), frames to frames (N, heads, T, T), of the temporal stride attention."""
    N, T, M, J = mask.shape
    H = phases[0].shape[1]
    told = phases[0].new_zeros(N, H, S, T, M, J)
    pairs = phases[0].new_zeros(N, H, T, T)
    for k, one in enumerate(phases):
        at = slice(k, None, config.temporal_stride)
        there = mask[:, at].to(one.dtype)  # (N, Tk, M, J)
        count = there.sum(dim=(2, 3)).clamp(min=1)[:, None, :, None]  # (N, 1, Tk, 1)
        Tk = there.shape[1]
        end = S + Tk * M * J
        told[:, :, :, at] = one[:, :, :S, S:end].reshape(N, H, S, Tk, M, J)
        inner = one[:, :, S:, S:end].reshape(N, H, Tk, M, J, Tk, M, J)
        pairs[:, :, at, at] = torch.einsum("nhtmjuab,ntmj->nhtu", inner, there) / count
    return told, pairs
