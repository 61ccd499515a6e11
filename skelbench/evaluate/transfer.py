"""Transfer: pre-trained on one dataset, measured on another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from skelbench.data import load
from skelbench.data.pooling import as_layout, clips_seen
from skelbench.data.splits import make_split, usual_split
from skelbench.errors import ConfigError
from skelbench.evaluate.linear import Linear
from skelbench.evaluate.score import AnyProtocol, Description, Measure, OnNetwork, Outcome
from skelbench.evaluate.trial import Trial, run_protocol


@dataclass(frozen=True, kw_only=True, eq=False)
class Transferred:
    """Outcome on another dataset.

    Attributes:
        outcome: of the inner protocol.
        data: ``<pre-trained on> -> <measured on>``.
        split: of the dataset measured on.
        chosen: how its clips were brought to the network's skeleton.
    """

    outcome: Outcome
    data: str
    split: str
    chosen: Mapping[str, Any]

    @property
    def measures(self) -> tuple[Measure, ...]:
        """Those of the inner protocol, under the names of both datasets."""
        own = {"data": self.data, "split": self.split}
        return tuple(
            replace(m, **{**own, **({"split": m.split} if m.split else {})}, chosen={**m.chosen, **self.chosen})  # type: ignore[arg-type]
            for m in self.outcome.measures
        )


@dataclass(frozen=True, kw_only=True)
class Transfer(OnNetwork):
    """A protocol on another dataset than the one that was pre-trained on.

    A dataset with another skeleton is brought to that of the network first, by joint names and roles
    (:mod:`skelbench.skeleton.mapping`), and kept as ``<data>_as_<layout>``. Bodies that the network has no place for are left out,
    places without a body are zeros; the row says so. The floors stand on the same clips: untrained, and the joints as the network
    gets them. CMD's transfer is ``Transfer(to="pku2", protocol=FineTune())``.

    Attributes:
        to: name of the dataset measured on.
        split: how it is parted; its usual split where empty.
        protocol: what is done there: ``Linear()``, ``FineTune()`` ...
        mapping: JSON file, joint of the network's skeleton -> joint(s) of the dataset, where names and roles do not say it.
    """

    to: str
    split: str = ""
    protocol: AnyProtocol = field(default_factory=Linear)
    mapping: str = ""

    def __post_init__(self) -> None:
        if isinstance(self.protocol, Transfer):
            raise ConfigError("Transfer.protocol is what is done on the other dataset, not another Transfer")

    @property
    def name(self) -> str:
        return f"transfer to {self.to}, {self.protocol.name}"

    @property
    def differs(self) -> dict[str, Any]:
        """What differs from the published recipe of the inner protocol: setting -> (published, here)."""
        return dict(getattr(self.protocol, "differs", {}))

    def describe(self) -> Description:
        """The protocol in words."""
        return Description({"measured on": f"{self.to}, {self.split or 'its usual split'}", **self.protocol.describe()})

    def run(self, trial: Trial) -> Transferred:
        """Outcome on the test side of the other dataset.

        Raises:
            DataError: no such dataset, no coordinates in common, or joints of the network's skeleton without a counterpart.
            ConfigError: the dataset was stored with another normalisation than the network was trained with, or clips that it tests
                on were trained on.
        """
        own = load(self.to)
        store = as_layout(
            own, trial.store.topology, bodies=trial.store.bodies, mapping=Path(self.mapping) if self.mapping else None
        )
        if store.coordinates != trial.store.coordinates:
            raise ConfigError(
                f"the network reads {trial.store.coordinates} coordinates a joint, {self.to!r} has {store.coordinates} "
                "(a score counts as one); import it again with or without scores"
            )
        split = make_split(store, self.split or usual_split(store))
        rows = np.concatenate([trial.split.train_all, trial.split.extra])
        seen = clips_seen(trial.store, rows, own) & {store.ids[r] for r in split.test.tolist()}
        if seen:
            raise ConfigError(
                f"{len(seen)} of the {len(split.test)} test clips of {self.to!r} stand on the training side of "
                f"{trial.store.meta.name!r} ({trial.split.name}), e.g. {min(seen)!r}: that is no transfer. Pool the datasets "
                f"without them, skelbench data pool ... --without {own.meta.name}={split.name}, or measure on another dataset"
            )
        outcome = run_protocol(self.protocol, replace(trial, store=store, split=split))
        chosen: dict[str, Any] = {}
        if store is not own and own.topology != store.topology:
            chosen["skeleton"] = f"{own.topology.name} as {store.topology.name}"
        if own.bodies != store.bodies:
            chosen["bodies"] = f"{own.bodies} as {store.bodies}"
        return Transferred(outcome=outcome, data=f"{trial.store.meta.name} -> {own.meta.name}", split=split.name, chosen=chosen)
