"""Parts of any layout, their bones in both readings, and the unified modalities, against the published tensors and by hand."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from skelbench.errors import ConfigError, DataError
from skelbench.skeleton.augment import shear
from skelbench.skeleton.part_streams import MENDED, RELEASED, part_streams
from skelbench.skeleton.topology import Topology, topologies, topology
from skelbench.skeleton.turn import random_turn, turn_matrices

KINECT = topology("kinect_v2_25")


def test_unified_is_place_bone_and_both_velocities():
    x = torch.randn(2, 3, 5, 25, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for reading in ("faithful", "fixed"):
        for part in part_streams(KINECT, reading=reading).values():
            found = part.unified(x, KINECT)
            assert found.shape == (2, 12, 5, part.V, 2)
            bones = torch.zeros(2, 3, 5, part.V, 2, dtype=x.dtype)
            for child, parent in part.pairs:
                bones[:, :, :, child] = x[:, :, :, part.joints[child]] - x[:, :, :, part.joints[parent]]
            places = torch.cat([x[:, :, :, list(part.joints)], bones], dim=1)
            for t in range(5):
                torch.testing.assert_close(found[:, :6, t], places[:, :, t])
                step = places[:, :, t + 1] - places[:, :, t] if t < 4 else torch.zeros_like(places[:, :, 0])
                torch.testing.assert_close(found[:, 6:, t], step)


def test_the_two_readings_of_the_leg():
    faithful, fixed = (part_streams(KINECT, reading=r)["leg"] for r in ("faithful", "fixed"))
    named = [{(KINECT.joints[p.joints[c]], KINECT.joints[p.joints[a]]) for c, a in p.pairs} for p in (faithful, fixed)]
    assert named[1] - named[0] == {("right_hip", "spine_base"), ("right_foot", "right_ankle")}
    assert named[0] - named[1] == {("right_hip", "left_foot"), ("left_foot", "spine_base")}
    assert faithful.graph()[1:, 8].abs().sum() == 0  # the right foot hangs on nothing


def test_the_shrec_list_in_both_readings():
    layout = topology("shrec17_hand_22")
    assert set(part_streams(layout)) == {"hand"}
    assert part_streams(layout, reading="fixed")["hand"].pairs == layout.bones
    x = torch.randn(1, 3, 2, 22, 1, generator=torch.Generator().manual_seed(0))
    bones = part_streams(layout)["hand"].unified(x, layout)[0, 3:6, 0, :, 0]
    assert [j for j in range(22) if not bones[:, j].any()] == [4, 8, 12, 16, 20]
    torch.testing.assert_close(bones[:, 0], x[0, :, 0, 0, 0] - x[0, :, 0, 17, 0])  # the last of five pairs wins


def test_ntux_hands_hang_on_wrists_in_the_fixed_reading():
    layout = topology("ntu_x_67")
    part = part_streams(layout, reading="fixed")["body"]
    parents = {layout.joints[part.joints[c]]: layout.joints[part.joints[p]] for c, p in part.pairs}
    assert parents["right_hand_wrist"] == "right_wrist" and parents["right_index_4"] == "right_hand_wrist"


@pytest.mark.parametrize("name", topologies())
def test_every_layout_has_streams_whose_bones_lead_to_one_hub(name):
    layout = topology(name)
    for reading in ("faithful", "fixed"):
        for part in part_streams(layout, reading=reading).values():
            graph = part.graph()
            assert len(set(part.joints)) == part.V and torch.equal(graph[0], torch.eye(part.V))
            assert set(graph.sum(dim=1).flatten().round(decimals=5).tolist()) <= {0.0, 1.0}
            if reading == "fixed" or (part.name, part.V, layout.name) not in RELEASED or (part.name, part.V) not in MENDED:
                assert sorted(c for c, _ in part.pairs) == sorted({c for c, _ in part.pairs}) and len(part.pairs) == part.V - 1


def test_a_layout_without_parts_is_told_what_is_wanted():
    bare = Topology(name="worm", joints=("a", "b", "c"), parents=(-1, 0, 1))
    with pytest.raises(DataError, match=r"'worm' has no parts .*it has none.*left_arm.*JSON"):
        part_streams(bare)
    with pytest.raises(ConfigError, match="faithful, fixed"):
        part_streams(KINECT, reading="own")


def test_a_turn_is_three_turns_by_minus_the_angles():
    angles = torch.tensor([[0.1, -0.2, 0.3]], dtype=torch.float64)
    a, b, c = (-angles[0]).tolist()
    x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    np.testing.assert_allclose(turn_matrices(angles)[0].numpy(), z @ y @ x, atol=1e-12)
    flat = torch.randn(3, 2, 4, 5, 1, generator=torch.Generator().manual_seed(0))
    turned = random_turn(flat, limit=0.3, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(turned.norm(dim=1), flat.norm(dim=1))
    with pytest.raises(DataError, match="two or three coordinates"):
        random_turn(flat[:, :1], limit=0.3, generator=torch.Generator())


def case(name):
    folder = os.environ.get("SKELBENCH_REFERENCE")
    if not folder:
        pytest.skip("SKELBENCH_REFERENCE is not set")
    return np.load(Path(folder) / f"{name}.npz", allow_pickle=False)


def test_published_inputs_and_graphs_of_kinect():
    z = case("psumnet_data_a")
    for name, part in part_streams(KINECT).items():
        np.testing.assert_allclose(part.graph().numpy(), z[f"output/adjacency/{name}"], atol=1e-6)
        found = part.unified(torch.from_numpy(z["input/clip"])[None], KINECT)[0]
        np.testing.assert_allclose(found.numpy(), z[f"output/clip/{name}"], atol=1e-5)
    turned = shear(
        torch.from_numpy(z["input/clip"])[None], turn_matrices(torch.from_numpy(z["input/rotation_angles"])[None]).float()
    )
    np.testing.assert_allclose(turned[0].numpy(), z["output/rotated_clip"], atol=1e-5)


def test_published_inputs_and_graphs_of_ntux_and_shrec():
    z = case("psumnet_other_data_a")
    x = torch.from_numpy(z["input/shrec/sequence"])[None]
    padded = torch.nn.functional.pad(x, (0, 0, 0, 0, 0, 180 - x.shape[2]))
    for layout, key, clip in (
        ("ntu_x_67", "ntux", torch.from_numpy(z["input/ntux/clip"])[None]),
        ("shrec17_hand_22", "shrec", padded),
    ):
        for name, part in part_streams(topology(layout)).items():
            graph = z["output/adjacency/shrec" if key == "shrec" else f"output/adjacency/ntux_{name}"]
            np.testing.assert_allclose(part.graph().numpy(), graph, atol=1e-6)
            found = part.unified(clip, topology(layout))[0]
            np.testing.assert_allclose(found.numpy(), z[f"output/{key}/{name}"], atol=1e-5)
