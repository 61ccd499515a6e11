"""Tables of one's own: CSV, TSV or parquet, a row a joint or a row a frame, with class, subject and camera beside it.

    clip,frame,body,joint,x,y,z,score,label,subject          a row a joint; body, z, score, label ... where there are any
    clip,frame,hip_x,hip_y,hip_z,knee_x, ...                 a row a frame; also j0_x, x0 ..., with a score as hip_score or hip_c

Columns are found by their names, without case and punctuation (``skelbench.data.formats.table_columns.NAMES``), or told. Without a
column ``clip`` a file is one clip, its class the folder or in ``labels``. The rows of a clip stand together, so that a table of any
length is read some thousand rows at a time; within a clip their order does not matter. Frames are numbered; a frame, body or joint
without a row, and a joint whose coordinates are empty, was not seen and is zero.

Joints have names, which make the layout if they are those of a built-in one, or numbers, from 0 or 1 up, or are told by
``topology``. y points up and units are metres unless told otherwise (``up``, ``scale``, ``units``).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from skelbench.data.formats.on_disk import first_line, holds
from skelbench.data.formats.own_data import Units, Up, coordinates
from skelbench.data.formats.source import Source, check_positive, clip_of, options_of, stride
from skelbench.data.formats.table_clips import Shape, build, clip_rows, joints_of
from skelbench.data.formats.table_columns import find_roles
from skelbench.data.formats.table_file import chunks, first_cells
from skelbench.data.formats.table_survey import survey, tables_at
from skelbench.errors import DataError
from skelbench.skeleton.clip import Clip
from skelbench.skeleton.topology import Topology

NAME = re.compile(r".*\.(csv|tsv|parquet|pq)", re.IGNORECASE)
LOOK = 20_000  # rows that a description looks at
CROWD = 8  # bodies of a clip that are taken without being asked for


def sniff(path: Path) -> bool:
    """Whether the first line of a ``.csv`` or ``.tsv`` names frames and positions, or there is a ``.parquet``."""
    return holds(path, NAME, _is_table)


def describe(path: Path) -> dict[str, Any]:
    """Columns, joints and classes, from the first rows of the first table.

    Raises:
        DataError: no table there, columns that are not understood, or a damaged file.
    """
    tables = tables_at(path, {}, None)
    table, roles = tables[0], tables[0].roles
    with closing(chunks(table.path, table.names, table.names, rows=LOOK)) as parts:  # type: ignore[type-var]
        first = next(parts, None)
    if first is None:
        raise DataError(f"{table.path}: no rows below the first line")
    there = {role: list(dict.fromkeys(first.words(column))) for role, column in roles.named.items() if role not in "xyz"}
    joints = list(roles.wide) or there["joint"]
    more = " in the first rows" if len(tables) > 1 or len(first.lines) == LOOK else ""
    unlabelled = "classes: a column label, or labels= (a CSV with the columns file, class and, if wanted, subject)"
    try:
        told, missing = joints_of(joints, None, str(table.path))[0].name, []
    except DataError:
        told, missing = "of no known layout", ["topology: a layout with these joints (topology=, a name or a JSON file)"]
    return {
        "clips": f"{len(there['clip'])}{more}" if "clip" in there else len(tables),
        "classes": there.get("label", "not told"),
        "skeleton": f"{told}, {len(joints)} joints: {', '.join(joints)}",
        "bodies": f"{max(1, len(there.get('body', ())))}{more}",
        "a row is": f"a frame, {len(joints)} x {roles.axes}" if roles.wide else f"a joint, {roles.axes}",
        "columns": {role: column for role, column in roles.named.items() if not roles.wide or role not in ("x", "y", "z", "score")},
        "missing": missing + ([] if "label" in there else [unlabelled]),
        "options": options_of(read),
    }


def read(
    path: Path,
    *,
    topology: Topology | None = None,
    labels: str | Path | None = None,
    classes: str | Path | None = None,
    bodies: int | None = None,
    units: Units | None = None,
    scale: float | None = None,
    up: Up = "y",
    rate: float = 30.0,
    fps: float | None = None,
    step: int = 1,
    clip: str | None = None,
    frame: str | None = None,
    body: str | None = None,
    joint: str | None = None,
    x: str | None = None,
    y: str | None = None,
    z: str | None = None,
    score: str | None = None,
    label: str | None = None,
    subject: str | None = None,
    camera: str | None = None,
) -> Source:
    """A table, or a folder of tables of one kind.

    Args:
        path: a ``.csv``, ``.tsv`` or ``.parquet``, or a folder searched with its sub-folders.
        topology: the layout: joints are found by name, or by number in its order.
        labels: CSV with the columns file (the clip), class and, if wanted, subject; instead of a column of labels.
        classes: names of numbered labels: a text file with one name a line, or a built-in table.
        bodies: people kept, those in most frames; all of up to 8 where left out.
        units: metre, pixel or image (shares of the picture); metre in three dimensions where left out.
        scale: metres for one unit of the file, e.g. 0.001 for millimetres.
        up: which way is up in three dimensions: y, z or -y (a camera's y).
        rate: frames a second.
        fps: keep every n-th frame so that the rate comes nearest to this; None keeps all.
        step: by how much frame numbers grow from frame to frame.
        clip: column of the clips' names, as are frame, body, joint, x, y, z, score, label, subject and camera of what they say.
        frame: column of frame numbers.
        body: column of bodies.
        joint: column of joint names or numbers.
        x: column of x.
        y: column of y.
        z: column of z.
        score: column of scores.
        label: column of classes.
        subject: column of subjects.
        camera: column of cameras.

    Raises:
        DataError: nothing to read, columns or joints that are not understood, rows of a clip that stand apart, a cell that is no
            number, or nobody in any clip; with file and line, or the clip.
    """
    check_positive("rate", rate, "a number of frames a second")
    if step < 1 or (bodies is not None and not 1 <= bodies <= 100):
        raise DataError(f"wanted step from 1 up and bodies from 1 to 100; got step={step}, bodies={bodies}")
    told = {"clip": clip, "frame": frame, "body": body, "joint": joint, "x": x, "y": y, "z": z, "score": score}
    found = survey(path, {**told, "label": label, "subject": subject, "camera": camera}, labels=labels, classes=classes)
    M = bodies or found.bodies
    if M > CROWD and bodies is None:
        raise DataError(f"{path}: {M} bodies in one clip; say how many to keep with bodies=, those in most frames stay")
    roles, where = found.tables[0].roles, str(found.tables[0].path)
    layout, places = joints_of(found.joints, topology, where)
    shape = Shape(V=layout.V, M=M, places=places, step=step)
    with closing(clip_rows(found, places)) as rows:  # type: ignore[type-var]
        sample = next(rows)[1].values
    scored = roles.axes.endswith("s")
    kind = coordinates(len(roles.axes), sample, topology=layout, score=scored, units=units, scale=scale, up=up, where=where)
    layout, every = kind.layout(layout), stride(rate, fps)
    empty: list[str] = []
    dropped = sorted(w for w, place in places.items() if place < 0)
    provenance: dict[str, Any] = {
        "format": "table",
        "source": path.name,
        "files": len(found.tables),
        "labels": found.rule,
        "columns": dict(roles.named),
        "coordinates": kind.told(),
        "empty": empty,
        "notes": [*found.notes, *([f"joints left out: {', '.join(dropped)}"] if dropped else [])],
    }

    def clips() -> Iterator[Clip]:
        unseen, absent, common = 0, 0, 0
        for take, part in clip_rows(found, places):
            joints, lacking, apart = build(part, shape, f"clip {take.id!r}")
            joints, gone = kind.clean(joints)
            unseen, absent, common = unseen + gone, absent + lacking, math.gcd(common, apart)
            if not joints.any():
                empty.append(take.id)
                continue
            yield clip_of(take, joints[::every], layout, fps=rate / every)
        notes = provenance["notes"]
        if len(empty) == len(found.takes):
            raise DataError(f"{path}: nobody in any of {len(empty)} clips, all positions are empty or zero")
        notes += [f"{len(empty)} clips without anybody left out; see 'empty'"] if empty else []
        notes += [f"{unseen} joints with empty positions and {absent} without a row are zero"] if unseen + absent else []
        notes += [f"frame numbers go in steps of {common}; pass step={common} to leave no gaps"] if common > 1 else []

    return Source(
        clips=clips(),
        classes=found.classes,
        total=len(found.takes),
        provenance=provenance,
        bodies=M,
        units=kind.units,
        extra={"image": True} if kind.image else {},
    )


def _is_table(file: Path) -> bool:
    if file.suffix.lower() in (".parquet", ".pq"):
        with file.open("rb") as binary:
            return binary.read(4) == b"PAR1"
    line = first_line(file, most=1 << 20)
    try:
        find_roles(file, first_cells(file, line), {})
    except DataError:
        return False
    return True
