"""BRL's numbers on long-tailed NTU RGB+D, imbalance 100: one stream of ST-GCN++, its own classifier on the whole test side.

The numbers are those of the authors' model zoo, the best of 24 looks at the test side; here the last epoch counts. They were there
before the released settings changed from the class-balanced to the action-aware loss, so either may have made them; both are one
setting away (``--set loss=class_balanced``). The long tails are the authors' lists. Hours are not given, and none of these runs was
made to the end here. Six streams: ``--set stream=bone`` and so on, then ``skelbench report RUNS --fuse brl``; published for
NTU RGB+D 60 xsub: 79.6 of two streams, 81.0 of four, 81.8 of six.
"""

from __future__ import annotations

from collections.abc import Callable

from skelbench.evaluate import LongTail, OwnClassifier
from skelbench.recipes.known_data import NTU60_3D, NTU120_3D, KnownData
from skelbench.recipes.recipe import Recipe

UNLIKE = {
    "loss behind the numbers": ("action-aware or class-balanced, not known", "action-aware"),
    "weights of the last stage": ("in every other epoch", "in all five"),
    "joints of a mixed clip": ("in another order", "in their places"),
    "label share of a mixed clip": ("that of the last one in the batch", "its own"),
    "epoch": ("best on the test side", "the last"),
}


def _recipe(make: Callable[[], Recipe], data: KnownData, split: str) -> Recipe:
    return Recipe(
        name=make.__name__,
        doc=make.__doc__ or "",
        method="brl",
        data=data,
        split=f"{split}@lt100",
        protocols=(OwnClassifier(), LongTail(many=100, few=20)),
        hardware="one GPU",
        differs=UNLIKE,
    )


def brl_ntu60_xsub_lt100() -> Recipe:
    """BRL, joint stream, on NTU RGB+D 60 across subjects, imbalance 100.

    skelbench recipe brl_ntu60_xsub_lt100

    Expected: classifier 76.7. Source: BRL, model zoo of its repository. Hardware: one GPU, hours not given.
    """
    return _recipe(brl_ntu60_xsub_lt100, NTU60_3D, "xsub")


def brl_ntu60_xview_lt100() -> Recipe:
    """BRL, joint stream, on NTU RGB+D 60 across views, imbalance 100.

    skelbench recipe brl_ntu60_xview_lt100

    Expected: classifier 81.4. Source: BRL, model zoo of its repository. Hardware: one GPU, hours not given.
    """
    return _recipe(brl_ntu60_xview_lt100, NTU60_3D, "xview")


def brl_ntu120_xsub_lt100() -> Recipe:
    """BRL, joint stream, on NTU RGB+D 120 across subjects, imbalance 100.

    skelbench recipe brl_ntu120_xsub_lt100

    Expected: classifier 65.3. Source: BRL, model zoo of its repository. Hardware: one GPU, hours not given.
    """
    return _recipe(brl_ntu120_xsub_lt100, NTU120_3D, "xsub")


def brl_ntu120_xset_lt100() -> Recipe:
    """BRL, joint stream, on NTU RGB+D 120 across setups, imbalance 100.

    skelbench recipe brl_ntu120_xset_lt100

    Expected: classifier 66.8. Source: BRL, model zoo of its repository. Hardware: one GPU, hours not given.
    """
    return _recipe(brl_ntu120_xset_lt100, NTU120_3D, "xset")
