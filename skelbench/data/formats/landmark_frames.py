"""The many ways in which pose estimators write the frames of one video as JSON, taken apart into people and frame numbers.

What is understood, read from the outside in:

    a video     a list of frames; or an object with such a list under ``frames``, ``instance_info``, ``data`` or ``results`` (and
                perhaps ``fps``, ``width``, ``height``); or an object frame number -> frame; or COCO detections, see below
    a frame     nothing (null, []), a body, a list of bodies, or an object with these under ``pose_landmarks``, ``landmarks``,
                ``hand_landmarks``, ``keypoints``, ``instances``, ``people``, ``predictions`` ..., and perhaps its number under
                ``frame``, ``frame_id``, ``frame_index`` or ``image_id``; without one, frames are counted
    a body      a list of landmarks, or an object with that list and perhaps ``keypoint_scores``, ``score``, ``track_id``, ``idx``
    landmarks   objects with x, y, perhaps z, and visibility or score; or rows of 2 to 4 numbers; or all numbers in one flat list
    detections  a list of objects with ``image_id``, ``keypoints`` and perhaps ``score`` (COCO results, AlphaPose), or a COCO object
                with ``images`` and ``annotations``, whose visibility 0, 1, 2 becomes a score of 0, 0.5, 1

Names are compared without case and underscores, so that MediaPipe's ``worldLandmarks`` and ``world_landmarks`` are one. A third
number in a row is the score, but z with the 21 and 33 joints of MediaPipe.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from skelbench.data.formats.json_text import number_array
from skelbench.errors import DataError

IMAGE = "poselandmarks landmarks landmark handlandmarks multihandlandmarks keypoints posekeypoints2d instances people persons"
LEAVES = 7  # the keys up to posekeypoints2d hold landmarks, those after it people
IMAGE_KEYS = (*IMAGE.split(), "predictions", "bodies", "poses", "detections")
WORLD_KEYS = ("poseworldlandmarks", "worldlandmarks", "handworldlandmarks", "multihandworldlandmarks")
VIDEO_KEYS = ("frames", "instanceinfo", "data", "results")
NUMBER_KEYS = ("frame", "frameid", "frameindex", "framenumber", "imageid")
SCORE_KEYS = ("visibility", "score", "confidence", "likelihood", "presence")
TRACK_KEYS = ("trackid", "idx", "personid", "instanceid")
HAND = 21
KNOWN = {17: "coco_17", 21: "mediapipe_hand_21", 33: "mediapipe_pose_33"}  # joints -> layout
DIGITS = re.compile(r"(\d{1,9})(?:_keypoints)?$")


@dataclass
class Video:
    """People found in one video.

    Attributes:
        frames: numbers of the frames listed, with or without people.
        at: frame number of each person.
        people: joints (V, 4) of each person: x, y, z (NaN where not told) and score.
        scores: of each person.
        tracks: identity of each person, None where not told.
        fps: frames a second, where the file says it.
        size: width and height of the picture, where the file says them.
    """

    frames: list[int] = field(default_factory=list)
    at: list[int] = field(default_factory=list)
    people: list[np.ndarray] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    tracks: list[int | None] = field(default_factory=list)
    fps: float | None = None
    size: tuple[int, int] | None = None


@dataclass(frozen=True, kw_only=True)
class Ways:
    """How to take landmarks: in the picture or in the world, of how many joints (0: as known), and what a third number is."""

    world: bool = False
    joints: int = 0
    third: str | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        """Where landmarks may stand in an object, in the order in which they are looked for."""
        return (*WORLD_KEYS, *IMAGE_KEYS) if self.world else IMAGE_KEYS


def parse(table: Any, file: Path, ways: Ways) -> Video:
    """Take a file apart.

    Raises:
        DataError: in none of the forms above, or a person of another number of joints; with file and frame.
    """
    video = Video()
    if isinstance(table, dict):
        keys = _plain(table, str(file))
        video.fps, video.size = _rate(keys, file), _size(keys, file)
        if isinstance(keys.get("annotations"), list):
            _dataset(video, keys, file, ways)
            return video
    if isinstance(table, list) and any(isinstance(t, dict) and "image_id" in t and "keypoints" in t for t in table):
        _detections(video, table, file, ways, {})
        return video
    seen: set[int] = set()
    for number, frame in _frames(table, file, ways):
        where = f"{file}, frame {number}"
        if number in seen:
            raise DataError(f"{where}: stands twice; all people of a frame stand in one entry")
        seen.add(number)
        video.frames.append(number)
        for body in _bodies(frame, where, ways, {}):
            _add(video, body, number, where, ways)
    return video


def _frames(table: Any, file: Path, ways: Ways) -> Iterator[tuple[int, Any]]:
    """(number, frame) in the order of the file."""
    if isinstance(table, dict):
        keys = _plain(table, str(file))
        inside = next((keys[k] for k in VIDEO_KEYS if isinstance(keys.get(k), list | dict)), None)
        if inside is not None:
            table = inside
        elif any(isinstance(keys.get(k), list) for k in ways.keys):
            key = next(k for k in ways.keys if isinstance(keys.get(k), list))
            table = [{key: frame} for frame in keys[key]]
    if isinstance(table, dict):
        if not table or not all(DIGITS.search(k) for k in table):
            found = ", ".join(f"{k:.40}" for k in list(table)[:4]) or "nothing"
            raise DataError(f"{file}: an object with the keys {found}; wanted a list of frames")
        yield from ((_number(k, str(file)), frame) for k, frame in table.items())
        return
    if not isinstance(table, list):
        raise DataError(f"{file}: found no list of frames")
    for n, frame in enumerate(table):
        keys = _plain(frame, f"{file}, frame {n}") if isinstance(frame, dict) else {}
        told = next((keys[k] for k in NUMBER_KEYS if isinstance(keys.get(k), int | str)), None)
        yield (_number(told, f"{file}, frame {n}") if told is not None else n), frame


def _detections(video: Video, table: Iterable[Any], file: Path, ways: Ways, numbers: Mapping[Any, int]) -> None:
    for n, found in enumerate(table):
        where = f"{file}: detection {n}"
        if not isinstance(found, dict) or not isinstance(found.get("image_id"), int | str) or "keypoints" not in found:
            raise DataError(f"{where} needs 'image_id' (a number or a file name) and 'keypoints'")
        image = found["image_id"]
        if numbers and image not in numbers:
            raise DataError(f"{where}: 'images' has no image {image!r}")
        number = numbers[image] if numbers else _number(image, where)
        video.frames.append(number)
        for body in _bodies(found, where, ways, {}):
            _add(video, body, number, where, ways)


def _dataset(video: Video, keys: Mapping[str, Any], file: Path, ways: Ways) -> None:
    """A COCO object: the images are the frames."""
    numbers: dict[Any, int] = {}
    images = keys.get("images", [])
    for n, image in enumerate(images if isinstance(images, list) else []):
        if not isinstance(image, dict) or not isinstance(image.get("id"), int | str):
            raise DataError(f"{file}: image {n} needs an 'id'")
        told = next(image[k] for k in ("frame_id", "frame_index", "file_name", "id") if isinstance(image.get(k), int | str))
        numbers[image["id"]] = _number(told, f"{file}: image {n}")
        video.size = video.size or _size(_plain(image, str(file)), file)
    video.frames.extend(numbers.values())
    _detections(video, keys["annotations"], file, ways, numbers)
    if all(np.isin(joints[:, 3], [0, 1, 2]).all() for joints in video.people):
        video.people = [joints / [1, 1, 1, 2] for joints in video.people]


def _bodies(value: Any, where: str, ways: Ways, about: dict[str, Any]) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Lists of landmarks, with what is said about each body."""
    if value is None or value == [] or value == {}:
        return
    if isinstance(value, dict):
        keys = _plain(value, where)
        inside = next((k for k in ways.keys if k in keys), None)
        if inside is None or (ways.world and inside in IMAGE_KEYS[:LEAVES]):
            there = "only world landmarks (coordinates='world')" if keys.keys() & set(WORLD_KEYS) else "no landmarks or keypoints"
            there = "no world landmarks (leave out coordinates='world')" if ways.world else there
            raise DataError(f"{where}: {there}, found the keys {', '.join(f'{k:.40}' for k in list(value)[:6])}")
        inner = replace(ways, world=ways.world and inside not in WORLD_KEYS)
        yield from _bodies(keys[inside], where, inner, {**about, **{k: v for k, v in keys.items() if k != inside}})
    elif not isinstance(value, list):
        raise DataError(f"{where}: found {value!r:.40}, wanted landmarks")
    elif _is_body(value):
        yield value, about
    else:
        for item in value:
            yield from _bodies(item, where, ways, about)


