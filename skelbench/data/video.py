"""Real video beside a store: colour and infrared files, 16-bit depth pictures, found by the names of the clips.

    S001C001P001R001A001_rgb.avi            colour, any container and codec FFmpeg reads
    S001C001P001R001A001_ir.avi             infrared, one channel
    S001C001P001R001A001/MDepth-00000001.png ...   depth in millimetres, 16 bits, numbered

That is how NTU RGB+D is delivered; for other data <clip> and <clip>_rgb, <clip>_ir, <clip>_depth with any ending do. Streams of one clip
may differ by some frames: a picture is taken at the same share of every stream. Each camera is cut out by its own joints, where the
lens is known, so that all modalities show the person at the same place; pictures are scaled, depth never mixed across an edge.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from tqdm.auto import tqdm

from skelbench.data.frames import FrameStore, video_folder, write_frames
from skelbench.data.store import Store
from skelbench.errors import ConfigError, DataError
from skelbench.skeleton.clip import CHANNELS
from skelbench.skeleton.frame_views import segments

FILES = {".avi", ".mp4", ".mkv", ".mov", ".webm", ".m4v"}
MARGIN = 1.25  # how much larger than the joints' box the cut is
_DIGITS = re.compile(r"(\d+)")


@dataclass(frozen=True, kw_only=True)
class Lens:
    """How a camera sees the coordinates of a store: u = cx + fx (x + shift) / z, v = cy - fy y / z, in shares of the picture.

    Attributes:
        fx: focal length in picture widths. fy: in picture heights.
        cx: optical axis. cy: of it.
        shift: metres this camera stands beside the one the coordinates belong to.
    """

    fx: float
    fy: float
    cx: float = 0.5
    cy: float = 0.5
    shift: float = 0.0

    def places(self, points: np.ndarray) -> np.ndarray:
        """Points (..., 3) -> places (..., 2), 0..1."""
        z = np.maximum(points[..., 2], 1e-3)
        u = self.cx + self.fx * (points[..., 0] + self.shift) / z
        return np.stack([u, self.cy - self.fy * points[..., 1] / z], -1)


# Nominal values of a Kinect v2, whose pictures are mirrored: x grows to the right in them. A sensor of one's own differs by some pixels.
KINECT_V2 = {
    "rgb": Lens(fx=1081.4 / 1920, fy=1081.4 / 1080, cx=0.5, cy=0.5, shift=0.052),
    "depth": Lens(fx=365.5 / 512, fy=365.5 / 424, cx=0.5, cy=208.0 / 424),
    "ir": Lens(fx=365.5 / 512, fy=365.5 / 424, cx=0.5, cy=208.0 / 424),
}
LENSES: Mapping[str, Mapping[str, Lens]] = {"kinect_v2": KINECT_V2, "none": {}}


def find_video(folder: str | Path, ids: Sequence[str]) -> dict[str, dict[str, Path]]:
    """Streams of clips: modality -> clip -> file, or folder of numbered pictures for depth.

    Args:
        folder: looked through with all folders in it.
        ids: names of the clips.

    Raises:
        DataError: no such folder, or two files for one stream of a clip.
    """
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; wanted one with videos named after the clips, as {ids[0]}_rgb.avi")
    known, found = set(ids), {name: dict[str, Path]() for name in CHANNELS}

    def put(name: str, clip: str, path: Path) -> None:
        if found[name].setdefault(clip, path) != path:
            raise DataError(f"clip {clip!r}: two {name} streams, {found[name][clip]} and {path}; keep one of them")

    for path in sorted(root.rglob("*")):
        stem = path.stem if path.suffix.lower() in FILES else path.name if path.is_dir() else ""
        clip, _, kind = stem.rpartition("_")
        clip, kind = (clip, kind.lower()) if kind.lower() in CHANNELS and clip in known else (stem, "")
        if clip not in known:
            continue
        if path.is_dir():
            if kind in ("", "depth") and any(path.glob("*.png")):
                put("depth", clip, path)
        else:
            put(kind or "rgb", clip, path)
    return {name: streams for name, streams in found.items() if streams}


def attach_video(
    store: Store,
    folder: str | Path,
    *,
    modalities: Sequence[str] = (),
    frames: int = 8,
    size: int = 64,
    lens: str | Mapping[str, Lens] = "",
    tolerance: float = 0.1,
    overwrite: bool = True,
    progress: bool = True,
) -> FrameStore:
    """Decode the videos of all clips of a store once and keep the pictures beside it.

    Args:
        store: its clips.
        folder: where the videos are.
        modalities: which; those of which there is any file where left out. Every clip must have all of them.
        frames: S, pictures kept a clip, one from the middle of each of S equal stretches. Keep more than a method shows and training
            draws among them.
        size: H and W of what is kept.
        lens: ``kinect_v2``, ``none``, or a :class:`Lens` a modality; where left out, ``kinect_v2`` for skeletons of that sensor. Without
            one the middle square of the picture is kept and the joints' places are unknown. Skeletons measured in pictures need none.
        tolerance: by which share the number of frames of a stream may differ from the skeleton's.
        overwrite: replace pictures attached before.
        progress: show a bar.

    Raises:
        ConfigError: a setting out of range, or PyAV is not installed.
        DataError: a clip lacks a stream, a file cannot be decoded, is of the wrong depth of bits or length; names clip and file.
    """
    _av()
    if not (1 <= frames <= 512 and 8 <= size <= 1024 and 0 <= tolerance):
        raise ConfigError(f"frames = {frames}, size = {size}, tolerance = {tolerance}: wanted 1..512, 8..1024, 0 or more")
    streams = find_video(folder, store.ids)
    wanted = tuple(modalities) or tuple(streams)
    lenses = _lenses(store, lens)
    _complete(store, streams, wanted, Path(folder))
    placed = bool(_flat_size(store, 0)) or wanted[0] in lenses
    kept = {"kind": "video", "modalities": list(wanted), "kept": frames, "size": size, "placed": placed}
    kept |= {"folder": str(Path(folder).resolve())}
    with tqdm(total=len(store), desc=f"decoding for {store.meta.name}", unit="clip", disable=not progress) as bar:

        def pictures() -> Iterator[tuple[np.ndarray, dict[str, np.ndarray]]]:
            for row, clip in enumerate(store.ids):
                files = {name: streams[name][clip] for name in wanted}
                seen = _decoded(store, row, files, lenses, frames=frames, size=size, tolerance=tolerance)
                yield np.array([row]), {name: part[None] for name, part in seen.items()}
                bar.update()

        return write_frames(video_folder(store), store, pictures(), kept, modalities=wanted, overwrite=overwrite)


def _complete(store: Store, streams: Mapping[str, Mapping[str, Path]], wanted: Sequence[str], folder: Path) -> None:
    """Raises DataError naming the first clip that lacks a stream."""
    bad = [name for name in wanted if name not in CHANNELS]
    if bad:
        raise ConfigError(f"no modality {bad[0]!r}; there are {', '.join(CHANNELS)}")
    if not wanted:
        raise DataError(f"{folder}: no video of any clip of {store.meta.name!r}; wanted files such as {store.ids[0]}_rgb.avi")
    for name in wanted:
        missing = [clip for clip in store.ids if clip not in streams.get(name, {})]
        if missing:
            example = {"rgb": "_rgb.avi", "ir": "_ir.avi", "depth": "/MDepth-00000001.png"}[name]
            rest = [m for m in wanted if m != name]
            other = f", or leave {name} out with --modalities {' '.join(rest)}" if rest else ""
            raise DataError(
                f"clip {missing[0]!r} has no {name} in {folder} ({len(missing)} of {len(store)} clips lack it); wanted "
                f"{missing[0]}{example}{other}"
            )


def _lenses(store: Store, lens: str | Mapping[str, Lens]) -> Mapping[str, Lens]:
    if not isinstance(lens, str):
        return lens
    if not lens:
        raw = not [p for p in store.meta.presets if p not in ("none", "stgcn")] and store.meta.units == "metre"
        lens = "kinect_v2" if raw and store.topology.name == "kinect_v2_25" else "none"
    if lens not in LENSES:
        raise ConfigError(f"no lens {lens!r}; there are {', '.join(LENSES)}")
    return LENSES[lens]


def _flat_size(store: Store, row: int) -> tuple[float, float] | None:
    """Width and height of the picture in the units of the coordinates, for skeletons that were measured in a picture."""
    if store.topology.dims != 2:
        return None
    if store.meta.units == "image":
        return 1.0, 1.0
    size = tuple(float(store.index[k][row]) if k in store.index else -1.0 for k in ("width", "height"))
    return (size[0], size[1]) if min(size) > 0 and store.meta.units in ("pixel", "pixels") else None


def _decoded(
    store: Store,
    row: int,
    files: Mapping[str, Path],
    lenses: Mapping[str, Lens],
    *,
    frames: int,
    size: int,
    tolerance: float,
) -> dict[str, np.ndarray]:
    """What is kept of one clip: pictures of every modality, places of the joints, numbers of the frames, distance."""
    clip = store[row]
    joints, seen = clip.joints, (clip.joints != 0).any(axis=-1)  # (T, M, V, C), (T, M, V)
    index = segments(torch.tensor([len(clip)]), frames)[0]
    out: dict[str, np.ndarray] = {"frames": index.numpy()}
    for name, path in files.items():
        places, flat = None, _flat_size(store, row)
        if flat is not None and name == "rgb":
            places = joints[..., :2] / np.array(flat, np.float32)
        elif name in lenses:
            places = lenses[name].places(joints[..., :3])
        what = f"clip {clip.id!r}, {name}"
        taken, shape = _pictures(path, name, index.numpy(), len(clip), tolerance, what)
        box = _box(places, seen, shape)
        out[name] = np.stack([_cut(picture, box, size, nearest=name == "depth") for picture in taken])
        if "places" not in out:
            out["places"] = _in_box(places, seen, box, shape, index.numpy())
    z = joints[..., 2][seen] if store.topology.dims == 3 and lenses else np.zeros(0)
    depths = out["depth"][out["depth"] > 0] / 1000.0 if "depth" in out else np.zeros(0)
    out["distance"] = np.float32(np.median(z) if len(z) else np.median(depths) if len(depths) else 0.0)
    return out


def _box(places: np.ndarray | None, seen: np.ndarray, shape: tuple[int, int]) -> tuple[int, int, int]:
    """Left, top and side in pixels of a square round all joints of the clip, or in the middle of the picture."""
    H, W = shape
    if places is None or not seen.any():
        side = min(H, W)
        return (W - side) // 2, (H - side) // 2, side
    xy = places[seen] * np.array([W, H])
    low, high = xy.min(axis=0), xy.max(axis=0)
    side = int(min(max(16.0, MARGIN * float((high - low).max())), 2.0 * max(H, W)))
    left, top = np.round((low + high) / 2 - side / 2).astype(int)
    return int(left), int(top), side


def _in_box(
    places: np.ndarray | None, seen: np.ndarray, box: tuple[int, int, int], shape: tuple[int, int], index: np.ndarray
) -> np.ndarray:
    """Places (T, M, V, 2) in the whole picture -> (S, V, M, 2) in the cut, zero where they are not known."""
    if places is None:
        return np.zeros((len(index), seen.shape[2], seen.shape[1], 2), np.float32)
    H, W = shape
    inside = (places[index] * np.array([W, H]) - np.array(box[:2])) / box[2]
    return np.where(seen[index][..., None], inside, 0.0).transpose(0, 2, 1, 3).astype(np.float32)


def _cut(picture: np.ndarray, box: tuple[int, int, int], size: int, *, nearest: bool) -> np.ndarray:
    """The square of a picture (H, W, C), scaled to (C, size, size); black, or no depth, beyond its edge."""
    left, top, side = box
    H, W, C = picture.shape
    whole = np.zeros((side, side, C), picture.dtype)
    x0, x1, y0, y1 = max(left, 0), min(left + side, W), max(top, 0), min(top + side, H)
    if x0 < x1 and y0 < y1:
        whole[y0 - top : y1 - top, x0 - left : x1 - left] = picture[y0:y1, x0:x1]
    if nearest:
        at = ((np.arange(size) + 0.5) * side / size).astype(int)
        return np.ascontiguousarray(whole[at][:, at].transpose(2, 0, 1))
    x: Tensor = torch.from_numpy(whole).permute(2, 0, 1)[None].float()
    shrunk = side >= size
    x = functional.interpolate(
        x, (size, size), mode="area" if shrunk else "bilinear", **({} if shrunk else {"align_corners": False})
    )
    return x[0].round().clamp(0, 255).to(torch.uint8).numpy()


def _pictures(
    path: Path, name: str, index: np.ndarray, length: int, tolerance: float, what: str
) -> tuple[list[np.ndarray], tuple[int, int]]:
    """Pictures (H, W, C) of a stream at the same shares of it as frames ``index`` are of a clip of ``length``, and their size."""
    folder = sorted(path.glob("*.png"), key=_number) if path.is_dir() else []
    count = len(folder) or _count(path, what)
    for _ in range(2):
        if abs(count - length) > max(2.0, tolerance * length):
            raise DataError(
                f"{what}: {path} has {count} frames, the skeleton {length}; streams of one recording differ by a few. Cut them to "
                "the same stretch, or allow more with --tolerance"
            )
        at = np.minimum(((index + 0.5) * count / length).astype(int), count - 1)
        if folder:
            taken = {int(k): _read(folder[int(k)], name, what) for k in np.unique(at)}
            break
        taken, decoded = _decode(path, name, set(at.tolist()), what)
        if decoded == count:
            break
        count = decoded  # the container counted otherwise
    else:
        raise DataError(f"{what}: {path} is decoded to another number of frames every time; it is damaged")
    sizes = {p.shape[:2] for p in taken.values()}
    if len(sizes) > 1:
        raise DataError(f"{what}: {path} has pictures of different sizes, {', '.join(map(str, sorted(sizes)))}")
    return [taken[int(k)] for k in at], next(iter(sizes))


def _number(path: Path) -> tuple[int, str]:
    digits = _DIGITS.findall(path.stem)
    return (int(digits[-1]) if digits else -1), path.name


def _count(path: Path, what: str) -> int:
    """Frames of a video file by its packets; nothing is decoded."""
    av = _av()
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise DataError(f"{what}: {path} has no video in it")
            return sum(1 for packet in container.demux(container.streams.video[0]) if packet.size)
    except (av.error.FFmpegError, ValueError) as error:
        raise DataError(f"{what}: {path} cannot be read as a video ({_brief(error)})") from error


def _decode(path: Path, name: str, wanted: set[int], what: str) -> tuple[dict[int, np.ndarray], int]:
    """Wanted frames of a video file, decoded one after the other (old files cannot be sought in), and how many there are."""
    av, taken, number = _av(), {}, 0
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            for frame in container.decode(stream):
                if number in wanted:
                    taken[number] = _array(frame, name, f"{what}: {path}")
                number += 1
    except (av.error.FFmpegError, ValueError) as error:
        raise DataError(f"{what}: {path} is damaged after frame {number} ({_brief(error)}); replace the file") from error
    missing = wanted - set(taken)
    if not number or (missing and number > max(missing)):
        raise DataError(f"{what}: {path} has no pictures in it")
    return taken, number


def _read(path: Path, name: str, what: str) -> np.ndarray:
    av = _av()
    try:
        with av.open(str(path)) as container:
            frame = next(iter(container.decode(video=0)))
    except (av.error.FFmpegError, StopIteration, ValueError, IndexError) as error:
        raise DataError(f"{what}: {path} cannot be read as a picture ({_brief(error)})") from error
    return _array(frame, name, f"{what}: {path}")


def _array(frame: Any, name: str, what: str) -> np.ndarray:
    """A decoded frame as (H, W, C): uint8 colour or grey, uint16 depth."""
    bits = frame.format.components[0].bits
    if name == "depth":
        if bits != 16 or len(frame.format.components) != 1:
            raise DataError(
                f"{what} is {frame.format.name}, {bits} bits of {len(frame.format.components)} channels; depth wants one channel of "
                "16 bits, in millimetres. Save it as 16-bit greyscale PNG"
            )
        return np.asarray(frame.to_ndarray(format="gray16le"))[..., None]
    if name == "ir" and bits > 8:  # 16-bit infrared keeps its upper byte
        return (np.asarray(frame.to_ndarray(format="gray16le"))[..., None] >> 8).astype(np.uint8)
    found = np.asarray(frame.to_ndarray(format="rgb24" if name == "rgb" else "gray"))
    return found if found.ndim == 3 else found[..., None]


def _brief(error: BaseException) -> str:
    return str(error).splitlines()[0][:120] if str(error) else type(error).__name__


def _av() -> Any:
    try:
        import av
    except ImportError as error:
        raise ConfigError("video files are read with PyAV, which is not installed: pip install 'skelbench[video]'") from error
    return av
