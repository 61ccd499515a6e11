"""Linear evaluation: one linear layer on frozen features.

``Linear`` is the protocol to compare methods with: convex, converged, its one setting chosen on held-out training subjects.
``PaperLinear`` is the SGD recipe of HaLP and ISC on cached features, for numbers that stand beside published ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from skelbench.errors import ConfigError, DataError
from skelbench.evaluate.features import Features
from skelbench.evaluate.score import Score

_BLOCK = 1 << 22  # feature values turned to float64 at a time (32 MiB)
_FACTOR = 1e6


@dataclass(frozen=True, kw_only=True, eq=False)
class Fitted:
    """A converged multinomial logistic regression.

    Attributes:
        weight: float64 (S, D), on standardised features.
        bias: float64 (S,).
        mean: float64 (D,), of the clips it was fitted on.
        scale: float64 (D,), their standard deviation; 1 where a feature is constant.
        labels: class index of every output (S,); classes without a training clip have none.
        iterations: L-BFGS iterations.
        slope: largest absolute entry of the gradient at the end.
    """

    weight: Tensor
    bias: Tensor
    mean: Tensor
    scale: Tensor
    labels: Tensor
    iterations: int
    slope: float

    def logits(self, values: Tensor) -> Tensor:
        """Class scores (N, S) of features (N, D)."""
        blocks = _Standardised(values, self.mean, self.scale)
        return torch.cat([x @ self.weight.T + self.bias for _, x in blocks])

    def predict(self, values: Tensor) -> Tensor:
        """Class indices (N,)."""
        return self.labels[self.logits(values).argmax(dim=1)]


@dataclass(frozen=True, kw_only=True)
class Linear:
    """Logistic regression on standardised features, full batch, run to convergence.

    Frozen: the whole network. The L2 strength is the one setting. It is chosen from ``grid`` by accuracy on held-out
    *training* subjects, then the layer is fitted again on all training clips. The test set is looked at once, at the end.

    Attributes:
        grid: L2 strengths of mean cross-entropy + l2/2 |W|^2, strongest first; equal accuracy keeps the stronger.
        iterations: limit of L-BFGS iterations for each fit.
        tolerance: a fit has converged when no entry of its gradient exceeds this.
    """

    grid: tuple[float, ...] = (1.0, 0.1, 0.01, 0.001)
    iterations: int = 500
    tolerance: float = 1e-6

    def __post_init__(self) -> None:
        if not self.grid or min(self.grid) <= 0 or list(self.grid) != sorted(self.grid, reverse=True):
            raise ConfigError(f"Linear.grid lists L2 strengths above 0, strongest first; got {self.grid}")

    @property
    def name(self) -> str:
        return "linear"

    def describe(self) -> dict[str, str]:
        """The protocol in words."""
        return {
            "frozen": "the whole network, in eval mode",
            "fitted on": "training clips, standardised with their own mean and spread",
            "selection": f"L2 out of {', '.join(f'{s:g}' for s in self.grid)} on held-out training subjects, never on test",
            "final fit": "training clips and those of the validation subjects",
        }

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
        if validation is not None and len(self.grid) > 1:
            chosen |= self._choose(train, validation)
        fitted = self.fit(everything, l2=chosen["l2"])
        return Score(
            protocol=self.name,
            classes=test.classes,
            labels=test.labels.cpu(),
            predictions=fitted.predict(test.values).cpu(),
            rows=test.rows.cpu(),
            chosen=chosen | {"iterations": fitted.iterations, "slope": fitted.slope},
        )

    def _choose(self, train: Features, validation: Features) -> dict[str, Any]:
        accuracy: list[float] = []
        start: Fitted | None = None
        for l2 in self.grid:  # each fit starts at the stronger one's solution
            start = self.fit(train, l2=l2, start=start)
            accuracy.append(float((start.predict(validation.values) == validation.labels).double().mean()))
        best = max(range(len(accuracy)), key=lambda i: accuracy[i])  # the first of equals: the stronger
        return {"l2": self.grid[best], "validation accuracy": accuracy[best]}

    def fit(self, train: Features, *, l2: float, start: Fitted | None = None) -> Fitted:
        """The layer for one L2 strength."""
        return fit(train.values, train.labels, l2=l2, start=start, iterations=self.iterations, tolerance=self.tolerance)


def _hold_out(train: Features) -> tuple[Features, Features | None, str]:
    """(train, validation, how): every fifth subject is held out; nobody where there is a single subject."""
    subjects = train.subjects.unique()
    held = torch.isin(train.subjects, subjects[::5])
    if len(subjects) < 2:
        return train, None, "middle of the grid: one training subject, nobody to hold out"
    return train.take(~held), train.take(held), "every fifth training subject"


def fit(
    values: Tensor, labels: Tensor, *, l2: float, start: Fitted | None = None, iterations: int = 500, tolerance: float = 1e-6
) -> Fitted:
    """Minimise mean cross-entropy + l2/2 |W|^2 over W (S, D) and a free bias, by L-BFGS in float64.

    scikit-learn's ``LogisticRegression(C=1 / (N * l2))`` has the same minimum. Features are turned to float64 block by block, so
    that the copy in memory stays small.

    Args:
        values: features (N, D).
        labels: classes (N,), none negative.
        l2: strength above 0.
        start: a fit on the same clips to start from.
        iterations: limit.
        tolerance: largest entry of the gradient at which to stop.
    """
    if len(values) != len(labels) or not len(labels):
        raise DataError(f"linear fit of {len(values)} features to {len(labels)} labels")
    classes, target = labels.unique(return_inverse=True)  # sorted classes that are there
    mean, scale = _moments(values)
    blocks, basis = _Standardised(values, mean, scale), None
    if values.shape[1] > len(values):  # more features than clips: the answer lies in the span of the clips, so work there
        rotated, basis = _span(torch.cat([x for _, x in blocks]))  # (N, r), (D, r)
        blocks = _Standardised(rotated, torch.zeros_like(rotated[0]), torch.ones_like(rotated[0]))
    problem = _Problem(blocks, target, l2)
    theta = torch.zeros(len(classes), blocks.width + 1, dtype=torch.float64, device=values.device)
    if start is not None and torch.equal(start.labels, classes):
        theta[:, :-1] = start.weight if basis is None else start.weight @ basis
        theta[:, -1] = start.bias
    steps, slope = _minimise(problem, theta, iterations=iterations, tolerance=tolerance)
    weight = theta[:, :-1].contiguous() if basis is None else theta[:, :-1] @ basis.T
    return Fitted(
        weight=weight, bias=theta[:, -1].contiguous(), mean=mean, scale=scale, labels=classes, iterations=steps, slope=slope
    )


class _Standardised:
    """Features (N, D) as standardised float64 blocks: (rows, (n, D)) each. Made anew for every pass unless one block holds all."""

    def __init__(self, values: Tensor, mean: Tensor, scale: Tensor) -> None:
        self.values, self.mean, self.scale = values, mean, scale
        self.width = values.shape[1]
        self._whole = self._block(slice(0, len(values))) if values.numel() <= _BLOCK else None

    def _block(self, rows: slice) -> tuple[slice, Tensor]:
        return rows, (self.values[rows].double() - self.mean) / self.scale

    def __iter__(self) -> Iterator[tuple[slice, Tensor]]:
        if self._whole is not None:
            return iter((self._whole,))
        return (self._block(rows) for rows in _blocks(self.values))


class _Problem(NamedTuple):
    """Features (N, D), outputs (N,) in 0..S-1, L2 strength."""

    blocks: _Standardised
    target: Tensor
    l2: float


def _span(x: Tensor) -> tuple[Tensor, Tensor]:
    """Coordinates (N, r) of the rows of x (N, D) in an orthonormal basis (D, r) of what they span."""
    power, axes = torch.linalg.eigh(x @ x.T)
    keep = power > 1e-10 * power[-1].clamp_min(torch.finfo(power.dtype).tiny)
    length = power[keep].sqrt()
    return axes[:, keep] * length, x.T @ (axes[:, keep] / length)


def _minimise(problem: _Problem, theta: Tensor, *, iterations: int, tolerance: float) -> tuple[int, float]:
    """Change theta (S, D + 1) in place; (iterations made, largest entry of the gradient that is left)."""
    theta.requires_grad_()
    # torch's L-BFGS stops learning the curvature once step . change of gradient is below 1e-10, which a mean loss reaches long
    # before it has converged: hence the factor. Of the two tolerances one is ours, the other ends what float64 cannot improve.
    optimiser = torch.optim.LBFGS(
        [theta],
        max_iter=iterations,
        max_eval=2 * iterations,
        history_size=20,
        tolerance_grad=tolerance * _FACTOR,
        tolerance_change=1e-16 * _FACTOR,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        loss, gradient = _loss_and_gradient(theta.detach(), problem)
        theta.grad = gradient * _FACTOR
        return loss * _FACTOR

    optimiser.step(closure)
    theta.requires_grad_(False)
    return int(optimiser.state[theta]["n_iter"]), float(_loss_and_gradient(theta, problem)[1].abs().max())


def _loss_and_gradient(theta: Tensor, problem: _Problem) -> tuple[Tensor, Tensor]:
    """Objective () and its gradient (S, D + 1): (softmax - one-hot)' [x, 1] / N + l2 [W, 0]."""
    blocks, target, l2 = problem
    weight, bias = theta[:, :-1], theta[:, -1]
    loss, slope = 0.5 * l2 * weight.square().sum(), torch.zeros_like(theta)
    slope[:, :-1] = l2 * weight
    for rows, x in blocks:
        score = F.log_softmax(x @ weight.T + bias, dim=1)  # (n, S)
        loss = loss - score.gather(1, target[rows, None]).sum() / len(target)
        error = score.exp()
        error[torch.arange(len(x), device=x.device), target[rows]] -= 1.0
        error /= len(target)
        slope[:, :-1] += error.T @ x
        slope[:, -1] += error.sum(dim=0)
    return loss, slope


