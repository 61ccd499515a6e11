"""The Playground with pictures: twins are one performance, and what tells them apart is in the modality it should be in."""

import numpy as np
import pytest
import torch

from skelbench.data import load
from skelbench.data.frames import FrameSettings, rendered_rows
from skelbench.data.motion.body import KINECT, J
from skelbench.data.motion.cues import CUE_CLASSES, CUES
from skelbench.data.playground_frames import CAMERAS, DISTANCES, make_clip, playground_frames
from skelbench.data.render import seed_of
from skelbench.data.splits import make_split
from skelbench.data.store import Store, write_store
from skelbench.errors import ConfigError, DataError

SIZE = 108
SETTINGS = FrameSettings(frames=8, size=64)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return playground_frames(SIZE, path=tmp_path_factory.mktemp("data") / "pgf", progress=False)


def pair(tmp_path, one, two, row):
    """Pictures of one performance as two classes, same room and clothes, without noise; and both clips."""
    made = [make_clip(row, instead=CUE_CLASSES.index(name)) for name in (one, two)]
    pictures = []
    for k, clip in enumerate(made):
        renamed = clip.__class__(
            joints=clip.joints, topology=clip.topology, fps=clip.fps, label=clip.label, id="the same", about=clip.about
        )
        folder = write_store(tmp_path / f"{row}-{one}-{k}", [renamed], classes=CUE_CLASSES)
        pictures.append(rendered_rows(folder, np.array([0]), SETTINGS, noise=False))
    return pictures, made


def test_all_classes_and_both_sides(store):
    assert len(CUE_CLASSES) == 18 and np.bincount(store.labels).tolist() == [6] * 18
    assert all(c.twin in CUES and c.twin != name for name, c in CUES.items())
    assert {m for c in CUES.values() for m in c.needs} == {"rgb", "depth", "ir", "pose"}
    split = make_split(store, "xsub")
    assert not set(store.index["subject"][split.train_all]) & set(store.index["subject"][split.test])
    assert set(store.labels[split.train_all]) == set(store.labels[split.test]) == set(range(18))
    assert set(store.index["camera"]) == set(CAMERAS) and set(store.index["setup"]) == set(DISTANCES)


def test_the_same_seed_makes_the_same_bytes(store, tmp_path):
    again = playground_frames(SIZE, path=tmp_path / "again", progress=False)
    assert again.fingerprint == store.fingerprint
    np.testing.assert_array_equal(store[77].joints, make_clip(77).joints)
    assert playground_frames(SIZE, path=tmp_path / "again", progress=False).path == again.path  # opened, not made
    other = make_clip(77, seed=1)
    assert other.joints.shape != store[77].joints.shape or not np.allclose(other.joints, store[77].joints)


@pytest.mark.parametrize(
    ("one", "two", "carrier"),
    [
        ("red_ball", "blue_ball", "rgb"),
        ("lamp_flashes", "lamp_dark", "rgb"),
        ("dull_ball", "shiny_ball", "ir"),
        ("red_foot_before", "blue_foot_before", "rgb"),
        ("red_foot_behind", "blue_foot_behind", "rgb"),
    ],
)
def test_what_only_one_modality_shows_is_bit_for_bit_the_same_in_the_others(tmp_path, one, two, carrier):
    changed = 0
    for row in range(4):
        (a, b), (x, y) = pair(tmp_path, one, two, row)
        np.testing.assert_array_equal(x.joints, y.joints)
        for name in ("rgb", "depth", "ir"):
            if name != carrier:
                assert torch.equal(getattr(a, name), getattr(b, name)), name
        changed += int((getattr(a, carrier) != getattr(b, carrier)).any())
    assert changed >= 3  # a flash may fall between the pictures


@pytest.mark.parametrize(("one", "two"), [("foot_before", "foot_behind"), ("red_foot_before", "red_foot_behind")])
def test_before_or_behind_is_a_matter_of_depth(tmp_path, one, two):
    for row in range(4):
        (a, b), (x, y) = pair(tmp_path, one, two, row)
        # Nothing moves in the picture but by the joints' noise, which is the same in metres before and behind.
        places = (a.joints - b.joints).abs().amax()
        assert float(places) < 0.01
        leg = "left" if x.about["handed"] else "right"
        ahead = x.joints[:, 0, J[f"{leg}_hip"], 2] - x.joints[:, 0, J[f"{leg}_ankle"], 2]
        behind = y.joints[:, 0, J[f"{leg}_hip"], 2] - y.joints[:, 0, J[f"{leg}_ankle"], 2]
        assert ahead.max() > 0.25 and behind.min() < -0.25
        deep = ((a.depth - b.depth).abs() > 200).float().mean()  # of all pixels
        colour = ((a.rgb.int() - b.rgb.int()).abs().amax(dim=2) > 60).float().mean()
        assert deep > 0.01 and colour < 0.6 * deep  # what colour shows of it is shading, and a sole nearer or farther


