"""Subjects and kinematics: who moves, and where the 25 Kinect v2 joints are for a given set of control tracks.

Frames of reference are right-handed with +x to the person's left, +y up, +z forwards. A movement is a matrix of control tracks
(T, WIDTH), see ``BODY``, ``ANCHORS`` and the slices below; ``pose`` turns it into joints: spine and head by forward kinematics,
arms and legs by two-bone inverse kinematics, so that a hand reaches the mouth and a planted foot stays where it is on every body.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from skelbench.skeleton.topology import topology

KINECT = topology("kinect_v2_25")
J = {name: number for number, name in enumerate(KINECT.joints)}

BODY = ("x", "y", "z", "heading", "pelvis_yaw", "pelvis_pitch", "pelvis_roll", "lean", "side", "twist", "turn", "nod", "tilt")
"""Root position, then angles, positive forwards (pitch, lean, nod), left (heading, yaw, twist, turn), right (roll, side, tilt)."""
ANCHORS = ("shoulder", "chest", "head", "hips", "home")
"""What a hand target is given against; ``home`` is the floor where the person started. Tracks hold (weight, x, y, z) for each."""

_B, ANCHORED = len(BODY), 4 * len(ANCHORS)
HAND = ANCHORED + 4  # anchors, swivel of the elbow (1), bend of the wrist (3)
FOOT = 5  # toe x, y, z, yaw, pitch
HANDS = (slice(_B, _B + HAND), slice(_B + HAND, _B + 2 * HAND))  # left, right
FEET = tuple(slice(_B + 2 * HAND + i * FOOT, _B + 2 * HAND + (i + 1) * FOOT) for i in range(2))
WIDTH = _B + 2 * HAND + 2 * FOOT

# Shares of body height, after Drillis and Contini's segment table, moved to where a Kinect v2 sees its joints.
SHARES: Mapping[str, float] = {
    "ankle": 0.050,
    "toe": 0.018,
    "shank": 0.232,
    "thigh": 0.238,
    "foot": 0.075,
    "hip_out": 0.047,
    "hip_down": 0.022,
    "spine_low": 0.155,
    "spine_high": 0.125,
    "neck": 0.040,
    "head": 0.090,
    "shoulder_out": 0.105,
    "shoulder_down": 0.018,
    "upper_arm": 0.165,
    "forearm": 0.145,
    "palm": 0.045,
    "tip": 0.045,
    "thumb": 0.028,
}
_PLATES = {"ankle", "toe"}  # heights above the floor, not bones: no spread of their own


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One person: proportions in metres and a style.

    Attributes:
        number: 1, 2, ...
        height: metres.
        lengths: segment -> metres, keys of ``SHARES``.
        left: the person prefers the left hand.
        tempo: > 1 moves faster than most.
        amplitude: > 1 moves wider than most.
        ease: how far key poses melt into each other, standard deviation in seconds.
        effort: how much the trunk joins in with the arms.
        sway: how restless the person stands.
        lean, gaze: habitual forward lean of the trunk and nod of the head, radians.
        stance: half the distance between the feet, metres. toe_out: radians.
        arm_out, arm_bend: how the resting arms hang, shares of the arm's length. swing: arm swing when walking.
    """

    number: int
    height: float
    lengths: Mapping[str, float]
    left: bool
    tempo: float
    amplitude: float
    ease: float
    effort: float
    sway: float
    lean: float
    gaze: float
    stance: float
    toe_out: float
    arm_out: float
    arm_bend: float
    swing: float

    @property
    def arm(self) -> float:
        """Shoulder to palm, metres."""
        return self.lengths["upper_arm"] + self.lengths["forearm"] + self.lengths["palm"]

    @property
    def leg(self) -> float:
        """Hip to ankle, metres."""
        return self.lengths["thigh"] + self.lengths["shank"]

    @property
    def standing(self) -> float:
        """Height of the spine base over the floor with straight legs, metres."""
        return self.lengths["ankle"] + self.leg + self.lengths["hip_down"]

    @property
    def scale(self) -> float:
        """1 for a person of 1.70 m."""
        return self.height / 1.7


