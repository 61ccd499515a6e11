"""What report.js draws, as plain JSON: bars, curves, the map, clips small enough to travel, hallucinated positives."""

from __future__ import annotations

import base64
import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skelbench.data.store import Store
from skelbench.errors import DataError
from skelbench.evaluate.report import Estimate, Line, Table
from skelbench.evaluate.rows import FLOORS
from skelbench.explain.positives import PositiveStudy
from skelbench.parts.nearest import nearest
from skelbench.skeleton.clip import Clip
from skelbench.widgets.palette import class_colours, class_shapes
from skelbench.widgets.scene import scene_of

POINTS = 300  # of a curve; longer ones are averaged in bins
MOST_FRAMES, FEWEST_FRAMES = 32, 12  # of a clip; the player draws in between
TABLE_BYTES = 220  # numbers that stand beside the joints of a clip
COMMON = ("edges", "side", "names", "head", "joints")  # the same for every clip of a topology
OWN = ("frames", "bodies", "fps", "scale", "half", "depth", "floor", "step", "thickness", "headRadius")

# Column of a run's metrics -> (title, what it says). The order is that of the page; other columns follow under their own names.
METERS = {
    "accuracy": ("1-NN on held-out training subjects", "share right; labels are only looked at here, never trained on"),
    "loss": ("loss", "what is minimised; HaLP's own term is negative, so its loss falls below plain contrast when it sets in"),
    "moco": ("contrastive loss", "cross-entropy of finding a clip's other view among the queue"),
    "halp": ("pull towards hallucinated positives", "minus mean q·z / T over the positives kept; from -1/T to 1/T"),
    "kept": ("positives kept", "share that passes the rank filter: the anchor's prototype is still the nearest"),
    "top1": ("own key found", "share of queries whose own key beats the whole queue"),
    "similarity": ("query and own key", "mean cosine"),
    "similarity_positives": ("query and hallucinated positives", "mean cosine, over those kept"),
    "feature_std": ("spread of the latents", "1 = all over the sphere, 0 = collapsed to one point"),
    "effective_rank": ("directions in use", "effective rank of a batch; near 1 = collapsed to a line"),
    "alignment": ("distance of two views", "mean squared; small = augmented views agree"),
    "uniformity": ("uniformity", "0 = one point; lower = better spread"),
}
HIDDEN = ("step", "epoch", "lr")


@dataclass(frozen=True, kw_only=True, eq=False)
class Embedding:
    """Clips on a plane, for the map of the report.

    Attributes:
        points: name of the view (a method, say) -> points (N, 2). The first view is shown first.
        rows: row of every point's clip in the store (N,).
        labels: class of every point (N,), -1 unknown.
        classes: class names.
        groups: further colourings: name -> a number or word for every point, e.g. ``{"subject": [3, 3, 7]}``.
        features: view -> features (N, D) before the projection; nearest neighbours are then drawn as they truly are.
    """

    points: Mapping[str, np.ndarray | Tensor]
    rows: Sequence[int] | np.ndarray | Tensor
    labels: Sequence[int] | np.ndarray | Tensor
    classes: Sequence[str]
    groups: Mapping[str, Sequence[Any]] = dataclasses.field(default_factory=dict)
    features: Mapping[str, Tensor] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        N = len(self.rows)
        columns = {"labels": self.labels, **self.groups, **self.features}
        wrong = [f"{name} {len(column)}" for name, column in columns.items() if len(column) != N]
        wrong += [f"points[{name!r}] {tuple(p.shape)}" for name, p in self.points.items() if tuple(p.shape) != (N, 2)]
        if not self.points or not N or wrong:
            raise DataError(
                f"a map of {N} clips needs points (N, 2) and columns of that length; wrong: {', '.join(wrong) or 'no points'}"
            )
        if int(np.max(np.asarray(self.labels))) >= len(self.classes):
            raise DataError(f"label {int(np.max(np.asarray(self.labels)))} has no name: there are {len(self.classes)} classes")
        if not set(self.features) <= set(self.points):
            raise DataError(f"features of {', '.join(self.features)} for points of {', '.join(self.points)}")

    def take(self, at: np.ndarray) -> Embedding:
        """The points at these positions."""
        return Embedding(
            points={k: np.asarray(v)[at] for k, v in self.points.items()},
            rows=np.asarray(self.rows)[at],
            labels=np.asarray(self.labels)[at],
            classes=self.classes,
            groups={k: [v[i] for i in at] for k, v in self.groups.items()},
            features={k: v[torch.from_numpy(at)] for k, v in self.features.items()},
        )


