"""Six parts of any skeleton."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skelbench.errors import DataError
from skelbench.skeleton.bodyparts import BODY, six_parts
from skelbench.skeleton.topology import Topology, topologies, topology


@pytest.mark.parametrize("name", topologies())
def test_every_layout_is_parted_once_over(name: str) -> None:
    layout = topology(name)
    parts = six_parts(layout)
    assert len(parts) == 6 and all(parts.values())
    assert sorted(j for part in parts.values() for j in part) == list(range(layout.V))
    if "hand" not in name:
        assert tuple(parts) == BODY
        flipped = layout.flip_index  # a mirror swaps the limbs and leaves head and torso where they are
        swap = {"left": "right", "right": "left"}
        for part, joints in parts.items():
            side, _, rest = part.partition("_")
            twin = f"{swap[side]}_{rest}" if side in swap else part
            assert sorted(flipped[j] for j in joints) == list(parts[twin]), part


def test_coco_is_parted_as_in_the_paper() -> None:
    assert list(six_parts(topology("coco_17")).values()) == [
        (0, 1, 2, 3, 4),
        (5, 6, 11, 12),
        (7, 9),
        (8, 10),
        (13, 15),
        (14, 16),
    ]


def test_kinect_head_is_cut_off_the_torso_and_fingers_join_the_arm() -> None:
    layout = topology("kinect_v2_25")
    assert [layout.joints[j] for j in six_parts(layout)["head"]] == ["neck", "head"]
    dense = topology("ntu_x_67")
    assert {"left_thumb_4", "left_elbow"} <= {dense.joints[j] for j in six_parts(dense)["left_arm"]}
    assert six_parts(topology("mediapipe_hand_21"))["rest"] == (0,)


def test_a_skeleton_without_sides_is_cut_along_its_bones() -> None:
    chain = Topology.from_dict({"name": "snake", "joints": [f"v{i}" for i in range(12)], "parents": [-1, *range(11)]})
    parts = six_parts(chain)
    assert len(parts) == 6 and sorted(j for p in parts.values() for j in p) == list(range(12))
    assert all(list(p) == list(range(p[0], p[-1] + 1)) for p in parts.values())  # stretches of the chain
    assert max(map(len, parts.values())) <= 3


@given(st.integers(0, 2**32 - 1), st.integers(6, 40))
def test_any_tree_gives_six_connected_parts(seed: int, joints: int) -> None:
    rng = np.random.default_rng(seed)
    order = rng.permutation(joints)
    parents = np.full(joints, -1)
    for i in range(1, joints):
        parents[order[i]] = order[rng.integers(i)]
    tree = Topology.from_dict({"name": "tree", "joints": [f"v{i}" for i in range(joints)], "parents": parents.tolist()})
    parts = six_parts(tree)
    assert len(parts) == 6 and sorted(j for p in parts.values() for j in p) == list(range(joints))
    for part in parts.values():
        assert sum(parents[j] not in part for j in part) == 1  # one top: the piece hangs together


def test_too_few_joints() -> None:
    five = Topology.from_dict({"name": "five", "joints": list("abcde"), "parents": [-1, 0, 1, 1, 1]})
    with pytest.raises(DataError, match=r"'five' has 5 joints.*six parts need six"):
        six_parts(five)
