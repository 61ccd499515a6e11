"""Which axis of an array is which: N clips, C coordinates, T frames, V joints, M bodies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from skelbench.errors import DataError
from skelbench.skeleton.topology import Topology

ONE = ("TVC", "CTV", "TMVC", "MTVC", "CTVM")  # orders of one clip that are in use
MANY = ("NTVC", "NCTV", "NTMVC", "NMTVC", "NCTVM")
FEWEST = 5  # joints of anything one would call a body, where their number is not known
PEOPLE, USUAL = 8, 2  # more on an axis are not people; more are not usual
NUMBERS = {2: (2, 3), 3: (3, 4), None: (2, 3, 4)}  # dimensions -> numbers a joint, without or with a score


def fitting(shape: Sequence[int], *, V: int | None, dims: int | None = None, orders: Sequence[str] = (*ONE, *MANY)) -> list[str]:
    """The orders that go with a shape and, where known, with joints and dimensions; only those of one or two bodies if any do."""
    found: dict[str, int] = {}
    for order in orders:
        if len(order) != len(shape):
            continue
        size = dict(zip(order, shape, strict=True))
        joints = size["V"] == V if V is not None else size["V"] >= FEWEST
        if size["C"] in NUMBERS.get(dims, NUMBERS[None]) and size.get("M", 1) <= PEOPLE and joints:
            found[order] = size.get("M", 1)
    return [order for order, M in found.items() if M <= USUAL] or list(found)


def order_of(shape: Sequence[int], axes: str | None, *, topology: Topology, orders: Sequence[str], where: str) -> str:
    """The order of the axes: what the user says, else the only one that fits.

    Args:
        shape: of the array.
        axes: letters of N C T V M, one an axis, in any order; blanks and commas do not count.
        topology: the layout; its number of joints must be there, and without ``axes`` its dimensions, too.
        orders: those that are tried without ``axes``.
        where: opens the message.

    Raises:
        DataError: none or several fit, or ``axes`` does not.
    """
    size = " x ".join(map(str, shape))
    if axes is not None:
        order = "".join(axes.upper().replace(",", " ").split())
        if len(set(order)) < len(order) or not set("TVC") <= set(order) <= set("NCTVM") or len(order) != len(shape):
            wanted = f"one letter of N C T V M for each of {len(shape)} axes, T, V and C among them"
            raise DataError(f"{where}: axes={axes!r} for {size}; wanted {wanted}")
        sizes = dict(zip(order, shape, strict=True))
        if sizes["C"] not in NUMBERS[None] or sizes["V"] != topology.V:
            found = f"{sizes['V']} joints of {sizes['C']} numbers"
            raise DataError(f"{where}: {size} as {order} has {found}; wanted {topology.V} joints of 2 to 4 numbers")
        return order
    fit = fitting(shape, V=topology.V, dims=topology.dims, orders=orders)
    fit = fit or fitting(shape, V=topology.V, orders=orders)
    if len(fit) != 1:
        tried = ", ".join(o for o in orders if len(o) == len(shape)) or "the orders known"
        why = f"may be {' or '.join(fit)}" if fit else f"is none of {tried}"
        raise DataError(f"{where}: {size} with {topology.V} joints {why}; say which axis is which, e.g. axes='NTVC'")
    return fit[0]


def as_clip(array: np.ndarray, order: str) -> np.ndarray:
    """One clip, whose axes stand in ``order`` (without N), as (T, M, V, C); a view."""
    if "M" not in order:
        array, order = array[None], "M" + order
    return array.transpose([order.index(axis) for axis in "TMVC"])
