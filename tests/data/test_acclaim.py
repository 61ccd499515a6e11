"""Acclaim ASF + AMC: positions against a walk down the bones frame by frame, and every oddity of the text."""

import math
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skelbench.data import describe, import_data
from skelbench.data.formats import open_source
from skelbench.errors import DataError

ASF = """# a two-bone arm
:version 1.10
:name ARM
:units
  mass 1.0
  length 0.45
  angle deg
:documentation
  made by hand
:root
  order TX TY TZ RX RY RZ
  axis XYZ
  position 0 0 0
  orientation 0 0 0
:bonedata
  begin
    id 1
    name upper
    direction 0 1 0
    length 3
    axis 0 0 20 XYZ
    dof rx ry rz
    limits (-160.0 20.0)
           (-70.0, 70.0)
           (-60.0 70.0)
  end
  begin
    id 2
    name lower
    direction 1 0 0
    length 2
    axis 90 0 0 XYZ
    dof rz
    limits (-10 170)
  end
  begin
    id 3
    name tip
    direction 0 0 1
    length 1
    axis 0 0 0 XYZ
  end
:hierarchy
  begin
    root upper
    upper lower
    lower tip
  end
"""
AMC = """#!OML:ASF arm
:FULLY-SPECIFIED
:DEGREES
1
root 0 0 0 0 0 0
upper 0 0 0
lower 0
2
root 1 2 3 0 0 90
upper 0 0 0
lower 0
3
root 0 0 0 0 0 0
upper 90 0 0
lower 0
"""


def read(folder, asf=ASF, amc=AMC, **options):
    (folder / "arm.asf").write_text(asf)
    (folder / "arm_01.amc").write_text(amc)
    with open_source(folder / "arm_01.amc", **{"scale": 1.0, "fps": None, **options}) as source:
        return source, list(source.clips)


def test_an_arm_by_hand(tmp_path):
    source, (clip,) = read(tmp_path)
    points = clip.joints[:, 0]
    assert clip.topology.joints == ("root", "upper", "lower", "tip") and clip.topology.parents == (-1, 0, 1, 2)
    assert np.allclose(points[0], [[0, 0, 0], [0, 3, 0], [2, 3, 0], [2, 3, 1]], atol=1e-6)
    assert np.allclose(points[1], [[1, 2, 3], [-2, 2, 3], [-2, 4, 3], [-2, 4, 4]], atol=1e-6)
    # 90 degrees about the upper arm's own x axis, which its :axis turned by 20 degrees about z
    x = np.array([math.cos(math.radians(20)), math.sin(math.radians(20)), 0])
    y = np.array([0.0, 3.0, 0.0])
    turned = np.cross(x, y) + x * (x @ y)  # Rodrigues at 90 degrees
    assert np.allclose(points[2, 1], turned, atol=1e-6)
    assert (clip.about["subject"], clip.fps, clip.id, source.total) == ("arm", 120.0, "arm_01", 1)


# A naive reading of the kinematics: one frame, one bone at a time, matrices written out.


def turn(axis, degrees):
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.array(
        {"x": [[1, 0, 0], [0, c, -s], [0, s, c]], "y": [[c, 0, s], [0, 1, 0], [-s, 0, c]], "z": [[c, -s, 0], [s, c, 0], [0, 0, 1]]}[
            axis
        ]
    )


def zyx(x, y, z):
    return turn("z", z) @ turn("y", y) @ turn("x", x)


def naive(bones, root, values):
    """End of every bone (parent, direction, length, axis angles, dof) for one frame."""
    world = [(zyx(*root[3:]), np.array(root[:3], float))]
    for (parent, direction, length, axis, dof), numbers in zip(bones, values, strict=True):
        full = dict(zip(dof, numbers, strict=True))
        C, local = zyx(*axis), zyx(full.get("rx", 0), full.get("ry", 0), full.get("rz", 0))
        R = world[parent][0] @ C @ local @ np.linalg.inv(C)
        world.append((R, world[parent][1] + length * R @ np.array(direction)))
    return [p for _, p in world]


