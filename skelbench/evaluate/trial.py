"""What is measured, and on what: a method, the clips, how they are parted. Features are extracted when first asked for, once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from skelbench.errors import ConfigError
from skelbench.evaluate.features import Features, extract
from skelbench.evaluate.score import AnyProtocol, OnNetwork, Outcome
from skelbench.methods.base import Method

if TYPE_CHECKING:
    from skelbench.data.splits import Split
    from skelbench.data.store import Store


@dataclass(frozen=True, kw_only=True, eq=False)
class Parts:
    """Features of the three parts of a split."""

    train: Features
    validation: Features
    test: Features

    def to(self, device: torch.device | str) -> Parts:
        """The same features on another device."""
        return Parts(train=self.train.to(device), validation=self.validation.to(device), test=self.test.to(device))

    def of(self, split: Split) -> Parts:
        """The clips of these features that another split has on its sides; its training side is part of this one."""

        def side(rows: np.ndarray, features: Features) -> Features:
            return features.take(torch.isin(features.rows, torch.from_numpy(rows).to(features.rows.device)))

        return Parts(train=side(split.train, self.train), validation=side(split.validation, self.validation), test=self.test)


def extract_parts(method: Method, store: Store, split: Split, *, preset: str = "isc", batch_size: int = 256) -> Parts:
    """Features of training, validation and test clips; each clip passes the network once."""
    found = {
        part: extract(method, store, getattr(split, part), preset=preset, batch_size=batch_size)
        for part in ("train", "validation", "test")
    }
    return Parts(**found)


@dataclass(frozen=True, kw_only=True, eq=False)
class Trial:
    """One method on one split.

    Attributes:
        method: what is measured; no protocol changes it.
        store: the clips.
        split: its parts.
        preset: normalisation.
        batch_size: of the extraction; changes no result.
        device: where protocols compute; the method's own where None.
        refit: the network was trained on the validation clips too, so that nothing may be chosen by its scores there.
    """

    method: Method
    store: Store
    split: Split
    preset: str = "isc"
    batch_size: int = 256
    device: torch.device | str | None = None
    refit: bool = False

    @property
    def at(self) -> torch.device:
        """The device that protocols compute on."""
        own = next((p.device for p in self.method.parameters()), torch.device("cpu"))
        return own if self.device is None else torch.device(self.device)

    @cached_property
    def parts(self) -> Parts:
        """Frozen features of the three parts."""
        if not len(self.split.test):
            raise ConfigError(
                f"split {self.split.name!r} tests nothing; measure on another dataset: Transfer, or skelbench evaluate --on DATA"
            )
        found = extract_parts(self.method, self.store, self.split, preset=self.preset, batch_size=self.batch_size)
        return found.to(self.at)

    def features(self, rows: np.ndarray) -> Features:
        """Frozen features of other rows."""
        return extract(self.method, self.store, rows, preset=self.preset, batch_size=self.batch_size).to(self.at)

    def within(self, split: Split) -> Trial:
        """The same with fewer labels: a split whose training side is part of this one's. Features are not extracted again."""
        other = replace(self, split=split)
        if "parts" in self.__dict__:
            other.__dict__["parts"] = self.parts.of(split)
        return other


def run_protocol(protocol: AnyProtocol, what: Trial | Parts) -> Outcome | Any:
    """The full outcome (per class, confusion, predictions) of one protocol.

    Raises:
        ConfigError: features alone for a protocol that needs the network, or a one-shot split for a protocol that would have to be
            trained on its classes.
    """
    if isinstance(protocol, OnNetwork):
        if isinstance(what, Parts):
            raise ConfigError(f"{protocol.name} needs the network, not only features; give it a Trial")
        return protocol.run(what)
    if isinstance(what, Trial):
        refuse_one_shot(protocol.name, what.split)
        what = what.parts
    return protocol.run(what.train, what.test, validation=what.validation)


def refuse_one_shot(name: str, split: Split) -> None:
    """Raises ConfigError where the tested classes are none that training sees."""
    if len(split.gallery):
        raise ConfigError(
            f"split {split.name!r} tests classes that training never sees; {name} has nothing to learn them from. Use the protocol "
            "'one-shot'"
        )
