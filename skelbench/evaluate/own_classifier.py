"""What a method that was trained with labels says itself."""

from __future__ import annotations

from dataclasses import dataclass

from skelbench.evaluate.linear import Linear
from skelbench.evaluate.score import Description, OnNetwork, Score
from skelbench.evaluate.sgd import judged
from skelbench.evaluate.trial import Trial, refuse_one_shot


@dataclass(frozen=True, kw_only=True)
class OwnClassifier(OnNetwork):
    """The class scores of a supervised method; where a method has none (the floors), the protocol ``linear`` stands in.

    Frozen: the whole network. Trained: nothing, for a supervised method. Selection: that of its training run.
    """

    @property
    def name(self) -> str:
        return "classifier"

    def describe(self) -> Description:
        """The protocol in words."""
        return Description(
            frozen="the whole network, in eval mode",
            trained="nothing; for the floors, one linear layer as in the protocol linear",
            selection="that of the training run",
        )

    def run(self, trial: Trial) -> Score:
        """Score of the trial's test side."""
        refuse_one_shot(self.name, trial.split)
        if trial.method.supervised:
            found = judged(trial.method, trial, trial.split.test).labelled("test")
            return Score.of(self.name, found, logits=found.values)
        parts = trial.parts
        score = Linear().run(parts.train, parts.test, validation=parts.validation)
        test = parts.test.labelled("test")
        return Score.of(self.name, test, logits=score.logits, chosen={**score.chosen, "in place of a classifier": "linear"})