@st.composite
def bodies(draw):
    angle, unit = st.floats(-180, 180).map(lambda v: round(v, 2)), st.floats(-1, 1).map(lambda v: round(v, 3))
    bones = [
        (
            draw(st.integers(0, n)),
            [draw(unit) for _ in range(3)],
            draw(st.floats(0.1, 3).map(lambda v: round(v, 2))),
            [draw(angle) for _ in range(3)],
            draw(st.sampled_from([(), ("rx",), ("rx", "rz"), ("ry", "rz"), ("rx", "ry", "rz")])),
        )
        for n in range(draw(st.integers(1, 5)))
    ]
    frames = [
        ([draw(angle) for _ in range(6)], [[draw(angle) for _ in dof] for *_, dof in bones]) for _ in range(draw(st.integers(1, 2)))
    ]
    return bones, frames


def words(numbers):
    return " ".join(map(repr, numbers))


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=bodies())
def test_positions_against_a_walk_down_the_bones(case, tmp_path):
    bones, frames = case
    asf = ASF.partition(":bonedata")[0] + ":bonedata\n"
    for n, (_, direction, length, axis, dof) in enumerate(bones, 1):
        asf += f"begin\nname b{n}\ndirection {words(direction)}\nlength {length}\naxis {words(axis)} XYZ\n"
        asf += (f"dof {' '.join(dof)}\n" if dof else "") + "end\n"
    names = ["root", *(f"b{n}" for n in range(1, len(bones) + 1))]
    asf += ":hierarchy\nbegin\n" + "".join(f"{names[b[0]]} {names[n]}\n" for n, b in enumerate(bones, 1)) + "end\n"
    amc = ":DEGREES\n"
    for t, (root, values) in enumerate(frames, 1):
        amc += f"{t}\nroot {words(root)}\n" + "".join(f"b{n} {words(v)}\n" for n, v in enumerate(values, 1) if v)
    _, (clip,) = read(tmp_path, asf, amc)
    assert clip.topology.joints == tuple(names) and clip.topology.parents == (-1, *(b[0] for b in bones))
    assert np.allclose(clip.joints[:, 0], [naive(bones, *f) for f in frames], atol=1e-3, rtol=1e-5)


def test_the_same_arm_as_bvh(tmp_path):
    """ASF bones without axes turn like BVH joints with channels Z Y X; the joint ends where BVH puts the child."""
    asf = ASF.replace("axis 0 0 20", "axis 0 0 0").replace("axis 90 0 0", "axis 0 0 0")
    amc = ":DEGREES\n1\nroot 1 2 3 10 20 30\nupper 40 50 60\nlower 70\n"
    _, (acclaim,) = read(tmp_path, asf, amc)
    bvh = """HIERARCHY
ROOT root { OFFSET 0 0 0 CHANNELS 6 Xposition Yposition Zposition Zrotation Yrotation Xrotation
JOINT a { OFFSET 0 0 0 CHANNELS 3 Zrotation Yrotation Xrotation
JOINT b { OFFSET 0 3 0 CHANNELS 1 Zrotation
JOINT c { OFFSET 2 0 0 End Site { OFFSET 0 0 1 } } } } }
MOTION
Frames: 1
Frame Time: 0.1
1 2 3 30 20 10 60 50 40 70
"""
    (tmp_path / "arm.bvh").write_text(bvh)
    with open_source(tmp_path / "arm.bvh", scale=1.0) as source:
        (clip,) = source.clips
    assert np.allclose(clip.joints[0, 0, [0, 2, 3, 4]], acclaim.joints[0, 0], atol=1e-5)


