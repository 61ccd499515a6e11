"""What a method offers. Widgets, runs and protocols know methods only through this page."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from skelbench.data.frames import FrameSettings
from skelbench.skeleton.clip import Batch
from skelbench.skeleton.topology import Topology


@dataclass(frozen=True, kw_only=True)
class Step:
    """What one training step gives back.

    Attributes:
        loss: scalar to call ``backward`` on.
        parts: named scalars that make up or explain the loss (detached).
        out: named intermediates a probe or picture may ask for (detached): ``query``, ``key``, ``positives``, ``prototypes`` ...
    """

    loss: Tensor
    parts: Mapping[str, Tensor] = field(default_factory=dict)
    out: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """Where a method looks. Fields it does not have are None.

    Attributes:
        joints: weight of every joint in every frame (N, T, V).
        pairs: joint-to-joint weights per head (N, heads, V, V).
        frames: weight of every frame (N, T).
        streams: names of the modalities, S of them, in the order of the fields below.
        modalities: how far each modality is open to the others in every picture (N, T', S), 0 to 1.
        exchange: share of modality i's attention that goes to picture t of modality j (N, S, S, T'), [n, i, j, t].
        frame_pairs: picture-to-picture weights per head (N, heads, T', T').
        samples: where points were read in the video (N, L, G, K, 3), block by block and group by group: (t, y, x), each 0..1, from
            the first picture's begin to the last one's end and from edge to edge of the picture.
        references: where those points stand before they are moved (K, 3), likewise.
        sample_weights: attention that each point gets (N, L, K).
    """

    joints: Tensor | None = None
    pairs: Tensor | None = None
    frames: Tensor | None = None
    streams: tuple[str, ...] = ()
    modalities: Tensor | None = None
    exchange: Tensor | None = None
    frame_pairs: Tensor | None = None
    samples: Tensor | None = None
    references: Tensor | None = None
    sample_weights: Tensor | None = None


class Method(nn.Module):
    """A published system. Subclasses nest a frozen, keyword-only dataclass ``Config`` and say what it builds.

    Class attributes:
        name: key in ``skelbench.methods``.
        trains: False for the floors, which have nothing to train.
        supervised: True where ``step`` reads ``batch.labels`` and ``logits`` answers.
        live: names of ``Config`` settings that ``step`` and ``after_step`` read afresh from ``self.config`` every time, so that a
            run may change them between two steps (``run.set(hardness=0.5)`` puts a new, checked ``Config`` there).

    Attributes:
        config: the settings it was built with, an instance of ``Config``.
    """

    name: ClassVar[str]
    trains: ClassVar[bool] = True
    supervised: ClassVar[bool] = False
    live: ClassVar[frozenset[str]] = frozenset()
    Config: ClassVar[type]
    config: Any

    @classmethod
    def build(
        cls, config: Any, *, topology: Topology, bodies: int, coordinates: int, classes: int, generator: torch.Generator
    ) -> Method:
        """The method with a fresh encoder for this skeleton; all initial weights come from ``generator``."""
        raise NotImplementedError

    @property
    def width(self) -> int:
        """D of ``features``."""
        raise NotImplementedError

    @property
    def pictures(self) -> FrameSettings | None:
        """The pictures a batch has to bring along, as ``batch.frames``; None for methods of joints alone."""
        return None

    def meet(self, labels: Tensor, classes: tuple[str, ...]) -> Tensor | None:
        """Told once, before training, the labels (n,) of the clips it will learn from, -1 unknown, and the names of the classes.

        What is drawn from them is no part of a checkpoint: a run that is opened again meets its clips again.

        Returns:
            How often an epoch shows every clip (n,), see :class:`skelbench.data.repeats.Repeats`; None: each once.

        Raises:
            DataError: labels it cannot learn from.
        """
        return None

    def begin_epoch(self, epoch: int) -> None:
        """Called before the first step of every epoch; stages hang on it."""

    def step(self, batch: Batch, generator: torch.Generator) -> Step:
        """Loss of one batch of normalised clips. Every random draw comes from ``generator``."""
        raise NotImplementedError

    def after_step(self, generator: torch.Generator) -> None:
        """Called after the optimiser moved: queues, prototypes, schedules."""

    def features(self, batch: Batch) -> Tensor:
        """Frozen representation (N, D), in eval mode and without gradient, whatever mode the module is in."""
        raise NotImplementedError

    def logits(self, batch: Batch) -> Tensor:
        """Class scores (N, classes); only where ``supervised``."""
        raise TypeError(f"{self.name} learns without labels and has no logits; use skelbench.evaluate.linear on its features")

    def held_out_loss(self, batch: Batch) -> Tensor:
        """Loss of every clip (N,) as validation sees it: without augmentation, in eval mode; only where ``supervised``."""
        return nn.functional.cross_entropy(full_precision(self.logits(batch)), batch.labels, reduction="none")

    def explain(self, batch: Batch) -> Explanation:
        """Where the method looks, where it can say."""
        return Explanation()


@contextlib.contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """The module is in eval mode inside, and as it was afterwards."""
    training = module.training
    module.eval()
    try:
        yield
    finally:
        module.train(training)


def full_precision(x: Tensor) -> Tensor:
    """Out of half precision, where autocast left something in it; cosines and losses need more digits than a network does."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
