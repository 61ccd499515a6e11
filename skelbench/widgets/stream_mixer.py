"""StreamMixer: the class scores of several streams added with weights from sliders; accuracy and confusion follow."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import traitlets

from skelbench.errors import ConfigError, DataError
from skelbench.evaluate.fusion import Fusion, matched
from skelbench.evaluate.score import Score
from skelbench.evaluate.streams import scores as stream_scores
from skelbench.evaluate.trial import Trial
from skelbench.widgets import svg
from skelbench.widgets.modules import source
from skelbench.widgets.paced import PacedWidget
from skelbench.widgets.palette import BAD, CLASSES, GOOD, LINE
from skelbench.widgets.player import SVG

if TYPE_CHECKING:
    from skelbench.train.run import Run

MOST = 4.0  # of a weight
EQUAL = "equal"
SIDES = ("validation", "test")
WIDTH, MATRIX = 760.0, 250.0  # of the still picture


class StreamMixer(PacedWidget):
    """Sliders for the weights of PSUMNet's streams, or of any runs on the same clips; what changes is seen while they move.

    The scores travel once and are added up in the browser. Every slider, button and the matrix can be reached and used with keys
    alone. What can be set can be read: ``weights``, ``against``; ``score`` is what the weights give, computed here.

    Args:
        scores: stream -> its score by one protocol on the same clips, with logits.
        weights: to begin with; all 1 where left out.
        ways: more weights by name, for buttons and as something to compare with, besides every stream alone and equal weights.
        title: which clips these are.

    Raises:
        ConfigError: fewer than two streams, or weights that are not one for each stream, from 0 to 4, not all 0.
        DataError: streams of other clips, labels or classes.
    """

    _esm = source("stream_mixer.js")

    _table = traitlets.Dict().tag(sync=True)
    weights = traitlets.Dict(help="Stream -> what its scores are multiplied with.").tag(sync=True)
    against = traitlets.Unicode(EQUAL, help="Which weights the confusion is compared with.").tag(sync=True)

    def __init__(
        self,
        scores: Mapping[str, Score],
        *,
        weights: Mapping[str, float] | None = None,
        ways: Mapping[str, Mapping[str, float]] | None = None,
        title: str = "",
    ) -> None:
        if len(scores) < 2:
            raise ConfigError(f"StreamMixer mixes two streams or more, got {', '.join(scores) or 'none'}")
        first, logits = matched(scores)
        if not all(bool(torch.isfinite(one).all()) for one in logits):
            raise DataError("class scores that are not finite cannot be mixed")
        self.scores = dict(scores)
        names = tuple(scores)
        alone = {name: {other: float(other == name) for other in names} for name in names}
        self.ways = {**alone, EQUAL: dict.fromkeys(names, 1.0)}
        for name, given in (ways or {}).items():
            self.ways[name] = self._checked(given)
        table = {
            "streams": list(names),
            "classes": list(first.classes),
            "labels": first.labels.tolist(),
            "logits": [one.float().numpy().tobytes() for one in logits],
            "ways": [[name, [given[s] for s in names]] for name, given in self.ways.items()],
            "most": MOST,
            "title": title or f"{first.n} clips",
        }
        super().__init__(_table=table, weights=self._checked(weights or self.ways[EQUAL]))

    @classmethod
    def of(cls, run: Run, *, side: str = "validation", **more: Any) -> StreamMixer:
        """The mixer for a run whose method has streams with classifiers of their own.

        Args:
            run: trained, or still training.
            side: ``validation``, held-out training subjects, by whom weights may be chosen; or ``test``, by whom they may not.
            more: as for the class.

        Raises:
            ConfigError: another method, no such side, or one without clips; or validation clips that ``refit`` has trained on.
        """
        method: Any = run.method
        if not callable(getattr(method, "stream_logits", None)):
            raise ConfigError(f"StreamMixer needs streams with classifiers of their own, as psumnet has; this is {method.name!r}")
        if side not in SIDES:
            raise ConfigError(f"side={side!r}: wanted {' or '.join(map(repr, SIDES))}")
        if side == "validation" and run.config.train.refit:
            raise ConfigError(
                "this run was trained on its validation subjects too (refit); take side='test', or a run without refit"
            )
        rows = getattr(run.split, side)
        if not len(rows):
            raise ConfigError(f"split {run.split.name!r} has no {side} clips")
        trial = Trial(method=method, store=run.store, split=run.split, preset=run.config.train.normalise)
        found, own = stream_scores(trial, rows), method.config.weights
        if len(found) > 1:
            set_to = {name: float(getattr(own, name)) for name in found}
            if len(set(set_to.values())) > 1:
                more = {"ways": {"as set": set_to}, "weights": set_to, **more}
        words = {"validation": "held-out training subjects", "test": "test subjects: to look at, not to choose by"}[side]
        return cls(found, **{"title": words, **more})

    def _checked(self, given: Any) -> dict[str, float]:
        names = tuple(self.scores)
        fits = isinstance(given, Mapping) and set(given) == set(names)
        values = [float(given[name]) for name in names] if fits else []
        if not fits or not all(math.isfinite(v) and 0 <= v <= MOST for v in values) or not any(values):
            raise ConfigError(f"weights={given!r}: wanted a number from 0 to {MOST:g} for each of {', '.join(names)}, not all 0")
        return dict(zip(names, values, strict=True))

    @traitlets.validate("weights")
    def _weights_fit(self, proposal: Any) -> dict[str, float]:
        return self._checked(proposal["value"])

    @traitlets.validate("against")
    def _against_fits(self, proposal: Any) -> str:
        if proposal["value"] not in self.ways:
            raise ConfigError(f"against={proposal['value']!r}: there are {', '.join(self.ways)}")
        return str(proposal["value"])

    def mixed(self, weights: Mapping[str, float]) -> Score:
        """The score of other weights."""
        checked = self._checked(weights)
        return Fusion(weights=tuple(checked[name] for name in self.scores)).run(self.scores)

    @property
    def score(self) -> Score:
        """What the weights give."""
        return self.mixed(self.weights)

    @property
    def delta(self) -> np.ndarray:
        """Clips more (or fewer) in every cell of the confusion than with ``against`` (classes, classes)."""
        difference = self.score.confusion - self.mixed(self.ways[self.against]).confusion
        return np.asarray(difference.numpy())

    def static(self) -> str:
        """Bars of what is right, and what changed in the confusion, as SVG text."""
        now, delta, C = self.score, self.delta, len(self.score.classes)
        rows = [*((name, self.mixed(given).accuracy) for name, given in self.ways.items()), ("now", now.accuracy)]
        told = ", ".join(f"{name} {value:g}" for name, value in self.weights.items())
        body = [svg.text(6, 14, f"Right of {now.n} clips ({self._table['title']})", weight="600")]
        for i, (name, share) in enumerate(rows):
            y = 34.0 + 26 * i
            body.append(svg.text(100, y + 11, name, anchor="end", weight="600" if name == "now" else None))
            body.append(svg.tag("rect", x=108.0, y=y, width=240.0, height=14.0, fill=LINE, fill_opacity=0.25))
            body.append(svg.tag("rect", x=108.0, y=y, width=240 * share, height=14.0, fill=CLASSES[4] if name == "now" else LINE))
            body.append(svg.text(356, y + 11, f"{100 * share:.1f} %"))
        body.append(svg.text(6, 34 + 26 * len(rows) + 14, f"now: {told}", size=10))
        left, cell = WIDTH - MATRIX - 10, MATRIX / C
        body.append(svg.text(left, 14, f"What changed against {self.against}", weight="600"))
        body.append(svg.tag("rect", x=left, y=24.0, width=MATRIX, height=MATRIX, fill="none", stroke=LINE))
        most = max(1, int(np.abs(delta).max()))
        for r, c in zip(*np.nonzero(delta), strict=True):
            better = (delta[r, c] > 0) == (r == c)
            opacity = f"{0.3 + 0.7 * abs(int(delta[r, c])) / most:.2f}"
            place = {"x": left + c * cell, "y": 24 + r * cell, "width": cell, "height": cell}
            body.append(svg.tag("rect", **place, fill=GOOD if better else BAD, fill_opacity=opacity))
        body.append(svg.path([(left, 24), (left + MATRIX, 24 + MATRIX)], stroke=LINE, stroke_width=0.5))
        body.append(svg.text(left, 24 + MATRIX + 14, "blue: better, orange: worse; rows: true, columns: predicted", size=9))
        return svg.document(WIDTH, max(24 + MATRIX + 22, 34 + 26 * len(rows) + 26), body, title=f"Streams mixed: {told}")

    def save_svg(self, path: str | Path) -> Path:
        """Write ``static()`` to a file."""
        path = Path(path)
        path.write_text(self.static(), encoding="utf-8")
        return path

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        data, metadata = super()._repr_mimebundle_(**kwargs) or ({}, {})
        words = f"StreamMixer({', '.join(f'{k} {v:g}' for k, v in self.weights.items())}: {100 * self.score.accuracy:.1f} %)"
        return {**data, "text/plain": words, SVG: self.static()}, metadata