def bars(table: Table) -> list[dict[str, Any]]:
    """One chart for every (data, split, protocol): methods with mean and interval, floors first."""
    charts: dict[tuple[str, str, str], list[Line]] = {}
    for line in table.lines():
        charts.setdefault((line.data, line.split, line.protocol), []).append(line)
    return [
        {
            "data": data,
            "split": split,
            "protocol": protocol,
            "n": lines[0].n,
            "lines": [{"method": x.method, "floor": x.method in FLOORS, **_span(x.accuracy)} for x in lines],
        }
        for (data, split, protocol), lines in charts.items()
    ]


def _span(e: Estimate) -> dict[str, Any]:
    ends = {"low": None if e.low is None else max(e.low, 0.0), "high": None if e.high is None else min(e.high, 1.0)}
    return {"mean": e.mean, "text": f"{100 * e.mean:.1f} %", **ends, "n": e.n, "over": e.over}


def headline(table: Table) -> list[dict[str, str]]:
    """The sentence of every protocol: its best method against the two floors."""
    charts: dict[tuple[str, str, str], list[Line]] = {}
    for line in table.lines():
        charts.setdefault((line.data, line.split, line.protocol), []).append(line)
    found = []
    for (_, split, protocol), lines in charts.items():
        learned = [x for x in lines if x.method not in FLOORS]
        if not learned:
            continue
        best = max(learned, key=lambda x: x.accuracy.mean)
        parts = []
        for floor, words in (("random", "the same encoder untrained"), ("raw", "the joints themselves")):
            over = best.over[floor]
            assert over is not None  # a learned method is no floor
            side = "above" if over.mean >= 0 else "below"
            parts.append(f"{abs(100 * over.mean):.1f} points {side} {words}")
        found.append(
            {
                "method": best.method,
                "value": f"{100 * best.accuracy.mean:.1f} %",
                "what": f"{protocol}, {split}",
                "over": ", ".join(parts),
            }
        )
    return found


