"""A small SHREC 2017: two gestures with one finger and the whole hand, three subjects, both official lists."""

from pathlib import Path

import numpy as np


def write_sample(folder: Path, rng: np.random.Generator) -> Path:
    """12 sequences of 3 to 8 frames, written with the double and trailing blanks of some copies; subject 3 tests."""
    lines: dict[str, list[str]] = {"train": [], "test": []}
    for gesture in (2, 14):
        for finger in (1, 2):
            for subject in (1, 2, 3):
                place = folder / f"gesture_{gesture}" / f"finger_{finger}" / f"subject_{subject}" / "essai_1"
                place.mkdir(parents=True)
                x = rng.normal(size=(int(rng.integers(3, 9)), 66)).round(5)
                text = "".join("  ".join(map(str, row)) + " \n" for row in x.tolist())
                (place / "skeletons_world.txt").write_text(text)
                (place / "skeletons_image.txt").write_text("0 " * 44 + "\n")
                row = f"{gesture} {finger} {subject} 1 {gesture} {2 * (gesture - 1) + finger} {len(x)}"
                lines["test" if subject == 3 else "train"].append(row)
    for side, rows in lines.items():
        (folder / f"{side}_gestures.txt").write_text("\n".join(rows) + "\n")
    return folder
