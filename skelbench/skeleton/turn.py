"""Turns about all three axes at once, one a clip, as PSUMNet and BRL draw them."""

from __future__ import annotations

import torch
from torch import Tensor

from skelbench.errors import ConfigError, DataError
from skelbench.skeleton.augment import rotation_about, shear


def turn_matrices(angles: Tensor) -> Tensor:
    """``R = Rz Ry Rx`` of angles (N, 3) in radians about x, y, z: (N, 3, 3), ``x -> R x``.

    Every factor turns by *minus* its angle in the counter-clockwise convention, as in the released code.
    """
    if angles.ndim != 2 or angles.shape[1] != 3:
        raise DataError(f"angles have shape {tuple(angles.shape)}, wanted (N, 3): about x, y and z")
    about_x, about_y, about_z = (rotation_about(-angles[:, axis], axis) for axis in range(3))
    return about_z @ about_y @ about_x


def random_turn(x: Tensor, *, limit: float, generator: torch.Generator) -> Tensor:
    """Turn every clip about the origin by three angles uniform in (-limit, limit) radians (N, C, T, V, M).

    Args:
        x: joints; of two coordinates the picture is turned in itself, by the third angle.
        limit: radians, 0 or more.
        generator: makes 3 N draws.

    Raises:
        ConfigError: a negative limit.
        DataError: neither two nor three coordinates.
    """
    N, C = x.shape[:2]
    if limit < 0:
        raise ConfigError(f"limit = {limit}: wanted radians, 0 or more")
    if C not in (2, 3):
        raise DataError(f"a turn needs two or three coordinates, these joints have {C}")
    u = torch.rand(N, 3, generator=generator, device=generator.device, dtype=torch.float64)
    angles = (2 * u - 1) * limit
    if C == 2:
        angles[:, :2] = 0
    return shear(x, turn_matrices(angles)[:, :C, :C].to(x))
