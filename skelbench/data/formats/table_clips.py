"""From the rows of a table to clips: rows gathered clip by clip, joints by name or number, bodies in their slots."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from skelbench.data.formats.planar import by_track, frame_count
from skelbench.data.formats.source import Take
from skelbench.data.formats.table_columns import plain
from skelbench.data.formats.table_file import runs
from skelbench.data.formats.table_survey import Survey, Table
from skelbench.errors import DataError
from skelbench.skeleton.topology import Topology, topologies
from skelbench.skeleton.topology import topology as find_topology

NUMBERED = re.compile(r"(?:j|joint|kp|keypoint|lm|landmark|p|point|marker)?[\s_.:-]*(\d{1,4})", re.IGNORECASE)
MOST = 20_000_000  # rows of one clip
SPARSE, SPARE = 50, 1_000_000  # joints of a clip may be this many times its rows, and so many more


@dataclass(frozen=True, kw_only=True, eq=False)
class Rows:
    """The rows of one clip: (R,) frame numbers, bodies and, where a row is a joint, joints; values (R, C), else (R, joints, C)."""

    where: str
    frames: np.ndarray
    bodies: np.ndarray | None
    joints: np.ndarray | None
    values: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What clips are made to: V joints and M bodies; ``places`` says where a joint of the table stands (-1: nowhere)."""

    V: int
    M: int
    places: Mapping[str, int]
    step: int


def joints_of(words: Sequence[str], topology: Topology | None, where: str) -> tuple[Topology, dict[str, int]]:
    """The layout, and where each joint of the table stands in it, -1 for those it does not have.

    Args:
        words: joints as the table calls them: names, or numbers from 0 or 1 up.
        topology: the layout; the built-in one with exactly these names where left out.
        where: opens the message.

    Raises:
        DataError: no layout, or one with other joints.
    """
    numbers = [NUMBERED.fullmatch(w) for w in words]
    if all(numbers) and words:
        return _numbered({w: int(n[1]) for w, n in zip(words, numbers, strict=True) if n}, topology, where)
    names = {plain(w): w for w in words}
    if len(names) < len(words) or "" in names:
        raise DataError(f"{where}: joints whose names differ only in case or punctuation, or are empty: {', '.join(words[:20])}")
    if topology is None:
        fitting = [t for t in map(find_topology, topologies()) if {plain(j) for j in t.joints} == set(names)]
        if not fitting:
            raise DataError(
                f"{where}: no built-in layout has exactly these {len(words)} joints; pass topology= (a JSON file with 'joints' and"
                f" 'parents'). They are: {', '.join(words[:40])}"
            )
        topology = fitting[0]
    place = {plain(j): n for n, j in enumerate(topology.joints)}
    missing = [j for j in topology.joints if plain(j) not in names]
    if missing:
        raise DataError(
            f"{where}: topology {topology.name!r} wants {len(missing)} joints the table does not have, the first is {missing[0]!r}"
            f" (there are: {', '.join(words[:40])})"
        )
    return topology, {w: place.get(plain(w), -1) for w in words}


def _numbered(numbers: Mapping[str, int], topology: Topology | None, where: str) -> tuple[Topology, dict[str, int]]:
    low, high = min(numbers.values()), max(numbers.values())
    if topology is None:
        raise DataError(f"{where}: joints are numbers, {low} to {high}, which do not say what they are; pass topology=")
    first = 1 if low >= 1 and high == topology.V else 0
    if high - first >= topology.V or len(set(numbers.values())) < len(numbers):
        raise DataError(f"{where}: joints {low} to {high} do not go with the {topology.V} joints of topology {topology.name!r}")
    return topology, {w: n - first for w, n in numbers.items()}


def clip_rows(found: Survey, places: Mapping[str, int]) -> Iterator[tuple[Take, Rows]]:
    """The rows of every clip, in order; one clip in memory at a time.

    Args:
        found: what the tables hold.
        places: where the joints stand in the layout, see :func:`joints_of`.

    Raises:
        DataError: a cell that is no number; with its line.
    """
    takes = iter(found.takes)
    for table in found.tables:
        held: list[Rows] = []
        id: str | None = None
        for here, part in _parts(table, places):
            if here != id:
                if held and id not in found.left_out:
                    yield next(takes), _joined(held)
                id, held = here, []
            held.append(part)
            if sum(len(r.frames) for r in held) > MOST:
                raise DataError(f"{part.where}: more than {MOST} rows of clip {id!r:.60}; is the column of clips the right one?")
        if held and id not in found.left_out:
            yield next(takes), _joined(held)


def _joined(parts: Sequence[Rows]) -> Rows:
    def joined(name: str) -> np.ndarray:
        return np.concatenate([getattr(p, name) for p in parts])

    return Rows(
        where=parts[0].where,
        frames=joined("frames"),
        bodies=joined("bodies") if parts[0].bodies is not None else None,
        joints=joined("joints") if parts[0].joints is not None else None,
        values=joined("values"),
    )


