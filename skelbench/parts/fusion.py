"""Scores of several streams added with weights, and weights that are chosen without a look at the test side.

Streams that were trained apart leave one table of scores each. They may be added only clip by clip: tables are matched by the
names of the clips, and tables whose clips stand in another order are refused (released score files were added by position).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from skelbench.errors import ConfigError, DataError


@dataclass(frozen=True, kw_only=True, eq=False)
class Scores:
    """Class scores of some clips.

    Attributes:
        logits: (N, classes), before any softmax.
        ids: names of the clips, N of them.
    """

    logits: Tensor
    ids: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.logits.ndim != 2 or len(self.ids) != len(self.logits):
            raise DataError(f"scores of shape {tuple(self.logits.shape)} with {len(self.ids)} names; wanted (N, classes), N names")

    def in_order_of(self, ids: tuple[str, ...]) -> Scores:
        """The same scores with the clips in another order. Raises DataError for clips that are not there."""
        place = {name: i for i, name in enumerate(self.ids)}
        lacking = [name for name in ids if name not in place]
        if lacking:
            raise DataError(f"no scores of clip {lacking[0]!r} ({len(lacking)} of {len(ids)} are missing)")
        return Scores(logits=self.logits[[place[name] for name in ids]], ids=tuple(ids))


def fuse(streams: Mapping[str, Scores], weights: Mapping[str, float]) -> Scores:
    """``sum_s w_s logits_s`` (N, classes).

    Raises:
        ConfigError: no streams, or weights for other streams.
        DataError: streams of other clips, of another order, or of another number of classes.
    """
    check_streams(streams)
    if set(weights) != set(streams):
        raise ConfigError(f"weights for {', '.join(weights) or 'nothing'}, but the streams are {', '.join(streams)}")
    first = next(iter(streams.values()))
    return Scores(logits=torch.stack([weights[name] * one.logits for name, one in streams.items()]).sum(dim=0), ids=first.ids)


def check_streams(streams: Mapping[str, Scores]) -> None:
    """Raises DataError unless all streams hold the same clips in the same order, and as many classes; ConfigError without any."""
    if not streams:
        raise ConfigError("fusion needs at least one stream")
    (name, first), *others = streams.items()
    for other, one in others:
        if one.ids != first.ids:
            if set(one.ids) == set(first.ids) and len(one.ids) == len(first.ids):
                at = next(i for i, (a, b) in enumerate(zip(first.ids, one.ids, strict=True)) if a != b)
                raise DataError(
                    f"streams {name!r} and {other!r} hold the same clips in another order (clip {at} is {first.ids[at]!r} in one, "
                    f"{one.ids[at]!r} in the other); bring them together with scores.in_order_of(ids)"
                )
            only = sorted(set(first.ids) ^ set(one.ids))
            which = f"; {only[0]!r} is in one of them only" if only else "; a clip stands in one of them twice"
            raise DataError(f"streams {name!r} ({len(first.ids)} clips) and {other!r} ({len(one.ids)}) are of other clips{which}")
        if one.logits.shape != first.logits.shape:
            classes = (first.logits.shape[1], one.logits.shape[1])
            raise DataError(f"streams {name!r} and {other!r} have {classes[0]} and {classes[1]} classes")


def fit_weights(streams: Mapping[str, Scores], labels: Tensor, *, step: float = 0.1) -> dict[str, float]:
    """The weights that are right most often on these clips, which should be validation clips, never the test side.

    All weights from 0 to 1 in equal steps that sum to 1 are tried. Among equals, the ones nearest to equal weights are taken.

    Args:
        streams: scores of the same clips.
        labels: (N,) their classes.
        step: distance of two weights.

    Raises:
        ConfigError: a step outside (0, 1].
        DataError: as ``fuse``, or another number of labels.
    """
    check_streams(streams)
    if not 0 < step <= 1:
        raise ConfigError(f"step = {step}: wanted more than 0 and at most 1")
    table = torch.stack([one.logits for one in streams.values()]).double()  # (S, N, classes)
    S, N = table.shape[:2]
    if labels.shape != (N,):
        raise DataError(f"labels have shape {tuple(labels.shape)}, wanted one for each of {N} clips")
    parts = round(1 / step)
    grid = [combination for combination in itertools.product(range(parts + 1), repeat=S) if sum(combination) == parts]
    tried = torch.tensor(grid, dtype=table.dtype, device=table.device) / parts  # (G, S)
    right = torch.cat([(torch.einsum("gs,snk->gnk", some, table).argmax(2) == labels).sum(1) for some in tried.split(64)])
    even = (tried - 1 / S).square().sum(dim=1)
    best = min(range(len(grid)), key=lambda g: (-int(right[g]), float(even[g])))
    return dict(zip(streams, tried[best].tolist(), strict=True))