def subject(number: int, *, seed: int = 0) -> Subject:
    """The person with this number; the same for every clip of a seed."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, 1, number]))
    height = float(np.clip(rng.normal(1.67, 0.14), 1.30, 1.98))
    limbs = dict(zip(("arm", "leg", "trunk", "width"), np.exp(rng.normal(0, 0.05, 4)), strict=True))
    limb_of = {"upper_arm": "arm", "forearm": "arm", "shank": "leg", "thigh": "leg", "spine_low": "trunk", "spine_high": "trunk"}
    limb_of |= {"shoulder_out": "width", "hip_out": "width"}
    lengths = {}
    for name, share in SHARES.items():
        own = 1.0 if name in _PLATES else float(np.exp(rng.normal(0, 0.025)))
        lengths[name] = share * height * own * float(limbs.get(limb_of.get(name, ""), 1.0))
    return Subject(
        number=number,
        height=height,
        lengths=lengths,
        left=bool(rng.random() < 0.25),
        tempo=float(np.exp(rng.normal(0, 0.14))),
        amplitude=float(np.exp(rng.normal(0, 0.15))),
        ease=float(rng.uniform(0.02, 0.06)),
        effort=float(rng.uniform(0.4, 1.6)),
        sway=float(rng.uniform(0.5, 1.8)),
        lean=float(rng.normal(0.03, 0.07)),
        gaze=float(rng.normal(0.05, 0.08)),
        stance=float(rng.uniform(0.08, 0.16)),
        toe_out=float(rng.uniform(0.05, 0.40)),
        arm_out=float(rng.uniform(0.08, 0.24)),
        arm_bend=float(rng.uniform(0.92, 0.985)),
        swing=float(rng.uniform(0.15, 0.40)),
    )


def rotation(yaw: np.ndarray, pitch: np.ndarray | float = 0.0, roll: np.ndarray | float = 0.0) -> np.ndarray:
    """Ry(yaw) Rx(pitch) Rz(roll), (..., 3, 3)."""
    a, b, c = np.broadcast_arrays(yaw, pitch, roll)
    sa, ca, sb, cb, sc, cc = np.sin(a), np.cos(a), np.sin(b), np.cos(b), np.sin(c), np.cos(c)
    R = np.empty((*a.shape, 3, 3))
    R[..., 0, 0], R[..., 0, 1], R[..., 0, 2] = ca * cc + sa * sb * sc, -ca * sc + sa * sb * cc, sa * cb
    R[..., 1, 0], R[..., 1, 1], R[..., 1, 2] = cb * sc, cb * cc, -sb
    R[..., 2, 0], R[..., 2, 1], R[..., 2, 2] = -sa * cc + ca * sb * sc, sa * sc + ca * sb * cc, ca * cb
    return R


def turned(R: np.ndarray, v: np.ndarray) -> np.ndarray:
    """R v over leading axes: (..., 3, 3), (..., 3) -> (..., 3)."""
    return R[..., 0] * v[..., None, 0] + R[..., 1] * v[..., None, 1] + R[..., 2] * v[..., None, 2]


def _unit(v: np.ndarray) -> np.ndarray:
    return v / np.sqrt((v * v).sum(-1, keepdims=True) + 1e-12)


def _lower(a: np.ndarray, b: np.ndarray | float, soft: float) -> np.ndarray:
    """Smooth minimum, never above either."""
    half = (a - b) / 2
    return (a + b) / 2 - np.sqrt(half * half + soft * soft)


def two_bone(start: np.ndarray, goal: np.ndarray, first: float, second: float, pole: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Middle and end joint of a limb that reaches for ``goal`` with its middle joint towards ``pole``; all (..., 3).

    A goal out of reach is approached along the line to it; the end joint is exactly on a goal in reach.
    """
    way = goal - start
    far = np.sqrt((way * way).sum(-1, keepdims=True) + 1e-12)
    way = way / far
    near = np.sqrt(first**2 + second**2 - 2 * first * second * np.cos(np.deg2rad(35.0)))  # no joint folds tighter than that
    far = np.clip(far, near, 0.998 * (first + second))
    along = (first**2 + far**2 - second**2) / (2 * far)
    out = _unit(pole - (pole * way).sum(-1, keepdims=True) * way)
    middle = start + way * along + out * np.sqrt(np.maximum(first**2 - along**2, 0.0))
    return middle, start + way * far


def pose(tracks: np.ndarray, person: Subject) -> np.ndarray:
    """Joints (T, 25, 3) of one person in the frame of his home place, from control tracks (T, WIDTH)."""
    size = person.lengths
    ch = {name: tracks[:, k] for k, name in enumerate(BODY)}
    joints = np.zeros((len(tracks), KINECT.V, 3))
    pelvis = rotation(ch["heading"] + ch["pelvis_yaw"], ch["pelvis_pitch"], ch["pelvis_roll"])
    half = rotation(ch["twist"] / 2, ch["lean"] / 2, ch["side"] / 2)
    belly = pelvis @ half
    chest = belly @ half
    root = _legs(joints, tracks, pelvis, ch, size)

    def put(name: str, base: np.ndarray, R: np.ndarray, x: float, y: float, z: float = 0.0) -> np.ndarray:
        joints[:, J[name]] = base + x * R[..., 0] + y * R[..., 1] + z * R[..., 2]
        return joints[:, J[name]]

    mid = put("spine_mid", root, belly, 0, size["spine_low"])
    top = put("spine_shoulder", mid, chest, 0, size["spine_high"])
    neck = put("neck", top, chest, 0, size["neck"])
    look = chest @ rotation(ch["turn"], ch["nod"], ch["tilt"])
    head = put("head", neck, look, 0, 0.97 * size["head"], 0.24 * size["head"])
    upright = rotation(ch["heading"] + ch["pelvis_yaw"] + ch["twist"])
    for i, (side, sign) in enumerate((("left", 1.0), ("right", -1.0))):
        shoulder = put(f"{side}_shoulder", top, chest, sign * size["shoulder_out"], -size["shoulder_down"])
        frames = ((upright, shoulder), (chest, top), (look, head), (pelvis, root), (np.eye(3), np.zeros(3)))
        _arm(joints, side, sign, tracks[:, HANDS[i]], frames, chest, size)
    return joints


