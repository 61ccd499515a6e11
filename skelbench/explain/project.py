"""Features on a plane: PCA at once, UMAP from exact neighbours. The same features give the same picture, and give it once.

UMAP keeps neighbours together and nothing else: distances between far groups, sizes of groups and empty space between them mean
little. PCA is a straight shadow: what is far apart there is far apart.
"""

from __future__ import annotations

import hashlib
import os
import threading
import uuid
import warnings
from collections import OrderedDict
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from skelbench.errors import ConfigError, DataError
from skelbench.parts.nearest import nearest

FEWEST = 4  # UMAP has nothing to say about fewer clips
KEPT = 32  # pictures kept in memory; (N, 2) float32 each

_pictures: OrderedDict[str, np.ndarray] = OrderedDict()
_lock = threading.Lock()


def project(
    features: Tensor | np.ndarray,
    method: Literal["umap", "pca"] = "umap",
    *,
    seed: int = 0,
    neighbours: int = 15,
    min_dist: float = 0.1,
    epochs: int | None = None,
    start: np.ndarray | None = None,
    cache: str | Path | None = None,
) -> np.ndarray:
    """Features (N, D) as points of the plane (N, 2), float32. Pure in its arguments, so it is answered from memory the second time.

    Args:
        features: any scale; UMAP compares directions (cosine), PCA sees the values as they are.
        method: ``pca`` takes milliseconds; ``umap`` seconds to minutes, most of the first call being compilation.
        seed: of UMAP; PCA draws nothing.
        neighbours: of UMAP; small shows detail, large the whole. Fewer where there are not so many clips.
        min_dist: how close UMAP may put two points.
        epochs: UMAP's optimisation epochs; its own choice where None.
        start: where UMAP begins (N, 2), e.g. the picture of the epoch before, so that points glide; PCA where None.
        cache: folder where pictures are kept beyond this process, too.

    Raises:
        DataError: no (N, D) table, values that are not finite, or fewer than 4 clips for UMAP.
        ConfigError: another method, or settings out of range.
    """
    x = torch.as_tensor(features).detach().cpu().float()
    if x.ndim != 2 or not x.numel() or not bool(torch.isfinite(x).all()):
        raise DataError(f"project wants finite features (N, D), got shape {tuple(x.shape)}")
    if method not in ("umap", "pca"):
        raise ConfigError(f"project knows 'umap' and 'pca', not {method!r}")
    if method == "umap":
        _check_umap(x, neighbours, min_dist, epochs, start)
    key = _key(x, (method, *((seed, neighbours, min_dist, epochs) if method == "umap" else ())), start)
    found = _recall(key, cache, len(x))
    if found is None:
        found = pca(x) if method == "pca" else _umap(x, seed, neighbours, min_dist, epochs, start)
        _keep(key, cache, found)
    return found.copy()


def pca(features: Tensor) -> np.ndarray:
    """First two principal components (N, 2) of features (N, D), float32; a missing second one is 0.

    Solved on the smaller of D x D and N x N, in float64. Each axis points where its largest loading (N x N: score) is positive, so
    that the picture does not flip between calls.
    """
    x = features.double() - features.double().mean(dim=0)
    wide = x.shape[1] > x.shape[0]
    power, axes = torch.linalg.eigh(x @ x.T if wide else x.T @ x)
    axes, power = axes[:, -2:].flip(1), power[-2:].flip(0).clamp_min(0)  # largest first
    axes = axes * torch.sign(axes.gather(0, axes.abs().argmax(dim=0, keepdim=True)))
    points = axes * power.sqrt() if wide else x @ axes
    return F.pad(points, (0, 2 - points.shape[1])).float().numpy()


