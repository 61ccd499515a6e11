"""What people do with their hands, standing or seated. Each function writes one movement into an ``Actor``, right hand leading."""

from __future__ import annotations

import numpy as np

from skelbench.data.motion.actor import Actor
from skelbench.data.motion.tracks import EVER, LEFT, RIGHT, Key, Spot


def _lifted(a: Actor) -> float:
    """Swivel of the elbow with the hand at the face: some people lift it."""
    return float(a.rng.uniform(-0.1, 0.7))


def _before(a: Actor, out: float = 0.10) -> Spot:
    """The hand holds something before the belly or over the table."""
    return a.spot("chest", out + a.rng.normal(0, 0.03), a.rng.uniform(-0.34, -0.22), a.rng.uniform(0.22, 0.32))


def _glance(a: Actor, start: float, end: float, nod: float, turn: float = 0.0, tilt: float = 0.0) -> None:
    """Look somewhere between two times."""
    for name, value in (("nod", nod), ("turn", turn), ("tilt", tilt)):
        if value:
            a.add(name, [(start, end, value)])


def _other_hand(a: Actor) -> None:
    """Sometimes the other hand does something of its own: holds, rests, scratches."""
    if a.rng.random() < 0.35:
        start = a.rng.uniform(0, a.seconds - 0.8)
        spots = (a.spot("chest", 0.04, -0.30, 0.18), a.spot("hips", 0.21, 0.06, 0.02), _before(a, 0.08))
        key = (start + 0.4, start + a.rng.uniform(0.6, 2.5), spots[int(a.rng.integers(3))])
        a.reach(LEFT, [(-EVER, start, a.rest[LEFT]), key, (key[1] + 0.4, EVER, a.rest[LEFT])], rest=False)


def drink(a: Actor) -> None:
    """Cup to the mouth, head back, down again; one or two sips."""
    rng = a.rng
    mouth = a.spot("head", 0.0, -0.075, 0.155, swivel=_lifted(a), bend=(-0.5, 0.2, -0.2))
    cup, sips = _before(a), int(rng.choice(2, p=(0.7, 0.3))) + 1
    keys = [(a.at(0.15), a.at(0.20), cup)] if rng.random() < 0.6 else []
    for k in range(sips):
        up, down = a.at(0.2 + 0.65 * (k + 0.35) / sips), a.at(0.2 + 0.65 * (k + 0.8) / sips)
        keys += [(up, down, mouth), (a.at(0.2 + 0.65 * (k + 1.05) / sips), a.at(0.2 + 0.65 * (k + 1.08) / sips), cup)]
        _glance(a, up + 0.1, down - 0.05, -rng.uniform(0.05, 0.40))
    _other_hand(a)
    a.reach(RIGHT, keys if rng.random() < 0.7 else keys[:-1])


def phone_call(a: Actor) -> None:
    """Hand to the ear, held there while talking."""
    rng = a.rng
    ear = a.spot("head", 0.105, -0.05, 0.045, swivel=_lifted(a), bend=(-0.2, 0.3, 0.1))
    screen = _before(a, 0.04)
    keys = [(a.at(0.12), a.at(0.2), screen)] if rng.random() < 0.35 else []
    up, down = a.at(0.32), a.at(0.85)
    keys.append((up, down, ear))
    if rng.random() < 0.3:
        keys.append((a.at(0.93), a.at(0.94), screen))
    _glance(a, up, down, rng.normal(0, 0.12), rng.normal(0, 0.25), rng.uniform(-0.05, 0.25))
    _other_hand(a)
    a.reach(RIGHT, keys)
    a.channel("nod")[:] += 0.05 * a.beat(rng.uniform(0.8, 1.6), up, down)


def wipe_face(a: Actor) -> None:
    """One or both hands rub over the face."""
    rng = a.rng
    both = rng.random() < 0.3
    up, down = a.at(0.25), a.at(0.8)
    hertz, amount = rng.uniform(1.0, 2.4), rng.uniform(0.03, 0.07) * a.person.amplitude
    wave = a.beat(hertz, up - 0.1, down + 0.1)
    way = (0.8, 0.5, -0.3) if rng.random() < 0.5 else (0.2, 1.0, -0.1)
    if not both:
        _other_hand(a)
    for side in (RIGHT, LEFT) if both else (RIGHT,):
        swivel = _lifted(a)
        a.reach(side, [(up, down, a.spot("head", 0.04 if both else 0.0, -0.02, 0.125, swivel=swivel, bend=(-0.6, 0.3, -0.3)))])
        a.swing(side, "head", amount * wave, way)
    _glance(a, up, down, rng.uniform(-0.05, 0.3))


