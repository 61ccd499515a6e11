"""What two people do together. Each function writes into both actors, ``a`` acts first; they share a stage and face each other.

Meeting points are places on the stage, worked out from where both will stand, so hands meet in the air between two people of
any size.
"""

from __future__ import annotations

import numpy as np

from skelbench.data.motion.actor import Actor
from skelbench.data.motion.moves import straight
from skelbench.data.motion.tracks import LEFT, RIGHT, Spot, Vector


def _face(a: Actor, b: Actor, distance: float) -> None:
    """Put two people opposite each other, ``a`` looking along +z of the stage; nobody is aligned to the degree."""
    a.place = (0.0, 0.0, float(a.rng.normal(0, 0.06)))
    b.place = (float(a.rng.normal(0, 0.04)), distance, float(np.pi + a.rng.normal(0, 0.06)))


def _meet(actor: Actor, x: float, y: float, z: float, *, swivel: float = 0.0, bend: Vector = (0.0, 0.0, 0.0)) -> Spot:
    """A place on the stage as a hand target of this actor."""
    px, pz, yaw = actor.place
    dx, dz = x - px, z - pz
    c, s = np.cos(yaw), np.sin(yaw)
    return Spot("home", c * dx - s * dz, y, s * dx + c * dz, swivel, bend)


def _height(a: Actor, b: Actor, share: float) -> float:
    """This share of the two people's mean height."""
    return share * 0.5 * (a.person.height + b.person.height)


def _close_in(a: Actor, b: Actor, gap: float, *, always: bool = False) -> tuple[float, float]:
    """Stand ``gap`` apart from the beginning, or walk up to it. Returns the time of arrival and where z of the middle is then."""
    rng, length = a.rng, a.end - a.start
    if not always and (length < 1.9 or rng.random() < 0.5):
        _face(a, b, gap)
        return a.start, gap / 2
    extra = float(rng.uniform(0.3, 0.7))
    share = float(rng.choice((0.0, 0.5, 1.0)))  # who comes: the other, both, or the first
    _face(a, b, gap + extra)
    arrive = a.start + float(np.clip(0.42 * length, 0.5, 1.1))
    for actor, part in ((a, share), (b, 1 - share)):
        if part > 0:
            path = straight(a.start, arrive, (0, part * extra))
            actor.walk(path, a.start, arrive, period=0.45 * (arrive - a.start), first=int(rng.integers(2)))
    return arrive, share * extra + gap / 2


def _step_back(actor: Actor, at: float, far: float) -> None:
    """A stumble backwards by ``far`` metres after a push."""
    at = max(at, actor.walked)
    actor.walk(straight(at, at + 0.7, (0, -far)), at, at + 0.7, period=0.34, first=int(actor.rng.integers(2)), heel=0.2)


def _maybe_part(actor: Actor, at: float) -> None:
    """Sometimes a few steps back once it is over."""
    at = max(at, actor.walked)
    if at + 0.5 < actor.seconds and actor.rng.random() < 0.4:
        far = actor.rng.uniform(0.15, 0.6)
        end = at + max(0.8, far / 0.6)
        path = straight(at, end, (0, -far))
        actor.walk(path, at, end, period=(end - at) / 2, first=int(actor.rng.integers(2)), heel=0.25)


def handshake(a: Actor, b: Actor) -> None:
    """Right hands meet at the height of the belly and shake; both let go at about the same time."""
    rng = a.rng
    arrive, middle = _close_in(a, b, rng.uniform(0.78, 0.98) * _height(a, b, 1 / 1.7))
    up = arrive + 0.3 * (a.end - arrive)
    down = arrive + rng.uniform(0.65, 0.82) * (a.end - arrive)
    height, aside = _height(a, b, rng.uniform(0.56, 0.66)), rng.normal(0, 0.03)
    shake = rng.uniform(0.02, 0.06) * a.beat(rng.uniform(1.8, 3.2), up, down, phase=0.0)
    for actor, lag in ((a, 0.0), (b, rng.uniform(-0.1, 0.2))):
        actor.reach(RIGHT, [(up + lag, down, _meet(actor, aside, height, middle))], loose=0.01)
        actor.swing(RIGHT, "home", shake, (0.0, 1.0, 0.0))
        actor.add("lean", [(up, down, rng.uniform(0.02, 0.2))])
        _maybe_part(actor, a.end)
        if rng.random() < 0.2:
            actor.reach(LEFT, [(up + 0.2, down, _meet(actor, aside, height + 0.05, middle))])


