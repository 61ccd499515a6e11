"""Settings of 3D deformable attention (reconstruction); see skelbench.train.presets."""

from __future__ import annotations

from collections.abc import Callable

from skelbench.data.frames import FrameSettings
from skelbench.methods.deform3d import Deform3D
from skelbench.nets.deform3d import Block
from skelbench.nets.deform3d_net import Network
from skelbench.nets.video3d import VideoCNN, VideoResNet
from skelbench.train.config import Train


def deform3d_smoke() -> tuple[Deform3D.Config, Train]:
    block = Block.Config(width=16, heads=2, blocks=1, groups=2, drop_path=0.0)
    own = Deform3D.Config(
        net=Network.Config(video=VideoCNN.Config(widths=(8, 8, 8, 8), groups=2), block=block),
        pictures=FrameSettings(modalities=("rgb",), frames=4, size=32),
    )
    return own, Train(epochs=2, batch=8, optimiser="adam", lr=0.001, weight_decay=0.0, probe_every=1, meter_every=1)


def deform3d_demo() -> tuple[Deform3D.Config, Train]:
    """For about a thousand rendered clips on two cores: 8 pictures, which the last convolution makes 4 token frames, and D 64.

    The fact sheet's light default has 16 pictures, widths up to 96, AdamW and a cosine; it takes several times as long.
    """
    block = Block.Config(width=64, heads=4, blocks=2, drop_path=0.0)
    own = Deform3D.Config(
        net=Network.Config(video=VideoCNN.Config(widths=(8, 16, 32, 64), groups=4), block=block),
        pictures=FrameSettings(modalities=("rgb",), frames=8, size=64),
    )
    return own, Train(epochs=30, batch=16, optimiser="adam", lr=0.001, weight_decay=0.0, warmup=2, drops=(22,))


def deform3d_paper() -> tuple[Deform3D.Config, Train]:
    """Paper-size, not the paper's: its settings are not known. MC3-18 from scratch on 16 pictures of 224 x 224; D 512, H 8, L 4."""
    own = Deform3D.Config(
        net=Network.Config(video=VideoResNet.Config()),
        pictures=FrameSettings(modalities=("rgb",), frames=16, size=224),
    )
    train = Train(epochs=120, batch=32, optimiser="adam", lr=2e-4, weight_decay=0.0, warmup=5, drops=(80, 110), probe_clips=0)
    return own, train


PRESETS: dict[tuple[str, str], Callable[[], tuple[object, Train]]] = {
    ("deform3d", "smoke"): deform3d_smoke,
    ("deform3d", "demo"): deform3d_demo,
    ("deform3d", "paper"): deform3d_paper,
}
