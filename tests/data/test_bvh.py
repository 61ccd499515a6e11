"""BVH: positions against a walk down the tree frame by frame, and every oddity of the text."""

import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skelbench.data import describe, import_data
from skelbench.data.formats import bvh, open_source
from skelbench.errors import ConfigError, DataError
from skelbench.skeleton.topology import Topology

# Upper arm along y, forearm along x, an End Site as the hand.
ARM = """HIERARCHY
ROOT shoulder
{
  OFFSET 0 0 0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT elbow
  {
    OFFSET 0 3 0
    CHANNELS 3 Zrotation Xrotation Yrotation
    End Site
    {
      OFFSET 2 0 0
    }
  }
}
MOTION
Frames: 3
Frame Time: 0.0333333
0 0 0 0 0 0 0 0 0
1 2 3 90 0 0 0 0 0
0 0 0 0 90 0 90 0 0
"""
ARM_POINTS = [
    [[0, 0, 0], [0, 3, 0], [2, 3, 0]],
    [[1, 2, 3], [-2, 2, 3], [-2, 4, 3]],  # +90 about z takes y to -x and x to y
    [[0, 0, 0], [0, 0, 3], [0, 0, 5]],  # the shoulder's x turn takes y to z; the elbow's z turn takes x to y first
]


def read(path, text=None, **options):
    if text is not None:
        path.write_bytes(text.encode() if isinstance(text, str) else text)
    with open_source(path, **{"scale": 1.0, **options}) as source:
        return source, list(source.clips)


def test_an_arm_by_hand(tmp_path):
    source, (clip,) = read(tmp_path / "arm.bvh", ARM)
    assert clip.topology.joints == ("shoulder", "elbow", "elbow_end") and clip.topology.parents == (-1, 0, 1)
    assert np.allclose(clip.joints[:, 0], ARM_POINTS, atol=1e-6) and clip.joints.dtype == np.float32
    assert (clip.id, clip.label, source.classes, source.total) == ("arm", 0, ("unlabelled",), 1)
    assert math.isclose(clip.fps, 30, rel_tol=1e-4)


# A naive reading of the format: one frame, one joint, one channel at a time.


def turn(axis, degrees):
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.array(
        {"X": [[1, 0, 0], [0, c, -s], [0, s, c]], "Y": [[c, 0, s], [0, 1, 0], [-s, 0, c]], "Z": [[c, -s, 0], [s, c, 0], [0, 0, 1]]}[
            axis
        ]
    )


def naive(tree, row):
    """Positions of (parent, offset, channels) joints for one row of numbers."""
    numbers, world = iter(row), []
    for parent, offset, channels in tree:
        R, p = np.eye(3), np.array(offset, float)
        for channel in channels:
            value = next(numbers)
            if channel.endswith("rotation"):
                R = R @ turn(channel[0], value)
            else:
                p["XYZ".index(channel[0])] += value
        if parent >= 0:
            Rp, pp = world[parent]
            R, p = Rp @ R, pp + Rp @ p
        world.append((R, p))
    return [p for _, p in world]


def text_of(tree, rows, *, time=0.0333333):
    children = {j: [c for c, (p, _, _) in enumerate(tree) if p == j] for j in range(-1, len(tree))}

    def node(j):
        _, offset, channels = tree[j]
        body = [f"OFFSET {' '.join(map(repr, offset))}", f"CHANNELS {len(channels)} {' '.join(channels)}"]
        for c in children[j]:
            body += [f"JOINT j{c}", "{", *node(c), "}"]
        return body if children[j] else [*body, "End Site", "{", "OFFSET 0 0 1", "}"]

    head = ["HIERARCHY", "ROOT j0", "{", *node(0), "}", "MOTION", f"Frames: {len(rows)}", f"Frame Time: {time}"]
    return "\n".join(head + [" ".join(map(repr, map(float, r))) for r in rows])