def _hat(a: Actor, *, on: bool) -> None:
    rng = a.rng
    both = rng.random() < 0.4
    top, peak = a.at(0.5 if on else 0.42), a.at(0.62 if on else 0.55)
    low, high = (a.at(0.18), a.at(0.24)) if on else (a.at(0.80), a.at(0.90))
    _other_hand(a)
    for side in (RIGHT, LEFT) if both else (RIGHT,):
        crown: Key = (top, peak, a.spot("head", 0.10 if both else 0.03, 0.13, 0.04, swivel=0.6, bend=(-0.6, 0.0, 0.0)))
        over = a.spot("head", 0.10 if both else 0.05, 0.22, 0.16, swivel=0.2)
        held: Key = (low, high, _before(a, 0.12))
        via: Key = (top - 0.12, top - 0.12, over) if on else (peak + 0.14, peak + 0.14, over)
        a.reach(side, [held, via, crown] if on else [crown, via, held])
    _glance(a, top - 0.1, peak + 0.1, rng.uniform(0.0, 0.3))
    if rng.random() < 0.5:  # look at the hat
        _glance(a, low - 0.1, high + 0.1, rng.uniform(0.1, 0.35))


def put_on_hat(a: Actor) -> None:
    """A hat held before the belly goes over the head; the hands come down empty."""
    _hat(a, on=True)


def take_off_hat(a: Actor) -> None:
    """The same way backwards: hand to the crown, hat down before the belly."""
    _hat(a, on=False)


def wave(a: Actor) -> None:
    """Raised hand, side to side; from modest to wide."""
    rng = a.rng
    up, down = a.at(0.2), a.at(0.82)
    high = rng.uniform(0.15, 0.75)
    raised = a.shoulder(rng.uniform(0.1, 0.45), high, rng.uniform(0.2, 0.5), bend=(0.0, 0.8, 0.0))
    _other_hand(a)
    a.reach(RIGHT, [(up, down, raised)])
    amount = rng.uniform(0.08, 0.16) * a.person.amplitude
    beat = a.beat(rng.uniform(1.2, 2.4), up - 0.1, down + 0.1)
    a.swing(RIGHT, "shoulder", amount * beat, (1.0, 0.0, 0.15))
    a.channel("side")[:] += 0.04 * a.person.effort * beat
    _glance(a, up, down, rng.normal(-0.03, 0.08), rng.normal(0, 0.2))


def throw(a: Actor) -> None:
    """Wind-up behind the shoulder, release forwards, follow-through; sometimes underarm."""
    rng, effort = a.rng, a.person.effort
    back, go = a.at(0.38), a.at(0.5)
    done = max(a.at(0.66), go + 0.46)
    if rng.random() < 0.75:
        wind = a.shoulder(0.45, rng.uniform(0.15, 0.5), -0.35)
        release = a.shoulder(0.05, rng.uniform(0.2, 0.5), 0.85)
        follow = a.shoulder(-0.30, -0.45, 0.55)
    else:
        wind = a.shoulder(0.15, -0.65, -0.6)
        release = a.shoulder(0.0, -0.05, 0.95)
        follow = a.shoulder(-0.15, 0.40, 0.70)
    a.reach(RIGHT, [(back, go, wind), (go + 0.24, go + 0.28, release), (done, done + 0.1, follow)])
    if rng.random() < 0.6:
        point = a.shoulder(0.2, rng.uniform(-0.4, 0.1), 0.6)
        a.reach(LEFT, [(back, go, point)])
    size = rng.uniform(0.6, 1.2) * effort
    a.add("twist", [(back, go, -0.35 * size), (done, done + 0.1, 0.30 * size)])
    a.add("lean", [(back, go, -0.08 * size), (done, done + 0.1, 0.16 * size)])
    if not a.seated and rng.random() < 0.6:
        _lunge(a, back, done)


def _lunge(a: Actor, start: float, end: float) -> None:
    """The left foot steps forward and back again; the weight goes with it."""
    far = a.rng.uniform(0.15, 0.38)
    x, _, z, yaw, _ = a.foot(LEFT)[0]
    a.step(LEFT, start - 0.1, start + 0.35, x, z + far, yaw)
    a.step(LEFT, end + 0.25, end + 0.75, x, z, yaw)
    a.add("z", [(start + 0.4, end + 0.2, 0.55 * far)])


