"""Six parts of a skeleton that share no joint and leave none out, whatever the layout calls its own.

SkeletonMAE (ICCV 2023, figure 2d) parts the 17 joints of COCO into head 5, torso 4 (shoulders and hips), and four limbs of two.
``six_parts`` gives that for COCO and its like for every other layout:

1. A layout whose own parts are six and cover every joint once keeps them (BODY_25, the SHREC hand).
2. A body, that is a layout with two arms and two legs, is brought to head, torso, left arm, right arm, left leg, right leg.
   Other parts of its table that share no joint with these (fingers, face) join the part they hang on. Joints of no part join the
   torso. Where there is no torso, the joint of every limb that is nearest to the root becomes one: shoulders and hips. Where there
   is no head, it is what is left of the torso on the far side of the legs when the joint that carries the arms is taken away: the
   neck and what it carries.
3. Five parts and joints in none of them (the MediaPipe hand): the rest is the sixth.
4. Anything else is cut along its bones: the largest piece in two, as evenly as the tree allows, until there are six.
"""

from __future__ import annotations

from collections.abc import Iterable

from skelbench.errors import DataError
from skelbench.skeleton.topology import Topology

BODY = ("head", "torso", "left_arm", "right_arm", "left_leg", "right_leg")  # V0 .. V5 of the paper
LIMBS = BODY[2:]
Parts = dict[str, tuple[int, ...]]


def six_parts(topology: Topology) -> Parts:
    """Part name -> joints, six of them; a body's in the order head, torso, left arm, right arm, left leg, right leg.

    Raises:
        DataError: fewer than six joints.
    """
    if topology.V < 6:
        raise DataError(
            f"topology {topology.name!r} has {topology.V} joints ({', '.join(topology.joints)}): six parts need six. "
            "Mask single joints instead (masking='joints')"
        )
    own = {name: tuple(sorted(joints)) for name, joints in topology.parts.items() if joints}
    if all(limb in own for limb in LIMBS) and _disjoint(own[limb] for limb in LIMBS):
        body = _body(topology, own)
        if all(body.values()):
            return {name: tuple(sorted(body[name])) for name in BODY}
    elif _disjoint(own.values()):
        rest = tuple(j for j in range(topology.V) if not any(j in part for part in own.values()))
        if len(own) == 6 and not rest:
            return own
        if len(own) == 5 and rest:
            return {"rest": rest, **own}
    return _cut(topology)


def _disjoint(parts: Iterable[Iterable[int]]) -> bool:
    joints = [j for part in parts for j in part]
    return len(joints) == len(set(joints))


def _body(topology: Topology, own: Parts) -> dict[str, set[int]]:
    """Rule 2. A part may come out empty, where the tree has nothing to make it of."""
    body = {name: set(own.get(name, ())) for name in BODY}
    body["head"] -= {j for limb in LIMBS for j in body[limb]}
    body["torso"] -= {j for name in BODY if name != "torso" for j in body[name]}
    for joints in own.values():  # fingers, face: nothing of them is in the six yet
        if not any(j in part for part in body.values() for j in joints):
            _carrier(topology, body, joints).update(joints)
    placed = {j for part in body.values() for j in part}
    body["torso"] |= set(range(topology.V)) - placed
    if not body["torso"]:
        for limb in LIMBS:
            if len(body[limb]) > 1:
                nearest = min(body[limb], key=lambda j: (_depth(topology, j), j))
                body[limb].remove(nearest)
                body["torso"].add(nearest)
    if not body["head"]:
        body["head"] = _beyond_the_arms(topology, body)
        body["torso"] -= body["head"]
    return body


def _carrier(topology: Topology, body: dict[str, set[int]], joints: Iterable[int]) -> set[int]:
    """The part that the topmost of these joints hangs on; the torso where it hangs on none."""
    at = topology.parents[min(joints, key=lambda j: _depth(topology, j))]
    while at >= 0:
        for part in body.values():
            if at in part:
                return part
        at = topology.parents[at]
    return body["torso"]


def _depth(topology: Topology, joint: int) -> int:
    steps = 0
    while (joint := topology.parents[joint]) >= 0:
        steps += 1
    return steps


def _neighbours(topology: Topology) -> list[set[int]]:
    near: list[set[int]] = [set() for _ in range(topology.V)]
    for child, parent in topology.bones:
        near[child].add(parent)
        near[parent].add(child)
    return near


def _beyond_the_arms(topology: Topology, body: dict[str, set[int]]) -> set[int]:
    """Joints of the torso that the legs reach only through the joint that carries the arms."""
    near = _neighbours(topology)
    carriers = {j for limb in ("left_arm", "right_arm") for a in body[limb] for j in near[a] if j in body["torso"]}
    reached, going = set(), [j for limb in ("left_leg", "right_leg") for a in body[limb] for j in near[a]]
    while going:
        at = going.pop()
        if at in body["torso"] and at not in carriers and at not in reached:
            reached.add(at)
            going += near[at]
    return body["torso"] - carriers - reached


def _cut(topology: Topology) -> Parts:
    """Rule 4: pieces named after their topmost joint, in the order of these."""
    pieces = [set(range(topology.V))]
    while len(pieces) < 6:
        piece = max(pieces, key=lambda p: (len(p), -min(p)))
        below = [_below(topology, piece, j) for j in sorted(piece) if topology.parents[j] in piece]
        half = min(below, key=lambda b: (abs(2 * len(b) - len(piece)), min(b)))
        pieces.remove(piece)
        pieces += [piece - half, half]
    tops = {min(p, key=lambda j: (_depth(topology, j), j)): p for p in pieces}
    return {topology.joints[top]: tuple(sorted(tops[top])) for top in sorted(tops)}


def _below(topology: Topology, piece: set[int], joint: int) -> set[int]:
    """The joint and everything in the piece that hangs on it."""
    found = {joint}
    for j in sorted(piece, key=lambda j: _depth(topology, j)):
        if topology.parents[j] in found and j in piece:
            found.add(j)
    return found