def test_units_and_other_orders(tmp_path):
    source, (clip,) = read(tmp_path, ASF.replace("length 3", "length 9").replace("length 2", "length 6"), scale=None)
    assert (
        np.allclose(clip.joints[0, 0, 1], [0, 9 * 0.0254 / 0.45, 0], atol=1e-6)
        and source.provenance["unit"]["name"] == "inch / 0.45"
    )
    radians = AMC.replace(":DEGREES", ":RADIANS").replace("90", repr(math.pi / 2))
    for asf, amc in (
        (ASF, radians),
        (
            ASF.replace("angle deg", "angle rad")
            .replace("axis 0 0 20", f"axis 0 0 {math.radians(20)}")
            .replace("axis 90", f"axis {math.pi / 2}"),
            AMC,
        ),
    ):
        _, (other,) = read(tmp_path, asf, amc)
        assert np.allclose(other.joints, read(tmp_path)[1][0].joints, atol=1e-5)
    # The numbers of an axis stand in its order, the first listed turns first.
    _, (clip,) = read(tmp_path, ASF.replace("axis 0 0 20 XYZ", "axis 30 40 50 ZYX"), AMC)
    C = turn("x", 50) @ turn("y", 40) @ turn("z", 30)
    assert np.allclose(clip.joints[2, 0, 1], C @ turn("x", 90) @ C.T @ [0, 3, 0], atol=1e-5)


def test_the_root_order_decides_the_columns(tmp_path):
    asf = ASF.replace("order TX TY TZ RX RY RZ", "order RX RY RZ TZ TY TX")
    _, (clip,) = read(tmp_path, asf, AMC.replace("root 1 2 3 0 0 90", "root 0 0 90 3 2 1"))
    assert np.allclose(clip.joints[1, 0], read(tmp_path)[1][0].joints[1, 0], atol=1e-6)


def test_loose_writing_is_read(tmp_path):
    want = read(tmp_path)[1][0].joints
    for asf, amc in (
        (ASF.replace("\n", "\r\n"), AMC.replace("\n", "\r\n")),
        (ASF.replace("\n", "\n\n").replace("  ", "\t"), AMC.replace("\n", "  # remark\n").replace(" ", "\t", 3)),
        (ASF.replace(":units", ":UNITS").replace("begin", "BEGIN").replace("dof rx", "DOF RX"), AMC.replace(":FULLY", ":fully")),
        (ASF, AMC.replace("1\nroot", "17\nroot").replace("2\nroot", "18\nroot").replace("3\nroot", "19\nroot")),
    ):
        assert np.allclose(read(tmp_path, asf, amc)[1][0].joints, want, atol=1e-6)


def test_a_bone_a_frame_leaves_out_is_held(tmp_path):
    amc = AMC.replace("2\nroot 1 2 3 0 0 90\nupper 0 0 0\nlower 0\n", "2\nroot 1 2 3 0 0 90\nupper 0 0 0\n").replace(
        "lower 0\n2", "lower 45\n2"
    )
    source, (clip,) = read(tmp_path, ASF, amc)
    held, (full,) = read(tmp_path, ASF, amc.replace("upper 0 0 0\n3", "upper 0 0 0\nlower 45\n3"))
    assert np.allclose(clip.joints, full.joints) and source.provenance["notes"] == [
        "arm_01.amc: lower left out in 1 frames, held there"
    ]
    assert held.provenance["notes"] == []


