"""The parts of a skeleton that PSUMNet (ECCVW 2022) gives a network of its own: body, hand, leg, and the bones within each.

A part is sliced out of the whole skeleton and keeps its place in space. It has an own list of bones, pairs (child, parent): the
bone of a joint is its own place less its parent's, and the network's first graphs are these pairs. Where the list of the released
code differs from what its layout means, both can be had:

``fixed``     the tree of the layout, cut down to the part
``faithful``  the released list. Kinect v2: the chain of the right leg hangs one joint off, so that the right foot hangs on nothing
              and the right hip on the left foot. NTU-X: hands hang on elbows, the right index tip on the thumb. SHREC: pairs that
              count from 0 are read as counting from 1, and the other way round, so that the wrist hangs on the tip of the little
              finger and fingers are cut at the wrong joints.

Which of the two the published numbers were made with is not known; no sign speaks for a corrected list. Layouts that the release
does not know have the first reading only. There ``hand`` is both arms with their fingers, and ``leg`` both legs, each with the
joint they hang on; a layout that is a hand has ``hand`` alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from skelbench.errors import ConfigError, DataError
from skelbench.skeleton.clip import check_joints
from skelbench.skeleton.streams import motion
from skelbench.skeleton.topology import Pairs, Topology

STREAM_NAMES = ("body", "hand", "leg")
READINGS = ("faithful", "fixed")
MODALITIES = ("joint", "bone", "joint_velocity", "bone_velocity")
_ARMS, _LEGS = ("left_arm", "left_fingers", "right_arm", "right_fingers"), ("left_leg", "right_leg")
_FINGERS = {"thumb", "index"}


@dataclass(frozen=True, kw_only=True)
class PartStream:
    """One part.

    Attributes:
        name: body, hand or leg.
        joints: joints of the layout, in the part's own order.
        pairs: (child, parent) in that order. A later pair takes the place of an earlier one of the same child as bone, not as edge.
    """

    name: str
    joints: tuple[int, ...]
    pairs: Pairs

    @property
    def V(self) -> int:
        """Number of joints."""
        return len(self.joints)

    def graph(self) -> Tensor:
        """Self, inward, outward (3, V, V), entry [to, from]: inward a parent takes from its children; columns sum to 1 or 0."""
        inward = torch.zeros(self.V, self.V)
        for child, parent in self.pairs:
            inward[parent, child] = 1
        stack = torch.stack([torch.eye(self.V), inward, inward.T])
        return stack / stack.sum(dim=1, keepdim=True).clamp(min=1)

    def unified(self, x: Tensor, topology: Topology, modalities: Sequence[str] = MODALITIES) -> Tensor:
        """Modalities of the part, all four or some, one after the other along C: (N, C, T, V, M) -> (N, 4 C, T, V', M)."""
        check_joints(x, topology)
        joints = x.index_select(3, torch.tensor(self.joints, device=x.device))
        found = {"joint": joints}
        if any(name.startswith("bone") for name in modalities):
            origins = list(range(self.V))
            for child, parent in self.pairs:
                origins[child] = parent
            found["bone"] = joints - joints.index_select(3, torch.tensor(origins, device=x.device))
        for name in [name for name in found if f"{name}_velocity" in modalities]:
            found[f"{name}_velocity"] = motion(found[name])
        return torch.cat([found[name] for name in MODALITIES if name in modalities], dim=1)


def part_streams(topology: Topology, *, reading: str = "faithful") -> dict[str, PartStream]:
    """The parts of a layout by name, those of ``body``, ``hand``, ``leg`` that it has.

    Args:
        topology: the layout. Parts it calls ``psumnet_<name>...`` are taken as they stand.
        reading: ``faithful`` or ``fixed``; equal where the release does not know the layout.

    Raises:
        ConfigError: no such reading.
        DataError: the layout has no parts to make streams of.
    """
    if reading not in READINGS:
        raise ConfigError(f"no reading {reading!r} of the part graphs; there are: {', '.join(READINGS)}")
    found = {name: joints for name in STREAM_NAMES if (joints := _joints(topology, name))}
    if not set(found) - {"body"}:
        had = f"it has: {', '.join(topology.parts)}" if topology.parts else "it has none"
        raise DataError(
            f"topology {topology.name!r} has no parts that streams could be made of ({had}). Wanted 'left_arm' and 'right_arm', or "
            "'left_leg' and 'right_leg', or the 'thumb' and 'index' of a hand, each a list of joints: name them under 'parts' in "
            "the JSON of the topology"
        )
    return {
        name: PartStream(name=name, joints=joints, pairs=_pairs(topology, name, joints, reading)) for name, joints in found.items()
    }


def _joints(topology: Topology, name: str) -> tuple[int, ...]:
    """The joints of a part in its own order; none where the layout lacks it."""
    own = next((joints for key, joints in topology.parts.items() if key.startswith(f"psumnet_{name}")), None)
    if own is not None:
        return own
    parts, everything = topology.parts, tuple(range(topology.V))
    if set(parts) >= _FINGERS and not any(limb in parts for limb in (*_ARMS, *_LEGS)):
        return everything if name == "hand" else ()
    if name == "body":
        return everything
    limbs = [parts[limb] for limb in (_ARMS if name == "hand" else _LEGS) if limb in parts]
    if not any(limbs):
        return ()
    joints = tuple(dict.fromkeys(j for limb in limbs for j in limb))
    hub = _hub(topology, joints)
    return joints if hub in joints else (hub, *joints)


def _chain(topology: Topology, joint: int) -> list[int]:
    """The joint, its parent, and so on to the root."""
    chain = [joint]
    while topology.parents[chain[-1]] >= 0:
        chain.append(topology.parents[chain[-1]])
    return chain


def _hub(topology: Topology, joints: Iterable[int]) -> int:
    """The joint nearest to these that all of them hang on."""
    chains = [_chain(topology, j) for j in joints]
    return next(j for j in chains[0] if all(j in chain for chain in chains))


def _within(topology: Topology, joints: tuple[int, ...]) -> Pairs:
    """(child, parent) of the part: the nearest joint towards the root that belongs to it."""
    place = {j: i for i, j in enumerate(joints)}
    found = []
    for j in joints:
        above = next((place[a] for a in _chain(topology, j)[1:] if a in place), None)
        if above is not None:
            found.append((place[j], above))
    return tuple(found)


def _pairs(topology: Topology, name: str, joints: tuple[int, ...], reading: str) -> Pairs:
    released = RELEASED.get((name, len(joints), topology.name))
    if released is None or (reading == "fixed" and (name, len(joints)) in MENDED):
        return _within(topology, joints)
    return tuple((child - 1, parent - 1) for child, parent in released)


def _fingers(root: int, first: int) -> Pairs:
    """Five fingers of four joints, from ``first`` on, on the root of a hand."""
    return tuple((first + 4 * f + i, root if i == 0 else first + 4 * f + i - 1) for f in range(5) for i in range(4))


def _shifted(parents: tuple[int, ...], V: int) -> Pairs:
    """A tree that counts from 0 with its pairs turned round, read as counting from 1: joint 0 comes to be the last."""
    return tuple(((p - 1) % V + 1, (c - 1) % V + 1) for c, p in enumerate(parents) if p >= 0)


_KINECT_BODY: Pairs = (
    *((1, 2), (2, 21), (3, 21), (4, 3), (5, 21), (6, 5), (7, 6), (8, 7), (9, 21), (10, 9), (11, 10), (12, 11)),
    *((13, 1), (14, 13), (15, 14), (16, 15), (17, 1), (18, 17), (19, 18), (20, 19), (22, 23), (23, 8), (24, 25), (25, 12)),
)
_KINECT_HAND: Pairs = ((2, 1), (3, 2), (4, 3), (5, 4), (6, 5), (7, 5), (8, 1), (9, 8), (10, 9), (11, 10), (12, 11), (13, 11))
_KINECT_LEG: Pairs = ((2, 1), (3, 2), (4, 3), (5, 4), (5, 1), (6, 5), (7, 6), (8, 7))
_NTUX_BODY: Pairs = (
    *((1, 2), (3, 2), (4, 3), (5, 4), (6, 2), (7, 6), (8, 7), (9, 2), (10, 9), (11, 10), (12, 11), (13, 9), (14, 13), (15, 14)),
    *((16, 1), (17, 1), (18, 16), (19, 17), (20, 15), (21, 20), (22, 15), (23, 12), (24, 23), (25, 12)),
    *((26, 4), (27, 26), (28, 27), (29, 26), (30, 26), (31, 26), (32, 7), (33, 32), (34, 32), (35, 32), (36, 32), (37, 32)),
)
_NTUX_HAND: Pairs = ((2, 1), (3, 2), (7, 3), *_fingers(7, 8), (5, 4), (6, 5), (28, 6), *_fingers(28, 29), (4, 1))
_NTUX_LEG: Pairs = (*((2, 1), (3, 2), (4, 3), (5, 4), (6, 4), (7, 6)), *((8, 1), (9, 8), (10, 9), (11, 10), (12, 10), (13, 12)))
_SHREC = _shifted((-1, 0, 1, 2, 3, 4, 1, 6, 7, 8, 1, 10, 11, 12, 1, 14, 15, 16, 1, 18, 19, 20), 22)

# (part, joints, layout) -> the released pairs, (child, parent) counting from 1; and the parts in which the two readings differ.
RELEASED: dict[tuple[str, int, str], Pairs] = {
    ("body", 25, "kinect_v2_25"): _KINECT_BODY,
    ("hand", 13, "kinect_v2_25"): _KINECT_HAND,
    ("leg", 9, "kinect_v2_25"): _KINECT_LEG,
    ("body", 37, "ntu_x_67"): _NTUX_BODY,
    ("hand", 48, "ntu_x_67"): _NTUX_HAND,
    ("leg", 13, "ntu_x_67"): _NTUX_LEG,
    ("hand", 22, "shrec17_hand_22"): _SHREC,
}
MENDED = {("leg", 9), ("body", 37), ("hand", 22)}