def curves(metrics: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Panels of the training curves: one a column, a line a method. ``metrics`` holds ``run.metrics`` by method name.

    Columns without a finite value are left out; long ones are averaged in bins.
    """
    columns: dict[str, list[dict[str, Any]]] = {}
    for method, table in metrics.items():
        probes = getattr(table, "probes", {})
        series = {name: (table["step"], table[name]) for name in table if name not in HIDDEN}
        if "accuracy" in probes:
            series["accuracy"] = (probes["step"], probes["accuracy"])
        for name, (x, y) in series.items():
            line = _thinned(np.asarray(x, float), np.asarray(y, float))
            if line["x"]:
                columns.setdefault(name, []).append({"method": method, **line})
    order = [*(m for m in METERS if m in columns), *(c for c in columns if c not in METERS)]
    return [{"key": k, "title": METERS.get(k, (k, ""))[0], "note": METERS.get(k, (k, ""))[1], "lines": columns[k]} for k in order]


def _thinned(x: np.ndarray, y: np.ndarray) -> dict[str, list[float]]:
    x, y = x[np.isfinite(y)], y[np.isfinite(y)]
    bins = np.array_split(np.arange(len(x)), min(POINTS, len(x))) if len(x) else []
    return {"x": [_short(x[b].mean()) for b in bins], "y": [_short(y[b].mean()) for b in bins]}


def _short(value: float, digits: int = 4) -> float:
    """Four significant digits: less to carry, nothing lost to the eye."""
    return float(f"{value:.{digits}g}")


def scatter(embedding: Embedding, ids: Sequence[str], *, neighbours: int = 3) -> dict[str, Any]:
    """The map: points of every view, colourings, names; where features are given, the true nearest neighbours of every point."""
    labels = np.asarray(embedding.labels, np.int64)
    groups = {"class": {"codes": labels.tolist(), "names": [str(c) for c in embedding.classes]}}
    for name, values in embedding.groups.items():
        names = sorted(set(values), key=lambda v: (isinstance(v, str), v))
        groups[name] = {"codes": [names.index(v) for v in values], "names": [str(v) for v in names]}
    for group in groups.values():
        codes = np.arange(len(group["names"]))
        group |= {"colours": class_colours(codes), "shapes": class_shapes(codes)}
    k = min(neighbours, len(labels) - 1)
    views = []
    for name, points in embedding.points.items():
        points = np.asarray(points, float)
        view: dict[str, Any] = {"name": name, "x": [_short(v, 5) for v in points[:, 0]], "y": [_short(v, 5) for v in points[:, 1]]}
        if name in embedding.features and k > 0:
            view["neighbours"] = _others(embedding.features[name], k)
        views.append(view)
    rows = [int(r) for r in embedding.rows]
    return {"views": views, "rows": rows, "ids": list(ids), "groups": groups}


def _others(features: Tensor, k: int) -> list[list[int]]:
    """The k nearest other clips of every clip."""
    found = nearest(features, features, k + 1).rows.tolist()
    return [[j for j in row if j != i][:k] for i, row in enumerate(found)]


def bodies(store: Store, rows: Sequence[int], *, budget: int, up: str | None = None) -> dict[str, Any]:
    """Clips as report.js plays them: float16 joints, base64, at most 32 frames each, bodies that never appear left out.

    Frames are taken evenly (the player moves in straight lines between them) and as many as fit in ``budget`` bytes.

    Args:
        store: where the clips are.
        rows: which.
        budget: bytes of text for all of them.
        up: which way up the coordinates point, as in ``SkeletonPlayer``.
    """
    frames = _frames(store, rows, budget)
    common: dict[str, Any] = {}
    items: dict[int, dict[str, Any]] = {}
    for row in dict.fromkeys(int(r) for r in rows):
        scene = scene_of([thinned(store[row], frames)], up=up)
        (table,) = scene["clips"]
        common = {name: table[name] for name in COMMON}
        own = {name: _rounded(table[name]) for name in OWN}
        items[row] = {**own, "data": base64.b64encode(scene["data"]).decode()}
    return {"common": {**common, "colour": None, "offset": 0}, "items": items}


def clip_bytes(store: Store, rows: Sequence[int], frames: int) -> np.ndarray:
    """Bytes of text that each clip takes with at most so many frames (n,)."""
    seen = np.array([int(_seen(store[int(row)]).sum()) for row in rows])
    lengths = np.minimum(np.asarray(store.index["length"])[np.asarray(rows, np.int64)], frames)
    return seen * lengths * store.topology.V * 3 * 2 * 4 / 3 + TABLE_BYTES


def _frames(store: Store, rows: Sequence[int], budget: int) -> int:
    fixed = TABLE_BYTES * len(rows)
    most = float(clip_bytes(store, rows, MOST_FRAMES).sum()) - fixed
    return int(np.clip(MOST_FRAMES * (budget - fixed) / max(most, 1.0), FEWEST_FRAMES, MOST_FRAMES))


def _seen(clip: Clip) -> np.ndarray:
    """(M,) bool: the body is there in some frame; the first one counts always."""
    seen = np.array(clip.present.any(axis=0))
    seen[0] = True
    return seen


def thinned(clip: Clip, frames: int) -> Clip:
    """At most so many frames of the clip, evenly taken from the first to the last where anybody is seen, at its own pace.

    Where the sensor lost everybody in between, the nearest frame that shows somebody stands in: the body waits.
    """
    there = np.flatnonzero(clip.present.any(axis=1))
    there = there if len(there) else np.arange(len(clip))
    T = int(there[-1] - there[0]) + 1
    F = min(frames, T)
    wanted = np.linspace(there[0], there[-1], F)  # (F,)
    at = there[np.abs(there[None, :] - wanted[:, None]).argmin(axis=1)]
    fps = clip.fps * (F - 1) / (T - 1) if T > 1 else clip.fps
    return dataclasses.replace(clip, joints=clip.joints[at][:, _seen(clip)], fps=fps)


def _rounded(value: Any) -> Any:
    if isinstance(value, list):
        return [_rounded(v) for v in value]
    return _short(value, 5) if isinstance(value, float) else value


def positives(study: PositiveStudy, hardness: Sequence[float], *, anchors: Sequence[int], bins: int = 36) -> dict[str, Any]:
    """Everything about hallucinated positives at some settings of hardness: shares, angles, great circles, nearest real clips."""
    made = [study.at(h) for h in hardness]
    angles = [torch.rad2deg(study.angles(m)) for m in made]
    edges = torch.linspace(0, max(float(a.max()) for a in angles) * 1.001 + 1e-6, bins + 1)
    settings = []
    for h, m, a in zip(hardness, made, angles, strict=True):
        same = study.same_class(h)
        settings.append(
            {
                "hardness": h,
                "kept": _short(study.kept_share(h)),
                "angle": _short(float(a.mean())),
                "same": None if math.isnan(same) else _short(same),
                "histogram": [torch.histogram(a[which], edges).hist.int().tolist() for which in (m.kept, ~m.kept)],
            }
        )
    return {
        "settings": settings,
        "edges": [_short(float(e)) for e in edges],
        "shape": [len(study), study.targets.shape[1], len(study.prototypes)],
        "anchors": [_anchor(study, int(a), hardness) for a in anchors],
    }


def _anchor(study: PositiveStudy, anchor: int, hardness: Sequence[float]) -> dict[str, Any]:
    """One anchor on the great circle to its nearest other prototype, its draws on it, and the real clip nearest to one of them."""
    circle = study.circle(anchor, int(study.order(anchor)[1]))
    followed = int(study.draws[anchor].argsort()[study.draws.shape[1] // 2])  # the middle draw: it glides through every setting
    own = int(study.origin[anchor])
    settings = []
    for h in hardness:
        made = study.along(h, anchor, circle.target)
        place, cosine = study.nearest_real(made.points[0, followed : followed + 1], without=np.array([own]))
        real = {"row": int(study.rows[place[0]]), "label": int(study.labels[place[0]]), "cosine": _short(float(cosine[0]))}
        settings.append({"t": [_short(v) for v in made.t[0].tolist()], "kept": made.kept[0].int().tolist(), "nearest": real})
    return {
        "row": int(study.rows[own]) if own >= 0 else None,
        "label": int(study.labels[own]) if own >= 0 else -1,
        "omega": _short(circle.omega),
        "t_max": _short(circle.t_max),
        "degrees": [_short(math.degrees(circle.omega), 3), _short(math.degrees(circle.t_max * circle.omega), 3)],
        "target": circle.target,
        "nearest": circle.nearest,
        "prototypes": [[_short(v) for v in p] for p in circle.prototypes.tolist()],
        "followed": followed,
        "settings": settings,
    }


def spread_anchors(study: PositiveStudy, n: int = 4) -> list[int]:
    """Anchors to show: those whose own clip is known, of different classes while there are any."""
    known = [i for i in range(len(study)) if study.origin[i] >= 0] or list(range(len(study)))
    seen: set[int] = set()
    first: list[int] = []
    rest: list[int] = []
    for i in known:
        label = int(study.labels[study.origin[i]]) if study.origin[i] >= 0 else -1
        (rest if label in seen else first).append(i)
        seen.add(label)
    return (first + rest)[:n]
