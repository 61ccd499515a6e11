"""An ``Actor`` is one person's sheet of control tracks in one clip; movements write into it.

A short Gaussian filter with the person's own width lets neighbouring keys melt into each other. Feet are not filtered: they are
planted, and leave the floor only in a step or a jump.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from skelbench.data.motion.body import ANCHORED, ANCHORS, BODY, FEET, HAND, HANDS, WIDTH, Subject
from skelbench.data.motion.tracks import (
    EVER,
    FPS,
    LEFT,
    RIGHT,
    Key,
    Level,
    Spot,
    Vector,
    drift,
    far_apart,
    in_time,
    minimum_jerk,
    pulse,
    through,
)

HURRY = 4.5  # metres a second on average: a hand's way is given at least this much time


class Actor:
    """One person in one clip.

    Movements are written for a right-handed person in the frame of the person's home place (x left, z forwards); the finished clip
    is mirrored as a whole where the left hand leads.

    Attributes:
        person: the subject.
        t: (T,) seconds.
        start: when the movement begins, in seconds; may lie before the clip.
        end: when it is over; may lie after the clip.
        rng: the clip's own generator.
        seated: the person sits throughout.
        tracks: (T, WIDTH), see ``body``.
        rest: spot of the left and the right hand at rest.
        extra: excursions of the left and the right hand outside the movement.
        place: (x, z, yaw) of home on the stage; two people share a stage.
        stands: (x, z, heading) from home, after the walks so far.
        walked: when the last step of the walks so far has ended, seconds.
        skew: how this performance spreads its speed between two keys.
    """

    def __init__(
        self, person: Subject, frames: int, rng: np.random.Generator, *, start: float, end: float, seated: bool = False
    ) -> None:
        self.person, self.rng, self.start, self.end, self.seated = person, rng, start, end, seated
        self.t = np.arange(frames) / FPS
        self.tracks = np.zeros((frames, WIDTH))
        self.place, self.stands, self.walked = (0.0, 0.0, 0.0), np.zeros(3), -1e3
        self.skew = float(rng.uniform(0.85, 1.2))
        self.rest = (self.hang(out=0.1, forward=0.0, reach=0.95),) * 2
        self.extra: tuple[list[Key], list[Key]] = ([], [])

    @property
    def seconds(self) -> float:
        return len(self.t) / FPS

    def at(self, share: float) -> float:
        """Time at this share of the movement."""
        return self.start + share * (self.end - self.start)

    def channel(self, name: str) -> np.ndarray:
        """View of one body track (T,)."""
        return self.tracks[:, BODY.index(name)]

    def foot(self, side: int) -> np.ndarray:
        """View of a foot's tracks (T, 5): toe x, y, z, yaw, pitch."""
        return self.tracks[:, FEET[side]]

    def add(self, name: str, levels: Sequence[Level], *, rest: bool = True) -> None:
        """Add a keyed offset to a body track; with ``rest`` it rises from and falls back to 0 over the movement."""
        keys = [(-EVER, self.start, 0.0), *levels, (self.end, EVER, 0.0)] if rest else list(levels)
        times = in_time(keys, [0.1 if k[2] != last[2] else 0.0 for last, k in pairwise(keys)])
        self.channel(name)[:] += through(self.t, times, np.array([[k[2]] for k in keys]), self.skew)[:, 0]

    def window(self, start: float, end: float, ramp: float = 0.25) -> np.ndarray:
        """(T,) 1 between start and end with soft edges of ``ramp`` seconds inside them."""
        ramp = min(ramp, (end - start) / 2)
        return pulse(self.t, start, start + ramp, end - ramp, end)

    def beat(self, hertz: float, start: float, end: float, *, phase: float | None = None, ramp: float = 0.25) -> np.ndarray:
        """Sine of unit size between two times; the tempo wanders a little (T,)."""
        phase = self.rng.uniform(0, 2 * np.pi) if phase is None else phase
        wander = 0.2 * drift(self.t, 1, self.rng, low=0.1, high=0.4)[:, 0]
        return self.window(start, end, ramp) * np.sin(2 * np.pi * hertz * (self.t - start) + phase + wander)

    # ---- hands

    def reach(self, side: int, keys: Sequence[Key], *, rest: bool = True, loose: float = 0.015) -> None:
        """Write a hand's way. With ``rest`` it leaves the resting spot at ``start`` and is back at ``end``.

        Each distinct spot is missed by a few centimetres, ``loose`` is the standard deviation in metres.
        """
        if rest:
            home = self.rest[side]
            before = [k for k in self.extra[side] if k[1] < self.start]
            after = [k for k in self.extra[side] if k[0] > self.end]
            keys = [(-EVER, -EVER, home), *_and_back(before, home), (self.start, self.start, home), *keys]
            keys += [(self.end, self.end, home), *_and_back(after, home), (EVER, EVER, home)]
        missed: dict[Spot, np.ndarray] = {}
        rows = []
        for _, _, spot in keys:
            if spot not in missed:
                missed[spot] = _row(side, spot, self.rng.normal(0, loose, 3))
            rows.append(missed[spot])
        need = [max(0.12, far_apart(last[2], k[2]) / HURRY) if last[2] != k[2] else 0.0 for last, k in pairwise(keys)]
        self.tracks[:, HANDS[side]] = through(self.t, in_time(keys, need), np.stack(rows), self.skew)

    def swing(self, side: int, anchor: str, wave: np.ndarray, direction: Vector) -> None:
        """Add a rhythm: ``wave`` (T,) in metres along (out, up, forward) of an anchor."""
        k = ANCHORS.index(anchor) * 4
        sign = (1.0, -1.0)[side]
        self.tracks[:, HANDS[side]][:, k + 1 : k + 4] += wave[:, None] * np.array([sign * direction[0], direction[1], direction[2]])

    def hang(self, *, out: float, forward: float, reach: float) -> Spot:
        """A hanging arm: shares of the arm's length; ``reach`` is how straight it is."""
        down = np.sqrt(max(reach**2 - out**2 - forward**2, 0.01))
        return self.shoulder(out, -down, forward)

    def shoulder(self, out: float, up: float, forward: float, *, swivel: float = 0.0, bend: Vector = (0.0, 0.0, 0.0)) -> Spot:
        """A spot given in arm lengths from the shoulder."""
        arm = self.person.arm
        return Spot("shoulder", out * arm, up * arm, forward * arm, swivel, bend)

    def spot(
        self, anchor: str, out: float, up: float, forward: float, *, swivel: float = 0.0, bend: Vector = (0.0, 0.0, 0.0)
    ) -> Spot:
        """A spot given in metres on a person of 1.70 m."""
        s = self.person.scale
        return Spot(anchor, out * s, up * s, forward * s, swivel, bend)

    # ---- feet

    def plant(self, side: int, x: float, z: float, yaw: float) -> None:
        """Put a foot down for the whole clip."""
        self.foot(side)[:] = (x, self.person.lengths["toe"], z, yaw, 0.0)

    def step(
        self, side: int, start: float, end: float, x: float, z: float, yaw: float, *, lift: float = 0.08, heel: float = 0.45
    ) -> None:
        """Swing a foot to a new place (``x``, ``z`` of the toe). Before ``start`` the heel has risen over the planted toe."""
        foot, t, length = self.foot(side), self.t, end - start
        u = np.clip((t - start) / length, 0.0, 1.0)
        before = foot[min(int(np.searchsorted(t, start)), len(t) - 1), [0, 2, 3]].copy()
        foot[:, [0, 2, 3]] += minimum_jerk(u)[:, None] * (np.array([x, z, yaw]) - before)
        foot[:, 1] += lift * self.person.scale * 16 * (u * (1 - u)) ** 2
        top = start + 0.25 * length
        foot[:, 4] += heel * pulse(t, start - 0.45 * length, top, top, end)

    def stance(self, x: float, z: float, heading: float, side: int) -> Vector:
        """Toe place and yaw of a foot for a person who stands at (x, z)."""
        sign = (1.0, -1.0)[side]
        out, ahead = sign * self.person.stance, 0.5 * self.person.lengths["foot"]
        s, c = np.sin(heading), np.cos(heading)
        return x + out * c + ahead * s, z - out * s + ahead * c, heading + sign * self.person.toe_out

    def walk(
        self,
        path: Callable[[np.ndarray], np.ndarray],
        start: float,
        end: float,
        *,
        period: float,
        first: int = RIGHT,
        lift: float = 0.08,
        heel: float = 0.45,
        spread: float = 0.0,
    ) -> None:
        """Carry the root along ``path`` and step under it until both feet stand where the path ends.

        Args:
            path: seconds (K,) -> x, z, heading (K, 3), counted from where the person stands; constant outside start to end.
            start: seconds, may lie before the clip.
            end: seconds.
            period: seconds a step.
            first: foot that moves first.
            lift: how high the toes swing, metres.
            heel: how far the heel rises behind, radians.
            spread: random scatter of the foot places, metres.
        """
        way = path(self.t)
        for k, name in enumerate(("x", "z", "heading")):
            self.channel(name)[:] += way[:, k]
        side = first
        for begin in np.arange(start, end + 0.6 * period, period):
            last = begin + 2.01 * period > end + 0.6 * period
            x, z, heading = path(np.array([min(begin + 1.4 * period, end)]))[0] + self.stands
            tx, tz, yaw = self.stance(x, z, heading, side)
            scatter = np.zeros(2) if last else self.rng.normal(0, 1, 2) * spread
            self.step(side, begin, begin + 0.85 * period, tx + scatter[0], tz + scatter[1], yaw, lift=lift, heel=heel)
            side, self.walked = 1 - side, begin + 0.85 * period
        self.stands = self.stands + path(np.array([end]))[0]
        moving = self.window(start, end + 0.5 * period, 0.5)
        self._gait(np.pi * (self.t - start) / period * (1 if first == RIGHT else -1), moving)

    def _gait(self, angle: np.ndarray, moving: np.ndarray) -> None:
        """Arm swing, pelvis and trunk of walking; ``angle`` (T,) grows by pi a step, 0 when the right foot leaves the floor."""
        swing = moving * np.sin(angle - 0.4) * self.person.swing
        self.channel("pelvis_yaw")[:] += 0.25 * swing
        self.channel("twist")[:] -= 0.5 * swing
        self.channel("x")[:] += 0.02 * moving * np.sin(angle) * np.cos(self.channel("heading"))
        self.channel("z")[:] -= 0.02 * moving * np.sin(angle) * np.sin(self.channel("heading"))
        self.channel("lean")[:] += 0.05 * moving
        for side, sign in ((LEFT, 1.0), (RIGHT, -1.0)):  # the arm goes with the other leg
            if self.rest[side].anchor == "shoulder":
                self.swing(side, "shoulder", 0.8 * sign * swing * self.person.arm, (0.0, 0.25, 1.0))

    def finished(self) -> np.ndarray:
        """The tracks (T, WIDTH), trunk, head and hands eased with the person's filter; root position and feet as written."""
        sigma = self.person.ease * FPS
        reach = int(np.ceil(3 * sigma))
        taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
        soft = slice(BODY.index("pelvis_yaw"), HANDS[1].stop)
        padded = np.pad(self.tracks[:, soft], ((reach, reach), (0, 0)), mode="edge")
        out = self.tracks.copy()
        out[:, soft] = sum(tap * padded[k : k + len(self.t)] for k, tap in enumerate(taps / taps.sum()))
        return out


def _row(side: int, spot: Spot, missed: np.ndarray) -> np.ndarray:
    """A spot as a row of a hand's tracks (HAND,), off by ``missed``."""
    sign = np.array([-1.0 if side == RIGHT else 1.0, 1.0, 1.0])
    row = np.zeros(HAND)
    k = ANCHORS.index(spot.anchor) * 4
    mirrored = np.ones(3) if spot.anchor == "home" else sign  # home spots are places, not sides
    row[k], row[k + 1 : k + 4] = 1.0, mirrored * (spot.out, spot.up, spot.forward) + missed
    row[ANCHORED], row[ANCHORED + 1 :] = spot.swivel, sign * spot.bend
    return row


def _and_back(keys: Sequence[Key], home: Spot) -> list[Key]:
    """Excursions with the way there and back, 0.4 s each."""
    way: list[Key] = []
    for arrive, leave, spot in keys:
        way += [(arrive - 0.4, arrive - 0.4, home), (arrive, leave, spot), (leave + 0.4, leave + 0.4, home)]
    return way
