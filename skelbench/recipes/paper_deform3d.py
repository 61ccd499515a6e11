"""3D deformable attention's tables (ICCV 2023), as far as their numbers could be read: two rows of a leaderboard's listing.

The method is a reconstruction: formulas, sizes, input and schedule are the fact sheet's, not the paper's, which were not at hand.
None of these runs was made to the end here. Video has to be attached to the skeletons first; a dry run renders pictures instead.
"""

from __future__ import annotations

from collections.abc import Callable

from skelbench.evaluate import OwnClassifier
from skelbench.recipes.known_data import NTU60, NTU120, KnownData
from skelbench.recipes.recipe import Recipe

VIDEO = {"method_config.pictures.source": "video"}
RECONSTRUCTED = {
    "formulas of the attentions, of the token search and of the pose tokens": ("not at hand", "a reconstruction"),
    "sizes, strides, input, optimiser, schedule": ("not at hand", "those of preset paper"),
}


def _recipe(make: Callable[[], Recipe], data: KnownData, split: str) -> Recipe:
    return Recipe(
        name=make.__name__,
        doc=make.__doc__ or "",
        method="deform3d",
        data=data,
        split=split,
        edits=VIDEO,
        protocols=(OwnClassifier(),),
        hardware="one GPU, not given",
        differs=RECONSTRUCTED,
        dry_edits={"method_config.pictures.source": "rendered"},
    )


def deform3d_ntu60_xsub() -> Recipe:
    """3D deformable attention (reconstruction) on NTU RGB+D 60, RGB and Kinect joints, across subjects.

    skelbench recipe deform3d_ntu60_xsub

    Before: skelbench data frames ntu60 --from FOLDER --size 224 --frames 16 --modalities rgb

    Expected: classifier 94.3. Source: 3DA (RGB + Pose) in a leaderboard. Hardware: one GPU or more, hours not given.
    """
    return _recipe(deform3d_ntu60_xsub, NTU60, "xsub")


def deform3d_ntu120_xsub() -> Recipe:
    """3D deformable attention (reconstruction) on NTU RGB+D 120, RGB and Kinect joints, across subjects.

    skelbench recipe deform3d_ntu120_xsub

    Before: skelbench data frames ntu120 --from FOLDER --size 224 --frames 16 --modalities rgb

    Expected: classifier 90.5. Source: 3DA (RGB + Pose) in a leaderboard. Hardware: one GPU or more, hours not given.
    """
    return _recipe(deform3d_ntu120_xsub, NTU120, "xsub")
