"""Linear evaluation as HaLP, CMD and ISC run it: a frozen encoder and a linear layer that sees a new crop of every clip each epoch.

``PaperLinear`` is the same on cached features of the centre crop, and much faster; ``Linear`` is the one to compare methods with.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch

from skelbench.errors import ConfigError
from skelbench.evaluate.score import Description, OnNetwork, Score
from skelbench.evaluate.sgd import Recipe, fit_and_score
from skelbench.evaluate.trial import Trial
from skelbench.methods.backbone import classifier
from skelbench.methods.supervised import Supervised


@dataclass(frozen=True, kw_only=True)
class ViewsLinear(Recipe, OnNetwork):
    """The released linear recipe: rate 0.005 (HaLP on NTU), 0.001 (HaLP on PKU-MMD II), 0.1 (ISC, CMD).

    Frozen: the encoder, in eval mode while the layer is trained. Trained: one linear layer, N(0, 0.01^2) weights and zero bias, on
    crops of half to the whole clip. Tested on the centre 95 %. Chosen: the epoch, on held-out training subjects.
    """

    lr: float = 0.005

    @property
    def name(self) -> str:
        return "linear on views"

    @property
    def differs(self) -> dict[str, tuple[str, str]]:
        """What differs from the published recipe: setting -> (published, here)."""
        return {f"{self.name}: selection": ("best look at test", self.selection)}

    def describe(self) -> Description:
        """The protocol in words."""
        return Description(
            frozen="the whole network, in eval mode",
            trained=f"one linear layer, {self.words}, on {self.sides}, crops of {self.ratio[0]:g} to {self.ratio[1]:g}",
            selection=self.selection,
        )

    def run(self, trial: Trial) -> Score:
        """Score of the trial's test side. The trial's method stays as it is.

        Raises:
            ConfigError: a method without an encoder that a linear layer could stand on.
            RunError: the loss is not finite.
        """
        generator = torch.Generator().manual_seed(self.seed)
        classes = len(trial.store.classes)
        learner = classifier(trial.method, classes=classes, generator=generator, ratio=self.ratio, smoothing=self.smoothing)
        if not isinstance(learner, Supervised):
            raise ConfigError(f"{trial.method.name} is not evaluated with a frozen encoder in its paper; take FineTune.strl()")
        learner = cast(Supervised, learner.to(trial.at))
        return fit_and_score(self.name, learner, trial, self, frozen=learner.encoder)
