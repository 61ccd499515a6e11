"""Fine-tuning: the whole network and a new linear layer, trained with labels.

The untrained floor ``random`` under this protocol is the same network trained from scratch, and ``raw`` a linear layer on the
joints, both by the same recipe: the table shows what pre-training is worth.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch

from skelbench.evaluate.score import Description, OnNetwork, Score
from skelbench.evaluate.sgd import Recipe, fit_and_score
from skelbench.evaluate.trial import Trial
from skelbench.methods.backbone import classifier


@dataclass(frozen=True, kw_only=True)
class FineTune(Recipe, OnNetwork):
    """CMD's recipe for semi-supervised learning and transfer, the likely one of HaLP; ``FineTune.strl()`` is that of SkeletonMAE.

    Frozen: nothing; BatchNorm goes on learning. Trained: a copy of the encoder and one new linear layer, N(0, 0.01^2) weights and
    zero bias. Chosen: the epoch, on held-out training subjects. The weights tested are those of that epoch.

    It differs from the papers in that (``differs``): they report the best of several looks at the test set.

    Attributes:
        title: name of the protocol in the table.
    """

    title: str = "fine-tune"

    @classmethod
    def strl(cls, **edits: object) -> FineTune:
        """Section 4.2 of SkeletonMAE: rate 0.1 after 5 epochs of warm-up, 110 epochs of batches of 128, smoothed labels."""
        own = cls(lr=0.1, batch=128, epochs=110, drops=(90, 100), warmup=5, smoothing=0.1, title="fine-tune (STRL)")
        values = {f.name: getattr(own, f.name) for f in fields(cls)}
        return cls(**{**values, **edits})

    @property
    def name(self) -> str:
        return self.title

    @property
    def differs(self) -> dict[str, tuple[str, str]]:
        """What differs from the published recipe: setting -> (published, here)."""
        return {f"{self.name}: selection": ("best look at test", self.selection)}

    def describe(self) -> Description:
        """The protocol in words."""
        return Description(
            frozen="nothing, BatchNorm goes on learning",
            trained=f"the whole network and a new linear layer, {self.words}, on {self.sides}, crops of {self.ratio[0]:g} to "
            f"{self.ratio[1]:g}",
            selection=self.selection,
        )

    def run(self, trial: Trial) -> Score:
        """Score of the trial's test side. The trial's method stays as it is.

        Raises:
            ConfigError: a method without an encoder to train further.
            RunError: the loss is not finite.
        """
        generator = torch.Generator().manual_seed(self.seed)
        classes = len(trial.store.classes)
        learner = classifier(trial.method, classes=classes, generator=generator, ratio=self.ratio, smoothing=self.smoothing)
        return fit_and_score(self.name, learner.to(trial.at), trial, self)
