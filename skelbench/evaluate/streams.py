"""What every stream of a classifier says alone, and what their weighted sums say: one run, one pass over the clips, a row each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from skelbench.data.loader import Loader
from skelbench.errors import ConfigError, RunError
from skelbench.evaluate.features import Features
from skelbench.evaluate.fusion import Fusion
from skelbench.evaluate.score import Description, Measure, OnNetwork, Score
from skelbench.evaluate.trial import Trial, refuse_one_shot

NAME = "classifier"


@dataclass(frozen=True, kw_only=True, eq=False)
class StreamScores:
    """Scores of one method on one test side.

    Attributes:
        streams: stream -> its score, alone.
        fused: name -> score of a weighted sum; ``as set`` with the method's own weights, ``equal``, and ``chosen`` on validation
            subjects where there are any that were not trained on. Empty for a method of one stream.
    """

    streams: Mapping[str, Score]
    fused: Mapping[str, Score] = field(default_factory=dict)

    @property
    def measures(self) -> Sequence[Measure]:
        """A row for every stream, then for every sum."""
        alone = [replace(score.measures[0], protocol=f"{NAME}: {name}") for name, score in self.streams.items()]
        return [*alone, *(replace(score.measures[0], protocol=f"{NAME}: sum, {name}") for name, score in self.fused.items())]


@dataclass(frozen=True, kw_only=True)
class Streams(OnNetwork):
    """The class scores of every stream of a method whose streams have classifiers of their own, and of their weighted sums.

    Frozen: the whole network. Trained: nothing. Selection: that of the training run; of the weights ``chosen``, validation
    subjects. A run with ``refit`` was trained on those, so it has none that could be chosen.
    """

    @property
    def name(self) -> str:
        return "streams"

    def describe(self) -> Description:
        """The protocol in words."""
        return Description(
            frozen="the whole network, in eval mode",
            trained="nothing",
            selection="that of the training run; the weights 'chosen' on validation subjects, never on test",
        )

    def run(self, trial: Trial) -> StreamScores:
        """Scores on the trial's test side.

        Raises:
            ConfigError: a method without streams that have classifiers of their own.
        """
        refuse_one_shot(self.name, trial.split)
        method: Any = trial.method
        if not callable(getattr(method, "stream_logits", None)):
            raise ConfigError(
                f"{method.name!r} has no streams with classifiers of their own (psumnet has); take the protocol 'classifier', or "
                "'report RUN RUN --fuse equal' for streams that were trained as runs of their own"
            )
        test = scores(trial, trial.split.test)
        held = scores(trial, trial.split.validation) if len(trial.split.validation) and not trial.refit else {}
        found = {name: replace(one, held_out=held.get(name)) for name, one in test.items()}
        if len(found) < 2:
            return StreamScores(streams=found)
        own = tuple(float(getattr(method.config.weights, name)) for name in found)
        ways = {"as set": Fusion(weights=own), "equal": Fusion()} | ({"chosen": Fusion(weights="chosen")} if held else {})
        return StreamScores(streams=found, fused={name: way.run(found) for name, way in ways.items()})


def scores(trial: Trial, rows: np.ndarray) -> dict[str, Score]:
    """Stream -> its scores of these rows, in ascending order; one batch in memory at a time.

    Raises:
        RunError: class scores that are not finite.
    """
    store, method, rows = trial.store, trial.method, np.sort(rows)
    loader = Loader(store, rows, batch_size=trial.batch_size, preset=trial.preset, shuffle=False, cache=False)
    pieces: dict[str, list[torch.Tensor]] = {}
    for batch in loader.batches():
        for name, logits in method.stream_logits(batch.to(trial.at)).items():  # type: ignore[operator]
            if not torch.isfinite(logits).all():
                raise RunError(f"{method.name}, stream {name}: class scores that are not finite; training has diverged, lower lr")
            pieces.setdefault(name, []).append(logits.float().cpu())
    about: dict[str, Any] = {
        "labels": torch.from_numpy(store.labels[rows].astype(np.int64)),
        "rows": torch.from_numpy(rows.astype(np.int64)),
        "subjects": torch.from_numpy(store.index["subject"][rows].astype(np.int64)),
        "ids": tuple(store.ids[r] for r in rows.tolist()),
        "classes": tuple(store.classes),
    }
    found = {name: Features(values=torch.cat(each), **about).labelled("test") for name, each in pieces.items()}
    return {name: Score.of(NAME, clips, logits=clips.values) for name, clips in found.items()}
