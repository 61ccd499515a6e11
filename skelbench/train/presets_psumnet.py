"""Settings of PSUMNet, and of the single stream it is compared with; see skelbench.train.presets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from skelbench.methods.psumnet import PSUMNet
from skelbench.methods.stgcnpp import OneStream
from skelbench.nets.ctrgcn import CTRGCN
from skelbench.nets.stgcnpp import STGCNPP
from skelbench.train.config import Train


def psumnet_smoke() -> tuple[PSUMNet.Config, Train]:
    own = PSUMNet.Config(
        body=CTRGCN.Config(channels=(8, 8, 16)),
        hand=CTRGCN.Config(channels=(8, 16)),
        leg=CTRGCN.Config(channels=(8,)),
        frames=16,
        minimum=8,
    )
    return own, Train(epochs=2, batch=8, lr=0.05, normalise="psumnet", probe_every=1, meter_every=1)


def psumnet_demo() -> tuple[PSUMNet.Config, Train]:
    """For several hundred clips on one core. What differs from the paper, and why:

    a quarter of the widths, a third of the blocks and sixteen frames (what a step costs are the graphs, one for every channel, clip
    and body, so narrow blocks save most), the mended part graphs, crops that may be short, clips turned upright and centred frame
    by frame as in the other demos (with few people the network does not learn by itself that a turned body is the same one), and
    Adam with a fixed schedule: with SGD, a thousand steps are too few. Chosen on held-out training subjects.
    """
    own = PSUMNet.Config(
        reading="fixed",
        body=CTRGCN.Config(channels=(16, 32, 64)),
        hand=CTRGCN.Config(channels=(16, 32)),
        leg=CTRGCN.Config(channels=(16,)),
        frames=16,
        minimum=8,
    )
    return own, Train(epochs=20, batch=16, optimiser="adam", lr=2e-3, weight_decay=0.0, drops=(15,), normalise="isc")


def psumnet_paper() -> tuple[PSUMNet.Config, Train]:
    """The released recipe for NTU-60, but that held-out training subjects halve the learning rate and choose the epoch.

    The release has its test side do both, and its "warm_up_epoch" and "step" settings do nothing. NTU-120: normalise="ctrgcn120"
    and its weights in ``skelbench.methods.psumnet.FUSION``; NTU-X: batch=68. SHREC: ``frames=180, fit="pad", turn=0, batch=64,
    normalise="shrec"``. Batches were parted over four GPUs, each with BatchNorm statistics of its own 50 clips.
    """
    train = Train(epochs=200, batch=200, lr=0.1, nesterov=True, weight_decay=5e-4, patience=5, select=True, probe_clips=0)
    return PSUMNet.Config(), replace(train, normalise="psumnet")


def stgcnpp_smoke() -> tuple[OneStream.Config, Train]:
    own = OneStream.Config(net=STGCNPP.Config(channels=(8, 12)), frames=16, minimum=8)
    return own, psumnet_smoke()[1]


def stgcnpp_demo() -> tuple[OneStream.Config, Train]:
    """PSUMNet's demo for a single stream: its body's depth and widths, its frames, its schedule."""
    parts, train = psumnet_demo()
    views: dict[str, Any] = {"frames": parts.frames, "minimum": parts.minimum, "ratio": parts.ratio, "turn": parts.turn}
    return OneStream.Config(net=STGCNPP.Config(channels=parts.body.channels), **views), train


def stgcnpp_paper() -> tuple[OneStream.Config, Train]:
    """The published network under PSUMNet's released recipe: what a single stream is worth there, not a row of a table."""
    return OneStream.Config(), psumnet_paper()[1]


PRESETS: dict[tuple[str, str], Callable[[], tuple[object, Train]]] = {
    ("psumnet", "smoke"): psumnet_smoke,
    ("psumnet", "demo"): psumnet_demo,
    ("psumnet", "paper"): psumnet_paper,
    ("stgcnpp", "smoke"): stgcnpp_smoke,
    ("stgcnpp", "demo"): stgcnpp_demo,
    ("stgcnpp", "paper"): stgcnpp_paper,
}
