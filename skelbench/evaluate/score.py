"""What a protocol is and what it gives back."""

from __future__ import annotations

import html
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from skelbench.errors import DataError
from skelbench.evaluate.features import Features


class Protocol(typing.Protocol):
    """A frozen way to measure a representation. Its fields are the whole of its settings."""

    @property
    def name(self) -> str:
        """Column of the table."""

    def describe(self) -> dict[str, str]:
        """What is frozen, what is fitted on which part, what is chosen and how."""

    def run(self, train: Features, test: Features, *, validation: Features | None = None) -> Score:
        """Score of ``test``. ``validation`` holds clips of training subjects; ``test`` chooses nothing."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Score:
    """Outcome of one protocol on one test set.

    Attributes:
        protocol: name of the protocol.
        classes: class names.
        labels: true classes (N,).
        predictions: (N,).
        rows: rows of the test clips in their store (N,).
        chosen: what was selected without looking at the test set, and how.
    """

    protocol: str
    classes: tuple[str, ...]
    labels: Tensor
    predictions: Tensor
    rows: Tensor
    chosen: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not len(self.labels) or self.labels.shape != self.predictions.shape:
            shapes = f"{tuple(self.predictions.shape)} predictions for {tuple(self.labels.shape)} test labels"
            raise DataError(f"{self.protocol}: {shapes}")

    @property
    def n(self) -> int:
        """Test clips."""
        return len(self.labels)

    @property
    def accuracy(self) -> float:
        """Share of test clips that are right, in [0, 1]."""
        return float((self.labels == self.predictions).double().mean())

    @property
    def confusion(self) -> Tensor:
        """Counts (classes, classes): true class down, predicted class across."""
        S = len(self.classes)
        return torch.bincount(self.labels * S + self.predictions, minlength=S * S).reshape(S, S)

    @property
    def per_class(self) -> Tensor:
        """Accuracy of every class (classes,), nan where the test set has no clip of it."""
        confusion = self.confusion.double()
        return confusion.diagonal() / confusion.sum(dim=1)

    @property
    def mean_class(self) -> float:
        """Accuracy averaged over the classes that the test set has: every class counts the same."""
        return float(self.per_class.nanmean())

    def confused(self, n: int = 5) -> list[tuple[str, str, int]]:
        """The most frequent mistakes: (true class, predicted class, count)."""
        off = self.confusion.clone().fill_diagonal_(0)
        counts, at = off.flatten().sort(descending=True, stable=True)
        S = len(self.classes)
        pairs = zip(counts.tolist(), at.tolist(), strict=True)
        return [(self.classes[i // S], self.classes[i % S], c) for c, i in list(pairs)[:n] if c > 0]

    def __repr__(self) -> str:
        return f"Score({self.protocol}: {self._summary()})"

    def _summary(self) -> str:
        return f"{100 * self.accuracy:.1f} % of {self.n} clips, mean per class {100 * self.mean_class:.1f} %"

    def _repr_html_(self) -> str:
        counts = self.confusion.sum(dim=1).tolist()
        rows = "".join(
            f"<tr><td style='text-align:left'>{html.escape(name)}</td><td>{n}</td><td>{100 * share:.1f}</td></tr>"
            for name, n, share in zip(self.classes, counts, self.per_class.tolist(), strict=True)
            if n
        )
        mistakes = ", ".join(f"{html.escape(a)} taken for {html.escape(b)} ({c})" for a, b, c in self.confused())
        chosen = ", ".join(f"{html.escape(str(k))} = {html.escape(str(v))}" for k, v in self.chosen.items())
        return (
            f"<div><b>{html.escape(self.protocol)}</b>: {self._summary()}"
            + (f"<br><small>chosen: {chosen}</small>" if chosen else "")
            + (f"<br><small>most frequent mistakes: {mistakes}</small>" if mistakes else "")
            + "<details><summary>per class</summary><table><tr><th style='text-align:left'>class</th><th>clips</th><th>%</th></tr>"
            f"{rows}</table></details></div>"
        )
