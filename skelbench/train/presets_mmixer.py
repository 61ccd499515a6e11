"""Settings of M-Mixer (reconstruction); see skelbench.train.presets."""

from __future__ import annotations

from collections.abc import Callable

from skelbench.data.frames import FrameSettings
from skelbench.methods.mmixer import MMixer
from skelbench.nets.mmixer import Mixer
from skelbench.nets.video import FrameCNN
from skelbench.train.config import Train


def mmixer_smoke() -> tuple[MMixer.Config, Train]:
    own = MMixer.Config(
        extractor=FrameCNN.Config(widths=(8, 8), groups=2, features=16),
        mixer=Mixer.Config(width=16, heads=2),
        pictures=FrameSettings(frames=4, size=16),
    )
    return own, Train(epochs=2, batch=8, optimiser="adam", lr=0.001, weight_decay=0.0, probe_every=1, meter_every=1)


def mmixer_demo() -> tuple[MMixer.Config, Train]:
    """For about a thousand rendered clips on two cores: a small CNN from scratch at 8 pictures of 64 x 64, width 64.

    The fact sheet's light default at half its widths, because an epoch then takes a quarter of the time; and Adam whose rate drops
    once, where the sheet has AdamW and a cosine.
    """
    own = MMixer.Config(
        extractor=FrameCNN.Config(widths=(8, 16, 32, 64), groups=4, features=64),
        mixer=Mixer.Config(width=64, heads=4),
        pictures=FrameSettings(frames=8, size=64),
    )
    return own, Train(epochs=30, batch=32, optimiser="adam", lr=0.001, weight_decay=0.0, warmup=2, drops=(22,))


def mmixer_paper() -> tuple[MMixer.Config, Train]:
    """Paper-size, not the papers': their settings are not known. ResNet-34 on 16 pictures of 224 x 224, width 512.

    The learning rate, weight decay and schedule are those of the same group's next paper (ActionMAE): 1e-4 for 32 clips, 1e-4,
    a tenth from epoch 30 on and so on. Put a weights file in with ``edit({"method_config.extractor.weights": "resnet34.pth"})``.
    """
    train = Train(epochs=100, batch=32, optimiser="adam", lr=1e-4, weight_decay=1e-4, warmup=5, drops=(30, 60, 80), probe_clips=0)
    return MMixer.Config(), train


PRESETS: dict[tuple[str, str], Callable[[], tuple[object, Train]]] = {
    ("mmixer", "smoke"): mmixer_smoke,
    ("mmixer", "demo"): mmixer_demo,
    ("mmixer", "paper"): mmixer_paper,
}
