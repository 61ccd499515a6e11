"""A small pickle of PYSKL: six NTU clips of one and two bodies, 3D, float16; and its 2D relatives."""

import pickle
from pathlib import Path

import numpy as np

PLACES = ((1, 1, 1, 1), (1, 2, 1, 1), (1, 3, 3, 2), (2, 1, 3, 1), (2, 2, 1, 2), (2, 1, 6, 50))
NTU = [f"S{s:03d}C{c:03d}P{p:03d}R001A{a:03d}" for s, c, p, a in PLACES]


def annotation(name: str, label: int, keypoint: np.ndarray, **more: object) -> dict[str, object]:
    return {"frame_dir": name, "label": label, "total_frames": keypoint.shape[1], "keypoint": keypoint, **more}


def three_d(rng: np.random.Generator) -> dict[str, object]:
    """As ``ntu60_3danno.pkl``."""
    clips = []
    for n, name in enumerate(NTU):
        keypoint = rng.normal(size=(1 + n % 2, int(rng.integers(1, 9)), 25, 3)).astype(np.float16)
        clips.append(annotation(name, int(name[-3:]) - 1, keypoint))
    people = {n: n[8:12] for n in NTU}
    split = {
        "xsub_train": [n for n in NTU if people[n] == "P001"],
        "xsub_val": [n for n in NTU if people[n] != "P001"],
        "xview_train": [n for n in NTU if n[4:8] != "C001"],
        "xview_val": [n for n in NTU if n[4:8] == "C001"],
    }
    return {"split": split, "annotations": clips}


def two_d(rng: np.random.Generator) -> dict[str, object]:
    """As ``ucf101_hrnet.pkl``: COCO's joints, scores, picture sizes, two folds."""
    clips = []
    for n in range(6):
        M, T = 1 + n % 3, int(rng.integers(2, 9))
        keypoint = rng.uniform(1, 340, size=(M, T, 17, 2)).astype(np.float16)
        score = rng.uniform(0.1, 1, size=(M, T, 17)).astype(np.float16)
        more = {"keypoint_score": score, "img_shape": (240, 320 + n), "original_shape": (240, 320 + n)}
        clips.append(annotation(f"v_Cut/g{n:02d}_c01", n % 3, keypoint, **more))
    names = [c["frame_dir"] for c in clips]
    return {"split": {"train1": names[:3], "test1": names[3:], "train2": names[3:], "test2": names[:3]}, "annotations": clips}


def found_people(rng: np.random.Generator) -> tuple[dict[str, object], dict[str, dict[str, np.ndarray]]]:
    """As ``k400_hrnet.pkl`` and a kpfile: an index of people found, without coordinates, and the coordinates."""
    index, rows = [], {}
    for n in range(4):
        T, R = 6, int(rng.integers(1, 12))
        found = np.sort(rng.integers(1, T + 1, size=R)).astype(np.int16)
        found[-1] = T
        name = f"abc{n}_000010_000020"
        rows[name] = {"keypoint": rng.uniform(1, 300, size=(R, 17, 3)).astype(np.float16)}
        clip = {"frame_dir": name, "label": n % 2, "total_frames": T, "raw_file": f"data/k400/kpfiles/part_{n % 2}.pkl"}
        index.append({**clip, "frame_inds": found, "box_score": rng.uniform(0.5, 1, R).astype(np.float16), "img_shape": (240, 320)})
    names = [c["frame_dir"] for c in index]
    return {"split": {"train": names[:2], "val": names[2:]}, "annotations": index}, rows


def write_sample(folder: Path, rng: np.random.Generator) -> Path:
    """Six clips of 1 to 8 frames."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ntu60_3danno.pkl").write_bytes(pickle.dumps(three_d(rng), protocol=4))
    return folder
