"""Linear evaluation: one linear layer on frozen features.

``Linear`` is the protocol to compare methods with: convex, converged, its one setting chosen on held-out training subjects.
``PaperLinear`` is the SGD recipe of HaLP and ISC on cached features, for numbers that stand beside published ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional as F

from skelbench.errors import ConfigError
from skelbench.evaluate.features import Features
from skelbench.evaluate.logistic import Fitted, fit
from skelbench.evaluate.score import Description, Score


@dataclass(frozen=True, kw_only=True)
class Linear:
    """Logistic regression on standardised features, full batch, run to convergence.

    Frozen: the whole network. The L2 strength is the one setting. It is chosen from ``grid`` by accuracy on held-out
    *training* subjects, then the layer is fitted again on all training clips. The test set is looked at once, at the end.

    Attributes:
        grid: L2 strengths of mean cross-entropy + l2/2 |W|^2, strongest first; equal accuracy keeps the stronger.
        iterations: limit of L-BFGS iterations for each fit.
        tolerance: the last fit has converged when no entry of its scaled gradient exceeds this; the choice takes ten times it.
    """

    grid: tuple[float, ...] = (0.1, 0.01, 0.001, 0.0001)
    iterations: int = 1000
    tolerance: float = 1e-5

    def __post_init__(self) -> None:
        if not self.grid or min(self.grid) <= 0 or list(self.grid) != sorted(self.grid, reverse=True):
            raise ConfigError(f"Linear.grid lists L2 strengths above 0, strongest first; got {self.grid}")

    @property
    def name(self) -> str:
        return "linear"

    def describe(self) -> Description:
        """The protocol in words."""
        return Description(
            frozen="the whole network, in eval mode",
            trained="one linear layer, to convergence, on training clips and those of the validation subjects, standardised",
            selection=f"L2 out of {', '.join(f'{s:g}' for s in self.grid)} on held-out training subjects, never on test",
        )

    def run(self, train: Features, test: Features, *, validation: Features | None = None) -> Score:
        """Score of ``test``. Where ``validation`` is missing or empty, every fifth training subject is held out for the choice."""
        train, test = train.labelled("training"), test.labelled("test")
        everything, how = train, "validation subjects"
        if validation is not None and bool((validation.labels >= 0).any()):
            validation = validation.labelled("validation")
            everything = train.join(validation)
        else:
            train, validation, how = _hold_out(train)
        chosen: dict[str, Any] = {"l2": self.grid[len(self.grid) // 2], "by": how}
        start: Fitted | None = None
        held_out = None
        if validation is not None:
            found, start = self._choose(train, validation)
            chosen |= found
            held_out = Score.of(self.name, validation, logits=start.scores(validation.values, len(validation.classes)))
        fitted = self.fit(everything, l2=chosen["l2"], start=start)
        chosen |= {"iterations": fitted.iterations, "slope": fitted.slope}
        logits = fitted.scores(test.values, len(test.classes))
        return Score.of(self.name, test, logits=logits, chosen=chosen, held_out=held_out)

    def _choose(self, train: Features, validation: Features) -> tuple[dict[str, Any], Fitted]:
        """The L2 strength that does best on validation, and its fit."""
        fits: list[Fitted] = []
        accuracy: list[float] = []
        for l2 in self.grid:  # each fit starts at the stronger one's solution
            fits.append(self.fit(train, l2=l2, start=fits[-1] if fits else None, tolerance=10 * self.tolerance))
            accuracy.append(float((fits[-1].predict(validation.values) == validation.labels).double().mean()))
        best = max(range(len(accuracy)), key=lambda i: accuracy[i])  # the first of equals: the stronger
        return {"l2": self.grid[best], "validation accuracy": accuracy[best]}, fits[best]

    def fit(self, train: Features, *, l2: float, start: Fitted | None = None, tolerance: float | None = None) -> Fitted:
        """The layer for one L2 strength."""
        stop = self.tolerance if tolerance is None else tolerance
        return fit(train.values, train.labels, l2=l2, start=start, iterations=self.iterations, tolerance=stop)


def _hold_out(train: Features) -> tuple[Features, Features | None, str]:
    """(train, validation, how): every fifth subject is held out; nobody where there is a single subject."""
    subjects = train.subjects.unique()
    held = torch.isin(train.subjects, subjects[::5])
    if len(subjects) < 2:
        return train, None, "middle of the grid: one training subject, nobody to hold out"
    return train.take(~held), train.take(held), "every fifth training subject"


@dataclass(frozen=True, kw_only=True)
class PaperLinear:
    """The linear recipe of HaLP's released scripts (NTU settings), on cached centre-crop features.

    Frozen: the whole network. One linear layer, N(0, 0.01^2) weights, zero bias, SGD with momentum 0.9 and no weight decay, batch
    64, 80 epochs, rate x 0.1 at 50 and 70. Nothing is selected: the last epoch counts.

    It differs from the papers in two ways (``differs``). They draw a new crop of half to the whole clip for every epoch; here the
    features are those of the centre crop. They report the best of 16 looks at the test set; here the test set is looked at once.

    Attributes:
        lr: 0.005 on NTU, 0.001 on PKU-II; the scripts of CMD and ISC use 0.1.
        seed: of the initial weights and the order of the clips.
    """

    lr: float = 0.005
    momentum: float = 0.9
    batch: int = 64
    epochs: int = 80
    drops: tuple[int, ...] = (50, 70)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.lr <= 0 or self.epochs < 1 or self.batch < 1:
            raise ConfigError(f"PaperLinear needs lr > 0, epochs >= 1 and batch >= 1, got {self}")

    @property
    def name(self) -> str:
        return "paper linear"

    @property
    def differs(self) -> dict[str, tuple[str, str]]:
        """What differs from the published recipe: setting -> (published, here)."""
        return {"crops": ("random, 0.5 to 1 of the clip", "centre, cached"), "selection": ("best of 16 test epochs", "last epoch")}

    def describe(self) -> Description:
        """The protocol in words."""
        recipe = f"SGD {self.lr:g}, momentum {self.momentum:g}, batch {self.batch}, {self.epochs} epochs, /10 at {self.drops}"
        return Description(
            frozen="the whole network, in eval mode",
            trained=f"one linear layer, {recipe}, on centre crops of training clips and those of the validation subjects",
            selection="none: the last epoch",
        )

    def run(self, train: Features, test: Features, *, validation: Features | None = None) -> Score:
        """Score of ``test`` after the last epoch."""
        train, test = train.join(validation).labelled("training"), test.labelled("test")
        device = train.values.device
        generator = torch.Generator().manual_seed(self.seed)
        weight = 0.01 * torch.randn(len(train.classes), train.values.shape[1], generator=generator)  # (S, D)
        layer = [weight.to(device).requires_grad_(), torch.zeros(len(weight), device=device, requires_grad=True)]
        optimiser = torch.optim.SGD(layer, lr=self.lr, momentum=self.momentum)
        schedule = torch.optim.lr_scheduler.MultiStepLR(optimiser, list(self.drops), gamma=0.1)
        for _ in range(self.epochs):
            for at in torch.randperm(len(train), generator=generator).to(device).split(self.batch):
                optimiser.zero_grad()
                F.cross_entropy(F.linear(train.values[at], *layer), train.labels[at]).backward()
                optimiser.step()
            schedule.step()
        with torch.no_grad():
            logits = F.linear(test.values, *layer)
        return Score.of(self.name, test, logits=logits, chosen={"epoch": self.epochs})
