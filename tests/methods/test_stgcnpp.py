"""ST-GCN++ on one stream: its step against the pieces it is made of, its views, and what it refuses."""

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from skelbench.errors import ConfigError, DataError
from skelbench.explain.cost import cost
from skelbench.methods import method
from skelbench.methods.stgcnpp import OneStream
from skelbench.nets.stgcnpp import STGCNPP
from skelbench.skeleton.augment import centre_crop_resize, random_crop_resize
from skelbench.skeleton.clip import batch_of
from skelbench.skeleton.streams import bone
from skelbench.skeleton.topology import topology
from skelbench.skeleton.turn import random_turn
from skelbench.train import presets

KINECT = topology("kinect_v2_25")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def build(layout=KINECT, coordinates=3, **edits):
    config = OneStream.Config(**{"net": STGCNPP.Config(channels=(6, 12)), "frames": 8, "minimum": 4, **edits})
    return OneStream.build(config, topology=layout, bodies=2, coordinates=coordinates, classes=4, generator=generator())


def clips(V=25, labels=(0, 1, 2, 3, 0, 1)):
    x = np.random.default_rng(0).normal(size=(6, 12, 2, V, 3)).astype(np.float32)
    return batch_of(x, lengths=[12, 11, 10, 12, 11, 10], labels=list(labels))


def test_a_step_is_cross_entropy_of_the_cut_and_turned_stream():
    made, batch = build(stream="bone", smoothing=0.1), clips()
    step = made.step(batch, generator(5))
    g = generator(5)
    x = random_crop_resize(batch.joints, batch.lengths, frames=8, ratio=(0.5, 1.0), minimum=4, generator=g)
    x = bone(random_turn(x, limit=0.3, generator=g), KINECT)
    net = build(stream="bone").encoder.net  # BatchNorm has not moved there
    logits = made.head(net(x))
    torch.testing.assert_close(step.loss, cross_entropy(logits, batch.labels, label_smoothing=0.1))
    torch.testing.assert_close(step.out["logits"], logits.detach())
    assert float(step.parts["accuracy"]) == pytest.approx(float((logits.argmax(1) == batch.labels).double().mean()))


def test_features_and_scores_are_those_of_the_middle():
    made, batch = build(), clips()
    features = made.features(batch)
    assert made.training
    made.eval()
    torch.testing.assert_close(features, made.encoder(centre_crop_resize(batch.joints, batch.lengths, frames=8)))
    torch.testing.assert_close(made.logits(batch), made.head(features))
    assert features.shape == (6, made.width) == (6, 12)
    torch.testing.assert_close(made.backbone().encoder(made.view(batch)), features)
    assert cost(made).total.parameters == sum(p.numel() for p in made.encoder.parameters())


def test_the_score_channel_of_a_picture_is_left_out():
    made, batch = build(topology("coco_17")), clips(V=17)
    other = batch.with_joints(torch.cat([batch.joints[:, :2], batch.joints[:, 2:] + 1], dim=1))
    torch.testing.assert_close(made.logits(batch), made.logits(other))


def test_what_it_refuses():
    with pytest.raises(DataError, match="no label"):
        build().step(clips(labels=(0, 1, -1, 2, 3, 0)), generator())
    for wrong in ({"stream": "arm"}, {"frames": 1}, {"ratio": (0.0, 1.0)}, {"turn": -1.0}, {"smoothing": 1.0}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            OneStream.Config(**wrong)


def test_it_is_registered_and_sees_what_psumnet_sees():
    assert method("stgcnpp") is OneStream
    parts, one = presets("psumnet", "demo"), presets("stgcnpp", "demo")
    for name in ("frames", "minimum", "ratio", "turn"):
        assert getattr(parts.method_config, name) == getattr(one.method_config, name)
    assert parts.train == one.train and parts.method_config.body.channels == one.method_config.net.channels
    assert type(one).from_dict(one.to_dict()) == one