@st.composite
def trees(draw):
    """Random trees in depth-first order, random channel orders, offsets and numbers."""
    number = st.floats(-5, 5).map(lambda v: round(v, 3))
    joints, stack = [], [0]
    for j in range(draw(st.integers(1, 6))):
        parent = -1 if j == 0 else draw(st.sampled_from(stack))
        stack = [0] if j == 0 else [*stack[: stack.index(parent) + 1], j]
        turns = draw(st.permutations(["Xrotation", "Yrotation", "Zrotation"]))[: draw(st.integers(0, 3))]
        moves = draw(st.permutations(["Xposition", "Yposition", "Zposition"]))[: 3 if j == 0 else 0]
        offset = [draw(number) for _ in range(3)]
        joints.append((parent, offset, [*moves, *turns] if draw(st.booleans()) else [*turns, *moves]))
    width = sum(len(c) for _, _, c in joints)
    rows = draw(
        st.lists(st.lists(st.floats(-400, 400).map(lambda v: round(v, 2)), min_size=width, max_size=width), min_size=1, max_size=3)
    )
    return joints, rows


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=trees())
def test_positions_against_a_walk_down_the_tree(case, tmp_path):
    tree, rows = case
    _, (clip,) = read(tmp_path / "t.bvh", text_of(tree, rows), end_sites=False)
    assert clip.topology.joints == tuple(f"j{n}" for n in range(len(tree)))
    assert clip.topology.parents == tuple(p for p, _, _ in tree)
    assert np.allclose(clip.joints[:, 0], [naive(tree, row) for row in rows], atol=1e-3, rtol=1e-5)


def test_position_channels_of_inner_joints(tmp_path):
    six = "CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation"
    head = ARM.replace("CHANNELS 3 Zrotation Xrotation Yrotation", six).partition("Frames")[0] + "Frames: 2\nFrame Time: 0.04\n"
    source, (clip,) = read(tmp_path / "add.bvh", head + "0 0 0 0 0 0 0.5 0 0 0 0 0\n" + "0 0 0 0 0 0 0 0 1 0 0 0\n")
    assert np.allclose(clip.joints[:, 0, 1], [[0.5, 3, 0], [0, 3, 1]]) and source.provenance["notes"] == []
    source, (clip,) = read(tmp_path / "repeat.bvh", head + "0 0 0 0 0 0 0 3 0 0 0 0\n" * 2)
    assert np.allclose(clip.joints[:, 0, 1], [0, 3, 0]) and "repeat OFFSET and replace it" in source.provenance["notes"][0]


LOOSE = {
    "tabs and CRLF": ARM.replace("  ", "\t").replace("\n", "\r\n"),
    "no colon": ARM.replace("Frames: 3", "Frames 3").replace("Frame Time:", "Frame Time"),
    "tab after the colon": ARM.replace("Frames: ", "Frames:\t").replace("Time: ", "Time:\t"),
    "blank before the colon": ARM.replace("Frames:", "Frames :"),
    "no last newline": ARM.rstrip(),
    "blank lines": ARM.replace("\n", "\n\n"),
    "exponents": ARM.replace("1 2 3 90", "1.0e0 +2E+00 .3e1 9e1"),
    "small letters": ARM.replace("Xposition", "xposition").replace("ROOT", "root").replace("MOTION", "Motion"),
    "braces on the line": ARM.replace("ROOT shoulder\n{", "ROOT shoulder {").replace("OFFSET 2 0 0\n    }", "OFFSET 2 0 0 }"),
    "byte order mark": b"\xef\xbb\xbf" + ARM.encode(),
    "old Mac line ends": ARM.replace("\n", "\r"),
}


@pytest.mark.parametrize("case", LOOSE)
def test_loose_writing_is_read(case, tmp_path):
    _, (clip,) = read(tmp_path / "arm.bvh", LOOSE[case])
    assert np.allclose(clip.joints[:, 0], ARM_POINTS, atol=1e-6)


def test_lines_after_the_announced_frames_are_left_out_and_noted(tmp_path):
    source, (clip,) = read(tmp_path / "arm.bvh", ARM.replace("Frames: 3", "Frames: 2"))
    assert len(clip) == 2 and source.provenance["notes"] == ["arm.bvh: 1 lines after the 2 announced frames left out"]


