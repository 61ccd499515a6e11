"""From one skeleton to another: which joints of a source make every joint of a target.

Layouts share a body, not joint numbers. Sixteen *roles* name what most of them have: hips, spine, neck, head, shoulders, elbows,
wrists, hips, knees and ankles of both sides. They are read off the joint names; where a layout has no joint for a role, the mean of
its neighbours stands in (the hips of COCO are the middle of its two). ``common_body`` is the layout of just these joints.

    find_roles(topology)                         role -> joints whose mean it is
    joint_map(ntu, common_body()).apply(joints)  (..., 25, 3) -> (..., 16, 3)
    joint_map(a, b, {"left_thumb": "LeftHand"})  what names and roles do not say; also the path of a JSON file

*Neck* is the base of the neck, at the height of the shoulders, because that is what most sensors give. Bones of Acclaim files are
called after the bone and stand at its far end: the femur is at the knee.
"""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from skelbench.errors import DataError
from skelbench.skeleton.topology import Topology, split_sides, topology

BODY = "body_16"
Joints = tuple[int, ...]
Override = Mapping[str, str | Sequence[str]]

# In order of preference, matched against the whole name without its side.
_MIDDLE = {
    "hips": (r"spine_?base|mid_?hips?|hips?_?cent(er|re)", r"hips?|root|waist|pelvis"),
    "spine": (r"spine_?mid", r"spine_?1", r"spine", r"upper_?back", r"chest", r"torso|abdomen|lower_?back"),
    "neck": (r"spine_?shoulder|shoulders?_?cent(er|re)", r"lower_?neck", r"neck"),
    "head": (r"head", r"nose"),
}
_SIDED = {
    "shoulder": (r"shldr|(upper_?)?arm", r"clavicle", r"shoulder"),
    "elbow": (r"elbow", r"(fore|lower)_?arm", r"humerus"),
    "wrist": (r"radius", r"wrist", r"hand"),
    "hip": (r"thigh|up(per)?_?leg", r"hip_?joint", r"hip"),
    "knee": (r"knee", r"shin|calf|(lower_?)?leg", r"femur"),
    "ankle": (r"ankle", r"tibia", r"foot"),
}
# Markers on the skin: a joint is the middle of those around it.
_MARKERS = {
    "plugin_gait_39": {
        "hips": ("LASI", "RASI", "LPSI", "RPSI"),
        "spine": ("T10", "STRN"),
        "neck": ("C7", "CLAV"),
        "head": ("LFHD", "RFHD", "LBHD", "RBHD"),
        **{
            f"{side}_{role}": tuple(f"{side[0].upper()}{marker}" for marker in markers)
            for side in ("left", "right")
            for role, markers in (
                ("shoulder", ("SHO",)),
                ("elbow", ("ELB",)),
                ("wrist", ("WRA", "WRB")),
                ("hip", ("ASI", "PSI")),
                ("knee", ("KNE",)),
                ("ankle", ("ANK",)),
            )
        },
    }
}
ROLES = (*_MIDDLE, *(f"{side}_{role}" for role in _SIDED for side in ("left", "right")))