def _is_body(value: list[Any]) -> bool:
    first = value[0]
    if isinstance(first, dict):
        return "x" in first and "y" in first
    if isinstance(first, list):
        return len(first) <= 4 and all(isinstance(v, int | float) or v is None for v in first) and len(first) > 1
    return isinstance(first, int | float)


def _add(video: Video, body: tuple[Any, dict[str, Any]], number: int, where: str, ways: Ways) -> None:
    points, about = body
    joints = _joints(points, where, ways)
    scores = about.get("keypointscores")
    if scores is not None:
        joints[:, 3] = number_array(scores, (len(joints),), f"{where}, keypoint_scores")
    if video.people and len(joints) != len(video.people[0]):
        raise DataError(f"{where}: a person of {len(joints)} joints, before that of {len(video.people[0])}; wanted one skeleton")
    joints = np.where(np.isnan(joints[:, :2]).any(axis=1, keepdims=True), [0, 0, 0, 0], joints)  # null: not seen
    joints[~joints[:, :2].any(axis=1), 3] = 0
    if not (np.abs(joints[:, [0, 1, 3]]) < 1e6).all() or (np.abs(joints[:, 2]) >= 1e6).any():
        raise DataError(f"{where}: a coordinate or score is not finite, or beyond any picture")
    if len(joints) == HAND and not joints[:, 3].any():
        joints[:, 3] = joints[:, :2].any(axis=1)  # MediaPipe says 0 for the visibility of every point of a hand
    if not joints[:, 3].any():
        return
    total = about.get("score", about.get("bboxscore"))
    told = isinstance(total, int | float) and not isinstance(total, bool) and math.isfinite(total)
    track = next((about[k] for k in TRACK_KEYS if about.get(k) is not None), None)
    track = track[0] if isinstance(track, list) and len(track) == 1 else track
    video.at.append(number)
    video.people.append(joints)
    video.scores.append(float(total) if told else float(joints[:, 3].mean()))  # type: ignore[arg-type]
    video.tracks.append(int(track) if isinstance(track, int | float) and 0 <= track < 1 << 31 else None)