def test_fingers_behind_the_back_are_seen_by_no_camera(tmp_path):
    same = []
    for row in range(6):
        (a, b), (x, y) = pair(tmp_path, "hidden_fidget", "hidden_still", row)
        hidden = [J[f"{side}_{part}"] for side in ("left", "right") for part in ("hand", "hand_tip", "thumb")]
        moved = np.abs(x.joints - y.joints).max(axis=(0, 1, 3))
        others = [j for j in range(KINECT.V) if j not in hidden]
        assert moved[hidden].min() > 0.01 and moved[others].max() < 1e-6
        # The joints' noise lengthens a turned hand by a hair, and with it the whole body: a level, a millimetre.
        for name, least in (("rgb", 3), ("depth", 3), ("ir", 3)):
            same.append(float(((getattr(a, name).int() - getattr(b, name).int()).abs() <= least).float().mean()))
        assert float((a.joints - b.joints).abs().max()) > 0.005  # the joints' places do tell
    assert np.min(same) > 0.997 and np.median(same) > 0.9995


def test_xor_twins_show_the_same_cues_equally_often():
    """Neither cue alone tells an XOR class from its twin: over many clips both cues fall on either side in both classes."""
    for one, cues in (("xor_light_same", ("colour", "infrared")), ("xor_pose_same", ("colour", "fidget"))):
        two = CUES[one].twin
        for cue in cues:
            values = [{getattr(shot, cue) for shot in CUES[name].shots} for name in (one, two)]
            assert values[0] == values[1] and len(values[0]) == 2
        pairs = [{tuple(getattr(s, cue) for cue in cues) for s in CUES[name].shots} for name in (one, two)]
        assert not pairs[0] & pairs[1] and len(pairs[0] | pairs[1]) == 4
        heads = [make_clip(row, instead=CUE_CLASSES.index(one)).about["held_colour"] >> 8 & 255 for row in range(60)]
        share = np.mean([green > 100 for green in heads])  # the green ball or the purple one
        assert 0.3 < share < 0.7


def test_a_foot_is_mirrored_along_the_line_of_sight():
    x, y = (make_clip(3, instead=CUE_CLASSES.index(name)).joints[:, 0] for name in ("foot_before", "foot_behind"))
    left = make_clip(3).about["handed"]
    ankle, hip = (J[f"{'left' if left else 'right'}_{part}"] for part in ("ankle", "hip"))
    same = [j for j in range(KINECT.V) if not KINECT.joints[j].endswith(("knee", "ankle", "foot"))]
    np.testing.assert_allclose(x[:, same], y[:, same], atol=1e-6)
    np.testing.assert_allclose(x[:, ankle, 2] + y[:, ankle, 2], 2 * x[:, hip, 2], atol=0.03)


def test_rooms_and_clothes_do_not_follow_the_class(store):
    assert seed_of("clip", 0, store.ids[0]) != seed_of("clip", 1, store.ids[0])
    by_subject = {int(s) for s in store.index["subject"]}
    assert len(by_subject) > 15


def test_by_name_and_bad_settings(tmp_path, monkeypatch):
    monkeypatch.setenv("SKELBENCH_DATA", str(tmp_path / "home"))
    made = load("playground_frames:20")
    assert isinstance(made, Store) and len(made) == 20 and load("playground_frames:20").fingerprint == made.fingerprint
    with pytest.raises(ConfigError, match="playground_frames:<number of clips>"):
        load("playground_frames:many")
    with pytest.raises(ConfigError, match="whole numbers"):
        make_clip(-1)
    with pytest.raises(ConfigError, match="size >= 1"):
        playground_frames(0)
    with pytest.raises(DataError, match="pass another path"):
        playground_frames(21, path=made.path)
