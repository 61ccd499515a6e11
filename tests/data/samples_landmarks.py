"""Videos of a user's own pose estimator, in four of the forms there are; one class folder each for MediaPipe and COCO."""

import json
from pathlib import Path
from typing import Any

import numpy as np


def points(joints: np.ndarray) -> list[dict[str, float]]:
    """Rows of x, y, z, visibility as MediaPipe's objects."""
    return [dict(zip(("x", "y", "z", "visibility"), row, strict=True)) for row in joints.round(4).tolist()]


def landmarks(V: int, rng: np.random.Generator) -> np.ndarray:
    return rng.uniform(0.05, 0.95, (V, 4))


def detection(image: Any, rng: np.random.Generator, **more: Any) -> dict[str, Any]:
    """A COCO result: 17 keypoints in pixels."""
    keypoints = np.concatenate([rng.uniform(1, 600, (17, 2)), rng.uniform(0.1, 1, (17, 1))], axis=1).round(2)
    return {"image_id": image, "category_id": 1, "keypoints": keypoints.ravel().tolist(), "score": round(rng.random(), 3), **more}


def write_sample(folder: Path, rng: np.random.Generator) -> Path:
    """Four videos of MediaPipe pose in two class folders, 3 to 6 frames each."""
    for n, word in enumerate(("wave", "wave", "jump", "jump")):
        (folder / word).mkdir(parents=True, exist_ok=True)
        T = int(rng.integers(3, 7))
        people = [landmarks(33, rng) for _ in range(T)]
        world = [landmarks(33, rng) - [0.5, 0.5, 0.5, 0] for _ in range(T)]
        if n == 0:
            table: Any = {"fps": 30, "width": 640, "height": 480, "frames": [{"pose_landmarks": [points(p)]} for p in people]}
        elif n == 1:
            table = [
                {"frame": t, "landmarks": points(p), "world_landmarks": points(w)} for t, (p, w) in enumerate(zip(people, world))
            ]
            table[1] = {"frame": 1, "landmarks": [], "world_landmarks": []}
        elif n == 2:
            table = [p.round(4).tolist() for p in people]
        else:
            table = {str(t): [p.round(4).ravel().tolist()] for t, p in enumerate(people)}
        (folder / word / f"video{n}.json").write_text(json.dumps(table))
    return folder