def _parts(table: Table, places: Mapping[str, int]) -> Iterator[tuple[str, Rows]]:
    """(clip, some of its rows)."""
    roles = table.roles
    wanted = [roles.named[r] for r in ("clip", "frame", "body") if r in roles.named]
    wanted += [] if roles.wide else [roles.named["joint"]]
    counted, last = 0, ""
    for chunk in table.chunks([*wanted, *roles.values]):
        ids = table.ids(chunk)
        values = np.stack([chunk.numbers(c) for c in roles.values], axis=1)  # (rows, C) or (rows, joints * C)
        values = values.reshape(len(values), -1, len(roles.axes)) if roles.wide else values
        frames = chunk.whole(roles.named["frame"]) if "frame" in roles.named else None
        bodies = np.array(chunk.words(roles.named["body"]), object) if "body" in roles.named else None
        words = None if roles.wide else chunk.words(roles.named["joint"])
        joints = np.fromiter(map(places.__getitem__, words), np.int64, len(words)) if words is not None else None
        for at, to in runs(ids):
            counted, last = (counted if ids[at] == last else 0), ids[at]
            yield (
                ids[at],
                Rows(
                    where=chunk.at(at),
                    frames=frames[at:to] if frames is not None else np.arange(counted, counted + to - at),
                    bodies=bodies[at:to] if bodies is not None else None,
                    joints=joints[at:to] if joints is not None else None,
                    values=values[at:to],
                ),
            )
            counted += to - at


def build(rows: Rows, shape: Shape, name: str) -> tuple[np.ndarray, int, int]:
    """Joints (T, M, V, C) of a clip, how many of its joints have no row, and the greatest common step of its frame numbers.

    Raises:
        DataError: a joint twice in a frame, frame numbers too far apart, or a table so sparse that it cannot be meant.
    """
    where = f"{rows.where}: {name}"
    apart = int(np.gcd.reduce(np.diff(np.unique(rows.frames)))) if len(rows.frames) else 0
    if shape.step > 1 and (rows.frames - rows.frames.min()).astype(np.int64).any() and apart % shape.step:
        raise DataError(f"{where}: frame numbers are not all {shape.step} apart, as step= says")
    first, T = frame_count((rows.frames - rows.frames.min()) // shape.step, where)
    at = (rows.frames - rows.frames.min()) // shape.step
    body, bodies = _numbers(rows.bodies) if rows.bodies is not None else (np.zeros(len(at), np.int64), 1)
    if T * max(bodies, shape.M) * shape.V > SPARE + SPARSE * rows.values.size:
        raise DataError(f"{where}: {T} frames of {bodies} bodies, but only {len(at)} rows; is every column the right one?")
    pairs, people, absent = _people(rows, shape, at * bodies + body, where)
    if bodies > shape.M:
        joints = by_track(pairs // bodies, people, np.ones(len(pairs)), (pairs % bodies).tolist(), T=T, bodies=shape.M)
    else:
        joints = np.zeros((T, shape.M, *people.shape[1:]))
        joints[pairs // bodies, pairs % bodies] = people
    return joints, absent, apart


def _people(rows: Rows, shape: Shape, key: np.ndarray, where: str) -> tuple[np.ndarray, np.ndarray, int]:
    """Different keys (frame and body) in order, the person of each (P, V, C), and how many joints have no row."""
    pairs, inverse = np.unique(key, return_inverse=True)
    places = shape.places
    C = rows.values.shape[-1]
    people = np.zeros((len(pairs), shape.V, C))
    if rows.joints is None:  # a row is a person
        _once(inverse, rows, where, "a row of the same body")
        keep = np.array([p for p in places.values()])
        people[np.ix_(inverse, keep[keep >= 0])] = rows.values[:, keep >= 0]
        return pairs, people, 0
    kept = rows.joints >= 0
    cell = inverse[kept] * shape.V + rows.joints[kept]
    _once(cell, rows, where, "the same joint of the same body", kept, shape)
    people.reshape(-1, C)[cell] = rows.values[kept]
    return pairs, people, len(pairs) * shape.V - len(cell)


def _once(cells: np.ndarray, rows: Rows, where: str, what: str, kept: np.ndarray | None = None, shape: Shape | None = None) -> None:
    order = np.argsort(cells, kind="stable")
    twice = order[1:][np.diff(cells[order]) == 0]
    if len(twice):
        n = np.flatnonzero(kept)[twice.min()] if kept is not None else twice.min()
        word = next((w for w, p in shape.places.items() if p == rows.joints[n]), "") if shape and rows.joints is not None else ""
        joint = f", joint {word!r:.40}" if word else ""
        raise DataError(f"{where}, frame {rows.frames[n]}{joint}: {what} stands twice; a column of bodies is told with body=")


def _numbers(words: np.ndarray) -> tuple[np.ndarray, int]:
    """Bodies as 0, 1, ... in the order of their numbers or names, and how many there are."""
    different = list(dict.fromkeys(words.tolist()))
    different.sort(key=lambda w: (0, int(w), w) if w.isdecimal() and len(w) < 19 else (1, 0, w))
    place = {w: n for n, w in enumerate(different)}
    return np.fromiter((place[w] for w in words), np.int64, len(words)), len(different)
