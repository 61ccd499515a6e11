"""HaLP's table of linear evaluation, joint stream (CVPR 2023).

The two stages are one run here: 200 epochs of plain contrast, then hallucinated positives (PKU-MMD II: 500). The authors trained on
one GPU; they give no hours, and none of these runs was made to the end here. The expected numbers are those of the paper as another
paper's table repeats them. They are the best of 16 looks at the test side; here the epoch is chosen on held-out training subjects.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from skelbench.evaluate import KNN, ViewsLinear
from skelbench.methods.base import Method
from skelbench.methods.halp import HaLP
from skelbench.recipes.known_data import NTU60, NTU120, PKU2, KnownData
from skelbench.recipes.recipe import Recipe

PKU: dict[str, Any] = {"plain_epochs": 500, "train.epochs": 1001, "train.drops": (801,), "weight": 1.0}
LONG = {"long clips": ("cut after 300 frames", "whole")}


def second_stage(method: Method, generator: torch.Generator) -> None:
    """Move a HaLP past its plain epochs and its warm-up, so that the next step hallucinates positives."""
    assert isinstance(method, HaLP)
    method.progress.copy_(torch.tensor([method.config.plain_epochs, 0, method.warm_up]))
    method.refresh_prototypes(generator)


def _recipe(make: Callable[[], Recipe], data: KnownData, split: str, *, lr: float = 0.005, **more: Any) -> Recipe:
    return Recipe(
        name=make.__name__,
        doc=make.__doc__ or "",
        method="halp",
        data=data,
        split=split,
        protocols=(ViewsLinear(lr=lr), KNN()),
        hardware="one GPU",
        second_stage=second_stage,
        **more,
    )


def halp_ntu60_xsub() -> Recipe:
    """HaLP on NTU RGB+D 60 across subjects.

    skelbench recipe halp_ntu60_xsub

    Expected: linear on views 79.7. Source: HaLP, linear evaluation, from another paper's table. Hardware: one GPU, hours not given.
    """
    return _recipe(halp_ntu60_xsub, NTU60, "xsub")


def halp_ntu60_xview() -> Recipe:
    """HaLP on NTU RGB+D 60 across views.

    skelbench recipe halp_ntu60_xview

    Expected: linear on views 86.8. Source: HaLP, linear evaluation, from another paper's table. Hardware: one GPU, hours not given.
    """
    return _recipe(halp_ntu60_xview, NTU60, "xview")


def halp_ntu120_xsub() -> Recipe:
    """HaLP on NTU RGB+D 120 across subjects.

    skelbench recipe halp_ntu120_xsub

    Expected: linear on views 71.1. Source: HaLP, linear evaluation, from another paper's table. Hardware: one GPU, hours not given.
    """
    return _recipe(halp_ntu120_xsub, NTU120, "xsub")


def halp_ntu120_xset() -> Recipe:
    """HaLP on NTU RGB+D 120 across setups.

    skelbench recipe halp_ntu120_xset

    Expected: linear on views 72.2. Source: HaLP, linear evaluation, from another paper's table. Hardware: one GPU, hours not given.
    """
    return _recipe(halp_ntu120_xset, NTU120, "xset")


def halp_pku2_xsub() -> Recipe:
    """HaLP on PKU-MMD II across subjects.

    skelbench recipe halp_pku2_xsub

    Expected: linear on views 43.5. Source: HaLP, linear evaluation, from another paper's table. Hardware: one GPU, hours not given.
    """
    return _recipe(halp_pku2_xsub, PKU2, "xsub", lr=0.001, edits=PKU, differs=LONG)
