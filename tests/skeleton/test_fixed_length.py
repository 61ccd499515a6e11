"""Frames drawn and clips brought to one length, against loops over single clips and against published frame numbers."""

import itertools
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from skelbench.errors import ConfigError
from skelbench.skeleton import preset, topology
from skelbench.skeleton.fixed_length import pad_to, replay_to, to_length
from skelbench.skeleton.normalise import Length
from skelbench.skeleton.sampling import drawn_frames, even_frames, uniform_frames, uniform_test_frames

LENGTHS = torch.tensor([1, 3, 9, 15, 16, 17, 24, 31, 32, 33, 90, 300])
reference = pytest.mark.skipif("SKELBENCH_REFERENCE" not in os.environ, reason="needs the reference arrays")


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def clips(lengths: list[int], *, V: int = 4, M: int = 2, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.randn(len(lengths), 3, max(lengths), V, M, generator=seeded(seed), dtype=torch.float64)
    n = torch.tensor(lengths)
    return x * (torch.arange(max(lengths)) < n[:, None])[:, None, :, None, None], n


def case(name: str) -> np.lib.npyio.NpzFile:
    return np.load(Path(os.environ["SKELBENCH_REFERENCE"]) / f"{name}.npz")


# --- which frames ---------------------------------------------------------------------------------------------------------


def test_uniform_draws_keep_the_rule_and_reach_everything() -> None:
    L = 16
    g = seeded()
    draws = torch.stack([uniform_frames(LENGTHS, L, generator=g) for _ in range(600)])  # (600, N, L)
    for i, n in enumerate(LENGTHS.tolist()):
        seen = draws[:, i]
        if n < L:
            assert torch.equal(seen, (seen[:, :1] + torch.arange(L)) % n)
            assert seen[:, 0].unique().tolist() == list(range(n))
        elif n < 2 * L:
            assert (seen.diff(dim=1) > 0).all() and int(seen.min()) >= 0 and int(seen.max()) < n
            gaps = torch.stack([seen[:, 0] > 0, *(seen.diff(dim=1) > 1).unbind(1), seen[:, -1] < n - 1], 1)
            assert (gaps.sum(1) == n - L).all()
            assert (gaps.double().mean(0) - (n - L) / (L + 1)).abs().max() < 0.1  # every gap as often as any other
        else:
            low = torch.tensor([j * n // L for j in range(L + 1)])
            assert (seen >= low[:-1]).all() and (seen < low[1:]).all()
            assert all(seen[:, j].unique().numel() == low[j + 1] - low[j] for j in range(L))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 60), st.integers(1, 24), st.integers(0, 2**31))
def test_drawn_frames_equal_the_loop(n: int, L: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    start = int(rng.integers(n))
    chosen = set(rng.choice(L + 1, max(0, min(n - L, L + 1)), replace=False).tolist())
    bounds = [j * n // L for j in range(L + 1)]
    offset = [int(rng.integers(max(1, b - a))) for a, b in itertools.pairwise(bounds)]
    if n < L:
        expected = [(start + t) % n for t in range(L)]
    elif n < 2 * L:
        expected = [t + sum(1 for c in chosen if c <= t) for t in range(L)]
    else:
        expected = [b + o for b, o in zip(bounds[:-1], offset, strict=True)]
    gaps = torch.tensor([[c in chosen for c in range(L + 1)]])
    found = drawn_frames(torch.tensor([n]), L, start=torch.tensor([start]), gaps=gaps, offset=torch.tensor([offset]))
    assert found[0].tolist() == expected


def test_draws_hang_on_the_generator_alone() -> None:
    torch.manual_seed(0)
    np.random.seed(0)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    a, b = (uniform_frames(LENGTHS, 8, generator=seeded(3)) for _ in range(2))
    assert torch.equal(a, b) and not torch.equal(a, uniform_frames(LENGTHS, 8, generator=seeded(4)))
    # the draws of a clip do not hang on the lengths of the others
    other = uniform_frames(torch.cat([LENGTHS[:-1], torch.tensor([7])]), 8, generator=seeded(3))
    assert torch.equal(a[:-1], other[:-1])
    c = uniform_test_frames(LENGTHS, 8, clips=3)
    assert torch.equal(c, uniform_test_frames(LENGTHS.flip(0), 8, clips=3).flip(0)) and c.shape == (12, 3, 8)
    assert not torch.equal(c, uniform_test_frames(LENGTHS, 8, clips=3, seed=1))
    assert torch.equal(before[0], torch.get_rng_state()) and np.array_equal(before[1], np.random.get_state()[1])


def test_test_clips_start_where_they_should() -> None:
    found = uniform_test_frames(torch.tensor([4, 15]), 16, clips=10)
    assert found[0, :, 0].tolist() == [c % 4 for c in range(10)]
    assert found[1, :, 0].tolist() == [c * 15 // 10 for c in range(10)]
    assert torch.equal(found[1], (found[1, :, :1] + torch.arange(16)) % 15)


def test_even_frames() -> None:
    found = even_frames(torch.tensor([1, 5, 52, 201]), 52)
    for n, row in zip((1, 5, 52, 201), found.tolist(), strict=True):
        assert row == [int(i * (n - 1) / 51 + 1e-9) for i in range(52)]
    drawn = even_frames(torch.full((3000,), 7), 5, generator=seeded())
    assert (drawn.diff(dim=1) >= 0).all() and torch.equal(drawn.unique(), torch.arange(7))
    share = torch.bincount(drawn.flatten(), minlength=7) / drawn.numel()
    assert (share - 1 / 7).abs().max() < 0.02  # with replacement, none preferred
    assert even_frames(torch.tensor([9]), 1).tolist() == [[0]]


def test_frames_that_cannot_be_had() -> None:
    for draw in (
        lambda: uniform_frames(LENGTHS, 0, generator=seeded()),
        lambda: uniform_test_frames(LENGTHS, -1),
        lambda: even_frames(LENGTHS, 0),
    ):
        with pytest.raises(ConfigError, match="at least one frame"):
            draw()
    with pytest.raises(ConfigError, match="clips=0"):
        uniform_test_frames(LENGTHS, 8, clips=0)


@reference
def test_published_frames() -> None:
    z = case("pyskl_uniform_sample_a")
    jobs = json.loads(str(z["meta"]))["jobs"]
    for job in (f"{i:02d}" for i in range(len(jobs))):
        n, L = (int(v) for v in z[f"input/frames_length/{job}"])
        lengths = torch.tensor([n])
        start = torch.from_numpy(z[f"input/start/{job}"])[None] if n < L else torch.zeros(1, dtype=torch.int64)
        gaps = torch.zeros(1, L + 1, dtype=torch.bool)
        if L <= n < 2 * L:
            gaps[0, z[f"input/gaps/{job}"]] = True
        offset = torch.from_numpy(z[f"input/offset/{job}"])[None] if n >= 2 * L else torch.zeros(1, L, dtype=torch.int64)
        train = drawn_frames(lengths, L, start=start, gaps=gaps, offset=offset)[0]
        assert np.array_equal(train, z[f"output/train/{job}"])
        assert np.array_equal(uniform_test_frames(lengths, L, clips=10)[0], z[f"output/test_10_clips/{job}"])
        assert np.array_equal(uniform_test_frames(lengths, L)[0, 0], z[f"output/test_1_clip/{job}"])


@reference
def test_published_test_clips() -> None:
    z = case("brl_data_a")
    one = uniform_test_frames(torch.tensor([66]), 64)
    assert np.array_equal(one.flatten(), z["output/test_frame_indices/1_clip"])
    assert np.array_equal(uniform_test_frames(torch.tensor([66]), 64, clips=10).flatten(), z["output/test_frame_indices/10_clips"])
    x = torch.from_numpy(z["input/keypoint"]).permute(3, 1, 2, 0)[None]
    x, n = preset("brl").run(x, torch.tensor([70]), topology("kinect_v2_25"))
    y, full = to_length(x, n, preset("brl").length)
    assert full.tolist() == [64]
    np.testing.assert_allclose(y[0].permute(3, 1, 2, 0).numpy(), z["output/test_clips/j"][0], rtol=0, atol=1e-5)


# --- one length -----------------------------------------------------------------------------------------------------------


def test_padding_and_cutting() -> None:
    x, n = clips([5, 9, 2])
    y, m = pad_to(x, n, 12)
    assert y.shape[2] == 12 and m.tolist() == [5, 9, 2] and torch.equal(y[:, :, :9], x) and not y[:, :, 9:].any()
    y, m = pad_to(x, n, 4)
    assert m.tolist() == [4, 4, 2] and torch.equal(y, x[:, :, :4])
    y, m = to_length(x, n, [Length(rule="cut", frames=6)])
    assert y.shape[2] == 6 and m.tolist() == [5, 6, 2]
    y, m = to_length(x, n, [Length(rule="cut", frames=60)])
    assert torch.equal(y, x) and torch.equal(m, n)


def test_replay_repeats_each_body_from_its_start() -> None:
    x, n = clips([5, 3])
    x[0, :, 3:, :, 1] = 0  # the second body leaves after three frames
    y = replay_to(x, n, 11)
    for clip, body, shown in ((0, 0, 5), (0, 1, 3), (1, 0, 3), (1, 1, 3)):
        order = [t % shown for t in range(11)]
        assert torch.equal(y[clip, ..., body], x[clip, :, order, :, body])
    assert torch.equal(replay_to(x, n, 2), x[:, :, :2])


@pytest.mark.parametrize("name", ["isc", "ctrgcn", "psumnet", "pyskl", "brl", "nwucla", "mamp_pku", "stgcn", "shrec"])
def test_published_lengths(name: str) -> None:
    x, n = clips([7, 80, 310])
    for generator in (None, seeded(2)):
        y, m = to_length(x, n, preset(name).length, generator=generator)
        last = preset(name).length[-1]
        assert y.shape == (3, 3, last.frames, 4, 2)
        assert m.tolist() == ([min(k, last.frames) for k in (7, 80, 310)] if last.rule == "pad" else [last.frames] * 3)
    again, _ = to_length(x, n, preset(name).length, generator=seeded(2))
    assert torch.equal(again, y)


def test_a_padded_clip_is_cut_within_its_own_frames() -> None:
    x, n = clips([30, 100])
    direct, _ = to_length(x, n, preset("psumnet").length)
    padded, _ = to_length(x, n, preset("ctrgcn").length)
    replayed, _ = to_length(x, n, preset("isc").length)
    torch.testing.assert_close(padded, direct)
    torch.testing.assert_close(replayed, direct)


def test_no_frames_no_length() -> None:
    with pytest.raises(ConfigError, match="length rule 'pad': 0 frames"):
        to_length(*clips([3]), [Length(rule="pad", frames=0)])


@reference
def test_published_feeders() -> None:
    z = case("psumnet_data_a")
    n = torch.tensor([json.loads(str(z["meta"]))["valid_frames"]])
    y, _ = to_length(torch.from_numpy(z["input/sequence"])[None], n, preset("psumnet").length)
    np.testing.assert_allclose(y[0].numpy(), z["output/sequence/resized"], rtol=0, atol=1e-5)
    z = case("psumnet_other_data_a")
    x = torch.from_numpy(z["input/shrec/sequence"])[None]
    y, n = to_length(x, torch.tensor([x.shape[2]]), preset("shrec").length)
    assert n.tolist() == [97] and y.shape[2] == 180
    np.testing.assert_allclose(y[0].numpy(), z["output/shrec/hand"][:3], rtol=0, atol=1e-6)
