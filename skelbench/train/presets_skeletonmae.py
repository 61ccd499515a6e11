"""Settings of SkeletonMAE, pre-training and fine-tuning; see skelbench.train.presets."""

from __future__ import annotations

from collections.abc import Callable

from skelbench.methods.skeletonmae import SkeletonMAE
from skelbench.methods.strl import STRL
from skelbench.nets.gin import GIN
from skelbench.nets.strl import SpatialTemporal
from skelbench.train.config import Train


def skeletonmae_smoke() -> tuple[SkeletonMAE.Config, Train]:
    own = SkeletonMAE.Config(encoder=GIN.Config(width=8, layers=2), frames=4)
    return own, Train(epochs=2, batch=8, optimiser="adam", lr=0.003, weight_decay=0.0, probe_every=1, meter_every=1)


def skeletonmae_demo() -> tuple[SkeletonMAE.Config, Train]:
    """For several hundred clips. What differs from the paper, and why:

    any two parts are hidden, so that whichever parts one clicks are known; five layers, because the fingers of a Kinect skeleton
    are six bones from the chest; eight frames of every clip, whose joints are read out quarter by quarter, because
    a mean over all frames knows no order; and more and larger steps.
    """
    own = SkeletonMAE.Config(encoder=GIN.Config(layers=5), frames=8, masking="random_parts", count=2, readout="quarters")
    return own, Train(epochs=15, batch=16, optimiser="adam", lr=0.003, weight_decay=0.0, drops=(12,))


def skeletonmae_paper() -> tuple[SkeletonMAE.Config, Train]:
    """Section 4.2. The unit of its batch of 1024 is not given: 16 clips of 64 frames are 1024 frames of one person.

    Weight decay, schedule and normalisation are not given either: none, none, and PYSKL's, from whose poses it starts. Layouts in
    space take ``normalise="isc"``.
    """
    train = Train(epochs=50, batch=16, optimiser="adam", lr=1.5e-4, weight_decay=0.0, normalise="pyskl2d", probe_clips=0)
    return SkeletonMAE.Config(), train


def strl_smoke() -> tuple[STRL.Config, Train]:
    net = SpatialTemporal.Config(encoder=GIN.Config(width=8, layers=2), layers=1, frames=8)
    return STRL.Config(net=net), Train(epochs=2, batch=8, lr=0.05, probe_every=1, meter_every=1)


def strl_demo() -> tuple[STRL.Config, Train]:
    """The encoder of ``skeletonmae_demo``, so that its weights can be planted, in one layer on eight frames."""
    net = SpatialTemporal.Config(encoder=GIN.Config(layers=5), layers=1, frames=8)
    return STRL.Config(net=net), Train(epochs=20, batch=32, lr=0.05, warmup=2, drops=(14, 18))


def strl_paper() -> tuple[STRL.Config, Train]:
    """Section 4.2; weight decay and normalisation are not given: none, and PYSKL's, from whose poses it starts."""
    train = Train(epochs=110, batch=128, lr=0.1, warmup=5, drops=(90, 100), weight_decay=0.0, normalise="pyskl2d", probe_clips=0)
    return STRL.Config(), train


PRESETS: dict[tuple[str, str], Callable[[], tuple[object, Train]]] = {
    ("skeletonmae", "smoke"): skeletonmae_smoke,
    ("skeletonmae", "demo"): skeletonmae_demo,
    ("skeletonmae", "paper"): skeletonmae_paper,
    ("strl", "smoke"): strl_smoke,
    ("strl", "demo"): strl_demo,
    ("strl", "paper"): strl_paper,
}