def _legs(
    joints: np.ndarray, tracks: np.ndarray, pelvis: np.ndarray, ch: Mapping[str, np.ndarray], size: Mapping[str, float]
) -> np.ndarray:
    """Place pelvis and legs; the pelvis is lowered until both feet can stay on their places. Returns the spine base (T, 3)."""
    ankles, hips, poles = [], [], []
    rise = size["ankle"] - size["toe"]
    height = ch["y"]
    for i, sign in enumerate((1.0, -1.0)):
        foot = tracks[:, FEET[i]]
        yaw = ch["heading"] + np.clip(foot[:, 3] - ch["heading"], -1.0, 1.0)  # who turns round pivots on his toes
        R = rotation(yaw, foot[:, 4])
        ankle = foot[:, :3] + rise * R[..., 1] - size["foot"] * R[..., 2]
        hip = sign * size["hip_out"] * pelvis[..., 0] - size["hip_down"] * pelvis[..., 1]
        flat = (ankle[:, 0] - ch["x"] - hip[:, 0]) ** 2 + (ankle[:, 2] - ch["z"] - hip[:, 2]) ** 2
        reach = 0.995 * (size["thigh"] + size["shank"])
        tallest = ankle[:, 1] + np.sqrt(np.maximum(reach**2 - flat, (0.3 * reach) ** 2)) - hip[:, 1]
        height = _lower(height, tallest, 0.008)
        ankles.append(ankle)
        hips.append(hip)
        # Knees follow the toes, a little towards the heading: they never turn in or backwards.
        poles.append(_unit(rotation(yaw)[..., 2] + 0.6 * rotation(ch["heading"])[..., 2] + np.array([0.0, 0.25, 0.0])))
        joints[:, J["left_foot" if i == 0 else "right_foot"]] = foot[:, :3]
    root = np.stack([ch["x"], height, ch["z"]], -1)
    joints[:, J["spine_base"]] = root
    for side, ankle, hip, pole in zip(("left", "right"), ankles, hips, poles, strict=True):
        start = root + hip
        knee, end = two_bone(start, ankle, size["thigh"], size["shank"], pole)
        joints[:, J[f"{side}_hip"]], joints[:, J[f"{side}_knee"]], joints[:, J[f"{side}_ankle"]] = start, knee, end
        joints[:, J[f"{side}_foot"]] += end - ankle  # only where the ankle was out of reach
    return root


def _arm(
    joints: np.ndarray,
    side: str,
    sign: float,
    track: np.ndarray,
    frames: tuple[tuple[np.ndarray, np.ndarray], ...],
    chest: np.ndarray,
    size: Mapping[str, float],
) -> None:
    """Reach for the blend of the anchored targets, keep out of the trunk, and hang a hand with thumb on the wrist."""
    anchored = track[:, :ANCHORED].reshape(-1, len(ANCHORS), 4)
    goal = sum(anchored[:, k, :1] * origin + turned(R, anchored[:, k, 1:]) for k, (R, origin) in enumerate(frames))
    goal = _outside(goal, chest, joints[:, J["spine_shoulder"]], joints[:, J["head"]], size)
    shoulder, bend = joints[:, J[f"{side}_shoulder"]], turned(chest, track[:, ANCHORED + 1 :])
    lower = size["forearm"] + size["palm"]
    goal = _round_shoulder(shoulder, goal, chest, 0.37 * (size["upper_arm"] + lower))
    goal = _in_reach(shoulder, goal, size["upper_arm"] + lower)
    pole = _elbow_pole(goal - shoulder, chest, sign, track[:, ANCHORED])
    elbow, palm = two_bone(shoulder, goal, size["upper_arm"], lower, pole)
    along = (palm - elbow) / lower
    wrist = elbow + size["forearm"] * along
    finger = _unit(along + bend)
    # The thumb points forwards when the arm hangs and up when it reaches forwards; inwards decides in between.
    inner = turned(chest, np.array([-0.5 * sign, 0.6, 1.0]))
    thumb = _unit(inner - (inner * finger).sum(-1, keepdims=True) * finger)
    palm = wrist + size["palm"] * finger
    joints[:, J[f"{side}_elbow"]], joints[:, J[f"{side}_wrist"]], joints[:, J[f"{side}_hand"]] = elbow, wrist, palm
    joints[:, J[f"{side}_hand_tip"]] = palm + size["tip"] * finger
    joints[:, J[f"{side}_thumb"]] = palm + size["thumb"] * (0.4 * finger + 0.9 * thumb)


