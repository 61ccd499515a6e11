"""Four ways to write the same movement: where joints are, how they hang together, how they move, and what their grandparents say.

All take and return (N, C, T, V, M), work in the input's dtype on its device, and let gradients through. HaLP computes them
after augmentation and resizing (arXiv 2304.00387, section 4 of the released settings); the skip stream is BRL's (2023).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor
from torch.nn import functional

from skelbench.errors import ConfigError
from skelbench.skeleton.clip import check_joints
from skelbench.skeleton.topology import Topology


def joint(x: Tensor) -> Tensor:
    """The coordinates themselves (N, C, T, V, M)."""
    return x


def bone(x: Tensor, topology: Topology, edges: str | Iterable[tuple[int, int]] | None = None) -> Tensor:
    """Vector from the parent to each joint, 0 at joints without one (N, C, T, V, M).

    Args:
        x: joints (N, C, T, V, M).
        topology: says which joint hangs on which.
        edges: another edge list of the topology by name, or (child, parent) pairs; the tree of ``topology.parents`` when None.

    Raises:
        ConfigError: the topology has no edge list of that name, or a pair leaves the layout.
    """
    check_joints(x, topology)
    pairs = topology.bones if edges is None else _edge_list(topology, edges)
    parents = list(range(topology.V))
    for child, parent in pairs:
        parents[child] = parent
    return _from(x, parents)


def motion(x: Tensor) -> Tensor:
    """Step to the next frame, ``x[t + 1] - x[t]``, 0 in the last frame (N, C, T, V, M).

    Meant for clips that fill all T frames, as views do: before zero padding the last real step would jump to the origin.
    """
    return functional.pad(x[:, :, 1:] - x[:, :, :-1], (0, 0, 0, 0, 0, 1))


def skip(x: Tensor, topology: Topology, hops: int = 2) -> Tensor:
    """Vector from the ancestor ``hops`` steps up to each joint, 0 where the root comes sooner (N, C, T, V, M).

    The published table of the layout is used where there is one (``topology.ancestors``), else the tree. BRL uses 2 hops.
    """
    check_joints(x, topology)
    return _from(x, ancestors(topology, hops))


def ancestors(topology: Topology, hops: int) -> tuple[int, ...]:
    """The joint that ``skip`` subtracts at every joint (V,): the layout's own table for that many hops, else the tree."""
    if hops < 1:
        raise ConfigError(f"skip stream: hops = {hops}, wanted 1 (bones), 2 (the published skip stream) or more")
    tables = [table for name, table in topology.ancestors.items() if name.split("_")[0] == str(hops)]
    return tuple(tables[0]) if tables else topology.ancestor(hops)


def _from(x: Tensor, origins: Iterable[int]) -> Tensor:
    return x - x.index_select(3, torch.tensor(tuple(origins), device=x.device))


def _edge_list(topology: Topology, edges: str | Iterable[tuple[int, int]]) -> Iterable[tuple[int, int]]:
    if isinstance(edges, str):
        if edges not in topology.edges:
            raise ConfigError(f"topology {topology.name!r} has no edge list {edges!r}; it has: {', '.join(topology.edges)}")
        return topology.edges[edges]
    pairs = tuple((int(child), int(parent)) for child, parent in edges)
    for pair in pairs:
        if not all(0 <= j < topology.V for j in pair):
            raise ConfigError(
                f"bone {pair} is outside the {topology.V} joints of topology {topology.name!r}; pairs are (child, parent)"
            )
    return pairs


STREAMS: dict[str, Callable[[Tensor, Topology], Tensor]] = {
    "joint": lambda x, _: joint(x),
    "bone": bone,
    "motion": lambda x, _: motion(x),
    "skip": skip,
    "bone_motion": lambda x, topology: motion(bone(x, topology)),
    "skip_motion": lambda x, topology: motion(skip(x, topology)),
}


def stream(name: str, x: Tensor, topology: Topology) -> Tensor:
    """One stream of the joints by name (N, C, T, V, M). Raises ConfigError listing the names there are."""
    if name not in STREAMS:
        raise ConfigError(f"no stream called {name!r}; there are: {', '.join(STREAMS)}")
    check_joints(x, topology)
    return STREAMS[name](x, topology)
