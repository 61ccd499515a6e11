"""Pictures of a clip: which of its frames are shown, and one geometric change for all of them.

A crop, a change of scale or a mirror is drawn once a clip and done to every picture of every modality, and to the joints' places in
them: pictures and joints stay on one another, and a person keeps its hands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from skelbench.errors import ConfigError, DataError
from skelbench.skeleton.clip import Batch
from skelbench.skeleton.topology import Topology


def segments(lengths: Tensor, frames: int, generator: torch.Generator | None = None) -> Tensor:
    """One frame from each of T' equal stretches of a clip (N, T'): its middle, or with a generator any frame of it.

    Stretch k of a clip of L frames runs from k L / T' to (k + 1) L / T'. A clip that is shorter than T' shows frames again.

    Args:
        lengths: int64 (N,), at least 1.
        frames: T'.
        generator: draws one number a stretch.

    Raises:
        ConfigError: fewer than one frame.
        DataError: a clip of no frames.
    """
    if frames < 1:
        raise ConfigError(f"frames = {frames}: a clip shows at least one picture")
    if len(lengths) and int(lengths.min()) < 1:
        raise DataError("a clip without frames has none to show")
    shape = (len(lengths), frames)
    share = torch.full(shape, 0.5, dtype=torch.float64) if generator is None else torch.rand(shape, generator=generator).double()
    long = lengths[:, None].double()
    at = ((torch.arange(frames) + share) * long / frames).long()
    return torch.minimum(at, lengths[:, None] - 1)


@dataclass(frozen=True, kw_only=True)
class FrameViews:
    """One geometric augmentation a clip, shared by all modalities.

    Attributes:
        scale: smallest and largest side of the window that is cut out, as a share of the picture's; it is scaled to the full size.
        mirror: probability of a left-right mirror.
        centred: the window stands in the middle, for tests.
    """

    scale: tuple[float, float] = (0.8, 1.0)
    mirror: float = 0.5
    centred: bool = False

    def __post_init__(self) -> None:
        low, high = self.scale
        if not (0 < low <= high <= 1) or not 0 <= self.mirror <= 1:
            raise ConfigError(f"views take 0 < scale[0] <= scale[1] <= 1 and a probability, got {self.scale}, {self.mirror}")

    def draw(self, N: int, generator: torch.Generator) -> Tensor:
        """Windows (N, 4) of N clips: left and top edge, side, all in pictures, and 1 where the clip is mirrored."""
        low, high = self.scale
        side = low + (high - low) * torch.rand(N, 1, generator=generator)
        corner = torch.rand(N, 2, generator=generator) * (1 - side)
        mirror = (torch.rand(N, 1, generator=generator) < self.mirror).float()
        return torch.cat([(1 - side.expand(N, 2)) / 2 if self.centred else corner, side, mirror], 1)

    def view(self, batch: Batch, topology: Topology, generator: torch.Generator) -> Batch:
        """The batch with other windows of its pictures. ``batch.joints``, the skeletons themselves, stay as they are.

        Raises:
            DataError: the batch has no pictures.
        """
        return through(batch, topology, self.draw(len(batch), generator))


def through(batch: Batch, topology: Topology, windows: Tensor) -> Batch:
    """Pictures of a batch and the joints' places in them through windows (N, 4), see :meth:`FrameViews.draw`.

    Mirrored joints change their names with the other side's, so that a left hand remains one. Depth is carried over from the
    nearest pixel, never mixed across a silhouette.

    Raises:
        DataError: the batch has no pictures, or not one window a clip.
    """
    if batch.frames is None:
        raise DataError("a batch without pictures has no window to look through; load it with frames")
    N = len(batch)
    if windows.shape != (N, 4):
        raise DataError(f"windows have shape {tuple(windows.shape)}, wanted ({N}, 4)")
    frames = {name: _cut(video, windows.to(video), nearest=name == "depth") for name, video in batch.frames.items()}
    places = None if batch.frame_joints is None else _moved(batch.frame_joints, windows, topology.flip_index)
    return replace(batch, frames=frames, frame_joints=places)


def _cut(video: Tensor, windows: Tensor, *, nearest: bool) -> Tensor:
    N, C, T, H, W = video.shape
    left, top, side, mirror = windows.unbind(1)
    sign = 1 - 2 * mirror
    # grid_sample counts from -1 to 1: x' = 2 (left + side (x + 1) / 2) - 1, mirrored inside the window.
    zero = torch.zeros_like(left)
    grid_of = torch.stack([sign * side, zero, 2 * left + side - 1, zero, side, 2 * top + side - 1], 1).view(N, 2, 3)
    grid = functional.affine_grid(grid_of, [N, 1, H, W], align_corners=False)
    mode = "nearest" if nearest else "bilinear"
    flat = video.reshape(N, C * T, H, W)
    return functional.grid_sample(flat, grid, mode=mode, padding_mode="border", align_corners=False).view(N, C, T, H, W)


def _moved(places: Tensor, windows: Tensor, flip: Sequence[int]) -> Tensor:
    left, top, side, mirror = (w.to(places).view(-1, 1, 1, 1) for w in windows.unbind(1))
    absent = (places == 0).all(dim=-1, keepdim=True)
    x, y = (places[..., 0] - left) / side, (places[..., 1] - top) / side
    x = torch.where(mirror > 0, 1 - x, x)
    moved = torch.where(absent, torch.zeros_like(places), torch.stack([x, y], -1))
    return torch.where(mirror[..., None] > 0, moved[:, :, list(flip)], moved)
