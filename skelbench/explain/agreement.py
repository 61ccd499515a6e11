"""Do two encoders of one movement agree? What ISC trains, and what it does not train, measured on clips that keep still.

Measured in eval mode, on two views of every clip that are the same each time one asks, so that a curve over training shows the
encoders changing and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from skelbench.data.loader import Loader
from skelbench.data.store import Store
from skelbench.errors import ConfigError
from skelbench.methods.base import evaluating
from skelbench.methods.isc import ISC, latent
from skelbench.parts.nearest import nearest
from skelbench.skeleton.augment import centre_crop_resize
from skelbench.skeleton.clip import Batch


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """What N clips look like to the encoders of a pair.

    Attributes:
        names: representations of the pair.
        cosine: (query of, key of) -> mean cosine of a clip's two views. Inter-skeleton training pulls at the pairs of two different
            names only; the others show whether an encoder agrees with itself all the same.
        found: (query of, key of) -> share of clips whose own key is nearer than those of all other clips.
        drift: representation -> mean cosine of query and key encoder on the same input; below 1 the key encoder lags behind.
        overlap: share of the k nearest clips that two encoders have in common, by features; None for a single one.
        chance: what ``overlap`` is for encoders that have nothing to do with each other, k / (N - 1).
        k: neighbours.
        clips: N.
    """

    names: tuple[str, ...]
    cosine: dict[tuple[str, str], float]
    found: dict[tuple[str, str], float]
    drift: dict[str, float]
    overlap: float | None
    chance: float
    k: int
    clips: int


def overlap(one: Tensor, two: Tensor, k: int = 10) -> float:
    """Share of the k nearest other rows, by cosine, that rows have in common in two spaces (N, D1), (N, D2).

    Raises:
        ConfigError: spaces of different clips, or k outside 1 .. N - 1.
    """
    N = len(one)
    if len(two) != N or not 1 <= k < N:
        raise ConfigError(f"overlap wants two spaces of the same clips and 1 <= k < N, got {N} and {len(two)} rows and k = {k}")
    near = []
    for space in (one, two):
        neighbours = torch.zeros(N, N, dtype=torch.bool, device=space.device)
        neighbours.scatter_(1, _others(space, k), True)
        near.append(neighbours)
    return float((near[0] & near[1].to(near[0].device)).sum() / (N * k))


def _others(space: Tensor, k: int) -> Tensor:
    """The k nearest other rows of every row (N, k)."""
    rows = nearest(space, space, k + 1).rows  # (N, k + 1); a row need not be its own nearest, where another one equals it
    own = rows == torch.arange(len(space), device=rows.device)[:, None]
    own[~own.any(dim=1), -1] = True  # then the last one is too many
    return rows[~own].view(len(space), k)


def agreement(
    method: ISC, store: Store, rows: Sequence[int] | np.ndarray, *, k: int = 10, preset: str = "isc", seed: int = 0
) -> Agreement:
    """Measure an ISC on clips of a store; takes nothing from a run's random draws and leaves the method as it was.

    Args:
        method: with one or two representations.
        store: the clips.
        rows: which; a few hundred do.
        k: neighbours of ``overlap``.
        preset: normalisation, that of the run.
        seed: of the two views.

    Raises:
        ConfigError: no more clips than neighbours.
    """
    names, wanted = tuple(method.widths), np.asarray(rows, np.int64)
    if len(wanted) <= k:
        raise ConfigError(f"agreement of {len(wanted)} clips with k = {k} neighbours; give more clips than neighbours")
    loader = Loader(store, wanted, batch_size=256, preset=preset, shuffle=False, drop_last=False, cache=False)
    table = _seen(method, loader.batches(), seed)
    tables = {(a, b): table[f"query {a}"] @ table[f"key {b}"].T for a in names for b in names}  # (N, N)
    features = [table[f"features {name}"] for name in names]
    return Agreement(
        names=names,
        cosine={pair: float(t.diagonal().mean()) for pair, t in tables.items()},
        found={pair: float((t.diagonal() == t.amax(dim=1)).double().mean()) for pair, t in tables.items()},
        drift={name: float((table[f"still {name}"] * table[f"lag {name}"]).sum(dim=1).mean()) for name in names},
        overlap=overlap(features[0], features[1], k) if len(features) == 2 else None,
        chance=k / (len(wanted) - 1),
        k=k,
        clips=len(wanted),
    )


@torch.no_grad()
def _seen(method: ISC, batches: Iterable[Batch], seed: int) -> dict[str, Tensor]:
    """Latents (N, D) of the views, of the clips as they are by both encoders, and features, by ``"what representation"``."""
    device = next(method.parameters()).device
    draws, dropped = (torch.Generator().manual_seed(seed) for _ in range(2))
    seen: dict[str, list[Tensor]] = {}
    with evaluating(method):
        for batch in (b.to(device) for b in batches):
            one, two = method.views(batch, draws)
            same = centre_crop_resize(batch.joints, batch.lengths, frames=method.config.views.frames)
            for name in method.widths:
                query, key = method.query[name], method.key[name]
                for what, branch, x in (("query", query, one), ("key", key, two), ("still", query, same), ("lag", key, same)):
                    seen.setdefault(f"{what} {name}", []).append(latent(branch, x, dropped))
                seen.setdefault(f"features {name}", []).append(method.features_of(name, batch))
    return {what: torch.cat(parts) for what, parts in seen.items()}
