"""Protocols by name, for the command line and for tables of contents.

1-nn, 20-nn            nearest neighbours
linear                 converged logistic regression, the one to compare methods with
paper-linear           the released SGD recipe on cached features
views-linear           the same on a new crop every epoch
retrieval              precision at k, mean average precision
finetune               the whole network (CMD's recipe); finetune-strl with that of SkeletonMAE
semi                   linear on 1, 5, 10, 20 % of the labels; semi:1,10 on these shares; semi-any without regard to classes
semi-finetune          fine-tuning on them
one-shot               unseen classes, one clip of each
classifier             the classifier of a supervised method
streams                the classifier of each of its streams alone, and their weighted sums (PSUMNet)
longtail               the same, and by classes with many, medium and few training clips; longtail:100,20 with these limits
"""

from __future__ import annotations

import re
from collections.abc import Callable

from skelbench.errors import ConfigError
from skelbench.evaluate.finetune import FineTune
from skelbench.evaluate.knn import KNN
from skelbench.evaluate.linear import Linear, PaperLinear
from skelbench.evaluate.longtail import LongTail
from skelbench.evaluate.oneshot import OneShot
from skelbench.evaluate.own_classifier import OwnClassifier
from skelbench.evaluate.retrieval import Retrieval
from skelbench.evaluate.score import AnyProtocol
from skelbench.evaluate.semi import SemiSupervised
from skelbench.evaluate.streams import Streams
from skelbench.evaluate.views_linear import ViewsLinear

PROTOCOLS: dict[str, Callable[[], AnyProtocol]] = {
    "1-nn": KNN,
    "linear": Linear,
    "paper-linear": PaperLinear,
    "views-linear": ViewsLinear,
    "retrieval": Retrieval,
    "finetune": FineTune,
    "finetune-strl": FineTune.strl,
    "semi": SemiSupervised,
    "semi-finetune": lambda: SemiSupervised(protocol=FineTune()),
    "semi-any": lambda: SemiSupervised(stratified=False),
    "semi-finetune-any": lambda: SemiSupervised(protocol=FineTune(), stratified=False),
    "one-shot": OneShot,
    "classifier": OwnClassifier,
    "streams": Streams,
    "longtail": LongTail,
}


def protocol(name: str) -> AnyProtocol:
    """A protocol by name: one of ``PROTOCOLS``, ``<k>-nn``, or a ``semi`` one with its shares in per cent, ``semi:1,10``.

    Raises:
        ConfigError: no such name; the message lists those there are.
    """
    neighbours = re.fullmatch(r"(\d{1,6})-nn", name)
    if neighbours:
        return KNN(k=int(neighbours[1]))
    base, colon, shares = name.partition(":")
    found = PROTOCOLS.get(base)
    made = found() if found else None
    if made is not None and not colon:
        return made
    if isinstance(made, SemiSupervised) and re.fullmatch(r"\d{1,3}(\.\d+)?(,\d{1,3}(\.\d+)?)*", shares):
        parts = tuple(float(s) / 100 for s in shares.split(","))
        return SemiSupervised(shares=parts, stratified=made.stratified, protocol=made.protocol)
    if isinstance(made, LongTail) and (limits := re.fullmatch(r"(\d{1,9}),(\d{1,9})", shares)):
        return LongTail(many=int(limits[1]), few=int(limits[2]))
    raise ConfigError(f"no protocol called {name!r}; there are: {', '.join(PROTOCOLS)}, <k>-nn, and shares as in semi:1,10")