def _blocks(values: Tensor) -> Iterator[slice]:
    rows = max(1, _BLOCK // values.shape[1])
    return (slice(i, i + rows) for i in range(0, len(values), rows))


def _moments(values: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (D,) in float64; 1 where a feature does not vary."""
    mean = sum((values[rows].double().sum(dim=0) for rows in _blocks(values)), torch.zeros((), dtype=torch.float64)) / len(values)
    spread = sum(
        ((values[rows].double() - mean).square().sum(dim=0) for rows in _blocks(values)), torch.zeros((), dtype=torch.float64)
    )
    scale = (spread / len(values)).sqrt()
    return mean, torch.where(scale > 1e-8 * mean.abs().clamp_min(1e-8), scale, torch.ones_like(scale))


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

    def describe(self) -> dict[str, str]:
        """The protocol in words."""
        return {
            "frozen": "the whole network, in eval mode",
            "fitted on": "training clips and those of the validation subjects, centre crops",
            "recipe": f"SGD {self.lr:g}, momentum {self.momentum:g}, batch {self.batch}, {self.epochs} epochs, /10 at {self.drops}",
            "selection": "none: the last epoch",
        }

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
            predictions = F.linear(test.values, *layer).argmax(dim=1)
        return Score(
            protocol=self.name,
            classes=test.classes,
            labels=test.labels.cpu(),
            predictions=predictions.cpu(),
            rows=test.rows.cpu(),
            chosen={"epoch": self.epochs},
        )
