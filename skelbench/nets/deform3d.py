"""The 3D deformable transformer (reconstruction; Kim, Ahn and Ko, ICCV 2023): RGB tokens, joint tokens, two modal tokens.

A block does four things, each with a residual path and a LayerNorm before it:

    1  3D deformable attention   (Z, c) -> (Z', c')     queries [Z; c], keys and values [searched tokens; c]
    2  local joint stride        (P, c') -> (P', c'')   in a frame, among every s_j-th joint and c
    3  temporal stride           (P', c'') -> (P'', c''')   among the joints of every s_t-th frame and c
    4  feed-forward on each of the three

Z (N, T, h, w, D) are cells of a video map, P (N, T, M, J, D) joints, c (N, 1 or 2, D) the modal tokens, one a stream. Only c
carries anything from one stream to the other. The 3D token search moves a sparse grid of points through the volume Z and reads it
there, and all queries share the points. The topology is the paper's. Its formulas were not at hand: those below are reconstructed,
each choice is a setting.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from skelbench.errors import ConfigError
from skelbench.nets.deform3d_looks import Looked, Searched, look
from skelbench.nets.initial import drop


class Attention(nn.Module):
    """Multi-head attention: queries (N, Q, D) on tokens (N, B, D) -> (N, Q, D) and, where asked for, weights (N, heads, Q, B)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.o = (nn.Linear(width, width) for _ in range(4))

    def forward(
        self, queries: Tensor, tokens: Tensor, mask: Tensor | None = None, *, weights: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """Mask (N, B), True for tokens that may be looked at, at least one in every row."""
        N, Q, D = queries.shape

        def split(x: Tensor) -> Tensor:
            return x.view(N, -1, self.heads, D // self.heads).transpose(1, 2)  # (N, heads, ., D / heads)

        q, k, v = split(self.q(queries)), split(self.k(tokens)), split(self.v(tokens))
        seen = None if mask is None else mask[:, None, None]
        if not weights:  # the fused kernel gives no weights back
            out = functional.scaled_dot_product_attention(q, k, v, attn_mask=seen)
            return self.o(out.transpose(1, 2).reshape(N, Q, D)), None
        scores = q @ k.transpose(2, 3) / (D // self.heads) ** 0.5
        shares = (scores if seen is None else scores.masked_fill(~seen, -torch.inf)).softmax(dim=3)
        return self.o((shares @ v).transpose(1, 2).reshape(N, Q, D)), shares


class TokenSearch(nn.Module):
    """3D token search: a volume (N, D, T, h, w) -> tokens read at points that the volume itself moves.

    1. u = 1x1x1 convolution of the volume, parted into G groups of channels
    2. per group, with shared weights: depth-wise convolution with stride rho, GELU, 1x1x1 convolution to (dt, dy, dx) that begins
       at zero, tanh, times the range: offsets in tokens
    3. references ref(i) = (i + 1/2) size / points - 1/2, on every axis
    4. the volume is read at ref + offset, trilinear, its border carried on outward (half-pixel convention)
    """

    def __init__(
        self,
        width: int,
        *,
        groups: int,
        stride: tuple[int, int, int],
        reach: tuple[float, float, float],
        kernel: tuple[int, int, int],
    ) -> None:
        super().__init__()
        self.groups, self.stride = groups, stride
        part = width // groups
        self.mix = nn.Conv3d(width, width, 1)
        padding = (kernel[0] // 2, kernel[1] // 2, kernel[2] // 2)
        self.look = nn.Conv3d(part, part, kernel, stride=self.stride, padding=padding, groups=part)
        self.offset = nn.Conv3d(part, 3, 1, bias=False)
        self.register_buffer("reach", torch.tensor([float(r) for r in reach]), persistent=False)

    def begin(self) -> None:
        """Offsets of zero: the grid stands still at first."""
        nn.init.zeros_(self.offset.weight)

    def references(self, size: tuple[int, int, int]) -> Tensor:
        """Points (t^, h^, w^, 3) of the grid in a volume of this size, (t, y, x) in tokens."""
        axes = []
        for n, step in zip(size, self.stride, strict=True):
            points = -(-n // step)
            axes.append((torch.arange(points, device=self.get_buffer("reach").device) + 0.5) * n / points - 0.5)
        return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)

    def offsets(self, volume: Tensor) -> Tensor:
        """(N, D, T, h, w) -> offsets (N, G, t^, h^, w^, 3) in tokens."""
        N, D = volume.shape[:2]
        parts = self.mix(volume).reshape(N * self.groups, D // self.groups, *volume.shape[2:])
        moved = torch.tanh(self.offset(functional.gelu(self.look(parts))).float())  # (N G, 3, t^, h^, w^)
        return (moved.movedim(1, -1) * self.get_buffer("reach")).view(N, self.groups, *moved.shape[2:], 3)

    def forward(self, volume: Tensor) -> Searched:
        """(N, D, T, h, w) -> tokens and where they were read."""
        N, D, *size = volume.shape
        references = self.references((size[0], size[1], size[2]))
        positions = references + self.offsets(volume)  # (N, G, t^, h^, w^, 3)
        found = read(volume.reshape(N * self.groups, D // self.groups, *size), positions.flatten(0, 1))
        tokens = found.view(N, D, -1).transpose(1, 2)  # (N, K, D)
        return Searched(tokens, positions.flatten(2, 4), references.flatten(0, 2))


def read(volume: Tensor, positions: Tensor) -> Tensor:
    """A volume (B, C, T, h, w) at positions (B, t, y, x axes ..., 3) in tokens, trilinear: (B, C, t^, h^, w^).

    Token centres are whole numbers. Outside, the border goes on. Computed in float32.
    """
    size = torch.tensor(volume.shape[2:], device=volume.device, dtype=positions.dtype)
    normalised = (2 * positions + 1) / size - 1  # half-pixel convention, align_corners=False
    exact = volume if volume.dtype == torch.float64 else volume.float()
    grid = normalised.flip(-1).to(exact.dtype)  # grid_sample wants (x, y, t)
    return functional.grid_sample(exact, grid, mode="bilinear", padding_mode="border", align_corners=False).to(volume.dtype)


def three(values: tuple[float, ...], least: float) -> bool:
    return len(values) == 3 and all(v >= least for v in values)


class DeformableAttention(nn.Module):
    """3D deformable attention: O = softmax(Q K^T / sqrt(D / H)) V with Q = [Z; c] W_q, K, V = [searched; c] W_k, W_v."""

    def __init__(self, config: Block.Config) -> None:
        super().__init__()
        stride, reach, kernel = config.search_stride, config.search_range, config.search_kernel
        self.search = None
        if config.search == "deformable":
            self.search = TokenSearch(config.width, groups=config.groups, stride=stride, reach=reach, kernel=kernel)
        self.attention = Attention(config.width, config.heads)

    def forward(self, z: Tensor, c: Tensor, *, weights: bool = False) -> tuple[Tensor, Tensor, Searched | None, Tensor | None]:
        """Z (N, T, h, w, D), c (N, S, D) -> what to add to both, what was searched, weights (N, heads, T h w + S, K + S)."""
        N, T, h, w, D = z.shape
        queries = torch.cat([z.reshape(N, -1, D), c], dim=1)
        searched = None if self.search is None else self.search(z.movedim(-1, 1))
        tokens = queries if searched is None else torch.cat([searched.tokens, c], dim=1)
        out, shares = self.attention(queries, tokens, weights=weights)
        return out[:, : T * h * w].view(z.shape), out[:, T * h * w :], searched, shares


class StrideAttention(nn.Module):
    """Attention among every s-th joint of a frame, or among the joints of every s-th frame, together with the modal tokens.

    Every phase k = 0 .. s - 1 is one attention with the same weights. What comes out is written back to where it came from; what
    comes out for the modal tokens is the mean over phases (and frames). Joints that are not there are looked at by none and get
    nothing.
    """

    def __init__(self, width: int, heads: int, *, stride: int, along: Literal["joints", "time"], scope: str = "frame") -> None:
        super().__init__()
        self.stride, self.along, self.scope = stride, along, scope
        self.attention = Attention(width, heads)

    def forward(
        self, p: Tensor, c: Tensor, mask: Tensor, extra: Tensor | None = None, *, weights: bool = False
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Joint tokens P (N, T, M, J, D), c (N, S, D), mask (N, T, M, J) of joints that are there.

        Args:
            p: joint tokens.
            c: modal tokens.
            mask: joints that are there.
            extra: further tokens (N, T, E, D), E a frame, that are looked at and change nothing (along time only).
            weights: give the weights of every phase.

        Returns:
            What is to be added to P and to c; weights (B, heads, S + joints, S + joints (+ extra)) of every phase, B clips or clips
            times frames, the modal tokens first.
        """
        N, T, M, J, D = p.shape
        S, local = c.shape[1], self.along == "joints" and self.scope == "frame"
        out, told, seen = torch.zeros_like(p), [], []
        for k in range(self.stride):
            at = (slice(None), slice(None), slice(None), slice(k, None, self.stride))
            if self.along == "time":
                at = (slice(None), slice(k, None, self.stride), slice(None), slice(None))
            part, there = p[at], mask[at]
            if not part.numel():
                continue  # a stride beyond the number of frames or joints leaves phases empty
            B = N * T if local else N
            rows = torch.cat([c.repeat_interleave(B // N, dim=0), part.reshape(B, -1, D)], dim=1)
            shown = torch.cat([there.new_ones(B, S), there.reshape(B, -1)], dim=1)
            tokens, looked = rows, shown
            if extra is not None:
                more = extra[:, k :: self.stride].reshape(N, -1, D)
                tokens, looked = torch.cat([rows, more], dim=1), torch.cat([shown, shown.new_ones(N, more.shape[1])], dim=1)
            made, shares = self.attention(rows, tokens, looked, weights=weights)
            out[at] = made[:, S:].reshape(part.shape) * there[..., None]
            told.append(self._told(made[:, :S], there, N))
            if shares is not None:
                seen.append(shares)
        return out, torch.stack(told).mean(dim=0), seen

    def _told(self, modal: Tensor, there: Tensor, N: int) -> Tensor:
        """What the modal tokens got, (B, S, D) -> (N, S, D): the mean over frames in which anybody is seen."""
        if len(modal) == N:
            return modal
        seen = there.flatten(2).any(dim=2).to(modal.dtype)  # (N, T)
        share = seen / seen.sum(dim=1, keepdim=True).clamp(min=1)
        return torch.einsum("nt,ntsd->nsd", share, modal.view(N, -1, *modal.shape[1:]))


class Block(nn.Module):
    """One block; without RGB tokens it lacks the first attention, without joint tokens the other two."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Sizes and strides of the transformer; the paper's are not known, these are the fact sheet's for full data."""

        width: int = 512  # D
        heads: int = 8  # H
        blocks: int = 4  # L
        groups: int = 4  # G of the search
        search: Literal["deformable", "full"] = "deformable"  # full: keys are all tokens (a baseline)
        search_stride: tuple[int, int, int] = (2, 2, 2)  # rho along t, y, x
        search_range: tuple[float, float, float] = (2.0, 2.0, 2.0)  # tokens; 0 is a fixed sparse grid
        search_kernel: tuple[int, int, int] = (3, 5, 5)  # that looks where to go
        joint_stride: int = 2  # s_j; 1: no stride
        joint_scope: Literal["frame", "clip"] = "frame"  # "local" read as within a frame
        temporal_stride: int = 2  # s_t; 1: no stride
        temporal_rgb: bool = False  # means of the RGB tokens of every frame take part in the temporal attention
        dropout: float = 0.1  # of tokens that go in, and of what is classified
        drop_path: float = 0.1  # share of clips that a residual branch is left out for

        def __post_init__(self) -> None:
            rules = {
                f"width={self.width} must divide by heads={self.heads} and groups={self.groups}": min(self.heads, self.groups) >= 1
                and self.width % self.heads == 0
                and self.width % self.groups == 0,
                f"blocks={self.blocks} must be 1 or more": self.blocks >= 1,
                f"search_stride={self.search_stride}: three numbers of 1 or more": three(self.search_stride, 1),
                f"search_range={self.search_range}: three numbers of 0 or more": three(self.search_range, 0),
                f"search_kernel={self.search_kernel}: three odd numbers": three(self.search_kernel, 1)
                and all(k % 2 for k in self.search_kernel),
                f"joint_stride={self.joint_stride}, temporal_stride={self.temporal_stride} must be 1 or more": min(
                    self.joint_stride, self.temporal_stride
                )
                >= 1,
                f"dropout={self.dropout} and drop_path={self.drop_path} must lie in [0, 1)": 0 <= self.dropout < 1
                and 0 <= self.drop_path < 1,
                f"search={self.search!r}: deformable or full": self.search in ("deformable", "full"),
                f"joint_scope={self.joint_scope!r}: frame or clip": self.joint_scope in ("frame", "clip"),
            }
            wrong = [text for text, holds in rules.items() if not holds]
            if wrong:
                raise ConfigError(f"deform3d: {'; '.join(wrong)}")

    def __init__(self, config: Config, *, rgb: bool, pose: bool) -> None:
        super().__init__()
        D, H = config.width, config.heads
        self.config = config
        names = [*(["z"] if rgb else []), *(["p"] if pose else []), "c"]
        self.deformable = DeformableAttention(config) if rgb else None
        self.joints: StrideAttention | None = None
        self.time: StrideAttention | None = None
        if pose:
            self.joints = StrideAttention(D, H, stride=config.joint_stride, along="joints", scope=config.joint_scope)
            self.time = StrideAttention(D, H, stride=config.temporal_stride, along="time")
        steps = [*(["deformable"] if rgb else []), *(["joints", "time"] if pose else [])]
        before = {"deformable": ("z", "c"), "joints": ("p", "c"), "time": ("p", "c")}
        self.norms = nn.ModuleDict({f"{step}_{name}": nn.LayerNorm(D) for step in steps for name in before[step]})
        self.norms.update({f"ffn_{name}": nn.LayerNorm(D) for name in names})
        self.ffn = nn.ModuleDict({n: nn.Sequential(nn.Linear(D, 4 * D), nn.GELU(), nn.Linear(4 * D, D)) for n in names})

    def forward(
        self,
        z: Tensor | None,
        p: Tensor | None,
        c: Tensor,
        mask: Tensor | None,
        generator: torch.Generator | None = None,
        *,
        weights: bool = False,
    ) -> tuple[Tensor | None, Tensor | None, Tensor, Looked | None]:
        """Z (N, T, h, w, D), P (N, T, M, J, D) with its mask (N, T, M, J), c (N, S, D) -> the same, one block later."""
        add = _path(self.config.drop_path, generator)
        searched: Searched | None = None
        on_points: Tensor | None = None
        by_joint: list[Tensor] = []
        by_time: list[Tensor] = []
        if self.deformable is not None and z is not None:
            dz, dc, searched, on_points = self.deformable(
                self.norms["deformable_z"](z), self.norms["deformable_c"](c), weights=weights
            )
            z, c = add(z, dz), add(c, dc)
        if self.joints is not None and self.time is not None and p is not None and mask is not None:
            dp, dc, by_joint = self.joints(self.norms["joints_p"](p), self.norms["joints_c"](c), mask, weights=weights)
            p, c = add(p, dp), add(c, dc)
            extra = z.mean(dim=(2, 3))[:, :, None] if self.config.temporal_rgb and z is not None else None
            dp, dc, by_time = self.time(self.norms["time_p"](p), self.norms["time_c"](c), mask, extra, weights=weights)
            p, c = add(p, dp), add(c, dc)
            p = add(p, self.ffn["p"](self.norms["ffn_p"](p)) * mask[..., None])
        if z is not None and "z" in self.ffn:
            z = add(z, self.ffn["z"](self.norms["ffn_z"](z)))
        c = add(c, self.ffn["c"](self.norms["ffn_c"](c)))
        looked = None
        if weights:
            looked = look(self.config, searched, on_points, by_joint, by_time, modal=c.shape[1], mask=mask)
        return z, p, c, looked


def _path(share: float, generator: torch.Generator | None) -> Callable[[Tensor, Tensor], Tensor]:
    """How a residual branch is added: left out for a share of the clips while it trains, and larger for the others."""

    def add(x: Tensor, change: Tensor) -> Tensor:
        if generator is None or not share:
            return x + change
        return x + change * drop(torch.ones(len(x), *[1] * (x.ndim - 1), device=x.device, dtype=x.dtype), share, generator)

    return add
