"""The short way to a result: one or more runs under every protocol, beside the floors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from skelbench.errors import ConfigError
from skelbench.evaluate.knn import KNN
from skelbench.evaluate.linear import Linear
from skelbench.evaluate.rows import Trained, evaluate, floors
from skelbench.evaluate.score import AnyProtocol
from skelbench.evaluate.table import Estimate, Line, Table, estimate

__all__ = ["Estimate", "Line", "Table", "compare", "estimate"]


def compare(*runs: Trained, protocols: Sequence[AnyProtocol] = (KNN(), Linear()), batch_size: int = 256) -> Table:
    """The table of one or more runs on their common split, floors included; the short way to a result.

    Runs of one method must differ in their seed. The untrained encoder has the first run's network, once for every seed.

    Raises:
        ConfigError: no run, or runs on different data or splits.
    """
    places = {(run.store.fingerprint, run.split.name, run.config.train.normalise) for run in runs}
    if len(places) != 1:
        given = "; ".join(f"{run.method.name} on {run.store.meta.name}/{run.split.name}" for run in runs) or "none"
        raise ConfigError(f"compare wants one or more runs on the same data, split and normalisation; given: {given}")
    table = Table()
    for run in runs:
        table.add(evaluate(run, protocols=protocols, batch_size=batch_size))
    first, seeds = runs[0], dict.fromkeys(run.config.train.seed for run in runs)
    beside, normalise = first.config.method_config, first.config.train.normalise
    device = next((p.device for p in first.method.parameters()), "cpu")
    options: dict[str, Any] = {"protocols": protocols, "preset": normalise, "batch_size": batch_size, "device": device}
    return table.add(floors(first.store, first.split, beside=beside, seeds=seeds, **options))
