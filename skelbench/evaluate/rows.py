"""From a trained method to rows of the table: every protocol on it, and the two floors beside it."""

from __future__ import annotations

import time
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from skelbench.errors import ConfigError
from skelbench.evaluate.knn import KNN
from skelbench.evaluate.linear import Linear
from skelbench.evaluate.score import AnyProtocol, Measure, OnNetwork, Score
from skelbench.evaluate.trial import Trial, run_protocol
from skelbench.methods.base import Method

if TYPE_CHECKING:
    from skelbench.data.splits import Split
    from skelbench.data.store import Store

DRAW = "draw "
FLOORS = ("random", "raw")  # an untrained encoder, and the joints themselves


@dataclass(frozen=True, kw_only=True)
class Row:
    """One measured number and where it comes from.

    Attributes:
        data: name of the data set.
        split: name of the split; a left-out subject stands in ``fold``.
        fold: what was left out, where the split has folds; which draw of the labels, where it keeps a share of them.
        method: name of the method.
        protocol: name of the protocol.
        seed: of the training run; None where the method draws nothing.
        accuracy: share of test clips that are right, [0, 1].
        mean_class: the same, averaged over classes.
        n: test clips.
        seconds: features and protocol together.
        chosen: what the protocol selected, and how.
        differs: what differs from the published recipe: setting -> (recipe, here).
        paper: the published number [0, 1]; only where the recipe is the published one.
        source: where that number stands.
    """

    data: str
    split: str
    method: str
    protocol: str
    accuracy: float
    mean_class: float
    n: int
    fold: str = ""
    seed: int | None = None
    seconds: float = 0.0
    chosen: Mapping[str, Any] = field(default_factory=dict)
    differs: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    paper: float | None = None
    source: str = ""


class Trained(typing.Protocol):
    """What ``evaluate`` reads of a run."""

    @property
    def method(self) -> Method: ...
    @property
    def store(self) -> Store: ...
    @property
    def split(self) -> Split: ...
    @property
    def config(self) -> Any: ...


def evaluate(
    what: Trained | Method,
    store: Store | None = None,
    split: Split | None = None,
    *,
    protocols: Sequence[AnyProtocol] = (KNN(), Linear()),
    seed: int | None = None,
    name: str | None = None,
    preset: str = "isc",
    batch_size: int = 256,
    device: torch.device | str | None = None,
    differs: Iterable[tuple[str, Any, Any]] = (),
) -> list[Row]:
    """Rows of one method, or of a run's method on the run's own data and split, under every protocol.

    Args:
        what: a run, or a method together with ``store`` and ``split``.
        store: the clips; a run's own where None.
        split: its parts; a run's own where None.
        protocols: fixed objects; the default is 1-NN and linear.
        seed: of the training; a run's own where None.
        name: method's name in the table; the method's own where None.
        preset: normalisation; a run's own is taken from its settings.
        batch_size: of the extraction; changes no result.
        device: where the protocols compute (in float64); the method's own where None.
        differs: (setting, recipe, here) for the table's small print; ``skelbench.train.config.diff`` gives them.

    Raises:
        ConfigError: a method without store or split.
    """
    method, store, split, preset, seed = _unpack(what, store, split, preset, seed)
    refit = not isinstance(what, Method) and bool(getattr(what.config.train, "refit", False))
    trial = Trial(method=method, store=store, split=split, preset=preset, batch_size=batch_size, device=device, refit=refit)
    started = time.perf_counter()
    if any(not isinstance(p, OnNetwork) for p in protocols) and not len(split.gallery):
        _ = trial.parts  # extracted for all of them
    spent = time.perf_counter() - started
    small_print = {setting: (recipe, here) for setting, recipe, here in differs}
    rows = []
    for protocol in protocols:
        started = time.perf_counter()
        outcome = run_protocol(protocol, trial)
        seconds = time.perf_counter() - started + (0 if isinstance(protocol, OnNetwork) else spent)
        differences = small_print | getattr(protocol, "differs", {})
        more: dict[str, Any] = {"method": name or method.name, "seed": seed, "seconds": seconds, "differs": differences}
        for measure in outcome.measures:
            rows.append(row_of(measure, data=measure.data or store.meta.name, split=measure.split or split.name, **more))
    return rows


