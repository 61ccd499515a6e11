"""How people are when they do nothing in particular: how they stand or sit, where their hands rest, what they fidget with."""

from __future__ import annotations

from skelbench.data.motion.actor import Actor
from skelbench.data.motion.tracks import EVER, LEFT, RIGHT, Spot, drift


def settle(a: Actor, *, table: bool = False) -> None:
    """Put a person in place, standing or seated (perhaps at a table), before any movement is written."""
    _stand(a)
    if a.seated:
        _sit(a, table=table)
    a.rest = (_resting(a, table=table), _resting(a, table=table))
    _sway(a)
    _fidget(a)
    for side in (LEFT, RIGHT):
        a.reach(side, [])


def chair(a: Actor) -> tuple[float, float]:
    """Height of the spine base on a chair and its distance behind the feet, metres; chairs differ."""
    p = a.person
    return float(a.rng.uniform(0.42, 0.50)) * p.scale**0.8 + 0.075 * p.scale, 0.92 * p.lengths["thigh"]


def _stand(a: Actor) -> None:
    p, rng = a.person, a.rng
    a.channel("y")[:] = p.standing
    a.channel("lean")[:] = p.lean + rng.normal(0, 0.02)
    a.channel("nod")[:] = p.gaze - 0.5 * p.lean + rng.normal(0, 0.04)
    split = rng.normal(0, 0.04)  # one foot a little ahead
    for side in (LEFT, RIGHT):
        x, z, yaw = a.stance(0, 0, 0, side)
        a.plant(side, x, z + (split if side == LEFT else -split), yaw + rng.normal(0, 0.06))
    if not a.seated:
        shift = rng.normal(0, 0.25) * p.stance
        a.channel("x")[:] += shift
        a.channel("pelvis_roll")[:] += 0.6 * shift


def _sit(a: Actor, *, table: bool) -> None:
    height, back = chair(a)
    a.channel("y")[:] = height
    a.channel("z")[:] -= back
    slouch = a.rng.normal(0.05, 0.1)
    a.channel("pelvis_pitch")[:] -= slouch
    a.channel("lean")[:] += 0.8 * slouch + (0.12 if table else 0.0)
    for side, sign in ((LEFT, 1.0), (RIGHT, -1.0)):
        a.foot(side)[:, 2] += a.rng.uniform(-0.06, 0.12)
        a.foot(side)[:, 0] += sign * a.rng.uniform(0.0, 0.06)


def _resting(a: Actor, *, table: bool) -> Spot:
    """Where one hand rests."""
    p, rng = a.person, a.rng
    if table:
        return a.spot("hips", 0.16 + rng.normal(0, 0.03), 0.24, 0.40 + rng.normal(0, 0.03), swivel=0.3)
    if a.seated:
        spots = (
            a.spot("hips", 0.12 + rng.normal(0, 0.02), 0.10, 0.34 + rng.normal(0, 0.04)),  # on the thigh
            a.spot("hips", 0.03, 0.09, 0.22),  # in the lap
            a.spot("hips", 0.30, 0.16, 0.18),  # on an arm rest
        )
        return spots[int(rng.choice(3, p=(0.6, 0.2, 0.2)))]
    ways = (
        a.hang(out=p.arm_out, forward=float(rng.normal(0.05, 0.05)), reach=p.arm_bend),
        a.spot("hips", 0.20, 0.06, 0.02, swivel=0.8, bend=(-0.5, -0.5, 0.3)),  # on the hip
        a.spot("chest", 0.02, -0.34, 0.17, swivel=0.2),  # before the belly
        a.spot("hips", 0.20, -0.04, 0.06),  # in a pocket
    )
    return ways[int(rng.choice(4, p=(0.62, 0.11, 0.14, 0.13)))]


def _sway(a: Actor) -> None:
    """Breathing, swaying, looking about."""
    noise = drift(a.t, 8, a.rng)
    calm = 0.4 if a.seated else 1.0
    sizes = {"x": 0.010 * calm, "z": 0.008 * calm, "pelvis_yaw": 0.025 * calm, "lean": 0.020, "side": 0.020, "twist": 0.035}
    sizes |= {"turn": 0.09, "nod": 0.05}
    for k, (name, size) in enumerate(sizes.items()):
        a.channel(name)[:] += a.person.sway * size * noise[:, k]


def _fidget(a: Actor) -> None:
    """What people do before and after: look round, scratch, touch something."""
    rng = a.rng
    for begin, end in ((0.0, a.start), (a.end, a.seconds)):
        if end - begin < 0.8:
            continue
        if rng.random() < 0.5:
            at = rng.uniform(begin + 0.3, end - 0.3)
            look = [(-EVER, at - 0.35, 0.0), (at, at + 0.2, float(rng.normal(0, 0.45))), (at + 0.6, EVER, 0.0)]
            a.add("turn", look, rest=False)
        if end - begin > 1.1 and rng.random() < 0.75:
            at = rng.uniform(begin + 0.45, end - 0.6)
            leave = at + rng.uniform(0.05, max(0.06, min(0.5, end - at - 0.45)))
            a.extra[int(rng.integers(2))].append((at, leave, _touch(a)))


def _touch(a: Actor) -> Spot:
    spots = (
        a.spot("head", 0.05, -0.05, 0.12, swivel=0.3),  # scratch the face
        a.spot("head", 0.10, 0.08, 0.02, swivel=0.5),  # touch the hair
        a.spot("chest", 0.02, -0.15, 0.20, swivel=0.2),  # pull at the shirt
        a.spot("chest", 0.08, -0.28, 0.28, swivel=0.2),  # hold something
        a.spot("hips", 0.20, 0.04, 0.04, swivel=0.4),
    )
    return spots[int(a.rng.integers(5))]


def shift_foot(a: Actor) -> None:
    """Sometimes a small step with one foot when the movement is over; the weight follows half the way."""
    early = max(a.end + 0.75, a.walked + 0.2)
    if a.seconds - early < 0.5 or a.rng.random() > 0.4:
        return
    at, side = a.rng.uniform(early, a.seconds - 0.4), int(a.rng.integers(2))
    x, _, z, yaw, _ = a.foot(side)[-1]
    dx, dz = a.rng.normal(0, 0.06, 2)
    a.step(side, at, at + 0.35, x + dx, z + dz, yaw + a.rng.normal(0, 0.1), lift=0.05, heel=0.3)
    for name, way in (("x", 0.5 * dx), ("z", 0.5 * dz)):
        a.add(name, [(-EVER, at, 0.0), (at + 0.4, EVER, float(way))], rest=False)
