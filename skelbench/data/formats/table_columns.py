"""Which column of a table is which, by name, without case and punctuation; or as told."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from skelbench.errors import DataError

# The first name there is counts.
NAMES = {
    "clip": "clip clipid clipname sample sampleid samplename sequence sequenceid seq seqid video videoid videoname trial file"
    " filename",
    "frame": "frame frameid frameindex frameidx framenumber frameno framenum",
    "body": "body bodyid person personid track trackid actor actorid skeleton skeletonid",
    "joint": "joint jointid jointname jointindex jointidx keypoint keypointid keypointname landmark landmarkid landmarkname"
    " landmarkindex bodypart marker",
    "x": "x posx xpos positionx xposition coordx xcoord xcoordinate",
    "y": "y posy ypos positiony yposition coordy ycoord ycoordinate",
    "z": "z posz zpos positionz zposition coordz zcoord zcoordinate",
    "score": "score confidence conf visibility likelihood probability prob",
    "label": "classname labelname actionname class label action activity category classid labelid actionid",
    "subject": "subject subjectid performer performerid participant participantid",
    "camera": "camera cameraid cam camid view viewid",
    "setup": "setup setupid",
    "group": "group groupid recording recordingid session sessionid",
}
ABOUT = ("subject", "camera", "setup", "group")
SCORES = "score|confidence|conf|visibility|likelihood|probability|prob"
AFTER = re.compile(rf"(?P<joint>.*?[^\s_.:/-])(?:[\s_.:/-]*(?P<axis>[xyz])|[\s_.:/-]+(?P<score>{SCORES}|[vcsp]))", re.IGNORECASE)
BEFORE = re.compile(rf"(?:(?P<axis>[xyz])|(?P<score>{SCORES}|[vcsp]))[\s_.:/-]*(?P<joint>[^\s_.:/-].*)", re.IGNORECASE)
FEWEST = 3  # joints of a wide table


@dataclass(frozen=True, kw_only=True)
class Roles:
    """Columns by what they are.

    Attributes:
        named: role -> column.
        wide: of a table with one row a frame: joint -> its columns x, y, perhaps z, perhaps score. Empty where a row is a joint.
        axes: numbers a joint: ``xy``, ``xyz``, and ``s`` for a score behind.
    """

    named: Mapping[str, str]
    wide: Mapping[str, tuple[str, ...]]
    axes: str

    @property
    def values(self) -> list[str]:
        """The columns of numbers of a joint, or of all joints one after the other."""
        return [c for columns in self.wide.values() for c in columns] if self.wide else [self.named[r] for r in self.axes_roles]

    @property
    def axes_roles(self) -> list[str]:
        return ["score" if a == "s" else a for a in self.axes]


def plain(name: str) -> str:
    """A name without case and punctuation."""
    return re.sub(r"[^a-z0-9]+", "", name.lower())


def find_roles(path: Path, columns: Sequence[str], told: Mapping[str, str | None]) -> Roles:
    """What the columns of a table are.

    Args:
        path: of the table, for messages.
        columns: their names.
        told: role -> column, where the user says it.

    Raises:
        DataError: a column that is told is not there, or frames and positions are missing.
    """
    named: dict[str, str] = {}
    for role, name in told.items():
        if name is not None:
            found = [c for c in columns if c == name] or [c for c in columns if plain(c) == plain(name)]
            if len(found) != 1:
                raise DataError(f"{path}:1: no column {name!r} for {role}=; there are: {', '.join(columns[:20])}")
            named[role] = found[0]
    free = [c for c in columns if c not in named.values()]
    for role, names in NAMES.items():
        if role not in named:
            found = [c for name in names.split() for c in free if plain(c) == name]
            if found:
                named[role] = found[0]
                free.remove(found[0])
    if {"joint", "x", "y"} <= set(named):
        if "frame" not in named:
            raise DataError(f"{path}:1: no column of frame numbers; say which with frame=; there are: {', '.join(columns[:20])}")
        axes = "xy" + "z" * ("z" in named) + "s" * ("score" in named)
        return Roles(named=named, wide={}, axes=axes)
    free = [c for c in columns if c not in {named.get(r) for r in ("clip", "frame", "body", "label", *ABOUT)}]
    wide = max((_wide(free, AFTER), _wide(free, BEFORE)), key=len)
    if len(wide) < FEWEST:
        raise DataError(
            f"{path}:1: wanted the columns frame, joint, x, y (a row a joint), or frame and e.g. hip_x, hip_y ... (a row a frame);"
            f" say other names with frame=, joint=, x=, y=. There are: {', '.join(columns[:20])}"
        )
    if "frame" not in named and "body" in named:
        raise DataError(f"{path}:1: bodies without frame numbers; say which column holds them with frame=")
    kinds = {joint: "".join(sorted(found, key="xyzs".index)) for joint, found in wide.items()}
    axes = next(iter(kinds.values()))
    odd = next((joint for joint, kind in kinds.items() if kind != axes), None)
    if odd is not None:
        raise DataError(f"{path}:1: joint {odd!r} has the columns {', '.join(wide[odd].values())}, the first joint has {axes!r}")
    return Roles(named=named, wide={j: tuple(found[a] for a in axes) for j, found in wide.items()}, axes=axes)


def _wide(columns: Sequence[str], pattern: re.Pattern[str]) -> dict[str, dict[str, str]]:
    """Joint -> (x, y, z or s -> column), of the joints that have x and y."""
    joints: dict[str, dict[str, str]] = {}
    for column in columns:
        found = pattern.fullmatch(column.strip()) if len(column) < 200 else None
        if found:
            joints.setdefault(found["joint"], {}).setdefault(found["axis"].lower() if found["axis"] else "s", column)
    return {joint: axes for joint, axes in joints.items() if {"x", "y"} <= set(axes)}