BROKEN = [
    (ARM.replace("HIERARCHY", "HIERARCHIE"), r"arm.bvh:1: a BVH file begins with the word HIERARCHY"),
    ("", r"arm.bvh:1: the hierarchy ends where|arm.bvh:1: a BVH file begins"),
    (b"\x00\xff" * 50, r"arm.bvh:1: a BVH file begins"),
    (ARM.partition("End Site")[0], r"arm.bvh:10: the hierarchy is not complete, 2 braces are open"),
    (ARM.partition("OFFSET 2")[0], r"arm.bvh:12: the hierarchy ends where OFFSET should stand"),
    (ARM.partition("MOTION")[0], r"arm.bvh:16: the file ends without a MOTION part; it is cut short"),
    (ARM.partition("Frames")[0], r"arm.bvh:17: the file ends where 'Frames: <number>' should stand"),
    (ARM.partition("Frame Time")[0], r"arm.bvh:18: the file ends where 'Frame Time: <seconds>' should stand"),
    (ARM.partition("1 2 3")[0], r"arm.bvh:19: the file ends after 1 of 3 frames; it is cut short"),
    (ARM.rstrip()[:-4], r"arm.bvh:21: 7 numbers, wanted 9"),
    (ARM.replace("Frames: 3", "Frames: 1000000000000"), r"arm.bvh:21: the file ends after 3 of 1000000000000 frames"),
    (ARM.replace("Frames: 3", "Frames: " + "9" * 5000), r"arm.bvh:21: the file ends after 3 of 9+ frames"),
    (ARM.replace("Frames: 3", "Frames: 0"), r"arm.bvh:21: the file ends after 3 of 0 frames"),
    (ARM.replace("Frames: 3", "Frames: many"), r"arm.bvh:17: found 'Frames: many', wanted 'Frames: <number>'"),
    (ARM.replace("0.0333333", "0"), r"arm.bvh:18: a frame of 0 seconds"),
    (ARM.replace("0.0333333", "nan"), r"arm.bvh:18: a frame of nan seconds"),
    (ARM.replace("0.0333333", "0,0333"), r"arm.bvh:18: .*comma as decimal mark\? write a point"),
    (ARM.replace("1 2 3 90", "1,5 2 3 90"), r"arm.bvh:20: '1,5' is not a number \(a comma as decimal mark\?"),
    (ARM.replace("1 2 3 90", "1 2 x 90"), r"arm.bvh:20: 'x' is not a number"),
    (ARM.replace("1 2 3 90", "1 2 nan 90"), r"arm.bvh:20: frame 1 holds a number that is not finite"),
    (ARM.replace("1 2 3 90", "1 2 inf 90"), r"arm.bvh:20: frame 1 holds"),
    (ARM.replace("OFFSET 0 3 0", "OFFSET 0 3"), r"arm.bvh:9: 'CHANNELS' is not a finite number"),
    (ARM.replace("OFFSET 0 3 0", "OFFSET 0 1e999 0"), r"arm.bvh:8: '1e999' is not a finite number"),
    (ARM.replace("CHANNELS 3", "CHANNELS 4"), r"arm.bvh:10: joint 'elbow': channels are"),
    (ARM.replace("CHANNELS 3", "CHANNELS 999999999"), r"arm.bvh:9: joint 'elbow' has '999999999' channels"),
    (ARM.replace("CHANNELS 3 Zrotation", "CHANNELS 3 Wrotation"), r"arm.bvh:9: joint 'elbow': channels are"),
    (ARM.replace("CHANNELS 3 Zrotation Xrotation", "CHANNELS 3 Zrotation Zrotation"), r"arm.bvh:9: joint 'elbow'"),
    (ARM.replace("JOINT elbow", "JOINT shoulder"), r"arm.bvh:7: the joint name 'shoulder' stands twice"),
    (
        "HIERARCHY ROOT r { OFFSET 0 0 0 " + "JOINT j { OFFSET 0 0 0 } " * 2,
        r"arm.bvh:1: the joint name 'j' stands twice",
    ),
    (ARM.replace("JOINT elbow", "JOINT"), r"arm.bvh:7: a joint without a name"),
    (ARM.replace("JOINT elbow", "BONE elbow"), r"arm.bvh:6: found 'BONE', wanted JOINT, End Site or }"),
    (ARM.replace("ROOT shoulder", "JOINT shoulder"), r"arm.bvh:2: found 'JOINT', wanted ROOT or MOTION"),
    (
        ARM.replace("CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation", "").replace(
            "CHANNELS 3 Zrotation Xrotation Yrotation", ""
        ),
        "no joint has a channel",
    ),
]


@pytest.mark.parametrize("case", range(len(BROKEN)))
def test_broken_files_name_file_and_line(case, home, tmp_path, unchanged):
    text, match = BROKEN[case]
    path = tmp_path / "arm.bvh"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    unchanged()
    with pytest.raises(DataError, match=match):
        import_data(path, "broken", progress=False, scale=1.0)
    unchanged()


