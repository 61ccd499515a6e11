"""Joint layouts: the tables that come along, the JSON form, what is read off joint names, and bad input."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skelbench.errors import DataError
from skelbench.skeleton import Topology, guess_pairs, topologies, topology

# Published, 1-based, child-parent (joint 21 is the root).
NTU_BONES = (
    "1-2 2-21 3-21 4-3 5-21 6-5 7-6 8-7 9-21 10-9 11-10 12-11 13-1 14-13 15-14 16-15 17-1 18-17 19-18 20-19 22-23 23-8 24-25 25-12"
)


@st.composite
def trees(draw: st.DrawFn) -> tuple[int, ...]:
    """Parents of a random tree whose joints stand in random order."""
    n = draw(st.integers(1, 12))
    order = draw(st.permutations(range(n)))
    parents = [-1] * n
    for place in range(1, n):
        parents[order[place]] = order[draw(st.integers(0, place - 1))]
    return tuple(parents)


def plain(parents: tuple[int, ...], **more: object) -> Topology:
    return Topology(name="t", joints=tuple(f"j{i}" for i in range(len(parents))), parents=parents, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", topologies())
def test_every_layout_is_a_tree_with_a_mirror(name: str) -> None:
    t = topology(name)
    assert len(t.bones) == t.V - 1 and t.parents[t.root] == -1
    assert t.edges["tree"] == t.bones
    flip = t.flip_index
    assert [flip[flip[j]] for j in range(t.V)] == list(range(t.V))
    assert all(t.side[flip[j]] == -t.side[j] for j in range(t.V))
    for left, right in t.pairs:
        names = t.joints[left].lower(), t.joints[right].lower()
        sides = [re.sub("^(l|r)(?!eft|ight)", lambda found: {"l": "left", "r": "right"}[found[0]], n) for n in names]
        assert sides[0].replace("left", "right") == sides[1] or "ntu_x" in name  # face points there have numbers
    for table_name, table in t.ancestors.items():
        assert table == t.ancestor(int(table_name.split("_")[0])), table_name
    assert Topology.from_dict(json.loads(json.dumps(t.to_dict()))) == t


@pytest.mark.parametrize("name", [n for n in topologies() if n != "ntu_x_118"])
def test_a_bone_mirrors_onto_a_bone(name: str) -> None:
    # ntu_x_118 is left out: its face contours are chains that run from one side to the other.
    t = topology(name)
    assert all(t.parents[t.flip_index[j]] == t.flip_index[p] for j, p in t.bones)


def test_kinect_tables_are_the_published_ones() -> None:
    t = topology("kinect_v2_25")
    published = {tuple(int(j) - 1 for j in pair.split("-")) for pair in NTU_BONES.split()}
    assert set(t.bones) == published and t.root == 20
    assert t.center == 1 and t.spine == (0, 1) and t.shoulders == (4, 8)
    two = [20, -1, -1, 20, -1, 20, 4, 5, -1, 20, 8, 9, 1, 0, 12, 13, 1, 0, 16, 17, -1, 7, 6, 11, 10]
    assert t.ancestor(2) == tuple(j if a < 0 else a for j, a in enumerate(two))
    assert topology("ntu60") == t and hash(topology("ntu60")) == hash(t)


def test_unknown_layout_lists_what_there_is() -> None:
    with pytest.raises(DataError, match="kinect_v2_25"):
        topology("kinect3")
    with pytest.raises(DataError, match="left_knee"):
        topology("kinect_v2_25").joint("knee")
    assert topology("kinect_v2_25").joint("left_knee") == 13


@given(trees(), st.integers(1, 5))
def test_ancestor_walks_the_tree(parents: tuple[int, ...], hops: int) -> None:
    def up(j: int) -> list[int]:
        return [j] if parents[j] < 0 else [j, *up(parents[j])]

    expected = tuple(up(j)[hops] if len(up(j)) > hops else j for j in range(len(parents)))
    assert plain(parents).ancestor(hops) == expected


@given(trees(), st.data())
def test_a_loop_is_refused(parents: tuple[int, ...], data: st.DataObject) -> None:
    inner = [j for j, p in enumerate(parents) if p >= 0]
    if not inner:
        return
    looped = list(parents)
    j = data.draw(st.sampled_from(inner))
    looped[j] = j
    with pytest.raises(DataError, match="do not lead to the root"):
        plain(tuple(looped))


@pytest.mark.parametrize(
    ("joints", "parents", "message"),
    [
        (["a", "b"], [-1], "2 joint names but 1 parents"),
        ([], [], "0 joint names"),
        (["a", "a"], [-1, 0], "stand twice: a"),
        (["a", "b"], [-1, -1], "found 2"),
        (["a", "b"], [1, 0], "found 0"),
        (["a", "b"], [-1, 2], "parent 2 is neither"),
        (["a", "b"], [-1, -7], "parent -7 is neither"),
        (["a", "b"], [-1, "x"], "not a joint number"),
        ("ab", [-1, 0], "a list of names"),
    ],
)
def test_bad_tables_are_named(joints: object, parents: list[object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Topology.from_dict({"joints": joints, "parents": parents})


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"pairs": ((0, 1), (1, 2))}, "two mirror pairs"),
        ({"center": 3}, "joint number 3 is outside"),
        ({"parts": {"arm": (0, 9)}}, "joint number 9"),
        ({"edges": {"graph": ((0, 5),)}}, "joint number 5"),
        ({"ancestors": {"2_x": (0, 0)}}, "2 entries"),
        ({"ancestors": {"2_x": (0, 0, 8)}}, "joint number 8"),
        ({"spine": (0, -1)}, "joint number -1"),
        ({"dims": 0}, "dims = 0"),
    ],
)
def test_bad_numbers_are_named(more: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        plain((-1, 0, 1), **more)


@pytest.mark.parametrize(
    "table", [{"align": [1]}, {"parts": {"a": 3}}, {"k_hop_ancestor": {"1": None}}, {"spine": [1]}, {"dims": "two"}, {"parts": 4}]
)
def test_a_table_of_the_wrong_form_is_a_data_error(table: dict[str, object]) -> None:
    with pytest.raises(DataError, match="not a joint number"):
        Topology.from_dict({"joints": ["hips", "spine"], "parents": [-1, 0], **table})


def test_json_file(tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "stick.json"
    path.write_text(json.dumps({"joints": ["hips", "spine"], "parents": [-1, 0]}))
    assert Topology.from_json(path).name == "stick"
    path.write_text('{\n"joints": [}')
    with pytest.raises(DataError, match=r"stick\.json:2: not valid JSON"):
        Topology.from_json(path)
    path.write_text("[]")
    with pytest.raises(DataError, match="one JSON object"):
        Topology.from_json(path)
    with pytest.raises(DataError, match=r"absent\.json: cannot read"):
        Topology.from_json(tmp_path / "absent.json")


def test_what_names_say() -> None:
    joints = ["hips", "LowerBack", "lShldr", "rShldr", "LeftKnee", "RightKnee", "foot_l", "foot_r", "root_extra"]
    t = Topology.from_dict({"name": "mine", "joints": joints, "parents": [-1, 0, 1, 1, 0, 0, 4, 5, 0]})
    assert t.pairs == guess_pairs(joints) == ((2, 3), (4, 5), (6, 7))
    assert t.spine == (0, 1) and t.center == 1 and t.shoulders == (2, 3)
    assert t.parts == {"left_arm": (2,), "right_arm": (3,), "left_leg": (4, 6), "right_leg": (5, 7), "torso": (0, 1, 8)}


def test_a_table_that_says_none_is_believed() -> None:
    base = {"joints": ["hips", "spine", "lShldr", "rShldr"], "parents": [-1, 0, 1, 1]}
    t = Topology.from_dict({**base, "spine": None, "shoulders": None, "left_right_pairs": [], "parts": {}})
    assert (t.spine, t.shoulders, t.pairs, t.parts) == (None, None, (), {})
    assert Topology.from_dict(t.to_dict()) == t != Topology.from_dict(base)


def test_mediapipe_bones_are_documented_connections_but_for_mouth_and_shoulders() -> None:
    t = topology("mediapipe_pose_33")
    drawn = {frozenset(c) for c in t.edges["mediapipe_connections"]}
    assert len(drawn) == 35
    own = {(t.joints[c], t.joints[p]) for c, p in t.bones if frozenset((c, p)) not in drawn}
    assert own == {(f"mouth_{s}", "nose") for s in ("left", "right")} | {(f"{s}_shoulder", "nose") for s in ("left", "right")}
    assert len(t.pairs) == 16 and t.shoulders == (11, 12) and t.root == 0
