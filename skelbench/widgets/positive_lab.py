"""PositiveLab: turn the hardness and watch HaLP's hallucinated positives glide to the boundary, the nearest real clips beside."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets
import numpy as np
import torch
import traitlets
from torch import Tensor

from skelbench.data.store import Store
from skelbench.errors import ConfigError, DataError
from skelbench.explain.positives import PositiveStudy
from skelbench.widgets.lab_picture import picture
from skelbench.widgets.paced import Pace, PacedWidget
from skelbench.widgets.player import SVG, SkeletonPlayer

if TYPE_CHECKING:
    from skelbench.train.run import Run

_STEPS = 11  # hardnesses at which the kept share is computed once
_BINS = 45  # of the histogram


class LabView(PacedWidget):
    """The five charts and the three controls. Python hears what a person wants and answers with ``_numbers``."""

    _esm = Path(__file__).with_name("positive_lab.js")

    _numbers = traitlets.Dict().tag(sync=True)
    hardness = traitlets.Float(0.2, min=0.0, max=1.0).tag(sync=True)
    anchor = traitlets.Int(0, min=0).tag(sync=True)
    target = traitlets.Int(-1).tag(sync=True)
    positive = traitlets.List(traitlets.Int()).tag(sync=True)


class PositiveLab(ipywidgets.VBox):
    """HaLP's positives under a hardness slider: 0 is easy, 1 puts every positive on the boundary.

    Shows the great circle from one anchor to one prototype, all positives of the anchor, cosines along the way, the angles of all
    positives and what the rank filter keeps; with a store, plays the real clips nearest to the hallucinated points. The random
    draws stay the same while the slider moves, so points glide.

    Args:
        anchors: keys (N, D).
        prototypes: (S, D).
        gallery: keys of real clips (G, D) in which nearest ones are looked for; the anchors where left out.
        labels: class of every gallery clip.
        store: where the gallery clips are, so that they can be played.
        rows: row of every gallery clip in the store.
        hardness: to begin with; the paper's lambda 0.8 is 0.2.
        positives: P, drawn for every anchor.
        generator: of the draws; a fixed one where left out.
        height: of the player.

    Raises:
        DataError: the tables do not fit each other; ConfigError: hardness outside 0 .. 1, or no such anchor or target.
    """

    def __init__(
        self,
        anchors: Tensor | np.ndarray | PositiveStudy,
        prototypes: Tensor | np.ndarray | None = None,
        *,
        gallery: Tensor | np.ndarray | None = None,
        labels: Sequence[int] | np.ndarray | None = None,
        store: Store | None = None,
        rows: Sequence[int] | np.ndarray | None = None,
        hardness: float = 0.2,
        positives: int = 100,
        generator: torch.Generator | None = None,
        height: int = 240,
    ) -> None:
        if isinstance(anchors, PositiveStudy):
            self.study = anchors
        elif prototypes is None:
            raise DataError("PositiveLab needs prototypes (S, D) beside the anchors, or a PositiveStudy that holds both")
        else:
            draws = generator or torch.Generator().manual_seed(0)
            self.study = PositiveStudy.draw(
                anchors, prototypes, gallery=gallery, labels=labels, rows=rows, positives=positives, generator=draws
            )
        if store is not None and int(self.study.rows.max()) >= len(store):
            raise DataError(
                f"the gallery names row {self.study.rows.max()}, the store has {len(store)}; pass rows=, one a gallery clip"
            )
        self._store, self._lock, self._shown = store, threading.RLock(), ()
        self._shares = _shares(self.study)
        self._check(hardness=hardness)
        target = self._first_target(0)
        self.view = LabView(hardness=float(hardness), target=target, _numbers=self._all_numbers(float(hardness), 0, target))
        self.player = SkeletonPlayer(*self._nearest()[:1], titles=self._nearest()[1], height=height) if store is not None else None
        self._play = Pace(self._show_clips, hertz=10, later=True)  # the charts must not wait for it
        self.view.observe(self._changed, names=["hardness", "anchor", "target", "positive"])
        super().__init__([self.view, self.player] if self.player else [self.view])

    @classmethod
    def of(cls, run: Run, *, anchors: int = 256, positives: int = 100, clips: int = 2000, height: int = 240) -> PositiveLab:
        """The lab for a run: real clips of its training split in the latent space its method has reached.

        Args:
            run: of a method with a key encoder (moco, halp).
            anchors: clips positives are hallucinated for.
            positives: P, drawn for every anchor.
            clips: most training clips in the gallery.
            height: of the player.
        """
        generator = torch.Generator().manual_seed(run.config.train.seed)
        rows = np.asarray(run.split.train)
        rows = np.sort(rows[torch.randperm(len(rows), generator=generator)[:clips].numpy()])
        study = PositiveStudy.of(
            run.method,
            run.store,
            rows,
            anchors=anchors,
            positives=positives,
            preset=run.config.train.normalise,
            generator=generator,
        )
        hardness = getattr(run.config.method_config, "hardness", 0.2)
        return cls(study, store=run.store, hardness=hardness, height=height)

    @property
    def hardness(self) -> float:
        """In [0, 1]: 0 easy, 1 every positive on the boundary."""
        return self.view.hardness

    @hardness.setter
    def hardness(self, hardness: float) -> None:
        self._check(hardness=hardness)
        self.view.hardness = float(hardness)

    @property
    def anchor(self) -> int:
        """Row of the anchor that is looked at."""
        return self.view.anchor

    @anchor.setter
    def anchor(self, anchor: int) -> None:
        self._check(anchor=anchor)
        self.view.anchor = int(anchor)

    @property
    def target(self) -> int:
        """Row of the prototype walked towards in the first chart."""
        return self.view.target

    @target.setter
    def target(self, target: int) -> None:
        self.study.circle(self.anchor, int(target), steps=2)  # raises for a prototype that is not there, and for p_0
        self.view.target = int(target)

    @property
    def state(self) -> dict[str, Any]:
        """What the lab looks at; ``lab.state = {...}`` restores it."""
        return {"hardness": self.hardness, "anchor": self.anchor, "target": self.target}

    @state.setter
    def state(self, state: dict[str, Any]) -> None:
        for name in ("hardness", "anchor", "target"):
            if name in state:
                setattr(self, name, state[name])

    @property
    def numbers(self) -> dict[str, Any]:
        """Everything in the charts, as plain lists."""
        return self.view._numbers

    def static(self) -> str:
        """The charts as SVG text."""
        return picture(self.numbers)

    def save_svg(self, path: str | Path) -> Path:
        """Write ``static()`` to a file."""
        path = Path(path)
        path.write_text(self.static(), encoding="utf-8")
        return path

    def _check(self, *, hardness: float | None = None, anchor: int | None = None) -> None:
        if hardness is not None and not 0 <= hardness <= 1:
            raise ConfigError(f"hardness={hardness} must lie in [0, 1]: 0 is easy, 1 puts every positive on the boundary")
        if anchor is not None and not 0 <= anchor < len(self.study):
            raise ConfigError(f"anchor {anchor} of {len(self.study)}; choose 0 .. {len(self.study) - 1}")

    def _first_target(self, anchor: int) -> int:
        return int(self.study.order(anchor)[1])

    def _changed(self, change: Any) -> None:
        """Runs on whatever thread the message came in on."""
        with self._lock:
            view = self.view
            if view.anchor >= len(self.study):
                view.anchor = len(self.study) - 1
            order = self.study.order(view.anchor)
            if view.target not in order[1:]:
                view.target = int(order[1])  # the new anchor's own p_0 cannot be walked towards
            if change["name"] != "positive":
                view.positive = []
                view._numbers = self._all_numbers(view.hardness, view.anchor, view.target)
        if self.player is not None:
            self._play()

    def _all_numbers(self, hardness: float, anchor: int, target: int) -> dict[str, Any]:
        name = self._title(int(self.study.origin[anchor]))
        return {**numbers(self.study, hardness=hardness, anchor=anchor, target=target), "shares": self._shares, "name": name}

    def _title(self, place: int) -> str:
        """Class, or id, of a gallery clip."""
        if place < 0:
            return ""
        if self._store is None:
            return f"class {self.study.labels[place]}" if self.study.labels[place] >= 0 else ""
        row = int(self.study.rows[place])
        label = int(self._store.labels[row])
        return self._store.classes[label] if label >= 0 else self._store.ids[row]

    def _nearest(self) -> tuple[list[Any], list[str]]:
        """Clips and titles: the anchor, the real clips nearest to an easy, a middle and a hard z, and p_s."""
        assert self._store is not None
        study, view = self.study, self.view
        made = study.along(view.hardness, view.anchor, view.target)
        places, cosines = study.nearest_clips(made, [view.anchor])
        order = made.t[0].argsort().tolist()
        picks = [("easiest z", order[0]), ("middle z", order[len(order) // 2]), ("hardest z", order[-1])]
        found = [(f"{word}: {self._title(int(places[0, i]))} {cosines[0, i]:.2f}", int(places[0, i])) for word, i in picks]
        if study.origin[view.anchor] >= 0:
            found.insert(0, (f"anchor: {self._title(int(study.origin[view.anchor]))}", int(study.origin[view.anchor])))
        place, cosine = study.clip_near_prototype(view.target)
        found.append((f"target: {self._title(place)} {cosine:.2f}", place))
        if view.positive:
            index, on_slice = view.positive
            made = made if on_slice else study.at(view.hardness, [view.anchor])
            places, cosines = study.nearest_clips(made, [view.anchor])
            where = f"your z: {self._title(int(places[0, index]))} {cosines[0, index]:.2f}"
            found.append((where, int(places[0, index])))
        return [self._store[int(study.rows[p])] for _, p in found], [title for title, _ in found]

    def _show_clips(self) -> None:
        with self._lock:
            clips, titles = self._nearest()
            assert self.player is not None
            ids = tuple(c.id for c in clips)
            if ids == self._shown:
                self.player.titles = titles
            else:
                self.player.show(clips, titles=titles)
            self._shown = ids

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        data = super()._repr_mimebundle_(**kwargs)
        return {**data, "text/plain": f"PositiveLab({len(self.study)} anchors, hardness {self.hardness:g})", SVG: self.static()}


def numbers(study: PositiveStudy, *, hardness: float, anchor: int, target: int) -> dict[str, Any]:
    """What the charts show, as plain lists: one anchor and one target in detail, all anchors in the histogram."""
    circle, along = study.circle(anchor, target), study.along(hardness, anchor, target)
    angles, kept = study.spread(hardness)
    order = study.order(anchor)
    slot = {int(p): i for i, p in enumerate(order)}
    edges = study.edges[anchor]  # (S,)
    bars = np.linspace(0, _rings(study.edges)[1], _BINS + 1)
    ring, widest = np.radians(_rings(edges))
    degrees = np.degrees(angles)
    return {
        "hardness": float(hardness),
        "anchor": int(anchor),
        "anchors": len(study),
        "target": int(target),
        "share": float(kept.mean()),
        "circle": {
            "nearest": circle.nearest,
            "omega": circle.omega,
            "t_max": circle.t_max,
            **{k: _plain(getattr(circle, k)) for k in ("prototypes", "t", "to_anchor", "to_nearest", "to_target")},
        },
        "along": {"t": _plain(along.t[0].numpy()), "kept": along.kept[0].tolist()},
        "fan": {
            "slots": len(order),
            "widest": float(widest),
            "ring": float(ring),
            "near": float(study.omega[anchor, circle.nearest]),
            "spokes": [
                {
                    "target": int(p),
                    "slot": i,
                    "edge": float(edges[p]),
                    "title": f"prototype {p}: rank {i}, {np.degrees(float(study.omega[anchor, p])):.0f}° away",
                }
                for i, p in enumerate(order)
                if i
            ],
            "slot": [slot[int(p)] for p in study.targets[anchor]],
            "angle": _plain(angles[anchor]),
            "kept": kept[anchor].tolist(),
        },
        "bars": {
            "edges": _plain(bars),
            "kept": np.histogram(degrees[kept], bars)[0].tolist(),
            "lost": np.histogram(degrees[~kept], bars)[0].tolist(),
        },
    }


def _rings(edges: np.ndarray) -> tuple[float, float]:
    """A round step, in degrees, that goes at most five times into the widest angle, and the step that reaches it."""
    most = max(float(np.degrees(edges.max())), 0.1)
    step = next((s for s in (0.1, 0.2, 0.5, 1, 2, 5, 10, 15) if most <= 5 * s), 30)
    return step, float(np.ceil(most / step) * step)


def _shares(study: PositiveStudy) -> dict[str, list[float | None]]:
    """Kept share and same-class share over the whole range of hardness, computed once."""
    grid = np.linspace(0, 1, _STEPS)
    same = [study.same_class(float(h)) for h in grid]
    return {
        "hardness": _plain(grid),
        "kept": [study.kept_share(float(h)) for h in grid],
        "same": [None if np.isnan(s) else s for s in same],
    }


def _plain(values: np.ndarray) -> list[Any]:
    return np.round(np.asarray(values, np.float64), 5).tolist()