def hand_over(a: Actor, b: Actor) -> None:
    """One holds a thing before the chest and reaches it over, the other takes it and draws it in."""
    rng = a.rng
    arrive, middle = _close_in(a, b, rng.uniform(0.80, 1.05) * _height(a, b, 1 / 1.7))
    up = arrive + rng.uniform(0.28, 0.38) * (a.end - arrive)
    done = arrive + rng.uniform(0.48, 0.58) * (a.end - arrive)
    late = arrive + rng.uniform(0.75, 0.9) * (a.end - arrive)
    height, aside = _height(a, b, rng.uniform(0.58, 0.74)), rng.normal(0, 0.05)
    both = (rng.random() < 0.25, rng.random() < 0.25)
    for actor, gives in ((a, True), (b, False)):
        for side in (LEFT, RIGHT) if both[not gives] else (RIGHT,):
            sign = 1.0 if side == LEFT else -1.0
            turned = 1.0 if gives else -1.0
            there = _meet(actor, aside + (0.07 * sign * turned if both[not gives] else 0.0), height, middle)
            own = actor.spot("chest", 0.10, rng.uniform(-0.32, -0.2), rng.uniform(0.2, 0.3))
            if gives:
                actor.reach(side, [(arrive + 0.02, arrive + 0.05, own), (up, done, there)])
            else:
                actor.reach(side, [(up + rng.uniform(0.0, 0.2), done, there), (late, late + 0.05, own)])
        actor.add("lean", [(up, done, rng.uniform(0.0, 0.15))])
        _maybe_part(actor, a.end)


def high_five(a: Actor, b: Actor) -> None:
    """Right palms clap together above the shoulders."""
    rng = a.rng
    arrive, middle = _close_in(a, b, rng.uniform(0.70, 0.95) * _height(a, b, 1 / 1.7))
    hit = arrive + rng.uniform(0.45, 0.6) * (a.end - arrive)
    height, aside = _height(a, b, rng.uniform(0.80, 1.02)), rng.normal(0, 0.04)
    for actor in (a, b):
        back = actor.shoulder(0.3, rng.uniform(0.2, 0.5), 0.15)
        there = _meet(actor, aside, height, middle, bend=(0.0, 0.6, 0.0))
        ready = hit - rng.uniform(0.22, 0.4)
        actor.reach(RIGHT, [(ready, ready + 0.02, back), (hit, hit + rng.uniform(0.03, 0.25), there)], loose=0.01)
        actor.add("twist", [(ready, ready + 0.02, -0.1 * actor.person.effort), (hit, hit + 0.1, 0.12 * actor.person.effort)])
        actor.channel("nod")[:] -= 0.05
        _maybe_part(actor, hit + 0.5)


def punch(a: Actor, b: Actor) -> None:
    """A fist to the other's head, straight or hooked; the head snaps back, sometimes a step too."""
    rng, effort = a.rng, a.person.effort
    arrive, middle = _close_in(a, b, rng.uniform(0.70, 0.88) * _height(a, b, 1 / 1.7))
    gap = 2 * (middle if arrive == a.start else rng.uniform(0.37, 0.42))
    hit = arrive + rng.uniform(0.42, 0.55) * (a.end - arrive)
    target = _meet(a, rng.normal(0.03, 0.03), b.person.height * rng.uniform(0.84, 0.92), middle + gap / 2 - 0.17, swivel=0.5)
    wind = a.shoulder(0.15, rng.uniform(-0.3, 0.2), rng.uniform(-0.2, 0.1))
    keys = [(hit - 0.36, hit - 0.31, wind)]
    if rng.random() < 0.4:  # hook
        keys.append((hit - 0.12, hit - 0.12, a.shoulder(0.45, 0.05, 0.45, swivel=0.8)))
    a.reach(RIGHT, [*keys, (hit, hit + 0.05, target)])
    if rng.random() < 0.5:
        a.reach(LEFT, [(hit - 0.3, hit + 0.3, a.shoulder(0.0, -0.1, 0.35))])  # the guard
    a.add("twist", [(hit - 0.28, hit - 0.25, -0.3 * effort), (hit, hit + 0.08, 0.4 * effort)])
    a.add("lean", [(hit, hit + 0.08, rng.uniform(0.1, 0.25))])
    a.add("z", [(hit, hit + 0.1, rng.uniform(0.0, 0.12))])
    size, later = rng.uniform(0.5, 1.2), hit + 0.05
    b.add("lean", [(later, later, 0.0), (later + 0.2, later + 0.3, -0.3 * size)])
    b.add("nod", [(later, later, 0.0), (later + 0.15, later + 0.25, -0.35 * size)])
    b.add("twist", [(later, later, 0.0), (later + 0.2, later + 0.3, 0.35 * size)])
    if rng.random() < 0.5:
        _step_back(b, later + 0.05, rng.uniform(0.12, 0.3))
    if rng.random() < 0.4:
        b.reach(RIGHT, [(later + 0.6, later + 1.2, b.spot("head", 0.07, -0.05, 0.12))])


