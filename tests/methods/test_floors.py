import copy

import numpy as np
import pytest
import torch

from skelbench.errors import ConfigError
from skelbench.methods import METHODS, Method, method
from skelbench.methods.floors import RandomEncoder, Raw, Untrained
from skelbench.methods.moco import MoCo
from skelbench.methods.skeletonmae import SkeletonMAE
from skelbench.nets.gin import GIN
from skelbench.nets.gru import GRU
from skelbench.skeleton.augment import Views, centre_crop_resize
from skelbench.skeleton.clip import batch_of
from skelbench.skeleton.streams import motion
from skelbench.skeleton.topology import topology

KINECT = topology("kinect_v2_25")
SMALL = GRU.Config(hidden=6, layers=1)


def build(cls, config, seed=0, bodies=2):
    generator = torch.Generator().manual_seed(seed)
    return cls.build(config, topology=KINECT, bodies=bodies, coordinates=3, classes=0, generator=generator)


def clips(N=3):
    return batch_of(np.random.default_rng(0).normal(size=(N, 12, 2, 25, 3)).astype(np.float32), lengths=[12, 9, 11][:N])


def test_random_is_the_encoder_that_training_starts_from():
    config = MoCo.Config(encoder=SMALL, views=Views(frames=8), stream="motion", queue=16)
    floor, start = build(RandomEncoder, RandomEncoder.Config.of(config)), build(MoCo, config)
    assert torch.equal(floor.features(clips()), start.features(clips()))
    assert floor.features(clips()).shape == (3, floor.width) == (3, 12)
    assert not [p for p in floor.parameters() if p.requires_grad] and not floor.trains
    assert floor.encoder.input_norm.running_mean.eq(0).all() and floor.encoder.input_norm.running_var.eq(1).all()
    before = copy.deepcopy(floor.state_dict())
    floor.train().features(clips())
    assert floor.encoder.training and all(torch.equal(v, before[k]) for k, v in floor.state_dict().items())
    assert not torch.equal(build(RandomEncoder, RandomEncoder.Config.of(config), seed=1).features(clips()), floor.features(clips()))


def test_a_method_with_an_encoder_of_its_own_kind_is_its_own_floor():
    config = SkeletonMAE.Config(encoder=GIN.Config(width=4, layers=1), frames=4)
    shape = {"topology": KINECT, "bodies": 2, "coordinates": 3, "classes": 0}
    floor = Untrained.beside(config, generator=torch.Generator().manual_seed(0), **shape)
    assert not RandomEncoder.Config.fits(config) and RandomEncoder.Config.fits(MoCo.Config())
    assert torch.equal(floor.features(clips()), build(SkeletonMAE, config).features(clips()))
    assert floor.features(clips()).shape == (3, floor.width) == (3, 4) and floor.name == "random"
    assert not [p for p in floor.parameters() if p.requires_grad] and not floor.trains
    with pytest.raises(ConfigError, match="no method has the settings"):
        Untrained.beside(GIN.Config(), generator=torch.Generator(), **shape)


def test_raw_is_the_resized_joints():
    floor, batch = build(Raw, Raw.Config(stream="motion", frames=8)), clips()
    expected = motion(centre_crop_resize(batch.joints, batch.lengths, frames=8, ratio=0.95)).reshape(3, -1)
    assert torch.equal(floor.features(batch), expected) and floor.width == expected.shape[1] == 3 * 8 * 25 * 2
    assert not list(floor.parameters()) and not floor.trains


@pytest.mark.parametrize("cls", [RandomEncoder, Raw])
def test_floors_do_not_train_and_check_their_settings(cls):
    floor = build(cls, RandomEncoder.Config(encoder=SMALL) if cls is RandomEncoder else Raw.Config())
    with pytest.raises(TypeError, match="nothing to train"):
        floor.step(clips(), torch.Generator())
    with pytest.raises(TypeError, match="no logits"):
        floor.logits(clips())
    for setting in ({"stream": "bones"}, {"frames": 0}):
        with pytest.raises(ConfigError, match=f"{next(iter(setting))}="):
            cls.Config(**setting)


def test_every_name_leads_to_its_class_and_a_slip_is_told():
    for name in METHODS:
        found = method(name)
        assert issubclass(found, Method) and found.name == name
        assert found.live <= set(found.Config.__dataclass_fields__)
    with pytest.raises(ConfigError, match=r"'halpp'.*'halp'.*There are: moco, halp, .*random, raw"):
        method("halpp")
    with pytest.raises(ConfigError, match=r"'HaLP'.*Did you mean 'halp'"):
        method("HaLP")
