"""Semi-supervised evaluation: labels for a few per cent of the training clips, drawn several times.

The encoder was pre-trained on all of them, without labels. With ``Linear`` it stays frozen; with ``FineTune`` the whole network is
trained on the labelled share, which is what the papers report. Draws are what is repeated: the table shows their spread.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from skelbench.data.fractions import fraction
from skelbench.errors import ConfigError
from skelbench.evaluate.linear import Linear
from skelbench.evaluate.score import AnyProtocol, Description, Measure, OnNetwork, Outcome
from skelbench.evaluate.trial import Trial, run_protocol


@dataclass(frozen=True, kw_only=True, eq=False)
class Shares:
    """Outcomes of a protocol for every share of the labels and every draw.

    Attributes:
        outcomes: name of the split with its draw -> outcome.
    """

    outcomes: Mapping[str, Outcome]

    @property
    def measures(self) -> tuple[Measure, ...]:
        """One row a share and draw; the split's name says which."""
        return tuple(replace(m, split=split) for split, outcome in self.outcomes.items() for m in outcome.measures)


@dataclass(frozen=True, kw_only=True)
class SemiSupervised(OnNetwork):
    """A protocol on 1, 5, 10 and 20 % of the labels.

    Attributes:
        shares: of the labels, each above 0 and at most 1.
        draws: how often each share is drawn; CMD draws five times.
        stratified: the share of every class, at least one clip of each; else of all clips, as in the papers.
        protocol: what is done with the labels that are left: ``Linear()``, or ``FineTune()`` as in the papers.
        seed: of the first draw; the others follow.
    """

    shares: tuple[float, ...] = (0.01, 0.05, 0.1, 0.2)
    draws: int = 5
    stratified: bool = True
    protocol: AnyProtocol = field(default_factory=Linear)
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.shares or not all(0 < s <= 1 for s in self.shares) or len(set(self.shares)) < len(self.shares):
            raise ConfigError(
                f"SemiSupervised.shares lists different shares of the labels, above 0 and at most 1; got {self.shares}"
            )
        if self.draws < 1 or self.seed < 0:
            raise ConfigError(f"SemiSupervised wants draws >= 1 and seed >= 0; got {self.draws} and {self.seed}")
        if isinstance(self.protocol, SemiSupervised):
            raise ConfigError("SemiSupervised.protocol is what is done with a share of the labels, not another SemiSupervised")

    @property
    def name(self) -> str:
        return f"semi-supervised, {self.protocol.name}"

    @property
    def differs(self) -> dict[str, Any]:
        """What differs from the published recipe: setting -> (published, here)."""
        draw = {"labelled share": ("drawn from all clips", "drawn from every class")} if self.stratified else {}
        return {**draw, **getattr(self.protocol, "differs", {})}

    def describe(self) -> Description:
        """The protocol in words."""
        shares = ", ".join(f"{100 * s:g}" for s in self.shares)
        how = "of every class" if self.stratified else "of all clips"
        return Description({"labels": f"{shares} % {how}, {self.draws} draws", **self.protocol.describe()})

    def run(self, trial: Trial) -> Shares:
        """Outcomes on the trial's test side for every share and draw. Frozen features are extracted once.

        Raises:
            ConfigError: a draw leaves a class without training clips (``stratified=False``); it names class, share and seed.
        """
        if not isinstance(self.protocol, OnNetwork):
            _ = trial.parts
        found: dict[str, Outcome] = {}
        for share in self.shares:
            for draw in range(self.seed, self.seed + self.draws):
                split = fraction(trial.store, trial.split, share, seed=draw, stratified=self.stratified)
                name = f"{trial.split.name}@{100 * share:g}%{'' if self.stratified else 'any'}:{draw}"
                found[name] = run_protocol(_drawn(self.protocol, draw), trial.within(split))
        return Shares(outcomes=found)


def _drawn(protocol: AnyProtocol, draw: int) -> Any:
    """The protocol with the seed of this draw, where it has one."""
    seed = getattr(protocol, "seed", None)
    return protocol if seed is None else replace(protocol, seed=seed + draw)  # type: ignore[type-var]
