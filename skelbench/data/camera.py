"""Where a camera stands and where a joint falls in its picture.

Camera coordinates have x to the camera's left, y up and z away from it, as a Kinect gives them. Pictures run from 0 to 1, x to the
right and y down, whatever their size in pixels; pixel (i, j) of H x W is the ray through ((j + 0.5) / W, (i + 0.5) / H). A crop is
another focal length and another centre: nothing is projected twice.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from skelbench.data.flesh import PERSON, body_size
from skelbench.errors import DataError
from skelbench.skeleton.mapping import find_roles
from skelbench.skeleton.topology import Topology

NEAR = 0.3  # metres; what is nearer to the camera is not seen
FLAT = 3.0  # metres from the camera at which skeletons of a picture, which have no depth, stand


@dataclass(frozen=True, kw_only=True, eq=False)
class Camera:
    """N pinhole cameras, one a clip.

    Attributes:
        scale: (N,), metres a unit of the clip's coordinates.
        turn: (N, 3, 3), from the clip's axes to the camera's.
        place: (N, 3), where the camera stands, metres along the clip's axes.
        focal: (N, 2), picture widths and heights: 1.2 shows 1 m at a distance of 1.2 m from edge to edge.
        centre: (N, 2), where the optical axis meets the picture.
    """

    scale: Tensor
    turn: Tensor
    place: Tensor
    focal: Tensor
    centre: Tensor

    def __len__(self) -> int:
        return len(self.scale)

    def seen(self, points: Tensor) -> Tensor:
        """Points of the clips (N, ..., 3) in metres before the camera (N, ..., 3)."""
        N = len(self)
        flat = points.reshape(N, -1, 3) * self.scale[:, None, None] - self.place[:, None]
        return torch.einsum("nij,npj->npi", self.turn, flat).reshape(points.shape)

    def picture(self, seen: Tensor) -> Tensor:
        """Camera coordinates (N, ..., 3) -> places in the picture (N, ..., 2); behind the camera they mean nothing."""
        shape = (len(self), *[1] * (seen.ndim - 2), 2)
        z = seen[..., 2:].clamp_min(1e-6)
        return self.centre.view(shape) - self.focal.view(shape) * seen[..., :2] / z

    def project(self, points: Tensor) -> Tensor:
        """Points of the clips (N, ..., 3) -> places in the picture (N, ..., 2)."""
        return self.picture(self.seen(points))

    def rays(self, H: int, W: int) -> Tensor:
        """(N, H, W, 3) directions of the pixels, z = 1."""
        v, u = torch.meshgrid((torch.arange(H) + 0.5) / H, (torch.arange(W) + 0.5) / W, indexing="ij")
        flat = (self.centre[:, None, None] - torch.stack([u, v], -1)) / self.focal[:, None, None]
        return torch.cat([flat, torch.ones_like(flat[..., :1])], -1)

    def cropped(self, low: Tensor, high: Tensor) -> Camera:
        """The camera whose picture is this box of the present picture, ``low`` and ``high`` (N, 2)."""
        size = high - low
        return replace(self, focal=self.focal / size, centre=(self.centre - low) / size)


def points_of(joints: Tensor, topology: Topology, up: str = "y") -> Tensor:
    """Joints (N, C, T, V, M) as points (N, T, M, V, 3), y up: skeletons of a picture (2 coordinates) lie in one plane."""
    x = joints.permute(0, 2, 4, 3, 1)[..., : topology.dims]
    if topology.dims == 2:
        return torch.cat([x * x.new_tensor([1.0, -1.0]), torch.zeros_like(x[..., :1])], -1)
    if topology.dims != 3:
        raise DataError(f"skeletons of {topology.dims} coordinates cannot be shown in a picture; wanted 2 or 3")
    if up == "-y":
        return x * x.new_tensor([1.0, -1.0, -1.0])
    return torch.stack([x[..., 0], x[..., 2], -x[..., 1]], -1) if up == "z" else x


def seen_joints(joints: Tensor, present: Tensor) -> Tensor:
    """(N, T, V, M) bool: the joint is there. A row of zeros is a joint that was lost."""
    return (joints != 0).any(dim=1) & present[:, :, None]


def watch(
    joints: Tensor,
    seen: Tensor,
    topology: Topology,
    *,
    up: str = "y",
    metres: bool = True,
    view: str = "auto",
    margin: float = 1.25,
    yaw: Tensor | None = None,
) -> Camera:
    """A camera for every clip that shows all of it in a square picture.

    Args:
        joints: (N, C, T, V, M).
        seen: bool (N, T, V, M), see :func:`seen_joints`.
        topology: what V means.
        up: which way up the coordinates point.
        metres: the coordinates are metres; otherwise a body is taken to be as large as people are.
        view: ``sensor`` looks from where the coordinates were measured, along z; ``front`` stands before the person, looking at the
            middle of the clip; ``auto`` is ``sensor`` where the coordinates look like those of a sensor, else ``front``.
        margin: how much larger than the joints' box the picture is.
        yaw: (N,) radians by which the camera of ``front`` stands aside, to the person's left.

    A clip without a single joint that can be seen gets a camera that looks straight ahead.

    Raises:
        DataError: skeletons that have neither two nor three coordinates.
    """
    points = points_of(joints, topology, up)  # (N, T, M, V, 3)
    there = seen.permute(0, 1, 3, 2)  # (N, T, M, V)
    N = len(points)
    person = PERSON if find_roles(topology) else PERSON / 4  # a hand is looked at from nearer
    size = body_size(joints[:, : topology.dims], seen, topology)
    scale = torch.ones(N) if metres and topology.dims == 3 else person / size.clamp_min(1e-6)
    scale = torch.where(size > 0, scale, torch.ones(N))
    metric = points * scale[:, None, None, None, None]
    sensor = _from_sensor(metric, there) if view == "auto" else torch.full((N,), view == "sensor")
    sensor &= topology.dims == 3 and up == "y"
    turn, place = _before(metric, there, topology, torch.zeros(N) if yaw is None or topology.dims == 2 else yaw, person)
    turn = torch.where(sensor[:, None, None], torch.eye(3), turn)
    place = torch.where(sensor[:, None], torch.zeros(3), place)
    camera = Camera(scale=scale, turn=turn, place=place, focal=torch.ones(N, 2), centre=torch.full((N, 2), 0.5))
    x = camera.seen(points)
    uv = camera.picture(x)
    inside = (there & (x[..., 2] > NEAR))[..., None]
    nobody = ~inside.flatten(1).any(dim=1, keepdim=True)  # (N, 1)
    low = torch.where(nobody, torch.zeros(()), torch.where(inside, uv, torch.inf).flatten(1, 3).amin(dim=1))
    high = torch.where(nobody, torch.ones(()), torch.where(inside, uv, -torch.inf).flatten(1, 3).amax(dim=1))
    middle = (low + high) / 2
    least = 0.35 * person / distance_of(x, inside[..., 0])
    half = torch.maximum((high - low).amax(dim=1), least)[:, None] * margin / 2
    return camera.cropped(middle - half, middle + half)


def distance_of(seen: Tensor, there: Tensor) -> Tensor:
    """(N,) metres to the middle of the joints: median z of camera coordinates (N, T, M, V, 3), ``FLAT`` where nobody is there."""
    z = torch.where(there, seen[..., 2], torch.nan).flatten(1).nanmedian(dim=1).values
    return torch.nan_to_num(z, nan=FLAT).clamp_min(NEAR)


def _from_sensor(x: Tensor, there: Tensor) -> Tensor:
    """(N,) bool: the points (N, T, M, V, 3) lie before the origin as they do before a sensor that stands above their feet."""
    z = torch.where(there, x[..., 2], torch.nan).flatten(1)
    y = torch.where(there, x[..., 1], torch.nan).flatten(1)
    aside = torch.where(there, x[..., 0] / x[..., 2].clamp_min(NEAR), torch.nan).flatten(1).nanmedian(dim=1).values
    near, middle = torch.nan_to_num(z, nan=torch.inf).amin(dim=1), z.nanmedian(dim=1).values
    lowest = torch.nan_to_num(y, nan=torch.inf).amin(dim=1)
    return (near > NEAR) & (middle < 10) & (aside.abs() < 0.8) & (lowest < -0.2)


def _before(x: Tensor, there: Tensor, topology: Topology, yaw: Tensor, person: float) -> tuple[Tensor, Tensor]:
    """Turn (N, 3, 3) and place (N, 3) of cameras that stand before the first body, at the height of its middle."""
    N = len(x)
    weight = there[..., None].float()
    target = (x * weight).flatten(1, 3).sum(dim=1) / weight.flatten(1, 3).sum(dim=1).clamp_min(1)
    roles = find_roles(topology)
    left = x.new_zeros(N, 2)
    pair = (roles["left_shoulder"][0], roles["right_shoulder"][0]) if roles and topology.dims == 3 else topology.shoulders
    if pair is not None and topology.dims == 3:
        both = (there[..., pair[0]] & there[..., pair[1]])[..., None].float()
        left = ((x[..., pair[0], :] - x[..., pair[1], :]) * both).flatten(1, 2).sum(dim=1)[:, [0, 2]]
    far = left.norm(dim=1, keepdim=True)
    left = torch.where(far > 1e-6, left / far.clamp_min(1e-6), left.new_tensor([1.0, 0.0]))
    # The person's left is across the picture: x of the camera points to the camera's left, the person's right.
    angle = torch.atan2(-left[:, 1], left[:, 0]) + yaw
    c, s, zero, one = torch.cos(angle), torch.sin(angle), torch.zeros(N), torch.ones(N)
    # The person looks along (s, 0, c); the camera looks back along it.
    turn = torch.stack([-c, zero, s, zero, one, zero, -s, zero, -c], 1).reshape(N, 3, 3)
    spread = torch.where(there[..., None], (x - target[:, None, None, None]).abs(), torch.zeros(())).flatten(1, 3).amax(dim=1)
    away = torch.maximum(1.3 * spread.amax(dim=1) + 0.6 * person, torch.full((N,), 1.35 * person))
    away = torch.where(torch.tensor(topology.dims == 2), torch.full((N,), FLAT), away)
    return turn, target + away[:, None] * torch.stack([s, zero, c], 1)
