"""Positions in a picture count downwards; every view that plays a clip of such a store shows it the right way up."""

import base64
import re

import numpy as np
import pytest

from skelbench.data import write_store
from skelbench.errors import ConfigError
from skelbench.skeleton.clip import Clip
from skelbench.skeleton.topology import topology
from skelbench.widgets import EmbeddingMap, SkeletonPlayer
from skelbench.widgets.filmstrip import filmstrip
from skelbench.widgets.report_parts import bodies
from skelbench.widgets.scene import scene_of, turned, upright

COCO = topology("coco_17")
NOSE, ANKLE = COCO.joint("nose"), COCO.joint("left_ankle")


def person():
    """(17, 3) x, y, score of somebody who stands in a picture: the nose at 100, the ankles at 400."""
    y = np.interp(np.arange(17), [0, 16], [100, 400])
    return np.stack([300 + 10.0 * (np.arange(17) % 2), y, np.ones(17)], axis=1)


@pytest.fixture
def store(tmp_path):
    joints = np.tile(person(), (6, 1, 1, 1)).astype(np.float32)
    clips = [Clip(joints=joints, topology=COCO, label=0, id=f"{i}") for i in range(4)]
    return write_store(tmp_path / "flat", clips, classes=["stand"], units="pixel", extra={"image": True})


def heights(scene):
    """y of nose and ankle in the first frame of the first clip, as player.js will read it."""
    data = scene["data"] if isinstance(scene["data"], bytes) else base64.b64decode(scene["data"])
    points = np.frombuffer(data, "<f2").reshape(-1, 17, 3)
    return points[0, NOSE, 1], points[0, ANKLE, 1]


def test_the_store_says_so_and_its_clips_too(store):
    assert store.up == store[2].up == "-y"


def test_the_player(store):
    nose, ankle = heights(SkeletonPlayer(store[0])._scene)
    assert nose > ankle
    nose, ankle = heights(SkeletonPlayer(store[0], up="y")._scene)  # what is said wins
    assert nose < ankle
    with pytest.raises(ConfigError, match="up='x'"):
        SkeletonPlayer(store[0], up="x")


def test_clips_of_two_kinds_side_by_side(store):
    upright = Clip(joints=store[0].joints * np.array([1, -1, 1], np.float32), topology=COCO, id="y up")
    player = SkeletonPlayer([store[0], upright])
    points = np.frombuffer(player._scene["data"], "<f2").reshape(2, 6, 17, 3)
    assert (points[:, 0, NOSE, 1] > points[:, 0, ANKLE, 1]).all()


def test_hover_on_the_map(store):
    chart = EmbeddingMap(np.eye(4)[:, :2], store=store, rows=range(4))
    nose, ankle = heights(chart.player._scene)
    assert nose > ankle
    chart.player.show(store[3])
    assert heights(chart.player._scene) == (nose, ankle)


def test_the_film_strip(store):
    def head_above_line(svg):
        head = float(re.search(r"<circle[^>]* cy=\"([\d.]+)\"", svg)[1])
        lowest = max(float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)", svg.split("<circle")[0]))
        return lowest - head

    assert head_above_line(filmstrip([store[0]])) > 50  # a screen counts downwards, too
    assert head_above_line(filmstrip([store[0]], up="y")) < 50


def test_the_bodies_of_a_report(store):
    item = bodies(store, [0], budget=10**6)["items"][0]
    nose, ankle = heights(item)
    assert nose > ankle


@pytest.mark.parametrize(
    "preset, layout, up",
    [
        ("isc", "kinect_v2_25", "z"),
        ("isc", "shrec17_hand_22", "y"),  # a hand has no spine to turn
        ("isc", "coco_17", "y"),
        ("ctrgcn", "kinect_v2_25", "y"),
        ("none", "kinect_v2_25", "y"),
        ("a note of the source", "kinect_v2_25", "y"),
    ],
)
def test_normalised_stores_know_where_up_is(preset, layout, up, tmp_path):
    joints = topology(layout)
    clip = Clip(joints=np.ones((2, 1, joints.V, joints.dims), np.float32), topology=joints, label=0, id="a")
    assert write_store(tmp_path / "s", [clip], classes=["a"], presets=[preset])[0].up == up


def test_joints_that_were_not_seen_are_not_drawn(tmp_path):
    """Neither at the origin nor at the corner of the picture; what is left keeps its size and its turn."""
    rng = np.random.default_rng(0)
    layout = topology("kinect_v2_25")
    whole = (rng.normal(size=(8, 1, 25, 3)) + 3).astype(np.float32)
    hand, origin = layout.joint("left_hand"), layout.center
    lost = whole.copy()
    lost[2:, 0, hand] = 0
    lost[:, 0, origin] = 0  # where a normalisation centred the body
    x = upright(Clip(joints=lost, topology=layout))
    gone = np.isnan(x).any(axis=3)
    assert gone[2:, 0, hand].all() and gone.sum() == 6 and np.isfinite(x[:, 0, origin]).all()
    assert np.isfinite(turned(x, layout)).sum() == np.isfinite(x).sum()
    size = lambda clip: scene_of([clip])["clips"][0]["thickness"]  # noqa: E731
    every = whole.copy()
    every[1:, 0, hand] = 0
    assert size(Clip(joints=every, topology=layout)) == pytest.approx(size(Clip(joints=whole, topology=layout)), rel=0.2)
    corner = Clip(
        joints=np.where(np.arange(17)[:, None] == NOSE, 0, person()).astype(np.float32)[None, None], topology=COCO, up="-y"
    )
    assert np.isnan(upright(corner)[0, 0, NOSE]).all()
    assert "nan" not in filmstrip([corner]).lower() and "<circle" in filmstrip([corner])  # the ears still show where the head is


def test_two_bodies_of_which_joints_are_lost_are_still_seen_from_the_side():
    rng = np.random.default_rng(1)
    layout = topology("kinect_v2_25")
    joints = rng.normal(scale=0.3, size=(5, 2, 25, 3)).astype(np.float32)
    joints[:, 1] += [0, 0, 2]
    joints[:, :, 3] = 0
    x = turned(upright(Clip(joints=joints, topology=layout)), layout)
    apart = np.nanmean(x[:, 1] - x[:, 0], axis=(0, 1))
    assert abs(apart[0]) > 1.8 and abs(apart[2]) < 0.3
