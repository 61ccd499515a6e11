"""What people do with the whole body. Each function writes one movement into an ``Actor``."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from skelbench.data.motion.actor import Actor
from skelbench.data.motion.manner import chair
from skelbench.data.motion.tracks import EVER, GRAVITY, LEFT, RIGHT, Spot, minimum_jerk, pulse, through


def _seat(a: Actor, *, down: bool) -> None:
    """Between standing and sitting: back and down with a forward lean on the way; ``down`` says which way."""
    rng, p = a.rng, a.person
    height, back = chair(a)
    s, e = a.start, a.end
    u = minimum_jerk(np.clip((a.t - s) / (e - s), 0, 1) ** (a.skew if down else 1 / a.skew))
    u = u if down else 1 - u
    a.channel("y")[:] += u * (height - p.standing)
    a.channel("z")[:] -= u * back
    lean, peak = rng.uniform(0.45, 0.9), (0.55 if down else 0.40)
    seated = rng.normal(-0.02, 0.08)
    ends = (0.0, seated) if down else (seated, 0.0)
    levels = [(-EVER, s, ends[0]), (a.at(peak), a.at(peak + 0.05), lean), (a.at(1.0), EVER, ends[1])]
    for name, share in (("pelvis_pitch", 0.5), ("lean", 0.5), ("nod", -0.35)):
        a.add(name, [(i, j, share * v) for i, j, v in levels], rest=False)
    style = rng.random()
    for side in (LEFT, RIGHT):
        thigh = a.spot("hips", 0.12 + rng.normal(0, 0.02), 0.10, 0.32 + rng.normal(0, 0.05))
        reach = a.shoulder(0.05, -0.55, 0.5) if style < 0.35 else thigh
        away = a.rest[side]
        first, last = (away, thigh) if down else (thigh, away)
        a.reach(side, [(-EVER, a.at(0.1), first), (a.at(0.45), a.at(0.6), reach), (a.at(1.0), EVER, last)], rest=False)


def sit_down(a: Actor) -> None:
    """From standing onto a chair."""
    _seat(a, down=True)


def stand_up(a: Actor) -> None:
    """From a chair to standing."""
    _seat(a, down=False)


def squat(a: Actor) -> None:
    """Deep knee bends, once or twice, arms forwards or wherever they are."""
    rng, p = a.rng, a.person
    times = 1 if a.end - a.start < 2.2 or rng.random() < 0.5 else 2
    depth = rng.uniform(0.28, 0.58) * p.leg * min(1.15, p.amplitude)
    lean = rng.uniform(0.25, 0.7)
    hold = rng.uniform(0.08, 0.3)
    bottoms = [(a.at((k + 0.40) / times), a.at((k + 0.40 + hold) / times)) for k in range(times)]
    downs: list[tuple[float, float, float]] = []
    for k, (i, j) in enumerate(bottoms):
        top = (a.at(k / times), a.at(k / times) + 0.01, 0.0)
        downs += ([top] if k else []) + [(i, j, 1.0)]
    sizes = {"y": -depth, "z": -0.18 * p.leg, "pelvis_pitch": 0.45 * lean, "lean": 0.55 * lean, "nod": -0.4 * lean}
    for name, size in sizes.items():
        a.add(name, [(i, j, size * v) for i, j, v in downs])
    if rng.random() < 0.6:
        before = a.shoulder(rng.normal(0.05, 0.05), rng.uniform(-0.3, 0.05), rng.uniform(0.6, 0.85))
        for side in (LEFT, RIGHT):
            a.reach(side, [(i, j, before) for i, j in bottoms])


def _bend_down(a: Actor, i: float, j: float, height: float, lean: float) -> float:
    """Bend the trunk by ``lean`` in all and sink until straight arms hang down to ``height``; returns z of the shoulders then.

    A seated person only bends.
    """
    p, size = a.person, a.person.lengths
    drop = size["spine_low"] * np.cos(0.75 * lean) + size["spine_high"] * np.cos(lean) - size["shoulder_down"]
    ahead = size["spine_low"] * np.sin(0.75 * lean) + size["spine_high"] * np.sin(lean)
    for name, share in (("pelvis_pitch", 0.5), ("lean", 0.5), ("nod", -0.22)):
        a.add(name, [(i, j, share * lean)])
    back = 0.0
    if not a.seated:
        y = float(np.clip(height + 0.90 * p.arm - drop, 0.36 * p.standing, 0.96 * p.standing))
        back = -min(0.12 + 0.12 * lean, 0.6 * ahead)
        a.add("y", [(i, j, y - p.standing)])
        a.add("z", [(i, j, back)])
    return float(a.channel("z")[0]) + ahead + (back if a.start > 0 else 0.0)


def pick_up(a: Actor) -> None:
    """Down to the floor with one hand, something comes up with it. Stoop or squat; from a chair too."""
    rng = a.rng
    i, j = a.at(0.40), a.at(0.55)
    height = rng.uniform(0.09, 0.20)
    over = _bend_down(a, i, j, height, rng.uniform(1.35, 1.6) if a.seated else rng.uniform(0.8, 1.95))
    a.add("side", [(i, j, rng.uniform(0.0, 0.15))])
    x, z = (-0.28 if a.seated else rng.uniform(-0.30, 0.02)), over + rng.uniform(-0.05, 0.15)
    floor = Spot("home", x, height, z)
    held = a.spot("chest", 0.08, rng.uniform(-0.34, -0.2), rng.uniform(0.22, 0.32))
    keys = [(i, j, floor)]
    if rng.random() < 0.6:
        keys.append((a.at(0.86), a.at(0.93), held))
    a.reach(RIGHT, keys)
    other = rng.random()
    if other < 0.4:  # the other hand on the knee
        a.reach(LEFT, [(i - 0.1, j + 0.1, a.spot("hips", 0.14, -0.02, 0.36))])
    elif other < 0.65:  # both hands down
        a.reach(LEFT, [(i, j, Spot("home", x + 0.24, height + 0.05, z))])


def put_on_shoe(a: Actor) -> None:
    """Both hands to one foot: stooped, on one leg, or seated with the foot drawn up; then pull and tie."""
    rng, p = a.rng, a.person
    i, j = a.at(0.3), a.at(0.78)
    toe = a.foot(RIGHT)[0].copy()
    raised = a.seated or rng.random() < 0.45
    rise = np.zeros(3)
    if raised:
        rise[:] = (0.08, rng.uniform(0.08, 0.25), 0.0) if a.seated else (0.05, rng.uniform(0.28, 0.45), rng.uniform(0.08, 0.2))
        rise *= p.scale
        up = pulse(a.t, a.at(0.08), i, j, a.at(0.95))
        foot = a.foot(RIGHT)
        foot[:, :3] += up[:, None] * rise
        foot[:, 4] -= 0.15 * up
        if not a.seated:
            a.add("x", [(i, j, 0.8 * p.stance)])
    shoe = toe[:3] + rise + (0.0, 0.09, -0.05)
    lean = rng.uniform(1.1, 1.4) if a.seated else rng.uniform(1.1, 1.5) if raised else rng.uniform(1.0, 1.9)
    _bend_down(a, i, j, shoe[1] - 0.03, lean)
    pull, way = a.beat(rng.uniform(1.0, 2.2), i, j), 1.0 if rng.random() < 0.5 else -1.0
    for side, sign in ((LEFT, 1.0), (RIGHT, -1.0)):
        a.reach(side, [(i, j, Spot("home", shoe[0] + 0.06 * sign, shoe[1], shoe[2], swivel=0.3))])
        a.swing(side, "home", rng.uniform(0.015, 0.035) * way * pull, (0.7, 0.8, -0.2))


def kick(a: Actor) -> None:
    """The right leg swings back, forwards and up, and comes down again."""
    rng, p = a.rng, a.person
    back, hit, down = a.at(0.32), a.at(0.52), a.at(0.9)
    height, yaw = rng.uniform(0.08, 0.70) * p.leg, rng.normal(0, 0.2)
    fall = p.leg + p.lengths["ankle"] - height - 0.03
    far = np.sqrt(max((rng.uniform(0.88, 0.97) * p.leg) ** 2 - fall**2, 0.1)) + 0.8 * p.lengths["foot"]
    start = a.foot(RIGHT)[0].copy()
    wind = start + (0.03, 0.16, -0.28, 0.0, 0.9)
    swing = np.array([start[0] * 0.4 + far * np.sin(yaw), height, start[2] + far * np.cos(yaw), yaw, -0.2])
    half = 0.5 * (wind + swing) + (0.0, -0.4 * height + 0.02, 0.0, 0.0, 0.0)
    keys = [(-EVER, a.start), (back, back + 0.03), (hit - 0.5 * (hit - back - 0.03),) * 2, (hit, hit + 0.06), (down, EVER)]
    way = through(a.t, keys, np.stack([start, wind, half, swing, start]))
    padded = np.pad(way, ((2, 2), (0, 0)), mode="edge")
    a.foot(RIGHT)[:] = sum(padded[k : k + len(a.t)] for k in range(5)) / 5  # past the half-way point without stopping
    size = rng.uniform(0.7, 1.2) * p.effort
    a.add("x", [(back, down - 0.25, p.stance)])
    a.add("pelvis_pitch", [(back, back + 0.05, 0.08), (hit, hit + 0.08, -0.16)])
    a.add("lean", [(back, back + 0.05, 0.05 * size), (hit, hit + 0.1, -0.08 * size)])
    a.add("twist", [(back, back + 0.05, -0.12 * size), (hit, hit + 0.1, 0.2 * size)])
    for side, forward in ((LEFT, 0.5), (RIGHT, -0.35)):
        hang = a.hang(out=0.3, forward=forward * rng.uniform(0.5, 1.2), reach=0.9)
        a.reach(side, [(back + 0.1, hit + 0.1, hang)])


def _flight(t: np.ndarray, off: float, height: float) -> tuple[np.ndarray, float]:
    """Ballistic rise of a jump that leaves the floor at ``off`` (T,), and how long it lasts."""
    air = 2 * np.sqrt(2 * height / GRAVITY)
    u = np.clip(t - off, 0, air)
    return 0.5 * GRAVITY * u * (air - u), air


def _jump(a: Actor, off: float, height: float, dip: float, feet: tuple[int, ...]) -> float:
    """Dip, fly, land on the same spot; returns the time of landing."""
    rise, air = _flight(a.t, off, height)
    depth = dip * a.person.leg
    down = [(-EVER, off - 0.42, 0.0), (off - 0.17, off - 0.14, -depth), (off, off + air, 0.0)]
    down += [(off + air + 0.13, off + air + 0.15, -0.75 * depth), (off + air + 0.45, EVER, 0.0)]
    a.add("y", down, rest=False)
    a.channel("y")[:] += rise
    a.add("z", [(i, j, -0.25 * v) for i, j, v in [(k[0], k[1], -k[2]) for k in down]], rest=False)
    for name in ("pelvis_pitch", "lean"):
        a.add(name, [(i, j, 1.1 * -v) for i, j, v in down], rest=False)
    for side in feet:
        foot = a.foot(side)
        foot[:, 1] += rise
        foot[:, 4] += 0.7 * pulse(a.t, off - 0.1, off + 0.05, off + 0.6 * air, off + air)
    return off + air


def jump_up(a: Actor) -> None:
    """Both feet off the floor, arms swing up; once to three times."""
    rng, p = a.rng, a.person
    height = rng.uniform(0.06, 0.28) * p.amplitude
    times = max(1, min(int(rng.integers(1, 4)), int((a.end - a.start) / 1.0)))
    high = rng.uniform(-0.2, 0.9)
    keys = []
    for k in range(times):
        off = a.at((k + 0.42) / times)
        _jump(a, off, height, rng.uniform(0.14, 0.3), (LEFT, RIGHT))
        back, low = a.shoulder(0.15, -0.75, -0.4), a.shoulder(0.15, -0.75, 0.45)
        up = a.shoulder(0.15, high, 0.4)
        keys += [(off - 0.22, off - 0.18, back), (off - 0.04, off - 0.04, low), (off + 0.12, off + 0.2, up)]
    if rng.random() < 0.8:
        for side in (LEFT, RIGHT):
            a.reach(side, keys)


def hop(a: Actor) -> None:
    """On one leg, the other foot drawn up; two to six hops, some of them travelling."""
    rng, p = a.rng, a.person
    times = max(2, min(int(rng.integers(2, 7)), int((a.end - a.start - 0.7) / 0.5)))
    first, last = a.start + 0.5, a.end - 0.4
    every = (last - first) / times
    height = min(rng.uniform(0.03, 0.10) * p.amplitude, 0.125 * GRAVITY * (0.62 * every) ** 2)
    up = pulse(a.t, a.start, a.start + 0.4, a.end - 0.3, a.end)
    free = a.foot(LEFT)
    behind = rng.random() < 0.6
    free[:, 1] += up * (rng.uniform(0.25, 0.5) if behind else rng.uniform(0.2, 0.4)) * p.leg
    free[:, 2] += up * (-0.34 if behind else 0.22) * p.leg
    free[:, 4] += up * (0.9 if behind else 0.2)
    free[:, 0] -= up * 0.03
    a.add("x", [(a.start + 0.4, a.end - 0.3, a.foot(RIGHT)[0][0])])
    for k in range(times):
        off = first + (k + 0.3) * every
        rise, air = _flight(a.t, off, height)
        dip = pulse(a.t, off - 0.2, off - 0.09, off - 0.07, off + 0.02)
        dip += pulse(a.t, off + 0.9 * air, off + air + 0.08, off + air + 0.08, off + air + 0.2)
        a.channel("y")[:] += rise - 0.06 * p.leg * dip
        a.foot(LEFT)[:, 1] += rise
        stand = a.foot(RIGHT)
        stand[:, 1] += rise
        stand[:, 4] += 0.6 * pulse(a.t, off - 0.06, off + 0.05, off + 0.6 * air, off + air)
    a.add("lean", [(a.start + 0.4, a.end - 0.3, rng.uniform(0.02, 0.15))])
    if rng.random() < 0.7:
        for side in (LEFT, RIGHT):
            out = a.hang(out=rng.uniform(0.25, 0.5), forward=rng.uniform(0.0, 0.4), reach=0.8)
            a.reach(side, [(a.start + 0.4, a.end - 0.3, out)])
            a.swing(side, "shoulder", 0.05 * a.beat(1 / every, first, last, phase=0.0), (0.3, 1.0, 0.2))


def pace(a: Actor) -> None:
    """Walk about slowly for part of the clip or all of it; what the hands do is up to the movement."""
    rng = a.rng
    start = rng.uniform(-1.0, 0.3 * a.seconds)
    end = start + max(1.2, rng.uniform(0.4, 1.2) * a.seconds)
    length, yaw = (end - start) * rng.uniform(0.15, 0.8), rng.normal(0, 0.4)
    path = straight(start, end, (length * np.sin(yaw), length * np.cos(yaw)))
    a.walk(path, start, end, period=rng.uniform(0.52, 0.75), first=int(rng.integers(2)), lift=0.06)


def walk(a: Actor) -> None:
    """On the spot or across the room, at the person's own pace; may be under way when the clip begins."""
    rng, p = a.rng, a.person
    period = rng.uniform(0.47, 0.62) / np.sqrt(p.tempo)
    first = int(rng.integers(2))
    if rng.random() < 0.35:
        a.walk(lambda t: np.zeros((len(t), 3)), a.start, a.end, period=period, first=first, lift=rng.uniform(0.06, 0.24), heel=0.3)
        return
    speed = rng.uniform(0.55, 1.15) * p.scale
    length = speed * max(a.end - a.start - 0.3, 0.6)
    yaw = rng.normal(0, 0.25)
    path = straight(a.start, a.end, (length * np.sin(yaw), length * np.cos(yaw)))
    a.walk(path, a.start, a.end, period=period, first=first)


