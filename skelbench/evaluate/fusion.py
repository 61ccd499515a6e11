"""Fusion: class scores of several runs (joint, bone, motion ...) added up.

Every run is measured by the same protocol; the sum is ``sum_s w_s logits_s``, with equal weights in CMD and HaLP, or the same of
probabilities, as in BRL. Weights are fixed, or chosen on held-out training subjects. Clips are matched by their names, never by
their places.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from skelbench.errors import ConfigError, DataError
from skelbench.evaluate.score import Description, Score

CHOSEN = "chosen"
# Weights of the six streams of BRL (2023); of fewer streams, those that are there: 1 : 1 of two, 2 : 2 : 1 : 1 of four.
BRL_STREAMS = {"joint": 2.0, "bone": 2.0, "skip": 2.0, "motion": 1.0, "bone_motion": 1.0, "skip_motion": 1.0}


@dataclass(frozen=True, kw_only=True)
class Fusion:
    """How the scores of several runs are put together.

    Frozen: everything. Selection: none with fixed weights; with ``weights="chosen"`` the weights that do best on held-out training
    subjects, on a grid of tenths that sum to 1, the most even of equals.

    Attributes:
        weights: one a run in their order, each 0 or more; equal ones where None; ``"chosen"``; ``"brl"`` for ``BRL_STREAMS``.
        probabilities: add up probabilities instead of scores.
        steps: grid of the choice, parts of 1.
    """

    weights: tuple[float, ...] | str | None = None
    steps: int = 10
    probabilities: bool = False

    def __post_init__(self) -> None:
        given = self.weights
        fits = given in (None, CHOSEN, "brl") or (
            isinstance(given, tuple) and len(given) > 0 and min(given) >= 0 and max(given) > 0
        )
        if not fits or self.steps < 1:
            raise ConfigError(f"Fusion.weights are numbers of 0 or more, 'chosen', 'brl', or None for equal ones; got {given!r}")

    def describe(self) -> Description:
        """The protocol in words."""
        chosen = f"weights in parts of {self.steps}, on held-out training subjects, never on test"
        return Description(
            frozen="every network and every classifier",
            trained="nothing",
            selection=chosen if self.weights == CHOSEN else "none: fixed weights",
        )

    @classmethod
    def brl(cls) -> Fusion:
        """The six streams of BRL, or some of them: probabilities, 2 : 2 : 2 : 1 : 1 : 1."""
        return cls(weights="brl", probabilities=True)

    def run(self, scores: Mapping[str, Score], *, streams: Mapping[str, str] | None = None) -> Score:
        """The score of the weighted sum.

        Args:
            scores: stream -> its score, by one protocol on one test set, with logits; ``held_out`` where weights are chosen.
            streams: of which stream a score is, where the names of the scores do not say it; for ``weights="brl"``.

        Raises:
            ConfigError: fewer than two streams, another number of weights, or scores of several protocols.
            DataError: the streams have other clips, labels or classes, or a protocol without class scores.
        """
        names = list(scores)
        if len(names) < 2:
            raise ConfigError(f"fusion wants two streams or more, got {', '.join(names) or 'none'}")
        kinds = {s.protocol for s in scores.values()}
        if len(kinds) > 1:
            raise ConfigError(f"fusion wants scores of one protocol, got {', '.join(sorted(kinds))}")
        first, logits = matched(scores)
        logits = self._added(logits)
        weights, accuracy = self._weights(scores, streams or {})
        chosen: dict[str, Any] = {"weights": dict(zip(names, weights, strict=True))}
        chosen |= {} if accuracy is None else {"by": "validation subjects", "validation accuracy": accuracy}
        total = weighted(logits, weights)
        return Score(
            protocol=first.protocol,
            classes=first.classes,
            labels=first.labels,
            predictions=total.argmax(dim=1),
            rows=first.rows,
            chosen=chosen,
            ids=first.ids,
            logits=total.float(),
        )

    def _added(self, logits: list[Tensor]) -> list[Tensor]:
        """What is added up: scores, or their probabilities."""
        return [x.softmax(dim=1) for x in logits] if self.probabilities else logits

    def _weights(self, scores: Mapping[str, Score], streams: Mapping[str, str]) -> tuple[tuple[float, ...], float | None]:
        S = len(scores)
        if self.weights == "brl":
            named = [streams.get(name, name) for name in scores]
            wrong = [name for name in named if name not in BRL_STREAMS]
            if wrong or len(set(named)) < S:
                listed = ", ".join(BRL_STREAMS)
                raise ConfigError(f"fusion 'brl' has weights for {listed}, once each; given: {', '.join(named)}")
            return tuple(BRL_STREAMS[name] for name in named), None
        if self.weights is None:
            return (1 / S,) * S, None
        if isinstance(self.weights, tuple):
            if len(self.weights) != S:
                raise ConfigError(f"{len(self.weights)} weights for {S} streams ({', '.join(scores)})")
            return self.weights, None
        held = {name: s.held_out for name, s in scores.items() if s.held_out is not None}
        if len(held) < S:
            lacking = ", ".join(n for n in scores if n not in held)
            raise ConfigError(f"weights cannot be chosen: {lacking} has no scores of held-out training subjects; give weights")
        first, logits = matched(held)
        logits = self._added(logits)
        grid = sorted(simplex(S, self.steps), key=lambda w: (sum((x - 1 / S) ** 2 for x in w), w))  # the most even first
        right = [float((weighted(logits, w).argmax(dim=1) == first.labels).double().mean()) for w in grid]
        best = max(range(len(grid)), key=lambda i: right[i])
        return grid[best], right[best]


def matched(scores: Mapping[str, Score]) -> tuple[Score, list[Tensor]]:
    """The first score, and the logits (N, classes) of all in the order of its clips, float64.

    Raises:
        DataError: says which stream has other clips, labels or classes, and the first clip that differs.
    """
    names = list(scores)
    first = scores[names[0]]
    logits = []
    for name, score in scores.items():
        if score.logits is None or not score.ids:
            raise DataError(f"{name}: {score.protocol} gives no class scores that could be added up; take 'linear' or 'fine-tune'")
        if score.classes != first.classes:
            raise DataError(f"{name} tells other classes apart than {names[0]}; fuse runs on the same data")
        place = {id: n for n, id in enumerate(score.ids)}
        lacking = [id for id in first.ids if id not in place]
        if lacking or len(score.ids) != len(first.ids):
            extra = next((id for id in score.ids if id not in set(first.ids)), "")
            what = f"{name} has no score of clip {lacking[0]!r}" if lacking else f"{names[0]} has no score of clip {extra!r}"
            raise DataError(
                f"{what}: {names[0]} scored {len(first.ids)} clips, {name} {len(score.ids)}; fuse runs on the same data and split"
            )
        order = torch.tensor([place[id] for id in first.ids])
        if not torch.equal(score.labels[order], first.labels):
            n = int((score.labels[order] != first.labels).nonzero()[0])
            raise DataError(f"{name} and {names[0]} disagree about the class of clip {first.ids[n]!r}; fuse runs on the same data")
        logits.append(score.logits[order].double())
    return first, logits


def weighted(logits: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """Sum of the streams (N, classes); a stream of weight 0 takes no part, also where it says -inf."""
    return torch.stack([w * x for w, x in zip(weights, logits, strict=True) if w > 0]).sum(dim=0)


def simplex(S: int, steps: int) -> list[tuple[float, ...]]:
    """All S weights that are multiples of 1 / steps and sum to 1."""
    bars = itertools.combinations(range(steps + S - 1), S - 1)
    edges = ((-1, *bar, steps + S - 1) for bar in bars)
    return [tuple((b - a - 1) / steps for a, b in itertools.pairwise(edge)) for edge in edges]
