"""Pictures against one ray at a time: distances marched through space in float64, shading pixel by pixel."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from skelbench.data.appearance import BALL, LAMP, Things, draw_looks
from skelbench.data.camera import seen_joints, watch
from skelbench.data.flesh import MATERIALS, body_size, flesh
from skelbench.data.playground import make_clip
from skelbench.data.rays import meet
from skelbench.data.render import render, render_seeded, seed_of
from skelbench.errors import DataError
from skelbench.skeleton.clip import batch_of, collate
from skelbench.skeleton.frame_views import segments
from skelbench.skeleton.topology import topologies, topology

KINECT = topology("kinect_v2_25")
SIZE, FRAMES = 18, 2


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def batch():
    return collate([make_clip(row) for row in (2, 11)])  # two people, one person


@pytest.fixture(scope="module")
def things():
    some = Things.none(2)
    return dataclasses.replace(
        some,
        held_joint=torch.tensor([-1, KINECT.joint("right_hand")]),
        held_colour=torch.tensor([-1, 0x20C040]),
        held_ir=torch.tensor([-1, 240]),
        lamp_on=torch.tensor([0, 0]),
        lamp_off=torch.tensor([0, 1000]),
        lamp_blink=torch.tensor([0, 0]),
    )


def from_segment(p, a, b):
    """The point of a segment that is nearest to p."""
    ab = b - a
    square = ab @ ab
    share = 0.0 if square == 0 else min(max((p - a) @ ab / square, 0.0), 1.0)
    return a + share * ab


def march(ray, a, b, r):
    """First point of a ray (z = 1) within r of the segment, by stepping as far as is safe; None where it misses."""
    unit, t = ray / np.linalg.norm(ray), 0.0
    for _ in range(2000):
        p = t * unit
        gap = np.linalg.norm(p - from_segment(p, a, b)) - r
        if gap < 1e-9:
            return p[2]
        t += gap
        if t > 30:
            return None
    return None


def naive(batch, things, rooms, wearers, index, size):
    """rgb, depth in metres and ir of every pixel, one after the other."""
    N, _, _, V, M = batch.joints.shape
    rng = [torch.Generator().manual_seed(seed_of("room", s)) for s in rooms]
    worn = [[torch.Generator().manual_seed(seed_of("body", s, m)) for m in range(M)] for s in wearers]
    yaw = torch.stack([torch.randn((), generator=g) * 0.12 for g in rng])
    looks = draw_looks(worn, rng)
    seen = seen_joints(batch.joints, batch.present)
    camera = watch(batch.joints, seen, KINECT, yaw=yaw)
    made, units = flesh(KINECT), body_size(batch.joints, seen, KINECT).double().numpy()
    T = index.shape[1]
    rgb, depth, ir = np.zeros((N, T, size, size, 3)), np.zeros((N, T, size, size)), np.zeros((N, T, size, size))
    for n in range(N):
        f, c = camera.focal[n].double().numpy(), camera.centre[n].double().numpy()
        x = batch.joints[n].permute(1, 3, 2, 0).double().numpy()[index[n].numpy()]  # (T', M, V, 3), the sensor's own view
        there = (x != 0).any(-1)
        distance = np.sort(x[there][:, 2])[(there.sum() - 1) // 2]
        lowest = sorted(x[t][there[t]][:, 1].min() for t in range(T))
        floor = lowest[(T - 1) // 2] - 0.045
        room = {k: getattr(looks, k)[n].double().numpy() for k in ("wall", "floor", "room_ir", "boards", "board_colour", "room")}
        room["board_ir"], light = looks.board_ir[n].double().numpy(), looks.light[n].double().numpy()
        ambient = float(looks.ambient[n])
        for t in range(T):
            solids = []
            for m in range(M):
                for q in range(len(made.radius)):
                    need = made.needs[q].numpy()
                    if there[t, m][need].all():
                        ends = [w[q].double().numpy() @ x[t, m] for w in (made.start, made.end)]
                        radius = float(made.radius[q]) * units[n] / made.whole
                        k = int(made.material[q])
                        way = x[t, m, KINECT.joint("head")] - x[t, m, KINECT.joint("spine_shoulder")]
                        far, wanted = np.linalg.norm(way), 0.17 * units[n] / made.whole
                        for end, weights in enumerate((made.start[q], made.end[q])):
                            of_head = weights[KINECT.joint("head")] == 1 or k == MATERIALS.index("hair")
                            ends[end] = ends[end] + (way * (wanted / far - 1) if of_head and far < wanted else 0)
                        colour, glow = looks.colour[n, m, k].double().numpy(), float(looks.infrared[n, m, k])
                        solids.append((*ends, radius, colour, glow, False))
            if things.held_joint[n] >= 0:
                code, at = int(things.held_colour[n]), x[t, 0, int(things.held_joint[n])]
                colour = np.array([(code >> 16) & 255, (code >> 8) & 255, code & 255]) / 255
                solids.append((at, at, BALL, colour, int(things.held_ir[n]) / 255, False))
            z = distance + 0.5 * room["room"][0]
            at = np.array([*(c - looks.lamp[n].double().numpy()) / f * z, z])
            k = MATERIALS.index("lamp")
            lit = int(things.lamp_on[n]) <= int(index[n, t]) < int(things.lamp_off[n])
            solids.append((at, at, LAMP, looks.colour[n, 0, k].double().numpy(), float(looks.infrared[n, 0, k]), lit))
            for i in range(size):
                for j in range(size):
                    u, v = (j + 0.5) / size, (i + 0.5) / size
                    ray = np.array([(c[0] - u) / f[0], (c[1] - v) / f[1], 1.0])
                    z, colour, glow = background(ray, u, v, room, distance, floor)
                    for a, b, r, paint, back, shines in solids:
                        hit = march(ray, a, b, r)
                        if hit is not None and hit < z:
                            p = ray * hit
                            normal = (p - from_segment(p, a, b)) / r
                            z = hit
                            colour = paint * (ambient + (1 - ambient) * max(0.0, normal @ light))
                            if shines:
                                colour = looks.lamp_colour[n].double().numpy() * 1.4
                            glow = back * max(0.0, -normal @ ray / np.linalg.norm(ray)) * (distance / hit) ** 2
                    rgb[n, t, i, j], depth[n, t, i, j], ir[n, t, i, j] = colour, z, glow
    return rgb, depth, ir


def background(ray, u, v, room, distance, floor):
    wall = distance + room["room"][0]
    z, colour, material = wall, ((1 - v) * room["wall"][0] + v * room["wall"][1]) * 0.9, room["room_ir"][0]
    steep = 1 / np.linalg.norm(ray)
    if ray[1] < -1e-6 and 0 < floor / ray[1] < wall:
        z, tile = floor / ray[1], room["room"][1]
        odd = (math.floor(z * ray[0] / tile) + math.floor(z / tile)) % 2
        colour, material, steep = room["floor"][0 if odd else 1] * 0.9, room["room_ir"][1], -ray[1] / np.linalg.norm(ray)
    for k, (x0, y0, x1, y1, near) in enumerate(room["boards"]):
        at = distance + (0.55 + 0.4 * (1 - near)) * room["room"][0]
        if x0 < u < x1 and y0 < v < y1 and at < z:
            z, colour, material, steep = at, room["board_colour"][k] * 0.9, room["board_ir"][k], 1 / np.linalg.norm(ray)
    return z, colour, material * steep * (distance / z) ** 2


def test_every_pixel_is_what_one_ray_sees(batch, things):
    index = segments(batch.lengths, FRAMES)
    seeds = {"rooms": [5, 6], "wearers": [7, 8]}
    seen = render_seeded(batch, KINECT, **seeds, index=index, size=SIZE, things=things, noise=False)
    rgb, depth, ir = naive(batch, things, **seeds, index=index, size=SIZE)
    wrong = np.abs(seen.depth[:, :, 0].numpy() / 1000 - np.where(depth < 8, depth, 0)) > 0.002
    assert wrong.mean() < 0.002  # a ray that grazes an edge may fall on either side of it in float32
    same = ~wrong
    assert np.abs(seen.rgb.permute(0, 1, 3, 4, 2).numpy() - np.clip(rgb, 0, 1) * 255)[same].max() < 2
    assert np.abs(seen.ir[:, :, 0].numpy() - np.clip(ir, 0, 1) * 255)[same].max() < 2
    body = depth < 0.9 * np.median(depth)
    assert 0.03 < body.mean() < 0.6  # there is something to see


def test_a_ray_meets_a_capsule_where_marching_does():
    g = generator()
    K = 400
    start, end = torch.randn(K, 3, generator=g) * 0.3, torch.randn(K, 3, generator=g) * 0.3
    start[:, 2] += 2.5
    end[:, 2] += 2.5
    end[:40] = start[:40]  # balls
    end[40:60, :2] = start[40:60, :2] * (end[40:60, 2:] / start[40:60, 2:])  # seen from their end
    radius = torch.rand(K, generator=g) * 0.25 + 0.02
    aim = start + torch.rand(K, 1, generator=g) * (end - start) + torch.randn(K, 3, generator=g) * 0.12
    dx, dy = aim[:, 0] / aim[:, 2], aim[:, 1] / aim[:, 2]
    found = meet(dx.double(), dy.double(), start.double(), end.double(), radius.double(), torch.arange(K))
    hits = 0
    for k in range(K):
        ray = np.array([float(dx[k]), float(dy[k]), 1.0])
        wanted = march(ray, start[k].double().numpy(), end[k].double().numpy(), float(radius[k]))
        if wanted is None:
            assert math.isinf(found[k])
        else:
            hits += 1
            assert float(found[k]) == pytest.approx(wanted, abs=1e-6)
    assert 100 < hits < K - 20


def test_the_same_clip_looks_the_same_in_any_batch(batch):
    one = render(batch, KINECT, generator(3), subjects=[4, 9])
    two = render(batch, KINECT, generator(3), subjects=[4, 9])
    assert torch.equal(one.rgb, two.rgb) and torch.equal(one.depth, two.depth) and torch.equal(one.ir, two.ir)
    assert not torch.equal(one.rgb, render(batch, KINECT, generator(4), subjects=[4, 9]).rgb)
    index = segments(batch.lengths, 3)
    both = render_seeded(batch, KINECT, rooms=[1, 2], wearers=[3, 4], index=index, size=32)
    single = collate([make_clip(11)])
    alone = render_seeded(single, KINECT, rooms=[2], wearers=[4], index=index[1:], size=32)
    assert torch.equal(both.rgb[1], alone.rgb[0]) and torch.equal(both.depth[1], alone.depth[0])
    assert torch.equal(both.ir[1], alone.ir[0]) and torch.equal(both.joints[1], alone.joints[0])


def test_joints_stand_where_the_body_is_seen(batch):
    seen = render(batch, KINECT, generator(), frames=4, size=128, noise=False)
    checked = 0
    for n in range(2):
        x = batch.joints[n].permute(1, 3, 2, 0)[seen.index[n]]  # (T', M, V, 3)
        for t in range(4):
            for m in range(2):
                for v in range(KINECT.V):
                    if not bool(x[t, m, v].any()):
                        assert not seen.joints[n, t, v, m].any()
                        continue
                    u, w = (float(k) for k in seen.joints[n, t, v, m])
                    f, c = seen.camera.focal[n].tolist(), seen.camera.centre[n].tolist()
                    X, Y, Z = x[t, m, v].double().tolist()
                    assert (u, w) == pytest.approx((c[0] - f[0] * X / Z, c[1] - f[1] * Y / Z), abs=1e-4)
                    assert 0 < u < 1 and 0 < w < 1
                    surface = float(seen.depth[n, t, 0, int(w * 128), int(u * 128)]) / 1000
                    assert surface < Z + 0.02  # the joint is inside a body: something is seen there, at it or before it
                    checked += 1
    assert checked > 200


def test_subjects_wear_their_own_clothes(batch):
    same = collate([make_clip(11), make_clip(11)])
    how = {"rooms": [1, 1], "index": segments(same.lengths, 1), "size": 48, "noise": False}
    one = render_seeded(same, KINECT, wearers=[5, 5], **how)
    two = render_seeded(same, KINECT, wearers=[5, 6], **how)
    assert torch.equal(one.rgb[0], one.rgb[1])
    assert torch.equal(two.depth[0], two.depth[1])
    changed = (two.rgb[0] != two.rgb[1]).any(dim=1)[0]
    body = two.depth[0, 0, 0] < 1000 * float(two.distance[0]) + 500
    assert changed.float().mean() > 0.03 and not bool((changed & ~body).any())


def test_a_person_is_not_mirrored_and_faces_the_camera_of_front():
    """Seen from the front, the left hand is on the right of the picture, whichever way the person looked in the recording."""
    for turned in (0.3, 1.8, -2.5):
        clip = make_clip(11)
        c, s = math.cos(turned), math.sin(turned)
        joints = clip.joints - clip.joints[:1, :1, :1]
        x, z = joints[..., 0].copy(), joints[..., 2].copy()
        joints[..., 0], joints[..., 2] = c * x + s * z, -s * x + c * z
        one = batch_of(joints[None, :, :1])
        seen = render(one, KINECT, generator(), view="front")
        left, right = KINECT.joint("left_shoulder"), KINECT.joint("right_shoulder")
        middle = seen.joints[0, :, :, 0].mean(dim=0)
        assert float(middle[left, 0]) > float(middle[right, 0]) + 0.05
        assert float(middle[KINECT.joint("head"), 1]) < float(middle[KINECT.joint("left_knee"), 1])


@pytest.mark.parametrize("name", topologies())
def test_any_skeleton_can_be_shown(name):
    layout = topology(name)
    rng = np.random.default_rng(0)
    rest = np.zeros((layout.V, layout.dims))
    for joint in range(layout.V):  # a bush of bones, all of one length
        rest[joint] = rng.normal(size=layout.dims)
    joints = rest + 0.05 * rng.normal(size=(2, 5, 1, layout.V, layout.dims))
    scored = np.concatenate([joints, np.ones_like(joints[..., :1])], -1) if layout.dims == 2 else joints
    for x in (joints, scored):
        seen = render(batch_of(x.astype(np.float32)), layout, generator(), frames=2, size=32, metres=False)
        assert seen.joints.shape == (2, 2, layout.V, 1, 2) and bool(((seen.joints > 0) & (seen.joints < 1)).all())
        body = seen.depth[:, :, 0].float() < 1000 * (seen.distance[:, None, None, None] + 0.3)
        assert 0.02 < float((body & (seen.depth[:, :, 0] > 0)).float().mean()) < 0.98


def test_bones_make_the_size_of_a_body_whatever_the_pose():
    layout = topology("body_16")
    clip = make_clip(11).joints[:, :1]
    x = torch.from_numpy(clip[None]).permute(0, 4, 1, 3, 2)
    seen = (x != 0).any(dim=1)
    size = float(body_size(x, seen, KINECT)[0])
    # By hand: the longest of all ways between two joints along the tree.
    length = {}
    for child, parent in KINECT.bones:
        both = (seen[0, :, child, 0] & seen[0, :, parent, 0]).numpy()
        length[child] = np.median(np.linalg.norm(clip[both, 0, child] - clip[both, 0, parent], axis=-1))
    up = {}
    for joint in range(KINECT.V):
        way, at, far = {joint: 0.0}, joint, 0.0
        while KINECT.parents[at] >= 0:
            far += length[at]
            at = KINECT.parents[at]
            way[at] = far
        up[joint] = way
    longest = max(min(up[a][k] + up[b][k] for k in up[a].keys() & up[b].keys()) for a in up for b in up)
    assert size == pytest.approx(longest, rel=0.02) and 1.6 < size < 2.8
    assert float(body_size(2 * x, seen, KINECT)[0]) == pytest.approx(2 * size, rel=1e-5)
    assert float(body_size(torch.zeros(1, 3, 4, 16, 1), torch.zeros(1, 4, 16, 1, dtype=torch.bool), layout)[0]) == 0


def test_noise_is_the_sensors(batch):
    index = segments(batch.lengths, 4)
    how = {"rooms": [1, 2], "wearers": [3, 4], "index": index, "size": 64}
    clean, real = render_seeded(batch, KINECT, **how, noise=False), render_seeded(batch, KINECT, **how)
    lost = (real.depth == 0) & (clean.depth > 0)
    assert 0.001 < lost.float().mean() < 0.1
    error = (real.depth - clean.depth)[~lost & (clean.depth > 0)].float()
    z = clean.depth[~lost & (clean.depth > 0)].float() / 1000
    wanted = (1.2 + 1.9 * (z - 0.4) ** 2).square().mean().sqrt()
    assert float(error.square().mean().sqrt()) == pytest.approx(float(wanted), rel=0.05) and abs(float(error.mean())) < 1
    grain = (real.rgb.float() - clean.rgb.float())[(clean.rgb > 40) & (clean.rgb < 215)]
    assert float(grain.std()) == pytest.approx(0.02 * 255, rel=0.05)


def test_infrared_falls_off_with_distance():
    """The same body twice as far away sends back the same light relative to its own distance; its nearer limb more."""
    clip = make_clip(11).joints[:, :1]
    near, far = clip.copy(), clip.copy()
    far[..., 2] = np.where((clip != 0).any(-1), far[..., 2] + 2.0, 0)
    how = {"rooms": [1], "wearers": [2], "index": torch.tensor([[10]]), "size": 64, "noise": False, "view": "sensor"}
    one, two = (render_seeded(batch_of(x[None]), KINECT, **how) for x in (near, far))
    body = [s.depth[0, 0, 0] < 1000 * float(s.distance[0]) + 400 for s in (one, two)]
    light = [float(s.ir[0, 0, 0][b].float().mean()) for s, b in zip((one, two), body, strict=True)]
    assert light[0] == pytest.approx(light[1], rel=0.15)
    wall = [float(s.ir[0, 0, 0][:6].float().median()) for s in (one, two)]
    assert wall[0] < wall[1]  # of a room behind a far body, the walls are hardly farther than the body


def test_what_cannot_be_shown_says_so(batch):
    with pytest.raises(DataError, match="numbers of frames"):
        render_seeded(batch, KINECT, rooms=[1, 2], wearers=[1, 2], index=torch.tensor([[0], [9999]]), size=16)
    line = dataclasses.replace(KINECT, dims=1)
    with pytest.raises(DataError, match="1 coordinates cannot be shown"):
        render(batch_of(np.ones((1, 3, 1, 25, 1), np.float32)), line, generator())


def test_an_empty_clip_is_an_empty_room():
    seen = render(batch_of(np.zeros((1, 5, 1, 25, 3), np.float32)), KINECT, generator(), size=32, noise=False)
    assert not seen.joints.any() and bool((seen.rgb.float().std(dim=(3, 4)) > 0).any())
    assert bool(torch.isfinite(seen.distance).all()) and bool((seen.depth > 1000 * float(seen.distance[0])).float().mean() > 0.5)


def test_a_head_stands_on_its_neck_wherever_its_joint_is():
    """Some layouts have the joint in the middle of the head, some at its base: the ball is at least a neck's length away."""
    made = flesh(KINECT)
    points = torch.zeros(2, KINECT.V, 3, dtype=torch.float64)
    neck, head = KINECT.joint("spine_shoulder"), KINECT.joint("head")
    points[:, neck] = torch.tensor([0.1, 1.0, 2.0], dtype=torch.float64)
    points[0, head] = points[0, neck] + torch.tensor([0.0, 0.06, 0.0], dtype=torch.float64)
    points[1, head] = points[1, neck] + torch.tensor([0.0, 0.20, 0.0], dtype=torch.float64)
    lower, upper = made.lift(points.float(), torch.ones(2))
    balls = (made.material == MATERIALS.index("hair")) | ((made.start == made.head).all(dim=1) & (made.end == made.head).all(dim=1))
    assert int(balls.sum()) == 2
    assert lower[0, balls, 1].tolist() == pytest.approx([0.11, 0.11], abs=1e-5)  # 0.17 in all
    assert not lower[0, ~balls].any() and not lower[1].any() and not upper[1].any()
    moved = upper[0].abs().sum(dim=1) > 0
    assert int(moved.sum()) == 3  # and the upper end of the neck
