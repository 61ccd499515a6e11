"""Reading and editing trees of frozen dataclasses."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skelbench.errors import ConfigError
from skelbench.train.tree import build, groups, leaves, plain, replaced, resolve


@dataclass(frozen=True, kw_only=True)
class Leaf:
    size: int = 1
    name: str | None = None


@dataclass(frozen=True, kw_only=True)
class Other:
    speed: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Tree:
    one: Leaf = Leaf()
    two: Leaf | Other = field(default_factory=Other)
    pairs: tuple[tuple[int, float], ...] = ()
    kind: Literal["a", "b"] = "a"
    free: Any = None

    def __post_init__(self) -> None:
        if self.kind == "b" and not self.pairs:
            raise ValueError("b needs pairs")


def test_paths_of_leaves_and_groups() -> None:
    assert list(leaves(Tree())) == ["one.size", "one.name", "two.speed", "pairs", "kind", "free"]
    assert list(groups(Tree())) == ["one", "two"]
    assert resolve(Tree(), "speed") == "two.speed" and resolve(Tree(), "one.size") == "one.size" and resolve(Tree(), "one") == "one"
    with pytest.raises(ConfigError, match=r"2 settings: one\.size, two\.size"):
        resolve(Tree(two=Leaf()), "size")
    with pytest.raises(ConfigError, match=r"there are: one\.size"):
        resolve(Tree(), "zzz")


@settings(max_examples=40)
@given(
    size=st.integers(),
    name=st.none() | st.text(),
    speed=st.floats(allow_nan=False, allow_infinity=False) | st.none(),
    pairs=st.lists(st.tuples(st.integers(), st.floats(allow_nan=False, allow_infinity=False))),
)
def test_any_tree_comes_back_from_its_plain_form(size: int, name: str | None, speed: float | None, pairs: list[Any]) -> None:
    tree = Tree(one=Leaf(size=size, name=name), two=Leaf(size=3) if speed is None else Other(speed=speed), pairs=tuple(pairs))
    assert build(Tree, plain(tree)) == tree


def test_changes_are_made_at_once_and_checked() -> None:
    changed = replaced(Tree(), {"kind": "b", "pairs": [[1, 2]], "one.size": 5, "two": {"speed": 3}})
    assert changed == Tree(kind="b", pairs=((1, 2.0),), one=Leaf(size=5), two=Other(speed=3.0))
    for path, value, says in [
        ("kind", "c", "'a', 'b'"),
        ("kind", "b", "b needs pairs"),
        ("one.size", True, "finite int"),
        ("one.name", 3, "one.name = 3"),
        ("pairs", [[1]], "wanted 2 values"),
        ("pairs", "x", "several"),
        ("one", {"sise": 1}, "did you mean size"),
    ]:
        with pytest.raises(ConfigError, match=says):
            replaced(Tree(), {path: value})
    with pytest.raises(ConfigError, match="wanted an object"):
        build(Tree, [1])
    with pytest.raises(ConfigError, match="or"):
        build(Tree, {"two": {"weight": 1}})


def test_a_class_written_inside_a_function_is_held_to_its_values() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Inner:
        size: int = 1

    @dataclass(frozen=True, kw_only=True)
    class Here:
        inner: Inner = Inner()
        count: int = 2

    assert replaced(Here(), {"inner.size": 4, "count": 3}) == Here(inner=Inner(size=4), count=3)
    with pytest.raises(ConfigError, match="count"):
        replaced(Here(), {"count": "many"})