_AHEAD = np.array([0.10, -0.30, 0.949]) / np.linalg.norm((0.10, -0.30, 0.949))  # the hand before the body ...
_BELOW = np.array([0.70, -0.75, 0.0]) - np.dot((0.70, -0.75, 0.0), _AHEAD) * _AHEAD  # ... and where the elbow is then: down and out


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    out = np.empty_like(a)
    for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        out[..., i] = a[..., j] * b[..., k] - a[..., k] * b[..., j]
    return out


def _elbow_pole(way: np.ndarray, chest: np.ndarray, sign: float, swivel: np.ndarray) -> np.ndarray:
    """Which side of the line from shoulder to hand the elbow is on, (T, 3).

    The elbow's place for a hand before the body is carried along by the smallest turn to the hand's direction: back when the arm
    hangs, down when it reaches out, forwards when it is raised. The one direction where that jumps is behind the shoulder, where no
    hand goes.
    ``swivel`` (T,) radians lifts the elbow outwards about that line.
    """
    local = np.stack([(way * chest[..., k]).sum(-1) for k in range(3)], -1) * np.array([sign, 1.0, 1.0])
    d = _unit(local)
    e = _BELOW - ((d * _BELOW).sum(-1) / np.maximum(1 + (d * _AHEAD).sum(-1), 0.05))[:, None] * (d + _AHEAD)
    e = np.cos(swivel)[:, None] * e + np.sin(swivel)[:, None] * _cross(d, e)
    return turned(chest, e * np.array([sign, 1.0, 1.0]))


def _in_reach(start: np.ndarray, goal: np.ndarray, length: float) -> np.ndarray:
    """Bring a goal that is too far smoothly into reach, so that an elbow never snaps straight."""
    way = goal - start
    far = np.sqrt((way * way).sum(-1, keepdims=True) + 1e-12)
    return start + way / far * _lower(far, 0.985 * length, 0.01)


def _round_shoulder(shoulder: np.ndarray, goal: np.ndarray, chest: np.ndarray, radius: float) -> np.ndarray:
    """Lead a hand that would pass through its own shoulder round the front of it."""
    away = goal - shoulder
    local = np.stack([(away * chest[..., k]).sum(-1) for k in range(3)], -1)
    front = np.sqrt(np.maximum(radius**2 - local[:, 0] ** 2 - local[:, 1] ** 2, 0.0))
    gate = np.minimum(2 * front / radius, 1.0)
    gate = gate * gate * (3 - 2 * gate)
    gate = gate / (1 + np.exp(-(local[:, 2] + 0.6 * radius) / (0.1 * radius)))  # not for a hand behind the back
    push = gate * (-_lower(-local[:, 2], -front, 0.005) - local[:, 2])
    return goal + chest[..., 2] * push[:, None]


def _outside(goal: np.ndarray, chest: np.ndarray, top: np.ndarray, head: np.ndarray, size: Mapping[str, float]) -> np.ndarray:
    """Push hand targets out of the head, a ball, and of the trunk, an elliptic cylinder along the chest's own up axis.

    The walls are soft, so paths stay smooth.
    """
    away = goal - head
    far = np.sqrt((away * away).sum(-1, keepdims=True) + 1e-12)
    goal = head + away / far * -_lower(-far, -0.7 * size["head"], 0.01)
    away = goal - top
    local = np.stack([(away * chest[..., k]).sum(-1) for k in range(3)], -1)
    wide, deep = 0.95 * size["shoulder_out"], 0.115 * size["shoulder_out"] / 0.178
    rim = np.sqrt((local[:, 0] / wide) ** 2 + (local[:, 2] / deep) ** 2 + 1e-6)
    push = (1 - _lower(1 - rim, 0.0, 0.08) - rim) / rim  # (max(rim, 1) - rim) / rim, softly
    trunk = size["spine_low"] + size["spine_high"]
    inside = 1 / (1 + np.exp(-(-0.02 - local[:, 1]) / 0.02)) / (1 + np.exp(-(local[:, 1] + 1.15 * trunk) / 0.02))
    push = np.minimum(push, 3.0) * inside
    return goal + chest[..., 0] * (push * local[:, 0])[:, None] + chest[..., 2] * (push * local[:, 2])[:, None]
