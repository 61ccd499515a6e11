"""Partial mixup, joint by joint, and against the published batch."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from skelbench.errors import ConfigError, DataError
from skelbench.parts.partial_mixup import draw_pairs, halves, mixed_labels, partial_mixup, upper_weight
from skelbench.skeleton.topology import topology

KINECT = topology("kinect_v2_25")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("order", ["preserve", "official"])
def test_joint_by_joint(order: Any) -> None:
    x = torch.randn(6, 3, 4, 25, 2, generator=generator())
    anchors, partners = torch.tensor([4, 1]), torch.tensor([1, 0])  # 1 is mixed itself: 4 takes it as it was
    upper, lower = halves(KINECT)
    slots = range(25) if order == "preserve" else [*upper, *lower]
    expected = x.clone()
    for a, b in zip(anchors.tolist(), partners.tolist(), strict=True):
        for slot, joint in enumerate(slots):
            expected[a, :, :, slot] = x[a if joint in upper else b, :, :, joint]
    before = x.clone()
    assert torch.equal(partial_mixup(x, anchors, partners, KINECT, order=order), expected)
    assert torch.equal(x, before)
    labels = torch.tensor([5, 6, 7, 8, 9, 9])
    assert mixed_labels(labels, anchors, partners).tolist() == [5, 5, 7, 8, 6, 9]


def test_gradients_go_to_the_bodies_that_were_taken() -> None:
    x = torch.zeros(2, 3, 1, 25, 1, dtype=torch.float64, requires_grad=True)
    partial_mixup(x, torch.tensor([0]), torch.tensor([1]), KINECT)[0].sum().backward()
    assert isinstance(x.grad, Tensor)
    assert x.grad[0, 0, 0, :, 0].nonzero()[:, 0].tolist() == list(halves(KINECT)[0])
    assert x.grad[1, 0, 0, :, 0].nonzero()[:, 0].tolist() == list(halves(KINECT)[1])


def test_halves_of_every_layout_with_legs() -> None:
    upper, lower = halves(KINECT)
    assert lower == (0, *range(12, 20)) and len(upper) / 25 == 0.64
    assert len(halves(topology("kinect_v1_20"))[0]) / 20 == 0.55
    assert halves(topology("body_16"))[1] == (0, *range(10, 16))  # the hips carry nothing but legs and spine
    assert halves(topology("openpose_body25"))[1] == (8, 9, 10, 11, 12, 13, 14, 19, 20, 21, 22, 23, 24)
    assert halves(topology("coco_17"))[1] == tuple(range(11, 17))  # they hang on the nose, which is no leg
    for name in ("openpose_18", "penn_action_13", "plugin_gait_39", "mediapipe_pose_33", "ntu_x_67", "uiprmd_kinect"):
        layout = topology(name)
        upper, lower = halves(layout)
        assert sorted([*upper, *lower]) == list(range(layout.V)) and set(layout.parts["left_leg"]) <= set(lower)
        assert not set(layout.parts["left_arm"]) & set(lower)
    with pytest.raises(DataError, match="'shrec17_hand_22' names no left_leg"):
        halves(topology("shrec17_hand_22"))


def test_pairs_are_different_clips_and_every_one_comes_up() -> None:
    g, seen = generator(), set()
    for _ in range(400):
        anchors, partners = draw_pairs(5, ratio=0.5, generator=g)
        assert len(anchors) == len(set(anchors.tolist())) == 2 and (anchors != partners).all()
        seen |= set(zip(anchors.tolist(), partners.tolist(), strict=True))
    assert len(seen) == 20
    assert [len(draw_pairs(N, ratio=1 / 16, generator=g)[0]) for N in (1, 15, 16, 64)] == [0, 0, 1, 4]
    assert len(draw_pairs(1, ratio=1, generator=g)[0]) == 0
    with pytest.raises(ConfigError, match=r"ratio = 1\.5"):
        draw_pairs(4, ratio=1.5, generator=g)


def test_the_rarer_class_takes_the_label() -> None:
    counts = torch.tensor([600, 6, 30, 20, 60, 61])
    pairs = [(0, 1, 0.0), (1, 0, 1.0), (2, 3, 0.64), (4, 3, 0.64), (5, 3, 0.0), (3, 5, 1.0), (0, 0, 1.0)]
    a, b = (torch.tensor([p[i] for p in pairs]) for i in (0, 1))
    assert upper_weight(a, b, counts, share=0.64).tolist() == [p[2] for p in pairs]
    with pytest.raises(ConfigError, match=r"kappa = 0\.5"):
        upper_weight(a, b, counts, share=0.64, kappa=0.5)


@pytest.mark.parametrize("kind", ["rebalanced", "plain"])
def test_published_batch(kind: str) -> None:
    folder = os.environ.get("SKELBENCH_REFERENCE")
    if not folder:
        pytest.skip("SKELBENCH_REFERENCE is not set")
    with np.load(Path(folder) / "brl_mixup_a.npz", allow_pickle=False) as file:
        z = {k: torch.from_numpy(np.asarray(file[k])) for k in file.files if k != "meta"}
    anchors, partners, labels = z[f"input/{kind}/anchors"], z[f"input/{kind}/partners"], z["input/labels"]
    x = partial_mixup(z["input/x"].permute(0, 4, 2, 3, 1), anchors, partners, KINECT, order="official")
    assert torch.equal(x.permute(0, 4, 2, 3, 1), z[f"output/{kind}/x"])
    below = mixed_labels(labels, anchors, partners)
    assert torch.equal(labels, z[f"output/{kind}/labels_a"]) and torch.equal(below, z[f"output/{kind}/labels_b"])
    kappa = 3.0 if kind == "rebalanced" else 1e9
    weight = upper_weight(labels, below, z["input/counts"], share=0.64, kappa=kappa)
    assert float(weight[anchors[-1]]) == pytest.approx(float(z[f"output/{kind}/mix_weight"]))
    table = z["input/count_pairs"]
    found = [float(upper_weight(torch.tensor([0]), torch.tensor([1]), pair, share=0.64)) for pair in table]
    assert found == pytest.approx(z["output/count_pairs_mix_weight"].tolist())