def find_roles(layout: Topology) -> dict[str, Joints]:
    """Role -> the joints whose mean it is, for all roles that the joint names tell; empty for a hand."""
    markers = _MARKERS.get(layout.name)
    if markers and {m for names in markers.values() for m in names} <= set(layout.joints):
        return {role: tuple(layout.joint(m) for m in markers[role]) for role in ROLES}
    split = split_sides(layout.joints)
    found: dict[str, Joints] = {}
    for role, patterns in _MIDDLE.items():
        found |= _first(role, split, "", patterns)
    for role, patterns in _SIDED.items():
        for side in ("left", "right"):
            found |= _first(f"{side}_{role}", split, side[0], patterns)
    if not {"left_shoulder", "right_shoulder", "left_hip", "right_hip"} <= set(found):
        return {}
    found.setdefault("hips", (*found["left_hip"], *found["right_hip"]))
    found.setdefault("neck", (*found["left_shoulder"], *found["right_shoulder"]))
    if "spine" not in found:  # both ends with the same weight
        size = math.lcm(len(found["hips"]), len(found["neck"]))
        found["spine"] = tuple(j for end in ("hips", "neck") for j in found[end] * (size // len(found[end])))
    return {role: found[role] for role in ROLES if role in found}


def _first(role: str, split: Sequence[tuple[str, str]], side: str, patterns: Sequence[str]) -> dict[str, Joints]:
    for pattern in patterns:
        for joint, (at, rest) in enumerate(split):
            if at == side and re.fullmatch(pattern, rest):
                return {role: (joint,)}
    return {}


def common_body(dims: int = 3, units: str = "metre") -> Topology:
    """The layout of the sixteen roles, in as many coordinates as the data have."""
    body = topology(BODY)
    return body if (dims, units) == (body.dims, body.units) else replace(body, dims=dims, units=units)


@dataclass(frozen=True, kw_only=True, eq=False)
class JointMap:
    """How every joint of ``target`` is made.

    Attributes:
        source: layout the coordinates are in.
        target: layout they come out in.
        joints: per target joint, the source joints whose mean it is; one that stands twice counts twice.
    """

    source: Topology
    target: Topology
    joints: tuple[Joints, ...]

    def apply(self, x: np.ndarray) -> np.ndarray:
        """Coordinates (..., V, C) of the source as (..., V', C) of the target.

        A joint of which a part is missing (all zero) is missing. A score (the coordinate after ``dims``) is averaged, too.

        Raises:
            DataError: another number of joints or of coordinates.
        """
        if x.ndim < 2 or x.shape[-2] != self.source.V or x.shape[-1] not in (self.source.dims, self.source.dims + 1):
            wanted = f"(..., {self.source.V}, {self.source.dims}) for topology {self.source.name!r}"
            raise DataError(f"joints have shape {x.shape}, wanted {wanted}, or one more for a score")
        out = np.empty((*x.shape[:-2], self.target.V, x.shape[-1]), x.dtype)
        for joint, parts in enumerate(self.joints):
            if len(parts) == 1:
                out[..., joint, :] = x[..., parts[0], :]
                continue
            taken = x[..., list(parts), :]  # (..., parts, C)
            whole = (taken != 0).any(axis=-1).all(axis=-1)  # (...)
            out[..., joint, :] = np.where(whole[..., None], taken.mean(axis=-2), 0)
        return out

    def to_dict(self) -> dict[str, Any]:
        """Target joint -> source joint, or a list of them: the form that ``joint_map`` reads."""
        named = {t: [self.source.joints[j] for j in parts] for t, parts in zip(self.target.joints, self.joints, strict=True)}
        return {t: parts[0] if len(parts) == 1 else parts for t, parts in named.items()}

    def __str__(self) -> str:
        rows = (f"{t} = {s if isinstance(s, str) else 'mean of ' + ', '.join(s)}" for t, s in self.to_dict().items())
        return f"{self.source.name} -> {self.target.name}: {'; '.join(rows)}"


def joint_map(source: Topology, target: Topology, override: Override | str | Path | None = None) -> JointMap:
    """The map between two layouts: by role, then by name, except where ``override`` says otherwise.

    Args:
        source: layout of the data.
        target: layout wanted.
        override: target joint -> source joint or several to average; a mapping, or a JSON file that holds one.

    Raises:
        DataError: the layouts have another number of coordinates, a target joint has no counterpart, or the override names a joint
            that is not there; the message says which, and the file.
    """
    if source.dims != target.dims:
        raise DataError(
            f"{source.name!r} has {source.dims} coordinates a joint and {target.name!r} {target.dims}: there are no "
            "coordinates that both have; bring both to a picture or both to space before they are imported"
        )
    given = _read_override(override, source, target)
    ours, theirs = find_roles(source), {parts: role for role, parts in find_roles(target).items() if len(parts) == 1}
    names = split_sides(source.joints)
    joints: list[Joints | None] = []
    for j, name in enumerate(target.joints):
        role, twin = theirs.get((j,)), split_sides(target.joints)[j]
        by_name = (names.index(twin),) if twin in names else None
        joints.append(given.get(name) or (ours.get(role) if role else None) or by_name)
    missing = [name for name, parts in zip(target.joints, joints, strict=True) if parts is None]
    if missing:
        raise DataError(
            f"{source.name!r} has no counterpart of {', '.join(map(repr, missing))} of {target.name!r}. Say which of its joints to "
            f'take, {{"{missing[0]}": ...}}, from: {", ".join(source.joints)}; or bring both sets to the common body {BODY!r}'
        )
    return JointMap(source=source, target=target, joints=tuple(parts for parts in joints if parts is not None))


def _read_override(override: Override | str | Path | None, source: Topology, target: Topology) -> dict[str, Joints]:
    where, table = "the joint mapping", override
    if isinstance(override, str | Path):
        where = str(override)
        try:
            table = json.loads(Path(override).read_text(encoding="utf-8"))
        except OSError as error:
            raise DataError(f"{where}: cannot read the joint mapping ({error.strerror})") from error
        except json.JSONDecodeError as error:
            raise DataError(f"{where}:{error.lineno}: not valid JSON ({error.msg})") from error
        except ValueError as error:
            raise DataError(f"{where}: not a text file ({error})") from error
    if not isinstance(table, Mapping | None):
        raise DataError(
            f'{where}: wanted one JSON object, joint of {target.name!r} -> joint(s) of {source.name!r}, {{"neck": "Neck"}}'
        )
    found: dict[str, Joints] = {}
    for name, parts in (table or {}).items():
        listed = [parts] if isinstance(parts, str) else parts
        if not isinstance(listed, list | tuple) or not listed or not all(isinstance(p, str) for p in listed):
            raise DataError(f"{where}: {name!r} should be a joint name or a list of them, not {parts!r}")
        _check_names(where, [name], target)
        _check_names(where, listed, source)
        found[name] = tuple(source.joint(p) for p in listed)
    return found


def _check_names(where: str, names: Sequence[str], layout: Topology) -> None:
    for name in names:
        if name not in layout.joints:
            near = difflib.get_close_matches(name, layout.joints, n=3, cutoff=0.4)
            hint = f"nearest: {', '.join(near)}; " if near else ""
            raise DataError(f"{where}: {layout.name!r} has no joint {name!r} ({hint}it has: {', '.join(layout.joints)})")
