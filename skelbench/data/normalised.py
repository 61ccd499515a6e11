"""Clips normalised on their way from a reader into a store, a few dozen at a time: memory does not grow with the dataset."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch

from skelbench.data.writing import check_finite
from skelbench.skeleton.clip import Clip, collate
from skelbench.skeleton.normalise import Preset
from skelbench.skeleton.normalise import preset as find_preset

CHUNK = 64  # clips normalised at a time
CHUNK_BYTES = 64 << 20  # but fewer where they are long


def normalised_clips(
    clips: Iterator[Clip], preset: Preset | str, *, bodies: int | None = None, units: str = "metre"
) -> Iterator[Clip]:
    """The same clips after a preset, in the same order; ``units`` of the store should then be those of the preset, if it has any.

    A clip that the preset drops (``Preset.empty``) is left out. Clips get as many bodies as ``bodies`` says, as the store will have
    them, so that a preset may fill an empty second place.

    Args:
        clips: read one by one; closed at the end.
        preset: a Preset or its name.
        bodies: M of every clip; its own where it is larger, or where left out.
        units: of the coordinates. Presets for pictures take ``width`` and ``height`` from ``clip.about``, or 1 for ``image``.

    Raises:
        DataError: coordinates that are not finite, clips of different skeletons, or a clip the preset cannot do.
        ConfigError: no preset of this name.
    """
    chosen = find_preset(preset) if isinstance(preset, str) else preset
    least = max(bodies or 1, 2 if chosen.second == "copy" else 1)
    return _normalised(clips, chosen, least, units)


def _normalised(clips: Iterator[Clip], preset: Preset, bodies: int, units: str) -> Iterator[Clip]:
    chunk: list[Clip] = []
    longest = 0
    try:
        for clip in clips:
            check_finite(clip.joints, f"clip {clip.id!r}")
            joints = clip.joints
            if joints.shape[1] < bodies:
                joints = np.pad(joints, ((0, 0), (0, bodies - joints.shape[1]), (0, 0), (0, 0)))
            clip = _with(clip, joints)
            longest = max(longest, joints.nbytes)  # a batch is padded to it
            if chunk and (len(chunk) == CHUNK or (len(chunk) + 1) * longest > CHUNK_BYTES):
                yield from _run(chunk, preset, units)
                chunk, longest = [], joints.nbytes
            chunk.append(clip)
        if chunk:
            yield from _run(chunk, preset, units)
    finally:
        close = getattr(clips, "close", None)
        if close is not None:
            close()


def _run(chunk: Sequence[Clip], preset: Preset, units: str) -> Iterator[Clip]:
    batch = collate(chunk)
    about = {k: np.asarray([_number(c.about.get(k)) for c in chunk]) for k in ("width", "height")}
    joints, lengths = preset.run(batch.joints, batch.lengths, chunk[0].topology, size=picture_sizes(len(chunk), about, units))
    done = joints.permute(0, 2, 4, 3, 1).numpy()  # (N, T, M, V, C)
    for clip, x, length in zip(chunk, done, lengths.tolist(), strict=True):
        x = np.ascontiguousarray(x[:length, : clip.joints.shape[1]])
        if preset.empty == "kept" or x.any():
            yield _with(clip, x)


def _with(clip: Clip, joints: np.ndarray) -> Clip:
    return Clip(joints=joints, topology=clip.topology, fps=clip.fps, label=clip.label, id=clip.id, about=clip.about)


def _number(value: object) -> int:
    return int(value) if isinstance(value, int | np.integer) else -1


def picture_sizes(N: int, columns: Mapping[str, np.ndarray], units: str) -> torch.Tensor | None:
    """Width and height (N, 2) of the pictures of N clips, in the units of the coordinates; 0 unknown, None where no clip has any.

    Args:
        N: number of clips.
        columns: ``width`` and ``height`` in pixels (N,), -1 unknown; others are not looked at.
        units: ``image``: coordinates run from 0 to 1, so that every picture is 1 wide and high.
    """
    if units == "image":
        return torch.ones(N, 2)
    if not {"width", "height"} <= set(columns):
        return None
    size = torch.from_numpy(np.stack([columns["width"], columns["height"]], 1)).clamp_min(0)
    return size.to(torch.float32) if bool(size.any()) else None
