"""The Playground: reproducible, balanced, and the bodies obey mechanics before the sensor spoils them."""

import numpy as np
import pytest

from skelbench.data.motion.actions import ACTIONS, CLASSES
from skelbench.data.motion.body import KINECT, J
from skelbench.data.playground import TRAIN_SUBJECTS, make_clip, perform, playground, take
from skelbench.data.splits import make_split
from skelbench.errors import ConfigError, DataError

SIZE = 180
FLYING = ("jump_up", "hop")


@pytest.fixture(scope="module")
def shows():
    return [perform(row) for row in range(SIZE)]


@pytest.fixture(scope="module")
def clips():
    return [make_clip(row) for row in range(SIZE)]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return playground(SIZE, path=tmp_path_factory.mktemp("data") / "pg", progress=False)


def name_of(show):
    return CLASSES[show.take.label]


def of(shows, *names):
    found = [s for s in shows if name_of(s) in names]
    assert found
    return found


def bodies(shows):
    return [(s, s.joints[:, m]) for s in shows for m in range(s.joints.shape[1])]


# ---- the set


def test_there_are_many_classes_pairs_and_twins():
    assert len(CLASSES) == 30
    assert sum(a.people == 2 for a in ACTIONS.values()) == 8
    assert all(a.twin in ACTIONS and a.twin != name for name, a in ACTIONS.items())


def test_the_same_seed_makes_the_same_bytes(store, clips, tmp_path):
    again = playground(SIZE, path=tmp_path / "again", progress=False)
    assert again.fingerprint == store.fingerprint
    assert (again.path / "clips.npy").read_bytes() == (store.path / "clips.npy").read_bytes()
    for row in (0, 77, SIZE - 1):  # made alone or in a row
        np.testing.assert_array_equal(store[row].joints, clips[row].joints)


def test_another_seed_makes_other_people_and_performances():
    one, two = make_clip(5), make_clip(5, seed=1)
    assert one.joints.shape != two.joints.shape or not np.allclose(one.joints, two.joints)
    assert [take(r).subject for r in range(60)] != [take(r, seed=1).subject for r in range(60)]


def test_a_smaller_set_is_the_beginning_of_a_larger_one(store, tmp_path):
    small = playground(20, path=tmp_path / "small", progress=False)
    np.testing.assert_array_equal(small.frames, store.frames[: len(small.frames)])
    assert small.ids == store.ids[:20]
    for column, values in small.index.items():
        np.testing.assert_array_equal(values, store.index[column][:20])


