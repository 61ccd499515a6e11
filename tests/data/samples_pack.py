"""A small pack: six clips of two bodies, columns, names, splits."""

import json
from pathlib import Path

import numpy as np


def write_sample(folder: Path, rng: np.random.Generator) -> Path:
    """Six clips of 2 to 7 frames, compressed or not."""
    folder.mkdir(parents=True, exist_ok=True)
    lengths = rng.integers(2, 8, 6)
    arrays = {
        "joints": rng.normal(size=(int(lengths.sum()), 2, 4, 3)).astype(rng.choice(["<f4", "<f2", "<f8"])),
        "starts": np.concatenate([[0], np.cumsum(lengths)[:-1]]),
        "lengths": lengths,
        "labels": np.arange(6) % 2,
        "subjects": np.arange(6) // 2,
        "clips": np.arange(6),
        "glitch": np.zeros(6, np.int8),
    }
    meta = {
        "classes": ["up", "down"],
        "joint_names": ["hips", "head", "left_hand", "right_hand"],
        "parents": [-1, 0, 1, 1],
        "fps": 25,
        "licence": "CC0",
        "splits": {"cross_subject": {"train": [0], "test": [1, 2]}},
        "sample_ids": [f"s{i}" for i in range(6)],
        "subject_names": {"0": "ann"},
    }
    (np.savez_compressed if rng.random() < 0.5 else np.savez)(folder / "toy.npz", **arrays)
    (folder / "meta.json").write_text(json.dumps(meta, indent=1))
    return folder