def test_a_file_of_too_many_joints(tmp_path):
    many = "HIERARCHY\nROOT r\n{\nOFFSET 0 0 0\n" + "".join(f"JOINT j{n} {{ OFFSET 0 0 0 }}\n" for n in range(2001))
    with pytest.raises(DataError, match=r"many.bvh:2004: more than 2000 joints, which no body has"):
        read(tmp_path / "many.bvh", many)


def test_the_second_file_of_a_folder_may_break_the_import(home, tmp_path, unchanged):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.bvh").write_text(ARM)
    (tmp_path / "in" / "b.bvh").write_text(ARM.replace("1 2 3 90", "1 2 nan 90"))
    unchanged()
    with pytest.raises(DataError, match=r"b.bvh:20: frame 1 holds a number that is not finite"):
        import_data(tmp_path / "in", "broken", progress=False, scale=1.0)
    unchanged()


def test_two_skeletons_in_one_import_name_both_files(home, tmp_path, unchanged):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.bvh").write_text(ARM)
    (tmp_path / "in" / "b.bvh").write_text(ARM.replace("elbow", "knee"))
    unchanged()
    with pytest.raises(
        DataError, match=r"b.bvh: another skeleton \(3 joints\) than .*a.bvh \(3\): only one of them has elbow, elbow_end, knee"
    ):
        import_data(tmp_path / "in", "two", progress=False, scale=1.0)
    unchanged()


def test_other_bone_lengths_are_the_same_skeleton(tmp_path):
    (tmp_path / "a.bvh").write_text(ARM)
    (tmp_path / "b.bvh").write_text(ARM.replace("OFFSET 0 3 0", "OFFSET 0 4 0"))
    _, (a, b) = read(tmp_path)
    assert a.topology is b.topology and np.allclose(b.joints[0, 0, 1], [0, 4, 0])


def test_several_roots_are_several_bodies(tmp_path):
    hierarchy, _, motion = ARM.partition("MOTION\n")
    second = hierarchy.removeprefix("HIERARCHY\n").replace("shoulder", "shoulder2").replace("elbow", "elbow2")
    lines = motion.splitlines()
    rows = [f"{a} {b}" for a, b in zip(lines[2:], [*lines[3:], lines[2]], strict=True)]
    both = hierarchy + second + "MOTION\n" + "\n".join(lines[:2] + rows)
    source, (clip,) = read(tmp_path / "two.bvh", both)
    assert source.bodies == 2 and clip.topology.joints == ("shoulder", "elbow", "elbow_end")
    assert np.allclose(clip.joints[:, 0], ARM_POINTS, atol=1e-6)
    assert np.allclose(clip.joints[:, 1], ARM_POINTS[1:] + ARM_POINTS[:1], atol=1e-6)
    unequal = both.replace("JOINT elbow2", "JOINT mid\n{\nOFFSET 0 1 0\nCHANNELS 0\n}\nJOINT elbow2")
    with pytest.raises(DataError, match="2 ROOTs with different trees"):
        read(tmp_path / "two.bvh", unequal)


def test_frame_rates_and_skipped_frames(tmp_path):
    rows = [f"{t} 0 0 0 0 0 0 0 0" for t in range(20)]
    for time, fps, skip, kept, rate in [
        (1 / 120, 30.0, 0, range(0, 20, 4), 30),
        (1 / 120, 30.0, 3, range(3, 20, 4), 30),
        (1 / 120, None, 0, range(20), 120),
        (1 / 100, 30.0, 0, range(0, 20, 3), 100 / 3),
        (1 / 25, 30.0, 0, range(20), 25),
    ]:
        text = ARM.partition("Frames")[0] + "\n".join(["Frames: 20", f"Frame Time: {time:.9f}", *rows])
        _, (clip,) = read(tmp_path / "arm.bvh", text, fps=fps, skip=skip)
        assert clip.joints[:, 0, 0, 0].tolist() == list(kept) and math.isclose(clip.fps, rate, rel_tol=1e-5)
    with pytest.raises(DataError, match="20 frames, but the first 20 are to be skipped"):
        read(tmp_path / "arm.bvh", text, skip=20)
    with pytest.raises(DataError, match="fps must be above zero"):
        read(tmp_path / "arm.bvh", text, fps=-30)


