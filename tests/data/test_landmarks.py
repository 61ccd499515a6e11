"""MediaPipe, COCO and AlphaPose files: one video written in every form reads the same; people, identities, bad input."""

import json

import numpy as np
import pytest
from mutations import mutate_one
from samples_landmarks import detection, landmarks, points, write_sample

from skelbench.data import describe, import_data
from skelbench.data.formats import landmarks as reader
from skelbench.data.formats.planar import by_score, by_track
from skelbench.errors import DataError
from skelbench.skeleton.topology import Topology, topology

RNG = np.random.default_rng(0)
POSE = [landmarks(33, RNG).round(4) for _ in range(3)]
WORLD = [(landmarks(33, RNG) - [0.5, 0.5, 0.5, 0]).round(4) for _ in range(3)]


def write(path, table):
    path.write_text(json.dumps(table))
    return path


def read(path, table=None, **options):
    if table is not None:
        write(path, table)
    source = reader.read(path, **options)
    return source, list(source.clips)


FORMS = {
    "list of landmarks": [points(p) for p in POSE],
    "list of people": [[points(p)] for p in POSE],
    "rows of four": [p.tolist() for p in POSE],
    "flat": [p.ravel().tolist() for p in POSE],
    "flat people": [[p.ravel().tolist()] for p in POSE],
    "objects": [{"pose_landmarks": points(p), "pose_world_landmarks": points(w)} for p, w in zip(POSE, WORLD, strict=True)],
    "tasks in Python": [{"pose_landmarks": [points(p)]} for p in POSE],
    "tasks in a browser": [{"landmarks": [points(p)], "worldLandmarks": [points(w)]} for p, w in zip(POSE, WORLD, strict=True)],
    "messages": [{"poseLandmarks": {"landmark": points(p)}} for p in POSE],
    "a video": {"fps": 30, "frames": [{"landmarks": points(p)} for p in POSE]},
    "numbered frames": {"frames": [{"frame_id": n, "landmarks": points(POSE[n])} for n in (2, 0, 1)]},
    "numbered keys": {f"frame_{n:04d}": points(POSE[n]) for n in (1, 2, 0)},
    "by landmarks": {"pose_landmarks": [points(p) for p in POSE]},
    "instances": {"instance_info": [{"frame_id": n + 1, "instances": [{"landmarks": points(p)}]} for n, p in enumerate(POSE)]},
    "keypoints and scores": [
        [{"keypoints": p[:, :2].tolist(), "keypoint_scores": p[:, 3].tolist(), "bbox": [0, 0, 1, 1]}] for p in POSE
    ],
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_reads_the_same(form, tmp_path):
    file = write(tmp_path / "v.json", FORMS[form])
    assert reader.sniff(file) and reader.sniff(tmp_path)
    source, (clip,) = read(file, bodies=1)
    assert np.allclose(clip.joints[:, 0], np.stack(POSE)[..., [0, 1, 3]], atol=1e-6)
    assert clip.topology == topology("mediapipe_pose_33") and source.units == "image" and source.extra == {"image": True}
    assert clip.fps == 30 and source.bodies == 1 and clip.id == "v"


def test_world_landmarks_stand_upright(tmp_path):
    for form in ("objects", "tasks in a browser"):
        source, (clip,) = read(tmp_path / "v.json", FORMS[form], bodies=1, coordinates="world")
        assert np.allclose(clip.joints[:, 0], np.stack(WORLD) * [1, -1, -1, 1], atol=1e-6)
        assert clip.topology.dims == 3 and source.units == "metre" and source.extra == {}
    with pytest.raises(DataError, match=r"frame 0: no world landmarks \(leave out coordinates='world'\), found the keys landmarks"):
        read(tmp_path / "v.json", FORMS["a video"], coordinates="world")
    with pytest.raises(DataError, match=r"frame 0: only world landmarks \(coordinates='world'\)"):
        read(tmp_path / "v.json", [{"pose_world_landmarks": points(w)} for w in WORLD])


def test_hands(tmp_path):
    hands = [landmarks(21, RNG).round(4) for _ in range(4)]
    for h in hands:
        h[:, 3] = 0  # what MediaPipe says of every point of a hand
    table = [{"hand_landmarks": [points(h) for h in hands[:2]]}, {"hand_landmarks": []}, {"hand_landmarks": [points(hands[2])]}]
    _, (clip,) = read(tmp_path / "v.json", table)
    assert clip.topology == topology("mediapipe_hand_21") and clip.joints.shape == (3, 2, 21, 3)
    assert np.allclose(clip.joints[0, 1, :, :2], hands[1][:, :2], atol=1e-6) and (clip.joints[0, :, :, 2] == 1).all()
    assert not clip.joints[1].any() and not clip.joints[2, 1].any()
    rows = [h[:, :3].tolist() for h in hands]  # a third number is z with MediaPipe
    _, (clip,) = read(tmp_path / "v.json", rows, bodies=1)
    assert (clip.joints[..., 2] == 1).all()
    _, (clip,) = read(tmp_path / "v.json", rows, bodies=1, third="score")
    assert np.allclose(clip.joints[:, 0], np.stack(hands)[..., :3], atol=1e-6)


def coco(found):
    return np.array(found["keypoints"]).reshape(17, 3)


def test_coco_results_and_alphapose(tmp_path):
    a, b, c, d = (detection(i, RNG) for i in ("7.jpg", "7.jpg", "9.jpg", "10.jpg"))
    a["score"], b["score"] = 0.2, 0.9
    source, (clip,) = read(tmp_path / "v.json", [a, b, c, d])
    assert clip.joints.shape == (4, 2, 17, 3) and clip.topology == topology("coco_17") and source.units == "pixel"
    assert np.allclose(clip.joints[0], [coco(b), coco(a)]) and not clip.joints[1].any() and np.allclose(clip.joints[3, 0], coco(d))
    # With identities everybody keeps the slot; the same identity for all is none.
    tracked = [{**a, "idx": 5}, {**b, "idx": [2.0]}, {**c, "idx": 5}, {**d, "idx": 2}]
    _, (clip,) = read(tmp_path / "v.json", tracked)
    slots = [[s for s in range(2) if np.allclose(clip.joints[t, s], coco(f))] for t, f in ((0, a), (0, b), (2, c), (3, d))]
    assert slots[0] == slots[2] != slots[1] == slots[3]
    _, (clip,) = read(tmp_path / "v.json", [{**f, "idx": 0} for f in (a, b, c, d)])
    assert np.allclose(clip.joints[0], [coco(b), coco(a)])


def test_a_coco_dataset_of_frames(tmp_path):
    images = [{"id": 100 + n, "file_name": f"clip_{n:06d}.jpg", "width": 640, "height": 480} for n in range(3)]
    seen = detection(102, RNG)
    seen["keypoints"][2::3] = [2, 1, 0] + [2] * 14
    _, (clip,) = read(tmp_path / "v.json", {"images": images, "annotations": [seen], "categories": []}, bodies=1)
    assert clip.joints.shape == (3, 1, 17, 3) and clip.about == {"width": 640, "height": 480}
    assert clip.joints[2, 0, :3, 2].tolist() == [1, 0.5, 0] and not clip.joints[2, 0, 2].any() and not clip.joints[:2].any()
    with pytest.raises(DataError, match=r"v.json: detection 0: 'images' has no image 7"):
        read(tmp_path / "v.json", {"images": images, "annotations": [detection(7, RNG)]})


def test_people_against_a_plain_loop():
    rng = np.random.default_rng(1)
    R, T = 60, 20
    at, people, scores = rng.integers(0, T, R), rng.normal(size=(R, 4, 3)), rng.random(R)
    tracks = [int(t) for t in rng.integers(0, 6, R)]
    best = np.zeros((T, 2, 4, 3))
    for t in range(T):
        here = sorted((r for r in range(R) if at[r] == t), key=lambda r: -scores[r])
        for slot, r in enumerate(here[:2]):
            best[t, slot] = people[r]
    assert np.array_equal(by_score(at, people, scores, T=T, bodies=2), best)
    slots = np.zeros((T, 2, 4, 3))
    free = [set(range(T)), set(range(T))]
    totals = {k: sum(s for s, t in zip(scores, tracks, strict=True) if t == k) for k in set(tracks)}
    for k in sorted(totals, key=lambda k: -totals[k]):
        rows = sorted((r for r in range(R) if tracks[r] == k), key=lambda r: scores[r])
        frames = {int(at[r]) for r in rows}
        slot = next((s for s in range(2) if frames <= free[s]), None)
        if slot is not None:
            free[slot] -= frames
            for r in rows:
                slots[at[r], slot] = people[r]
    assert np.array_equal(by_track(at, people, scores, tracks, T=T, bodies=2), slots)


def test_a_sample_becomes_a_store(home, tmp_path):
    folder = write_sample(tmp_path / "in", np.random.default_rng(2))
    store = import_data(folder, "own", format="landmarks", bodies=1, progress=False)
    assert store.classes == ("jump", "wave") and store.ids == ["video2", "video3", "video0", "video1"] and store.up == "-y"
    assert store.index["width"].tolist() == [-1, -1, 640, -1] and not store[3].joints[1].any()
    facts = reader.describe(folder)
    assert facts["skeleton"] == "33 joints, mediapipe_pose_33" and facts["missing"] == [] and "third" in facts["options"]
    assert "landmarks" in str(describe(folder))


def test_empty_videos_rates_and_thinning(home, tmp_path):
    (tmp_path / "in").mkdir()
    write(tmp_path / "in" / "a.json", [None, []])
    write(tmp_path / "in" / "b.json", {"fps": 25, "frames": FORMS["list of landmarks"]})
    store = import_data(tmp_path / "in", "own", format="landmarks", progress=False)
    assert store.ids == ["b"] and store.meta.fps == 25 and store.meta.provenance["empty"] == ["a"]
    _, clips = read(tmp_path / "in", rate=50.0, fps=25.0)
    assert clips[0].fps == 25 and len(clips[0]) == 2
    with pytest.raises(DataError, match=r"a.json: nobody in any frame of 1 videos"):
        read(tmp_path / "in" / "a.json")


def test_a_layout_of_ones_own(tmp_path):
    four = Topology.from_dict({"name": "four", "joints": ["a", "b", "c", "d"], "parents": [-1, 0, 1, 2]})
    frames = [[[1, 2, 0.5], [3, 4, 0.5], [5, 6, 0.5], [7, 8, 0]]] * 2
    with pytest.raises(DataError, match=r"v.json: 4 joints, and the file does not say which; pass topology=a JSON file with"):
        read(tmp_path / "v.json", frames)
    assert "a JSON file with 'joints' (4 names)" in reader.describe(tmp_path / "v.json")["missing"][0]
    for table in (frames, [np.ravel(f).tolist() for f in frames]):
        _, (clip,) = read(tmp_path / "v.json", table, topology=four, bodies=1)
        assert clip.topology.joints == four.joints and clip.topology.dims == 2
        assert clip.joints[0, 0].tolist() == [[1, 2, 0.5], [3, 4, 0.5], [5, 6, 0.5], [0, 0, 0]]
    arm = Topology.from_dict({"name": "arm", "joints": ["left_wrist", "left_elbow"], "parents": [1, -1]})
    _, (clip,) = read(tmp_path / "w.json", FORMS["flat"], topology=arm, bodies=1)
    assert np.allclose(clip.joints[:, 0], np.stack(POSE)[:, [15, 13]][..., [0, 1, 3]], atol=1e-6)


BODY = points(POSE[0])
BAD = [
    ({"a": 1}, r"v.json: an object with the keys a; wanted a list of frames"),
    (3, r"v.json: found no list of frames"),
    ([BODY, "x"], r"v.json, frame 1: found 'x', wanted landmarks"),
    ([BODY, BODY[:5]], r"v.json, frame 1: a person of 5 joints, before that of 33"),
    ([BODY, [*BODY[:32], {"x": 1}]], r"v.json, frame 1, landmark 32: wanted an object with x and y"),
    ([[*BODY[:32], {"x": 1e9, "y": 0}]], r"v.json, frame 0: a coordinate or score is not finite, or beyond any picture"),
    ([[*BODY[:32], {"x": "a", "y": 0}]], r"v.json, frame 0: item \[32\]\[0\] is the text 'a'"),
    ([{"frame": "one", "landmarks": BODY}], r"v.json, frame 0: 'one' is no frame number"),
    ([{"frame": 0, "landmarks": BODY}, {"frame": 10**8, "landmarks": BODY}], r"frames 0 to 100000000, but only 2 of them"),
    ([{"frame": 4, "landmarks": BODY}] * 2, r"v.json, frame 4: stands twice"),
    ([{"frame": 0, "joints": BODY}], r"v.json, frame 0: no landmarks or keypoints, found the keys frame, joints"),
    ({"fps": -3, "frames": [BODY]}, r"v.json: 'fps' is -3, wanted a number above 0"),
    ({"width": 0, "height": 5, "frames": [BODY]}, r"v.json: 'width' and 'height' are 0 and 5, wanted pixels"),
    ([{"image_id": None, "keypoints": []}], r"v.json: detection 0 needs 'image_id'"),
    (
        [{"image_id": 1, "keypoints": [1.0] * 50}],
        r"v.json: detection 0: 50 numbers, wanted 2 to 4 for each of 17 or 21 or 33",
    ),
    ([{"landmarks": BODY, "Landmarks": BODY}], r"v.json, frame 0: two keys differ only in case or underscores"),
    ([{"keypoints": [[1, 2]] * 17, "keypoint_scores": [1] * 16}], r"v.json, frame 0, keypoint_scores: found a list of 16"),
]


@pytest.mark.parametrize("case", range(len(BAD)))
def test_broken_files_name_file_and_frame(case, home, tmp_path, unchanged):
    table, match = BAD[case]
    write(tmp_path / "v.json", table)
    unchanged()
    with pytest.raises(DataError, match=match):
        import_data(tmp_path / "v.json", "broken", format="landmarks", progress=False)
    unchanged()


def test_settings_that_make_no_sense(tmp_path):
    file = write(tmp_path / "v.json", FORMS["flat"])
    for options in ({"bodies": 0}, {"coordinates": "pixels"}, {"third": "w"}):
        with pytest.raises(DataError, match="wanted 1 to 100 bodies, coordinates 'image' or 'world', third 'z' or 'score'; got "):
            read(file, **options)
    with pytest.raises(DataError, match="fps must be above zero"):
        read(file, fps=-1)
    with pytest.raises(DataError, match="no such file or folder"):
        read(tmp_path / "gone")


@pytest.mark.parametrize("seed", range(60))
def test_damaged_files_end_in_a_data_error(seed, tmp_path):
    rng = np.random.default_rng(seed)
    folder = write_sample(tmp_path / "in", rng)
    mutate_one(folder, rng)
    reader.sniff(folder)
    for ask in (lambda: reader.describe(folder), lambda: read(folder)):
        try:
            ask()
        except DataError as error:
            assert ".json" in str(error)
