"""Roles of every layout, and coordinates brought from one layout to another."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from skelbench.errors import DataError
from skelbench.skeleton.mapping import BODY, ROLES, common_body, find_roles, joint_map
from skelbench.skeleton.topology import Topology, topologies, topology

KINECT = topology("kinect_v2_25")
# hips, spine, neck, head, then left shoulder, elbow, wrist, hip, knee, ankle; written from the descriptions of the layouts
MEANT = {
    "kinect_v2_25": "spine_base spine_mid spine_shoulder head left_shoulder left_elbow left_wrist left_hip left_knee left_ankle",
    "kinect_v1_20": "hip_center spine shoulder_center head left_shoulder left_elbow left_wrist left_hip left_knee left_ankle",
    "openpose_body25": "mid_hip mid_hip+neck neck nose left_shoulder left_elbow left_wrist left_hip left_knee left_ankle",
    "cmu_asf_31": "root upperback lowerneck head lclavicle lhumerus lradius lhipjoint lfemur ltibia",
    "cmu_bvh_cgspeed_31": "Hips Spine1 Neck Head LeftArm LeftForeArm LeftHand LeftUpLeg LeftLeg LeftFoot",
    "uiprmd_kinect": "Waist Spine Neck Head LeftUpperArm LeftForearm LeftHand LeftUpperLeg LeftLowerLeg LeftFoot",
    "plugin_gait_39": "LASI+RASI+LPSI+RPSI T10+STRN C7+CLAV LFHD+RFHD+LBHD+RBHD LSHO LELB LWRA+LWRB LASI+LPSI LKNE LANK",
    "penn_action_13": "left_hip+right_hip left_hip+right_hip+left_shoulder+right_shoulder left_shoulder+right_shoulder head"
    " left_shoulder left_elbow left_wrist left_hip left_knee left_ankle",
}
MEANT_ROLES = "hips spine neck head left_shoulder left_elbow left_wrist left_hip left_knee left_ankle".split()


@pytest.mark.parametrize("name", topologies())
def test_every_body_has_all_roles_and_they_mirror(name: str) -> None:
    layout = topology(name)
    roles = find_roles(layout)
    if "hand" in name:
        assert roles == {}
        return
    assert tuple(roles) == ROLES and len(ROLES) == 16
    flip = layout.flip_index
    for role, joints in roles.items():
        twin = role.replace("left", "right") if role.startswith("left") else role.replace("right", "left")
        assert sorted(flip[j] for j in joints) == sorted(roles[twin]), role


@pytest.mark.parametrize("name", MEANT)
def test_roles_are_those_that_are_meant(name: str) -> None:
    layout = topology(name)
    found = find_roles(layout)
    for role, words in zip(MEANT_ROLES, MEANT[name].split(), strict=True):
        assert [layout.joints[j] for j in found[role]] == words.split("+"), role


def test_the_common_body_is_its_own_map() -> None:
    body = common_body()
    assert body == topology(BODY) and body.V == 16 and set(body.joints) == set(ROLES)
    assert joint_map(body, body).joints == tuple((j,) for j in range(16))
    flat = common_body(2, "pixel")
    assert (flat.dims, flat.units, flat.joints) == (2, "pixel", body.joints)


def test_coordinates_equal_a_loop_with_scores_and_missing_joints() -> None:
    coco = topology("coco_17")
    body = common_body(2)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5, 2, 17, 3)).astype(np.float32)
    x[1, 0, 11] = 0  # a hip that was not seen: no hips, no spine
    x[3, 1] = 0  # a body that was not seen
    found = joint_map(coco, body)
    y = found.apply(x)
    roles = find_roles(coco)
    for t, m in np.ndindex(5, 2):
        for j, role in enumerate(body.joints):
            parts = [x[t, m, k] for k in roles[role]]
            wanted = np.mean(parts, axis=0) if all(p.any() for p in parts) else np.zeros(3)
            np.testing.assert_allclose(y[t, m, j], wanted, atol=1e-6)
    assert not y[1, 0, body.joint("spine")].any() and y[1, 0, body.joint("neck")].any() and not y[3, 1].any()
    assert y.dtype == np.float32


def test_roles_then_names_then_the_user(tmp_path: Path) -> None:
    ui = topology("uiprmd_kinect")
    with pytest.raises(DataError, match=r"no counterpart of 'left_hand_tip', 'left_thumb', 'right_hand_tip', 'right_thumb' of"):
        joint_map(ui, KINECT)
    own = {"left_hand_tip": "LeftHand", "left_thumb": "LeftHand", "right_hand_tip": "RightHand", "right_thumb": ["RightHand"]}
    own["spine_mid"] = ["Waist", "Chest"]
    file = tmp_path / "map.json"
    file.write_text(json.dumps(own))
    found = joint_map(ui, KINECT, file)
    told = found.to_dict()
    assert told == joint_map(ui, KINECT, own).to_dict() and told["right_thumb"] == "RightHand"
    assert told["spine_mid"] == ["Waist", "Chest"] and told["left_ankle"] == "LeftFoot" and told["left_foot"] == "LeftFoot"
    assert told["spine_shoulder"] == "Neck" and "spine_mid = mean of Waist, Chest" in str(found)
    file.write_text(json.dumps(told))
    assert joint_map(ui, KINECT, file).joints == found.joints  # what is written comes back
    x = np.random.default_rng(0).normal(size=(4, 1, 22, 3))
    np.testing.assert_allclose(found.apply(x)[..., 1, :], (x[..., 0, :] + x[..., 2, :]) / 2)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", r"map\.json:1: not valid JSON"),
        ("[1]", r"map\.json: wanted one JSON object"),
        ('{"spine_mid": 3}', r"'spine_mid' should be a joint name"),
        ('{"spine_mid": []}', r"'spine_mid' should be a joint name"),
        ('{"spine_midd": "Spine"}', r"'kinect_v2_25' has no joint 'spine_midd' \(nearest: spine_mid"),
        ('{"spine_mid": "Spin"}', r"'uiprmd_kinect' has no joint 'Spin' \(nearest: Spine"),
        ('{"spine_mid": ["Spine", null]}', r"joint name or a list"),
    ],
)
def test_a_mapping_that_does_not_fit_is_refused(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "map.json").write_text(text)
    with pytest.raises(DataError, match=says):
        joint_map(topology("uiprmd_kinect"), KINECT, tmp_path / "map.json")


def test_what_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot read the joint mapping"):
        joint_map(KINECT, KINECT, tmp_path / "none.json")
    (tmp_path / "b.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="not a text file"):
        joint_map(KINECT, KINECT, tmp_path / "b.json")
    with pytest.raises(DataError, match="no coordinates that both have"):
        joint_map(topology("coco_17"), common_body())
    with pytest.raises(DataError, match=r"hand.*no counterpart of 'hips'"):
        joint_map(topology("shrec17_hand_22"), common_body())
    with pytest.raises(DataError, match=r"wanted \(\.\.\., 25, 3\)"):
        joint_map(KINECT, common_body()).apply(np.zeros((3, 24, 3)))


def test_names_of_a_skeleton_of_one_s_own() -> None:
    joints = ["Pelvis", "Torso", "Neck", "Head", "UpperArm_L", "LowerArm_L", "Hand_L", "UpperArm_R", "LowerArm_R", "Hand_R"]
    joints += ["Thigh_L", "Calf_L", "Foot_L", "Thigh_R", "Calf_R", "Foot_R"]
    own = Topology.from_dict({"name": "own", "joints": joints, "parents": [-1, 0, 1, 2, 2, 4, 5, 2, 7, 8, 0, 10, 11, 0, 13, 14]})
    assert joint_map(own, common_body()).joints == tuple((j,) for j in range(16))
    arms = replace(own, name="arms", joints=tuple(j.replace("Thigh", "Bone") for j in own.joints))
    assert find_roles(arms) == {}
