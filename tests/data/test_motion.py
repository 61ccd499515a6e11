"""The puppets' mathematics, against naive re-computations."""

from itertools import pairwise

import numpy as np
import pytest

from skelbench.data.motion.actor import Actor
from skelbench.data.motion.body import KINECT, J, pose, rotation, subject, turned, two_bone
from skelbench.data.motion.manner import settle
from skelbench.data.motion.moves import straight
from skelbench.data.motion.sensor import ANGLES, SETUPS, hidden, record, seen_from
from skelbench.data.motion.tracks import LEFT, RIGHT, Spot, in_time, minimum_jerk, pulse, through


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def standing(rng, frames=60, number=3):
    actor = Actor(subject(number), frames, rng, start=0.5, end=1.5)
    settle(actor)
    return actor


def test_rotation_is_yaw_times_pitch_times_roll(rng):
    for a, b, c in rng.uniform(-3, 3, (5, 3)):
        yaw = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
        pitch = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
        roll = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
        R, v = rotation(np.array(a), np.array(b), np.array(c)), rng.normal(size=3)
        np.testing.assert_allclose(R, yaw @ pitch @ roll, atol=1e-12)
        np.testing.assert_allclose(turned(R, v), yaw @ pitch @ roll @ v, atol=1e-12)


def test_two_bones_reach_the_goal_bend_towards_the_pole_and_keep_their_lengths(rng):
    start, pole = rng.normal(size=(40, 3)), rng.normal(size=(40, 3))
    way = rng.normal(size=(40, 3))
    far = np.concatenate([rng.uniform(0.25, 0.5, 30), rng.uniform(0.7, 2.0, 10)])[:, None]
    goal = start + way / np.linalg.norm(way, axis=1, keepdims=True) * far
    middle, end = two_bone(start, goal, 0.3, 0.25, pole)
    np.testing.assert_allclose(np.linalg.norm(middle - start, axis=1), 0.3, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(end - middle, axis=1), 0.25, atol=1e-6)
    np.testing.assert_allclose(end[:30], goal[:30], atol=1e-6)
    out_of_reach = np.linalg.norm(end[30:] - start[30:], axis=1)
    np.testing.assert_allclose(out_of_reach, 0.998 * 0.55, atol=1e-6)
    line = (end - start) / np.linalg.norm(end - start, axis=1, keepdims=True)
    aside = (middle - start) - ((middle - start) * line).sum(1, keepdims=True) * line
    assert ((aside * pole).sum(1) > 0).all()


def test_minimum_jerk_starts_and_ends_at_rest():
    u = np.linspace(0, 1, 2001)
    s = minimum_jerk(u)
    velocity = np.gradient(s, u)
    acceleration = np.gradient(velocity, u)
    assert s[0] == 0 and s[-1] == 1 and (np.diff(s) >= 0).all()
    assert abs(velocity[[0, -1]]).max() < 1e-3 and abs(acceleration[[1, -2]]).max() < 0.1
    assert velocity.max() == pytest.approx(1.875, abs=1e-3)


def test_keys_are_held_between_arrive_and_leave():
    t = np.arange(0, 3, 0.1)
    way = through(t, [(0.0, 0.5), (1.0, 2.0), (2.5, 9.0)], np.array([[0.0, 1.0], [2.0, 3.0], [-1.0, 0.0]]))
    np.testing.assert_allclose(way[t <= 0.5], [[0, 1]] * (t <= 0.5).sum())
    np.testing.assert_allclose(way[(t > 1.0) & (t < 1.95)], [[2, 3]] * ((t > 1.0) & (t < 1.95)).sum(), atol=1e-9)
    np.testing.assert_allclose(way[t > 2.51], [[-1, 0]] * (t > 2.51).sum(), atol=1e-9)
    np.testing.assert_allclose(through(np.array([0.75]), [(0.0, 0.5), (1.0, 2.0)], np.array([[0.0], [2.0]])), [[1.0]], atol=1e-4)
    np.testing.assert_allclose(pulse(np.array([0.0, 1.5, 5.0]), 0.5, 1.0, 2.0, 3.0), [0, 1, 0], atol=1e-9)


def test_keys_that_come_too_soon_are_moved_back():
    spot = Spot("chest", 0, 0, 0)
    times = in_time([(0.0, 1.0, spot), (0.9, 0.95, spot), (1.1, 2.0, spot)], [0.3, 0.0])
    assert times == [(0.0, 1.0), (1.3, 1.3), (1.3, 2.0)]


