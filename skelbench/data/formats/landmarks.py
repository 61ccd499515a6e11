"""What pose estimators write for one's own videos: MediaPipe pose (33) and hand (21), COCO-17 keypoints, one JSON a video.

:mod:`skelbench.data.formats.landmark_frames` lists the forms. Joints are (x, y, score), y downwards, in pixels or in shares of
the picture, as in the file; visibility is the score, joints of score 0 are zero. MediaPipe's z, a guess of depth in the picture, is
left out. With ``coordinates="world"`` MediaPipe's world landmarks are read instead: metres about the middle of the hips, turned so
that y points up, with the score as fourth coordinate.

Where people have identities (``track_id``, ``idx``), each stays in its slot; else the best of a frame come first, so that a body
may change places. Frames without anybody are zero, videos without anybody are left out and named in ``provenance["empty"]``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from skelbench.data.formats.joint_axis import hint, name_joints
from skelbench.data.formats.json_text import load_json
from skelbench.data.formats.landmark_frames import KNOWN, Video, Ways, parse
from skelbench.data.formats.on_disk import holds
from skelbench.data.formats.planar import by_score, by_track, frame_count, units_of, unseen, with_dims
from skelbench.data.formats.source import (
    Source,
    Take,
    Takes,
    check_positive,
    clip_of,
    find_takes,
    missing_labels,
    options_of,
    stride,
)
from skelbench.errors import DataError
from skelbench.skeleton.clip import Clip
from skelbench.skeleton.topology import Topology

NAME = re.compile(r".*\.json", re.IGNORECASE)
HEAD = 1 << 14  # bytes
WORDS = re.compile(
    rb'"(?:keypoints|keypoint_scores|pose_keypoints_2d|pose_?(?:world_?)?landmarks|(?:multi_)?hand_?(?:world_?)?landmarks'
    rb'|world_?landmarks|landmarks?|visibility|instance_info)"\s*:',
    re.IGNORECASE,
)
OPENS = re.compile(rb"(?:\xef\xbb\xbf)?\s*[\[{]")
# Frames of bodies of numbers, perhaps after frames without anybody; or frames by number.
ROWS = re.compile(rb"(?:\xef\xbb\xbf)?\s*\[\s*(?:null\s*,\s*|\[\s*\]\s*,\s*)*\[\s*(?:\[\s*){0,2}-?\d")
NUMBERED = re.compile(rb'(?:\xef\xbb\xbf)?\s*\{\s*"[^"\d]{0,40}\d{1,9}"\s*:\s*(?:\[\s*){1,3}(?:-?\d|\{\s*"[xy]"|\])')


def sniff(path: Path) -> bool:
    """Whether the file, or the first files of a folder, speak of landmarks or keypoints, or are frames of rows of numbers."""
    return holds(path, NAME, _speaks)


def describe(path: Path) -> dict[str, Any]:
    """Videos and classes; joints, people and coordinates of the first video with anybody in it.

    Raises:
        DataError: no file there, nobody in any of them, or one is damaged.
    """
    takes = find_takes(path, ".json")
    take, video = _first(takes, Ways())
    V = video.people[0].shape[0]
    size = f", pictures of {video.size[0]} x {video.size[1]}" if video.size else ""
    unknown = [] if V in KNOWN else [f"topology: {hint(V)} (topology=)"]
    return {
        "clips": len(takes.takes),
        "classes": list(takes.classes),
        "skeleton": f"{V} joints, {KNOWN.get(V, 'of no known layout')}",
        "coordinates": f"{units_of(_positions(video))}{size}",
        "bodies": f"up to {max(np.bincount(np.unique(video.at, return_inverse=True)[1]))} in a frame",
        "identities": "told" if _tracked(video) else "none told, the best of a frame come first",
        "frames": f"{take.path.name}: {frame_count(np.array(video.frames), str(take.path))[1]} frames"
        + (f" at {video.fps:g} fps" if video.fps else ""),
        "missing": unknown + missing_labels(takes),
        "options": options_of(read),
    }


def read(
    path: Path,
    *,
    topology: Topology | None = None,
    labels: str | Path | None = None,
    bodies: int = 2,
    coordinates: Literal["image", "world"] = "image",
    third: Literal["z", "score"] | None = None,
    rate: float | None = None,
    fps: float | None = None,
) -> Source:
    """A video, or a folder of videos in class folders or with a CSV of labels.

    Args:
        path: a ``.json`` file, or a folder searched with its sub-folders.
        topology: what the joints are, where their number does not say it (17, 21, 33); else joints to keep, found by name.
        labels: CSV with the columns file, class and, if wanted, subject; see :func:`skelbench.data.formats.source.find_takes`.
        bodies: people kept.
        coordinates: image, or world for MediaPipe's world landmarks.
        third: what a third number of a landmark is, z or score; score but for MediaPipe where left out.
        rate: frames a second of the videos; what the files say, else 30, where left out.
        fps: keep every n-th frame so that the rate comes nearest to this; None keeps all.

    Raises:
        DataError: nothing to read, nobody in any video, joints of no known layout, or a damaged file (file and frame).
    """
    check_positive("rate", rate, "a number of frames a second")
    if not 1 <= bodies <= 100 or coordinates not in ("image", "world") or third not in ("z", "score", None):
        given = f"bodies={bodies}, coordinates={coordinates!r}, third={third!r}"
        raise DataError(f"wanted 1 to 100 bodies, coordinates 'image' or 'world', third 'z' or 'score'; got {given}")
    found, world = find_takes(path, ".json", labels=labels), coordinates == "world"
    ways = Ways(world=world, joints=topology.V if topology is not None else 0, third=third)
    first_take, first = _first(found, ways)
    stride(rate or first.fps or 30.0, fps)  # a bad fps is refused before anything is written
    units = "metre" if world else units_of(_positions(first))
    V = first.people[0].shape[0]
    layout, keep = name_joints(V, known=KNOWN.get(V), topology=topology, where=str(first_take.path))
    layout = with_dims(layout, 3 if world else 2, units)
    empty: list[str] = []
    provenance: dict[str, Any] = {
        "format": "landmarks",
        "source": path.name,
        "files": len(found.takes),
        "labels": found.rule,
        "coordinates": "world landmarks, turned so that y points up" if world else f"positions in the picture, {units}",
        "people": f"{bodies} kept, {'by identity' if _tracked(first) else 'the best of each frame first'}",
        "empty": empty,
        "notes": list(found.notes),
    }

    def clips() -> Iterator[Clip]:
        for take in found.takes:
            video = first if take is first_take else parse(load_json(take.path, nan=True), take.path, ways)
            if not video.people:
                empty.append(take.id)
                continue
            if video.people[0].shape[0] != first.people[0].shape[0]:
                raise DataError(f"{take.path}: {len(video.people[0])} joints, but {first_take.path} has {len(first.people[0])}")
            hertz = rate or video.fps or 30.0
            every = stride(hertz, fps)
            joints = _stack(video, take, world=world, bodies=bodies)[::every][:, :, keep]
            size = dict(zip(("width", "height"), video.size, strict=True)) if video.size and not world else {}
            take = replace(take, about={**size, **take.about})
            yield clip_of(take, joints, layout, fps=hertz / every)
        if empty:
            provenance["notes"].append(f"{len(empty)} videos with nobody in any frame left out; see 'empty'")

    return Source(
        clips=clips(),
        classes=found.classes,
        total=len(found.takes),
        provenance=provenance,
        bodies=bodies,
        units=units,
        extra={} if world else {"image": True},
    )


def _speaks(file: Path) -> bool:
    with file.open("rb") as binary:
        head = binary.read(HEAD)
    if b'"frame_index"' in head and b'"skeleton"' in head and b'"pose"' in head:
        return False  # Kinetics-skeleton
    return bool(ROWS.match(head) or NUMBERED.match(head) or (WORDS.search(head) and OPENS.match(head)))


def _first(takes: Takes, ways: Ways) -> tuple[Take, Video]:
    """The first video with anybody in it."""
    for take in takes.takes:
        video = parse(load_json(take.path, nan=True), take.path, ways)
        if video.people:
            return take, video
    raise DataError(f"{takes.takes[0].path}: nobody in any frame of {len(takes.takes)} videos")


def _positions(video: Video) -> np.ndarray:
    people = np.stack(video.people)
    return people[people[..., 3] > 0][:, :2]


def _tracked(video: Video) -> bool:
    """Whether everybody has an identity, and nobody stands twice in a frame."""
    pairs = list(zip(video.at, video.tracks, strict=True))
    return all(track is not None for track in video.tracks) and len(set(pairs)) == len(pairs)


def _stack(video: Video, take: Take, *, world: bool, bodies: int) -> np.ndarray:
    """Joints (T, M, V, 3), or (T, M, V, 4) of world landmarks."""
    first, T = frame_count(np.array(video.frames), str(take.path))
    people, at = np.stack(video.people), np.array(video.at) - first
    if world and np.isnan(people[..., 2]).any():
        raise DataError(f"{take.path}: world landmarks need x, y and z")
    people = people * [1, -1, -1, 1] if world else people[..., [0, 1, 3]]  # half a turn about x
    people, scores = unseen(people), np.array(video.scores)
    if _tracked(video):
        return by_track(at, people, scores, [int(t or 0) for t in video.tracks], T=T, bodies=bodies)
    return by_score(at, people, scores, T=T, bodies=bodies)
