"""A body of capsules round any skeleton: which joints its ends hang on, how thick it is, what it is made of.

Bodies whose joint names tell the sixteen roles of :mod:`skelbench.skeleton.mapping` get trunk, limbs, head with hair, hands and
feet, whatever their layout; every other skeleton (a hand) gets one capsule a bone. Thickness grows with the person.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

import torch
from torch import Tensor

from skelbench.skeleton.mapping import find_roles
from skelbench.skeleton.topology import Topology

MATERIALS = ("skin", "hair", "shirt", "sleeves", "trousers", "shoes", "ball", "lamp")
PERSON = 2.3  # metres from toes to finger tips along the bones, of a person of 1.70 m
HAND = 0.25  # metres along the bones of a hand, thumb to little finger
Weights = dict[int, float]

_THICK = {  # capsule radii of a person of 1.70 m, metres
    "thigh": 0.072,
    "shank": 0.052,
    "upper_arm": 0.046,
    "forearm": 0.038,
    "hand": 0.036,
    "finger": 0.016,
    "foot": 0.042,
    "neck": 0.050,
    "head": 0.105,
    "hair": 0.098,
    "shoulders": 0.075,
    "belly": 0.115,
    "flank": 0.085,
    "pelvis": 0.095,
}
_FINGER = re.compile(r"finger|tip|thumb|index|middle|ring|pinky|little", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class Flesh:
    """Q capsules of one body.

    Attributes:
        start: float32 (Q, V), rows sum to 1: weights of the joints in one end.
        end: float32 (Q, V), the other end.
        radius: float32 (Q,), metres for a person of 1.70 m.
        material: int64 (Q,), position in ``MATERIALS``.
        whole: metres along the bones, end to end, that ``radius`` is meant for.
    """

    start: Tensor
    end: Tensor
    radius: Tensor
    material: Tensor
    whole: float

    @property
    def needs(self) -> Tensor:
        """(Q, V) bool: the joints without which a capsule cannot be drawn."""
        return (self.start != 0) | (self.end != 0)


@functools.lru_cache(maxsize=64)
def flesh(topology: Topology) -> Flesh:
    """The capsules of a body with this layout."""
    roles = find_roles(topology)
    rows = _person(topology, roles) if roles else _bones(topology)
    start, end = torch.zeros(len(rows), topology.V), torch.zeros(len(rows), topology.V)
    for q, (a, b, _, _) in enumerate(rows):
        for weights, out in ((a, start), (b, end)):
            for joint, share in weights.items():
                out[q, joint] += share
    radius = torch.tensor([r for _, _, r, _ in rows])
    material = torch.tensor([MATERIALS.index(m) for _, _, _, m in rows])
    return Flesh(start, end, radius, material, PERSON if roles else HAND)


def _bones(topology: Topology) -> list[tuple[Weights, Weights, float, str]]:
    """A capsule a bone; a single joint is a ball."""
    rows = [({child: 1.0}, {parent: 1.0}, 0.011, "skin") for child, parent in topology.bones]
    return rows or [({0: 1.0}, {0: 1.0}, 0.011, "skin")]


def _person(topology: Topology, roles: dict[str, tuple[int, ...]]) -> list[tuple[Weights, Weights, float, str]]:
    at = {role: _mean(joints) for role, joints in roles.items()}
    rows: list[tuple[Weights, Weights, float, str]] = []

    def put(a: Weights, b: Weights, thick: str, material: str) -> None:
        rows.append((a, b, _THICK[thick], material))

    for side in ("left", "right"):
        for a, b, thick, material in (
            ("hip", "knee", "thigh", "trousers"),
            ("knee", "ankle", "shank", "trousers"),
            ("shoulder", "elbow", "upper_arm", "shirt"),
            ("elbow", "wrist", "forearm", "sleeves"),
        ):
            if {f"{side}_{a}", f"{side}_{b}"} <= set(at):
                put(at[f"{side}_{a}"], at[f"{side}_{b}"], thick, material)
        for role, thick, material in (("wrist", "hand", "skin"), ("ankle", "foot", "shoes")):
            if f"{side}_{role}" not in at:
                continue
            put(at[f"{side}_{role}"], at[f"{side}_{role}"], thick, material)
            for joint, parent in _beyond(topology, roles, f"{side}_{role}"):
                fine = role == "wrist" and bool(_FINGER.search(topology.joints[joint]))
                put({joint: 1.0}, {parent: 1.0}, "finger" if fine else thick, material)
        shoulder = _mix(at[f"{side}_shoulder"], at["neck"], 0.35)
        put(_mix(shoulder, at[f"{side}_hip"], 0.12), at[f"{side}_hip"], "flank", "shirt")
    put(at["left_shoulder"], at["right_shoulder"], "shoulders", "shirt")
    put(at["left_hip"], at["right_hip"], "pelvis", "trousers")
    put(_mix(at["neck"], at["hips"], 0.15), _mix(at["neck"], at["hips"], 0.85), "belly", "shirt")
    if "head" in at:
        put(at["neck"], at["head"], "neck", "skin")
        put(at["head"], at["head"], "head", "skin")
        crown = _mix(at["head"], at["neck"], -0.16)
        put(crown, crown, "hair", "hair")
    return rows


def _mean(joints: tuple[int, ...]) -> Weights:
    weights: Weights = {}
    for joint in joints:
        weights[joint] = weights.get(joint, 0.0) + 1 / len(joints)
    return weights


def _mix(a: Weights, b: Weights, share: float) -> Weights:
    """The point at this share of the way from a to b."""
    return {j: (1 - share) * a.get(j, 0.0) + share * b.get(j, 0.0) for j in {**a, **b}}


def _beyond(topology: Topology, roles: dict[str, tuple[int, ...]], role: str) -> list[tuple[int, int]]:
    """(joint, parent) of the bones that hang on the joints of a role and lead to no other role."""
    taken = {j for name, joints in roles.items() if name != role for j in joints}
    found, edge = [], set(roles[role])
    for joint in _downwards(topology):
        parent = topology.parents[joint]
        if parent in edge and joint not in taken and joint not in edge:
            edge.add(joint)
            found.append((joint, parent))
    return found


def _downwards(topology: Topology) -> list[int]:
    """All joints, parents before children."""
    order = [topology.root]
    for joint in order:  # grows while it is read
        order += [child for child, parent in topology.bones if parent == joint]
    return order


def body_size(joints: Tensor, seen: Tensor, topology: Topology) -> Tensor:
    """The longest way along the bones from one joint to another (N,), in the units of ``joints``; it does not change with the pose.

    Args:
        joints: (N, C, T, V, M).
        seen: bool (N, T, V, M), the joint is there.
        topology: its bones. A clip in which a bone is never seen counts it as 0.
    """
    N, _, _, V, _ = joints.shape
    length = joints.new_zeros(N, V)
    for child, parent in topology.bones:
        both = (seen[:, :, child] & seen[:, :, parent]).flatten(1)  # (N, T M)
        bone = (joints[:, :, :, child] - joints[:, :, :, parent]).norm(dim=1).flatten(1)
        middle = torch.where(both, bone, torch.nan).nanmedian(dim=1).values
        length[:, child] = torch.nan_to_num(middle)
    reach, longest = joints.new_zeros(N, V), joints.new_zeros(N)  # longest way down from a joint; longest through any so far
    for child in reversed(_downwards(topology)):
        parent = topology.parents[child]
        if parent >= 0:
            way = reach[:, child] + length[:, child]
            longest = torch.maximum(longest, reach[:, parent] + way)
            reach[:, parent] = torch.maximum(reach[:, parent], way)
    return longest
