"""One frame of every stretch, against a loop over clips and stretches."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from skelbench.errors import ConfigError
from skelbench.skeleton.sampling import segment_frames, take_frames

LENGTHS = torch.tensor([1, 5, 16, 17, 31, 32, 90, 300])


def test_middles_are_those_of_a_loop() -> None:
    found = segment_frames(LENGTHS, 16)
    for n, row in zip(LENGTHS.tolist(), found.tolist(), strict=True):
        if n < 16:
            wanted = [i % n for i in range(16)]
        else:
            cuts = [i * n // 16 for i in range(17)]
            wanted = [a + (b - a) // 2 for a, b in itertools.pairwise(cuts)]
        assert row == wanted


def test_draws_stay_in_their_stretch_and_reach_all_of_it() -> None:
    generator = torch.Generator().manual_seed(0)
    seen = torch.stack([segment_frames(LENGTHS, 16, generator=generator) for _ in range(400)])  # (400, N, 16)
    for i, n in enumerate(LENGTHS.tolist()):
        if n < 16:
            start = seen[:, i, :1]
            assert torch.equal(seen[:, i], (start + torch.arange(16)) % n) and len(start.unique()) == n
        else:
            for j in range(16):
                assert seen[:, i, j].unique().tolist() == list(range(j * n // 16, (j + 1) * n // 16))


def test_same_generator_same_frames() -> None:
    one, two = (segment_frames(LENGTHS, 8, generator=torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(one, two)


def test_taken_frames_are_those_frames() -> None:
    x, index = torch.randn(8, 3, 300, 5, 2), segment_frames(LENGTHS, 16, generator=torch.Generator().manual_seed(0))
    y, present = take_frames(x, index, dim=2), take_frames(x[:, 0, :, 0], index, dim=1)
    assert y.shape == (8, 3, 16, 5, 2) and present.shape == (8, 16, 2)
    for n in range(8):
        assert torch.equal(y[n], x[n][:, index[n]]) and torch.equal(present[n], x[n, 0, index[n], 0])


def test_no_frames() -> None:
    with pytest.raises(ConfigError, match="frames=0"):
        segment_frames(LENGTHS, 0)
    assert segment_frames(torch.tensor([0]), 4).tolist() == [[0, 0, 0, 0]]


@pytest.mark.skipif("SKELBENCH_REFERENCE" not in os.environ, reason="SKELBENCH_REFERENCE is not set")
def test_published_sampling_lies_in_the_same_stretches() -> None:
    """Long clips: PYSKL's drawn frame is one of the stretch. Short ones: the same walk round, from its start."""
    case = np.load(Path(os.environ["SKELBENCH_REFERENCE"]) / "pyskl_uniform_sample_a.npz")
    for key in (k for k in case.files if k.startswith("output/train/")):
        n, frames = case[key.replace("output/train", "input/frames_length")].tolist()
        published = torch.from_numpy(case[key])
        if n >= 2 * frames:
            bounds = torch.arange(frames + 1) * n // frames
            assert bool((published >= bounds[:-1]).all() and (published < bounds[1:]).all())
        elif n < frames:
            walk = segment_frames(torch.tensor([n]), frames)[0]
            assert torch.equal(published, (walk + published[0]) % n)
