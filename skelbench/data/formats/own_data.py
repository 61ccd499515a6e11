"""What arrays and tables of one's own leave unsaid: dimensions, score, unit, which way is up, joints that were not seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from skelbench.data.formats.planar import units_of, unseen, with_dims
from skelbench.data.formats.source import check_positive
from skelbench.errors import DataError
from skelbench.skeleton.topology import Topology

Up = Literal["y", "z", "-y"]
Units = Literal["metre", "pixel", "image"]
TURNS = {"y": ([0, 1, 2], [1, 1, 1]), "z": ([1, 2, 0], [1, 1, 1]), "-y": ([0, 1, 2], [1, -1, -1])}  # to y up, never mirrored


@dataclass(frozen=True, kw_only=True)
class Coordinates:
    """What the last axis of own data is.

    Attributes:
        dims: coordinates of a joint, 2 or 3.
        score: whether a score follows them.
        units: metre, pixel or image (shares of the picture).
        scale: metres (or pixels) for one unit of the file.
        up: which way the y or z axis of three-dimensional data points.
    """

    dims: int
    score: bool
    units: str
    scale: float
    up: str

    @property
    def image(self) -> bool:
        """Whether y points down in a picture."""
        return self.units in ("pixel", "image")

    def layout(self, topology: Topology) -> Topology:
        """The layout with this many dimensions."""
        return with_dims(topology, self.dims, self.units)

    def clean(self, joints: np.ndarray) -> tuple[np.ndarray, int]:
        """Joints (T, M, V, C) in metres with y up, and how many were not seen.

        A joint whose coordinates are all NaN was not seen and becomes zero, as one of score 0 (or NaN) does. What else is not
        finite stays, and is refused when the clip is written.
        """
        joints = np.array(joints, np.float64)
        gone = np.isnan(joints[..., : self.dims]).all(axis=-1)
        joints[gone] = 0
        if self.score:
            joints[..., -1] = np.nan_to_num(joints[..., -1], nan=0.0, posinf=np.inf)
            joints = unseen(joints)
        place = joints[..., : self.dims] * self.scale
        if self.dims == 3:
            axes, signs = TURNS[self.up]
            place = place[..., axes] * signs
        return np.concatenate([place, joints[..., self.dims :]], axis=-1), int(gone.sum())

    def told(self) -> dict[str, object]:
        """For the provenance."""
        return {"dims": self.dims, "score": self.score, "units": self.units, "scale": self.scale, "up": self.up}


def coordinates(
    C: int,
    sample: np.ndarray,
    *,
    topology: Topology | None,
    score: bool | None,
    units: str | None,
    scale: float | None,
    up: str,
    where: str,
) -> Coordinates:
    """What C numbers a joint mean: what is told, else with a score where C is one more than the dimensions of the layout.

    Args:
        C: numbers a joint.
        sample: some joints (..., C), for the unit of positions in a picture: up to 2 they are shares of it, else pixels.
        topology: the layout.
        score: whether the last number is a score.
        units: metre, pixel or image.
        scale: metres for one unit of the file.
        up: y, z or -y.
        where: opens the message.

    Raises:
        DataError: C is not 2 to 4, or does not go with what is told.
    """
    check_positive("scale", scale, "a length in metres")
    if up not in TURNS or units not in (None, "metre", "pixel", "image"):
        raise DataError(f"wanted up='y', 'z' or '-y' and units='metre', 'pixel' or 'image'; got up={up!r}, units={units!r}")
    if score is None:
        score = C == 4 or (C == 3 and topology is not None and topology.dims == 2)
    dims = C - int(score)
    if dims not in (2, 3):
        told = " with a score" if score else ""
        raise DataError(f"{where}: {C} numbers a joint{told}; wanted x, y or x, y, z, and perhaps a score")
    if dims == 2 and up != "y":
        raise DataError(f"{where}: up={up!r} turns data of three dimensions, these have two")
    if units is None:
        place = sample[..., :dims]
        units = "metre" if dims == 3 else units_of(place[np.isfinite(place)])
    return Coordinates(dims=dims, score=score, units=units, scale=1.0 if scale is None else float(scale), up=up)
