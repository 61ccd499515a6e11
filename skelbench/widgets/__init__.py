"""What a person sees in JupyterLab: one Python class, one ES module and one still picture each.

``SkeletonPlayer`` plays clips, ``EmbeddingMap`` shows features and plays what the pointer is on, ``PositiveLab`` shows how HaLP
hallucinates positives, ``MaskView`` what a masked autoencoder guesses of hidden joints, ``StreamMixer`` adds up the scores of
streams, ``LongTailView`` shows how uneven classes are and who gains, ``Card`` is a page on a dataset. Each one's ``static()`` is an
SVG of the same content, which is also what a saved notebook shows where no kernel runs.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skelbench.widgets.card import Card, write_card
    from skelbench.widgets.embedding_map import EmbeddingMap
    from skelbench.widgets.long_tail_view import LongTailView
    from skelbench.widgets.mask_view import MaskView
    from skelbench.widgets.player import SkeletonPlayer, link
    from skelbench.widgets.positive_lab import PositiveLab
    from skelbench.widgets.stream_mixer import StreamMixer

__all__ = [
    "Card",
    "EmbeddingMap",
    "LongTailView",
    "MaskView",
    "PositiveLab",
    "SkeletonPlayer",
    "StreamMixer",
    "link",
    "write_card",
]

_HOME = {
    "Card": "card",
    "write_card": "card",
    "EmbeddingMap": "embedding_map",
    "LongTailView": "long_tail_view",
    "MaskView": "mask_view",
    "PositiveLab": "positive_lab",
    "SkeletonPlayer": "player",
    "StreamMixer": "stream_mixer",
    "link": "player",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"skelbench.widgets has no {name!r}; it has: {', '.join(__all__)}")
    return getattr(importlib.import_module(f"skelbench.widgets.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
