"""A depth camera that watches the scene: where it stands, and what it gets wrong.

Like a Kinect v2 it has white and slow noise that grows with distance and towards the hands and feet, guesses joints it cannot see
(behind the trunk, or behind the other person), freezes them, loses whole bodies for some frames, takes furniture for a person, and
may hand the two people of a clip to the slots in either order. Coordinates: x to the sensor's left, y up, z away from it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from skelbench.data.motion.body import KINECT, J, rotation, turned

ANGLES = {1: 0.0, 2: np.pi / 4, 3: -np.pi / 4}
"""Camera number -> where it stands, radians about the vertical through the scene."""


@dataclass(frozen=True, kw_only=True)
class Setup:
    """How the three cameras of a recording session stand: metres over the floor, metres from the scene, radians looking down."""

    height: float
    distance: float
    tilt: float


SETUPS = {
    1: Setup(height=1.25, distance=3.0, tilt=0.04),
    2: Setup(height=1.55, distance=2.8, tilt=0.12),
    3: Setup(height=0.85, distance=3.3, tilt=-0.04),
    4: Setup(height=1.80, distance=3.6, tilt=0.18),
    5: Setup(height=1.10, distance=2.5, tilt=0.02),
    6: Setup(height=1.40, distance=4.0, tilt=0.06),
}

_NOISE = {  # standard deviations at 3 m, metres: white, slow
    "elbow": (0.005, 0.013),
    "knee": (0.005, 0.011),
    "wrist": (0.007, 0.014),
    "hand": (0.009, 0.016),
    "hand_tip": (0.013, 0.019),
    "thumb": (0.015, 0.021),
    "ankle": (0.008, 0.017),
    "foot": (0.011, 0.019),
}
_PARTS = [name.removeprefix("left_").removeprefix("right_") for name in KINECT.joints]
WHITE, SLOW = np.array([_NOISE.get(part, (0.003, 0.009)) for part in _PARTS]).T  # (V,)
LIMBS = np.flatnonzero([part in _NOISE for part in _PARTS])
BLOCKS = np.array([J["spine_base"], J["spine_mid"], J["spine_shoulder"], J["head"]])  # what hides other joints, as balls
RADII = np.array([0.14, 0.14, 0.15, 0.10])


def seen_from(scene: np.ndarray, camera: int, setup: int) -> np.ndarray:
    """Scene coordinates (..., 3) (y from the floor) to the camera's."""
    stand = SETUPS[setup]
    R = rotation(np.array(np.pi - ANGLES[camera]))
    x = turned(R, scene) + np.array([0.0, -stand.height, stand.distance])
    return turned(rotation(np.array(0.0), np.array(-stand.tilt)), x)


