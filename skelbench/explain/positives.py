"""The numbers behind PositiveLab: what hardness does to HaLP's positives, for one anchor and for all of them.

A study keeps its random draws. Turning the hardness rescales them, ``t = t_max (1 - (1 - hardness) r)`` with the same r, so every
positive glides along its great circle between two settings instead of being drawn anew.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skelbench.data.loader import Loader
from skelbench.data.store import Store
from skelbench.errors import ConfigError, DataError
from skelbench.methods.base import Method
from skelbench.methods.halp import Positives, draw, hallucinate
from skelbench.parts.kmeans import spherical_kmeans
from skelbench.parts.nearest import nearest
from skelbench.parts.sphere import angle, chords, slerp, unit
from skelbench.skeleton.augment import centre_crop_resize
from skelbench.skeleton.streams import stream


@dataclass(frozen=True, kw_only=True, eq=False)
class GreatCircle:
    """The plane through one anchor a and one prototype p_s, which the walk from a to p_s never leaves.

    Plane coordinates are (along a, across towards p_s): the great circle is the unit circle, a lies at (1, 0), p_s at angle
    ``omega``.

    Attributes:
        anchor: row of the anchor.
        target: row of p_s.
        nearest: row of p_0, the prototype nearest to the anchor.
        omega: angle from a to p_s in radians.
        t_max: largest admissible share of the way.
        prototypes: shadows of all prototypes on the plane (S, 2).
        t: shares of the way, 0 .. 1 (G,).
        to_anchor: cosine of z(t) and a (G,).
        to_nearest: cosine of z(t) and p_0 (G,); crosses the next one at t_max.
        to_target: cosine of z(t) and p_s (G,).
    """

    anchor: int
    target: int
    nearest: int
    omega: float
    t_max: float
    prototypes: np.ndarray
    t: np.ndarray
    to_anchor: np.ndarray
    to_nearest: np.ndarray
    to_target: np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class PositiveStudy:
    """Anchors, prototypes and draws, looked at under any hardness.

    Attributes:
        anchors: keys (N, D), unit rows.
        prototypes: (S, D), unit rows.
        targets: prototype every positive walks towards (N, P).
        draws: r in [0, 1) of every positive (N, P); 0 is the boundary.
        gallery: keys of real clips (G, D), unit rows; where the nearest real clip is looked for.
        rows: row of every gallery clip in its store (G,), or its place in the gallery.
        labels: class of every gallery clip (G,), -1 unknown.
        origin: place of every anchor in the gallery (N,), -1 where it does not stand in it.
    """

    anchors: Tensor
    prototypes: Tensor
    targets: Tensor
    draws: Tensor
    gallery: Tensor
    rows: np.ndarray
    labels: np.ndarray
    origin: np.ndarray

    @classmethod
    def draw(
        cls,
        anchors: Tensor | np.ndarray,
        prototypes: Tensor | np.ndarray,
        *,
        positives: int = 100,
        gallery: Tensor | np.ndarray | None = None,
        labels: Sequence[int] | np.ndarray | None = None,
        rows: Sequence[int] | np.ndarray | None = None,
        generator: torch.Generator,
    ) -> PositiveStudy:
        """Draw targets and distances once.

        Args:
            anchors: keys (N, D); made unit length.
            prototypes: (S, D), at least two; made unit length.
            positives: P, drawn for every anchor.
            gallery: keys of the real clips (G, D), the anchors where left out; an anchor that stands in it is recognised.
            labels: class of every gallery clip.
            rows: row of every gallery clip in its store.
            generator: of all draws.

        Raises:
            DataError: widths differ, a vector has no direction, or labels and rows do not fit the gallery.
        """
        a, p = _rows(anchors, "anchors"), _rows(prototypes, "prototypes")
        g = a if gallery is None else _rows(gallery, "gallery")
        if not a.shape[1] == p.shape[1] == g.shape[1]:
            raise DataError(
                f"anchors, prototypes and gallery must be equally wide, got {a.shape[1]}, {p.shape[1]} and {g.shape[1]}"
            )
        classes = np.full(len(g), -1) if labels is None else np.asarray(labels, np.int64)
        places = np.arange(len(g)) if rows is None else np.asarray(rows, np.int64)
        for name, column in (("labels", classes), ("rows", places)):
            if column.shape != (len(g),):
                raise DataError(f"{name} of shape {column.shape} for a gallery of {len(g)} clips")
        found = nearest(a, g, 1).rows[:, 0]
        origin = torch.where((a - g[found]).abs().amax(dim=1) < 1e-6, found, -1).numpy()
        targets, u = draw(a, p, hardness=0.0, positives=positives, generator=generator)
        return cls(anchors=a, prototypes=p, targets=targets, draws=u, gallery=g, rows=places, labels=classes, origin=origin)

    @classmethod
    def of(
        cls,
        method: Method,
        store: Store,
        rows: Sequence[int] | np.ndarray,
        *,
        anchors: int = 256,
        positives: int = 100,
        preset: str = "isc",
        generator: torch.Generator,
    ) -> PositiveStudy:
        """A study of real clips in the latent space of a contrastive method (one with queries and keys).

        Args:
            method: MoCo, HaLP or a method built on them, trained or not.
            store: where the clips are.
            rows: gallery clips; anchors are drawn from them.
            anchors: how many.
            positives: P, drawn for every anchor.
            preset: normalisation the method was trained with.
            generator: of all draws, k-means included.

        Raises:
            ConfigError: the method has no key encoder.
        """
        keys = keys_of(method, store, rows, preset=preset)
        pick = torch.randperm(len(keys), generator=generator)[:anchors]
        prototypes = prototypes_of(method, keys, generator=generator)
        where = np.asarray(rows, np.int64)
        return cls.draw(
            keys[pick], prototypes, positives=positives, gallery=keys, rows=where, labels=store.labels[where], generator=generator
        )

    def __len__(self) -> int:
        return len(self.anchors)

    def at(self, hardness: float, anchors: Sequence[int] | slice = slice(None)) -> Positives:
        """The positives (N, P) of these anchors under one hardness, with the draws of the study."""
        _check_hardness(hardness)
        return hallucinate(self.anchors[anchors], self.prototypes, self.targets[anchors], self.draws[anchors] * (1 - hardness))

    def along(self, hardness: float, anchor: int, target: int) -> Positives:
        """The anchor's draws (1, P), all sent towards one prototype: what the picture of the circle shows."""
        _check_hardness(hardness)
        targets = torch.full_like(self.targets[:1], target)
        one = slice(anchor, anchor + 1)
        return hallucinate(self.anchors[one], self.prototypes, targets, self.draws[one] * (1 - hardness))

    def angles(self, positives: Positives) -> Tensor:
        """Angle from anchor to positive in radians (n, P)."""
        omega = angle(positives.anchors.unsqueeze(1), positives.prototypes.unsqueeze(0))  # (n, S)
        return positives.t * omega.gather(1, positives.targets)

    def spread(self, hardness: float) -> tuple[np.ndarray, np.ndarray]:
        """Angle from anchor to positive in radians, and whether the rank filter keeps it, for all anchors: (N, P), (N, P).

        Works on a few anchors at a time: torch wakes its thread pool only for more than 32 768 numbers, and a pool that has to wait
        for another program takes a hundred times longer than these sums do.
        """
        step = max(1, 32_000 // (self.targets.shape[1] * len(self.prototypes)))
        angles, kept = [], []
        for at in range(0, len(self), step):
            rows = slice(at, at + step)
            made = self.at(hardness, rows)
            angles.append(self.angles(made).numpy())
            kept.append(made.kept.numpy())
        return np.concatenate(angles), np.concatenate(kept)

    @cached_property
    def edges(self) -> np.ndarray:
        """Angle from every anchor to the boundary on the way to every prototype, in radians (N, S); 0 for its own p_0."""
        targets = torch.arange(len(self.prototypes)).expand(len(self), -1)
        made = hallucinate(self.anchors, self.prototypes, targets, torch.zeros(targets.shape, dtype=self.anchors.dtype))
        return (made.t * self.omega).masked_fill(targets == made.nearest.unsqueeze(1), 0).numpy()

    @cached_property
    def omega(self) -> Tensor:
        """Angles from anchors to prototypes (N, S)."""
        return angle(self.anchors.unsqueeze(1), self.prototypes.unsqueeze(0))

    def order(self, anchor: int) -> np.ndarray:
        """Prototypes by nearness to an anchor (S,); the first is p_0."""
        return chords(self.anchors[anchor : anchor + 1], self.prototypes)[0].argsort(stable=True).numpy()

    def circle(self, anchor: int, target: int, *, steps: int = 61) -> GreatCircle:
        """The great circle from one anchor to one prototype.

        Raises:
            ConfigError: no such anchor or prototype, or the target is the anchor's own p_0.
        """
        if not 0 <= anchor < len(self) or not 0 <= target < len(self.prototypes):
            raise ConfigError(f"anchor {anchor} of {len(self)}, prototype {target} of {len(self.prototypes)}: there is no such one")
        a, p, p_0 = self.anchors[anchor], self.prototypes, int(self.order(anchor)[0])
        if target == p_0:
            raise ConfigError(
                f"prototype {target} is p_0 of anchor {anchor}; positives walk towards the others: {self.order(anchor)[1:]}"
            )
        across = unit(p[target] - (p[target] @ a) * a)
        t = torch.linspace(0, 1, steps, dtype=a.dtype)
        z = slerp(a.expand(steps, -1), p[target].expand(steps, -1), t)  # (G, D)
        limit = hallucinate(a[None], p, torch.tensor([[target]]), torch.zeros(1, 1, dtype=a.dtype)).t_max
        return GreatCircle(
            anchor=anchor,
            target=target,
            nearest=p_0,
            omega=float(angle(a, p[target])),
            t_max=float(limit),
            prototypes=torch.stack([p @ a, p @ across], dim=1).numpy(),
            t=t.numpy(),
            to_anchor=(z @ a).numpy(),
            to_nearest=(z @ p[p_0]).numpy(),
            to_target=(z @ p[target]).numpy(),
        )

    def kept_share(self, hardness: float) -> float:
        """Share of all N P positives that pass the rank filter."""
        return float(self.spread(hardness)[1].mean())

    def same_class(self, hardness: float, *, positives: int = 5) -> float:
        """Share of positives whose nearest real clip, the anchor's own left out, has the anchor's class; nan without classes.

        Looks at the first few positives of every anchor, which is enough for a curve.
        """
        _check_hardness(hardness)
        known = np.flatnonzero((self.origin >= 0) & (self.labels[self.origin] >= 0))
        if not len(known):
            return float("nan")
        made = hallucinate(
            self.anchors[known], self.prototypes, self.targets[known, :positives], self.draws[known, :positives] * (1 - hardness)
        )
        places, _ = self.nearest_clips(made, known)
        return float((self.labels[places] == self.labels[self.origin[known]][:, None]).mean())

    def nearest_clips(self, positives: Positives, anchors: Sequence[int] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Place in the gallery of the real clip nearest to every positive, the anchor's own clip left out, and their cosine.

        With z a combination of a and p_s, z.g needs only the tables of a.g and p_s.g; no point is formed.

        Args:
            positives: of ``at`` or ``along`` (n, P).
            anchors: the n anchors they belong to.

        Returns:
            (places (n, P), cosines (n, P)).
        """
        near, far = self._to_gallery
        one, two, targets = (x.numpy() for x in (positives.from_anchor, positives.from_target, positives.targets))
        places, cosines = np.empty(targets.shape, np.int64), np.empty(targets.shape, np.float32)
        for i, row in enumerate(np.asarray(anchors)):
            cosine = one[i, :, None] * near[row] + two[i, :, None] * far[targets[i]]  # (P, G)
            if self.origin[row] >= 0 and len(self.gallery) > 1:
                cosine[:, self.origin[row]] = -2.0
            places[i] = cosine.argmax(axis=1)
            cosines[i] = np.take_along_axis(cosine, places[i][:, None], axis=1)[:, 0]
        return places, cosines.clip(-1, 1)

    def nearest_real(self, points: Tensor, *, without: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """The same for any points (Q, D) of the sphere: place in the gallery (Q,) and cosine (Q,).

        Args:
            points: unit rows (Q, D).
            without: place in the gallery that a point may not find (Q,), -1 none.
        """
        k = min(1 if without is None else 2, len(self.gallery))
        found = nearest(points.to(self.gallery.dtype), self.gallery, k)
        places, cosines = found.rows.numpy(), found.similarity.numpy()
        second = np.zeros(len(places), int) if without is None or k < 2 else (places[:, 0] == without).astype(int)
        at = np.arange(len(places))
        return places[at, second], cosines[at, second]

    def clip_near_prototype(self, prototype: int) -> tuple[int, float]:
        """Place in the gallery of the real clip nearest to a prototype, and their cosine."""
        cosines = self._to_gallery[1][prototype]
        return int(cosines.argmax()), float(cosines.max())

    @cached_property
    def _to_gallery(self) -> tuple[np.ndarray, np.ndarray]:
        """Cosines of anchors (N, G) and of prototypes (S, G) with the real clips."""
        return (self.anchors @ self.gallery.T).numpy(), (self.prototypes @ self.gallery.T).numpy()


@torch.no_grad()
def keys_of(
    method: Method, store: Store, rows: Sequence[int] | np.ndarray, *, preset: str = "isc", batch_size: int = 256
) -> Tensor:
    """Latent keys (N, D) of the centre crop of real clips: key encoder and projection, in eval mode.

    Works on a copy of the encoder, so a run that is training at the same time is not disturbed.

    Raises:
        ConfigError: the method has no key encoder.
    """
    key: Any = getattr(method, "key", None)
    if not isinstance(key, torch.nn.Module):
        raise ConfigError(
            f"{method.name!r} has no key encoder; positives are hallucinated in the latent space of moco, halp and their kin"
        )
    branch = copy.deepcopy(key).eval()
    device = next(branch.parameters()).device
    config: Any = method.config
    found = []
    for batch in Loader(store, rows, batch_size=batch_size, preset=preset, shuffle=False).batches():
        x = centre_crop_resize(batch.joints, batch.lengths, frames=config.views.frames)
        found.append(branch(stream(config.stream, x, store.topology).to(device)).float().cpu())
    return torch.cat(found)


def prototypes_of(method: Method, keys: Tensor, *, generator: torch.Generator) -> Tensor:
    """The method's prototypes (S, D), or cluster centres of the keys where it has none yet: plain MoCo, HaLP in its first stage."""
    own = getattr(method, "prototypes", None)
    if isinstance(own, Tensor) and bool((torch.linalg.vector_norm(own, dim=1) > 0.5).all()):
        return own.detach().float().cpu().clone()
    wanted = getattr(getattr(method, "config", None), "prototypes", 20)
    return spherical_kmeans(keys, min(wanted, len(keys)), generator=generator).centres


def _rows(values: Tensor | np.ndarray, name: str) -> Tensor:
    table = torch.as_tensor(values).detach().float().cpu()
    if table.ndim != 2 or not len(table) or not bool(torch.isfinite(table).all()):
        raise DataError(f"{name} must be a table of finite vectors, got shape {tuple(table.shape)}")
    if bool((torch.linalg.vector_norm(table, dim=1) < 1e-12).any()):
        raise DataError(f"{name}: row {int(torch.linalg.vector_norm(table, dim=1).argmin())} is zero and has no direction")
    return unit(table)


def _check_hardness(hardness: float) -> None:
    if not 0 <= hardness <= 1:
        raise ConfigError(f"hardness={hardness} must lie in [0, 1]: 0 is easy, 1 puts every positive on the boundary")