def _joints(points: list[Any], where: str, ways: Ways) -> np.ndarray:
    """Landmarks as (V, 4): x, y, z and score."""
    if isinstance(points[0], dict):
        rows = []
        for v, point in enumerate(points):
            if not isinstance(point, dict) or "x" not in point or "y" not in point:
                raise DataError(f"{where}, landmark {v}: wanted an object with x and y")
            score = next((point[k] for k in SCORE_KEYS if point.get(k) is not None), 1)
            rows.append([point["x"], point["y"], point.get("z"), score])
        return number_array(rows, (len(points), 4), where)
    if isinstance(points[0], list):
        values = number_array(points, (len(points), len(points[0])), where)
    else:
        values = number_array(points, (len(points),), where)
        sizes = [*([ways.joints] if ways.joints else []), *KNOWN]
        fits = [(V, len(points) // V) for V in sizes if len(points) in (2 * V, 3 * V, 4 * V)]
        V, width = fits[0] if fits else (len(points) // 3, 3)
        if len(points) != V * width:
            raise DataError(f"{where}: {len(points)} numbers, wanted 2 to 4 for each of {' or '.join(map(str, sizes))} joints")
        values = values.reshape(V, width)
    third = ways.third or ("z" if len(values) in (21, 33) else "score")
    joints = np.full((len(values), 4), np.nan)
    joints[:, :2], joints[:, 3] = values[:, :2], 1
    if values.shape[1] == 4:
        joints[:, 2:] = values[:, 2:]
    elif values.shape[1] == 3:
        joints[:, 2 if third == "z" else 3] = values[:, 2]
    return joints


def _plain(table: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Keys without case and underscores."""
    plain = {k.lower().replace("_", ""): v for k, v in table.items()}
    if len(plain) < len(table) and not all(DIGITS.search(k) for k in table):
        raise DataError(f"{where}: two keys differ only in case or underscores")
    return plain


def _number(told: int | str, where: str) -> int:
    found = DIGITS.search(Path(told).stem) if isinstance(told, str) else None
    number = int(found[1]) if found else told
    if type(number) is not int or not 0 <= number < 1 << 31:
        raise DataError(f"{where}: {str(told)[:60]!r} is no frame number; wanted 0, 1 ... or a file name that ends in it")
    return number


def _rate(keys: Mapping[str, Any], file: Path) -> float | None:
    rate = next((keys[k] for k in ("fps", "framerate") if keys.get(k) is not None), None)
    if rate is None:
        return None
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate <= 1000:
        raise DataError(f"{file}: 'fps' is {rate!r:.40}, wanted a number above 0 and up to 1000")
    return float(rate)


def _size(keys: Mapping[str, Any], file: Path) -> tuple[int, int] | None:
    width, height = keys.get("width"), keys.get("height")
    if width is None and height is None:
        return None
    if type(width) is not int or type(height) is not int or not (0 < width < 100_000 and 0 < height < 100_000):
        raise DataError(f"{file}: 'width' and 'height' are {width!r:.30} and {height!r:.30}, wanted pixels of the picture")
    return width, height
