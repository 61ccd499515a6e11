"""Long-tailed classification: accuracy by how many clips of a class there were to learn from.

A number over all test clips hides whom it was won on. Classes are put in three groups by their number of *training* clips, and a
group's accuracy is the mean over its classes, whatever number of test clips they have:

    longtail            thirds of the classes, by training clips; the rarest third is the one BRL's sampler raises
    longtail:100,20     many above 100 clips, few below 20, medium between (Shap-Mix, IJCAI 2024, on BRL's lists)

A run is trained on a long tail and tested on the whole other side by the name of its split, ``xsub@lt100``.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skelbench.data import longtail
from skelbench.errors import ConfigError, DataError
from skelbench.evaluate.own_classifier import OwnClassifier
from skelbench.evaluate.score import Description, Measure, OnNetwork, Score
from skelbench.evaluate.trial import Trial
from skelbench.parts.rebalance import GROUPS, thirds


@dataclass(frozen=True, kw_only=True)
class LongTail(OnNetwork):
    """The classifier of a supervised method, overall and by groups of classes; ``linear`` for methods that have none.

    Frozen: the whole network. Selection: that of the training run. Groups come from the training side alone.

    Attributes:
        many: classes of more training clips than this are ``many``; thirds of the classes where None.
        few: classes of fewer are ``few``; given with ``many``, or not at all.
    """

    many: int | None = None
    few: int | None = None

    def __post_init__(self) -> None:
        both = (self.many, self.few)
        if both.count(None) == 1 or (None not in both and not 0 < self.few <= self.many + 1):  # type: ignore[operator]
            raise ConfigError(f"LongTail: many={self.many}, few={self.few}; wanted both with 0 < few <= many + 1, or neither")

    @property
    def name(self) -> str:
        return "long-tail" if self.many is None else f"long-tail >{self.many} <{self.few}"

    def describe(self) -> Description:
        """The protocol in words."""
        groups = "thirds of the classes by training clips" if self.many is None else f"over {self.many}, under {self.few} clips"
        return Description(
            frozen="the whole network, in eval mode",
            trained="nothing; for methods without a classifier, one linear layer as in the protocol linear",
            selection="that of the training run",
            groups=f"{groups}; the mean over the classes of a group",
        )

    def run(self, trial: Trial) -> LongTailed:
        """Score of the trial's test side, and the clips that every class has on the training side, validation included."""
        score = OwnClassifier().run(trial)
        labels = torch.from_numpy(trial.store.labels[trial.split.train_all].astype(np.int64))
        counts = torch.bincount(labels[labels >= 0], minlength=len(score.classes))
        return self.of(score, counts)

    def of(self, score: Score, counts: Tensor) -> LongTailed:
        """The same for a score that is there already; ``counts`` (classes,) are training clips."""
        if self.many is None or self.few is None:
            groups = thirds(counts)
        else:
            named = longtail.groups(counts.numpy(), many=self.many, few=self.few)
            groups = tuple(str(g) if n else "" for g, n in zip(named, counts.tolist(), strict=True))
        return LongTailed(name=self.name, score=score, counts=counts, groups=groups)


