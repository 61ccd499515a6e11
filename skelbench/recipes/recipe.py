"""A row of a paper's table as something that runs: settings, data, protocols, and what the paper reports.

skelbench recipe                         those there are
skelbench recipe halp_ntu60_xsub --dry   builds everything at full size, makes two steps on made-up clips
skelbench recipe halp_ntu60_xsub         the whole thing; stopped, it goes on where it was
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import torch

from skelbench.errors import ConfigError
from skelbench.evaluate import KNN, FineTune, OwnClassifier, Row, Table, Trial, ViewsLinear, run_protocol
from skelbench.evaluate.published import Published, find_published
from skelbench.evaluate.score import AnyProtocol
from skelbench.methods.base import Method
from skelbench.recipes.known_data import KnownData
from skelbench.train import RunConfig, open_run, presets, start
from skelbench.train.config import Difference, diff
from skelbench.train.loop import one_step
from skelbench.train.state import prepare
from skelbench.train.tree import resolve

# What says who ran it and what was looked at on the way, not how it differs from a recipe.
BESIDE = frozenset(
    {"data", "preset", "split"}
    | {f"train.{name}" for name in ("seed", "threads", "device", "probe_every", "probe_clips", "meter_every")}
    | {f"train.{name}" for name in ("save_every", "save_steps", "keep")}
)
SecondStage = Callable[[Method, torch.Generator], None]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One row of a paper's table.

    Attributes:
        name: of the recipe.
        doc: what it reproduces.
        method: what is pre-trained.
        data: on what.
        split: how it is parted.
        edits: settings that differ from the method's preset ``paper``.
        protocols: how it is measured, with the paper's own settings.
        hardware: what the authors used, as far as it is known.
        differs: what differs from the paper and stands in no setting: what -> (there, here).
        second_stage: puts a method into its second stage, for a dry run that reaches it.
        dry_edits: settings of a dry run.
    """

    name: str
    doc: str
    method: str
    data: KnownData
    split: str
    edits: Mapping[str, Any] = field(default_factory=dict)
    protocols: tuple[AnyProtocol, ...]
    hardware: str
    differs: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    second_stage: SecondStage | None = None
    dry_edits: Mapping[str, Any] = field(default_factory=dict)

    @property
    def config(self) -> RunConfig:
        """The settings: the paper's, on the whole training side where nothing is chosen on held-out subjects of it."""
        config = presets(self.method, "paper", data=self.data.key, split=self.split).edit(self.edits)
        return config.edit({"train.refit": not (config.train.select or config.train.patience)})

    @property
    def published(self) -> tuple[Published, ...]:
        """What the paper reports."""
        return find_published(self.method, self.data.key, self.split)

    def paper(self, protocol: AnyProtocol) -> Published | None:
        """The published number that a protocol's row stands beside; None where the protocol is not the paper's."""
        kinds = {ViewsLinear: "linear", KNN: "1-nn", FineTune: "fine-tune", OwnClassifier: "classifier"}
        kind = kinds.get(type(protocol), "") if protocol in self.protocols else ""
        return next((p for p in self.published if p.protocol == kind), None)

    def differences(self, config: RunConfig) -> list[Difference]:
        """Settings of a run that are not the recipe's."""
        return [d for d in diff(self.config, config) if d.name not in BESIDE]

    def __str__(self) -> str:
        known = ", ".join(f"{p.protocol} {p.value:g}" for p in self.published) or "none known"
        return f"{self.name:26} {self.method:12} {self.data.title}, {self.split}; paper: {known}"


def with_paper(rows: Sequence[Row], recipe: Recipe, protocols: Sequence[AnyProtocol], config: RunConfig) -> list[Row]:
    """The rows of a run, with the published numbers where its settings are those of the recipe."""
    if recipe.differences(config):
        return list(rows)
    known = {p.name: found for p in protocols if (found := recipe.paper(p)) is not None}
    return [
        replace(r, paper=known[r.protocol].share, source=known[r.protocol].known)
        if r.protocol in known and "->" not in r.data and ("@" not in r.split or r.split == recipe.split)
        else r
        for r in rows
    ]


