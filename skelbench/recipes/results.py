"""One table for any runs: mean and spread over seeds, the floors, the papers' numbers where they may stand, and what differs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

from skelbench.data import Store
from skelbench.errors import ConfigError
from skelbench.evaluate import (
    KNN,
    Fusion,
    Linear,
    OneShot,
    OwnClassifier,
    Row,
    Table,
    Transfer,
    Trial,
    evaluate,
    floors,
    row_of,
    run_protocol,
)
from skelbench.evaluate.protocols import protocol as find_protocol
from skelbench.evaluate.score import AnyProtocol, Score
from skelbench.methods.base import Method
from skelbench.methods.halp_cmd import HaLP3s
from skelbench.recipes.papers import RECIPES
from skelbench.recipes.recipe import BESIDE, Recipe, with_paper
from skelbench.train import Difference, Run, RunConfig, diff, open_run, presets
from skelbench.train.tree import leaves

STYLE = (  # of a table on a page of its own, light or dark as the browser is
    "<meta name=color-scheme content='light dark'><style>body{font:14px/1.5 system-ui,sans-serif;margin:24px}"
    "table{border-collapse:collapse}td,th{padding:3px 10px}</style>"
)


def report(
    runs: Iterable[Run | str | Path],
    *,
    protocols: Sequence[AnyProtocol] | None = None,
    fuse: Fusion | None = None,
    recipe: Recipe | None = None,
    batch_size: int = 256,
    device: str | None = None,
) -> Table:
    """Every run under every protocol, on its own data and split, beside its floors.

    Runs of one method that differ in nothing but the seed are one line with a spread; where settings differ, the line names them.
    The floors of a split have the encoder of the first run there, untrained, once for every seed; methods with another encoder get
    a line ``random (<method>)`` of their own.

    Args:
        runs: open runs, or their folders.
        protocols: 1-NN and linear where left out, with the classifier of supervised methods; one-shot on a one-shot split.
        fuse: add up the scores of the runs on each split (of a run that trains three streams: of these), seed by seed, in one more
            line a protocol that has class scores.
        recipe: what the runs are runs of; found by method, data and split where left out.
        batch_size: of the extraction; changes no result.
        device: where protocols compute; the runs' own where None.

    Raises:
        ConfigError: no run, or two runs that would stand in the same place.
        DataError: runs to be fused that were not measured on the same clips.
    """
    opened = [r if isinstance(r, Run) else open_run(r, device=device) for r in runs]
    if not opened:
        raise ConfigError("a report needs at least one run")
    table = Table()
    for together in _by_place(opened):
        table.add(_rows_of_place(together, protocols, fuse, recipe, batch_size=batch_size, device=device))
    return table


def protocols_named(names: Sequence[str], *, on: str = "", split: str = "", mapping: str = "") -> list[AnyProtocol] | None:
    """Protocols by name; with ``on``, each of them on another dataset. None, for the usual ones, where there is neither.

    Raises:
        ConfigError: no protocol of that name, or a split or mapping without a dataset to measure on.
    """
    if not on and (split or mapping):
        raise ConfigError("split and mapping belong to a dataset to measure on; say which with --on")
    chosen = [find_protocol(name) for name in names]
    if on:
        return [Transfer(to=on, split=split, protocol=p, mapping=mapping) for p in chosen or [KNN(), Linear()]]
    return chosen or None


def fusion_named(text: str) -> Fusion:
    """``equal``, ``chosen``, ``brl`` (six streams), or weights with commas between them.

    Raises:
        ConfigError: none of these.
    """
    if text == "brl":
        return Fusion.brl()
    if text in ("equal", "chosen"):
        return Fusion(weights=None if text == "equal" else "chosen")
    try:
        return Fusion(weights=tuple(float(word) for word in text.split(",")))
    except ValueError as error:
        raise ConfigError(f"fuse={text!r}: wanted 'equal', 'chosen', 'brl', or weights as 0.6,0.6,0.4") from error


def save(table: Table, csv: Path | None = None, html: Path | None = None, tex: Path | None = None) -> None:
    """Write a table to the files that are given; their folders are made."""
    for file in (csv, html, tex):
        if file:
            file.parent.mkdir(parents=True, exist_ok=True)
    if csv:
        csv.write_text(table.to_csv(), encoding="utf-8")
    if html:
        title = escape(html.stem)
        html.write_text(f"<!doctype html><meta charset=utf-8><title>{title}</title>{STYLE}{table.to_html()}", encoding="utf-8")
    if tex:
        tex.write_text(table.to_latex(), encoding="utf-8")


def check_files(*files: Path | None) -> None:
    """Before anything is measured. Raises ConfigError where a table could not be written."""
    for file in (f for f in files if f):
        above = next(p for p in file.absolute().parents if p.exists())
        if file.is_dir() or not above.is_dir():
            raise ConfigError(f"{file}: wanted a file to write the table to, {file if file.is_dir() else above} is in its place")


def _by_place(runs: Sequence[Run]) -> list[list[Run]]:
    """Runs on the same clips, sides and normalisation, in the order given."""
    places: dict[tuple[str, ...], list[Run]] = {}
    for run in runs:
        places.setdefault((run.store.fingerprint, run.split.name, run.config.train.normalise), []).append(run)
    return list(places.values())


def _rows_of_place(
    runs: list[Run],
    protocols: Sequence[AnyProtocol] | None,
    fuse: Fusion | None,
    given: Recipe | None,
    *,
    batch_size: int,
    device: str | None,
) -> list[Row]:
    chosen = list(protocols) if protocols is not None else usual_protocols(runs)
    names, rows = _names(runs), []
    options: dict[str, Any] = {"protocols": chosen, "batch_size": batch_size, "device": device}
    for run, name in zip(runs, names, strict=True):
        recipe = given or recipe_of(run.config, run.store)
        differs = differences(run.config, recipe)
        small = {d.name: (d.a, d.b) for d in differs} | dict(recipe.differs if recipe else {})
        own = evaluate(run, name=name, differs=((k, a, b) for k, (a, b) in small.items()), **options)
        rows += with_paper(own, recipe, chosen, run.config) if recipe else own
    rows += _floors(runs, names, options)
    if fuse is not None:
        rows += fused(runs, protocols=chosen, fusion=fuse, batch_size=batch_size, device=device)
    return rows


def usual_protocols(runs: Sequence[Run]) -> list[AnyProtocol]:
    """What is measured unless somebody says otherwise."""
    if len(runs[0].split.gallery):
        return [OneShot()]
    own: list[AnyProtocol] = [OwnClassifier()] if any(run.method.supervised for run in runs) else []
    return [KNN(), Linear(), *own]


def recipe_of(config: RunConfig, store: Store) -> Recipe | None:
    """The recipe that a run is a run of, by method, data and split; None where there is none."""
    for make in RECIPES.values():
        recipe = make()
        if (recipe.method, recipe.split) == (config.method, config.split) and not recipe.data.differences(store, recipe.split):
            return recipe
    return None


def differences(config: RunConfig, recipe: Recipe | None) -> list[Difference]:
    """Settings that are not the paper's: the recipe's, else those of the method's preset ``paper``; none where it has none."""
    if recipe is not None:
        return recipe.differences(config)
    try:
        paper = presets(config.method, "paper", data=config.data, split=config.split)
    except ConfigError:  # a method of one's own, or one that no paper has settings for
        return []
    return [d for d in diff(paper, config) if d.name not in BESIDE and d.name != "train.refit"]


