"""The encoder behind every method's features, and a classifier that stands on a copy of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from skelbench.errors import ConfigError
from skelbench.methods.backbone import Backbone, backbone, classifier
from skelbench.methods.base import Method
from skelbench.methods.floors import RandomEncoder, Raw, Untrained
from skelbench.methods.halp import HaLP
from skelbench.methods.halp_cmd import HaLP3s
from skelbench.methods.isc import ISC
from skelbench.methods.moco import MoCo
from skelbench.methods.skeletonmae import SkeletonMAE
from skelbench.methods.strl import STRL
from skelbench.methods.supervised import Supervised
from skelbench.nets.agcn import AGCN
from skelbench.nets.gin import GIN
from skelbench.nets.gru import GRU
from skelbench.nets.hcn import HCN
from skelbench.skeleton.augment import Views
from skelbench.skeleton.clip import Batch, batch_of
from skelbench.skeleton.topology import topology

KINECT = topology("kinect_v2_25")
GRU_6, VIEWS = GRU.Config(hidden=6, layers=1), Views(frames=16, minimum=8)
QUEUE: dict[str, Any] = {"views": VIEWS, "queue": 16, "dim": 8}
HALP: dict[str, Any] = {"encoder": GRU_6, **QUEUE, "prototypes": 4, "prototypes_from": 8}
ISC_NETS: dict[str, Any] = {
    "seq": GRU.Config(hidden=6, layers=1, input_norm=False),
    "graph": AGCN.Config(channels=(8, 16), window=3),
    "image": HCN.Config(rows=16, columns=16, channels=(4, 4, 8, 8)),
    **QUEUE,
}
METHODS: dict[str, tuple[type[Method], Any]] = {
    "moco": (MoCo, MoCo.Config(encoder=GRU_6, stream="bone", **QUEUE)),
    "halp": (HaLP, HaLP.Config(**HALP)),
    "halp3s": (HaLP3s, HaLP3s.Config(**HALP, distil_from=4)),
    "halp3s, motion": (HaLP3s, HaLP3s.Config(**HALP, distil_from=4, use="motion")),
    "isc": (ISC, ISC.Config(**ISC_NETS)),
    "isc, graph": (ISC, ISC.Config(**ISC_NETS, use="graph")),
    "isc, image": (ISC, ISC.Config(**ISC_NETS, pair=("image", "graph"))),
    "supervised": (Supervised, Supervised.Config(encoder=GRU_6, views=VIEWS, stream="motion")),
    "random": (RandomEncoder, RandomEncoder.Config(encoder=GRU_6, frames=16)),
    "raw": (Raw, Raw.Config(frames=16)),
}


def clips(seed: int = 0) -> Batch:
    rng = np.random.default_rng(seed)
    walk = np.cumsum(rng.normal(0, 0.05, (5, 30, 2, 25, 3)), axis=1) + rng.normal(0, 0.5, (5, 1, 2, 25, 3))
    return batch_of(walk.astype(np.float32), lengths=[30, 21, 25, 30, 12], labels=[0, 1, 2, 0, 1])


def made(cls: type[Method], config: Any, seed: int = 0) -> Method:
    return cls.build(config, topology=KINECT, bodies=2, coordinates=3, classes=3, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", METHODS)
def test_the_classifier_stands_on_the_method_s_own_features(name: str) -> None:
    method, batch = made(*METHODS[name]), clips()
    before = {k: v.clone() for k, v in method.state_dict().items()}
    learner = classifier(method, classes=7, generator=torch.Generator().manual_seed(1))
    assert isinstance(learner, Supervised) and learner.supervised and learner.width == method.width
    torch.testing.assert_close(learner.features(batch), method.features(batch), rtol=0, atol=0)
    assert learner.logits(batch).shape == (5, 7)
    views = learner.config.views
    assert (views.frames, views.ratio, views.p_shear + views.p_mask + views.p_corrupt + views.mirror) == (16, (0.5, 1.0), 0)
    assert all(p.requires_grad for p in learner.parameters())
    learner.train()
    learner.step(batch, torch.Generator().manual_seed(2)).loss.backward()
    moved = [n for n, p in learner.named_parameters() if p.grad is not None and bool(p.grad.abs().sum() > 0)]
    assert "head.weight" in moved and (name == "raw" or any(n.startswith("encoder.") for n in moved))
    with torch.no_grad():
        for p in learner.parameters():
            p.add_(1)
    after = method.state_dict()
    assert all(torch.equal(after[k], v) for k, v in before.items())


def test_the_new_layer_starts_as_published() -> None:
    method = made(RandomEncoder, RandomEncoder.Config(encoder=GRU.Config(hidden=64, layers=1), frames=8))
    learner = classifier(method, classes=100, generator=torch.Generator().manual_seed(0), ratio=(0.7, 0.9), smoothing=0.1)
    assert isinstance(learner, Supervised)
    assert abs(float(learner.head.weight.detach().std()) - 0.01) < 5e-4 and not learner.head.bias.detach().any()
    assert (learner.config.views.ratio, learner.config.smoothing) == ((0.7, 0.9), 0.1)
    again = classifier(method, classes=100, generator=torch.Generator().manual_seed(0))
    assert isinstance(again, Supervised) and torch.equal(again.head.weight, learner.head.weight)


def test_skeletonmae_is_planted_into_strl_and_its_floor_is_not_trained() -> None:
    config = SkeletonMAE.Config(encoder=GIN.Config(width=8, layers=2), frames=12)
    method = made(SkeletonMAE, config)
    learner = classifier(method, classes=4, generator=torch.Generator().manual_seed(0), smoothing=0.2)
    assert isinstance(learner, STRL) and (learner.config.net.frames, learner.config.smoothing) == (12, 0.2)
    own = method.encoder.state_dict()  # type: ignore[union-attr]
    for layer in learner.net.layers:
        for planted in layer.encoders:  # type: ignore[union-attr]
            assert all(torch.equal(planted.state_dict()[k], v) for k, v in own.items())
    assert learner.logits(clips()).shape == (5, 4)
    shape: dict[str, Any] = {"topology": KINECT, "bodies": 2, "coordinates": 3, "classes": 3}
    floor = Untrained.beside(config, **shape, generator=torch.Generator().manual_seed(5))
    scratch = classifier(floor, classes=4, generator=torch.Generator().manual_seed(0))
    assert isinstance(scratch, STRL) and scratch.config.net == learner.config.net
    with pytest.raises(ConfigError, match="protocol 'classifier'"):
        classifier(learner, classes=4, generator=torch.Generator())


def test_a_method_of_one_s_own_offers_its_encoder_or_is_refused() -> None:
    class Own(Method):
        name = "own"
        config = None
        topology = KINECT

        @property
        def width(self) -> int:
            return 4 * 3 * 25 * 2

    with pytest.raises(ConfigError, match=r"'own' offers no encoder.*backbone\(\)"):
        backbone(Own())
    with pytest.raises(ConfigError, match="'skeletonmae' offers no encoder"):
        backbone(made(SkeletonMAE, SkeletonMAE.Config(encoder=GIN.Config(width=8, layers=1), frames=4)))
    Own.backbone = lambda self: Backbone(encoder=torch.nn.Flatten(), width=self.width, frames=4, minimum=4)  # type: ignore
    assert classifier(Own(), classes=2, generator=torch.Generator()).logits(clips()).shape == (5, 2)
