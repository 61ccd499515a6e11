"""Exact nearest neighbours by cosine, in bounded memory: what 1-NN evaluation, the map and "the nearest real clip" share."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from skelbench.errors import ConfigError, DataError

_GRID = 1e9  # similarities that agree to 1e-9 count as equal, whatever order a matmul kernel summed them in
_ROWS = 1 << 32  # room for the row number below the similarity in one int64


class Nearest(NamedTuple):
    """Neighbours of Q queries, nearest first.

    Attributes:
        similarity: cosine (Q, k), float64.
        rows: row of the neighbour in the gallery (Q, k), int64.
    """

    similarity: Tensor
    rows: Tensor


def nearest(queries: Tensor, gallery: Tensor, k: int = 1, *, memory: int = 128 << 20) -> Nearest:
    """The k gallery rows of largest cosine for every query, exactly; equal similarities go to the lower row.

    Similarities are computed in float64 (so neither TF32 nor autocast changes a neighbour) and rounded to 1e-9. Each one is
    packed with its row number into one integer; the k largest integers are then the answer, ties and all, in any chunking.

    Args:
        queries: (Q, D), any scale.
        gallery: (G, D), any scale; on the same device.
        k: neighbours wanted, at most G.
        memory: bytes of working space. It grows neither with Q nor with G.

    Raises:
        DataError: widths differ, a value is not finite, or nothing to search.
        ConfigError: k outside 1..G.
    """
    if queries.ndim != 2 or gallery.ndim != 2 or queries.shape[1] != gallery.shape[1]:
        raise DataError(f"nearest wants (Q, D) and (G, D), got {tuple(queries.shape)} and {tuple(gallery.shape)}")
    if not 1 <= k <= gallery.shape[0]:
        raise ConfigError(f"k = {k} neighbours of a gallery of {gallery.shape[0]}; choose 1 <= k <= {gallery.shape[0]}")
    rows_q, rows_g = chunk_rows(len(queries), len(gallery), queries.shape[1], k, memory=memory)
    keys = torch.empty(len(queries), k, dtype=torch.int64, device=queries.device)
    for q in range(0, len(queries), rows_q):
        unit = unit_rows(queries[q : q + rows_q])  # (q, D)
        best: Tensor | None = None
        for g in range(0, len(gallery), rows_g):
            block = unit_rows(gallery[g : g + rows_g])
            found = rank_keys(unit, block, torch.arange(g, g + len(block), device=block.device))  # (q, g)
            found = found.topk(min(k, found.shape[1]), dim=1).values
            best = found if best is None else torch.cat([best, found], dim=1)
            best = best.topk(min(k, best.shape[1]), dim=1).values  # running merge, (q, k)
        assert best is not None  # k >= 1, so the gallery has a row
        keys[q : q + rows_q] = best
    similarity = torch.div(keys, _ROWS, rounding_mode="floor").double() / _GRID
    return Nearest(similarity, (_ROWS - 1) - torch.remainder(keys, _ROWS))


def chunk_rows(Q: int, G: int, D: int, k: int, *, memory: int) -> tuple[int, int]:
    """Rows of queries and of gallery worked on at a time, so that working space stays below ``memory`` bytes.

    A pair costs 32 bytes (similarity, key, their temporaries), a row 32 D (float64, normalised, temporaries) and a query row
    64 k more for the merge.
    """
    row = 32 * D + 64 * k
    side = (math.sqrt(row * row + 32.0 * memory) - row) / 32  # 32 s^2 + 2 row s = memory
    q = max(1, min(Q, int(side)))
    g = max(1, min(G, (memory - row * q) // (32 * q + 32 * D)))
    return q, g


def unit_rows(rows: Tensor) -> Tensor:
    """The rows (N, D) at length 1, in float64. Raises DataError where one is not finite."""
    if not torch.isfinite(rows).all():
        raise DataError("nearest got a feature that is not finite; a diverged network or a broken clip does that")
    return F.normalize(rows.double(), dim=1)


def rank_keys(queries: Tensor, gallery: Tensor, rows: Tensor) -> Tensor:
    """Integers (q, g) that sort like (similarity, -row); unit rows (q, D) and (g, D), and the row number of each of the g."""
    keys = (queries @ gallery.T).mul_(_GRID).round_().to(torch.int64).mul_(_ROWS)
    return keys.add_(_ROWS - 1 - rows)