BROKEN_ASF = [
    (ASF.replace("length 3", "length three"), r"arm.asf:20: the length of 'upper' needs 1 finite numbers, found three"),
    (ASF.replace("direction 0 1 0", "direction 0 nan 0"), r"arm.asf:19: the direction of 'upper' needs 3 finite numbers"),
    (ASF.replace("direction 0 1 0", "direction 0 1"), r"arm.asf:19: the direction of 'upper'"),
    (ASF.replace("axis 90 0 0 XYZ", "axis 90 0 0 XYX"), r"arm.asf:32: 'xyx' is not an order of axes such as XYZ"),
    (ASF.replace("    name upper\n", ""), r"arm.asf:16: this bone has no name"),
    (ASF.replace("    name lower", "    name upper"), r"arm.asf:27: the bone 'upper' stands twice"),
    (ASF.replace("dof rz", "dof rz tx"), r"arm.asf:33: 'lower' has the degrees of freedom 'rz tx'; only rx, ry and rz"),
    (ASF.replace("order TX TY TZ", "order TX TY TX"), r"arm.asf:11: the order of the root is"),
    (ASF.replace("length 0.45", "length 0"), r"arm.asf:6: the unit of length is 0"),
    (ASF.replace("lower tip", "lower thumb"), r"arm.asf:47: the hierarchy names 'thumb', which :bonedata does not have"),
    (ASF.replace("    lower tip\n", ""), r"arm.asf: the bone 'tip' does not hang on the root"),
    (ASF.replace("lower tip", "lower tip upper"), r"arm.asf:47: 'upper' hangs on two parents"),
    (ASF.partition("    name tip")[0], r"arm.asf: the section :hierarchy is missing or empty"),
    (ASF.partition("    name tip")[0] + ":hierarchy\nroot upper", r"arm.asf:36: this bone has no end; the file is cut short"),
    (ASF.partition(":hierarchy")[0], r"arm.asf: the section :hierarchy is missing"),
    ("hello", r"arm.asf:1: found 'hello' before the first section"),
    ("", r"arm.asf: the section :root is missing"),
]
BROKEN_AMC = [
    (AMC.rpartition("lower")[0], r"arm_01.amc:14: the last frame, 3, lacks lower; the file is cut short"),
    (AMC.rstrip()[:-1].rstrip(), r"arm_01.amc:15: 'lower' has 0 numbers, wanted 1"),
    (AMC.replace("upper 90 0 0", "upper 90 0"), r"arm_01.amc:14: 'upper' has 2 numbers, wanted 3"),
    (AMC.replace("upper 90 0 0", "upper 90 nan 0"), r"arm_01.amc:14: 'upper' needs 3 finite numbers"),
    (AMC.replace("upper 90 0 0", "upper 90 x 0"), r"arm_01.amc:14: 'upper' needs 3 finite numbers, found 90 x 0"),
    (AMC.replace("upper 90", "thumb 90"), r"arm_01.amc:14: 'thumb' is no bone of the skeleton"),
    (AMC.replace("lower 0\n3", "upper 0 0 0\n3"), r"arm_01.amc:11: 'upper' stands twice in this frame"),
    (AMC.replace("2\nroot", "5\nroot"), r"arm_01.amc:8: frame 5 follows frame 1; frames are missing or out of order"),
    (AMC.replace("1\nroot 0", "root 0", 1), r"arm_01.amc:4: 'root' stands before the first frame number"),
    (AMC.replace("1\nroot 0", "9999999999999\nroot 0", 1), r"arm_01.amc:4: '9999999999999' stands before the first frame number"),
    (":DEGREES\n", r"arm_01.amc: holds no frame"),
    ("", r"arm_01.amc: holds no frame"),
]


@pytest.mark.parametrize("case", range(len(BROKEN_ASF) + len(BROKEN_AMC)))
def test_broken_files_name_file_and_line(case, home, tmp_path, unchanged):
    asf, amc = (case < len(BROKEN_ASF)), case - len(BROKEN_ASF)
    (tmp_path / "arm.asf").write_text(BROKEN_ASF[case][0] if asf else ASF)
    (tmp_path / "arm_01.amc").write_text(AMC if asf else BROKEN_AMC[amc][0])
    unchanged()
    with pytest.raises(DataError, match=BROKEN_ASF[case][1] if asf else BROKEN_AMC[amc][1]):
        import_data(tmp_path, "broken", format="acclaim", progress=False, scale=1.0)
    unchanged()


def test_a_unit_that_makes_no_person(tmp_path):
    with pytest.raises(DataError, match=r"would measure .* m, which is no person; pass scale="):
        read(tmp_path, ASF.replace("length 0.45", "length 100"), scale=None)
    with pytest.raises(DataError, match="rate must be a number of frames a second above zero"):
        read(tmp_path, rate=0)