def row_of(
    score: Score | Measure,
    *,
    data: str,
    split: str,
    method: str,
    seed: int | None = None,
    seconds: float = 0.0,
    differs: Mapping[str, tuple[Any, Any]] | None = None,
) -> Row:
    """Table row of a score. ``split`` may name its fold after a colon: ``"loso:3"``, ``"xsub@10%:2"`` (a draw of the labels)."""
    kind, fold = kind_and_fold(split)
    return Row(
        data=data,
        split=kind,
        fold=fold,
        method=method,
        protocol=score.protocol,
        seed=seed,
        accuracy=score.accuracy,
        mean_class=score.mean_class,
        n=score.n,
        seconds=seconds,
        chosen=dict(score.chosen),
        differs=dict(differs or {}),
    )


def kind_and_fold(split: str) -> tuple[str, str]:
    """A split's name in two: what all its repetitions share, and which one this is.

    ``loso:3`` is fold 3 of ``loso``; ``xsub@10%:2`` draw 2 of ``xsub@10%``, and ``xsub@10%`` its draw 0; ``xsub@held1`` is fold 1
    of the training side of ``xsub``, also where a subset of it is taken, ``xsub@held1@lt10``.
    """
    base, *subsets = split.split("@")
    kind, _, fold = base.partition(":")
    folds = [fold]
    for subset in subsets:
        share, _, draw = subset.partition(":")
        if share.startswith("held"):
            share, draw = "held", share.removeprefix("held")
        kind = f"{kind}@{share}"
        folds.append(f"{DRAW}{draw or 0}" if "%" in share else draw)
    return kind, ", ".join(part for part in folds if part)


def floors(
    store: Store,
    split: Split,
    *,
    beside: Any = None,
    seeds: Iterable[int] = (0,),
    protocols: Sequence[AnyProtocol] = (KNN(), Linear()),
    preset: str = "isc",
    batch_size: int = 256,
    device: torch.device | str = "cpu",
) -> list[Row]:
    """Rows of the two floors: an untrained encoder for every seed, and the joints themselves, once.

    Args:
        store: the clips.
        split: its parts.
        beside: settings of the method they stand beside (``run.config.method_config``): same encoder, stream and frames; a method
            whose encoder stands alone is itself the floor, untrained.
        seeds: of the untrained weights.
        protocols: those of the method it stands beside.
        preset: normalisation.
        batch_size: of the extraction.
        device: where encoder and protocols compute.
    """
    from skelbench.methods.floors import RandomEncoder, Raw, Untrained

    own = beside is not None and not RandomEncoder.Config.fits(beside)
    config = RandomEncoder.Config() if beside is None or own else RandomEncoder.Config.of(beside)
    shape: dict[str, Any] = {
        "topology": store.topology,
        "bodies": store.bodies,
        "coordinates": store.coordinates,
        "classes": len(store.classes),
    }
    options: dict[str, Any] = {"protocols": protocols, "preset": preset, "batch_size": batch_size, "device": device}
    rows: list[Row] = []
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed)
        if own:
            made: Method = Untrained.beside(beside, **shape, generator=generator)
        else:
            made = RandomEncoder.build(config, **shape, generator=generator)
        rows += evaluate(made.to(device), store, split, seed=seed, **options)
    resized = Raw.Config(stream=config.stream, frames=getattr(beside, "frames", config.frames))
    raw = Raw.build(resized, **shape, generator=torch.Generator().manual_seed(0))
    return rows + evaluate(raw, store, split, **options)


def _unpack(
    what: Trained | Method, store: Store | None, split: Split | None, preset: str, seed: int | None
) -> tuple[Method, Store, Split, str, int | None]:
    if isinstance(what, Method):
        if store is None or split is None:
            raise ConfigError(f"evaluate({what.name}, ...) needs the store and the split to measure it on; a run brings both")
        return what, store, split, preset, seed
    train = what.config.train
    return what.method, store or what.store, split or what.split, train.normalise, train.seed if seed is None else seed
