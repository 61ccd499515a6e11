"""One-shot recognition: classes that training never saw, one clip of each to compare with (NTU RGB+D 120)."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from skelbench.errors import ConfigError
from skelbench.evaluate.score import Description, OnNetwork, Score
from skelbench.evaluate.trial import Trial
from skelbench.parts.nearest import nearest


@dataclass(frozen=True, kw_only=True)
class OneShot(OnNetwork):
    """The nearest exemplar by cosine of frozen features.

    Frozen: the whole network. Gallery: one clip of every tested class (``split.gallery``). Selection: none. The training side takes
    no part, so that it does not matter whether labels were learned from.
    """

    @property
    def name(self) -> str:
        return "one-shot"

    def describe(self) -> Description:
        """The protocol in words."""
        return Description(
            frozen="the whole network, in eval mode",
            trained="nothing",
            gallery="one exemplar of every tested class",
            metric="cosine of the features before the projection head",
            selection="none",
        )

    def run(self, trial: Trial) -> Score:
        """Score of the trial's test side.

        Raises:
            ConfigError: the split has no exemplars, or lacks one of a tested class.
        """
        split = trial.split
        if not len(split.gallery):
            raise ConfigError(
                f"split {split.name!r} has no exemplars to compare with; one-shot wants a split like 'one_shot' of NTU 120"
            )
        gallery, test = trial.features(split.gallery), trial.features(split.test).labelled("test")
        lacking = sorted(set(test.labels.tolist()) - set(gallery.labels.tolist()))
        if lacking:
            names = ", ".join(test.classes[c] for c in lacking[:5])
            raise ConfigError(f"split {split.name!r} tests {len(lacking)} classes that have no exemplar: {names}")
        found = nearest(test.values, gallery.values, 1)
        chosen = {"classes": len(gallery.labels.unique()), "chance": 1 / len(gallery.labels.unique())}
        logits = _scores(test.values, gallery.values, gallery.labels, len(test.classes))
        return Score.of(self.name, test, predictions=gallery.labels[found.rows[:, 0]], logits=logits, chosen=chosen)


def _scores(values: torch.Tensor, exemplars: torch.Tensor, labels: torch.Tensor, classes: int) -> torch.Tensor:
    """Cosine with the exemplar of every class (N, classes), -inf where a class has none."""
    unit = torch.nn.functional.normalize
    full = values.new_full((len(values), classes), -torch.inf)
    full[:, labels] = unit(values, dim=1) @ unit(exemplars, dim=1).T
    return full
