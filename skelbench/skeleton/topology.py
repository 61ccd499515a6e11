"""Joint layouts as tables: names, parents, mirror pairs, parts, edge variants. No code outside this file knows a joint number.

``layouts.json`` beside this file holds the layouts of public data sets and pose estimators. A user's own skeleton is one JSON
file of the same form (only ``joints`` and ``parents`` are needed); what is left out is worked out from the joint names where they
say it.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from skelbench.errors import DataError

Pairs = tuple[tuple[int, int], ...]

_LONG = re.compile(r"left|right", re.IGNORECASE)
_SHORT = (re.compile(r"(?<=[_\W])[lLrR]$"), re.compile(r"^[lLrR](?=[_\W]|[A-Za-z])"))  # LowerArm_L is no "owerArm_L" of the left
_PELVIS = r"^(spine_?base|hips?|root|waist|pelvis|mid_?hip|hip_?cent(er|re))$"
_SPINE = r"^(spine_?mid|spine1?|abdomen|lower_?back|torso)$"
# In order of preference. Acclaim joints are the far ends of bones: the clavicle ends at the shoulder, the humerus at the elbow.
_SHOULDERS = (r"^(shldr|upper_?arm|arm)$", r"^clavicle$", r"shoulder$", r"humerus$")


@dataclass(frozen=True, kw_only=True, eq=False)
class Topology:
    """One joint layout.

    Attributes:
        name: how the layout is called in stores and error messages.
        joints: V joint names, in the order of the V axis.
        parents: parent index per joint; -1 marks the single root.
        pairs: (left, right) mirror pairs.
        parts: body part -> joint indices.
        edges: named edge lists of (child, parent); ``"tree"`` is always there and follows ``parents``.
        ancestors: named tables ``k_hop -> (V,)`` of the skip modality; the published tables where a layout has them.
        center: joint that per-frame centring subtracts (spine middle on Kinect), the root where none is known.
        spine: (lower, upper) joints whose difference is turned to +z; None where the layout has no such pair.
        shoulders: (from, to) joints whose difference ``to - from`` is turned to +x; None where there is none.
        dims: coordinates a joint has in this layout.
        units: free text.
    """

    name: str
    joints: tuple[str, ...]
    parents: tuple[int, ...]
    pairs: Pairs = ()
    parts: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    edges: Mapping[str, Pairs] = field(default_factory=dict)
    ancestors: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    center: int = 0
    spine: tuple[int, int] | None = None
    shoulders: tuple[int, int] | None = None
    dims: int = 3
    units: str = "metre"

    def __post_init__(self) -> None:
        _check_tree(self.name, self.joints, self.parents)
        n = len(self.joints)
        object.__setattr__(self, "edges", {**self.edges, "tree": self.bones})
        used = [j for pair in self.pairs for j in pair]
        if len(used) != len(set(used)):
            raise DataError(f"topology {self.name!r}: a joint stands in two mirror pairs: {self.pairs}")
        given = [*used, self.center, *(self.spine or ()), *(self.shoulders or ())]
        given += [j for table in (*self.parts.values(), *self.ancestors.values()) for j in table]
        given += [j for pairs in self.edges.values() for pair in pairs for j in pair]
        bad = [j for j in given if not 0 <= j < n]
        if bad:
            raise DataError(f"topology {self.name!r}: joint number {bad[0]} is outside 0..{n - 1}")
        for name, table in self.ancestors.items():
            if len(table) != n:
                raise DataError(
                    f"topology {self.name!r}: ancestor table {name!r} has {len(table)} entries, wanted one a joint, {n}"
                )
        if self.dims < 1:
            raise DataError(f"topology {self.name!r}: dims = {self.dims}, wanted the number of coordinates of a joint, 2 or 3")

    @property
    def V(self) -> int:
        """Number of joints."""
        return len(self.joints)

    @property
    def root(self) -> int:
        return self.parents.index(-1)

    @property
    def bones(self) -> Pairs:
        """(child, parent) of every joint but the root."""
        return tuple((j, p) for j, p in enumerate(self.parents) if p >= 0)

    @property
    def flip_index(self) -> tuple[int, ...]:
        """Permutation (V,) that swaps left and right; a true mirror also negates the lateral coordinate."""
        index = list(range(self.V))
        for left, right in self.pairs:
            index[left], index[right] = right, left
        return tuple(index)

    @property
    def side(self) -> tuple[int, ...]:
        """Per joint: -1 left, 0 middle, +1 right (V,)."""
        side = [0] * self.V
        for left, right in self.pairs:
            side[left], side[right] = -1, 1
        return tuple(side)

    def ancestor(self, hops: int) -> tuple[int, ...]:
        """Joint that lies ``hops`` steps towards the root, itself where the root comes sooner (V,)."""
        index = []
        for j in range(self.V):
            a = j
            for _ in range(hops):
                a = self.parents[a]
                if a < 0:
                    a = j
                    break
            index.append(a)
        return tuple(index)

    def joint(self, name: str) -> int:
        """Index of a joint by name. Raises DataError listing the names there are."""
        if name not in self.joints:
            raise DataError(f"topology {self.name!r} has no joint {name!r}; it has: {', '.join(self.joints)}")
        return self.joints.index(name)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON form; ``Topology.from_dict`` reads it back."""
        return {
            "name": self.name,
            "joints": list(self.joints),
            "parents": list(self.parents),
            "left_right_pairs": [list(p) for p in self.pairs],
            "parts": {k: list(v) for k, v in self.parts.items()},
            "edge_variants": {k: [list(e) for e in v] for k, v in self.edges.items() if k != "tree"},
            "k_hop_ancestor": {k: list(v) for k, v in self.ancestors.items()},
            "center": self.center,
            "spine": list(self.spine) if self.spine else None,
            "shoulders": list(self.shoulders) if self.shoulders else None,
            "dims": self.dims,
            "units": self.units,
        }

    @classmethod
    def from_dict(cls, table: Mapping[str, Any], *, name: str | None = None) -> Topology:
        """Read the JSON form. Only ``joints`` (or ``joint_names``) and ``parents`` are required.

        Pairs, parts, centre, spine and shoulders that are left out are worked out from the joint names; an empty table, or null
        for spine and shoulders, says that there are none.

        Raises:
            DataError: names and parents differ in number, parents form no tree, or a joint number is out of range.
        """
        name = str(table.get("name", name or "custom"))
        raw = table.get("joints", table.get("joint_names"))
        if not isinstance(raw, Sequence) or isinstance(raw, str) or "parents" not in table:
            raise DataError(f"topology {name!r} needs 'joints' (a list of names) and 'parents' (a list of numbers, -1 = root)")
        joints = tuple(str(j) for j in raw)
        try:
            parents = tuple(int(p) for p in table["parents"])
            _check_tree(name, joints, parents)
            given = table.get("left_right_pairs")
            pairs = _pairs(given) if given is not None else guess_pairs(joints)
            given = table.get("parts")
            parts = {k: tuple(int(j) for j in v) for k, v in given.items()} if given is not None else None
            center, spine, shoulders = _anatomy(table, joints, parents)
            return cls(
                name=name,
                joints=joints,
                parents=parents,
                pairs=pairs,
                parts=parts if parts is not None else guess_parts(joints, parents, pairs),
                edges={k: _pairs(v) for k, v in (table.get("edge_variants") or {}).items()},
                ancestors={k: tuple(int(j) for j in v) for k, v in (table.get("k_hop_ancestor") or {}).items()},
                center=center,
                spine=spine,
                shoulders=shoulders,
                dims=int(table.get("dims", 3)),
                units=str(table.get("units", "metre")),
            )
        except DataError:
            raise
        except (TypeError, ValueError, AttributeError, IndexError) as error:
            raise DataError(f"topology {name!r}: a table holds something that is not a joint number ({error})") from error

    @classmethod
    def from_json(cls, path: str | Path) -> Topology:
        """Read a topology file. Raises DataError naming the file when it is missing or not of the form above."""
        path = Path(path)
        try:
            table = json.loads(path.read_text())
        except OSError as error:
            raise DataError(f"{path}: cannot read the topology file ({error.strerror})") from error
        except json.JSONDecodeError as error:
            raise DataError(f"{path}:{error.lineno}: not valid JSON ({error.msg})") from error
        if not isinstance(table, dict):
            raise DataError(f"{path}: a topology file holds one JSON object with 'joints' and 'parents'")
        return cls.from_dict(table, name=path.stem)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Topology) and self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash((self.name, self.joints, self.parents))