def reproduce(
    recipe: Recipe,
    *,
    data: str | Path | None = None,
    out: str | Path = "results",
    seeds: int = 1,
    progress: bool = True,
    **edits: Any,
) -> Table:
    """Run a recipe, go on with what was stopped, and write its table to ``out``.

    Args:
        recipe: which.
        data: name of the dataset, where it is not called as in the recipe.
        out: folder for runs and the table (``<recipe>.md``, ``.csv``, ``.json``, ``.tex``).
        seeds: repetitions, 0, 1, ...
        progress: show bars.
        edits: settings by name; the paper's numbers then leave the table, and what differs is listed.

    Raises:
        DataError: the dataset is missing, with what to get and where it goes; or it is another one.
        ConfigError: no seed, settings out of range, or a run in ``out`` was made with other settings.
    """
    from skelbench.recipes.results import report

    if seeds < 1:
        raise ConfigError(f"seeds={seeds}: at least one run is needed")
    store = recipe.data.open(data, recipe.split, recipe=recipe.name)
    runs = []
    for seed in range(seeds):
        config = _edited(recipe.config, edits).edit({"train.seed": seed})
        folder = Path(out) / "runs" / f"{recipe.name}-s{seed}"
        if (folder / "config.json").exists():
            run = open_run(folder, data=store)
            other = [d.name for d in diff(config, run.config) if d.name not in BESIDE - {"train.seed"}]
            if other:
                raise ConfigError(f"{folder} was made with another {', '.join(other)}; give another out=, or remove it")
        else:
            run = start(config, store, split=recipe.split, folder=folder)
        runs.append(run.run(progress=progress))
    table = report(runs, protocols=recipe.protocols, recipe=recipe)
    for suffix, text in _texts(table).items():
        (Path(out) / f"{recipe.name}.{suffix}").write_text(text, encoding="utf-8")
    return table


def _edited(config: RunConfig, edits: Mapping[str, Any]) -> RunConfig:
    return config.edit({resolve(config, name): value for name, value in edits.items()})


def _texts(table: Table) -> dict[str, str]:
    return {"md": table.to_markdown(), "csv": table.to_csv(), "json": table.to_json(), "tex": table.to_latex()}


@dataclass(frozen=True, kw_only=True)
class DryRun:
    """What a dry run saw.

    Attributes:
        recipe: name.
        parameters: of the method, those of key encoders included.
        losses: of the steps.
        parts: names of the loss's parts in the last step.
        measured: protocol -> what it gave on made-up clips; it says nothing but that it runs.
        seconds: in all.
    """

    recipe: str
    parameters: int
    losses: tuple[float, ...]
    parts: tuple[str, ...]
    measured: Mapping[str, float]
    seconds: float

    def __str__(self) -> str:
        losses = ", ".join(f"{loss:.3f}" for loss in self.losses)
        return (
            f"{self.recipe}: {self.parameters:,} parameters; losses of {len(self.losses)} steps on made-up clips: "
            f"{losses} ({', '.join(self.parts)}); measured by {', '.join(self.measured)}; {self.seconds:.0f} s. Everything runs."
        )


def dry(recipe: Recipe, *, batch: int = 4, **edits: Any) -> DryRun:
    """Build everything at the recipe's own size and try it on a few made-up clips: two steps, then every protocol for one epoch.

    Args:
        recipe: which.
        batch: clips a step; the paper's would need its hardware.
        edits: settings by name.
    """
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        store = recipe.data.made_up(Path(folder), recipe.split, clips=16)
        config = _edited(recipe.config, {**recipe.dry_edits, **edits}).edit(
            # of so few clips no tail can be cut
            {"train.batch": batch, "data": str(store.path), "split": recipe.split.partition("@")[0]}
        )
        state = prepare(config, store)
        losses: list[float] = []
        parts: tuple[str, ...] = ()
        state.method.begin_epoch(0)
        for step, made in enumerate(state.batches()):
            if step == 1 and recipe.second_stage is not None:
                recipe.second_stage(state.method, state.draws)
            if step == 2:
                break
            done = one_step(state, made.to(state.device))
            losses.append(done.loss)
            parts = tuple(done.parts)
        trial = Trial(method=state.method, store=store, split=state.split, preset=config.train.normalise, batch_size=batch)
        outcomes = {p.name: run_protocol(_short(p, batch), trial).measures[0].accuracy for p in recipe.protocols}
        parameters = sum(p.numel() for p in state.method.parameters())
    return DryRun(
        recipe=recipe.name,
        parameters=parameters,
        losses=tuple(losses),
        parts=parts,
        measured=outcomes,
        seconds=time.perf_counter() - began,
    )


def _short(protocol: AnyProtocol, batch: int) -> Any:
    """The same protocol for one epoch of small batches, where it trains a network."""
    given = {f.name for f in fields(protocol)}  # type: ignore[arg-type]
    if not {"epochs", "batch"} <= given:
        return protocol
    return replace(protocol, epochs=1, batch=batch, drops=())  # type: ignore[type-var]