def test_the_store_says_what_it_holds(store):
    assert len(store) == SIZE and store.bodies == 2 and store.meta.fps == 30 and store.topology.name == "kinect_v2_25"
    assert store.classes == CLASSES
    np.testing.assert_array_equal(np.bincount(store.labels), [SIZE // 30] * 30)
    assert {"handed", "variant", "tempo", "twin", "partner"} <= set(store.index)
    assert set(store.index["camera"]) == {1, 2, 3} and set(store.index["setup"]) == {1, 2, 3, 4, 5, 6}
    assert len(set(store.index["subject"])) >= 25 and set(store.index["tempo"]) == {0, 1, 2}
    assert len(set(store.index["group"])) == SIZE
    for row in (3, 50):
        assert CLASSES[store.index["twin"][row]] == ACTIONS[CLASSES[store.labels[row]]].twin


@pytest.mark.parametrize("split", ["xsub", "xview", "xset"])
def test_every_class_stands_on_both_sides_of_every_split(store, split):
    parts = make_split(store, split)
    column = {"xsub": "subject", "xview": "camera", "xset": "setup"}[split]
    train, test = store.index[column][parts.train_all], store.index[column][parts.test]
    assert len(train) + len(test) == SIZE and not set(train) & set(test)
    assert set(store.labels[parts.train_all]) == set(store.labels[parts.test]) == set(range(30))


def test_partners_stand_on_the_same_side(store):
    partner, subject = store.index["partner"], store.index["subject"]
    two = partner > 0
    assert (two == [ACTIONS[CLASSES[c]].people == 2 for c in store.labels]).all()
    np.testing.assert_array_equal(np.isin(partner[two], TRAIN_SUBJECTS), np.isin(subject[two], TRAIN_SUBJECTS))
    assert (partner[two] != subject[two]).all()


def test_clips_last_one_and_a_half_to_five_seconds(store):
    length = store.index["length"]
    assert length.min() >= 45 and length.max() <= 150 and length.std() > 15


def test_a_cached_set_is_opened_not_made_again(store):
    before = (store.path / "clips.npy").stat().st_mtime_ns
    assert playground(SIZE, path=store.path, progress=False).fingerprint == store.fingerprint
    assert (store.path / "clips.npy").stat().st_mtime_ns == before
    with pytest.raises(DataError, match="wanted the Playground"):
        playground(SIZE + 1, path=store.path, progress=False)


def test_nonsense_is_refused(tmp_path):
    for size, seed in ((0, 0), (10, -1)):
        with pytest.raises(ConfigError, match="size >= 1"):
            playground(size, seed=seed, path=tmp_path / "no")
    with pytest.raises(ConfigError, match="from 0"):
        take(-1)
    assert not (tmp_path / "no").exists()


# ---- the bodies, before the sensor


def test_bones_do_not_stretch_and_belong_to_the_person(shows):
    lengths: dict[int, np.ndarray] = {}
    for show in shows:
        for m, who in enumerate((show.take.subject, show.take.partner)[: show.joints.shape[1]]):
            body = show.joints[:, m]
            bones = np.stack([np.linalg.norm(body[:, j] - body[:, p], axis=-1) for j, p in KINECT.bones], -1)
            np.testing.assert_allclose(bones, np.broadcast_to(bones[0], bones.shape), atol=1e-6)
            np.testing.assert_allclose(bones[0], lengths.setdefault(who, bones[0]), atol=1e-6)
    heights = [b.sum() for b in lengths.values()]
    assert max(heights) > 1.2 * min(heights)  # people differ


def test_planted_feet_do_not_slide(shows):
    steps = 0
    for show, body in bodies(shows):
        for side in ("left", "right"):
            foot = body[:, J[f"{side}_foot"]]
            floor = foot[:, 1].min()
            down = foot[:, 1] < floor + 0.001
            edges = np.flatnonzero(np.diff(np.concatenate([[0], down.astype(int), [0]])))
            for start, stop in edges.reshape(-1, 2):
                stand = foot[start:stop, [0, 2]]
                assert np.linalg.norm(stand - stand[0], axis=1).max() < 0.01, (name_of(show), show.take.row, side)
            steps += len(edges) // 2 - 1
    assert steps > 200  # they do walk


def test_nobody_floats_or_sinks(shows):
    for show, body in bodies(shows):
        assert body[..., 1].min() > -0.02, show.take
        lowest = np.minimum(body[:, J["left_foot"], 1], body[:, J["right_foot"], 1])
        assert name_of(show) in FLYING or lowest.max() < 0.05, show.take
    for show in of(shows, "jump_up"):
        feet = show.joints[:, 0, [J["left_foot"], J["right_foot"]], 1].min(1)
        assert feet.max() > 0.05


def test_nothing_moves_faster_than_a_fast_hand(shows):
    for show, body in bodies(shows):
        assert np.linalg.norm(np.diff(body, axis=0), axis=-1).max() * 30 < 12, (name_of(show), show.take.row)


def test_knees_bend_forwards_and_elbows_stay_outside_the_trunk(shows):
    for show, body in bodies(shows):
        axis = body[:, J["spine_shoulder"]] - body[:, J["spine_base"]]
        across = body[:, J["left_hip"]] - body[:, J["right_hip"]]
        forward = np.cross(across, [0.0, 1.0, 0.0])
        forward /= np.linalg.norm(forward, axis=1, keepdims=True)
        for side in ("left", "right"):
            hip, knee, ankle = (body[:, J[f"{side}_{n}"]] for n in ("hip", "knee", "ankle"))
            line = (ankle - hip) / np.linalg.norm(ankle - hip, axis=1, keepdims=True)
            bend = (knee - hip) - ((knee - hip) * line).sum(1, keepdims=True) * line
            bent = np.linalg.norm(bend, axis=1) > 0.08
            backwards = ((bend * forward).sum(1) < 0) & bent
            assert backwards.mean() < 0.02, show.take
            elbow = body[:, J[f"{side}_elbow"]] - body[:, J["spine_base"]]
            along = np.clip((elbow * axis).sum(1) / (axis * axis).sum(1), 0, 0.9)
            assert np.linalg.norm(elbow - along[:, None] * axis, axis=1).min() > 0.06, (name_of(show), show.take.row)


def test_hands_go_where_the_action_says(shows):
    for show in of(shows, "drink", "phone_call"):
        body = show.joints[:, 0]
        hand = body[:, J["left_hand" if show.left else "right_hand"]]
        assert np.linalg.norm(hand - body[:, J["head"]], axis=1).min() < 0.26, show.take
    for show in of(shows, "clap"):
        apart = np.linalg.norm(show.joints[:, 0, J["left_hand"]] - show.joints[:, 0, J["right_hand"]], axis=1)
        assert apart.min() < 0.17, show.take
    for show in of(shows, "pick_up"):
        hands = show.joints[:, 0, [J["left_hand"], J["right_hand"]], 1]
        assert hands.min() < 0.35, show.take
    for show in of(shows, "handshake", "hand_over"):
        hand = J["left_hand" if show.left else "right_hand"]
        assert np.linalg.norm(show.joints[:, 0, hand] - show.joints[:, 1, hand], axis=1).min() < 0.16, show.take


def test_left_handed_performances_are_mirrored(shows):
    agree = []
    for show in of(shows, "wave", "drink", "phone_call"):
        head = show.joints[:, 0, J["head"]]
        near = {s: np.linalg.norm(show.joints[:, 0, J[f"{s}_hand"]] - head, axis=1).mean() for s in ("left", "right")}
        agree.append((near["left"] < near["right"]) == show.left)
    assert np.mean(agree) > 0.9  # the other hand may rest before the chest
    assert 0.2 < np.mean([s.left for s in shows]) < 0.7


def test_sitting_down_goes_down_and_standing_up_goes_up(shows):
    for name, sign in (("sit_down", -1), ("stand_up", 1)):
        for show in of(shows, name):
            height = show.joints[:, 0, J["spine_base"], 1]
            assert sign * (height[-1] - height[0]) > 0.08, show.take
    seated = [s for s in shows if s.seated]
    assert 0.05 < len(seated) / len(shows) < 0.4
    for show in seated:
        body = show.joints[:, 0]
        assert (body[:, J["spine_base"], 1] < 0.62 * body[:, J["head"], 1].max()).all()


def test_people_who_walk_apart_part(shows):
    for name, sign in (("walk_towards", -1), ("walk_apart", 1)):
        for show in of(shows, name):
            gap = np.linalg.norm(show.joints[:, 0, 0] - show.joints[:, 1, 0], axis=-1)
            assert sign * (gap[-1] - gap[0]) > 0.2, show.take


# ---- what the sensor makes of them


def test_the_sensor_faces_the_bodies(clips):
    for clip in clips:
        body = clip.joints[clip.present[:, 0], 0]
        assert (body[:, J["head"], 1] > body[:, J["spine_base"], 1] - 0.3).all()
        assert 1.0 < np.median(body[:, J["spine_base"], 2]) < 6.5


def test_the_sensor_loses_frames_and_sees_ghosts(clips):
    lost, ghosts, second = 0, 0, 0
    for clip in clips:
        seen = clip.present
        assert seen[:, 0].any()
        lost += not seen[:, 0].all()
        if clip.about["partner"]:
            second += seen[:, 1].mean() > 0.2
        else:
            ghosts += bool(seen[:, 1].any())
    pairs = sum(c.about["partner"] > 0 for c in clips)
    assert 0.02 < lost / len(clips) < 0.3
    assert 0.01 < ghosts / (len(clips) - pairs) < 0.2
    assert second == pairs  # two people, two bodies


def test_the_sensor_trembles_and_freezes(clips, shows):
    step = np.concatenate([np.linalg.norm(np.diff(c.joints[:, 0], axis=0), axis=-1) for c in clips if c.present.all(0)[0]])
    true = np.concatenate([np.linalg.norm(np.diff(s.joints[:, 0], axis=0), axis=-1) for s in shows])
    assert np.median(step) > 1.5 * np.median(true)  # metres a frame: noise on top of the motion
    assert 0.001 < (step == 0).mean() < 0.1  # joints that were not tracked stand still