def push(a: Actor, b: Actor) -> None:
    """Both palms (sometimes one) against the other's chest; the other stumbles back."""
    rng = a.rng
    arrive, middle = _close_in(a, b, rng.uniform(0.62, 0.78) * _height(a, b, 1 / 1.7))
    half = rng.uniform(0.31, 0.38)
    hit = arrive + rng.uniform(0.35, 0.48) * (a.end - arrive)
    shove = rng.uniform(0.10, 0.22)
    height = b.person.height * rng.uniform(0.70, 0.78)
    sides = (LEFT, RIGHT) if rng.random() < 0.75 else (RIGHT,)
    for side in sides:
        x = (0.10 if side == LEFT else -0.10) if len(sides) == 2 else 0.0
        touch = _meet(a, x, height, middle + half - 0.14, bend=(0.0, 0.8, 0.0))
        after = _meet(a, x, height, middle + half - 0.14 + shove, bend=(0.0, 0.8, 0.0))
        near = a.shoulder(-0.05, -0.25, 0.30)
        a.reach(side, [(hit - 0.3, hit - 0.26, near), (hit, hit, touch), (hit + 0.16, hit + 0.25, after)])
    a.add("lean", [(hit, hit, 0.10), (hit + 0.16, hit + 0.3, rng.uniform(0.2, 0.35))])
    a.add("z", [(hit, hit, 0.02), (hit + 0.16, hit + 0.3, 0.10)])
    size = rng.uniform(0.6, 1.3)
    b.add("lean", [(hit, hit, 0.0), (hit + 0.22, hit + 0.35, -0.28 * size)])
    b.add("nod", [(hit, hit, 0.0), (hit + 0.2, hit + 0.3, 0.15 * size)])
    _step_back(b, hit + 0.03, rng.uniform(0.2, 0.5))
    if rng.random() < 0.6:
        for side in (LEFT, RIGHT):
            b.reach(side, [(hit + 0.3, hit + 0.55, b.hang(out=rng.uniform(0.3, 0.6), forward=rng.uniform(0.1, 0.5), reach=0.85))])


def hug(a: Actor, b: Actor) -> None:
    """Step in, arms around each other, hold, part."""
    rng = a.rng
    gap = rng.uniform(0.36, 0.44)
    arrive, middle = _close_in(a, b, gap, always=True)
    aside = 0.06
    a.place = (a.place[0] - aside, *a.place[1:])
    b.place = (b.place[0] + aside, *b.place[1:])
    around, let = arrive + 0.15, arrive + rng.uniform(0.6, 0.8) * (a.end - arrive)
    high = rng.random() < 0.5  # whose right arm goes over the shoulder
    pat = 0.025 * a.beat(rng.uniform(1.5, 3.0), around, let) * (rng.random() < 0.5)
    for actor, other, sign in ((a, b, 1.0), (b, a, -1.0)):
        back = middle + sign * (gap / 2 + 0.10)
        over = 0.79 if (actor is a) == high else 0.70
        for side, share, across in ((RIGHT, over, -0.02), (LEFT, 1.46 - over, 0.02)):
            wide = actor.shoulder(0.35, -0.25, 0.55, swivel=0.7)
            where = sign * aside + (-1 if side == RIGHT else 1) * sign * 0.06 + across
            round_ = _meet(actor, where, share * other.person.height, back, swivel=1.1, bend=(-0.8, 0.0, 0.0))
            actor.reach(side, [(around - 0.35, around - 0.3, wide), (around + 0.25, let, round_), (let + 0.3, let + 0.3, wide)])
            actor.swing(side, "home", pat, (0.0, 0.3, 1.0))
        actor.add("lean", [(around, let, rng.uniform(0.08, 0.2))])
        actor.add("tilt", [(around, let, rng.uniform(-0.1, 0.25))])
        actor.add("turn", [(around, let, rng.uniform(0.0, 0.4))])
        _maybe_part(actor, let + 0.3)


def _pace(a: Actor, b: Actor, *, together: bool) -> None:
    rng = a.rng
    near, far = rng.uniform(0.65, 1.5), rng.uniform(0.7, 2.2)
    one = rng.random() < 0.35  # only one of them walks
    turned = not together and rng.random() < 0.7  # part by turning round, not backwards
    _face(a, b, near + far if together else near)
    for actor, walks in ((a, True), (b, not one)):
        if not walks:
            continue
        way = far / 2 * (2 if one else 1) * rng.uniform(0.85, 1.0)
        start = actor.start + rng.uniform(0, 0.2)
        end = max(actor.end, start + way / 1.05 + (0.7 if turned else 0.0))  # turning round takes its time
        period = rng.uniform(0.48, 0.60) / np.sqrt(actor.person.tempo)
        stop, turn = (0.0, way if together else -way), float(rng.choice((-np.pi, np.pi))) if turned else 0.0
        actor.walk(straight(start, end, stop, turn=turn), start, end, period=period, first=int(rng.integers(2)))


def walk_towards(a: Actor, b: Actor) -> None:
    """Two people walk up to each other."""
    _pace(a, b, together=True)


def walk_apart(a: Actor, b: Actor) -> None:
    """Two people part: turn round and walk off, or back off."""
    _pace(a, b, together=False)
