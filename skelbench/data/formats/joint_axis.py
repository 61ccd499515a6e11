"""What the V axis of an array means. Arrays hold no joint names, and the number of joints alone does not tell: 25 are Kinect's or
OpenPose's, 17 are COCO's or Human3.6M's, in another order. A format that fixes the layout says so; else the user does.
"""

from __future__ import annotations

from skelbench.data.formats.source import pick_joints
from skelbench.errors import DataError
from skelbench.skeleton.topology import Topology, topologies
from skelbench.skeleton.topology import topology as find_topology


def name_joints(V: int, *, known: str | None, topology: Topology | None, where: str) -> tuple[Topology, list[int]]:
    """The layout of an import, and where its joints stand on the V axis of the file.

    Args:
        V: joints in the file.
        known: the built-in layout that the format uses with that many joints; None where it uses none.
        topology: what the user says: joints to keep of the known layout, by name, or what all V joints of the file are.
        where: opens the message.

    Raises:
        DataError: nobody knows what the joints are, or the topology fits neither way.
    """
    full = find_topology(known) if known is not None else None
    if topology is None:
        if full is None:
            raise DataError(f"{where}: {V} joints, and the file does not say which; pass topology={hint(V)}")
        return full, list(range(V))
    if full is not None and set(topology.joints) <= set(full.joints):
        return topology, pick_joints(full.joints, topology, where)
    if topology.V == V:
        return topology, list(range(V))
    kept = f" that keeps some of {known!r}" if known else ""
    raise DataError(
        f"{where}: topology {topology.name!r} has {topology.V} joints, the file {V}; wanted a layout of {V} joints"
        f"{', or one' if kept else ''}{kept}, e.g. {hint(V)}"
    )


def hint(V: int) -> str:
    """The built-in layouts with that many joints, in words."""
    fitting = [repr(name) for name in topologies() if find_topology(name).V == V]
    return " or ".join([*fitting, f"a JSON file with 'joints' ({V} names) and 'parents'"])
