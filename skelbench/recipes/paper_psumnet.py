"""PSUMNet's table across subjects, and its table of hand gestures (ECCV 2022 workshops): body, hands and legs in one run.

The released recipe lets the test side halve the learning rate, choose the epoch, and choose the weights streams are added with;
here held-out training subjects do the first two, and so are not trained on, and the weights are the released ones as they stand.
Its batches were parted over four GPUs, each with BatchNorm statistics of its own quarter. The published settings of the other
splits are not known and have no recipe. NTU-X was never released; whoever holds its videos can make it.

None of these runs was made to the end here: on two CPU cores one epoch of NTU RGB+D 60 takes about two hours.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from skelbench.evaluate import OwnClassifier, Streams
from skelbench.methods.psumnet import FUSION, PSUMNet
from skelbench.recipes.known_data import NTU60, NTU60X, NTU120, NTU120X, SHREC14, SHREC28, KnownData
from skelbench.recipes.recipe import Recipe

SELECTION = {"schedule and epoch": ("chosen by the test side", "by held-out training subjects, who are not trained on")}
WEIGHTS = {"weights of the streams": ("chosen by the test side", "the same numbers")}
NTU_X: dict[str, Any] = {"train.batch": 68, "train.normalise": "none"}
HANDS: dict[str, Any] = {
    "method_config.frames": 180,
    "method_config.fit": "pad",
    "method_config.turn": 0.0,
    "train.batch": 64,
    "train.normalise": "shrec",
}


def _recipe(make: Callable[[], Recipe], data: KnownData, split: str, *, weights: str = "", **edits: Any) -> Recipe:
    if weights:
        body, hand, leg = FUSION[weights]
        edits["method_config.weights"] = PSUMNet.Weights(body=body, hand=hand, leg=leg)
    return Recipe(
        name=make.__name__,
        doc=make.__doc__ or "",
        method="psumnet",
        data=data,
        split=split,
        edits=edits,
        protocols=(OwnClassifier(), Streams()) if weights else (OwnClassifier(),),
        hardware="one GPU (the release names four GTX 1080 Ti)",
        differs=SELECTION | (WEIGHTS if weights else {}),
    )


def psumnet_ntu60_xsub() -> Recipe:
    """PSUMNet on NTU RGB+D 60 across subjects.

    skelbench recipe psumnet_ntu60_xsub

    Expected: classifier 92.9. Source: PSUMNet, main table. Hardware: one GPU (the release names four GTX 1080 Ti), hours not given.
    """
    return _recipe(psumnet_ntu60_xsub, NTU60, "xsub", weights="ntu60 xsub")


def psumnet_ntu120_xsub() -> Recipe:
    """PSUMNet on NTU RGB+D 120 across subjects; a person who is alone stands there twice.

    skelbench recipe psumnet_ntu120_xsub

    Expected: classifier 89.4. Source: PSUMNet, main table. Hardware: one GPU (the release names four GTX 1080 Ti), hours not given.
    """
    return _recipe(psumnet_ntu120_xsub, NTU120, "xsub", weights="ntu120 xsub", **{"train.normalise": "ctrgcn120"})


def psumnet_ntu60x_xsub() -> Recipe:
    """PSUMNet on NTU60-X, body and fingers, across subjects.

    skelbench recipe psumnet_ntu60x_xsub

    Expected: classifier 94.7. Source: PSUMNet, main table. Hardware: one GPU (the release names four GTX 1080 Ti), hours not given.
    """
    return _recipe(psumnet_ntu60x_xsub, NTU60X, "xsub", weights="ntu60-x", **NTU_X)


def psumnet_ntu120x_xsub() -> Recipe:
    """PSUMNet on NTU120-X, body and fingers, across subjects.

    skelbench recipe psumnet_ntu120x_xsub

    Expected: classifier 89.1. Source: PSUMNet, main table. Hardware: one GPU (the release names four GTX 1080 Ti), hours not given.
    """
    return _recipe(psumnet_ntu120x_xsub, NTU120X, "xsub", weights="ntu120-x", **NTU_X)


def psumnet_shrec14() -> Recipe:
    """PSUMNet on SHREC 2017, 14 gestures: the hand stream alone, whole clips of 180 frames without augmentation.

    skelbench recipe psumnet_shrec14

    Expected: classifier 95.5. Source: PSUMNet, table of hand gestures. Hardware: one GPU, hours not given.
    """
    return _recipe(psumnet_shrec14, SHREC14, "official", **HANDS)


def psumnet_shrec28() -> Recipe:
    """PSUMNet on SHREC 2017, 28 gestures: each with one finger and with the whole hand.

    skelbench recipe psumnet_shrec28

    Expected: classifier 93.1. Source: PSUMNet, table of hand gestures. Hardware: one GPU, hours not given.
    """
    return _recipe(psumnet_shrec28, SHREC28, "official", **HANDS)
