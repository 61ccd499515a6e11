from __future__ import annotations

import time
import xml.etree.ElementTree as ET

import numpy as np
import pytest
import torch

from skelbench.errors import ConfigError, DataError
from skelbench.skeleton.clip import Clip, collate
from skelbench.skeleton.topology import topology
from skelbench.widgets import SkeletonPlayer, link
from skelbench.widgets.paced import Pace
from skelbench.widgets.scene import colours_of, plain_scene, scene_of, turned, upright

LAYOUT = topology("kinect_v2_25")


def clip(frames: int = 8, bodies: int = 1, *, name: str = "a", seed: int = 0, fps: float = 30.0) -> Clip:
    joints = np.random.default_rng(seed).normal(size=(frames, bodies, 25, 3)).astype(np.float32)
    return Clip(joints=joints, topology=LAYOUT, id=name, fps=fps)


def unpack(table: dict, data: bytes) -> np.ndarray:
    shape = (table["frames"], table["bodies"], table["joints"], 3)
    return np.frombuffer(data, "<f2", np.prod(shape), table["offset"]).reshape(shape).astype(np.float32) * table["scale"]


def sent(widget, monkeypatch) -> list[dict]:
    """Every state message from now on."""
    messages: list[dict] = []
    monkeypatch.setattr(type(widget), "_send", lambda self, msg, buffers=None: messages.append(msg.get("state", {})))
    return messages


# -- what is packed


def test_positions_survive_to_a_thousandth_of_the_clips_size():
    one, two = clip(5, 2, name="one"), clip(9, 1, name="two", seed=1)
    scene = scene_of([one, two], face=False)
    for table, source in zip(scene["clips"], (one, two), strict=True):
        found = unpack(table, scene["data"])
        plain = source.joints - source.joints.mean(axis=(0, 1, 2)) + found.mean(axis=(0, 1, 2))
        assert np.abs(found - plain).max() < table["scale"] / 1000
    assert [t["title"] for t in scene["clips"]] == ["one", "two"]
    assert len(scene["data"]) == 2 * 25 * 3 * (10 + 9)
    assert scene["clips"][0]["edges"] == [list(b) for b in LAYOUT.bones] and scene["clips"][0]["names"][3] == "head"


def test_absent_bodies_are_nan_and_a_joint_at_the_origin_is_not_absent():
    source = clip(4, 2)
    source.joints[1:3, 1] = 0
    source.joints[:, 0, 5] = 0
    table = scene_of([source], face=False)["clips"][0]
    found = unpack(table, scene_of([source], face=False)["data"])
    absent = np.isnan(found).all(axis=(2, 3))
    assert absent.tolist() == [[False, False], [False, True], [False, True], [False, False]]
    assert np.isfinite(found[:, 0]).all()


def test_a_jumping_joint_does_not_shrink_the_body():
    calm, wild = clip(60), clip(60)
    wild.joints[30, 0, 7] = (500, 500, 500)
    assert scene_of([wild])["clips"][0]["half"][1] < 2 * scene_of([calm])["clips"][0]["half"][1]


def test_bodies_are_turned_to_the_viewer_and_keep_their_lengths():
    joints = np.zeros((1, 1, 25, 3), np.float32)
    for left, right in LAYOUT.pairs:
        joints[0, 0, left], joints[0, 0, right] = (-0.2, 1, -0.3), (0.2, 1, 0.3)  # faces away and aside
    front = turned(joints, LAYOUT)
    left, right = np.array(LAYOUT.pairs).T
    across = (front[0, 0, left] - front[0, 0, right]).mean(axis=0)
    np.testing.assert_allclose(across, [np.hypot(0.4, 0.6), 0, 0], atol=1e-6)  # left is at +x when facing +z
    np.testing.assert_allclose(np.linalg.norm(front, axis=-1), np.linalg.norm(joints, axis=-1), atol=1e-6)
    assert np.cross(across / np.linalg.norm(across), [0, 1, 0])[2] == pytest.approx(1)


