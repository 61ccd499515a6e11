"""What a clip looks like besides its bodies: clothes, light, room, and the things of a multi-modal playground.

Clothes belong to a subject and are the same in all of his clips, colours a shade apart; the room is drawn for every clip. What a
material sends back in infrared has nothing to do with its colour.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from skelbench.data.flesh import MATERIALS

BOARDS = 7  # pieces of furniture and pictures before the back wall
BALL, LAMP = 0.095, 0.085  # radii of a ball in the hand and of a lamp, metres
NOTHING = -1
_WORN = [MATERIALS.index(m) for m in ("skin", "hair", "shirt", "sleeves", "trousers", "shoes")]


@dataclass(frozen=True, kw_only=True, eq=False)
class Things:
    """What N clips show besides people; -1 for nothing.

    Attributes:
        held_joint: int64 (N,), joint of the first body at which there is a ball.
        held_colour: int64 (N,), 0xRRGGBB.
        held_ir: int64 (N,), 0..255, how much infrared light the ball sends back.
        lamp_on: int64 (N,), frame of the clip from which a lamp on the wall shines; equal to ``lamp_off`` where it stays dark.
        lamp_off: int64 (N,), first frame in which it is dark again.
        lamp_blink: int64 (N,), frames of one period of a blinking lamp, lit for its first half; 0 steady.
    """

    held_joint: Tensor
    held_colour: Tensor
    held_ir: Tensor
    lamp_on: Tensor
    lamp_off: Tensor
    lamp_blink: Tensor

    @classmethod
    def none(cls, N: int) -> Things:
        """Clips without any."""
        return cls.of({}, N)

    @classmethod
    def of(cls, columns: Mapping[str, np.ndarray], N: int) -> Things:
        """From the columns of a store that bear these names; those it lacks are nothing."""
        read = {k: torch.as_tensor(np.asarray(columns[k], np.int64)) for k in cls.__dataclass_fields__ if k in columns}
        return cls(**{k: read.get(k, torch.full((N,), NOTHING)) for k in cls.__dataclass_fields__})

    def lit(self, index: Tensor) -> Tensor:
        """(N, T') bool: the lamp shines in these frames (N, T') of the clips."""
        on, off, period = self.lamp_on[:, None], self.lamp_off[:, None], self.lamp_blink[:, None]
        shines = (index >= on) & (index < off) & (on >= 0)
        return shines & ((period <= 0) | (2 * ((index - on) % period.clamp_min(1)) < period))


@dataclass(frozen=True, kw_only=True, eq=False)
class Looks:
    """Colours and light of N clips with M bodies.

    Attributes:
        colour: (N, M, materials, 3) in 0..1.
        infrared: (N, M, materials) in 0..1, how much infrared light comes back.
        light: (N, 3) unit vector to the lamp of the room, camera coordinates.
        ambient: (N,) share of the light that comes from everywhere.
        wall: (N, 2, 3) colour at the top and at the bottom of the back wall.
        floor: (N, 2, 3) the two colours of its tiles.
        room_ir: (N, 2) infrared of wall and floor.
        boards: (N, BOARDS, 5) left, top, right, bottom in the picture, and how far they are before the wall, 0..1.
        board_colour: (N, BOARDS, 3). board_ir: (N, BOARDS).
        room: (N, 2) metres from the body to the wall, and tiles' size.
        lamp: (N, 2) where in the picture the lamp on the wall is. lamp_colour: (N, 3).
    """

    colour: Tensor
    infrared: Tensor
    light: Tensor
    ambient: Tensor
    wall: Tensor
    floor: Tensor
    room_ir: Tensor
    boards: Tensor
    board_colour: Tensor
    board_ir: Tensor
    room: Tensor
    lamp: Tensor
    lamp_colour: Tensor

    def with_things(self, things: Things) -> Looks:
        """The ball in the hand gets its colour and its infrared."""
        held = things.held_joint >= 0
        code = things.held_colour.clamp_min(0)
        rgb = torch.stack([(code >> shift) & 255 for shift in (16, 8, 0)], -1) / 255.0
        colour, infrared, ball = self.colour.clone(), self.infrared.clone(), MATERIALS.index("ball")
        colour[held, :, ball] = rgb[held, None]
        infrared[held, :, ball] = (things.held_ir.clamp(0, 255) / 255.0)[held, None]
        return replace(self, colour=colour, infrared=infrared)


def _uniform(g: torch.Generator, shape: tuple[int, ...], low: float, high: float) -> Tensor:
    return low + (high - low) * torch.rand(shape, generator=g)


def _colour(g: torch.Generator, n: int, low: float, high: float, saturation: float) -> Tensor:
    """N colours (n, 3) of any hue, of at most this saturation."""
    hue, value = torch.rand(n, 1, generator=g), _uniform(g, (n, 1), low, high)
    sat = saturation * torch.rand(n, 1, generator=g)
    wheel = ((hue + hue.new_tensor([0.0, 2 / 3, 1 / 3])) % 1 * 6 - 3).abs().sub(1).clamp(0, 1)
    return value * (1 - sat * (1 - wheel))


_SKIN = torch.tensor([[0.95, 0.78, 0.66], [0.87, 0.66, 0.52], [0.74, 0.53, 0.39], [0.55, 0.38, 0.27], [0.38, 0.26, 0.19]])
_HAIR = torch.tensor([[0.10, 0.08, 0.07], [0.24, 0.15, 0.09], [0.45, 0.30, 0.15], [0.75, 0.60, 0.35], [0.55, 0.53, 0.52]])


def clothes(g: torch.Generator) -> tuple[Tensor, Tensor]:
    """Colours (materials, 3) and infrared (materials,) of one person."""
    at = {name: n for n, name in enumerate(MATERIALS)}
    colour, infrared = torch.full((len(MATERIALS), 3), 0.5), torch.full((len(MATERIALS),), 0.5)
    colour[at["skin"]] = _SKIN[int(torch.randint(len(_SKIN), (), generator=g))]
    colour[at["hair"]] = _HAIR[int(torch.randint(len(_HAIR), (), generator=g))]
    colour[at["shirt"]] = _colour(g, 1, 0.35, 0.9, 0.75)
    colour[at["trousers"]] = _colour(g, 1, 0.15, 0.6, 0.6)
    colour[at["shoes"]] = _colour(g, 1, 0.08, 0.9, 0.3)
    bare = bool(torch.rand((), generator=g) < 0.4)
    colour[at["sleeves"]] = colour[at["skin" if bare else "shirt"]]
    infrared[_WORN] = _uniform(g, (len(_WORN),), 0.25, 0.70)
    if not bare:
        infrared[at["sleeves"]] = infrared[at["shirt"]]
    return colour, infrared


def draw_looks(wearers: Sequence[Sequence[torch.Generator]], rooms: Sequence[torch.Generator]) -> Looks:
    """Looks of N clips. Every clip is drawn from generators of its own, so it looks the same in whatever batch it stands.

    Args:
        wearers: per clip one generator a body, seeded by who it is.
        rooms: one generator a clip.
    """
    worn = [[clothes(g) for g in bodies] for bodies in wearers]
    colour = torch.stack([torch.stack([c for c, _ in bodies]) for bodies in worn])  # (N, M, materials, 3)
    infrared = torch.stack([torch.stack([i for _, i in bodies]) for bodies in worn])
    drawn = [_room(g) for g in rooms]
    room = {key: torch.stack([d[key] for d in drawn]) for key in drawn[0]}
    shade, glow = room.pop("shade"), room.pop("glow")
    colour = (colour * shade[:, None, :, None]).clamp(0, 1)
    infrared = (infrared * glow[:, None]).clamp(0, 1)
    return Looks(colour=colour, infrared=infrared, **room)


def _room(g: torch.Generator) -> dict[str, Tensor]:
    light = torch.cat([_uniform(g, (1,), -0.8, 0.8), _uniform(g, (1,), 0.3, 1.0), _uniform(g, (1,), -1.0, -0.4)])
    base = _colour(g, 1, 0.45, 0.85, 0.25)
    tiles = _colour(g, 1, 0.25, 0.6, 0.3)
    middle, size = torch.rand(BOARDS, 2, generator=g) * 1.2 - 0.1, _uniform(g, (BOARDS, 2), 0.06, 0.30)
    order = torch.rand(BOARDS, generator=g)
    left = bool(torch.rand((), generator=g) < 0.5)
    spot = torch.cat([_uniform(g, (1,), 0.10, 0.22) if left else _uniform(g, (1,), 0.78, 0.90), _uniform(g, (1,), 0.10, 0.30)])
    return {
        "shade": _uniform(g, (len(MATERIALS),), 0.9, 1.1),
        "glow": _uniform(g, (len(MATERIALS),), 0.9, 1.1),
        "light": light / light.norm(),
        "ambient": _uniform(g, (), 0.35, 0.6),
        "wall": torch.cat([base, base * _uniform(g, (1, 1), 0.75, 0.95)]),
        "floor": torch.cat([tiles, tiles * _uniform(g, (1, 1), 0.7, 0.9)]),
        "room_ir": _uniform(g, (2,), 0.2, 0.6),
        "boards": torch.cat([middle - size / 2, middle + size / 2, order[:, None]], 1),
        "board_colour": _colour(g, BOARDS, 0.2, 0.9, 0.8),
        "board_ir": _uniform(g, (BOARDS,), 0.1, 0.7),
        "room": torch.cat([_uniform(g, (1,), 0.9, 2.2), _uniform(g, (1,), 0.3, 0.7)]),
        "lamp": spot,
        "lamp_colour": torch.tensor([1.0, 0.93, 0.55]) * _uniform(g, (3,), 0.9, 1.0),
    }
