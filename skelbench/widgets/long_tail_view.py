"""LongTailView: how uneven the classes are, what BRL's sampler and weights make of it, and who gains by it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import traitlets

from skelbench.errors import ConfigError
from skelbench.evaluate.longtail import Comparison, LongTailed
from skelbench.explain.tail import WEIGH, Tail
from skelbench.parts.rebalance import GROUPS, LOSSES
from skelbench.widgets.long_tail_picture import picture
from skelbench.widgets.modules import source
from skelbench.widgets.paced import PacedWidget

SVG = "image/svg+xml"


class LongTailView(PacedWidget):
    """Drag the imbalance: clips of every class, clips as an epoch shows them, weights of the last stage; below, accuracy by class.

    What can be set can be read: ``imbalance``, ``loss``, ``weigh``.

    Args:
        names: of the classes, in the order of the profile.
        largest: clips of the first class, which bounds the imbalance.
        imbalance: first class over last class, to begin with; the whole of it, at most 100, where left out.
        loss: whose weights are drawn.
        weigh: weights from the ``clips`` there are, as published, or from those ``shown``.
        before: accuracy of a run, by class; bars, in order of its training clips.
        after: of another run on the same clips, beside it.

    Raises:
        ConfigError: an imbalance that leaves a class empty, or an unknown loss; DataError: runs that cannot be compared.

    Example:
        >>> view = LongTailView(["wave", "sit", "jump"], largest=60, imbalance=6)
        >>> view.numbers["counts"]
        [60, 24, 10]
    """

    _esm = source("clock.js", "long_tail_view.js")

    _numbers = traitlets.Dict().tag(sync=True)
    imbalance = traitlets.Float(100.0, help="Clips of the first class over clips of the last.").tag(sync=True)
    loss = traitlets.Enum(LOSSES, "action_aware", help="Whose weights are drawn.").tag(sync=True)
    weigh = traitlets.Enum(WEIGH, "clips", help="Weights from the clips there are, or from those shown.").tag(sync=True)

    def __init__(
        self,
        names: Sequence[str],
        *,
        largest: int,
        imbalance: float | None = None,
        loss: str = "action_aware",
        weigh: str = "clips",
        before: LongTailed | None = None,
        after: LongTailed | None = None,
    ) -> None:
        if loss not in LOSSES or weigh not in WEIGH:
            raise ConfigError(f"loss={loss!r}, weigh={weigh!r}: wanted one of {', '.join(LOSSES)}, and one of {', '.join(WEIGH)}")
        self._names, self._largest, self._lock = tuple(names), int(largest), threading.RLock()
        self._bars = bars(before, after)
        start = float(min(100, largest) if imbalance is None else imbalance)
        numbers = self._told(start, loss, weigh)
        super().__init__(_numbers=numbers, imbalance=start, loss=loss, weigh=weigh)
        self.observe(self._changed, names=["imbalance", "loss", "weigh"])

    def _changed(self, change: Any) -> None:
        """Runs on whatever thread the message came in on."""
        with self._lock:
            within = min(max(self.imbalance, 1.0), float(self._largest))
            if within != self.imbalance:
                self.imbalance = within  # comes back here
                return
            self._numbers = self._told(self.imbalance, self.loss, self.weigh)

    def _told(self, imbalance: float, loss: str, weigh: str) -> dict[str, Any]:
        tail = Tail.profile(self._names, imbalance=imbalance, largest=self._largest, loss=loss, weigh=weigh)
        return {
            "imbalance": imbalance,
            "most": self._largest,
            "names": list(tail.names),
            "counts": tail.counts.tolist(),
            "shown": [round(v, 2) for v in tail.shown.tolist()],
            "weights": [float(f"{v:.4g}") for v in tail.weights.tolist()],
            "say": [float(f"{v:.4g}") for v in tail.say.tolist()],
            "groups": list(tail.groups),
            "losses": list(LOSSES),
            "bars": self._bars,
        }

    @property
    def numbers(self) -> dict[str, Any]:
        """Everything in the charts, as plain lists."""
        return dict(self._numbers)

    def static(self) -> str:
        """The charts as SVG text."""
        return picture(self._numbers)

    def save_svg(self, path: str | Path) -> Path:
        """Write ``static()`` to a file."""
        path = Path(path)
        path.write_text(self.static(), encoding="utf-8")
        return path

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        data, metadata = super()._repr_mimebundle_(**kwargs) or ({}, {})
        words = f"LongTailView({len(self._names)} classes, imbalance {self.imbalance:g})"
        return {**data, "text/plain": words, SVG: self.static()}, metadata


def bars(before: LongTailed | None, after: LongTailed | None) -> dict[str, Any]:
    """Accuracy in per cent by class, in order of training clips, and by group; empty without a run."""
    first = before or after
    if first is None:
        return {}
    if before is not None and after is not None:
        Comparison(before=before, after=after)  # refuses what cannot be compared
    runs = [run for run in (before, after) if run is not None]
    order = first.order
    groups = [first.groups[c] for c in order]
    return {
        "names": [first.score.classes[c] for c in order],
        "counts": [int(first.counts[c]) for c in order],
        "groups": groups,
        "runs": [[round(100 * float(run.per_class[c]), 1) for c in order] for run in runs],
        "labels": ["before", "after"] if len(runs) == 2 else ["accuracy"],
        "means": {g: [round(100 * run.accuracy(g), 1) for run in runs] for g in GROUPS if g in groups},
        "overall": [round(100 * run.accuracy(), 1) for run in runs],
    }