def test_two_bodies_are_seen_from_the_side_the_first_at_the_left():
    source = clip(5, 2)
    source.joints[:, 1] = source.joints[:, 0] + np.float32([0.3, 0, -4])
    source.joints[2, 1] = 0
    shown = turned(upright(source), LAYOUT)
    np.testing.assert_allclose((shown[0, 1] - shown[0, 0]).mean(axis=0), [np.hypot(0.3, 4), 0, 0], atol=1e-5)
    assert np.isnan(shown[2, 1]).all()
    source.joints[:, 1] = source.joints[:, 0]  # in one place: the first body faces the viewer
    np.testing.assert_allclose(turned(upright(source), LAYOUT)[:, 0], turned(upright(source)[:, :1], LAYOUT)[:, 0], atol=1e-6)


def test_which_way_is_up():
    source = clip(2)
    np.testing.assert_allclose(upright(source, "z")[..., 1], source.joints[..., 2])
    np.testing.assert_allclose(upright(source, "-y")[..., 1], -source.joints[..., 1])
    assert np.linalg.det(
        np.stack(
            [
                upright(Clip(joints=np.eye(3, dtype=np.float32)[[k] * 25][None, None], topology=LAYOUT), "z")[0, 0, 0]
                for k in range(3)
            ]
        )
    ) == pytest.approx(1)
    with pytest.raises(ConfigError, match="'z'"):
        upright(source, "x")


def test_flat_skeletons_have_no_floor_and_lose_their_confidence():
    flat = topology("coco_17")
    joints = np.random.default_rng(0).uniform(1, 2, size=(3, 1, 17, 3)).astype(np.float32)
    scene = scene_of([Clip(joints=joints, topology=flat)])
    table = scene["clips"][0]
    assert table["floor"] is None and np.ptp(unpack(table, scene["data"])[..., 2]) == 0
    assert [table["names"][j] for j in table["head"]] == ["nose", "left_eye", "right_eye", "left_ear", "right_ear"]


def test_colours_of_every_shape():
    pair = [clip(8), clip(8)]
    for given, rows in ((np.ones(25), 1), (np.ones((4, 25)), 4), ([np.ones((3, 25)), None], 3), (torch.ones(2, 5, 25), 5)):
        assert colours_of(pair, given)[0].shape == (rows, 1, 25)
    assert colours_of([pair[0]], np.ones((6, 2, 25)))[0].shape == (6, 2, 25)
    value = np.arange(25.0)
    value[3] = np.nan
    scene = scene_of([pair[0]], colour=value)
    assert scene["range"] == [0.0, 24.0]
    assert np.frombuffer(scene["colours"], np.uint8)[[0, 3, 12, 24]].tolist() == [0, 0, 128, 255]
    assert scene_of([pair[0]], colour=value, colour_range=(0, 48))["colours"][24] == 128
    for wrong in (np.ones(24), [np.ones(25)], np.ones((0, 25))):
        with pytest.raises(DataError, match="colour"):
            colours_of(pair, wrong)


def test_scene_of_a_plain_page_is_json():
    import json

    scene = plain_scene(clip(2), titles=["</script>"])
    assert json.loads(json.dumps(scene)) == scene and scene["clips"][0]["title"] == "</script>"


def test_a_clip_without_any_body_is_shown_as_nothing():
    empty = Clip(joints=np.zeros((3, 1, 25, 3), np.float32), topology=LAYOUT, id="empty")
    player = SkeletonPlayer(empty)
    assert "no body" in player.static()
    assert np.isfinite(player._scene["clips"][0]["half"]).all()


# -- the widget