def _check_umap(x: Tensor, neighbours: int, min_dist: float, epochs: int | None, start: np.ndarray | None) -> None:
    if len(x) < FEWEST:
        raise DataError(f"UMAP of {len(x)} clips: it needs at least {FEWEST}; use method='pca'")
    if neighbours < 2 or not 0 <= min_dist <= 1 or (epochs is not None and epochs < 1):
        raise ConfigError(
            f"UMAP wants neighbours >= 2, min_dist in [0, 1] and epochs >= 1, got {neighbours}, {min_dist} and {epochs}"
        )
    if start is not None and (np.shape(start) != (len(x), 2) or not np.isfinite(start).all()):
        raise DataError(f"start has shape {np.shape(start)}, wanted ({len(x)}, 2) finite numbers")


def _umap(x: Tensor, seed: int, neighbours: int, min_dist: float, epochs: int | None, start: np.ndarray | None) -> np.ndarray:
    import umap  # seconds to minutes the first time: never at module level

    k = min(neighbours, len(x) - 1)
    rows, distance = _neighbours(x, k)
    init = pca(x) if start is None else np.array(start, np.float32)
    flat = np.ptp(init, axis=0) <= 1e-6 * max(float(np.abs(init).max()), 1.0)  # collapsed features; umap would divide by it
    init[:, flat] = torch.randn(len(x), int(flat.sum()), generator=torch.Generator().manual_seed(seed)).numpy()
    fit = umap.UMAP(
        n_neighbors=k,
        min_dist=min_dist,
        n_epochs=epochs,
        metric="cosine",
        init=init,
        random_state=seed,
        n_jobs=1,  # what a seed means for umap, said aloud
        precomputed_knn=(rows, distance, None),
        force_approximation_algorithm=True,  # below 4096 clips it would set the neighbours aside and search again
    )
    with warnings.catch_warnings():
        # No search index is handed in: it is for transform(), which is never called.
        warnings.filterwarnings("ignore", message=r"precomputed_knn\[2\]")
        return np.ascontiguousarray(fit.fit_transform(x.numpy()), np.float32)


def _neighbours(x: Tensor, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and cosine distances of the k nearest clips (N, k), each clip its own first one, as umap wants it."""
    found = nearest(x, x, k)
    own = torch.arange(len(x)).unsqueeze(1)
    others = found.rows != own  # a clip with twins may not be among its own neighbours
    last = others.all(dim=1)
    others[last, -1] = False
    rows = torch.cat([own, found.rows[others].view(len(x), k - 1)], dim=1)
    distance = (1 - found.similarity[others].view(len(x), k - 1)).clamp_min(0)
    return rows.int().numpy(), F.pad(distance, (1, 0)).float().numpy()


def _key(x: Tensor, settings: tuple[object, ...], start: np.ndarray | None) -> str:
    content = hashlib.sha256(repr((tuple(x.shape), settings)).encode())
    content.update(x.contiguous().numpy().tobytes())
    if start is not None:
        content.update(np.ascontiguousarray(start, np.float32).tobytes())
    return content.hexdigest()[:32]


def _file(key: str, cache: str | Path) -> Path:
    return Path(cache) / f"projection-{key}.npy"


def _recall(key: str, cache: str | Path | None, N: int) -> np.ndarray | None:
    with _lock:
        if key in _pictures:
            _pictures.move_to_end(key)
            return _pictures[key]
    if cache is None or not _file(key, cache).exists():
        return None
    try:
        found = np.load(_file(key, cache), allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise DataError(f"{_file(key, cache)}: damaged ({error}); delete it") from error
    if found.shape != (N, 2) or found.dtype != np.float32:
        raise DataError(f"{_file(key, cache)}: not the picture it should be ({found.dtype} {found.shape}); delete it")
    _keep(key, None, found)
    return found


def _keep(key: str, cache: str | Path | None, points: np.ndarray) -> None:
    with _lock:
        _pictures[key] = points
        while len(_pictures) > KEPT:
            _pictures.popitem(last=False)
    if cache is None:
        return
    file = _file(key, cache)
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}.{uuid.uuid4().hex}")
    with part.open("wb") as out:
        np.save(out, points)
    os.replace(part, file)


def forget() -> None:
    """Drop the pictures kept in memory (those on disk stay)."""
    with _lock:
        _pictures.clear()
