"""The Playground with pictures: 18 classes whose cues live in one modality, in the product of two, or in the XOR of two.

The people and the split across subjects are those of :mod:`skelbench.data.playground`. Everybody faces a low camera, so that what goes
towards it or away from it moves little in the picture. The store holds joints and, in columns, what else there is to see (a ball, a
lamp); pictures are rendered from both on first use (:mod:`skelbench.data.frames`). What each class takes is in
:data:`skelbench.data.motion.cues.CUES` and under ``extra["needs"]`` of the store.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from skelbench.data.folders import data_home
from skelbench.data.motion.actor import Actor
from skelbench.data.motion.body import KINECT, J, Subject, pose, rotation, subject, turned
from skelbench.data.motion.cues import CUE_CLASSES, CUES, FLASH, MOVES, Shot, fidgeting, mirrored_depth
from skelbench.data.motion.manner import settle
from skelbench.data.motion.tracks import FPS
from skelbench.data.playground import SPLITS, SUBJECTS, TRAIN_SUBJECTS
from skelbench.data.store import Store, write_store
from skelbench.errors import ConfigError, DataError
from skelbench.skeleton.clip import Clip

REVISION = 1
CAMERAS = {1: (0.50, 0.0), 2: (0.62, 0.12), 3: (0.74, -0.12)}  # metres over the floor, radians the person is turned aside
DISTANCES = {1: 3.2, 2: 3.4, 3: 3.6, 4: 3.8, 5: 4.0, 6: 4.3}  # metres, a setup each
NOISE = 0.003  # metres, standard deviation of the tracked joints
SEED = np.random.SeedSequence


def make_clip(row: int, *, seed: int = 0, instead: int | None = None) -> Clip:
    """Clip ``row``: joints (T, 1, 25, 3) in camera coordinates, and in ``about`` what else there is to see.

    Args:
        row: number of the clip.
        seed: other people, other performances.
        instead: the same performance as a clip of this class, for comparisons within a pair.

    Raises:
        ConfigError: row or seed is negative.
    """
    if row < 0 or seed < 0:
        raise ConfigError(f"rows and seeds are whole numbers from 0; got row {row}, seed {seed}")
    turn, place = divmod(row, len(CUE_CLASSES))
    own = int(_order(seed, turn)[place])
    label = own if instead is None else instead
    k = turn + own
    who = [s for s in range(1, SUBJECTS + 1) if s not in TRAIN_SUBJECTS] if k % 3 == 2 else list(TRAIN_SUBJECTS)
    rng = np.random.default_rng(SEED([seed, 14, row]))
    number, camera = int(rng.choice(who)), 1 + (k + k // 3) % len(CAMERAS)
    setup = 1 + 2 * int(rng.integers(len(DISTANCES) // 2)) + k % 2
    shot = CUES[CUE_CLASSES[label]].shots[int(rng.random() < 0.5)]
    x, left = _performed(shot, _person(number, seed), rng, camera=camera, setup=setup)
    about = {"subject": number, "camera": camera, "setup": setup, "group": row, "handed": int(left)}
    about |= _things(shot, len(x), rng, left=left)
    about["twin"] = CUE_CLASSES.index(CUES[CUE_CLASSES[label]].twin)
    joints = (x + NOISE * rng.standard_normal(x.shape))[:, None].astype(np.float32)
    name = f"S{setup:03d}C{camera:03d}P{number:03d}R{row:06d}A{label + 1:03d}"
    return Clip(joints=joints, topology=KINECT, fps=FPS, label=label, id=name, about=about)


@functools.lru_cache(maxsize=64)
def _order(seed: int, turn: int) -> np.ndarray:
    return np.random.default_rng(SEED([seed, 13, turn])).permutation(len(CUE_CLASSES))


@functools.lru_cache(maxsize=256)
def _person(number: int, seed: int) -> Subject:
    return subject(number, seed=seed)


def _performed(shot: Shot, person: Subject, rng: np.random.Generator, *, camera: int, setup: int) -> tuple[np.ndarray, bool]:
    """Joints (T, 25, 3) before the camera, and whether the left side leads. Draws are the same whatever the cue."""
    length = float(rng.uniform(1.6, 2.6)) / person.tempo
    spare = float(rng.uniform(0.2, 1.0))
    frames = int(np.clip(round((length + spare) * FPS), 48, 120))
    start = float(rng.uniform(0.05, 0.95)) * spare
    actor = Actor(person, frames, rng, start=start, end=min(start + length, frames / FPS))
    settle(actor)
    MOVES[shot.move](actor)
    joints = pose(actor.finished(), person)
    left = bool(rng.random() < 0.5)
    if left:
        joints = joints[:, list(KINECT.flip_index)] * np.array([-1.0, 1.0, 1.0])
    height, aside = CAMERAS[camera]
    yaw = aside + rng.normal(0, 0.06)
    scene = turned(rotation(np.array(yaw)), joints) + np.array([rng.normal(0, 0.15), 0.0, rng.normal(0, 0.15)])
    x = scene * np.array([-1.0, 1.0, -1.0]) + np.array([0.0, -height, DISTANCES[setup]])
    fingers = fidgeting(x, rng, fps=FPS)
    x = fingers if shot.fidget else x
    return (mirrored_depth(x, left=left) if shot.back else x), left


def _things(shot: Shot, frames: int, rng: np.random.Generator, *, left: bool) -> dict[str, int]:
    """Columns that say what there is to see besides the body: fields of :class:`skelbench.data.appearance.Things`."""
    lead, other = ("left", "right") if left else ("right", "left")
    joints = {"": -1, "hand": J[f"{other if shot.move == 'foot' else lead}_hand"], "toes": J[f"{lead}_foot"]}
    colour, infrared = _shade(shot.colour, rng), int(np.clip(shot.infrared + rng.integers(-10, 11), 0, 255))
    long = max(1, round(frames * rng.uniform(*FLASH)))
    at = int(rng.integers(0, frames - long + 1))
    ball = bool(shot.ball)
    return {
        "held_joint": joints[shot.ball],
        "held_colour": colour if ball else -1,
        "held_ir": infrared if ball else -1,
        "lamp_on": (at if shot.flash else 0) if shot.lamp else -1,
        "lamp_off": (at + long if shot.flash else 0) if shot.lamp else -1,
        "lamp_blink": 0 if shot.lamp else -1,
    }


def _shade(colour: int, rng: np.random.Generator) -> int:
    """The colour, a little lighter or darker."""
    parts = np.array([(colour >> shift) & 255 for shift in (16, 8, 0)]) * rng.uniform(0.85, 1.15)
    r, g, b = (int(v) for v in np.clip(parts, 0, 255))
    return (r << 16) | (g << 8) | b


def clips(size: int, *, seed: int = 0) -> Iterator[Clip]:
    """The first ``size`` clips, one by one."""
    for row in range(size):
        yield make_clip(row, seed=seed)


def playground_frames(
    size: int = 1200, *, seed: int = 0, path: str | Path | None = None, overwrite: bool = False, progress: bool = True
) -> Store:
    """The Playground with pictures as a store of joints; made on first use, opened from the cache afterwards.

    Args:
        size: number of clips.
        seed: other people, other performances.
        path: folder of the store; ``data_home()/playground_frames-<size>-<seed>`` where left out.
        overwrite: make it again.
        progress: show a bar while it is made.

    Raises:
        ConfigError: size below 1 or negative seed.
        DataError: the folder exists and is something else.
    """
    if size < 1 or seed < 0:
        raise ConfigError(f"the Playground needs size >= 1 and seed >= 0; got size {size}, seed {seed}")
    folder = Path(path) if path is not None else data_home() / f"playground_frames-{size}-{seed}"
    made: dict[str, Any] = {"generator": "skelbench.data.playground_frames", "revision": REVISION, "size": size, "seed": seed}
    if folder.exists() and not overwrite:
        store = Store(folder)
        found = {k: store.meta.provenance.get(k) for k in made}
        if found == made:
            return store
        if found["generator"] != made["generator"] or found["revision"] == REVISION:
            raise DataError(f"{folder} holds {store.meta.name!r} ({found}), wanted {made}; pass another path or overwrite=True")
    return write_store(
        folder,
        clips(size, seed=seed),
        classes=CUE_CLASSES,
        name=f"playground_frames-{size}-{seed}",
        provenance=made,
        licence="made by skelbench, free to use",
        splits=SPLITS,
        extra={"twins": {n: c.twin for n, c in CUES.items()}, "needs": {n: list(c.needs) for n, c in CUES.items()}},
        overwrite=True,
        progress=progress,
        total=size,
    )
