"""A small Kinetics-skeleton: train and validation folders with their label files; up to six people in a frame, frames left out."""

import json
from pathlib import Path
from typing import Any

import numpy as np

LABELS = {"abseiling": 0, "tap dancing": 1, "using remote controller (not gaming)": 2}


def frame(number: int, people: int, rng: np.random.Generator) -> dict[str, Any]:
    """One frame; about a fifth of the joints not seen."""
    skeleton = []
    for _ in range(people):
        score = rng.uniform(0.1, 1, 18) * (rng.random(18) < 0.8)
        pose = (rng.uniform(0.1, 0.9, (18, 2)) * (score[:, None] > 0)).round(3)
        skeleton.append({"pose": pose.ravel().tolist(), "score": score.round(3).tolist()})
    return {"frame_index": number, "skeleton": skeleton}


def clip(frames: list[dict[str, Any]], label: str) -> dict[str, Any]:
    return {"data": frames, "label": label, "label_index": LABELS[label]}


def write_sample(folder: Path, rng: np.random.Generator) -> Path:
    """Seven clips of 2 to 8 listed frames."""
    words = list(LABELS)
    for side, count in (("train", 4), ("val", 3)):
        place, listed = folder / f"kinetics_{side}", {}
        place.mkdir(parents=True)
        for n in range(count):
            numbers = sorted(rng.choice(np.arange(1, 12), int(rng.integers(2, 9)), replace=False).tolist())
            frames = [frame(t, int(rng.integers(0, 7)), rng) for t in numbers]
            frames[0] = frame(numbers[0], 1, rng)
            label, id = words[n % 3], f"_{side}-{n}x"
            listed[id] = {"has_skeleton": True, "label": label, "label_index": LABELS[label]}
            (place / f"{id}.json").write_text(json.dumps(clip(frames, label)))
        (folder / f"kinetics_{side}_label.json").write_text(json.dumps(listed, indent=1))
    return folder
