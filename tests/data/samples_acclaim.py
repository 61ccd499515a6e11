"""A small Acclaim folder: a skeleton of three bones and three takes."""

from pathlib import Path

import numpy as np

SKELETON = """# a leg
:version 1.10
:name leg
:units
  mass 1.0
  length 0.45
  angle deg
:root
  order TX TY TZ RX RY RZ
  axis XYZ
  position 0 0 0
  orientation 0 0 0
:bonedata
  begin
    id 1
    name upper
    direction 0 -1 0
    length 7
    axis 0 0 20 XYZ
    dof rx ry rz
    limits (-160.0 20.0)
           (-70.0 70.0)
           (-60.0 70.0)
  end
  begin
    id 2
    name lower
    direction 0 -1 0
    length 7.5
    axis 90 0 0 XYZ
    dof rx
    limits (-10 170)
  end
  begin
    id 3
    name foot
    direction 0 0 1
    length 2
    axis 0 0 0 XYZ
  end
:hierarchy
  begin
    root upper
    upper lower
    lower foot
  end
"""


def write_sample(folder: Path, rng: np.random.Generator) -> Path:
    """Three takes of 2 to 5 frames."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "02.asf").write_text(SKELETON)
    for n in range(3):
        text = "#!OML:ASF leg\n:FULLY-SPECIFIED\n:DEGREES\n"
        for t in range(int(rng.integers(2, 6))):
            root, upper = (" ".join(map(str, rng.normal(scale=20, size=k).round(3))) for k in (6, 3))
            text += f"{t + 1}\nroot {root}\nupper {upper}\nlower {rng.uniform(0, 90):.2f}\n"
        (folder / f"02_{n + 1:02d}.amc").write_text(text)
    return folder