@dataclass(frozen=True, kw_only=True, eq=False)
class LongTailed:
    """Outcome of ``LongTail``.

    Attributes:
        name: of the protocol.
        score: over all test clips.
        counts: training clips of every class (classes,).
        groups: ``many``, ``medium``, ``few`` for every class, "" for one without training clips.
    """

    name: str
    score: Score
    counts: Tensor
    groups: tuple[str, ...]

    def __post_init__(self) -> None:
        C = len(self.score.classes)
        if len(self.counts) != C or len(self.groups) != C:
            raise DataError(f"{self.name}: {len(self.counts)} counts and {len(self.groups)} groups for {C} classes")

    @property
    def per_class(self) -> Tensor:
        """Accuracy of every class (classes,), nan where it has no test clip."""
        return self.score.per_class

    def members(self, group: str) -> Tensor:
        """Classes of a group that have test clips."""
        mine = torch.tensor([g == group for g in self.groups])
        return (mine & ~self.per_class.isnan()).nonzero()[:, 0]

    def accuracy(self, group: str = "") -> float:
        """Mean over the classes of a group, nan for an empty one; without a name, the share of all test clips that are right."""
        return float(self.per_class[self.members(group)].mean()) if group else self.score.accuracy

    @property
    def order(self) -> tuple[int, ...]:
        """Classes by falling number of training clips; those without any, or without test clips, left out."""
        falling = torch.argsort(self.counts, descending=True, stable=True).tolist()
        return tuple(c for c in falling if self.counts[c] > 0 and not self.per_class[c].isnan())

    @property
    def measures(self) -> tuple[Measure, ...]:
        """One row over all clips, and one a group; a group's accuracy is the mean over its classes."""
        s = self.score
        rows = [Measure(protocol=self.name, accuracy=s.accuracy, mean_class=s.mean_class, n=s.n, chosen=s.chosen)]
        for group in GROUPS:
            members = self.members(group)
            if len(members):
                share, n = self.accuracy(group), int(torch.isin(s.labels, members).sum())
                more: dict[str, Any] = {"classes": len(members), "training clips": self._range(members)}
                rows.append(Measure(protocol=f"{self.name}, {group}", accuracy=share, mean_class=share, n=n, chosen=more))
        return tuple(rows)

    def _range(self, members: Tensor) -> str:
        n = self.counts[members]
        return f"{int(n.min())} to {int(n.max())}"

    def taken(self, n: int = 5, *, true: str = "few", predicted: str = "many") -> list[tuple[str, str, int]]:
        """The most frequent mistakes from one group into another: (true class, predicted class, clips)."""
        groups = np.asarray(self.groups)
        counts = self.score.confusion.numpy() * ((groups == true)[:, None] & (groups == predicted)[None])
        np.fill_diagonal(counts, 0)
        at = np.argsort(-counts, axis=None, kind="stable")[:n]
        pairs = [(int(i) // len(groups), int(i) % len(groups)) for i in at]
        return [(self.score.classes[i], self.score.classes[j], int(counts[i, j])) for i, j in pairs if counts[i, j]]

    def beside(self, after: LongTailed) -> Comparison:
        """This run before, another one after a change."""
        return Comparison(before=self, after=after)

    def __repr__(self) -> str:
        groups = ", ".join(f"{g} {100 * self.accuracy(g):.1f}" for g in GROUPS if len(self.members(g)))
        return f"LongTailed({100 * self.score.accuracy:.1f} % of {self.score.n} clips; {groups})"

    def _repr_html_(self) -> str:
        return _table(self, {"%": self})


@dataclass(frozen=True, kw_only=True, eq=False)
class Comparison:
    """Two runs on the same test clips, class by class.

    Attributes:
        before: the one to compare with; its training counts make the groups.
        after: the other.
    """

    before: LongTailed
    after: LongTailed

    def __post_init__(self) -> None:
        one, two = self.before, self.after
        if one.score.classes != two.score.classes or not torch.equal(one.score.labels, two.score.labels):
            raise DataError("a comparison wants two runs on the same test clips, in the same order, with the same classes")
        if not torch.equal(one.counts, two.counts):
            raise DataError("a comparison wants two runs that learned from as many clips of every class")

    @property
    def gain(self) -> Tensor:
        """Accuracy after minus before, of every class (classes,)."""
        return self.after.per_class - self.before.per_class

    def groups(self) -> Mapping[str, tuple[float, float]]:
        """Accuracy (before, after) overall and of every group that has classes."""
        named = {"overall": ""} | {g: g for g in GROUPS if len(self.before.members(g))}
        return {name: (self.before.accuracy(g), self.after.accuracy(g)) for name, g in named.items()}

    def __repr__(self) -> str:
        words = ", ".join(f"{g} {100 * a:.1f} -> {100 * b:.1f}" for g, (a, b) in self.groups().items())
        return f"Comparison({words})"

    def _repr_html_(self) -> str:
        return _table(self.before, {"before %": self.before, "after %": self.after})


def _table(about: LongTailed, columns: Mapping[str, LongTailed]) -> str:
    """Groups, and every class in order of its training clips, as HTML."""
    head = "".join(f"<th>{html.escape(name)}</th>" for name in columns)
    left = "style='text-align:left'"

    def cells(pick: Any) -> str:
        return "".join(f"<td>{100 * pick(found):.1f}</td>" for found in columns.values())

    rows = [f"<tr><th {left}>overall</th><td>{about.score.n}</td>{cells(lambda f: f.score.accuracy)}</tr>"]
    for group in GROUPS:
        members = about.members(group)
        if len(members):
            words = f"{group} ({len(members)} classes, {about._range(members)} training clips)"
            n = int(torch.isin(about.score.labels, members).sum())
            rows.append(f"<tr><th {left}>{words}</th><td>{n}</td>{cells(lambda f, g=group: f.accuracy(g))}</tr>")
    each = [
        f"<tr><td {left}>{html.escape(about.score.classes[c])}</td><td>{int(about.counts[c])}</td>"
        f"{cells(lambda f, c=c: float(f.per_class[c]))}</tr>"
        for c in about.order
    ]
    return (
        f"<div><table><tr><th {left}>{html.escape(about.name)}</th><th>test clips</th>{head}</tr>{''.join(rows)}</table>"
        f"<details><summary>per class</summary><table><tr><th {left}>class</th><th>training clips</th>{head}</tr>"
        f"{''.join(each)}</table></details></div>"
    )