def straight(start: float, end: float, stop: tuple[float, float], *, turn: float = 0.0) -> Callable[[np.ndarray], np.ndarray]:
    """A path for ``Actor.walk``: evenly to the place ``stop`` (x, z) with soft ends, turning by ``turn`` on the way."""
    length, about = end - start, abs(turn) > 1.5  # who turns round does that first
    soft = min(1.1 if about else 0.45, (0.45 if about else 0.3) * length)
    turned = min(1.0, 0.6 * length) if about else max(0.5 * length, 0.5)

    def path(t: np.ndarray) -> np.ndarray:
        u = np.clip(t, start, end) - start
        # Even speed with parabolic ends: what a trapezoid of speed covers.
        last = length - soft - (length - u) ** 2 / (2 * soft)
        s = np.where(u < soft, u**2 / (2 * soft), np.where(u > length - soft, last, u - soft / 2)) / (length - soft)
        return np.stack([s * stop[0], s * stop[1], turn * minimum_jerk(np.clip(u / turned, 0, 1))], -1)

    return path


def stagger(a: Actor) -> None:
    """Uneven steps that chase a swaying trunk, arms out for balance."""
    rng, p = a.rng, a.person
    length = max(a.end - a.start, 0.8)
    knots = max(3, int(length / 0.55) + 1)
    times = np.linspace(a.start, a.end, knots)
    ahead = np.cumsum(np.abs(rng.normal(0.16, 0.14, knots))) * (rng.random() < 0.7)
    across = np.cumsum(rng.normal(0, 0.09, knots))
    places = np.stack([across - across[0], ahead - ahead[0], rng.normal(0, 0.25, knots)], -1) * p.amplitude
    places[0] = 0

    def path(t: np.ndarray) -> np.ndarray:
        return through(t, [(k, k) for k in times], places)

    period, lift = rng.uniform(0.42, 0.7), rng.uniform(0.05, 0.14)
    a.walk(path, a.start, a.end, period=period, first=int(rng.integers(2)), lift=lift, spread=0.05)
    roll = a.window(a.start, a.end, 0.4)
    size = rng.uniform(0.05, 0.20) * p.amplitude
    hertz = rng.uniform(0.5, 1.1)
    a.channel("side")[:] += size * a.beat(hertz, a.start, a.end, ramp=0.4)
    a.channel("lean")[:] += roll * rng.uniform(0.0, 0.25) + 0.8 * size * a.beat(0.8 * hertz, a.start, a.end, ramp=0.4)
    a.channel("twist")[:] += size * a.beat(0.7 * hertz, a.start, a.end, ramp=0.4)
    a.channel("tilt")[:] += size * a.beat(1.1 * hertz, a.start, a.end, ramp=0.4)
    if rng.random() < 0.5:
        for side in (LEFT, RIGHT):
            out = a.hang(out=rng.uniform(0.25, 0.75), forward=rng.uniform(0.0, 0.4), reach=0.88)
            a.reach(side, [(a.at(0.2), a.at(0.8), out)])
            a.swing(side, "shoulder", 0.08 * a.beat(1.2 * hertz, a.start, a.end), (0.5, 1.0, 0.4))