def _slow(T: int, shape: tuple[int, ...], rng: np.random.Generator, *, every: int = 7) -> np.ndarray:
    """Smooth unit noise (T, *shape): values every few frames, joined by a cosine."""
    values = rng.standard_normal((T // every + 2, *shape), dtype=np.float32)
    at = (np.arange(T) + rng.uniform(0, 1)) / every
    k = at.astype(int)
    w = ((1 - np.cos(np.pi * (at - k))) / 2).astype(np.float32).reshape(-1, *[1] * len(shape))
    return values[k] * (1 - w) + values[k + 1] * w


def hidden(x: np.ndarray) -> np.ndarray:
    """(T, M, V): the line of sight to a limb joint passes through a trunk or head first. x: (T, M, V, 3) camera coordinates."""
    T, M, V, _ = x.shape
    balls = x[:, :, BLOCKS].reshape(T, 1, 1, -1, 3)
    radius = np.tile(RADII, M)
    p = x[:, :, LIMBS, None]
    far = np.sqrt((p * p).sum(-1))
    along = (p * balls).sum(-1) / far  # metres to where the line of sight is closest to the ball
    off = (balls * balls).sum(-1) - along * along
    out = np.zeros((T, M, V), bool)
    out[:, :, LIMBS] = ((off < radius**2) & (along < far - 0.9 * radius)).any(-1)
    return out


def _bursts(T: int, width: int, rng: np.random.Generator, *, rate: float, mean: float) -> np.ndarray:
    """(T, width) bool: runs of about ``mean`` frames, ``rate`` of all frames."""
    started = rng.random((T, width)) < rate / mean
    length = 1 + rng.exponential(mean - 1, (T, width))
    until = np.maximum.accumulate(np.where(started, np.arange(T)[:, None] + length, -1.0), axis=0)
    return np.arange(T)[:, None] < until


def record(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What the sensor reports of one clip.

    Args:
        x: (T, people, V, 3) true joints in camera coordinates.
        rng: the clip's own generator.

    Returns:
        (T, 2, V, 3) float32; a body that is not tracked in a frame is zero.
    """
    T, people, V, _ = x.shape
    depth = np.clip(x[:, :, :1, 2:], 1.0, 8.0)
    strength = ((depth / 3.0) ** 1.5 * rng.uniform(0.6, 1.3)).astype(np.float32)
    unseen = hidden(x)
    # A joint that cannot be seen is inferred: it wanders several centimetres, and what hangs on it goes along.
    guess = (0.3 + 0.7 * rng.random()) * unseen
    slow = _slow(T, (people, V, 3), rng) * (SLOW[:, None] * strength + 0.05 * guess[..., None])
    out = x + slow + rng.standard_normal((T, people, V, 3), dtype=np.float32) * (WHITE[:, None] * strength * (1 + guess[..., None]))
    frozen = _bursts(T, people * V, rng, rate=0.004, mean=4.0).reshape(T, people, V)
    frozen |= unseen & _bursts(T, people * V, rng, rate=0.25, mean=5.0).reshape(T, people, V)
    frozen[0] = False
    source = np.maximum.accumulate(np.where(frozen, 0, np.arange(T)[:, None, None]), axis=0)
    out = np.take_along_axis(out, source[..., None], axis=0)
    if rng.random() < 0.04:  # a joint that is not even guessed comes as a row of zeros
        gone = _bursts(T, 1, rng, rate=0.06, mean=3.0)[:, 0]
        out[gone, int(rng.integers(people)), int(rng.choice(LIMBS))] = 0
    return _bodies(out.astype(np.float32), rng)


def _bodies(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Tracking of whole bodies: slots, lost frames, ghosts. (T, people, V, 3) -> (T, 2, V, 3)."""
    T, people, V, _ = x.shape
    out = np.zeros((T, 2, V, 3), np.float32)
    out[:, :people] = x
    if people == 2 and rng.random() < 0.5:
        out = out[:, ::-1].copy()
    if people == 2 and rng.random() < 0.04:  # lost and found in the other slot
        at = int(rng.integers(T // 4, 3 * T // 4))
        out[at:] = out[at:, ::-1].copy()
    for m in range(people):
        if rng.random() < 0.12:
            lost = _bursts(T, 1, rng, rate=0.05, mean=3.0)[:, 0]
            if rng.random() < 0.3:
                lost[: int(rng.integers(1, 5))] = True
            lost[T // 2] &= m != 0
            out[lost, m] = 0
    if people == 2 and rng.random() < 0.10:  # the second body is picked up late or lost for good
        at = int(rng.integers(T // 4, 3 * T // 4))
        out[slice(0, at) if rng.random() < 0.5 else slice(at, T), 1] = 0
    if people == 1 and rng.random() < 0.07:
        start = int(rng.integers(0, max(1, T - 12)))
        stop = min(T, start + int(rng.integers(10, 10 + T)))
        out[start:stop, 1] = _ghost(out[start:stop, 0], rng)
    return out


def _ghost(body: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A piece of furniture or a reflection taken for a person (T, V, 3): a crumpled body that trembles on one spot."""
    seen = body[(body != 0).any((1, 2))]
    one = seen[int(rng.integers(len(seen)))] if len(seen) else np.zeros(body.shape[1:], np.float32)
    middle = one[J["spine_base"]]
    crumpled = middle + (one - middle) * rng.uniform(0.3, 0.9, 3) + rng.normal(0, 0.05, one.shape)
    away = np.array([rng.choice((-1, 1)) * rng.uniform(0.5, 1.4), rng.uniform(-0.4, 0.1), rng.uniform(-0.3, 0.9)])
    tremble = _slow(len(body), body.shape[1:], rng, every=3) * 0.03
    return (crumpled + away + tremble).astype(np.float32)
