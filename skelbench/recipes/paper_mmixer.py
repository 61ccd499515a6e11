"""M-Mixer on NTU RGB+D at full size, without a number to expect: none of the papers' tables was at hand.

The method is a reconstruction: formulas, sizes, input and schedule are the fact sheet's, not the papers' (WACV 2023; arXiv
2311.12344). None of these runs was made here. Video has to be attached to the skeletons first; a dry run renders pictures instead.
"""

from __future__ import annotations

from collections.abc import Callable

from skelbench.evaluate import OwnClassifier
from skelbench.recipes.known_data import NTU60, NTU120, KnownData
from skelbench.recipes.recipe import Recipe

VIDEO = {"method_config.pictures.source": "video"}
RECONSTRUCTED = {
    "formulas of MCU and CFEM": ("not at hand", "a reconstruction"),
    "extractor, its pre-training, input, width, optimiser, schedule": ("not at hand", "those of preset paper"),
}


def _recipe(make: Callable[[], Recipe], data: KnownData, split: str) -> Recipe:
    return Recipe(
        name=make.__name__,
        doc=make.__doc__ or "",
        method="mmixer",
        data=data,
        split=split,
        edits=VIDEO,
        protocols=(OwnClassifier(),),
        hardware="one GPU, not given",
        differs=RECONSTRUCTED,
        dry_edits={"method_config.pictures.source": "rendered"},
    )


def mmixer_ntu60_xsub() -> Recipe:
    """M-Mixer (reconstruction) on NTU RGB+D 60, colour, depth and infrared, across subjects.

    skelbench recipe mmixer_ntu60_xsub

    Before: skelbench data frames ntu60 --from FOLDER --size 224 --frames 16
    Weights of an image network: method_config.extractor.weights=resnet34.pth

    Expected: not known. Hardware: one GPU or more, hours not given.
    """
    return _recipe(mmixer_ntu60_xsub, NTU60, "xsub")


def mmixer_ntu120_xsub() -> Recipe:
    """M-Mixer (reconstruction) on NTU RGB+D 120, colour, depth and infrared, across subjects.

    skelbench recipe mmixer_ntu120_xsub

    Before: skelbench data frames ntu120 --from FOLDER --size 224 --frames 16
    Weights of an image network: method_config.extractor.weights=resnet34.pth

    Expected: not known. Hardware: one GPU or more, hours not given.
    """
    return _recipe(mmixer_ntu120_xsub, NTU120, "xsub")
