"""Streams against loops over joints and frames, for every layout, and against the published arrays."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from skelbench.errors import ConfigError, DataError
from skelbench.skeleton import STREAMS, Topology, ancestors, bone, motion, skip, stream, topologies, topology

KINECT = topology("kinect_v2_25")


def clips(t: Topology, N: int = 2, C: int = 3, T: int = 5, M: int = 2) -> torch.Tensor:
    return torch.randn(N, C, T, t.V, M, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def differences(x: torch.Tensor, origin: dict[int, int]) -> torch.Tensor:
    y = torch.zeros_like(x)
    for child, parent in origin.items():
        y[:, :, :, child] = x[:, :, :, child] - x[:, :, :, parent]
    return y


def steps(x: torch.Tensor) -> torch.Tensor:
    y = torch.zeros_like(x)
    for t in range(x.shape[2] - 1):
        y[:, :, t] = x[:, :, t + 1] - x[:, :, t]
    return y


@pytest.mark.parametrize("name", topologies())
def test_streams_equal_loops(name: str) -> None:
    t = topology(name)
    x = clips(t, C=t.dims)
    bones = differences(x, dict(t.bones))
    grand = {j: t.parents[p] for j, p in t.bones if t.parents[p] >= 0}
    skips = differences(x, grand)
    expected = {
        "joint": x,
        "bone": bones,
        "motion": steps(x),
        "skip": skips,
        "bone_motion": steps(bones),
        "skip_motion": steps(skips),
    }
    assert set(expected) == set(STREAMS)
    for key, y in expected.items():
        torch.testing.assert_close(stream(key, x, t), y, rtol=0, atol=0)


def test_skip_prefers_the_layout_s_own_table() -> None:
    assert ancestors(KINECT, 2) == KINECT.ancestors["2_brl_skip"]
    table = (0, 0, 1)
    t = Topology(name="t", joints=("a", "b", "c"), parents=(-1, 0, 1), ancestors={"22_no": (0, 0, 0), "2_odd": table})
    x = clips(t)
    torch.testing.assert_close(skip(x, t), x - x[:, :, :, list(table)])
    torch.testing.assert_close(skip(x, t, hops=1), bone(x, t))
    assert ancestors(t, 3) == (0, 1, 2)


def test_bones_of_another_edge_list() -> None:
    x = clips(KINECT)
    pairs = KINECT.edges["pyskl_brl_graph"]
    torch.testing.assert_close(bone(x, KINECT, "pyskl_brl_graph"), differences(x, dict(pairs)))
    torch.testing.assert_close(bone(x, KINECT, [(3, 20)]), differences(x, {3: 20}))
    assert not torch.equal(bone(x, KINECT, "pyskl_brl_graph"), bone(x, KINECT))


def test_a_single_frame_does_not_move() -> None:
    x = clips(KINECT, T=1)
    assert motion(x).shape == x.shape and not motion(x).any()


@pytest.mark.parametrize("key", STREAMS)
def test_dtype_and_gradient_pass_through(key: str) -> None:
    x = clips(KINECT).float().requires_grad_()
    y = stream(key, x, KINECT)
    assert y.dtype == torch.float32
    (y * y).sum().backward()
    assert x.grad is not None and x.grad.any()


def test_errors() -> None:
    x = clips(KINECT)
    with pytest.raises(ConfigError, match="there are: joint, bone, motion, skip"):
        stream("bones", x, KINECT)
    with pytest.raises(ConfigError, match="stgcn_ctrgcn_graph"):
        bone(x, KINECT, "tre")
    with pytest.raises(ConfigError, match="outside the 25 joints"):
        bone(x, KINECT, [(3, 25)])
    with pytest.raises(ConfigError, match="hops = 0"):
        skip(x, KINECT, hops=0)
    for key in STREAMS:
        with pytest.raises(DataError, match="V = 20"):
            stream(key, x, topology("kinect_v1_20"))


@pytest.mark.skipif("SKELBENCH_REFERENCE" not in os.environ, reason="needs the reference arrays")
def test_published_streams() -> None:
    z = np.load(Path(os.environ["SKELBENCH_REFERENCE"]) / "halp_bigru_a.npz")
    x = torch.from_numpy(z["input/clip"])
    for key in ("joint", "bone", "motion"):
        sequence = stream(key, x, KINECT).permute(0, 2, 3, 1, 4).flatten(2)  # (N, T, 6 joint + 2 coordinate + body)
        np.testing.assert_allclose(sequence.numpy(), z[f"output/{key}/stream"], rtol=0, atol=1e-5)