@pytest.mark.parametrize(
    "unit, size",
    [("metre", 1.0), ("centimetre", 100.0), ("millimetre", 1000.0), ("inch", 1 / 0.0254), ("inch / 0.45", 0.45 / 0.0254)],
)
def test_the_unit_is_guessed_from_the_size_of_the_body(unit, size, tmp_path):
    text = ARM.replace("OFFSET 0 3 0", f"OFFSET 0 {0.6 * size} 0").replace("OFFSET 2 0 0", f"OFFSET {0.5 * size} 0 0")
    source, (clip,) = read(tmp_path / "arm.bvh", text, scale=None)
    assert source.provenance["unit"]["name"] == unit
    assert np.allclose(clip.joints[0, 0, 2], [0.5, 0.6, 0], atol=1e-4)
    assert unit in str(describe(tmp_path / "arm.bvh"))


def test_a_body_of_no_persons_size_asks_for_the_scale(tmp_path):
    with pytest.raises(DataError, match=r"would measure .* m, which is no person; pass scale="):
        read(tmp_path / "arm.bvh", ARM.replace("OFFSET 0 3 0", "OFFSET 0 1e7 0"), scale=None)
    for scale in (0, -1, math.inf, math.nan):
        with pytest.raises(DataError, match="scale must be a length in metres above zero"):
            read(tmp_path / "arm.bvh", ARM, scale=scale)


def test_joints_are_picked_by_the_users_topology(tmp_path):
    two = Topology.from_dict({"name": "two", "joints": ["elbow_end", "shoulder"], "parents": [1, -1]})
    (tmp_path / "two.json").write_text(json.dumps(two.to_dict()))
    for given_topology in (two, tmp_path / "two.json", str(tmp_path / "two.json")):
        _, (clip,) = read(tmp_path / "arm.bvh", ARM, topology=given_topology)
        assert clip.topology == two and np.allclose(clip.joints[:, 0], np.array(ARM_POINTS)[:, [2, 0]], atol=1e-6)
    odd = Topology.from_dict({"name": "odd", "joints": ["shoulder", "elbo"], "parents": [-1, 0]})
    with pytest.raises(DataError, match=r"wants 1 joints the file does not have, the first is 'elbo' \(nearest: elbow"):
        read(tmp_path / "arm.bvh", ARM, topology=odd)
    with pytest.raises(DataError, match="no joint layout called 'kinekt'"):
        read(tmp_path / "arm.bvh", ARM, topology="kinekt")


def test_end_sites_can_be_left_out_and_never_share_a_name(tmp_path):
    twice = ARM.replace(
        "End Site\n    {\n      OFFSET 2 0 0\n    }", "End Site\n {\n OFFSET 2 0 0\n }\n End Site\n {\n OFFSET 0 0 1\n }"
    )
    _, (clip,) = read(tmp_path / "arm.bvh", twice)
    assert clip.topology.joints == ("shoulder", "elbow", "elbow_end", "elbow_end2")
    _, (clip,) = read(tmp_path / "arm.bvh", twice, end_sites=False)
    assert clip.topology.joints == ("shoulder", "elbow")


def test_an_option_the_reader_does_not_have(tmp_path):
    with pytest.raises(
        ConfigError, match="the reader of 'bvh' has no option 'end_site'; it has: labels, fps, scale, end_sites, skip"
    ):
        read(tmp_path / "arm.bvh", ARM, end_site=False)


@pytest.mark.skipif("SKELBENCH_REALDATA" not in os.environ, reason="needs the folder of real data packs")
def test_real_files_match_their_pack(home):
    real = Path(os.environ["SKELBENCH_REALDATA"])
    pack = import_data(real / "cmu", "cmu", progress=False)
    raw = import_data(real / "cmu" / "raw", "raw", format="bvh", skip=12, topology=pack.topology, progress=False)
    assert raw.meta.provenance["unit"]["name"] == "centimetre"
    compared = 0
    for row, id in enumerate(pack.ids):
        clip, _, start = id.partition("@")
        if clip in raw.ids:
            window = pack[row].joints
            ours = raw[raw.ids.index(clip)].joints[int(start) :][: len(window)]
            assert np.abs(ours - window).max() < 1e-4  # the pack is rounded to 0.1 mm
            compared += 1
    assert compared == 9
    whole = import_data(real / "cmu" / "raw", "whole", format="bvh", progress=False)
    assert (
        bvh.sniff(real / "cmu" / "raw")
        and whole.topology.V > 40
        and "Index1_end" in " ".join(whole.topology.joints).replace("2_end", "1_end")
    )