def _names(runs: Sequence[Run]) -> list[str]:
    """Names in the table: the method's, with the settings that differ where the method was run with several.

    ``moco (stream=joint)`` and ``moco (stream=bone)``; where more than three settings differ, the folder of the first such run.
    """
    names = []
    for run in runs:
        alike = [_settings(r) for r in runs if r.config.method == run.config.method]
        own = _settings(run)
        varied = [path for path in own if len({repr(a.get(path)) for a in alike}) > 1]
        if not varied:
            names.append(run.config.method)
        elif len(varied) <= 3:
            words = ", ".join(f"{path.split('.')[-1]}={own[path]}" for path in varied)
            names.append(f"{run.config.method} ({words})")
        else:
            first = next(r for r in runs if r.config.method == run.config.method and _settings(r) == own)
            names.append(f"{run.config.method} ({first.folder.name})")
    return names


def _settings(run: Run) -> dict[str, Any]:
    """What makes a run another one than a repetition of it."""
    return {path: value for path, value in leaves(run.config).items() if path not in BESIDE}


def _floors(runs: Sequence[Run], names: Sequence[str], options: dict[str, Any]) -> list[Row]:
    """The two floors of the first run's encoder, and the untrained encoders of the others where they are different ones."""
    first = runs[0]
    seeds = tuple(dict.fromkeys(run.config.train.seed for run in runs))
    options = {**options, "preset": first.config.train.normalise, "device": options["device"] or _device(first)}
    rows = floors(first.store, first.split, beside=first.config.method_config, seeds=seeds, **options)
    seen = [_encoder(first)]
    for run, name in zip(runs[1:], names[1:], strict=True):
        if _encoder(run) not in seen:
            seen.append(_encoder(run))
            own = floors(run.store, run.split, beside=run.config.method_config, seeds=seeds, **options)
            whose = name.replace(" (", ", ").removesuffix(")")
            rows += [replace(r, method=f"random ({whose})") for r in own if r.method == "random"]
    return rows


