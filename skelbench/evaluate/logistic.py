"""Multinomial logistic regression run to convergence, in bounded memory, on whatever device the features are on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from skelbench.errors import DataError

_BLOCK = 1 << 22  # feature values turned to float64 at a time (32 MiB)
_FACTOR = 1e6  # see _minimise


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
        slope: largest absolute entry of the gradient at the end, along the principal axes of the features.
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
        blocks = _Blocks(values, self.mean, self.scale)
        return torch.cat([x @ self.weight.T + self.bias for _, x in blocks])

    def scores(self, values: Tensor, classes: int) -> Tensor:
        """Class scores (N, classes); -inf for classes without a training clip."""
        logits = self.logits(values)
        full = logits.new_full((len(logits), classes), -torch.inf)
        full[:, self.labels] = logits
        return full

    def predict(self, values: Tensor) -> Tensor:
        """Class indices (N,)."""
        return self.labels[self.logits(values).argmax(dim=1)]


def fit(
    values: Tensor, labels: Tensor, *, l2: float, start: Fitted | None = None, iterations: int = 1000, tolerance: float = 1e-5
) -> Fitted:
    """Minimise mean cross-entropy + l2/2 |W|^2 over W (S, D) and a free bias, by L-BFGS in float64.

    scikit-learn's ``LogisticRegression(C=1 / (N * l2))`` has the same minimum. Learned features vary a thousand times more along
    some directions than along others, which L-BFGS alone needs thousands of iterations for. So it works along the principal axes,
    each scaled by about one over the root of the curvature there: the same minimum in tens of iterations.

    Args:
        values: features (N, D).
        labels: classes (N,), none negative.
        l2: strength above 0.
        start: a fit to start from, of the same classes on like features.
        iterations: limit.
        tolerance: largest entry of the scaled gradient at which to stop.

    Raises:
        DataError: no features, or another number of labels.
    """
    if len(values) != len(labels) or not len(labels):
        raise DataError(f"linear fit of {len(values)} features to {len(labels)} labels")
    classes, target = labels.unique(return_inverse=True)  # sorted classes that are there
    mean, scale = _moments(values)
    blocks = _Blocks(values, mean, scale)
    axes, variance = _principal_axes(blocks, len(values))  # (D, r), (r,)
    turn: Tensor | None = axes
    if len(values) * axes.shape[1] <= _BLOCK:  # small enough to turn the features once instead of the weights every time
        turned = torch.cat([x @ axes for _, x in blocks])
        blocks, turn = _Blocks(turned, torch.zeros_like(variance), torch.ones_like(variance)), None
    S = len(classes)
    curvature = torch.full_like(variance[:1], (S - 1) / S**2)  # of the cross-entropy where all classes are equally likely
    unit = torch.cat([curvature * variance + l2, curvature.clamp_min(1e-3)]).rsqrt()  # (r + 1,)
    theta = torch.zeros(S, len(unit), dtype=torch.float64, device=values.device)
    if start is not None and torch.equal(start.labels, classes):
        theta = torch.cat([start.weight @ axes, start.bias[:, None]], dim=1) / unit
    steps, slope = _minimise(_Problem(blocks, turn, unit, target, l2), theta, iterations=iterations, tolerance=tolerance)
    theta = theta * unit
    weight, bias = theta[:, :-1] @ axes.T, theta[:, -1].contiguous()
    return Fitted(weight=weight, bias=bias, mean=mean, scale=scale, labels=classes, iterations=steps, slope=slope)


class _Blocks:
    """Features (N, D) as standardised float64 blocks: (rows, (n, D)) each. Made anew for every pass unless one block holds all."""

    def __init__(self, values: Tensor, mean: Tensor, scale: Tensor) -> None:
        self.values, self.mean, self.scale = values, mean, scale
        self._whole = self._block(slice(0, len(values))) if values.numel() <= _BLOCK else None

    def _block(self, rows: slice) -> tuple[slice, Tensor]:
        return rows, (self.values[rows].double() - self.mean) / self.scale

    def __iter__(self) -> Iterator[tuple[slice, Tensor]]:
        if self._whole is not None:
            return iter((self._whole,))
        return (self._block(rows) for rows in _slices(self.values))


class _Problem(NamedTuple):
    """What is minimised.

    Attributes:
        blocks: features (N, D), or already turned to their axes (N, r).
        turn: axes (D, r) to turn weights by where the features are not.
        unit: length of a step of 1 in every coordinate of theta (r + 1,).
        target: outputs (N,), 0 .. S-1.
        l2: strength.
    """

    blocks: _Blocks
    turn: Tensor | None
    unit: Tensor
    target: Tensor
    l2: float


def _principal_axes(blocks: _Blocks, N: int) -> tuple[Tensor, Tensor]:
    """Orthonormal axes (D, r) that span the features, and the variance along each (r,); from the smaller of D x D and N x N."""
    D = blocks.values.shape[1]
    if D <= N:
        moment = sum((x.T @ x for _, x in blocks), torch.zeros((), dtype=torch.float64))
        variance, axes = torch.linalg.eigh(torch.as_tensor(moment) / N)
        return axes, variance.clamp_min(0)
    x = torch.cat([x for _, x in blocks])  # (N, D), fewer clips than features
    power, corners = torch.linalg.eigh(x @ x.T)
    keep = power > 1e-10 * power[-1].clamp_min(torch.finfo(power.dtype).tiny)
    return x.T @ (corners[:, keep] / power[keep].sqrt()), power[keep] / N


def _minimise(problem: _Problem, theta: Tensor, *, iterations: int, tolerance: float) -> tuple[int, float]:
    """Change theta (S, r + 1) in place; (iterations made, largest entry of the gradient that is left)."""
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
        loss, gradient = _loss_and_gradient(theta.detach() * problem.unit, problem)
        theta.grad = gradient * problem.unit * _FACTOR
        return loss * _FACTOR

    optimiser.step(closure)
    theta.requires_grad_(False)
    left = _loss_and_gradient(theta * problem.unit, problem)[1]
    return int(optimiser.state[theta]["n_iter"]), float(left.abs().max())


def _loss_and_gradient(theta: Tensor, problem: _Problem) -> tuple[Tensor, Tensor]:
    """Objective () and its gradient (S, r + 1): (softmax - one-hot)' [x, 1] / N + l2 [W, 0], W along the principal axes."""
    blocks, turn, _, target, l2 = problem
    along, bias = theta[:, :-1], theta[:, -1]
    weight = along if turn is None else along @ turn.T
    loss = 0.5 * l2 * along.square().sum()
    slope, total = torch.zeros_like(weight), torch.zeros_like(bias)
    for rows, x in blocks:
        score = F.log_softmax(x @ weight.T + bias, dim=1)  # (n, S)
        loss = loss - score.gather(1, target[rows, None]).sum() / len(target)
        error = score.exp()
        error[torch.arange(len(x), device=x.device), target[rows]] -= 1.0
        error /= len(target)
        slope += error.T @ x
        total += error.sum(dim=0)
    slope = l2 * along + (slope if turn is None else slope @ turn)
    return loss, torch.cat([slope, total[:, None]], dim=1)


def _slices(values: Tensor) -> Iterator[slice]:
    rows = max(1, _BLOCK // values.shape[1])
    return (slice(i, i + rows) for i in range(0, len(values), rows))


def _moments(values: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (D,) in float64; 1 where a feature does not vary."""
    mean = sum((values[rows].double().sum(dim=0) for rows in _slices(values)), torch.zeros((), dtype=torch.float64)) / len(values)
    spread = sum(
        ((values[rows].double() - mean).square().sum(dim=0) for rows in _slices(values)), torch.zeros((), dtype=torch.float64)
    )
    scale = (spread / len(values)).sqrt()
    return mean, torch.where(scale > 1e-8 * mean.abs().clamp_min(1e-8), scale, torch.ones_like(scale))
