"""Settings of BRL; see skelbench.train.presets. Plain training is the same with ``loss="ce", sampler=False, mixup=0``."""

from __future__ import annotations

from collections.abc import Callable

from skelbench.methods.brl import BRL
from skelbench.nets.stgcnpp import STGCNPP
from skelbench.train.config import Train


def brl_smoke() -> tuple[BRL.Config, Train]:
    own = BRL.Config(encoder=STGCNPP.Config(channels=(8, 8, 16)), frames=16, switch=1, repeat=1.0, mixup=0.25, test_clips=1)
    return own, Train(epochs=2, batch=8, lr=0.05, normalise="brl", probe_every=1, meter_every=1)


def brl_demo() -> tuple[BRL.Config, Train]:
    """For a thousand clips on one core: a quarter of the widths, three blocks, 20 frames, true mirror images.

    The last stage weighs by the clips that are shown: by those there are, rare classes count twice and the middle is lost.
    """
    own = BRL.Config(
        encoder=STGCNPP.Config(channels=(16, 32, 64), dilations=(1, 2)),
        frames=20,
        switch=8,
        repeat=1.0,
        weigh="shown",
        negate=True,
        test_clips=2,
    )
    train = Train(epochs=10, batch=32, lr=0.1, nesterov=True, weight_decay=5e-4, cosine=True, normalise="brl")
    return own, train


def brl_paper() -> tuple[BRL.Config, Train]:
    """NTU RGB+D, one stream on one GPU. The release chooses the epoch on its test side; here it is the last one."""
    own = BRL.Config()
    train = Train(epochs=24, batch=16, lr=0.0125, nesterov=True, weight_decay=5e-4, cosine=True, normalise="brl", probe_clips=0)
    return own, train


PRESETS: dict[tuple[str, str], Callable[[], tuple[object, Train]]] = {
    ("brl", "smoke"): brl_smoke,
    ("brl", "demo"): brl_demo,
    ("brl", "paper"): brl_paper,
}