def point(a: Actor) -> None:
    """Arm out towards something, the look goes there too."""
    rng = a.rng
    yaw, pitch = rng.normal(-0.15, 0.5), rng.normal(0.0, 0.25)
    far = rng.uniform(0.90, 0.98)
    aim = a.shoulder(-far * np.sin(yaw) * np.cos(pitch), far * np.sin(pitch), far * np.cos(yaw) * np.cos(pitch))
    up, down = a.at(0.32), a.at(0.76)
    _other_hand(a)
    keys = [(up, down, aim)]
    if rng.random() < 0.35:  # once more for emphasis
        half = a.shoulder(0.1, -0.35, 0.5)
        mid = (up + down) / 2
        keys = [(up, mid - 0.25, aim), (mid, mid, half), (mid + 0.25, down, aim)]
    a.reach(RIGHT, keys)
    a.add("twist", [(up, down, 0.25 * yaw * a.person.effort)])
    _glance(a, up, down, -0.4 * pitch, 0.5 * yaw)


def clap(a: Actor) -> None:
    """Palms together before the chest, again and again."""
    rng = a.rng
    up, down = a.at(0.15), a.at(0.86)
    size = rng.uniform(0.06, 0.13) * a.person.amplitude
    height, ahead = rng.uniform(-0.28, -0.02), rng.uniform(0.22, 0.36)
    hertz = rng.uniform(1.6, 3.2)
    beat = a.beat(hertz, up - 0.1, down + 0.1, phase=-np.pi / 2)
    eased = np.exp(-0.5 * (2 * np.pi * hertz * a.person.ease) ** 2)  # what the person's filter leaves of the rhythm: palms do meet
    for side in (LEFT, RIGHT):
        far = size * (0.4 if side == LEFT and rng.random() < 0.4 else 1.0)  # many people keep one hand nearly still
        a.reach(side, [(up, down, a.spot("chest", 0.03 + far * eased, height, ahead, swivel=0.2))], loose=0.008)
        a.swing(side, "chest", a.person.scale * far * beat, (1.0, 0.15, 0.0))
    _glance(a, up, down, rng.normal(0, 0.1))


def check_watch(a: Actor) -> None:
    """The left forearm comes up before the chest, the head goes down to it; the right hand may push the sleeve."""
    rng = a.rng
    up, down = a.at(0.38), a.at(0.74)
    wrist = a.spot("chest", -0.04, rng.uniform(-0.22, -0.06), rng.uniform(0.24, 0.34), swivel=0.35, bend=(-0.3, 0.0, 0.0))
    a.reach(LEFT, [(up, down, wrist)])
    if rng.random() < 0.5:
        a.reach(RIGHT, [(up + 0.1, down - 0.1, a.spot("chest", 0.02, -0.22, 0.30))])
    _glance(a, up, down, rng.uniform(0.2, 0.5), rng.uniform(0.0, 0.25))


def type_keyboard(a: Actor) -> None:
    """Both hands low in front, small quick alternating strokes, now and then a reach to the side."""
    rng = a.rng
    up, down = a.at(0.12), a.at(0.9)
    anchor, height, ahead = ("hips", 0.27, 0.42) if a.seated else ("chest", rng.uniform(-0.32, -0.22), rng.uniform(0.27, 0.35))
    for side in (LEFT, RIGHT):
        a.reach(side, [(up, down, a.spot(anchor, rng.uniform(0.06, 0.14), height, ahead))])
        stroke = a.beat(rng.uniform(2.0, 3.5), up, down) * (0.6 + 0.4 * a.beat(rng.uniform(0.4, 0.8), up, down))
        a.swing(side, anchor, rng.uniform(0.012, 0.03) * stroke, (0.0, 1.0, 0.3))
        a.swing(side, anchor, 0.03 * a.beat(rng.uniform(0.3, 0.7), up, down), (1.0, 0.0, 0.4))
    _glance(a, up, down, rng.uniform(0.05, 0.35), rng.normal(0, 0.1))


def read(a: Actor) -> None:
    """A book or a phone held with both hands, the head down; now and then a page is turned."""
    rng = a.rng
    up, down = a.at(0.15), a.at(0.9)
    height, ahead, apart = rng.uniform(-0.28, -0.06), rng.uniform(0.24, 0.36), rng.uniform(0.05, 0.14)
    left = a.spot("chest", apart, height, ahead)
    right = a.spot("chest", apart, height, ahead)
    a.reach(LEFT, [(up, down, left)])
    keys = [(up, down, right)]
    if rng.random() < 0.65:
        page = rng.uniform(up + 0.3, max(up + 0.31, down - 0.6))
        over = a.spot("chest", -0.6 * apart, height + 0.06, ahead)
        keys = [(up, page, right), (page + 0.3, page + 0.35, over), (page + 0.65, max(down, page + 0.66), right)]
    a.reach(RIGHT, keys)
    _glance(a, up, down, rng.uniform(0.15, 0.45))
    a.channel("turn")[:] += 0.08 * a.beat(rng.uniform(0.3, 0.6), up, down)
