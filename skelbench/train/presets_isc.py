"""Settings of ISC; see skelbench.train.presets."""

from __future__ import annotations

from collections.abc import Callable

from skelbench.methods.isc import ISC
from skelbench.nets.agcn import AGCN
from skelbench.nets.gru import GRU
from skelbench.nets.hcn import HCN
from skelbench.skeleton.augment import Views
from skelbench.train.config import Train


def isc_smoke() -> tuple[ISC.Config, Train]:
    own = ISC.Config(
        seq=GRU.Config(hidden=8, layers=1, input_norm=False),
        graph=AGCN.Config(channels=(8, 16), window=3),
        image=HCN.Config(rows=16, columns=16, channels=(4, 4, 8, 8)),
        views=Views(frames=16, minimum=8),
        queue=32,
        dim=16,
    )
    return own, Train(epochs=2, batch=8, lr=0.05, probe_every=1, meter_every=1)


def isc_demo() -> tuple[ISC.Config, Train]:
    """For several hundred clips on two cores: the views, the queue and the optimiser of the other demos, and small encoders."""
    own = ISC.Config(
        seq=GRU.Config(hidden=64, layers=1, input_norm=False, readout="quarters"),
        graph=AGCN.Config(channels=(8, 16), window=3),
        image=HCN.Config(rows=16, columns=16, channels=(8, 16, 32, 64)),
        views=Views(frames=16, ratio=(0.5, 1.0), minimum=8, shear=0.5, mirror=0.5),
        queue=128,
        momentum=0.99,
        temperature=0.1,
    )
    return own, Train(epochs=60, batch=64, optimiser="adam", lr=2e-3, weight_decay=0.0, drops=(45,))


def isc_paper() -> tuple[ISC.Config, Train]:
    """NTU-60; NTU-120: epochs=351, drops=(251,). The released models are the checkpoints after 450 and 350 epochs."""
    return ISC.Config(), Train(epochs=451, batch=64, lr=0.01, drops=(351,), probe_clips=0, save_every=10)


PRESETS: dict[tuple[str, str], Callable[[], tuple[object, Train]]] = {
    ("isc", "smoke"): isc_smoke,
    ("isc", "demo"): isc_demo,
    ("isc", "paper"): isc_paper,
}