def test_player_takes_clips_batches_and_arrays():
    batch = collate([clip(5, name="x"), clip(7, name="y")])
    player = SkeletonPlayer(batch, topology=LAYOUT)
    assert player.titles == ["x", "y"] and [len(c) for c in player.clips] == [5, 7]  # padding is cut off
    assert SkeletonPlayer(np.ones((4, 25, 3)), topology=LAYOUT).clips[0].joints.shape == (4, 1, 25, 3)
    assert SkeletonPlayer(torch.ones(4, 2, 25, 3), topology=LAYOUT).clips[0].joints.shape == (4, 2, 25, 3)
    with pytest.raises(DataError, match="topology="):
        SkeletonPlayer(batch)
    with pytest.raises(DataError, match=r"\(4, 25\)"):
        SkeletonPlayer(np.ones((4, 25)), topology=LAYOUT)
    with pytest.raises(DataError, match="int"):
        SkeletonPlayer(7)
    with pytest.raises(ConfigError, match="25 given"):
        SkeletonPlayer([clip(2)] * 25)


def test_what_can_be_set_can_be_read():
    player = SkeletonPlayer([clip(name="a"), clip(name="b")], titles=["one", "two"], height=300)
    assert player.titles == ["one", "two"] and player.height == 300 and player.colour is None
    player.titles = ["x", "y"]
    player.colour = np.arange(25)
    assert player.titles == ["x", "y"] and player._scene["range"] == [0.0, 24.0]
    player.frame, player.speed, player.trail, player.camera = 5, 0.5, 12, [1.0, 0.2, 2.0]
    other = SkeletonPlayer(clip())
    other.state = player.state
    assert (
        other.state
        == player.state
        == {"frame": 5, "playing": True, "speed": 0.5, "trail": 12, "floor": True, "camera": [1.0, 0.2, 2.0], "height": 300}
    )
    with pytest.raises(ConfigError, match="zoom"):
        other.state = {"zoom": 3}
    player.clips = clip(name="c")
    assert player.titles == ["c"] and player.frame == 0 and player.colour is None and player.camera == [1.0, 0.2, 2.0]
    with pytest.raises(DataError, match="2 titles for 1"):
        player.titles = ["a", "b"]
    assert player.titles == ["c"]


def test_linked_players_share_a_clock():
    a, b, c = SkeletonPlayer(clip()), SkeletonPlayer(clip()), SkeletonPlayer(clip())
    a.speed, a.playing, a.frame = 2.0, False, 5
    link(a, b)
    assert a._clock == b._clock != c._clock
    assert (b.speed, b.playing, b.frame) == (2.0, False, 5)


def test_the_page_hears_the_latest_value_and_not_every_one(monkeypatch):
    player = SkeletonPlayer(clip(200))
    messages = sent(player, monkeypatch)
    for frame in range(1, 200):
        player.frame = frame
    deadline = time.monotonic() + 5
    while (not messages or messages[-1]["frame"] != 199) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert messages[-1]["frame"] == 199 and len(messages) < 40


def test_clips_travel_once_and_in_one_message(monkeypatch):
    player = SkeletonPlayer(clip())
    time.sleep(0.05)
    messages = sent(player, monkeypatch)
    player.frame = 3
    time.sleep(0.06)
    player.show([clip(4), clip(4)], titles=["a", "b"])
    assert [sorted(m) for m in messages] == [["frame"], ["_scene", "frame"]]


def test_pace_runs_the_last_call():
    seen: list[int] = []
    pace = Pace(lambda: seen.append(value), hertz=20)
    for value in range(100):
        pace()
    deadline = time.monotonic() + 5
    while seen[-1] != 99 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert seen[0] == 0 and seen[-1] == 99 and len(seen) < 30


def test_the_still_picture_stands_in_the_bundle(tmp_path):
    player = SkeletonPlayer([clip(30, 2, name="<b>&"), clip(3, name="short")])
    bundle, _ = player._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "application/vnd.jupyter.widget-view+json", "image/svg+xml"}
    root = ET.fromstring(bundle["image/svg+xml"])
    texts = [t.text for t in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "<b>&" in texts and texts.count("1") == 2 and "30" in texts and "3" in texts  # first and last frame of both rows
    dashed = [p for p in root.iter("{http://www.w3.org/2000/svg}path") if p.get("stroke-dasharray")]
    assert len(dashed) == 8 * 2 + 3  # the right side of every body of every pose
    assert player.save_svg(tmp_path / "a.svg").read_text() == player.static()
