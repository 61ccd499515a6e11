"""Every preset against a loop over one clip, its frames, bodies and joints, in float64; and against published arrays."""

import math
import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from skelbench.errors import ConfigError, DataError
from skelbench.skeleton import PRESETS, Topology, normalise, preset, topology
from skelbench.skeleton.normalise import to_apply
from skelbench.skeleton.persons import PERSONS

KINECT, COCO, HAND = (topology(n) for n in ("kinect_v2_25", "coco_17", "shrec17_hand_22"))
STICK = Topology(name="stick", joints=("a", "b", "l", "r"), parents=(-1, 0, 1, 1), center=1, spine=(0, 1), shoulders=(2, 3))
FLAT = Topology(name="flat", joints=("a", "b", "c"), parents=(-1, 0, 0), dims=2)
PICTURES = ("pyskl2d", "pyskl2d_auto", "kinetics")
FIT = {  # layouts that a preset can do
    **{name: (STICK, KINECT, topology("kinect_v1_20")) for name in PRESETS},
    **{name: (COCO, FLAT) for name in PICTURES},
    "shrec": (HAND, topology("mediapipe_hand_21")),
    **{name: (STICK, FLAT, HAND) for name in ("none", "stgcn", "ctrgcn", "ctrgcn120", "psumnet", "nwucla", "mamp_pku")},
}


def turned(x: np.ndarray, v: np.ndarray, axis: int) -> np.ndarray:
    """All joints (..., 3) by the smallest turn that brings v to +axis; none for no or opposite v."""
    u = np.eye(3)[axis]
    across = np.cross(v, u)
    size = math.sqrt(float(across @ across))
    angle = math.atan2(size, float(v @ u))
    if size < 1e-6 or angle < 1e-6:
        return x
    k = across / size
    K = np.array([[0, -k[2], k[1]], [k[2], 0, -k[0]], [-k[1], k[0], 0]])
    R = np.eye(3) + math.sin(angle) * K + (1 - math.cos(angle)) * K @ K
    return np.array([[[R @ joint for joint in body] for body in frame] for frame in x]).reshape(x.shape)


def naive(name: str, x: np.ndarray, t: Topology, size: tuple[float, float] | None) -> np.ndarray:
    """One clip of n frames (n, M, V, C) after a preset, (n', M, V, C)."""
    d = min(t.dims, x.shape[3])
    y, score = x[..., :d].copy(), x[..., d:]
    n, M, V = y.shape[:3]
    if name in ("none", "stgcn"):
        pass
    elif name in ("ctrgcn", "psumnet", "ctrgcn120"):
        first = [f for f in range(n) if x[f, 0].any()]
        origin = y[first[0], 0, t.center].copy() if first else np.zeros(d)
        alone = not x[:, 1:].any()
        for f in range(n):
            for m in range(M):
                if x[f, m].any() or (alone and m == 0):
                    y[f, m] -= origin
        if name == "ctrgcn120" and not np.concatenate([y, score], 3)[:, 1:].any():
            y[:, 1], score[:, 1] = y[:, 0], score[:, 0]
    elif name in ("pyskl", "brl"):
        x = x.copy()
        if M > 1 and sum(f[1].any() for f in x) > sum(f[0].any() for f in x):
            x[:, [0, 1]] = x[:, [1, 0]]
        if x[:, 0].any():
            x = np.stack([f for f in x if f[0].any()])
        y, score = x[..., :d].copy(), x[..., d:]
        origin = y[0, 0, t.center].copy() if len(y) else 0
        for f in range(len(y)):
            for m in range(M):
                for j in range(V):
                    if y[f, m, j].any():
                        y[f, m, j] -= origin
        for pair, axis in ((t.spine, 2), (t.shoulders, 0)):
            if len(y):
                y = turned(y, y[0, 0, pair[1]] - y[0, 0, pair[0]], axis)
    elif name in PICTURES:
        there = (score[..., 0] > (0 if name == "kinetics" else 0.01)) if score.shape[3] else y.any(3)
        middle, half = np.array([0.5] * d), np.ones(d)
        if name == "pyskl2d":
            middle = half = np.asarray(size) / 2
        elif name == "pyskl2d_auto" and there.any():
            low, high = y[there].min(0), y[there].max(0)
            least = 10 if size is None or size[0] > 1 else 0.01
            middle, half = (low + high) / 2, np.maximum(high - low, least) / 2
        elif name == "kinetics" and size is not None:
            y = y / np.asarray(size)
        y = np.where(there[..., None], (y - middle) / half, 0)
    elif name == "nwucla":
        there = x.any((2, 3))
        for c in range(d):
            values = [v for f in range(n) for m in range(M) if there[f, m] for v in y[f, m, :, c]]
            for f in range(n):
                for m in range(M):
                    constant = not there[f, m] or max(values) == min(values)
                    y[f, m, :, c] = 0 if constant else -1 + 2 * (y[f, m, :, c] - min(values)) / (max(values) - min(values))
    elif name == "shrec":
        middle = t.joint("middle_base" if "middle_base" in t.joints else "middle_mcp")
        origin = y[0, 0, 0].copy() if n else 0
        bones = [math.dist(f[0, middle], f[0, 0]) for f in y]
        unit = next((b for b in bones if b > 0), 1)
        y = np.where(x.any((2, 3), keepdims=True), (y - origin) / unit, 0)
    elif name == "mamp_pku":
        y, score = y[:300], score[:300]
    else:
        raise AssertionError(f"write down what {name} does")
    return np.concatenate([y, score], 3)