def _pairs(rows: Any) -> Pairs:
    return tuple((int(a), int(b)) for a, b in rows)


def _check_tree(name: str, joints: Sequence[str], parents: Sequence[int]) -> None:
    if len(joints) != len(parents) or not joints:
        raise DataError(f"topology {name!r}: {len(joints)} joint names but {len(parents)} parents, wanted one parent a joint")
    repeated = {j for j in joints if joints.count(j) > 1}
    if repeated:
        raise DataError(f"topology {name!r}: joint names stand twice: {', '.join(sorted(repeated))}")
    bad = [p for p in parents if not -1 <= p < len(joints)]
    if bad:
        raise DataError(f"topology {name!r}: parent {bad[0]} is neither a joint 0..{len(joints) - 1} nor -1, the root")
    roots = [j for j, p in enumerate(parents) if p < 0]
    if len(roots) != 1:
        raise DataError(f"topology {name!r}: exactly one joint must have parent -1, found {len(roots)}")
    for j in range(len(joints)):
        seen, at = set(), j
        while parents[at] >= 0:
            if at in seen:
                raise DataError(f"topology {name!r}: the parents of joint {j} ({joints[j]}) do not lead to the root")
            seen.add(at)
            at = parents[at]


def split_sides(joints: Sequence[str]) -> list[tuple[str, str]]:
    """Per joint ('l' | 'r' | '', name without the side): left_knee, LeftKnee, lknee, lShldr, knee_l.

    A side counts only where the twin is there too, so that ``root`` and ``lowerback`` stay in the middle.
    """
    split = []
    for name in joints:
        found = _LONG.search(name) or _SHORT[0].search(name) or _SHORT[1].search(name)
        side = found.group(0)[0].lower() if found else ""
        rest = (name[: found.start()] + name[found.end() :]) if found else name
        split.append((side, rest.strip("_- .").lower()))
    there = set(split)
    twins = {(s, rest) for s, rest in split if ("l", rest) in there and ("r", rest) in there}
    return [key if key in twins else ("", name.lower()) for key, name in zip(split, joints, strict=True)]


