"""Choosing persons: against the released code's numbers, against the rules written out frame by frame, and case by case."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from skelbench.errors import ConfigError, DataError
from skelbench.skeleton.persons import PERSONS, Persons, Track, choose, clean, persons

V = 5


def seen(id, frames, *, rng=None, at=0.0, wide=0.1, size=0.05, joints=None, places=None):
    """A track: bodies about 1.8 m high, ``wide`` of that across, that wobble by ``size``."""
    frames, rng = np.asarray(frames, np.int64), rng or np.random.default_rng(abs(hash(id)) % 1000)
    if joints is None:
        rest = np.stack([np.linspace(-0.9, 0.9, V) * wide + at, np.linspace(-0.9, 0.9, V), np.full(V, 3.0)], -1)
        joints = rest + size * rng.uniform(-1, 1, (len(frames), V, 3))
    return Track(id=id, frames=frames, joints=joints.astype(np.float32), places=places)


def scene(seed):
    """Random tracks: lost and found, noise, short ones, frames without anybody; with places in the list of each frame."""
    rng = np.random.default_rng(seed)
    frames = int(rng.integers(25, 60))
    tracks = []
    for n in range(int(rng.integers(1, 6))):
        start = int(rng.integers(0, frames - 5))
        there = np.arange(start, int(rng.integers(start + 1, frames + 1)))
        there = there[rng.random(len(there)) > rng.choice([0.0, 0.3])]
        there = there if len(there) else np.asarray([start])
        wide = float(rng.choice([0.1, 0.5, 0.85, 1.2]))
        tracks.append(seen(72057594037927936 + n, there, rng=rng, at=n, wide=wide, size=float(rng.choice([0.02, 0.1, 0.3]))))
    tracks.sort(key=lambda t: t.frames[0])
    order = {t: rng.permutation(len(tracks)) for t in range(frames)}  # the order in which a frame lists its bodies

    def place(n, t):
        return sum(1 for m in range(len(tracks)) if t in tracks[m].frames and order[t][m] < order[t][n])

    placed = [
        Track(id=k.id, frames=k.frames, joints=k.joints, places=np.asarray([place(n, t) for t in k.frames]))
        for n, k in enumerate(tracks)
    ]
    return placed, frames


# --- the rules written out ------------------------------------------------------------------------------------------------


def listed(tracks, frames):
    """Per frame the bodies in the order of the file, as (id, (V, C))."""
    out = []
    for t in range(frames):
        here = [(k.places[list(k.frames).index(t)], k.id, k.joints[list(k.frames).index(t)]) for k in tracks if t in k.frames]
        out.append([(id, x) for _, id, x in sorted(here, key=lambda b: b[0])])
    return out


def naive_first(file, frames):
    out = np.zeros((frames, 2, V, 3))
    for t in range(frames):
        for m, (_, x) in enumerate(file[t]):
            if m < 2:
                out[t, m] = x
    return out


def naive_energy(file, frames):
    four, energy = np.zeros((frames, 4, V, 3)), []
    for t in range(frames):
        for m, (_, x) in enumerate(file[t][:4]):
            four[t, m] = x
    for m in range(4):
        there = [four[t, m] for t in range(frames) if np.abs(four[t, m]).sum() > 0]
        energy.append(sum(np.std([x[:, c] for x in there]) for c in range(3)) if there else 0.0)
    best = sorted(range(4), key=lambda m: -energy[m])[:2]
    return four[:, best]


def naive_two_actors(file, *, copy, pyskl):
    file = [bodies for bodies in file if bodies]  # frames without a body do not count
    tracks = {}
    for t, bodies in enumerate(file):
        for id, x in bodies:
            tracks.setdefault(id, {"start": t, "joints": []})["joints"].append(x)
    order = list(tracks)
    if len(order) > 1:
        long = [id for id in order if len(tracks[id]["joints"]) > 11]
        order = long or [max(order, key=lambda id: len(tracks[id]["joints"]))]
    if len(order) == 1:
        alone = np.stack(tracks[order[0]]["joints"])
        return np.stack([alone, alone if copy else np.zeros_like(alone)], 1)
    motion = {}
    for id in list(order):
        x = np.stack(tracks[id]["joints"]).astype(float)
        noisy = [f for f in range(len(x)) if np.ptp(x[f, :, 0]) > 0.8 * np.ptp(x[f, :, 1])]
        if len(noisy) / len(x) >= 0.69754 and len(order) > 1:
            order.remove(id)
            continue
        motion[id] = sum(np.var(x[:, :, c]) for c in range(3))
        rest = [f for f in range(len(x)) if f not in noisy]
        if noisy and rest:
            motion[id] = min(motion[id], sum(np.var(x[rest][:, :, c]) for c in range(3)))
    order.sort(key=lambda id: -motion[id])
    out, hull = np.zeros((len(file), 2, V, 3)), [None, None]
    for id in order:
        start, n = tracks[id]["start"], len(tracks[id]["joints"])
        end = start + n if pyskl else start + n - 1
        for m in (0, 1):
            if hull[m] is None or min(hull[m][1], end) <= max(hull[m][0], start):
                out[start : start + n, m] = tracks[id]["joints"]
                hull[m] = (start, end) if hull[m] is None else (min(hull[m][0], start), max(hull[m][1], end))
                break
    if len(order) == 1 and copy:
        out[:, 1] = out[:, 0]
    full = [t for t in range(len(out)) if np.abs(out[t]).sum() > 1e-3]
    if not pyskl:
        return out[full]
    out = out[full[0] : full[-1] + 1]
    return out[:, ::-1] if not out[0, 0].any() and out[0, 1].any() else out


def naive(name, tracks, frames):
    file = listed(tracks, frames)
    if name == "stgcn":
        return naive_first(file, frames)
    if name == "agcn":
        return naive_energy(file, frames)
    out = naive_two_actors(file, copy=name == "ctrgcn120", pyskl=name == "pyskl")
    return out.astype(np.float16) if name == "pyskl" else out


@pytest.mark.parametrize("name", ["stgcn", "agcn", "ctrgcn", "ctrgcn120", "pyskl"])
def test_rules_against_loops(name):
    ids = set()
    for seed in range(60):
        tracks, frames = scene(seed)
        found, wanted = choose(tracks, frames, name), naive(name, tracks, frames)
        assert found.dtype == np.float32 and found.shape == wanted.shape, seed
        np.testing.assert_array_equal(found, wanted.astype(np.float32), err_msg=f"seed {seed}")
        ids.add(len(tracks))
    assert ids == {1, 2, 3, 4, 5}  # the scenes tried them all


def reference(name):
    folder = os.environ.get("SKELBENCH_REFERENCE")
    if not folder:
        pytest.skip("SKELBENCH_REFERENCE is not set")
    return np.load(Path(folder) / f"{name}.npz", allow_pickle=False)


def tracks_of(data):
    """Tracks of a .skeleton text, read here without the package."""
    lines = iter(bytes(data).decode().splitlines())
    frames, found = int(next(lines)), {}
    for t in range(frames):
        for place in range(int(next(lines))):
            id, joints = int(next(lines).split()[0]), int(next(lines))
            xyz = np.asarray([[float(w) for w in next(lines).split()[:3]] for _ in range(joints)], np.float32)
            found.setdefault(id, []).append((t, place, xyz))
    tracks = []
    for id, rows in found.items():
        t, place, xyz = zip(*rows, strict=True)
        tracks.append(Track(id=id, frames=np.asarray(t), joints=np.stack(xyz), places=np.asarray(place)))
    return tracks, frames


def test_released_code_agrees():
    case = reference("ntu_skeleton_file_a")
    samples = json.loads(str(case["meta"]))["samples"]
    for n in range(len(samples)):
        tracks, frames = tracks_of(case[f"input/text/{n:02d}"])
        energy = case[f"output/energy_order/{n:02d}"].transpose(1, 3, 2, 0)  # (3, F, 25, 2) -> (F, 2, 25, 3)
        np.testing.assert_allclose(choose(tracks, frames, "agcn"), energy, atol=1e-5)
        denoised = case[f"output/denoised/{n:02d}"]
        denoised = denoised.reshape(len(denoised), -1, 25, 3)  # (F, 1 or 2, 25, 3)
        for name in ("ctrgcn", "ctrgcn120"):
            found = choose(tracks, frames, name)
            np.testing.assert_allclose(found[:, : denoised.shape[1]], denoised, atol=1e-5, err_msg=samples[n])
            if denoised.shape[1] == 1:
                second = denoised[:, 0] if name == "ctrgcn120" else 0 * denoised[:, 0]
                np.testing.assert_allclose(found[:, 1], second, atol=1e-5)


def test_second_person_of_the_two_sets():
    """zeros for NTU 60, a copy for NTU 120: the convention of the aligned arrays of the released code."""
    case = reference("ctrgcn_transform_a")
    alone = case["output/translated/0"].reshape(-1, 1, 25, 3)
    track = Track(id=1, frames=np.arange(len(alone)), joints=alone[:, 0])
    for name, key in (("ctrgcn", "aligned_ntu60"), ("ctrgcn120", "aligned_ntu120")):
        wanted = case[f"output/{key}"][0].reshape(-1, 2, 25, 3)[: len(alone)]
        np.testing.assert_allclose(choose([track], len(alone), name), wanted, atol=1e-5)


# --- case by case ---------------------------------------------------------------------------------------------------------


def test_gaps_are_closed_up_or_kept():
    a, b = seen("a", [*range(20), *range(30, 50)], size=0.3), seen("b", range(50), at=1)
    legacy, true = choose([a, b], 50, "ctrgcn"), choose([a, b], 50, "tracks")
    assert np.flatnonzero(legacy[:, 0].any(axis=(1, 2))).tolist() == list(range(40))
    np.testing.assert_array_equal(legacy[:40, 0], a.joints)
    assert np.flatnonzero(true[:, 0].any(axis=(1, 2))).tolist() == a.frames.tolist()
    np.testing.assert_array_equal(true[a.frames, 0], a.joints)
    np.testing.assert_array_equal(true[:, 1], b.joints)


def test_a_flat_body_is_noise_but_the_last_one_stays():
    person, table, chair = seen(1, range(30)), seen(2, range(30), wide=2.0, size=0.4), seen(3, range(30), wide=3.0)
    for name in ("ctrgcn", "pyskl", "tracks"):
        found = choose([table, person, chair], 30, replace_half(name))
        np.testing.assert_array_equal(found[:, 0], person.joints)
        assert not found[:, 1].any()
    assert clean([table, chair]) == [chair]  # the first goes, and then chair is alone
    assert clean([table]) == [table]


def replace_half(name):
    rule = PERSONS[name]
    return Persons(rule=rule.rule, gaps=rule.gaps, empty=rule.empty)


def test_share_of_noisy_frames():
    for noisy, kept in ((69, True), (70, False)):  # of 100; the limit is 0.69754
        joints = np.concatenate([seen(1, range(noisy), wide=2.0).joints, seen(1, range(100 - noisy)).joints])
        track, other = seen(1, range(100), joints=joints), seen(2, range(100), at=2)
        assert (track in clean([track, other])) is kept


def test_noisy_frames_do_not_make_motion():
    rng = np.random.default_rng(0)
    calm = np.concatenate([seen(1, range(80), size=0.01, rng=rng).joints, seen(1, range(20), wide=3.0, size=1.0, rng=rng).joints])
    one, two = seen(1, range(100), joints=calm), seen(2, range(100), size=0.1)
    assert clean([one, two]) == [two, one]
    assert one.joints.reshape(-1, 3).var(axis=0).sum() > two.joints.reshape(-1, 3).var(axis=0).sum()


def test_short_tracks():
    long, short, shorter = seen(1, range(12)), seen(2, range(11)), seen(3, range(3), size=1.0)
    assert clean([shorter, short, long]) == [long] and clean([shorter, short]) == [short]


def test_one_shared_frame_passes_in_ctrgcn_only():
    strong, weak = seen(1, range(20), size=0.3), seen(2, range(19, 40), size=0.01)
    ctr, pyskl = choose([strong, weak], 40, "ctrgcn"), choose([strong, weak], 40, "pyskl")
    assert not ctr[:, 1].any()
    np.testing.assert_array_equal(ctr[19:, 0], weak.joints)  # the later one stands in the shared frame
    np.testing.assert_array_equal(pyskl[19:, 1], weak.joints.astype(np.float16))
    tracks = choose([strong, weak], 40, "tracks")
    np.testing.assert_array_equal(tracks[:20, 0], strong.joints)
    np.testing.assert_array_equal(tracks[19:, 1], weak.joints)


def test_lost_and_found_under_another_number_is_one_person():
    a, b, c = seen(1, range(15), size=0.2), seen(2, range(20, 40), size=0.1), seen(3, range(40), at=1, size=0.01)
    found = choose([a, c, b], 40, "tracks")
    np.testing.assert_array_equal(found[:15, 0], a.joints)
    np.testing.assert_array_equal(found[20:, 0], b.joints)
    assert not found[15:20, 0].any()
    np.testing.assert_array_equal(found[:, 1], c.joints)


def test_no_room_for_a_third():
    tracks = [seen(n, range(20), size=0.1 * n, at=n) for n in (1, 2, 3)]
    found = choose(tracks, 20, "tracks")
    np.testing.assert_array_equal(found[:, 0], tracks[2].joints)
    np.testing.assert_array_equal(found[:, 1], tracks[1].joints)
    assert choose(tracks, 20, Persons(rule="motion", bodies=3)).shape[1] == 3


def test_raw_gives_every_number_a_slot():
    late, early = seen(7, range(5, 10)), seen(9, range(10), at=1)
    found = choose([early, late], 12, "raw")
    assert found.shape == (12, 6, V, 3) and not found[:, 2:].any() and not found[10:].any()
    np.testing.assert_array_equal(found[5:10, 0], late.joints)
    np.testing.assert_array_equal(found[:10, 1], early.joints)


def test_joints_that_were_not_seen_are_no_noise():
    rng = np.random.default_rng(1)
    joints = seen(1, range(30), at=2.5, rng=rng).joints
    joints[:, 2] = 0  # as if 2.5 m aside
    person, other = seen(1, range(30), joints=joints), seen(2, range(30), size=0.01)
    assert clean([person, other]) == [other]  # as published
    assert set(map(id, clean([person, other], skip_zeros=True))) == {id(person), id(other)}
    assert choose([person, other], 30, "tracks").any(axis=(0, 2, 3)).all()


def test_empty_frames():
    track = seen(1, [2, 3, 4, 7, 8])
    for name in ("stgcn", "agcn", "tracks", "raw"):
        assert len(choose([track], 10, name)) == 10
    for name in ("ctrgcn", "ctrgcn120", "pyskl"):
        assert len(choose([track], 10, name)) == 5


def test_pyskl_rounds_and_trims_and_swaps():
    strong, weak = seen(1, range(10, 30), size=0.3), seen(2, range(0, 30), size=0.01)
    rest = seen(3, range(34, 40))  # short, so that frames 34 to 39 are empty at the end
    found = choose([weak, strong, rest], 40, "pyskl")
    assert len(found) == 30  # frames 30 to 33 hold nobody and do not count; the six at the end are trimmed
    np.testing.assert_array_equal(found[:, 0], weak.joints.astype(np.float16))  # is there at the start, strong is not
    np.testing.assert_array_equal(found[10:, 1], strong.joints.astype(np.float16))
    assert 0 < np.abs(found[:, 0] - weak.joints).max() < 2e-3


def test_scores_are_carried_along():
    tracks, frames = scene(3)
    scored = [
        Track(id=t.id, frames=t.frames, joints=np.concatenate([t.joints, np.ones((len(t.frames), V, 1))], -1), places=t.places)
        for t in tracks
    ]
    for name in PERSONS:
        plain, more = choose(tracks, frames, name), choose(scored, frames, name)
        np.testing.assert_array_equal(more[..., :3], plain)
        np.testing.assert_array_equal(more[..., 3], plain.any(axis=(2, 3))[..., None] * np.ones(V))


def test_places_follow_the_order_of_the_tracks():
    a, b, c = seen(1, range(3)), seen(2, range(1, 4)), seen(3, range(4))
    found = choose([a, b, c], 4, "stgcn")
    np.testing.assert_array_equal(found[0], [a.joints[0], c.joints[0]])
    np.testing.assert_array_equal(found[1], [a.joints[1], b.joints[0]])
    np.testing.assert_array_equal(found[3], [b.joints[2], c.joints[3]])


def test_what_cannot_be_chosen():
    track = seen(1, range(3))
    with pytest.raises(ConfigError, match="no way to choose persons called 'hrnet'; there are: stgcn, agcn, ctrgcn"):
        choose([track], 3, "hrnet")
    with pytest.raises(ConfigError, match="rule='best'; there are: first, energy"):
        Persons(rule="best")
    with pytest.raises(ConfigError, match="gaps='open'; there are: legacy, time-true"):
        Persons(rule="motion", gaps="open")
    with pytest.raises(ConfigError, match="bodies=3; wanted at least 1, and 2 for the rule 'denoise'"):
        Persons(rule="denoise", bodies=3)
    with pytest.raises(DataError, match="no body in any frame"):
        choose([], 3, "tracks")
    with pytest.raises(DataError, match="seen in frame 2, but there are 2"):
        choose([track], 2, "tracks")
    with pytest.raises(DataError, match="every joint of every body is zero"):
        choose([seen(1, range(3), joints=np.zeros((3, V, 3)))], 3, "ctrgcn")
    with pytest.raises(DataError, match=r"body 2 has joints \(4, 3\), body 1 \(5, 3\)"):
        choose([track, seen(2, range(3), joints=np.ones((3, 4, 3)))], 3, "tracks")
    for frames in ([1, 1], [2, 1], [-1, 0]):
        with pytest.raises(DataError, match="must ascend from 0 on"):
            seen(1, frames, joints=np.ones((2, V, 3)))
    with pytest.raises(DataError, match=r"wanted \(n,\) and \(n, V, C\)"):
        seen(1, [0, 1], joints=np.ones((3, V, 3)))
    with pytest.raises(DataError, match="places for 2 frames"):
        seen(1, [0, 1], places=np.zeros(3, np.int64))
    assert persons("agcn") is PERSONS["agcn"]
