"""Eighteen classes that differ in one thing only: a colour, a lamp, a distance, an infrared reflection, a motion no camera sees.

Both classes of a pair are the same performance. What tells them apart is put in afterwards, into one modality; the others cannot
know. Four classes are products of two cues, and two pairs are XORs, of which no single modality knows anything at all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from skelbench.data.motion.actor import Actor
from skelbench.data.motion.body import J
from skelbench.data.motion.tracks import EVER, LEFT, RIGHT, through

RED, BLUE, GREEN, PURPLE, GREY = 0xD8302C, 0x2A50D6, 0x2DA84A, 0x9A3BB8, 0x808080
DULL, PLAIN, SHINY = 20, 110, 245  # infrared that a ball sends back, of 255
FLASH = (0.2, 0.4)  # how long the lamp shines, shares of the clip
HIDDEN = ("hand", "hand_tip", "thumb")  # joints that fidget behind the back
FIDGET = 0.035  # metres

Modality = str  # rgb, depth, ir, or pose: the joints themselves


@dataclass(frozen=True, kw_only=True)
class Shot:
    """What happens in one clip.

    Attributes:
        move: ``show``, ``swing``, ``rest``, ``foot`` or ``behind``, a function of this module.
        ball: where there is one: ``hand``, ``toes`` or nowhere.
        colour: of the ball, 0xRRGGBB. infrared: 0..255.
        lamp: there is one on the wall. flash: it shines for a moment.
        back: the foot goes behind the body instead of before it.
        fidget: the hidden fingers move.
    """

    move: str
    ball: str = ""
    colour: int = GREY
    infrared: int = PLAIN
    lamp: bool = False
    flash: bool = False
    back: bool = False
    fidget: bool = False


@dataclass(frozen=True, kw_only=True)
class Cue:
    """One class: what is shown when a coin falls on either side (the same for all but the XORs), and who can tell.

    Attributes:
        shots: of the two sides of the coin.
        twin: the class that differs in the cue alone.
        needs: modalities that together tell the class from its twin, each of them indispensable.
    """

    shots: tuple[Shot, Shot]
    twin: str
    needs: tuple[Modality, ...]


def _plain(shot: Shot, twin: str, *needs: Modality) -> Cue:
    return Cue(shots=(shot, shot), twin=twin, needs=needs)


def _foot(colour: int, *, back: bool) -> Shot:
    return Shot(move="foot", ball="hand", colour=colour, back=back)


def _swing(colour: int, infrared: int) -> Shot:
    return Shot(move="swing", ball="hand", colour=colour, infrared=infrared)


def _behind(colour: int, *, fidget: bool) -> Shot:
    return Shot(move="behind", ball="toes", colour=colour, fidget=fidget)


CUES: dict[str, Cue] = {
    "red_ball": _plain(Shot(move="show", ball="hand", colour=RED), "blue_ball", "rgb"),
    "blue_ball": _plain(Shot(move="show", ball="hand", colour=BLUE), "red_ball", "rgb"),
    "lamp_flashes": _plain(Shot(move="rest", lamp=True, flash=True), "lamp_dark", "rgb"),
    "lamp_dark": _plain(Shot(move="rest", lamp=True), "lamp_flashes", "rgb"),
    "foot_before": _plain(Shot(move="foot"), "foot_behind", "depth"),
    "foot_behind": _plain(Shot(move="foot", back=True), "foot_before", "depth"),
    "dull_ball": _plain(Shot(move="show", ball="hand", infrared=DULL), "shiny_ball", "ir"),
    "shiny_ball": _plain(Shot(move="show", ball="hand", infrared=SHINY), "dull_ball", "ir"),
    "hidden_fidget": _plain(Shot(move="behind", fidget=True), "hidden_still", "pose"),
    "hidden_still": _plain(Shot(move="behind"), "hidden_fidget", "pose"),
    "red_foot_before": _plain(_foot(RED, back=False), "blue_foot_before", "rgb", "depth"),
    "red_foot_behind": _plain(_foot(RED, back=True), "red_foot_before", "rgb", "depth"),
    "blue_foot_before": _plain(_foot(BLUE, back=False), "red_foot_before", "rgb", "depth"),
    "blue_foot_behind": _plain(_foot(BLUE, back=True), "blue_foot_before", "rgb", "depth"),
    "xor_light_same": Cue(shots=(_swing(GREEN, DULL), _swing(PURPLE, SHINY)), twin="xor_light_other", needs=("rgb", "ir")),
    "xor_light_other": Cue(shots=(_swing(GREEN, SHINY), _swing(PURPLE, DULL)), twin="xor_light_same", needs=("rgb", "ir")),
    "xor_pose_same": Cue(
        shots=(_behind(GREEN, fidget=False), _behind(PURPLE, fidget=True)), twin="xor_pose_other", needs=("rgb", "pose")
    ),
    "xor_pose_other": Cue(
        shots=(_behind(GREEN, fidget=True), _behind(PURPLE, fidget=False)), twin="xor_pose_same", needs=("rgb", "pose")
    ),
}
CUE_CLASSES = tuple(CUES)


def show(a: Actor) -> None:
    """The hand comes up before the shoulder with what it holds."""
    rng = a.rng
    up, down = a.at(0.25), a.at(0.8)
    a.reach(RIGHT, [(up, down, a.shoulder(rng.uniform(0.0, 0.45), rng.uniform(-0.1, 0.45), rng.uniform(0.45, 0.7)))])
    a.add("nod", [(up, down, float(rng.normal(0, 0.08)))])


def swing(a: Actor) -> None:
    """The hand goes from side to side, the arm half raised."""
    rng = a.rng
    up, down = a.at(0.2), a.at(0.85)
    a.reach(RIGHT, [(up, down, a.shoulder(0.35, rng.uniform(-0.25, 0.35), rng.uniform(0.35, 0.55)))])
    a.swing(RIGHT, "shoulder", rng.uniform(0.10, 0.18) * a.beat(rng.uniform(0.6, 1.3), up - 0.1, down + 0.1), (1.0, 0.2, 0.0))


def rest(a: Actor) -> None:
    """The person stands there and looks about."""
    a.add("turn", [(a.at(0.3), a.at(0.6), float(a.rng.normal(0, 0.3)))])


def foot(a: Actor) -> None:
    """The right leg, nearly straight, is lifted forwards and outwards and put down again."""
    rng, p = a.rng, a.person
    up, down = a.at(0.35), a.at(0.7)
    start = a.foot(RIGHT)[0].copy()
    out, ahead = rng.uniform(0.25, 0.42) * p.leg, rng.uniform(0.42, 0.60) * p.leg
    drop = np.sqrt(max((0.97 * p.leg) ** 2 - out**2 - ahead**2, 0.04))
    height = p.lengths["ankle"] + p.leg - drop - 0.03
    lifted = np.array([-p.lengths["hip_out"] - out, height, ahead + p.lengths["foot"], start[3], 0.0])
    keys = [(-EVER, a.start), (up, down), (a.end, EVER)]
    a.foot(RIGHT)[:] = through(a.t, keys, np.stack([start, lifted, start]), a.skew)
    a.add("x", [(up, down, 0.8 * p.stance)])


def behind(a: Actor) -> None:
    """Both hands lie on the lower back."""
    for side in (LEFT, RIGHT):
        spot = a.spot("hips", 0.045, float(a.rng.uniform(0.10, 0.16)), -0.20, swivel=0.3)
        a.reach(side, [(-EVER, EVER, spot)], rest=False, loose=0.006)
    a.add("turn", [(a.at(0.3), a.at(0.7), float(a.rng.normal(0, 0.25)))])


MOVES = {"show": show, "swing": swing, "rest": rest, "foot": foot, "behind": behind}


def mirrored_depth(x: np.ndarray, *, left: bool) -> np.ndarray:
    """Bring the lifted leg from before the hip to as far behind it, along the lines of sight: no place in the picture changes.

    Args:
        x: (T, 25, 3) camera coordinates.
        left: the left leg was lifted.
    """
    side, out = "left" if left else "right", x.copy()
    hip = x[:, J[f"{side}_hip"], 2]
    for part in ("knee", "ankle", "foot"):
        z = x[:, J[f"{side}_{part}"], 2]
        out[:, J[f"{side}_{part}"]] *= (np.maximum(2 * hip - z, 0.5) / z)[:, None]
    return out


def fidgeting(x: np.ndarray, rng: np.random.Generator, *, fps: float) -> np.ndarray:
    """Fingers moving to and fro across the line of sight, both hands on their own; (T, 25, 3) camera coordinates."""
    out, t = x.copy(), np.arange(len(x)) / fps
    for side in ("left", "right"):
        wave = [np.sin(2 * np.pi * rng.uniform(1.5, 3.0) * t + rng.uniform(0, 2 * np.pi)) for _ in range(2)]
        for part in HIDDEN:
            out[:, J[f"{side}_{part}"], 0] += FIDGET * wave[0]
            out[:, J[f"{side}_{part}"], 1] += FIDGET * wave[1]
    return out
