"""The queue of past keys that a contrastive loss takes its negatives from (MoCo, He et al. 2020)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from skelbench.errors import ConfigError


class KeyQueue(nn.Module):
    """Ring of the last K keys. Starts with random unit vectors; batches of any size may wrap around its end.

    Attributes:
        keys: buffer (K, D), unit rows.
        pointer: buffer (), slot the next key goes to; the newest keys stand just before it.
    """

    keys: Tensor
    pointer: Tensor

    def __init__(self, size: int, dim: int, *, generator: torch.Generator) -> None:
        super().__init__()
        if size < 1 or dim < 1:
            raise ConfigError(f"a key queue needs size and dim of at least 1, got size={size}, dim={dim}")
        draw = torch.randn(size, dim, generator=generator, device=generator.device)
        self.register_buffer("keys", nn.functional.normalize(draw, dim=1))
        self.register_buffer("pointer", torch.zeros((), dtype=torch.int64))

    def __len__(self) -> int:
        return self.keys.shape[0]

    @torch.no_grad()
    def enqueue(self, keys: Tensor) -> None:
        """Write a batch of keys (N, D) over the oldest ones; of a batch longer than the ring only the last K stay."""
        K, D = self.keys.shape
        if keys.ndim != 2 or keys.shape[1] != D:
            raise ConfigError(f"this queue holds keys of width {D}: wanted (N, {D}), got {tuple(keys.shape)}")
        N = keys.shape[0]
        slots = torch.arange(max(0, N - K), N, device=keys.device)
        self.keys[(self.pointer + slots) % K] = keys[slots].to(self.keys.dtype)
        self.pointer.add_(N).remainder_(K)

    @torch.no_grad()
    def newest(self, n: int) -> Tensor:
        """The n keys before the write pointer (n, D), oldest of them first."""
        K = len(self)
        if not 1 <= n <= K:
            raise ConfigError(f"this queue holds {K} keys; the newest {n} cannot be taken from it")
        return self.keys[(self.pointer - n + torch.arange(n, device=self.keys.device)) % K]
