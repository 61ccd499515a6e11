"""The main job, in one function: pretrain HaLP and plain MoCo, measure them beside the floors, write one page that shows it.

    skelbench demo                          the playground, about three minutes on two cores
    skelbench demo --data cmu --out cmu     the same on an imported dataset

Hardware: any two CPU cores. What it should print is in the README, as measured.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from skelbench.data import Store, load
from skelbench.data.splits import Split, make_split, usual_split
from skelbench.errors import ConfigError
from skelbench.evaluate import Row, Table, evaluate, extract, floors
from skelbench.explain.positives import PositiveStudy
from skelbench.explain.project import project
from skelbench.recipes.jobs import in_processes
from skelbench.train import Run, open_run, presets, start
from skelbench.train.config import RunConfig, diff
from skelbench.train.tree import leaves, resolve
from skelbench.widgets.report import Embedding, write_report

METHODS = ("moco", "halp")
HARDNESS = (0.0, 0.5, 1.0)
MAP_CLIPS = 2000


@dataclass(frozen=True, kw_only=True)
class Demo:
    """What the main job leaves: the table, the runs and the page.

    Attributes:
        table: every method under every protocol, floors included.
        runs: method -> its run of the first seed.
        report: the offline page.
        seconds: the whole job.
    """

    table: Table
    runs: dict[str, Run]
    report: Path
    seconds: float

    def __str__(self) -> str:
        halp = self.runs["halp"].folder
        return "\n".join(
            [
                "",
                self.table.to_markdown(),
                f"{self.seconds:.0f} s in all. What to do next:",
                f"  open {self.report}      curves, the map whose bodies play, positives at three hardness settings",
                "  skelbench lab                             the same, live, in JupyterLab",
                f"  skelbench runs show {halp}",
                "  skelbench pretrain halp --method.hardness 0.8      what harder positives do",
                "  skelbench data import FOLDER --name mine && skelbench demo --data mine --out mine",
            ]
        )


def demo(
    data: str | Path | Store = "playground",
    *,
    out: str | Path = "demo",
    epochs: int | None = None,
    seeds: int = 1,
    split: str | None = None,
    processes: int = 1,
    progress: bool = True,
    **edits: Any,
) -> Demo:
    """Pretrain HaLP and plain MoCo of equal budget, evaluate both beside the floors, write ``report.html``.

    Args:
        data: name of a dataset (``"playground:600"`` for another size), or an open one.
        out: folder for the page, the table and the runs.
        epochs: passes over the training clips; HaLP spends the first half of them on plain contrast. The preset's where None.
        seeds: how often everything is trained; the table then has a spread.
        split: how the data is parted; ``usual_split`` where None.
        processes: trainings at a time; more than one needs a program that may be started anew (a script: ``if __name__ ==``).
        progress: show bars.
        edits: settings of both methods by name, as in ``skelbench.start``.

    Raises:
        DataError: no such dataset, or one that cannot be parted.
        ConfigError: settings out of range, or no seed or process.
    """
    if seeds < 1 or processes < 1:
        raise ConfigError(f"seeds={seeds}, processes={processes}: at least one of each is needed")
    began, out = time.perf_counter(), Path(out)
    store = data if isinstance(data, Store) else load(data)
    parted = make_split(store, split or usual_split(store))
    if progress:
        print(f"{store}\n{parted}")
    rows: list[Row] = []
    runs: dict[str, Run] = {}
    stamp = time.strftime("%Y%m%d-%H%M%S")
    jobs = [
        Training(
            method=name,
            data=str(store.path),
            split=parted.name,
            edits={**settings_for(name, "demo", _shortened(epochs, edits).items()), "train.seed": seed, "train.threads": 1},
            folder=str(out / "runs" / f"{name}-{stamp}-s{seed}"),
            place=METHODS.index(name) if processes > 1 else 0,
            progress=progress,
        )
        for seed in range(seeds)
        for name in METHODS
    ]
    if progress:
        print(f"{', '.join(METHODS)}: {len(parted.train)} clips, {seeds} seed{'s' if seeds > 1 else ''}, {processes} at a time")
    for job in in_processes(_train, jobs, processes, done=lambda _: False) if processes > 1 else map(_trained, jobs):
        run = open_run(job.folder, data=store)
        if run.config.train.seed == 0:
            runs[job.method] = run
        recipe = presets(job.method, "paper", data=run.config.data, split=run.config.split)
        differs = [d for d in diff(recipe, run.config) if d.name != "train.threads"]  # says who ran it, not how it differs
        rows += evaluate(run, split=parted, differs=differs)
    runs = {name: runs[name] for name in METHODS}
    rows += floors(store, parted, beside=runs["halp"].config.method_config, seeds=range(seeds))
    table = Table(rows)
    report = _report(out, store, parted, runs, table, began=began, progress=progress)
    (out / "table.csv").write_text(table.to_csv())
    (out / "table.json").write_text(table.to_json())
    return Demo(table=table, runs=runs, report=report, seconds=time.perf_counter() - began)


def settings_for(method: str, preset: str, edits: Iterable[tuple[str, Any]], *, among: Sequence[str] = METHODS) -> dict[str, Any]:
    """Those of the edits that a method has a setting for: plain contrast has no hardness, HaLP has.

    Raises:
        ConfigError: a setting that neither this method nor one of ``among`` has.
    """
    config, kept = presets(method, preset), {}
    others = [presets(name, preset) for name in among]
    for name, value in edits:
        if _has(config, name):
            kept[resolve(config, name)] = value
        elif not any(_has(other, name) for other in others):
            resolve(others[-1] if others else config, name)  # says what the name may have meant
    return kept


def _has(config: RunConfig, name: str) -> bool:
    return any(known == name or known.endswith(f".{name}") for known in leaves(config))


@dataclass(frozen=True, kw_only=True)
class Training:
    """One training of the demo: what is trained, how, where it is kept, and on which line its bar stands."""

    method: str
    data: str
    split: str
    edits: dict[str, Any]
    folder: str
    place: int
    progress: bool


def _shortened(epochs: int | None, edits: dict[str, Any]) -> dict[str, Any]:
    if epochs is None:
        return edits
    return {**edits, "epochs": epochs, "drops": (max(1, round(0.75 * epochs)),), "plain_epochs": (epochs + 1) // 2}


def _train(job: Training) -> None:
    """One thread: these steps are so short that threads wait for each other longer than they work."""
    run = start(job.method, load(Path(job.data)), split=job.split, folder=job.folder, **job.edits)
    run.run(progress=job.progress, place=job.place)


def _trained(job: Training) -> Training:
    _train(job)
    return job


def _report(out: Path, store: Store, split: Split, runs: dict[str, Run], table: Table, *, began: float, progress: bool) -> Path:
    bar = tqdm(total=4, desc="map, positives, page", disable=not progress)
    generator = torch.Generator().manual_seed(0)
    rows = _some([*split.train_all, *split.test], MAP_CLIPS, generator)
    normalise = runs["halp"].config.train.normalise
    features = {name: extract(run.method, store, rows, preset=normalise).values for name, run in runs.items()}
    points = {}
    for name, values in features.items():
        points[name] = project(values)
        bar.update()
    side = {int(row): part for part in ("train", "validation", "test") for row in getattr(split, part)}
    embedding = Embedding(
        points=points,
        rows=rows,
        labels=store.labels[rows],
        classes=store.classes,
        groups={"subject": store.index["subject"][rows].tolist(), "split": [side[int(row)] for row in rows]},
        features=features,
    )
    study = PositiveStudy.of(runs["halp"].method, store, rows, preset=normalise, generator=generator)
    bar.update()
    facts = {
        "Data": {"dataset": str(store), "split": str(split), "licence": store.meta.licence or "not stated"},
        "Machine": {
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
            "seconds so far": f"{time.perf_counter() - began:.0f}",
        },
        **{f"{name}: settings": _settings(run) for name, run in runs.items()},
    }
    page = write_report(
        out / "report.html",
        title=f"Hallucinated positives on {store.meta.name}",
        lead="An encoder learned to tell clips apart without a single label. Every number stands beside the same encoder untrained "
        "(random) and the joints themselves (raw).",
        table=table,
        metrics={name: run.metrics for name, run in runs.items()},
        embedding=embedding,
        clips=store,
        study=study,
        hardness=HARDNESS,
        facts=facts,
    )
    bar.update()
    bar.close()
    return page


def _settings(run: Run) -> dict[str, str]:
    """What the run was set to, where that is not the paper's value."""
    recipe = presets(run.config.method, "paper", data=run.config.data, split=run.config.split)
    return {d.name: f"{d.b} (paper: {d.a})" for d in diff(recipe, run.config) if d.name != "preset"}


def _some(rows: Sequence[int], limit: int, generator: torch.Generator) -> Any:
    """At most ``limit`` of these rows, in order."""
    ordered = torch.as_tensor(sorted(int(r) for r in rows))
    pick = torch.randperm(len(ordered), generator=generator)[:limit].sort().values
    return ordered[pick].numpy()