def guess_pairs(joints: Sequence[str]) -> Pairs:
    """(left, right) pairs read off the joint names: two names that are equal but for their side."""
    split = split_sides(joints)
    return tuple((j, split.index(("r", rest))) for j, (side, rest) in enumerate(split) if side == "l")


def guess_parts(joints: Sequence[str], parents: Sequence[int], pairs: Pairs) -> dict[str, tuple[int, ...]]:
    """Arms, legs and torso from names and tree: a side joint belongs to the leg when its chain passes hip, thigh, knee or foot."""
    side = {j: "left" for j, _ in pairs} | {j: "right" for _, j in pairs}
    parts: dict[str, list[int]] = {"left_arm": [], "right_arm": [], "left_leg": [], "right_leg": [], "torso": []}
    for j in range(len(joints)):
        if j not in side:
            parts["torso"].append(j)
            continue
        chain, at = "", j
        while at in side:
            chain, at = chain + " " + joints[at].lower(), parents[at]
        leg = re.search(r"hip|thigh|knee|foot|toe|ankle|femur|tibia|shin|leg|buttock", chain)
        parts[f"{side[j]}_{'leg' if leg else 'arm'}"].append(j)
    return {k: tuple(v) for k, v in parts.items() if v}


def _find(joints: Sequence[str], pattern: str, side: str = "") -> int | None:
    for j, (at, rest) in enumerate(split_sides(joints)):
        if at == side and re.search(pattern, rest, re.IGNORECASE):
            return j
    return None


def _anatomy(
    table: Mapping[str, Any], joints: Sequence[str], parents: Sequence[int]
) -> tuple[int, tuple[int, int] | None, tuple[int, int] | None]:
    """Centre, spine and shoulders: from the table where it says them, else from the joint names."""
    align = table.get("align") or {}
    root = list(parents).index(-1)
    pelvis = _find(joints, _PELVIS)
    spine = _find(joints, _SPINE)
    if spine is None and pelvis is not None:  # the pelvis' unpaired child
        middle = [j for j, (side, _) in enumerate(split_sides(joints)) if not side]
        spine = next((j for j in middle if parents[j] == pelvis), None)
    sides = ((_find(joints, pattern, "l"), _find(joints, pattern, "r")) for pattern in _SHOULDERS)
    left, right = next((pair for pair in sides if None not in pair), (None, None))
    center = table.get("center", (table.get("center_joint") or {}).get("normalisation_origin"))
    if center is None:
        center = spine if spine is not None else root
    up, across = table.get("spine", align.get("z_axis")), table.get("shoulders")
    if "spine" not in table and up is None and pelvis is not None and spine is not None and pelvis != spine:
        up = (pelvis, spine)
    if "shoulders" not in table:
        if "x_axis_right_to_left_shoulder" in align:
            right_left = align["x_axis_right_to_left_shoulder"]
            across = (right_left[1], right_left[0])  # difference = joint 8 - joint 4 on Kinect
        elif left is not None and right is not None:
            across = (left, right)
    return int(center), (int(up[0]), int(up[1])) if up else None, (int(across[0]), int(across[1])) if across else None


@functools.cache
def _layouts() -> dict[str, Any]:
    return json.loads((Path(__file__).parent / "layouts.json").read_text())["layouts"]


def topologies() -> tuple[str, ...]:
    """Names of the layouts that come with skelbench."""
    return tuple(_layouts())


@functools.cache
def topology(name: str) -> Topology:
    """A layout that comes with skelbench, by name or alias (``"kinect_v2_25"``, ``"ntu60"``).

    Raises:
        DataError: no such layout; the message lists those there are.
    """
    for key, table in _layouts().items():
        if name == key or name in table.get("aliases", ()):
            return Topology.from_dict({**table, "name": key})
    raise DataError(f"no joint layout called {name!r}; there are: {', '.join(_layouts())}; Topology.from_json reads your own")
