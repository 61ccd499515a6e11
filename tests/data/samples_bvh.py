"""A small BVH folder: two class folders, a two-bone arm with an End Site, random angles."""

from pathlib import Path

import numpy as np

HEAD = """HIERARCHY
ROOT hips
{
  OFFSET 0.0 0.0 0.0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT arm
  {
    OFFSET 0.0 0.6 0.0
    CHANNELS 3 Zrotation Xrotation Yrotation
    End Site
    {
      OFFSET 0.0 0.5 0.1
    }
  }
}
MOTION
"""


def write_sample(folder: Path, rng: np.random.Generator) -> Path:
    """Three takes of 2 to 5 frames."""
    for name in ("wave/a", "wave/b", "sit/c"):
        file = folder / f"{name}.bvh"
        file.parent.mkdir(parents=True, exist_ok=True)
        rows = rng.normal(scale=30, size=(int(rng.integers(2, 6)), 9)).round(4)
        lines = "\n".join(" ".join(map(str, row)) for row in rows)
        file.write_text(f"{HEAD}Frames: {len(rows)}\nFrame Time: 0.033333\n{lines}\n")
    return folder