def test_a_hand_is_where_it_was_sent_on_every_body(rng):
    for number in (1, 2, 3, 4):
        actor = standing(rng, number=number)
        goal = Spot("home", 0.1, actor.person.standing + 0.15, 0.30)
        actor.reach(RIGHT, [(0.7, 1.4, goal)], loose=0.0)
        joints = pose(actor.finished(), actor.person)
        hand = joints[33, J["right_hand"]]
        np.testing.assert_allclose(hand, (0.1, goal.up, 0.30), atol=0.01)


def test_a_walk_carries_the_body_and_ends_with_both_feet_under_it(rng):
    actor = standing(rng, frames=150)
    actor.walk(straight(0.2, 3.0, (0.0, 2.0)), 0.2, 3.0, period=0.5)
    joints = pose(actor.finished(), actor.person)
    root, feet = joints[-1, J["spine_base"]], joints[-1, [J["left_foot"], J["right_foot"]]]
    assert root[2] == pytest.approx(2.0, abs=0.06)
    assert feet.mean(0)[2] == pytest.approx(2.0 + 0.5 * actor.person.lengths["foot"], abs=0.02)
    np.testing.assert_allclose(feet[:, 1], actor.person.lengths["toe"], atol=1e-9)
    assert feet[LEFT, 0] > feet[RIGHT, 0]


def test_the_camera_only_turns_and_moves_the_scene(rng):
    scene = rng.normal(size=(9, 3))
    for camera in ANGLES:
        for setup, stand in SETUPS.items():
            seen = seen_from(scene, camera, setup)
            np.testing.assert_allclose(seen[1:] - seen[0], (scene[1:] - scene[0]) @ _linear(camera, setup).T, atol=1e-12)
            R = _linear(camera, setup)
            np.testing.assert_allclose(R @ R.T, np.eye(3), atol=1e-12)
            assert np.linalg.det(R) == pytest.approx(1.0)  # a mirror would swap left and right
            centre = seen_from(np.array([0.0, stand.height, 0.0]), camera, setup)
            assert np.linalg.norm(centre) == pytest.approx(stand.distance)
    left, right = seen_from(np.array([[0.2, 1.0, 0.0], [-0.2, 1.0, 0.0]]), 1, 1)  # somebody who faces the sensor
    assert left[0] < right[0]  # x runs to the sensor's left, which is the person's right


def _linear(camera, setup):
    return np.stack([seen_from(e, camera, setup) - seen_from(np.zeros(3), camera, setup) for e in np.eye(3)], 1)


def test_cameras_stand_45_degrees_apart():
    towards = [_linear(camera, 1)[2] * [1, 0, 1] for camera in (2, 1, 3)]
    for a, b in pairwise(towards):
        assert np.dot(a, b) / np.linalg.norm(a) / np.linalg.norm(b) == pytest.approx(np.cos(np.pi / 4), abs=1e-9)


def test_a_joint_behind_the_trunk_is_hidden():
    x = np.zeros((1, 1, KINECT.V, 3))
    x[..., 2] = 3.0
    x[..., 0] = 5.0  # everything far aside ...
    for name, height in (("spine_base", -0.3), ("spine_mid", 0.0), ("spine_shoulder", 0.25), ("head", 0.5)):
        x[0, 0, J[name]] = (0.0, height, 3.0)
    x[0, 0, J["left_hand"]] = (0.0, 0.0, 3.4)  # ... but one hand behind the belly and one before it
    x[0, 0, J["right_hand"]] = (0.0, 0.0, 2.6)
    assert np.flatnonzero(hidden(x)[0, 0]).tolist() == [J["left_hand"]]


def test_the_sensor_reports_centimetres_of_noise_and_never_loses_everything(rng):
    actor = standing(rng, frames=90)
    true = seen_from(pose(actor.finished(), actor.person), 1, 1)[:, None]
    errors, lost = [], 0
    for _ in range(40):
        seen = record(true, rng)
        assert seen.shape == (90, 2, KINECT.V, 3) and seen.dtype == np.float32 and np.isfinite(seen).all()
        there = (seen[:, 0] != 0).any((1, 2))
        assert there.any()
        lost += int((~there).sum())
        errors.append(np.abs(seen[there, 0] - true[there, 0]).mean((0, 2)))
    trunk, hand = np.mean(errors, 0)[[J["spine_mid"], J["left_hand_tip"]]]
    assert 0.002 < trunk < hand < 0.08 and lost > 0
