"""Normalisation against a loop over clips, bodies, frames and joints, written from the description, in float64."""

import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from skelbench.errors import ConfigError, DataError
from skelbench.skeleton import (
    PRESETS,
    Topology,
    centre_per_frame,
    fill_null_frames,
    minimal_rotation,
    preset,
    rotate_to,
    topology,
)

KINECT = topology("kinect_v2_25")
STICK = Topology(name="stick", joints=("a", "b", "l", "r"), parents=(-1, 0, 1, 1), center=1, spine=(0, 1), shoulders=(2, 3))
LAYOUTS = [STICK, KINECT, *(topology(n) for n in ("cmu_asf_31", "coco_17", "ntu_x_67", "shrec17_hand_22"))]


def naive_fill(body: np.ndarray, n: int) -> np.ndarray:
    """(T, V, C) of one body: what stands in frames 0..n - 1 afterwards."""
    frames = [body[t] for t in range(n)]
    if not any(f.any() for f in frames):
        return np.zeros_like(body)
    if not frames[0].any():
        frames = [f for f in frames if f.any()]
    while not frames[-1].any():
        frames.pop()
    filled = [frames[t % len(frames)] for t in range(n)]
    return np.stack(filled + [np.zeros_like(body[0])] * (len(body) - n))


def naive_rotation(v: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Rodrigues' formula about v x u."""
    axis = np.array([v[1] * u[2] - v[2] * u[1], v[2] * u[0] - v[0] * u[2], v[0] * u[1] - v[1] * u[0]])
    size = math.sqrt(sum(axis**2))
    angle = math.atan2(size, float(v @ u))
    if size < 1e-6 or angle < 1e-6:
        return np.eye(3)
    x, y, z = axis / size
    K = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + math.sin(angle) * K + (1 - math.cos(angle)) * K @ K


def naive_isc(clip: np.ndarray, n: int, t: Topology) -> np.ndarray:
    """(T, M, V, C) of one clip with n frames."""
    T, M, V, C = clip.shape
    x = np.stack([naive_fill(clip[:, m], n) for m in range(M)], 1)
    y = np.zeros_like(x)
    for f in range(T):
        for m in range(M):
            for j in range(V):
                if sum(x[f, m, j]) != 0:
                    y[f, m, j] = x[f, m, j] - x[f, 0, t.center]
    if C != 3:
        return y
    for pair, axis in ((t.spine, 2), (t.shoulders, 0)):
        if pair is not None:
            R = naive_rotation(y[0, 0, pair[1]] - y[0, 0, pair[0]], np.eye(3)[axis])
            y = np.stack([[[R @ joint for joint in body] for body in frame] for frame in y])
    return y


@st.composite
def batches(draw: st.DrawFn) -> tuple[np.ndarray, list[int], Topology]:
    """Clips (N, T, M, V, C) with holes; small whole numbers bring zero sums, zero axes and exactly opposite axes along."""
    t = draw(st.sampled_from(LAYOUTS))
    N, T, M = draw(st.integers(1, 2)), draw(st.integers(1, 7)), draw(st.integers(1, 2))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = (N, T, M, t.V, t.dims)
    x = rng.integers(-2, 3, shape).astype(float) if draw(st.booleans()) else rng.normal(size=shape)
    if t.dims == 3 and t.spine and draw(st.booleans()):  # bodies that stand along z or head down, with shoulders along x
        x[..., t.spine[0], :2] = x[..., t.spine[1], :2] = 0
        if t.shoulders:
            x[..., t.shoulders[0], 1:] = x[..., t.shoulders[1], 1:] = 0
    seen = draw(st.lists(st.booleans(), min_size=N * T * M, max_size=N * T * M))
    x *= np.array(seen).reshape(N, T, M, 1, 1)
    lengths = [draw(st.integers(0, T)) for _ in range(N)]
    for n, length in enumerate(lengths):
        x[n, length:] = 0
    return x, lengths, t


def torch_batch(x: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(x).permute(0, 4, 1, 3, 2).contiguous()


@settings(max_examples=120, deadline=None)
@given(batches())
def test_isc_equals_the_loop(case: tuple[np.ndarray, list[int], Topology]) -> None:
    x, lengths, t = case
    expected = np.stack([naive_isc(clip, n, t) for clip, n in zip(x, lengths, strict=True)])
    y = preset("isc").apply(torch_batch(x), torch.tensor(lengths), t)
    np.testing.assert_allclose(y.permute(0, 2, 4, 3, 1).numpy(), expected, rtol=0, atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(batches(), st.integers(1, 4))
def test_padding_changes_nothing(case: tuple[np.ndarray, list[int], Topology], more: int) -> None:
    x, lengths, t = case
    n = torch.tensor(lengths)
    padded = np.concatenate([x, np.full_like(x[:, :1], 7).repeat(more, 1)], 1)  # whatever stands behind a clip's end is not read
    for name in ("none", "isc"):  # the others: test_presets.py
        y = preset(name).apply(torch_batch(x), n, t)
        z = preset(name).apply(torch_batch(padded), n, t)
        torch.testing.assert_close(z[:, :, : x.shape[1]], y, rtol=0, atol=1e-12)
        assert not z[:, :, x.shape[1] :].any()


def null_pattern(*seen: int) -> torch.Tensor:
    """(1, 1, T, 1, 1): frame t holds t + 1 where it is seen."""
    return torch.tensor([(t + 1) * s for t, s in enumerate(seen)], dtype=torch.float32).view(1, 1, -1, 1, 1)


@pytest.mark.parametrize(
    ("seen", "length", "expected"),
    [
        ((1, 1, 1), 3, (1, 2, 3)),
        ((1, 1, 0, 0, 0), 5, (1, 2, 1, 2, 1)),  # the tail repeats the clip
        ((1, 0, 1, 0, 0), 5, (1, 0, 3, 1, 0)),  # a hole inside stays, and is repeated
        ((0, 1, 0, 1, 0), 5, (2, 4, 2, 4, 2)),  # frame 0 is missing: all holes go
        ((0, 0, 0, 0, 1), 5, (5, 5, 5, 5, 5)),
        ((0, 0, 0), 3, (0, 0, 0)),
        ((1, 1, 0, 0, 0), 3, (1, 2, 1, 0, 0)),  # never past the length
        ((1, 1, 1, 1, 1), 2, (1, 2, 0, 0, 0)),
    ],
)
def test_null_frames(seen: tuple[int, ...], length: int, expected: tuple[int, ...]) -> None:
    assert fill_null_frames(null_pattern(*seen), torch.tensor([length])).flatten().tolist() == list(expected)


def test_centring_with_an_absent_first_body() -> None:
    x = torch.zeros(1, 3, 2, 4, 2)
    x[0, :, 0, :, 0] = 3.0
    x[0, :, :, :, 1] = 5.0
    x[0, :, 0, 2, 1] = torch.tensor([1.0, -1.0, 0.0])  # sums to 0: published code takes it for absent
    y = centre_per_frame(x, 1)
    assert not y[0, :, 0, :, 0].any() and not y[0, :, 1, :, 0].any()
    assert (y[0, :, 0, [0, 1, 3], 1] == 2).all() and not y[0, :, 0, 2, 1].any()
    assert (y[0, :, 1, :, 1] == 5).all()  # nothing to subtract: stays where it stood


vectors = st.tuples(*[st.floats(-3, 3, allow_subnormal=False)] * 3)


@settings(max_examples=120, deadline=None)
@given(vectors, st.sampled_from([0, 1, 2]))
def test_minimal_rotation(v: tuple[float, float, float], axis: int) -> None:
    u = torch.eye(3, dtype=torch.float64)[axis]
    vector = torch.tensor([v], dtype=torch.float64)
    R = minimal_rotation(vector, u)[0]
    torch.testing.assert_close(R @ R.T, torch.eye(3, dtype=torch.float64), rtol=0, atol=1e-9)
    assert float(torch.linalg.det(R)) == pytest.approx(1)
    np.testing.assert_allclose(R.numpy(), naive_rotation(vector[0].numpy(), u.numpy()), atol=1e-7)
    across = torch.linalg.cross(vector[0], u).norm()
    if across > 1e-5:
        torch.testing.assert_close(R @ vector[0], u * vector.norm(), rtol=0, atol=1e-9)
        cosine = float(vector[0] @ u / vector.norm())
        assert float(R.trace()) == pytest.approx(1 + 2 * cosine)  # no turn beyond the angle between them


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_turn_where_there_is_none(dtype: torch.dtype) -> None:
    v = torch.tensor([[0, 0, 0], [0, 0, 2.5], [0, 0, -2.5], [1e-7, 0, -2.5], [1e-7, 0, 2.5]], dtype=dtype)
    R = minimal_rotation(v, torch.eye(3, dtype=dtype)[2])
    assert torch.equal(R, torch.eye(3, dtype=dtype).expand(5, 3, 3)) and R.dtype == dtype
    nearly = minimal_rotation(torch.tensor([[1e-4, 0, -1.0]], dtype=dtype), torch.eye(3, dtype=dtype)[2])[0]
    torch.testing.assert_close(nearly @ nearly.T, torch.eye(3, dtype=dtype), rtol=0, atol=1e-5)
    torch.testing.assert_close(nearly[:, 2], torch.tensor([1e-4, 0, -1], dtype=dtype), rtol=0, atol=2e-4)


def test_isc_puts_the_body_into_its_frame() -> None:
    g = torch.Generator().manual_seed(3)
    x = torch.randn(4, 3, 6, 25, 2, generator=g)
    y = preset("isc").apply(x, torch.full((4,), 6), KINECT)
    assert y.dtype == torch.float32 and y.shape == x.shape
    assert not y[:, :, :, 1, 0].any()  # spine of the first body, every frame
    shoulders = y[:, :, 0, 8, 0] - y[:, :, 0, 4, 0]
    assert (shoulders[:, 0] > 0).all() and shoulders[:, 1:].abs().max() < 1e-5
    # lengths do not change: the sheet has no scale
    bones, before = (z[:, :, :, 5] - z[:, :, :, 4] for z in (y, x))
    torch.testing.assert_close(bones.norm(dim=1), before.norm(dim=1))


def test_rotate_to_turns_whole_clips_by_their_first_frame() -> None:
    x = torch.randn(2, 3, 4, 4, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = rotate_to(x, (0, 1), 2)
    for n in range(2):
        R = torch.from_numpy(naive_rotation((x[n, :, 0, 1, 0] - x[n, :, 0, 0, 0]).numpy(), np.array([0.0, 0, 1])))
        torch.testing.assert_close(y[n], torch.einsum("cd,dtvm->ctvm", R, x[n]))


def test_presets_say_which_way_is_up() -> None:
    assert (preset("isc").lateral, preset("isc").vertical) == (0, 2)
    assert (preset("none").lateral, preset("none").vertical) == (0, 1)
    assert {name for name, p in PRESETS.items() if p.vertical == 2} == {"isc", "agcn", "pyskl", "brl"}
    assert all(PRESETS[name].name == name and PRESETS[name].doc for name in PRESETS)


def test_errors() -> None:
    x, n = torch.zeros(2, 3, 4, 25, 1), torch.tensor([4, 4])
    with pytest.raises(ConfigError, match="there are: none, isc"):
        preset("ISC")
    with pytest.raises(DataError, match="V = 20"):
        preset("isc").apply(x, n, topology("kinect_v1_20"))
    with pytest.raises(DataError, match="lengths"):
        preset("none").apply(x, n + 1, KINECT)
    with pytest.raises(DataError, match=r"4 channels, wanted 2 coordinates \(topology 'coco_17'\), with or without a score"):
        preset("isc").apply(torch.zeros(1, 4, 2, 17, 1), torch.tensor([2]), topology("coco_17"))


@pytest.mark.skipif("SKELBENCH_REFERENCE" not in os.environ, reason="needs the reference arrays")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_published_normalisation(dtype: torch.dtype) -> None:
    z = np.load(Path(os.environ["SKELBENCH_REFERENCE"]) / "halp_isc_preprocess_a.npz")
    x = torch.from_numpy(z["input/x"]).to(dtype)
    y = preset("isc").apply(x, torch.full((len(x),), x.shape[2]), KINECT)
    np.testing.assert_allclose(y.numpy(), z["output/x"], rtol=0, atol=1e-5)
