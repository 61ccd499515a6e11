"""How a movement is written down: key poses in time, rhythms, slow unrest; arrays over the frames of a clip.

Between two keys every track follows the minimum-jerk profile 10 u^3 - 15 u^4 + 6 u^5 (Flash and Hogan, 1985).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

FPS = 30.0
LEFT, RIGHT = 0, 1
GRAVITY = 9.81
EVER = 1e3  # seconds; before and after every clip

Vector = tuple[float, float, float]
Key = tuple[float, float, "Spot"]  # arrive, leave, where
Level = tuple[float, float, float]  # arrive, leave, value


@dataclass(frozen=True)
class Spot:
    """Where a palm goes: metres out (away from the midline), up and forward of an anchor of ``body.ANCHORS``.

    ``swivel`` (radians) lifts the elbow outwards, ``bend`` (out, up, forward) bends the wrist.
    """

    anchor: str
    out: float
    up: float
    forward: float
    swivel: float = 0.0
    bend: Vector = (0.0, 0.0, 0.0)


_ABOUT = {  # where the anchors are, roughly, metres; only to tell how far a hand has to go
    "shoulder": (0.18, 1.38, 0.0),
    "chest": (0.0, 1.40, 0.0),
    "head": (0.0, 1.60, 0.03),
    "hips": (0.0, 0.93, 0.0),
    "home": (0.0, 0.0, 0.0),
}


def far_apart(a: Spot, b: Spot) -> float:
    """About how far two spots are from each other, metres."""
    one, two = np.add(_ABOUT[a.anchor], (a.out, a.up, a.forward)), np.add(_ABOUT[b.anchor], (b.out, b.up, b.forward))
    return float(np.linalg.norm(one - two))


def minimum_jerk(u: np.ndarray) -> np.ndarray:
    """Rest-to-rest profile from 0 to 1."""
    return u * u * u * (10.0 - 15.0 * u + 6.0 * u * u)


def through(t: np.ndarray, times: Sequence[tuple[float, float]], values: np.ndarray, skew: float = 1.0) -> np.ndarray:
    """Key interpolation: hold ``values[k]`` between arrive and leave of ``times[k]``, minimum jerk from one to the next.

    Args:
        t: (T,) seconds.
        times: K pairs (arrive, leave), increasing.
        values: (K, W).
        skew: > 1 starts late and ends fast, < 1 the other way.

    Returns:
        (T, W).
    """
    knots = np.maximum.accumulate(np.asarray(times, float).reshape(-1) + 1e-6 * np.arange(2 * len(times)))
    at = np.interp(t, knots, np.repeat(np.arange(len(times), dtype=float), 2))
    k = np.minimum(at.astype(int), len(times) - 1)
    u = minimum_jerk((at - k) ** skew)[:, None]
    return values[k] * (1 - u) + values[np.minimum(k + 1, len(times) - 1)] * u


def pulse(t: np.ndarray, start: float, top: float, leave: float, end: float) -> np.ndarray:
    """(T,) 0 until ``start``, 1 from ``top`` to ``leave``, 0 again from ``end``."""
    return through(t, [(-EVER, start), (top, leave), (end, EVER)], np.array([[0.0], [1.0], [0.0]]))[:, 0]


def in_time(keys: Sequence[Key] | Sequence[Level], need: Sequence[float]) -> list[tuple[float, float]]:
    """Times of the keys, later where there is less than ``need`` seconds to get from one to the next."""
    times = [(keys[0][0], max(keys[0][:2]))]
    for (arrive, leave, _), gap in zip(keys[1:], need, strict=True):
        arrive = max(arrive, times[-1][1] + gap)
        times.append((arrive, max(arrive, leave)))
    return times


def drift(t: np.ndarray, width: int, rng: np.random.Generator, *, low: float = 0.12, high: float = 0.7) -> np.ndarray:
    """Slow smooth unrest of about unit size, (T, width): three sines of random frequency (Hz) and phase a track."""
    f = rng.uniform(low, high, (3, width))
    phase = rng.uniform(0, 2 * np.pi, (3, width))
    size = rng.uniform(0.3, 1.0, (3, width)) / np.sqrt(3)
    return (size * np.sin(2 * np.pi * t[:, None, None] * f + phase)).sum(1)