def _encoder(run: Run) -> Any:
    """What the untrained floor of a run is made of."""
    own = run.config.method_config
    alike = all(hasattr(own, name) for name in ("encoder", "stream", "views")) and not hasattr(own, "streams")
    return (own.encoder, own.stream, own.views.frames) if alike else own


def _device(run: Run) -> str:
    return str(next((p.device for p in run.method.parameters()), "cpu"))


def fused(
    runs: Sequence[Run],
    *,
    protocols: Sequence[AnyProtocol] = (Linear(),),
    fusion: Fusion | None = None,
    batch_size: int = 256,
    device: str | None = None,
) -> list[Row]:
    """Rows of the added-up scores of several runs, or of the streams of one: one a seed and protocol that has class scores.

    Raises:
        ConfigError: fewer than two streams of a seed, or no protocol with class scores.
        DataError: runs that were not measured on the same clips.
    """
    labelled = [
        (label, run, replace(_trial(run, batch_size=batch_size, device=device), method=one)) for label, run, one in _streams(runs)
    ]
    rows = []
    for protocol in protocols:
        for seed in dict.fromkeys(run.config.train.seed for run in runs):
            outcomes = {label: run_protocol(protocol, trial) for label, run, trial in labelled if run.config.train.seed == seed}
            scores = {label: o for label, o in outcomes.items() if isinstance(o, Score) and o.logits is not None}
            if scores:
                streams = {label: getattr(run.config.method_config, "stream", label) for label, run, _ in labelled}
                found = (fusion or Fusion()).run(scores, streams=streams)
                name, store, split = " + ".join(scores), runs[0].store, runs[0].split
                rows.append(row_of(found, method=name, seed=seed, data=store.meta.name, split=split.name))
    if not rows:
        raise ConfigError(f"none of {', '.join(p.name for p in protocols)} gives class scores to add up; take linear or finetune")
    return rows


def _trial(run: Run, *, batch_size: int, device: str | None) -> Trial:
    how: dict[str, Any] = {"preset": run.config.train.normalise, "batch_size": batch_size, "device": device}
    return Trial(method=run.method, store=run.store, split=run.split, **how)


def _streams(runs: Sequence[Run]) -> list[tuple[str, Run, Method]]:
    """What is added up: every run, or each of its streams where it has three; by method and stream.

    Where two of a seed would be called the same, the name of the folder is added.
    """
    parts: list[tuple[str, Run, Method]] = []
    for run in runs:
        if isinstance(run.method, HaLP3s):
            parts += [(f"{run.config.method} {name}", run, run.method.alone(name)) for name in run.method.config.streams]
        else:
            parts.append((f"{run.config.method} {getattr(run.config.method_config, 'stream', '')}".strip(), run, run.method))
    if len({(label, run.config.train.seed) for label, run, _ in parts}) == len(parts):
        return parts
    return [(f"{label} ({run.folder.name})", run, one) for label, run, one in parts]
