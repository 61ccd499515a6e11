"""One table for one dataset: every method, several seeds, every fold, the floors beside them. Stop it and start it again at will.

    skelbench measure cmu --seeds 3                      its usual split
    skelbench measure uiprmd_kinect --split loso         leave one subject out, every subject in turn
    skelbench measure hdm05 --split loso:bd@held --seeds 1 --set mirror=0 --out tried/unmirrored

    skelbench measure playground:6000 --split xsub@lt100 --protocol longtail --methods brl brl:loss=ce,sampler=false,mixup=0

The third one chooses settings: ``<split>@held`` parts the training side of a split alone, in three folds, and tests no clip that
the split tests. Everything else trains on the whole training side, validation subjects included, since nothing is chosen any more.

Each training is one job. Jobs run in parallel processes of one thread each; what a finished job measured lies in ``out/rows`` and
is not measured again, so the same command goes on where it was stopped.

Hardware: two CPU cores. Cost and results of the committed settings are in the README.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from skelbench.data import Store, load
from skelbench.data.inner import THIRDS
from skelbench.data.splits import FOLDS, loso_splits, make_split
from skelbench.errors import ConfigError
from skelbench.evaluate import Table, evaluate, floors
from skelbench.evaluate.protocols import protocol as find_protocol
from skelbench.recipes.demo import METHODS, settings_for, usual_split
from skelbench.recipes.jobs import in_processes
from skelbench.train import open_run, presets, start
from skelbench.train.config import Difference, RunConfig, diff
from skelbench.train.presets import PRESETS
from skelbench.train.tree import resolve

BESIDE = ("train.seed", "train.refit", "train.threads", "train.device")  # say who ran it, not how it differs from a recipe


@dataclass(frozen=True, kw_only=True)
class Job:
    """One training, or the floors of one seed.

    Attributes:
        data: folder of the store.
        split: name of one split (one fold).
        method: what is trained, with settings of its own after a colon; "floors" measures random and raw.
        seed: of everything drawn.
        preset: settings to begin with.
        edits: settings changed, as pairs.
        out: where rows and runs go.
        among: all methods that are compared, any of which may have the settings changed.
        protocols: names of what is measured; 1-NN and linear where empty.
    """

    data: str
    split: str
    method: str
    seed: int
    preset: str
    edits: tuple[tuple[str, Any], ...]
    out: str
    among: tuple[str, ...] = METHODS
    protocols: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """File-name safe, one a job."""
        return f"{Path(self.data).name}-{self.split.replace(':', '_')}-{re.sub('[:=,]', '_', self.method)}-s{self.seed}"

    @property
    def rows(self) -> Path:
        """Where its rows lie once it is done."""
        return Path(self.out) / "rows" / f"{self.name}.json"


def measure(
    data: str | Path | Store,
    *,
    out: str | Path = "results",
    split: str | None = None,
    methods: Sequence[str] = METHODS,
    seeds: int = 3,
    preset: str = "demo",
    processes: int = 2,
    progress: bool = True,
    protocols: Sequence[str] = (),
    **edits: Any,
) -> Table:
    """Train and evaluate, resuming what is there; returns the whole table with its floors and writes it to ``out``.

    Args:
        data: name of a dataset, or an open one.
        out: folder for rows, runs and the table (``<dataset>-<split>.md``, ``.csv`` and ``.json``).
        split: a split; ``loso`` for every ``loso:<subject>`` in turn, ``by_clip`` for its three folds, ``<split>@held`` for the
            three folds of its training side; a subset of any of these, ``by_clip@lt10size``; ``usual_split`` where None.
        methods: what is compared; one method under several settings as ``brl:loss=ce,mixup=0``.
        seeds: repetitions, 0, 1, ...
        preset: settings to begin with.
        processes: trainings at a time.
        progress: show a bar.
        protocols: names of what is measured, as in ``skelbench evaluate``; 1-NN and linear where empty.
        edits: settings by name, each for the methods that have it.

    Raises:
        ConfigError: no seed or method, settings out of range, or ``out`` holds results of other settings.
        DataError: no such dataset or split.
    """
    if seeds < 1 or not methods or processes < 1:
        raise ConfigError(f"measure needs at least one seed, method and process; got {seeds}, {list(methods)}, {processes}")
    store = data if isinstance(data, Store) else load(data)
    wanted = split or usual_split(store)
    names = _folds(store, wanted)
    path, pairs = str(store.path.resolve()), tuple(sorted(edits.items()))
    _ = [find_protocol(name) for name in protocols]  # a wrong one is refused before anything is trained, as is a wrong setting
    among = (*dict.fromkeys(variant(method)[0] for method in methods), "halp")
    for method in methods:
        presets(variant(method)[0], preset).edit(_settings(method, preset, pairs, among))
    place = str(Path(out).resolve())
    shared: dict[str, Any] = {"data": path, "preset": preset, "out": place, "protocols": tuple(protocols)}
    jobs = [
        Job(split=name, method=method, seed=seed, edits=pairs, among=among, **shared)
        for seed in range(seeds)
        for name in names
        for method in (*methods, "floors")
    ]
    (Path(out) / "rows").mkdir(parents=True, exist_ok=True)
    table = Table()
    finished = in_processes(_do, jobs, processes, done=lambda job: job.rows.exists())
    for job in tqdm(finished, total=len(jobs), desc=f"{store.meta.name}, {wanted}", disable=not progress):
        table.add(_read(job))
    for suffix, text in (("md", table.to_markdown()), ("csv", table.to_csv()), ("json", table.to_json())):
        (Path(out) / f"{store.meta.name}-{wanted}.{suffix}").write_text(text)
    return table


def _do(job: Job) -> None:
    """One job in a process of its own: train (or go on training), evaluate, leave the rows."""
    import torch

    torch.set_num_threads(1)
    store = load(Path(job.data))
    parted = make_split(store, job.split)
    if job.method == "floors":
        beside = _config(job).method_config
        rows = floors(store, parted, beside=beside, seeds=(job.seed,), **_measured(job))
        rows = [r for r in rows if r.method != "raw" or job.seed == 0]  # raw draws nothing: once is enough
    else:
        folder = Path(job.out) / "runs" / job.name
        if (folder / "config.json").exists():
            run = open_run(folder)
        else:
            run = start(_config(job), store, split=job.split, folder=folder)
        run.run(progress=False)
        rows = evaluate(run, split=parted, name=job.method, differs=_differs(run.config), **_measured(job))
    part = job.rows.with_suffix(f".{os.getpid()}")
    part.write_text(json.dumps({"job": _identity(job), "rows": json.loads(Table(rows).to_json())}))
    os.replace(part, job.rows)


def _config(job: Job) -> RunConfig:
    """The settings of a job; those of HaLP for the floors, whose encoder it shares."""
    method = "halp" if job.method == "floors" else job.method
    edits = _settings(method, job.preset, job.edits, job.among)
    return presets(variant(method)[0], job.preset).edit({**edits, "train.seed": job.seed, "train.threads": 1, "train.refit": True})


def variant(method: str) -> tuple[str, dict[str, Any]]:
    """``brl:loss=ce,mixup=0`` in two: the method, and settings of its own; values as in JSON, everything else a word.

    Raises:
        ConfigError: a setting without a value.
    """
    name, colon, text = method.partition(":")
    found: dict[str, Any] = {}
    for word in text.split(",") if colon else ():
        key, given, value = word.partition("=")
        if not (key and given and value):
            raise ConfigError(f"{method!r}: wanted METHOD or METHOD:NAME=VALUE,NAME=VALUE, e.g. brl:loss=ce,mixup=0")
        try:
            found[key] = json.loads(value)
        except json.JSONDecodeError:
            found[key] = value
    return name, found


def _settings(method: str, preset: str, edits: Sequence[tuple[str, Any]], among: Sequence[str]) -> dict[str, Any]:
    """What is changed for a method: the settings for all that have them, and its own, which come last."""
    name, own = variant(method)
    return {
        **settings_for(name, preset, edits, among=among),
        **{resolve(presets(name, preset), key): value for key, value in own.items()},
    }


def _folds(store: Store, wanted: str) -> list[str]:
    """The splits that a name stands for: its folds, each with the subset that follows it."""
    base, at, subset = wanted.partition("@")
    folds = {"loso": lambda: [s.name for s in loso_splits(store)], "by_clip": lambda: list(FOLDS[:3])}
    if subset == "held" or subset.startswith("held@"):
        return [f"{base}@held{third}{subset.removeprefix('held')}" for third in range(THIRDS)]
    return [f"{name}{at}{subset}" for name in folds[base]()] if base in folds else [wanted]


def _differs(config: RunConfig) -> list[Difference]:
    """Settings that are not the paper's; none where no paper has settings for the method."""
    if (config.method, "paper") not in PRESETS:
        return []
    recipe = presets(config.method, "paper", data=config.data, split=config.split)
    return [d for d in diff(recipe, config) if d.name not in BESIDE]


def _measured(job: Job) -> dict[str, Any]:
    return {"protocols": [find_protocol(name) for name in job.protocols]} if job.protocols else {}


def _identity(job: Job) -> dict[str, Any]:
    asked = {"protocols": list(job.protocols)} if job.protocols else {}
    return {"settings": _config(job).hash(), "data": load(Path(job.data)).fingerprint, **asked}


def _read(job: Job) -> Table:
    table = json.loads(job.rows.read_text())
    if table["job"] != _identity(job):
        raise ConfigError(
            f"{job.rows} was measured with other settings or on other data; remove {Path(job.out)} or give another out="
        )
    return Table.from_json(json.dumps(table["rows"]))
