"""Pictures on disk beside a store: rendered on first use or decoded from real video, memory-mapped, read clip by clip.

    .frames/<store>-<key>/      beside the folder of the store
        rgb.npy      uint8  (N, S, 3, H, W)
        depth.npy    uint16 (N, S, 1, H, W), millimetres, 0 unknown
        ir.npy       uint8  (N, S, 1, H, W)
        places.npy   float32 (N, S, V, M, 2), where the joints stand in the pictures
        index.npz    frames (N, S) of the clips, distance (N,) of the bodies in metres, lamp (N, 2)
        meta.json    what they are: settings, and the fingerprint of the store they belong to

S pictures are kept a clip. A batch shows T' of them, the middle of every stretch, or in training any of it. The key is a hash of
the settings and of the store's content: other settings are another folder, and a store that changed never meets old pictures.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from skelbench.data.appearance import Things
from skelbench.data.folders import new_folder, read_json
from skelbench.data.render import Pictures, render_seeded, seed_of
from skelbench.data.store import Store
from skelbench.errors import ConfigError, DataError
from skelbench.skeleton.clip import CHANNELS, Batch
from skelbench.skeleton.frame_views import segments

FORMAT, VERSION = "skelbench-frames", 1
REVISION = 1  # of the renderer; part of the key, so that old pictures are not taken for new ones
DEPTH_RANGE = 1.5  # metres before and behind the body: ``Batch.frames["depth"]`` runs over them from 0 to 1
CHUNK = 16  # clips rendered at a time
CHUNK_PIXELS = 16 * 8 * 64 * 64  # but fewer where pictures are large
_TYPES: dict[str, np.dtype[Any]] = {
    "rgb": np.dtype("u1"),
    "depth": np.dtype("<u2"),
    "ir": np.dtype("u1"),
    "places": np.dtype("<f4"),
}


@dataclass(frozen=True, kw_only=True)
class FrameSettings:
    """Which pictures a method wants.

    Attributes:
        modalities: any of ``rgb``, ``depth``, ``ir``.
        frames: T', pictures a clip shows.
        size: H and W in pixels.
        stored: S, pictures kept a clip; training shows any one of each of T' stretches of them. 0: as many as are shown.
        source: ``rendered``; ``video``, what was attached to the store; ``auto``, video where there is any.
        view: where the renderer's camera stands: ``auto``, ``sensor`` or ``front``.
        seed: of the renderer: other clothes, other rooms.
    """

    modalities: tuple[str, ...] = ("rgb", "depth", "ir")
    frames: int = 8
    size: int = 64
    stored: int = 0
    source: Literal["auto", "rendered", "video"] = "auto"
    view: Literal["auto", "sensor", "front"] = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        bad = [m for m in self.modalities if m not in CHANNELS]
        if bad or not self.modalities or len(set(self.modalities)) < len(self.modalities):
            raise ConfigError(f"modalities = {self.modalities}: wanted different ones of {', '.join(CHANNELS)}")
        if self.source not in ("auto", "rendered", "video") or self.view not in ("auto", "sensor", "front"):
            raise ConfigError(f"source = {self.source!r}, view = {self.view!r}: see FrameSettings for what there is")
        if not (1 <= self.frames <= 512 and 8 <= self.size <= 1024 and 0 <= self.seed < 1 << 62):
            raise ConfigError(f"frames = {self.frames}, size = {self.size}, seed = {self.seed}: wanted 1..512, 8..1024, 0 or more")
        if self.stored and not self.frames <= self.stored <= 512:
            raise ConfigError(f"stored = {self.stored} pictures a clip and frames = {self.frames}: keep as many, at most 512")

    @property
    def kept(self) -> int:
        """S."""
        return self.stored or self.frames


class FrameStore:
    """Pictures of all clips of a store, read only.

    Attributes:
        path: the folder.
        settings: what ``meta.json`` says of them: ``kind`` (rendered or video), ``size``, ``kept``, ...
        arrays: memory-mapped, see the module.
        index: int64 (N, S). distance: float32 (N,). lamp: float32 (N, 2), -1 where there is none.

    Raises:
        DataError: a file is missing, damaged, or of another store.
    """

    def __init__(self, path: str | Path, store: Store) -> None:
        self.path = Path(path)
        table = read_json(self.path / "meta.json")
        if table.get("format") != FORMAT or table.get("version") != VERSION or not isinstance(table.get("settings"), dict):
            raise DataError(f"{self.path}/meta.json: not {FORMAT!r}, version {VERSION}; remove the folder, it is made again")
        if table.get("fingerprint") != store.fingerprint:
            raise DataError(
                f"{self.path}: pictures of another state of {store.meta.name!r} ({table.get('fingerprint')}, the store is "
                f"{store.fingerprint}); make them again"
            )
        self.settings: dict[str, Any] = table["settings"]
        N, M, V = len(store), store.bodies, store.topology.V
        S, side = int(self.settings.get("kept", 0)), int(self.settings.get("size", 0))
        self.modalities: tuple[str, ...] = tuple(m for m in CHANNELS if m in self.settings.get("modalities", ()))
        shapes = {m: (N, S, CHANNELS[m], side, side) for m in self.modalities} | {"places": (N, S, V, M, 2)}
        self.arrays = {name: _mapped(self.path / f"{name}.npy", _TYPES[name], shape) for name, shape in shapes.items()}
        self.index, self.distance, self.lamp = _columns(self.path / "index.npz", N, S)

    @property
    def kept(self) -> int:
        """S."""
        return self.index.shape[1]

    @property
    def size(self) -> int:
        """H and W."""
        return int(self.settings["size"])

    def __len__(self) -> int:
        return len(self.index)

    def __repr__(self) -> str:
        kind, mb = self.settings.get("kind"), sum(a.nbytes for a in self.arrays.values()) / 1e6
        return (
            f"FrameStore({kind}: {len(self)} clips x {self.kept} pictures of {self.size} x {self.size}, "
            f"{', '.join(self.modalities)}, {mb:.0f} MB, {self.path})"
        )

    def add_to(self, batch: Batch, modalities: Sequence[str], frames: int, generator: torch.Generator | None = None) -> Batch:
        """The batch with T' pictures a clip in ``modalities``.

        Args:
            batch: clips of the store these pictures belong to, known by ``batch.rows``.
            modalities: some of those there are.
            frames: T'.
            generator: draws a picture from each stretch; the middle one where left out.
        """
        rows = batch.rows.numpy()
        if frames > self.kept:
            raise DataError(f"{self.path} keeps {self.kept} pictures a clip, {frames} are wanted; make them with more")
        full = torch.full((len(rows),), self.kept)
        chosen = segments(full, frames, generator)
        picked = chosen.numpy()  # (N, T')
        read = {name: self.arrays[name][rows[:, None], picked] for name in (*modalities, "places")}
        video = {name: scaled(name, read[name], self.distance[rows]) for name in modalities}
        index = torch.from_numpy(self.index[rows[:, None], picked])
        places = torch.from_numpy(read["places"]) if self.settings.get("placed", True) else None
        return replace(batch, frames=video, frame_joints=places, frame_index=index)


def scaled(name: str, values: np.ndarray, distance: np.ndarray) -> Tensor:
    """Stored pictures (N, T', C, H, W) as float32 (N, C, T', H, W) in 0..1.

    Colour and infrared are divided by 255. Depth is measured from the body: 0 is ``DEPTH_RANGE`` metres before the middle of its
    joints, 0.5 there, 1 ``DEPTH_RANGE`` behind it and farther, or unknown.

    Args:
        name: of the modality.
        values: uint8, or uint16 millimetres.
        distance: (N,) metres from the camera to the body.
    """
    x = torch.from_numpy(values.astype(np.float32)).transpose(1, 2)
    if name != "depth":
        return (x / 255).contiguous()
    middle = torch.from_numpy(np.asarray(distance, np.float32)).view(-1, 1, 1, 1, 1)
    depth = ((x / 1000 - middle) / (2 * DEPTH_RANGE) + 0.5).clamp(0, 1)
    return torch.where(x > 0, depth, torch.ones(())).contiguous()


def frames_of(store: Store, settings: FrameSettings, *, progress: bool = True) -> FrameStore:
    """The pictures these settings ask for: those on disk, or rendered now.

    Raises:
        DataError: no video is attached where it is asked for, it lacks a modality or is too small, or damaged files.
    """
    video = video_folder(store)
    if settings.source == "video" or (settings.source == "auto" and video.is_dir()):
        return _attached(store, settings, video)
    path = rendered_folder(store, settings)
    return FrameStore(path, store) if path.is_dir() else render_store(store, settings, progress=progress)


def _attached(store: Store, settings: FrameSettings, path: Path) -> FrameStore:
    how = f"skelbench data frames {store.meta.name} --from FOLDER --size {settings.size} --frames {settings.kept}"
    if not path.is_dir():
        raise DataError(f"{store.meta.name!r} has no video attached; attach it with: {how}")
    found = FrameStore(path, store)
    missing = [m for m in settings.modalities if m not in found.modalities]
    if missing or found.size != settings.size or found.kept < settings.kept:
        raise DataError(
            f"the video attached to {store.meta.name!r} is {', '.join(found.modalities)}, {found.kept} pictures of {found.size} x "
            f"{found.size}; wanted {', '.join(settings.modalities)}, {settings.kept} of {settings.size}. Attach it again: {how}"
        )
    return found


def rendered_folder(store: Store, settings: FrameSettings) -> Path:
    """Where rendered pictures with these settings are kept. All three modalities are rendered at once, whichever are asked for."""
    what = [REVISION, store.fingerprint, settings.size, settings.kept, settings.view, settings.seed]
    return _home(store, hashlib.sha256(json.dumps(what).encode()).hexdigest()[:12])


def video_folder(store: Store) -> Path:
    """Where the video attached to a store is kept."""
    return _home(store, "video")


def _home(store: Store, key: str) -> Path:
    return store.path.parent / ".frames" / f"{store.path.name}-{key}"


def render_store(store: Store, settings: FrameSettings, *, progress: bool = True, overwrite: bool = False) -> FrameStore:
    """Render every clip of a store; memory does not grow with its size, and the folder appears whole or not at all.

    Clips may say what else is to be seen in columns called as the fields of :class:`skelbench.data.appearance.Things`.

    Args:
        store: its clips.
        settings: how.
        progress: show a bar.
        overwrite: make them again.

    Raises:
        DataError: the pictures are there already, skeletons that cannot be shown, or the disk is full.
    """
    path = rendered_folder(store, settings)
    kept = {"kind": "rendered", "modalities": list(CHANNELS), "kept": settings.kept, **asdict(settings)}
    kept["modalities"] = list(CHANNELS)
    chunk = max(1, min(CHUNK, CHUNK_PIXELS // (settings.kept * settings.size**2)))
    with tqdm(total=len(store), desc=f"rendering {store.meta.name}", unit="clip", disable=not progress) as bar:

        def pictures() -> Iterator[tuple[np.ndarray, dict[str, np.ndarray]]]:
            for at in range(0, len(store), chunk):
                rows = np.arange(at, min(at + chunk, len(store)))
                seen = rendered_rows(store, rows, settings)
                parts = {"places": seen.joints, "frames": seen.index, "distance": seen.distance, "lamp": seen.lamp}
                parts |= {name: getattr(seen, name) for name in CHANNELS}
                yield rows, {name: part.numpy() for name, part in parts.items()}
                bar.update(len(rows))

        return write_frames(path, store, pictures(), kept, modalities=tuple(CHANNELS), overwrite=overwrite)


def rendered_rows(store: Store, rows: np.ndarray, settings: FrameSettings, *, noise: bool = True) -> Pictures:
    """Pictures of some clips of a store, as :func:`render_store` writes them."""
    batch = store.batch(rows)
    columns = {k: store.index[k][rows] for k in Things.__dataclass_fields__ if k in store.index}
    things = Things.of(columns, len(rows))
    bad = np.flatnonzero(things.held_joint.numpy() >= store.topology.V)
    if len(bad):
        joint = int(things.held_joint[bad[0]])
        raise DataError(f"clip {batch.ids[bad[0]]!r}: held_joint is {joint}, the skeleton has {store.topology.V} joints")
    rooms = [seed_of("clip", settings.seed, name) for name in batch.ids]
    people = store.index["subject"][rows].tolist()
    wearers = [seed_of("subject", settings.seed, s) if s >= 0 else room for s, room in zip(people, rooms, strict=True)]
    return render_seeded(
        batch,
        store.topology,
        rooms=rooms,
        wearers=wearers,
        index=segments(batch.lengths, settings.kept),
        size=settings.size,
        things=things,
        up=store.up,
        metres=store.meta.units == "metre",
        view=settings.view,
        noise=noise,
    )


def write_frames(
    path: Path,
    store: Store,
    pictures: Iterator[tuple[np.ndarray, Mapping[str, np.ndarray]]],
    settings: Mapping[str, Any],
    *,
    modalities: Sequence[str],
    overwrite: bool = False,
) -> FrameStore:
    """Write pictures, chunk after chunk, as a folder that appears whole or not at all.

    Args:
        path: the folder.
        store: whose clips they show.
        pictures: rows and what is kept of them, named as in the module's list; every row of the store once. ``lamp`` may lack.
        settings: for ``meta.json``; ``kept`` and ``size`` give the shapes.
        modalities: which are written.
        overwrite: replace what is there.
    """
    N, S, side = len(store), int(settings["kept"]), int(settings["size"])
    shapes = {m: (N, S, CHANNELS[m], side, side) for m in modalities} | {"places": (N, S, store.topology.V, store.bodies, 2)}
    index, distance, lamp = np.full((N, S), -1), np.zeros(N, np.float32), np.full((N, 2), -1, np.float32)
    with new_folder(path, overwrite=overwrite) as folder:
        arrays = {
            name: np.lib.format.open_memmap(folder / f"{name}.npy", mode="w+", dtype=_TYPES[name], shape=shape)
            for name, shape in shapes.items()
        }
        for rows, seen in pictures:
            for name, array in arrays.items():
                array[rows] = seen[name].astype(_TYPES[name])
            index[rows], distance[rows] = seen["frames"], seen["distance"]
            lamp[rows] = seen.get("lamp", lamp[rows])
        for array in arrays.values():
            array.flush()
        del arrays
        np.savez(folder / "index.npz", frames=index, distance=distance, lamp=lamp)
        meta = {"format": FORMAT, "version": VERSION, "fingerprint": store.fingerprint, "settings": dict(settings)}
        (folder / "meta.json").write_text(json.dumps(meta, indent=1), encoding="utf-8")
    return FrameStore(path, store)


def _mapped(path: Path, dtype: np.dtype[Any], shape: tuple[int, ...]) -> np.ndarray:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (ValueError, EOFError) as error:
        raise DataError(f"{path}: damaged ({error}); remove the folder, it is made again") from error
    if array.dtype != dtype or array.shape != shape:
        raise DataError(f"{path}: holds {array.dtype} {array.shape}, wanted {dtype} {shape}; remove the folder, it is made again")
    return np.asarray(array)


def _columns(path: Path, N: int, S: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    wanted = {"frames": ("i", (N, S)), "distance": ("f", (N,)), "lamp": ("f", (N, 2))}
    try:
        with np.load(path, allow_pickle=False) as arrays:
            found = {k: arrays[k] for k in wanted}
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
    except Exception as error:  # zipfile, zlib and numpy have a dozen of their own for a damaged archive
        raise DataError(f"{path}: damaged ({error}); remove the folder, it is made again") from error
    for name, (kind, shape) in wanted.items():
        if found[name].dtype.kind != kind or found[name].shape != shape:
            raise DataError(f"{path}: {name} is {found[name].dtype} {found[name].shape}; remove the folder, it is made again")
    return found["frames"].astype(np.int64), found["distance"].astype(np.float32), found["lamp"].astype(np.float32)
