"""A small Northwestern-UCLA: three subjects, two actions, three views; random joints."""

import json
from pathlib import Path

import numpy as np


def write_sample(folder: Path, rng: np.random.Generator) -> Path:
    """18 clips of 1 to 12 frames."""
    folder.mkdir(parents=True, exist_ok=True)
    for action in (1, 12):
        for subject in (1, 2, 3):
            for view in (1, 2, 3):
                frames = rng.normal(size=(int(rng.integers(1, 13)), 20, 3)).round(5)
                name = f"a{action:02d}_s{subject:02d}_e01_v{view:02d}"
                (folder / f"{name}.json").write_text(json.dumps({"file_name": name, "skeletons": frames.tolist(), "label": 1}))
    return folder