def test_skeletons_are_found_by_name(tmp_path):
    (tmp_path / "walk").mkdir()
    for name in ("02.asf", "HDM_bd.asf", "HDM_bd_x.asf", "0.asf"):
        (tmp_path / name).write_text(ASF)
    for name in ("02_01.amc", "HDM_bd_walk_001.amc", "hdm_bd_x_2.amc"):
        (tmp_path / "walk" / name).write_text(AMC)
    with open_source(tmp_path, scale=1.0) as source:
        about = {c.id: c.about["subject"] for c in source.clips}
    assert about == {"02_01": "02", "HDM_bd_walk_001": "HDM_bd", "hdm_bd_x_2": "HDM_bd_x"} and source.classes == ("walk",)
    (tmp_path / "walk" / "09_01.amc").write_text(AMC)
    with pytest.raises(DataError, match=r"09_01.amc: no .asf file whose name opens '09_01' in its folder or above; pass asf="):
        read_folder(tmp_path)
    assert len(read_folder(tmp_path, asf=tmp_path / "02.asf")) == 4
    with pytest.raises(DataError, match=r"none.asf: no such skeleton file"):
        read_folder(tmp_path, asf=tmp_path / "none.asf")
    (tmp_path / "walk" / "09_01.amc").unlink()
    assert "02_01.amc: 3 frames" in str(describe(tmp_path))


def read_folder(folder, **options):
    with open_source(folder, scale=1.0, **options) as source:
        return list(source.clips)


def test_skeletons_with_other_bones_name_both_files(tmp_path):
    (tmp_path / "a.asf").write_text(ASF)
    (tmp_path / "b.asf").write_text(ASF.replace("tip", "thumb"))
    (tmp_path / "a_1.amc").write_text(AMC)
    (tmp_path / "b_1.amc").write_text(AMC)
    with pytest.raises(DataError, match=r"b.asf: another skeleton than .*a.asf \(thumb, tip\); import them apart"):
        read_folder(tmp_path)
    (tmp_path / "b.asf").write_text(ASF.replace("length 3", "length 4"))  # another person with the same bones
    a, b = read_folder(tmp_path)
    assert a.topology == b.topology and np.allclose(b.joints[0, 0, 1], [0, 4, 0], atol=1e-6)


def test_frames_are_thinned(tmp_path):
    amc = ":DEGREES\n" + "".join(f"{t}\nroot {t - 1} 0 0 0 0 0\nupper 0 0 0\nlower 0\n" for t in range(1, 11))
    _, (clip,) = read(tmp_path, ASF, amc, fps=30.0)
    assert clip.joints[:, 0, 0, 0].tolist() == [0, 4, 8] and clip.fps == 30
    _, (clip,) = read(tmp_path, ASF, amc, fps=30.0, rate=60.0)
    assert clip.joints[:, 0, 0, 0].tolist() == [0, 2, 4, 6, 8] and clip.fps == 30


@pytest.mark.skipif("SKELBENCH_REALDATA" not in os.environ, reason="needs the folder of real data packs")
def test_real_files_match_their_pack(home):
    real = Path(os.environ["SKELBENCH_REALDATA"])
    pack = import_data(real / "hdm05", "hdm05", progress=False)
    raw = import_data(real / "hdm05" / "raw", "raw", progress=False)
    assert raw.topology == pack.topology and raw.meta.extra["names"]["subject"] == ["HDM_bd", "HDM_bk", "HDM_dg", "HDM_mm"]
    assert len(raw) == 11
    for row, id in enumerate(raw.ids):
        ours, theirs = raw[row].joints, pack[pack.ids.index(id)].joints
        assert ours.shape == theirs.shape and np.abs(ours - theirs).max() < 1e-4  # the pack is rounded to 0.1 mm
