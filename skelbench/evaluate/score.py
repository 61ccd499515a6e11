"""What a protocol is and what it gives back.

A protocol is a frozen dataclass whose fields are the whole of its settings. Most look at frozen features alone (``Protocol``);
those that train the network further, or look at other clips than training and test, get the whole trial (``OnNetwork``).
``str(protocol.describe())`` says in one line what is frozen, what is trained, and how and on what it is chosen.
"""

from __future__ import annotations

import abc
import html
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor

from skelbench.errors import DataError
from skelbench.evaluate.features import Features

if TYPE_CHECKING:
    from skelbench.evaluate.trial import Trial


class Description(dict[str, str]):
    """What a protocol does, term by term; as text, one line."""

    def __str__(self) -> str:
        return "; ".join(f"{term}: {text}" for term, text in self.items())


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One number of a protocol: what becomes a row of the table.

    Attributes:
        protocol: name of the protocol, and of the number where it has several.
        accuracy: share of test clips that are right, or what stands for it, [0, 1].
        mean_class: the same, averaged over classes.
        n: test clips.
        chosen: what the protocol selected, and how.
        data: name of the data where it is not that of the trial.
        split: name of the split where it is not that of the trial.
    """

    protocol: str
    accuracy: float
    mean_class: float
    n: int
    chosen: Mapping[str, Any] = field(default_factory=dict)
    data: str = ""
    split: str = ""


class Outcome(typing.Protocol):
    """What a protocol gives back: at least its numbers."""

    @property
    def measures(self) -> Sequence[Measure]:
        """One a row of the table."""


class Protocol(typing.Protocol):
    """A way to measure frozen features."""

    @property
    def name(self) -> str:
        """Column of the table."""

    def describe(self) -> Description:
        """What is frozen, what is fitted on which part, what is chosen and how."""

    def run(self, train: Features, test: Features, *, validation: Features | None = None) -> Outcome:
        """Outcome on ``test``. ``validation`` holds clips of training subjects; ``test`` chooses nothing."""


class OnNetwork(abc.ABC):
    """A protocol that needs more than the features of training, validation and test clips."""

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """Column of the table."""

    @abc.abstractmethod
    def describe(self) -> Description:
        """What is frozen, what is trained on which part, what is chosen and how."""

    @abc.abstractmethod
    def run(self, trial: Trial) -> Outcome:
        """Outcome on the test side of the trial's split."""


AnyProtocol = Protocol | OnNetwork


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
        ids: names of the test clips, N of them, where they are known.
        logits: class scores (N, classes), -inf where a class could not be told; None where the protocol has none.
        held_out: the same protocol on the validation clips, before they were learned from; None where there are none.
    """

    protocol: str
    classes: tuple[str, ...]
    labels: Tensor
    predictions: Tensor
    rows: Tensor
    chosen: Mapping[str, Any] = field(default_factory=dict)
    ids: tuple[str, ...] = ()
    logits: Tensor | None = None
    held_out: Score | None = None

    def __post_init__(self) -> None:
        if not len(self.labels) or self.labels.shape != self.predictions.shape:
            shapes = f"{tuple(self.predictions.shape)} predictions for {tuple(self.labels.shape)} test labels"
            raise DataError(f"{self.protocol}: {shapes}")

    @classmethod
    def of(
        cls,
        protocol: str,
        clips: Features,
        *,
        predictions: Tensor | None = None,
        logits: Tensor | None = None,
        chosen: Mapping[str, Any] | None = None,
        held_out: Score | None = None,
    ) -> Self:
        """The score of labelled clips, from predictions (N,), or from logits (N, classes) whose largest entry is the prediction."""
        if predictions is None:
            assert logits is not None
            predictions = logits.argmax(dim=1)
        return cls(
            protocol=protocol,
            classes=clips.classes,
            labels=clips.labels.cpu(),
            predictions=predictions.cpu(),
            rows=clips.rows.cpu(),
            chosen=dict(chosen or {}),
            ids=clips.ids,
            logits=None if logits is None else logits.float().cpu(),
            held_out=held_out,
        )

    @property
    def measures(self) -> tuple[Measure, ...]:
        """The one row of the table."""
        own = Measure(protocol=self.protocol, accuracy=self.accuracy, mean_class=self.mean_class, n=self.n, chosen=self.chosen)
        return (own,)

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
