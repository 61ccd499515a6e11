"""Pictures of moving bodies: colour, depth and infrared clips from any skeletons, all three seen by one pinhole camera.

A body is capsules (:mod:`skelbench.data.flesh`) in front of a room with clutter. Every pixel is a ray; a capsule is met where the
ray first comes within its radius of its axis, and the nearest surface wins. Only pixels in a capsule's own box are tried, all
capsules of all frames at once, so that 64 x 64 pixels take milliseconds a clip on one core.

    colour     clothes x (ambient + (1 - ambient) max(0, n . l)), noise
    depth      z of the surface in millimetres, noise that grows with z^2, nothing at silhouettes
    infrared   what the material sends back x max(0, -n . ray) (z0 / z)^2: the light sits at the camera; shot noise

with surface normal n, direction l to the light and z0 the body's own distance. The same clip and seed give the same pictures, in
whatever batch the clip stands.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from skelbench.data.appearance import BALL, LAMP, Looks, Things, draw_looks
from skelbench.data.camera import NEAR, Camera, distance_of, points_of, seen_joints, watch
from skelbench.data.flesh import MATERIALS, body_size, flesh
from skelbench.errors import DataError
from skelbench.skeleton.clip import Batch
from skelbench.skeleton.frame_views import segments
from skelbench.skeleton.topology import Topology

FARTHEST = 8.0  # metres; the depth sensor sees nothing beyond
LOST = 0.25  # share of the silhouette's pixels without a depth


@dataclass(frozen=True, kw_only=True, eq=False)
class Pictures:
    """What the camera saw of N clips, T' pictures each, H x W pixels.

    Attributes:
        rgb: uint8 (N, T', 3, H, W).
        depth: int32 (N, T', 1, H, W), millimetres along the optical axis, 0 where nothing came back.
        ir: uint8 (N, T', 1, H, W).
        joints: float32 (N, T', V, M, 2), where the joints stand in them, 0..1; a body that is absent is zero.
        index: int64 (N, T'), frames of the clips.
        distance: float32 (N,), metres from the camera to the middle of the joints.
        camera: that saw them.
        lamp: float32 (N, 2), where the lamp on the wall is, 0..1; -1 where there is none.
    """

    rgb: Tensor
    depth: Tensor
    ir: Tensor
    joints: Tensor
    index: Tensor
    distance: Tensor
    camera: Camera
    lamp: Tensor


def seed_of(*words: object) -> int:
    """A seed for what these words name; other words, another seed."""
    return int.from_bytes(hashlib.sha256(repr(words).encode()).digest()[:8], "big") >> 1


def render(
    batch: Batch,
    topology: Topology,
    generator: torch.Generator,
    *,
    frames: int = 8,
    size: int = 64,
    things: Things | None = None,
    subjects: Sequence[int] | None = None,
    up: str = "y",
    metres: bool = True,
    view: str = "auto",
    noise: bool = True,
) -> Pictures:
    """Pictures of a batch.

    Args:
        batch: N clips.
        topology: what their V means.
        generator: decides clothes, room, light and noise; one number a clip is drawn from it.
        frames: T', taken evenly from the clip.
        size: H and W in pixels.
        things: balls and lamps; none where left out.
        subjects: (N,) who is in the clips; the same number wears the same clothes. A clip of its own where left out or -1.
        up: which way up the coordinates point.
        metres: the coordinates are metres.
        view: where the camera stands, see :func:`skelbench.data.camera.watch`.
        noise: of the sensors.

    Raises:
        DataError: skeletons that have neither two nor three coordinates.
    """
    seeds = torch.randint(1 << 62, (len(batch),), generator=generator).tolist()
    who = [-1] * len(batch) if subjects is None else list(subjects)
    return render_seeded(
        batch,
        topology,
        rooms=seeds,
        wearers=[seeds[n] if s < 0 else seed_of("subject", int(s)) for n, s in enumerate(who)],
        index=segments(batch.lengths, frames),
        size=size,
        things=things,
        up=up,
        metres=metres,
        view=view,
        noise=noise,
    )


def render_seeded(
    batch: Batch,
    topology: Topology,
    *,
    rooms: Sequence[int],
    wearers: Sequence[int],
    index: Tensor,
    size: int,
    things: Things | None = None,
    up: str = "y",
    metres: bool = True,
    view: str = "auto",
    noise: bool = True,
) -> Pictures:
    """As :func:`render`, with a seed a clip: ``rooms`` for room, light and noise, ``wearers`` for the clothes of its first body."""
    N, _, _, V, M = batch.joints.shape
    if index.ndim != 2 or len(index) != N or bool((index < 0).any()) or bool((index >= batch.lengths[:, None]).any()):
        raise DataError(f"numbers of frames (N, T') inside the clips are wanted for N = {N}, got shape {tuple(index.shape)}")
    things = things or Things.none(N)
    generators = [torch.Generator().manual_seed(seed_of("room", s)) for s in rooms]
    worn = [[torch.Generator().manual_seed(seed_of("body", s, m)) for m in range(M)] for s in wearers]
    yaw = torch.stack([torch.randn((), generator=g) * 0.12 for g in generators])
    looks = draw_looks(worn, generators).with_things(things)
    seen = seen_joints(batch.joints, batch.present)  # (N, T, V, M)
    camera = watch(batch.joints, seen, topology, up=up, metres=metres, view=view, yaw=yaw)
    T = index.shape[1]
    rows = torch.arange(N)[:, None]
    points = camera.seen(points_of(batch.joints, topology, up)[rows, index])  # (N, T', M, V, 3)
    there = seen[rows, index].permute(0, 1, 3, 2)  # (N, T', M, V)
    distance = distance_of(points, there & (points[..., 2] > NEAR))  # (N,)
    units = body_size(batch.joints[:, : topology.dims], seen, topology) * camera.scale
    capsules = _capsules(points, there, units, topology, looks, things, distance, camera, index)
    hit = _nearest(capsules, camera, size)
    room = _room(looks, camera, _floor_height(points, there), distance, size)
    rgb, depth, ir = _shaded(hit, room, capsules, looks, camera, distance, N, T, size, things.lit(index))
    if noise:
        rgb, depth, ir = _noisy(rgb, depth, ir, generators)
    places = torch.where(there[..., None], camera.picture(points), torch.zeros(()))
    return Pictures(
        rgb=(rgb.clamp(0, 1) * 255).round().to(torch.uint8),
        depth=torch.where(depth < FARTHEST, (depth * 1000).round(), torch.zeros(())).to(torch.int32),
        ir=(ir.clamp(0, 1) * 255).round().to(torch.uint8),
        joints=places.transpose(2, 3).contiguous(),
        index=index,
        distance=distance,
        camera=camera,
        lamp=torch.where((things.lamp_on >= 0)[:, None], looks.lamp, torch.full((), -1.0)),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Capsules:
    """Q capsules in each of F = N T' frames, camera coordinates.

    Attributes:
        start, end: (F, Q, 3). radius: (F, Q). there: bool (F, Q).
        paint: int64 (F, Q), row of ``colour`` and ``infrared`` of its clip: body x materials.
    """

    start: Tensor
    end: Tensor
    radius: Tensor
    there: Tensor
    paint: Tensor


def _capsules(
    points: Tensor,
    there: Tensor,
    units: Tensor,
    topology: Topology,
    looks: Looks,
    things: Things,
    distance: Tensor,
    camera: Camera,
    index: Tensor,
) -> _Capsules:
    N, T, M, V, _ = points.shape
    made = flesh(topology)
    Q = len(made.radius)
    start = torch.einsum("qv,ntmvc->ntmqc", made.start, points)
    end = torch.einsum("qv,ntmvc->ntmqc", made.end, points)
    whole = (there[:, :, :, None] | ~made.needs).all(dim=-1)  # (N, T, M, Q)
    radius = (made.radius * (units / made.whole)[:, None]).view(N, 1, 1, Q).expand(N, T, M, Q)
    paint = (torch.arange(M)[:, None] * len(MATERIALS) + made.material).expand(N, T, M, Q)
    parts = [(start.flatten(2, 3), end.flatten(2, 3), radius.flatten(2), whole.flatten(2), paint.flatten(2))]
    held = things.held_joint >= 0
    if bool(held.any()):
        at = things.held_joint.clamp(0, V - 1).view(N, 1, 1, 1).expand(N, T, 1, 3)
        ball = points[:, :, 0].gather(2, at)  # (N, T, 1, 3)
        shown = there[:, :, 0].gather(2, at[..., 0]) & held[:, None, None]
        parts.append((ball, ball, *_one(BALL, shown, MATERIALS.index("ball"))))
    lamps = things.lamp_on >= 0
    if bool(lamps.any()):
        z = (distance + 0.5 * looks.room[:, 0]).view(N, 1)
        xy = (camera.centre - looks.lamp) / camera.focal * z
        lamp = torch.cat([xy, z], 1).view(N, 1, 1, 3).expand(N, T, 1, 3)
        parts.append((lamp, lamp, *_one(LAMP, lamps[:, None, None].expand(N, T, 1), MATERIALS.index("lamp"))))
    joined = [torch.cat(part, dim=2).flatten(0, 1) for part in zip(*parts, strict=True)]
    return _Capsules(start=joined[0], end=joined[1], radius=joined[2], there=joined[3], paint=joined[4])


def _one(radius: float, shown: Tensor, material: int) -> tuple[Tensor, Tensor, Tensor]:
    return torch.full(shown.shape, radius), shown, torch.full(shown.shape, material)


@dataclass(frozen=True, eq=False)
class _Hit:
    """Pixels that show a body: flat number (frame, row, column), capsule, way along the ray of z = 1."""

    pixel: Tensor
    capsule: Tensor
    z: Tensor


def _nearest(c: _Capsules, camera: Camera, size: int) -> _Hit:
    """The nearest capsule of every pixel that shows one."""
    F, Q = c.radius.shape
    T = F // len(camera)
    low, high = _boxes(c, camera, T, size)
    wide = (high - low + 1).clamp_min(0)  # (F, Q, 2) columns, rows
    counts = (wide[..., 0] * wide[..., 1]).flatten()
    which = torch.repeat_interleave(torch.arange(F * Q), counts)  # (K,)
    step = torch.arange(len(which)) - (counts.cumsum(0) - counts)[which]
    w = wide[..., 0].flatten()[which]
    row = torch.div(step, w, rounding_mode="floor")
    i, j = low[..., 1].flatten()[which] + row, low[..., 0].flatten()[which] + step - row * w
    frame = torch.div(which, Q, rounding_mode="floor")
    clip = torch.div(frame, T, rounding_mode="floor")
    focal, centre = camera.focal, camera.centre
    dx = (centre[:, 0][clip] - (j + 0.5) / size) / focal[:, 0][clip]
    dy = (centre[:, 1][clip] - (i + 0.5) / size) / focal[:, 1][clip]
    z = meet(dx, dy, c.start.flatten(0, 1), c.end.flatten(0, 1), c.radius.flatten(), which)
    pixel = (frame * size + i) * size + j
    kept = torch.isfinite(z) & (z > NEAR)
    z, pixel, which = z[kept], pixel[kept], which[kept]
    front = torch.full((F * size * size,), torch.inf)
    front.scatter_reduce_(0, pixel, z, "amin")
    won = z == front[pixel]
    z, pixel, which = z[won], pixel[won], which[won]
    first = torch.full((F * size * size,), F * Q)  # two at the very same place: the lower number
    first.scatter_reduce_(0, pixel, which, "amin")
    won = which == first[pixel]
    return _Hit(pixel[won], which[won], z[won])


def _boxes(c: _Capsules, camera: Camera, T: int, size: int) -> tuple[Tensor, Tensor]:
    """First and last column and row (F, Q, 2) of the pixels a capsule can touch; last before first where there is none."""
    F, Q = c.radius.shape
    focal = camera.focal.repeat_interleave(T, 0).view(F, 1, 2)
    centre = camera.centre.repeat_interleave(T, 0).view(F, 1, 2)
    r, bounds = c.radius[..., None], []
    for ball in (c.start, c.end):
        near, far = (ball[..., 2:] - r).clamp_min(NEAR), (ball[..., 2:] + r).clamp_min(NEAR)
        bounds += [ball[..., :2] + sign * r for sign in (-1, 1)]
        bounds[-2:] = [side / z for side in bounds[-2:] for z in (near, far)]
    places = torch.stack([centre - focal * b for b in bounds])  # (8, F, Q, 2)
    low = (places.amin(dim=0) * size - 0.5).ceil().clamp(0, size)
    high = (places.amax(dim=0) * size - 0.5).floor().clamp(-1, size - 1)
    shown = c.there & (torch.maximum(c.start[..., 2], c.end[..., 2]) > NEAR)
    high = torch.where(shown[..., None], high, torch.full((), -1.0))
    return low.long(), high.long()


def meet(dx: Tensor, dy: Tensor, start: Tensor, end: Tensor, radius: Tensor, which: Tensor) -> Tensor:
    """Where rays first meet capsules: z of the point (K,), infinite where they miss.

    The ray is s d, d = (dx, dy, 1). Between its ends A and B a capsule is a cylinder: |s d - A|^2 less the square of the part along
    B - A is r^2. At its ends it is a ball.

    Args:
        dx: (K,), of the rays.
        dy: (K,).
        start: (Q, 3), A.
        end: (Q, 3), B.
        radius: (Q,), r.
        which: int64 (K,), the capsule each ray is tried against.
    """
    axis = end - start
    aa, sa, ss = (axis * axis).sum(-1), (start * axis).sum(-1), (start * start).sum(-1)  # (Q,)
    rr = radius * radius
    table = torch.stack([start[:, 0], start[:, 1], start[:, 2], axis[:, 0], axis[:, 1], axis[:, 2], aa, sa, ss, rr], 1)
    px, py, pz, ax, ay, az, aa, sa, ss, rr = table[which].unbind(1)
    dd = dx * dx + dy * dy + 1
    da, dp = dx * ax + dy * ay + az, dx * px + dy * py + pz
    # Cylinder: (aa dd - da^2) s^2 - 2 (aa dp - da sa) s + aa ss - sa^2 - rr aa = 0.
    a, b, c = aa * dd - da * da, aa * dp - da * sa, aa * ss - sa * sa - rr * aa
    h = b * b - a * c
    s = (b - h.clamp_min(0).sqrt()) / a.clamp_min(1e-12)
    y = s * da - sa  # times aa
    side = (h >= 0) & (a > 1e-12) & (y > 0) & (y < aa)
    # A ball at the end that the ray passes: the first one where it misses the cylinder between them.
    best = torch.where(side, s, torch.inf)
    for more in (0.0, 1.0):
        cp, cc = dp + more * da, ss + more * (2 * sa + aa)
        h = cp * cp - dd * (cc - rr)
        ball = (cp - h.clamp_min(0).sqrt()) / dd
        best = torch.where((h >= 0) & (ball < best), ball, best)
    return best


@dataclass(frozen=True, kw_only=True, eq=False)
class _Room:
    """Background of N clips: z (N, H, W), colour (N, 3, H, W), infrared (N, H, W) with normal and fall-off in."""

    z: Tensor
    colour: Tensor
    infrared: Tensor


def _floor_height(points: Tensor, there: Tensor) -> Tensor:
    """(N,) y of the floor, a foot's thickness under the lowest joint that was seen."""
    y = torch.where(there, points[..., 1], torch.inf).flatten(1).amin(dim=1)
    return torch.where(torch.isfinite(y), y, torch.full((), -1.0)) - 0.045


def _room(looks: Looks, camera: Camera, floor: Tensor, distance: Tensor, size: int) -> _Room:
    N = len(floor)
    rays = camera.rays(size, size)  # (N, H, W, 3)
    dx, dy = rays[..., 0], rays[..., 1]
    wall = (distance + looks.room[:, 0]).view(N, 1, 1)
    down = torch.where(dy < -1e-6, floor.view(N, 1, 1) / dy.clamp(max=-1e-6), torch.inf)
    down = torch.where(down > 0, down, torch.inf)
    on_floor = down < wall
    z = torch.minimum(down, wall)
    v = ((torch.arange(size) + 0.5) / size).view(1, size, 1, 1)
    top, bottom = (looks.wall[:, k].view(N, 1, 1, 3) for k in (0, 1))
    colour = (1 - v) * top + v * bottom
    colour = colour.expand(N, size, size, 3)
    tile = looks.room[:, 1].view(N, 1, 1)
    odd = ((z * dx / tile).floor() + (z / tile).floor()).long() % 2 == 1
    tiles = torch.where(odd[..., None], looks.floor[:, 0].view(N, 1, 1, 3), looks.floor[:, 1].view(N, 1, 1, 3))
    flat = rays.norm(dim=-1)
    colour = torch.where(on_floor[..., None], tiles, colour)
    steep = torch.where(on_floor, -dy, torch.ones(())) / flat  # cosine between ray and normal
    material = torch.where(on_floor, looks.room_ir[:, 1].view(N, 1, 1), looks.room_ir[:, 0].view(N, 1, 1))
    spot = (torch.arange(size) + 0.5) / size
    for k in range(looks.boards.shape[1]):
        x0, y0, x1, y1, near = looks.boards[:, k].unbind(1)
        columns = (spot > x0[:, None]) & (spot < x1[:, None])
        rows = (spot > y0[:, None]) & (spot < y1[:, None])
        at = (distance + (0.55 + 0.4 * (1 - near)) * looks.room[:, 0]).view(N, 1, 1)  # behind the body, before the wall
        board = rows[:, :, None] & columns[:, None] & (at < z)
        z = torch.where(board, at, z)
        colour = torch.where(board[..., None], looks.board_colour[:, k].view(N, 1, 1, 3), colour)
        material = torch.where(board, looks.board_ir[:, k].view(N, 1, 1), material)
        steep = torch.where(board, 1 / flat, steep)
    infrared = material * steep * (distance.view(N, 1, 1) / z) ** 2
    return _Room(z=z, colour=colour.permute(0, 3, 1, 2) * 0.9, infrared=infrared)


def _shaded(
    hit: _Hit,
    room: _Room,
    c: _Capsules,
    looks: Looks,
    camera: Camera,
    distance: Tensor,
    N: int,
    T: int,
    size: int,
    lit: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Noiseless rgb (N, T', 3, H, W) in 0..1, depth (N, T', 1, H, W) in metres, ir (N, T', 1, H, W) in 0..1."""
    P = size * size
    pixel, capsule, z = hit.pixel, hit.capsule, hit.z
    frame = torch.div(pixel, P, rounding_mode="floor")
    clip = torch.div(frame, T, rounding_mode="floor")
    nearer = z < room.z.reshape(-1)[clip * P + pixel % P]
    pixel, capsule, z, frame, clip = (part[nearer] for part in (pixel, capsule, z, frame, clip))
    where = pixel % P
    i, j = torch.div(where, size, rounding_mode="floor"), where % size
    uv = torch.stack([(j + 0.5) / size, (i + 0.5) / size], 1)
    ray = torch.cat([(camera.centre[clip] - uv) / camera.focal[clip], torch.ones(len(clip), 1)], 1)
    start, end = c.start.flatten(0, 1)[capsule], c.end.flatten(0, 1)[capsule]
    point, axis = ray * z[:, None], end - start
    share = ((point - start) * axis).sum(1) / (axis * axis).sum(1).clamp_min(1e-12)
    normal = point - start - share.clamp(0, 1)[:, None] * axis
    normal = normal / normal.norm(dim=1, keepdim=True).clamp_min(1e-9)
    paint, K = c.paint.flatten()[capsule], len(MATERIALS)
    albedo = looks.colour.flatten(1, 2)[clip, paint]  # (K, 3)
    ambient = looks.ambient[clip]
    light = ambient + (1 - ambient) * (normal * looks.light[clip]).sum(1).clamp_min(0)
    shining = (paint % K == MATERIALS.index("lamp")) & lit.flatten()[frame]
    colour = torch.where(shining[:, None], looks.lamp_colour[clip] * 1.4, albedo * light[:, None])
    back = (-(normal * ray).sum(1) / ray.norm(dim=1)).clamp_min(0)
    glow = looks.infrared.flatten(1, 2)[clip, paint] * back * (distance[clip] / z) ** 2
    rgb = room.colour[:, None].expand(N, T, 3, size, size).permute(0, 1, 3, 4, 2).reshape(-1, 3).clone()
    depth = room.z[:, None].expand(N, T, size, size).reshape(-1).clone()
    ir = room.infrared[:, None].expand(N, T, size, size).reshape(-1).clone()
    rgb[pixel], depth[pixel], ir[pixel] = colour, z, glow
    rgb = rgb.view(N, T, size, size, 3).permute(0, 1, 4, 2, 3)
    return rgb, depth.view(N, T, 1, size, size), ir.view(N, T, 1, size, size)


def _noisy(rgb: Tensor, depth: Tensor, ir: Tensor, generators: Sequence[torch.Generator]) -> tuple[Tensor, Tensor, Tensor]:
    """Sensors as they are: grain, depth noise growing with z^2 and holes at silhouettes, shot noise. One generator a clip."""

    def normal(shape: torch.Size) -> Tensor:
        return torch.stack([torch.randn(shape[1:], generator=g) for g in generators])

    grain, wobble, shots = normal(rgb.shape), normal(depth.shape), normal(ir.shape)
    holes = torch.stack([torch.rand(depth.shape[1:], generator=g) for g in generators]) < LOST
    step = torch.zeros_like(depth)
    down, across = (depth[..., 1:, :] - depth[..., :-1, :]).abs(), (depth[..., 1:] - depth[..., :-1]).abs()
    step[..., 1:, :], step[..., 1:] = down, torch.maximum(step[..., 1:], across)
    measured = depth + (0.0012 + 0.0019 * (depth - 0.4) ** 2) * wobble
    measured = torch.where((step > 0.15) & holes, torch.full((), FARTHEST), measured)
    return rgb + 0.02 * grain, measured, ir + (0.008 + 0.03 * ir.clamp(0, 1).sqrt()) * shots
