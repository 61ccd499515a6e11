"""The numbers behind the long tail's charts, and a body mixed of two."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from skelbench.errors import ConfigError, DataError
from skelbench.explain.tail import Tail, mixed_body
from skelbench.parts.partial_mixup import halves
from skelbench.parts.rebalance import class_weights
from skelbench.skeleton.clip import Clip
from skelbench.skeleton.topology import topology

KINECT = topology("kinect_v2_25")


def test_classes_in_order_of_their_clips() -> None:
    found = Tail.of("abcdef", [5, 90, 0, 12, 3, 40])
    assert found.names == ("b", "f", "d", "a", "e") and found.counts.tolist() == [90, 40, 12, 5, 3]
    assert found.shown.tolist() == pytest.approx([90, 40, 90, 90, 90])  # from place 2 floor(5 / 3) on
    torch.testing.assert_close(found.weights, class_weights("action_aware", found.counts))
    torch.testing.assert_close(found.say, found.shown * found.weights * 5 / (found.shown * found.weights).sum())
    level = Tail.of("abcdef", [5, 90, 0, 12, 3, 40], weigh="shown", loss="class_balanced")
    assert float(level.say.max() / level.say.min()) < 1.06 < float(found.say.max() / found.say.min())
    assert found.groups == ("many", "medium", "few", "few", "few")


def test_a_profile() -> None:
    found = Tail.profile("abcd", imbalance=8, largest=80, loss="ce")
    assert found.counts.tolist() == [80, 40, 20, 10] and found.weights.tolist() == [1.0] * 4
    with pytest.raises(ConfigError, match="leaves the last class none"):
        Tail.profile("abcd", imbalance=800, largest=80)
    with pytest.raises(ConfigError, match="weigh='both'"):
        Tail.of("ab", [1, 2], weigh="both")
    for counts in ([0, 0], [1, 2, 3]):
        with pytest.raises(DataError, match="wanted one a class"):
            Tail.of("ab", counts)


def clip(label: int, *, T: int = 9, M: int = 1, seed: int = 0, layout=KINECT) -> Clip:
    x = np.random.default_rng(seed).normal(size=(T, M, layout.V, 3)).astype(np.float32)
    return Clip(joints=x, topology=layout, label=label, id=f"clip{seed}")


def test_a_body_of_two() -> None:
    anchor, partner = clip(0, T=9, M=2, seed=1), clip(1, T=6, seed=2)
    found = mixed_body(anchor, partner, [10, 6], ["walk", "wave"])
    assert [c.joints.shape for c in found.clips] == [(6, 2, 25, 3)] * 4
    upper, lower = halves(KINECT)
    one, other, mixed, official = (c.joints for c in found.clips)
    root = KINECT.root
    np.testing.assert_allclose(one, anchor.joints[:6] - anchor.joints[0, 0, root], atol=1e-6)
    assert np.abs(other[:, 1]).max() == 0  # who is not there stays away
    assert np.array_equal(mixed[:, :, list(upper)], one[:, :, list(upper)])
    assert np.array_equal(mixed[:, :, list(lower)], other[:, :, list(lower)])
    assert np.array_equal(official, mixed[:, :, [*upper, *lower]]) and not np.array_equal(official, mixed)
    assert found.weight == 0.64 and found.titles[2] == "mixed: 0.64 walk, 0.36 wave" and "(10 clips)" in found.titles[0]
    assert mixed_body(anchor, partner, [100, 6], ["walk", "wave"]).weight == 0.0
    with pytest.raises(DataError, match="different skeletons"):
        mixed_body(anchor, clip(1, layout=topology("coco_17")), [1, 1], ["walk", "wave"])
    with pytest.raises(DataError, match="need labels"):
        mixed_body(anchor, clip(-1), [1, 1], ["walk", "wave"])
