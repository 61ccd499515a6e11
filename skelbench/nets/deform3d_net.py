"""From video and joints to class scores: tokens of both, the transformer of :mod:`skelbench.nets.deform3d`, a classifier.

The reconstruction's joint tokens: features of the early map, averaged under a Gaussian at the joint, and a small network on its
place and velocity. RGB tokens: cells of the late map. A network reads ``both``, or ``rgb`` or ``pose`` alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from skelbench.errors import ConfigError
from skelbench.nets.deform3d import Block, TokenSearch
from skelbench.nets.deform3d_looks import Looked
from skelbench.nets.initial import draw_weights, drop
from skelbench.nets.video3d import VideoCNN, VideoResNet, build_video

SCALE = 0.02  # standard deviation of tokens and embeddings at the beginning
SPARE = 1e-4  # keeps the average under a Gaussian that stands outside the picture finite
Reads = Literal["both", "rgb", "pose"]


class Judged(NamedTuple):
    """What comes out for N clips.

    Attributes:
        logits: (N, classes).
        features: (N, S * D), the modal tokens that are classified.
        looks: one a block, where they were asked for.
    """

    logits: Tensor
    features: Tensor
    looks: tuple[Looked, ...]


class Transformer(nn.Module):
    """Tokens of video (N, T, h, w, D) and joints (N, T, M, J, D) -> class scores, by L blocks and the modal tokens."""

    def __init__(
        self,
        config: Block.Config,
        *,
        reads: Reads,
        size: tuple[int, int, int],
        joints: int,
        bodies: int,
        classes: int,
        readout: Literal["concat", "sum", "heads"] = "concat",
        generator: torch.Generator,
    ) -> None:
        """``size`` is (T, h, w) of the tokens."""
        super().__init__()
        self.config, self.reads, self.readout = config, reads, readout
        D, (T, h, w) = config.width, size
        rgb, pose = reads != "pose", reads != "rgb"
        self.tokens = 2 if reads == "both" else 1  # [c_r; c_p], or one of them
        tables: dict[str, tuple[int, ...]] = {"modal": (self.tokens, D), "time": (T, D)}
        tables |= {"space": (h, w, D)} if rgb else {}
        tables |= {"joint": (joints, D), "body": (bodies, D)} if pose else {}
        self.tables = nn.ParameterDict({name: nn.Parameter(torch.zeros(shape)) for name, shape in tables.items()})
        self.blocks = nn.ModuleList(Block(config, rgb=rgb, pose=pose) for _ in range(config.blocks))
        read = self.tokens if readout == "concat" else 1
        self.norm = nn.LayerNorm(read * D)
        self.heads = nn.ModuleList(nn.Linear(read * D, classes) for _ in range(self.tokens if readout == "heads" else 1))
        draw_weights(self, generator)
        for table in self.tables.values():
            table.data = SCALE * torch.randn(table.shape, generator=generator, device=generator.device)
        for module in self.modules():
            if isinstance(module, TokenSearch):
                module.begin()

    def forward(
        self,
        z: Tensor | None,
        p: Tensor | None,
        mask: Tensor | None,
        generator: torch.Generator | None = None,
        *,
        weights: bool = False,
    ) -> Judged:
        """Tokens without embeddings; ``mask`` (N, T, M, J) says which joints are there. Dropout is drawn from a generator, if any.

        Raises:
            ConfigError: more or fewer frames or cells than there are embeddings for.
        """
        e, share = self.tables, self.config.dropout
        if z is not None:
            if z.shape[1:4] != (len(e["time"]), *e["space"].shape[:2]):
                built = (len(e["time"]), *e["space"].shape[:2])
                raise ConfigError(f"deform3d was built for {built} video tokens (T', h, w), these clips give {tuple(z.shape[1:4])}")
            z = drop(z + e["time"][:, None, None] + e["space"], share, generator)
        if p is not None:
            N, T, M, J, _ = p.shape
            if T != len(e["time"]) or J != len(e["joint"]) or M > len(e["body"]):
                built = (len(e["time"]), len(e["body"]), len(e["joint"]))
                raise ConfigError(f"deform3d was built for {built} (T', bodies, joints), these clips have {(T, M, J)}")
            p = drop(p + e["time"][:, None, None] + e["joint"] + e["body"][:M, None], share, generator)
        given = z if z is not None else p
        assert given is not None, "a transformer of no tokens"
        c = e["modal"].expand(len(given), -1, -1)
        looks = []
        for block in self.blocks:
            z, p, c, looked = block(z, p, c, mask, generator, weights=weights)
            looks += [] if looked is None else [looked]
        if self.readout == "concat":
            logits = self.heads[0](drop(self.norm(c.flatten(1)), share, generator))
        elif self.readout == "sum":
            logits = self.heads[0](drop(self.norm(c.sum(dim=1)), share, generator))
        else:
            made = [head(drop(self.norm(c[:, i]), share, generator)) for i, head in enumerate(self.heads)]
            logits = torch.stack(made).mean(dim=0)
        return Judged(logits, c.flatten(1), tuple(looks))


def under_gaussians(early: Tensor, places: Tensor, confidence: Tensor, sigma: float) -> Tensor:
    """Means of a map under a Gaussian at every joint: a_j = sum_u G^(u) F(u), G^ = G / (sum G + eps).

    G(u) = confidence exp(-|u - s|^2 / 2 sigma^2) over the cells u of the map; it is a product over x and y.

    Args:
        early: F (N, C, T, H, W).
        places: s (N, T, J, 2), x and y as shares of the picture.
        confidence: (N, T, J).
        sigma: in cells.

    Returns:
        (N, T, J, C).
    """
    factors = []
    for axis, cells in ((0, early.shape[4]), (1, early.shape[3])):
        centres = torch.arange(cells, device=early.device, dtype=places.dtype) + 0.5
        away = (places[..., axis, None] * cells - centres) / sigma  # (N, T, J, cells)
        factors.append(torch.exp(-(away**2) / 2).to(early.dtype))
    x, y = factors[0] * confidence[..., None].to(early.dtype), factors[1]
    total = x.sum(dim=3) * y.sum(dim=3)  # (N, T, J)
    rows = torch.einsum("ncthw,ntjw->ntjhc", early, x)
    return torch.einsum("ntjhc,ntjh->ntjc", rows, y) / (total[..., None] + SPARE)


class PoseTokens(nn.Module):
    """Joints and the early map -> tokens (N, T', M, J, D): LN(W_a a + MLP[x, y, confidence, dx, dy]), groups of frames joined."""

    def __init__(
        self, width: int, *, channels: int, sigma: float, frames: int, tokens: int, join: Literal["mean", "concat"]
    ) -> None:
        """``channels`` of the early map, 0: none is looked at; ``frames`` T of the video, ``tokens`` T'."""
        super().__init__()
        self.sigma, self.tokens, self.frames = sigma, tokens, frames
        self.appearance = nn.Linear(channels, width) if channels else None
        self.geometry = nn.Sequential(nn.Linear(5, width), nn.GELU(), nn.Linear(width, width))
        self.norm = nn.LayerNorm(width)
        if join == "concat" and frames % tokens:
            raise ConfigError(f"deform3d: join='concat' needs frames={frames} to be a multiple of the {tokens} token frames")
        self.joined = nn.Linear(frames // tokens * width, width) if join == "concat" else None

    def forward(self, early: Tensor | None, places: Tensor, confidence: Tensor) -> tuple[Tensor, Tensor]:
        """Early map (N, C, T or fewer, H, W), places (N, T, J, M, 2), confidence (N, T, J, M), 0: absent -> tokens, mask."""
        N, T, J, M, _ = places.shape
        there = confidence > 0
        both = there[:, 1:] & there[:, :-1]
        speed = torch.zeros_like(places)
        speed[:, 1:] = (places[:, 1:] - places[:, :-1]) * both[..., None]
        said = torch.cat([places, confidence[..., None], speed], dim=4) * there[..., None]
        made = self.geometry(said)  # (N, T, J, M, D)
        if self.appearance is not None and early is not None:
            at = torch.arange(T, device=places.device) * early.shape[2] // T  # a map may have fewer frames than the video
            found = under_gaussians(early[:, :, at], places.flatten(2, 3), confidence.flatten(2, 3), self.sigma)
            made = made + self.appearance(found).view(N, T, J, M, -1)
        made = self.norm(made).transpose(2, 3) * there.transpose(2, 3)[..., None]  # (N, T, M, J, D)
        mask = there.transpose(2, 3)
        if self.joined is not None:
            parts = made.view(N, self.tokens, -1, M, J, made.shape[-1]).movedim(2, 4)  # (N, T', M, J, T / T', D)
            return self.joined(parts.flatten(4)), mask.view(N, self.tokens, -1, M, J).any(dim=2)
        group = torch.arange(T, device=places.device) * self.tokens // T
        zero = made.new_zeros(N, self.tokens, M, J, 1)
        count = zero.index_add(1, group, mask[..., None].to(made.dtype))
        total = zero.expand(-1, -1, -1, -1, made.shape[-1]).index_add(1, group, made)
        return total / count.clamp(min=1), count[..., 0] > 0


class Network(nn.Module):
    """Backbone, tokens, transformer: video (N, 3, T, H, W) and joints in it -> class scores."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """What is read and how tokens are made of it."""

        video: VideoCNN.Config | VideoResNet.Config = field(default_factory=VideoCNN.Config)
        block: Block.Config = field(default_factory=Block.Config)
        appearance: bool = True  # joint tokens look at the early map; never where only joints are read
        sigma: float = 1.0  # of the Gaussian, cells of the early map
        join: Literal["mean", "concat"] = "mean"  # of the T / T' frames of a joint token
        readout: Literal["concat", "sum", "heads"] = "concat"  # of the last modal tokens

        def __post_init__(self) -> None:
            if not self.sigma > 0:
                raise ConfigError(f"deform3d: sigma={self.sigma} must be above 0")

    def __init__(
        self,
        config: Config,
        *,
        reads: Reads,
        frames: int,
        picture: int,
        joints: int,
        bodies: int,
        classes: int,
        generator: torch.Generator,
    ) -> None:
        """``frames`` T and ``picture`` H = W of the video it will read."""
        super().__init__()
        self.config, self.reads = config, reads
        D, T = config.block.width, frames
        video = build_video(config.video, generator=generator)
        size = video.size(T, picture, picture)
        self.size = size
        early = video.channels[0] if config.appearance and reads == "both" else 0
        self.video: VideoCNN | VideoResNet | None = None
        if reads != "pose":
            self.video, self.project = video, nn.Conv3d(video.channels[1], D, 1)
            draw_weights(self.project, generator)
        if reads != "rgb":
            kept = {"sigma": config.sigma, "frames": T, "tokens": size[0], "join": config.join}
            self.pose = PoseTokens(D, channels=early, **kept)  # type: ignore[arg-type]
            draw_weights(self.pose, generator)
        shape = {"size": size, "joints": joints, "bodies": bodies, "classes": classes, "readout": config.readout}
        self.transformer = Transformer(config.block, reads=reads, generator=generator, **shape)  # type: ignore[arg-type]

    def forward(
        self,
        rgb: Tensor | None,
        places: Tensor | None,
        confidence: Tensor | None,
        generator: torch.Generator | None = None,
        *,
        weights: bool = False,
    ) -> Judged:
        """Video (N, 3, T, H, W), joints (N, T, J, M, 2) in 0..1 of it with their confidence (N, T, J, M), 0: absent."""
        z = early = p = mask = None
        if self.video is not None and rgb is not None:
            early, late = self.video(rgb)
            z = self.project(late).movedim(1, -1)  # (N, T', h, w, D)
        if self.reads != "rgb" and places is not None and confidence is not None:
            p, mask = self.pose(early, places, confidence)
        judged: Judged = self.transformer(z, p, mask, generator, weights=weights)
        return judged
