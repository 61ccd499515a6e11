"""Choosing persons: from tracked bodies, as a sensor reports them, to a fixed number of slots, as networks want them.

A sensor reports furniture as bodies, loses people and finds them again under a new id, and lists the bodies of a frame in changing
order. The public code bases part here, before any normalisation, so that "NTU" is a different tensor in each of them:

    name        rule             of the bodies in a clip ...                                     frames without a body
    stgcn       first            the first two of every frame, in the order of the file          stay, as zeros
    agcn        energy           places 1 to 4 of every frame; the two with the largest energy   stay, as zeros
    ctrgcn      denoise          tracks by id, cleaned, strongest motion first, in two slots     go
    ctrgcn120   denoise          the same; somebody alone stands in both slots                   go
    pyskl       denoise-pyskl    the same with half-open intervals, ends trimmed, float16        go
    tracks      motion           tracks by id, cleaned, strongest motion first; time is kept     stay, as zeros
    raw         ids              one slot an id, as recorded                                     stay, as zeros

agcn is 2s-AGCN, ISC and HaLP; ctrgcn is CTR-GCN and PSUMNet. The last two are ours: ``tracks`` to work with, ``raw`` to look at
what the sensor saw.

Cleaning (CTR-GCN) leaves a track that is alone as it is. Else tracks of 11 frames and fewer go. A frame is noisy where the body is
wider than 0.8 times its height; a track with a share of 0.69754 noisy frames and more goes, and in the others the motion counts
only over the clean frames where it is smaller there. Motion is the variance over all frames and joints, summed over x, y and z.
The last track never goes.

Gaps: ``legacy`` appends all frames of an id to each other from where it first appears, as released: somebody who was lost for k
frames is k frames early afterwards. ``time-true`` leaves every frame at its time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from skelbench.errors import ConfigError, DataError

SHORT = 11  # frames; a track as short as this is noise
WIDE = 0.8  # a body is noise in a frame where its x-range is larger than this share of its y-range
NOISY = 0.69754  # share of such frames that makes a whole track noise
PLACES = 4  # bodies of a frame that the energy rule looks at
EMPTY = 1e-3  # pyskl: both slots are empty where the absolute coordinates sum to less
RULES = {
    "first": "the first bodies of every frame, in the order of the file (ST-GCN)",
    "energy": "of the first four places in a frame, those with the largest energy (2s-AGCN, ISC, HaLP)",
    "denoise": "tracks by id without noise, strongest motion first, one slot each as long as they overlap (CTR-GCN)",
    "denoise-pyskl": "the same with half-open intervals and empty ends cut off (pyskl)",
    "motion": "tracks by id without noise, strongest motion first, a slot for all that are never there together",
    "ids": "one slot an id, in the order of the numbers",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Track:
    """One body under one id.

    Attributes:
        id: as the sensor numbers it.
        frames: (n,) whole numbers, ascending: the frames in which it was seen, from 0.
        joints: (n, V, C).
        places: (n,) its place in the list of bodies of those frames, from 0; counted from the tracks' order where left out.
    """

    id: str | int
    frames: np.ndarray
    joints: np.ndarray
    places: np.ndarray | None = None

    def __post_init__(self) -> None:
        n = len(self.frames)
        if self.frames.shape != (n,) or n == 0 or self.joints.ndim != 3 or len(self.joints) != n:
            given = f"frames {self.frames.shape} and joints {self.joints.shape}"
            raise DataError(f"body {self.id!r}: {given}; wanted (n,) and (n, V, C) with n at least 1")
        if self.frames[0] < 0 or bool((self.frames[1:] <= self.frames[:-1]).any()):
            raise DataError(f"body {self.id!r}: its frames must ascend from 0 on, each once")
        if self.places is not None and self.places.shape != (n,):
            raise DataError(f"body {self.id!r}: {self.places.shape} places for {n} frames")


@dataclass(frozen=True, kw_only=True)
class Persons:
    """A way to choose; see the head of this module.

    Attributes:
        rule: a key of ``RULES``.
        gaps: ``legacy`` or ``time-true``; the rules ``first`` and ``energy`` know no tracks and do not ask.
        second: what the second slot holds where a single track is left: ``zeros`` or a ``copy`` of the first.
        empty: frames without a body: ``keep`` them as zeros, or ``drop`` them.
        half: round to float16, as stored by pyskl: steps of 2 to 4 mm at a distance of 2 to 5 m.
        bodies: slots, M.
    """

    rule: str
    gaps: str = "time-true"
    second: str = "zeros"
    empty: str = "keep"
    half: bool = False
    bodies: int = 2

    def __post_init__(self) -> None:
        words = {
            "rule": tuple(RULES),
            "gaps": ("legacy", "time-true"),
            "second": ("zeros", "copy"),
            "empty": ("keep", "drop"),
        }
        for field, known in words.items():
            if getattr(self, field) not in known:
                raise ConfigError(f"persons: {field}={getattr(self, field)!r}; there are: {', '.join(known)}")
        if self.bodies < 1 or (self.rule in ("denoise", "denoise-pyskl") and self.bodies != 2):
            raise ConfigError(f"persons: bodies={self.bodies}; wanted at least 1, and 2 for the rule {self.rule!r}")


PERSONS: dict[str, Persons] = {
    "stgcn": Persons(rule="first"),
    "agcn": Persons(rule="energy"),
    "ctrgcn": Persons(rule="denoise", gaps="legacy", empty="drop"),
    "ctrgcn120": Persons(rule="denoise", gaps="legacy", empty="drop", second="copy"),
    "pyskl": Persons(rule="denoise-pyskl", gaps="legacy", empty="drop", half=True),
    "tracks": Persons(rule="motion"),
    "raw": Persons(rule="ids", bodies=6),
}


def persons(name: str) -> Persons:
    """A way to choose persons by name. Raises ConfigError listing the names there are."""
    if name not in PERSONS:
        raise ConfigError(f"no way to choose persons called {name!r}; there are: {', '.join(PERSONS)}")
    return PERSONS[name]


def choose(tracks: Sequence[Track], frames: int, rule: Persons | str, *, dims: int = 3) -> np.ndarray:
    """The chosen bodies in their slots, float32 (T, M, V, C); zero where a slot is empty.

    T is ``frames`` where empty frames are kept. Where a rule drops them, a single track that is left has its own frames and no
    others.

    Args:
        tracks: the bodies of the clip, in order of first appearance.
        frames: of the clip, those without a body included.
        rule: a :class:`Persons`, or its name in ``PERSONS``.
        dims: coordinates of a joint that are positions; what follows them, e.g. a score, is carried along.

    Raises:
        DataError: no track, tracks of different shape, a frame outside the clip, or nothing is left because all joints are zero.
        ConfigError: no rule of this name.
    """
    rule = persons(rule) if isinstance(rule, str) else rule
    _check(tracks, frames)
    if rule.rule == "first":
        out = _places(tracks, frames, rule.bodies)
    elif rule.rule == "energy":
        out = _largest(_places(tracks, frames, max(PLACES, rule.bodies)), rule.bodies, dims)
    elif rule.rule == "ids":
        out = _by_id(tracks, frames, rule.bodies)
    elif rule.rule == "motion":
        out = _by_motion(tracks, frames, rule, dims)
    else:
        out = _two_actors(tracks, frames, rule, dims)
    if rule.empty == "drop":
        out = out[out.any(axis=(1, 2, 3))] if rule.rule != "denoise-pyskl" else _trimmed(out)
    if not len(out):
        raise DataError("every joint of every body is zero, so there is nobody to choose")
    if rule.half:
        out = out.astype(np.float16)
    return np.ascontiguousarray(out, np.float32)


def _check(tracks: Sequence[Track], frames: int) -> None:
    if not tracks:
        raise DataError("no body in any frame, so there is nobody to choose")
    shape = tracks[0].joints.shape[1:]
    for track in tracks:
        if track.joints.shape[1:] != shape:
            raise DataError(f"body {track.id!r} has joints {track.joints.shape[1:]}, body {tracks[0].id!r} {shape}")
        if track.frames[-1] >= frames:
            raise DataError(f"body {track.id!r} is seen in frame {track.frames[-1]}, but there are {frames}")


def _slots(tracks: Sequence[Track], frames: int, bodies: int) -> np.ndarray:
    return np.zeros((frames, bodies, *tracks[0].joints.shape[1:]), np.float32)


def _places(tracks: Sequence[Track], frames: int, bodies: int) -> np.ndarray:
    """Bodies by their place in the list of each frame (T, bodies, V, C)."""
    out, so_far = _slots(tracks, frames, bodies), np.zeros(frames, np.int64)
    for track in tracks:
        place = so_far[track.frames] if track.places is None else track.places
        so_far[track.frames] += 1
        near = place < bodies
        out[track.frames[near], place[near]] = track.joints[near]
    return out


def _largest(places: np.ndarray, bodies: int, dims: int) -> np.ndarray:
    """The places with the largest energy, that first: standard deviations of x, y and z over all frames that are not zero."""
    energy = np.zeros(places.shape[1])
    for m in range(places.shape[1]):
        seen = places[:, m][places[:, m].any(axis=(1, 2))][..., :dims]
        apart = np.ascontiguousarray(seen.reshape(-1, dims).T, np.float64)  # (C, n)
        energy[m] = apart.std(axis=1).sum() if len(seen) else 0.0
    return places[:, np.argsort(-energy, kind="stable")[:bodies]]


def _by_id(tracks: Sequence[Track], frames: int, bodies: int) -> np.ndarray:
    out = _slots(tracks, frames, bodies)
    order = sorted(tracks, key=lambda t: (isinstance(t.id, str), t.id))
    for m, track in enumerate(order[:bodies]):
        out[track.frames, m] = track.joints
    return out


def clean(tracks: Sequence[Track], *, dims: int = 3, skip_zeros: bool = False) -> list[Track]:
    """The tracks that are no noise, the strongest motion first; see the head of this module.

    Args:
        tracks: in order of first appearance.
        dims: coordinates of a joint that are positions; the first is the width, the second the height.
        skip_zeros: leave joints that are exactly zero, which the sensor did not see, out of width, height and motion.
    """
    left = [t for t in tracks if len(t.frames) > SHORT] or [max(tracks, key=lambda t: len(t.frames))]
    if len(tracks) == 1 or len(left) == 1:
        return left
    motion: dict[int, float] = {}
    for track in list(left):
        x = track.joints[..., :dims].astype(np.float64)
        if skip_zeros:
            x = _without_zeros(x)
        width, height = (np.ptp(np.ascontiguousarray(x[..., c]), axis=1) for c in (0, 1))
        wide = width > WIDE * height  # (n,)
        if wide.mean() >= NOISY and len(left) > 1:
            left.remove(track)
            continue
        motion[id(track)] = _variance(x)
        if wide.any() and not wide.all():
            motion[id(track)] = min(motion[id(track)], _variance(x[~wide]))
    return sorted(left, key=lambda t: -motion[id(t)])


def _variance(x: np.ndarray) -> float:
    """Over all frames and joints, summed over the coordinates; the coordinates lie apart in memory, which is much faster."""
    return float(np.ascontiguousarray(x.reshape(-1, x.shape[-1]).T).var(axis=1).sum())


def _without_zeros(x: np.ndarray) -> np.ndarray:
    """Joints that are zero moved into the middle of the seen ones of their frame, where they change neither width nor height."""
    seen = (x != 0).any(axis=-1)  # (n, V)
    if seen.all():
        return x
    middle = (x * seen[..., None]).sum(axis=1) / np.maximum(seen.sum(axis=1), 1)[:, None]  # (n, C)
    return np.where(seen[..., None], x, middle[:, None])


def _by_motion(tracks: Sequence[Track], frames: int, rule: Persons, dims: int) -> np.ndarray:
    """Strongest first; each into the first slot that is free in all of its frames, else left out."""
    tracks = _closed_up(tracks) if rule.gaps == "legacy" else tracks
    out, taken = _slots(tracks, frames, rule.bodies), np.zeros((frames, rule.bodies), bool)
    left = clean(tracks, dims=dims, skip_zeros=True)
    for track in left:
        free = np.flatnonzero(~taken[track.frames].any(axis=0))
        if len(free):
            out[track.frames, free[0]] = track.joints
            taken[track.frames, free[0]] = True
    return _seconded(out, len(left), rule)


def _seconded(out: np.ndarray, left: int, rule: Persons) -> np.ndarray:
    if rule.second == "copy" and left == 1:
        out[:, 1:2] = out[:, :1]
    return out


def _closed_up(tracks: Sequence[Track]) -> list[Track]:
    """Every track without its gaps, from its first frame on."""
    return [Track(id=t.id, frames=t.frames[0] + np.arange(len(t.frames)), joints=t.joints, places=t.places) for t in tracks]


def _two_actors(tracks: Sequence[Track], frames: int, rule: Persons, dims: int) -> np.ndarray:
    """CTR-GCN and pyskl: cleaned tracks merged into two actors (T, 2, V, C), frames without any body not counted."""
    if rule.empty == "drop":
        there = np.zeros(frames, bool)
        for track in tracks:
            there[track.frames] = True
        number, frames = np.cumsum(there) - 1, int(there.sum())
        tracks = [Track(id=t.id, frames=number[t.frames], joints=t.joints, places=t.places) for t in tracks]
    left = clean(_closed_up(tracks) if rule.gaps == "legacy" else tracks, dims=dims)
    out = _slots(tracks, frames, 2)
    # pyskl counts the end of an interval as outside, CTR-GCN as inside and then lets two that share one frame pass.
    extra = 1 if rule.rule == "denoise-pyskl" else 0
    hulls: list[list[int]] = [[], []]  # first and last frame of each actor
    for track in left:
        start, end = int(track.frames[0]), int(track.frames[-1]) + extra
        for m, hull in enumerate(hulls):
            if not hull or min(hull[1], end) - max(hull[0], start) <= 0:
                out[track.frames, m] = track.joints
                hulls[m] = [min([start, *hull[:1]]), max([end, *hull[1:]])]
                break
    return _seconded(out, len(left), rule)


def _trimmed(out: np.ndarray) -> np.ndarray:
    """pyskl: without the empty frames at both ends; the slots change places where only the second body is there at the start."""
    size: np.ndarray = np.abs(out).sum(axis=(1, 2, 3))  # (T,)
    full = np.flatnonzero(size >= EMPTY)
    out = out[full[0] : full[-1] + 1] if len(full) else out[:0]
    if len(out) and not out[0, 0].any() and out[0, 1].any():
        out = out[:, ::-1]
    return out