@st.composite
def batches(draw: st.DrawFn, name: str) -> tuple[list[np.ndarray], Topology, list[tuple[float, float]] | None]:
    """Clips (n, M, V, C) with holes, some with a score; whole numbers bring equal and opposite vectors and constant axes along."""
    t = draw(st.sampled_from(FIT[name]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    N, M, score = draw(st.integers(1, 3)), draw(st.integers(2 if name == "ctrgcn120" else 1, 3)), draw(st.booleans())
    sizes = {"pyskl2d": [(640.0, 480.0)], "pyskl2d_auto": [None, (640.0, 480.0), (1.0, 1.0)]}
    size = draw(st.sampled_from(sizes.get(name, [None, (640.0, 480.0)])))
    near = 0.005 if name == "pyskl2d_auto" and draw(st.booleans()) else 1  # a box too small to be a person
    clips = []
    for _ in range(N):
        n = draw(st.integers(0, 7))
        x = rng.integers(-2, 3, (n, M, t.V, t.dims)).astype(float) if draw(st.booleans()) else rng.normal(size=(n, M, t.V, t.dims))
        if name in PICTURES:
            x = np.round(rng.uniform(size=x.shape) * near * (size or (1.0, 1.0)), draw(st.sampled_from([0, 6])))
        if score:
            x = np.concatenate([x, rng.choice([0, 0.005, 0.01, 0.015, 0.5, 1], size=(*x.shape[:3], 1))], 3)
        gone = rng.random((n, M)) < draw(st.sampled_from([0, 0.3, 0.9]))
        x[gone] = 0
        if draw(st.booleans()):
            x[:, 1:] = 0
        clips.append(x)
    return clips, t, [size] * N if size else None


def batch(clips: list[np.ndarray], *, more: int = 0, fill: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    """(N, C, T, V, M) with whatever behind the ends, and the lengths."""
    T = max(len(c) for c in clips) + more
    x = np.full((len(clips), T, *clips[0].shape[1:]), fill)
    for n, clip in enumerate(clips):
        x[n, : len(clip)] = clip
    return torch.from_numpy(x).permute(0, 4, 1, 3, 2).contiguous(), torch.tensor([len(c) for c in clips])


@pytest.mark.parametrize("name", [n for n in PRESETS if n not in ("isc", "agcn")])  # isc: test_normalise.py
def test_equals_the_loop(name: str) -> None:
    @settings(max_examples=40, deadline=None)
    @given(batches(name), st.integers(0, 2))
    def check(case: tuple[list[np.ndarray], Topology, list[tuple[float, float]] | None], more: int) -> None:
        clips, t, sizes = case
        x, lengths = batch(clips, more=more, fill=7.0)  # what stands behind a clip's end is not read
        kept = x.clone()
        y, after = preset(name).run(x, lengths, t, size=torch.tensor(sizes) if sizes else None)
        assert torch.equal(x, kept) and y.shape == x.shape and y.dtype == x.dtype and not after.is_floating_point()
        for n, clip in enumerate(clips):
            expected = naive(name, clip.copy(), t, sizes[n] if sizes else None)
            assert int(after[n]) == len(expected)
            np.testing.assert_allclose(y[n, :, : len(expected)].permute(1, 3, 2, 0).numpy(), expected, rtol=0, atol=1e-9)
            assert not y[n, :, len(expected) :].any()

    check()


def test_names_for_the_same_thing() -> None:
    x = torch.randn(2, 3, 5, 25, 2, generator=torch.Generator().manual_seed(0))
    n = torch.tensor([5, 3])
    for one, other in (("isc", "agcn"), ("ctrgcn", "psumnet"), ("pyskl", "brl"), ("none", "stgcn")):
        assert torch.equal(preset(one).apply(x, n, KINECT), preset(other).apply(x, n, KINECT))


def test_isc_leaves_scores_alone_and_moves_them_with_their_frames() -> None:
    x = torch.rand(2, 3, 6, 17, 1, generator=torch.Generator().manual_seed(1)) + 0.1
    x[:, :, :2] = 0  # the first two frames are empty: the rest moves to the front and is replayed
    y = preset("isc").apply(x, torch.tensor([6, 6]), COCO)
    order = [2, 3, 4, 5, 2, 3]
    assert torch.equal(y[:, 2], x[:, 2, order])
    torch.testing.assert_close(y[:, :2], x[:, :2, order] - x[:, :2, order, :1])


def test_what_each_preset_says_of_itself() -> None:
    for name, p in PRESETS.items():
        assert p.name == name and len(p.doc) > 10 and p.lateral == 0 and p.vertical in (1, 2)
        assert p.persons is None or p.persons in PERSONS
        assert all(step.frames > 0 for step in p.length)
        assert re.search(rf"^\| ([\w, ]*, )?{name}[ ,]", normalise.__doc__ or "", re.M)
    persons = {name: p.persons for name, p in PRESETS.items() if p.persons}
    assert persons == {
        **{n: "agcn" for n in ("isc", "agcn")},
        **{n: n for n in ("stgcn", "ctrgcn", "ctrgcn120", "pyskl")},
        "psumnet": "ctrgcn",
        "brl": "pyskl",
    }
    lengths = {name: [(s.rule, s.frames) for s in PRESETS[name].length] for name in ("isc", "ctrgcn", "pyskl", "brl", "nwucla")}
    assert lengths == {
        "isc": [("replay", 300), ("crop_resize", 64)],
        "ctrgcn": [("pad", 300), ("crop_resize", 64)],
        "pyskl": [("uniform", 100)],
        "brl": [("uniform", 64)],
        "nwucla": [("evenly", 52)],
    }
    assert [n for n, p in PRESETS.items() if p.second == "copy"] == ["ctrgcn120"]
    assert [n for n, p in PRESETS.items() if p.gaps == "dropped"] == ["pyskl", "brl"]


@pytest.mark.parametrize("name", PRESETS)
def test_empty_input(name: str) -> None:
    t = FIT[name][0] if name not in ("isc", "agcn") else KINECT
    for N, T in ((0, 5), (2, 0)):
        x = torch.zeros(N, t.dims, T, t.V, 2)
        y, n = preset(name).run(x, torch.zeros(N, dtype=torch.int64), t, size=torch.full((N, 2), 100.0))
        assert y.shape == x.shape and n.tolist() == [0] * N


@pytest.mark.parametrize("name", PRESETS)
def test_float32_is_close_to_float64(name: str) -> None:
    t = FIT[name][0] if name not in ("isc", "agcn") else KINECT
    x = torch.rand(3, t.dims, 9, t.V, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    n, size = torch.tensor([9, 4, 1]), torch.tensor([[2.0, 3.0]] * 3)
    a, b = (preset(name).apply(x.to(dtype), n, t, size=size) for dtype in (torch.float32, torch.float64))
    assert a.dtype == torch.float32
    torch.testing.assert_close(a.double(), b, rtol=1e-5, atol=1e-5)


def test_a_topology_that_lacks_a_joint_is_told_which() -> None:
    n = torch.tensor([2])

    def run(name: str, t: Topology, C: int = 3, **more: torch.Tensor) -> None:
        preset(name).run(torch.ones(1, C, 2, t.V, 1), n, t, **more)

    with pytest.raises(DataError, match="preset 'pyskl' turns by the spine, topology 'ntu_x_67' names none"):
        run("pyskl", topology("ntu_x_67"))
    lone = Topology(name="lone", joints=("a", "b"), parents=(-1, 0), spine=(0, 1))
    with pytest.raises(DataError, match="preset 'pyskl' turns by the shoulders, topology 'lone' names none"):
        run("brl", lone)
    with pytest.raises(DataError, match="topology 'coco_17' has 2 coordinates; take 'pyskl2d'"):
        run("pyskl", COCO)
    with pytest.raises(DataError, match="preset 'shrec' needs the joint 'wrist', topology 'kinect_v2_25' has none"):
        run("shrec", KINECT)
    with pytest.raises(DataError, match="'middle_base' or 'middle_mcp', topology 'arm' has none"):
        run("shrec", Topology(name="arm", joints=("wrist", "x"), parents=(-1, 0)))
    with pytest.raises(DataError, match=r"needs width and height of the picture: columns .* take 'pyskl2d_auto'"):
        run("pyskl2d", COCO)
    with pytest.raises(DataError, match=r"picture \(clip 0 of the batch has none\)"):
        run("pyskl2d", COCO, size=torch.zeros(1, 2))
    with pytest.raises(DataError, match=r"sizes of pictures have shape \(2,\), wanted \(1, 2\)"):
        run("kinetics", COCO, size=torch.zeros(2))
    for name in PICTURES:
        with pytest.raises(DataError, match="for joints in pictures, topology 'kinect_v2_25' has 3 coordinates"):
            run(name, KINECT, size=torch.ones(1, 2))
    with pytest.raises(DataError, match="import with bodies=2"):
        run("ctrgcn120", KINECT)
    with pytest.raises(DataError, match="wants coordinates from 0 to 1, these reach 640"):
        preset("kinetics").run(torch.full((1, 3, 2, 17, 1), 640.0), n, COCO)
    with pytest.raises(DataError, match=r"4 channels, wanted 2 coordinates \(topology 'coco_17'\)"):
        run("ctrgcn", COCO, 4)


def test_no_preset_is_applied_twice() -> None:
    def left(name: str, *baked: str) -> tuple[bool, int]:
        p = to_apply(name, baked, where="'set'")
        return p.steps is PRESETS["none"].steps, p.vertical

    assert left("isc") == (False, 2) and left("isc", "rotated by hand", "none", "stgcn") == (False, 2)
    assert left("isc", "isc") == left("agcn", "isc") == left("isc", "note", "agcn") == (True, 2)
    assert left("none", "isc") == left("stgcn", "pyskl") == (True, 2)  # as stored, and z is up there
    assert left("psumnet", "ctrgcn") == (True, 1)
    for name, baked in (("isc", "ctrgcn"), ("ctrgcn", "ctrgcn120"), ("pyskl", "isc")):
        with pytest.raises(ConfigError, match=f"'set' was stored with the preset '{baked}', so '{name}' cannot be applied"):
            to_apply(name, (baked,), where="'set'")
    with pytest.raises(ConfigError, match="no preset called 'x'"):
        to_apply("x", ("isc",), where="'set'")


reference = pytest.mark.skipif("SKELBENCH_REFERENCE" not in os.environ, reason="needs the reference arrays")


def case(name: str) -> np.lib.npyio.NpzFile:
    return np.load(Path(os.environ["SKELBENCH_REFERENCE"]) / f"{name}.npz")


@reference
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_published_pyskl(dtype: torch.dtype) -> None:
    z = case("brl_data_a")
    x = torch.from_numpy(z["input/keypoint"]).permute(3, 1, 2, 0)[None].to(dtype)
    y, n = preset("pyskl").run(x, torch.tensor([70]), KINECT)
    assert int(n) == int(z["output/total_frames"])
    np.testing.assert_allclose(y[0, :, : int(n)].permute(3, 1, 2, 0).numpy(), z["output/normalised"], rtol=0, atol=1e-5)


@reference
@pytest.mark.parametrize(("name", "set"), [("ctrgcn", "ntu60"), ("psumnet", "ntu60"), ("ctrgcn120", "ntu120")])
def test_published_ctrgcn(name: str, set: str) -> None:
    z = case("ctrgcn_transform_a")
    wanted = z[f"output/feeder_{set}"]  # (N, C, T, V, M)
    clips = [z[f"input/{i}"].reshape(len(z[f"input/{i}"]), -1, 25, 3) for i in range(len(wanted))]
    clips = [np.pad(c, ((0, 0), (0, 2 - c.shape[1]), (0, 0), (0, 0))) for c in clips]
    x, lengths = batch(clips)
    y, after = preset(name).run(x, lengths, KINECT)
    assert torch.equal(after, lengths)
    np.testing.assert_allclose(y.numpy(), wanted, rtol=0, atol=1e-6)


@reference
def test_published_agcn() -> None:
    z = case("halp_isc_preprocess_a")
    x = torch.from_numpy(z["input/x"]).double()
    y, after = preset("agcn").run(x, torch.full((len(x),), x.shape[2]), KINECT)
    assert (after == x.shape[2]).all()
    np.testing.assert_allclose(y.numpy(), z["output/x"], rtol=0, atol=1e-5)
