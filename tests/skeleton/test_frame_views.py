"""Which frames are shown, and one window for all modalities: pictures and joints stay on one another."""

import dataclasses

import numpy as np
import pytest
import torch

from skelbench.errors import ConfigError, DataError
from skelbench.skeleton.clip import batch_of
from skelbench.skeleton.frame_views import FrameViews, segments, through
from skelbench.skeleton.topology import topology

KINECT = topology("kinect_v2_25")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def with_dots(N=3, T=2, S=64):
    """Pictures that are black but for one bright square at one joint of each side, and the joints' places."""
    rng = np.random.default_rng(0)
    batch = batch_of(rng.normal(size=(N, 4, 1, 25, 3)).astype(np.float32))
    places = torch.zeros(N, T, 25, 1, 2)
    frames = {"rgb": torch.zeros(N, 3, T, S, S), "depth": torch.ones(N, 1, T, S, S), "ir": torch.zeros(N, 1, T, S, S)}
    for n in range(N):
        for t in range(T):
            for joint, channel in ((KINECT.joint("left_hand"), 0), (KINECT.joint("right_hand"), 1)):
                x, y = (int(k) for k in rng.integers(24, 40, 2))
                x += 8 if channel else -8
                places[n, t, joint, 0] = torch.tensor([(x + 0.5) / S, (y + 0.5) / S])
                frames["rgb"][n, channel, t, y - 1 : y + 2, x - 1 : x + 2] = 1
                frames["depth"][n, 0, t, y - 1 : y + 2, x - 1 : x + 2] = 0.25
                frames["ir"][n, 0, t, y - 1 : y + 2, x - 1 : x + 2] = 1
    return dataclasses.replace(batch, frames=frames, frame_joints=places, frame_index=torch.zeros(N, T, dtype=torch.int64))


def test_segments_are_the_middles_of_equal_stretches():
    found = segments(torch.tensor([8, 9, 3, 100]), 4)
    for length, row in zip((8, 9, 3, 100), found.tolist(), strict=True):
        assert row == [min(int((k + 0.5) * length / 4), length - 1) for k in range(4)]
    drawn = torch.stack([segments(torch.tensor([100, 7]), 5, generator(s)) for s in range(300)])
    for n, length in enumerate((100, 7)):
        for k in range(5):
            low, high = k * length / 5, (k + 1) * length / 5
            assert set(drawn[:, n, k].tolist()) == set(range(int(low), int(np.ceil(high))))
    assert torch.equal(segments(torch.tensor([50]), 5, generator(1)), segments(torch.tensor([50]), 5, generator(1)))
    with pytest.raises(ConfigError, match="frames = 0"):
        segments(torch.tensor([5]), 0)
    with pytest.raises(DataError, match="without frames"):
        segments(torch.tensor([5, 0]), 2)


def test_a_window_is_what_the_nearest_or_mixed_pixels_say():
    """Against one pixel at a time: where it looks, and between which pixels."""
    g, S = generator(), 12
    batch = batch_of(np.ones((2, 4, 1, 25, 3), np.float32))
    video = {"rgb": torch.rand(2, 3, 2, S, S, generator=g), "depth": torch.rand(2, 1, 2, S, S, generator=g)}
    windows = torch.tensor([[0.1, 0.2, 0.7, 0.0], [0.05, 0.0, 0.9, 1.0]])
    seen = through(dataclasses.replace(batch, frames=video), KINECT, windows).frames
    for n in range(2):
        left, top, side, mirror = windows[n].tolist()
        for i in range(S):
            for j in range(S):
                u, v = (j + 0.5) / S, (i + 0.5) / S
                u = 1 - u if mirror else u
                x, y = (left + side * u) * S - 0.5, (top + side * v) * S - 0.5
                near = video["depth"][n, 0, :, min(max(round(y), 0), S - 1), min(max(round(x), 0), S - 1)]
                if abs(x % 1 - 0.5) > 1e-3 and abs(y % 1 - 0.5) > 1e-3:
                    assert torch.equal(seen["depth"][n, 0, :, i, j], near)
                x, y = min(max(x, 0), S - 1), min(max(y, 0), S - 1)
                x0, y0 = min(int(x), S - 2), min(int(y), S - 2)
                a, b = x - x0, y - y0
                p = video["rgb"][n]
                mixed = (1 - b) * ((1 - a) * p[:, :, y0, x0] + a * p[:, :, y0, x0 + 1])
                mixed = mixed + b * ((1 - a) * p[:, :, y0 + 1, x0] + a * p[:, :, y0 + 1, x0 + 1])
                torch.testing.assert_close(seen["rgb"][n, :, :, i, j], mixed, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("mirror", (0.0, 1.0))
def test_joints_move_with_the_pictures_of_every_modality(mirror):
    batch = with_dots()
    views = FrameViews(scale=(0.6, 0.9), mirror=mirror)
    seen = views.view(batch, KINECT, generator(1))
    S = 64
    for n in range(3):
        for t in range(2):
            for joint, channel in ((KINECT.joint("left_hand"), 0), (KINECT.joint("right_hand"), 1)):
                x, y = seen.frame_joints[n, t, joint, 0].tolist()
                if not (0.05 < x < 0.95 and 0.05 < y < 0.95):
                    continue
                # A mirrored person's left hand carries what the right one did.
                colour = 1 - channel if mirror else channel
                assert float(seen.frames["rgb"][n, colour, t, int(y * S), int(x * S)]) > 0.9
                assert float(seen.frames["depth"][n, 0, t, int(y * S), int(x * S)]) == 0.25
                assert float(seen.frames["ir"][n, 0, t, int(y * S), int(x * S)]) > 0.9
    assert set(seen.frames["depth"].unique().tolist()) == {0.25, 1.0}  # never a depth that nothing has
    assert not seen.frame_joints[:, :, 0].any()  # absent stays absent
    assert seen.joints is batch.joints and seen.frame_index is batch.frame_index


def test_one_draw_a_clip_and_none_changes_nothing():
    batch = with_dots()
    still = FrameViews(scale=(1.0, 1.0), mirror=0.0).view(batch, KINECT, generator())
    for name in batch.frames:
        torch.testing.assert_close(still.frames[name], batch.frames[name])
    torch.testing.assert_close(still.frame_joints, batch.frame_joints)
    drawn = FrameViews(scale=(0.5, 1.0)).draw(2000, generator())
    side, mirror = drawn[:, 2], drawn[:, 3]
    assert 0.5 <= float(side.min()) < 0.51 and 0.99 < float(side.max()) <= 1
    assert bool((drawn[:, :2] >= 0).all()) and bool((drawn[:, :2] + side[:, None] <= 1 + 1e-6).all())
    assert 0.45 < float(mirror.mean()) < 0.55
    assert torch.equal(FrameViews().draw(5, generator(3)), FrameViews().draw(5, generator(3)))
    middle = FrameViews(scale=(0.5, 0.5), mirror=0, centred=True).draw(1, generator())
    assert middle.tolist() == [[0.25, 0.25, 0.5, 0.0]]


def test_views_that_make_no_sense_are_refused():
    with pytest.raises(ConfigError, match="scale"):
        FrameViews(scale=(0.9, 0.5))
    with pytest.raises(ConfigError, match="probability"):
        FrameViews(mirror=2)
    bare = batch_of(np.ones((2, 4, 1, 25, 3), np.float32))
    with pytest.raises(DataError, match="without pictures"):
        FrameViews().view(bare, KINECT, generator())
    with pytest.raises(DataError, match="windows have shape"):
        through(with_dots(), KINECT, torch.zeros(2, 4))
