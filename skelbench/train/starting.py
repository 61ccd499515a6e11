"""The doors to a run: start one, open one again, list those there are."""

from __future__ import annotations

import contextlib
import html
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import torch

from skelbench.data import BUILT_IN, Store, data_home, load
from skelbench.errors import ConfigError, DataError, RunError, SkelbenchError
from skelbench.methods.base import Method
from skelbench.train.checkpoint import Checkpoint, read_table
from skelbench.train.config import RunConfig, known_method
from skelbench.train.metrics import Metrics
from skelbench.train.presets import presets
from skelbench.train.record import Record, create, new_name, runs_home, take
from skelbench.train.run import Run
from skelbench.train.state import prepare


def start(
    method: str | type[Method] | RunConfig,
    data: str | Path | Store | None = None,
    preset: str = "demo",
    *,
    split: str | None = None,
    folder: str | Path | None = None,
    **edits: Any,
) -> Run:
    """A new run, ready to train; nothing is trained yet.

    Args:
        method: its name, a ``Method`` class of one's own, or whole settings (then ``preset`` plays no part).
        data: name or folder of a store, or an open one; those of the settings where left out.
        preset: ``smoke``, ``demo`` or ``paper``.
        split: who is trained on; the preset's (``cross_subject``) where left out.
        folder: where the run is kept; a new one in ``runs_home()`` where left out.
        edits: settings by name, as in ``RunConfig.edit``: ``hardness=0.4, lr=0.1, epochs=20``, dotted ones as
            ``**{"train.momentum": 0.8}``.

    Raises:
        ConfigError: a setting that is unknown, out of range, or does not fit the data or the machine.
        DataError: no such data.
        RunError: the folder is there already.
    """
    config = method if isinstance(method, RunConfig) else presets(method, preset)
    store = opened(config.data if data is None else data)
    config = config.edit(
        {"data": address(store, config.data if data is None else data), **({} if split is None else {"split": split}), **edits}
    )
    state = prepare(config, store)
    threads = config.train.threads or torch.get_num_threads()
    record = create(Path(folder) if folder else new_name(config.method, store.meta.name, config.preset), config.to_json())
    about = {"data": config.data, "fingerprint": store.fingerprint, "clips": len(store), "device": str(state.device)}
    record.log("start", hash=config.hash(), threads=threads, torch=str(torch.__version__), **about)
    return Run(state, record, Metrics(), threads=threads)


def open_run(
    folder: str | Path,
    *,
    data: str | Path | Store | None = None,
    method: type[Method] | None = None,
    device: str | None = None,
) -> Run:
    """A run as its newest checkpoint left it; trained on, on the same CPU and thread count, it ends as if it had never stopped.

    Args:
        folder: its path, or its name in ``runs_home()``.
        data: where the data are now, if they moved.
        method: the class, for a method of one's own that this process has not seen.
        device: another device than the settings say.

    Raises:
        RunError: no run there, damaged files with no good copy left, or a checkpoint of another method or skeleton; names the file.
        DataError: the data are not those the run was trained on.
    """
    path = Path(folder) if Path(folder).is_dir() else runs_home() / folder
    if not path.is_dir():
        raise RunError(f"no run at {folder} (nor in {runs_home()}); list_runs() shows those there are")
    path = path.absolute()
    record = Record(path)
    with contextlib.closing(take(path)):
        first = _settings(path / "config.json", method)
        record.clean()
        checkpoint = record.newest()
        events = record.events()
        config = first if checkpoint is None else _same_method(checkpoint, first)
        config = config if device is None else config.edit({"train.device": device})
        store = opened(config.data if data is None else data)
        config = config if data is None else config.edit({"data": address(store, data)})
        _same_data(store, checkpoint.about if checkpoint else next((e for e in events if "fingerprint" in e), {}), path)
        state = prepare(config, store)
        if checkpoint is not None:
            try:
                state.restore(checkpoint.weights, checkpoint.tensors, checkpoint.about["counters"])
            except (RunError, KeyError, TypeError, ValueError) as error:
                raise RunError(f"{checkpoint.path} does not fit the settings of this run: {error}") from error
        cut = record.rewind(checkpoint.about["metrics_bytes"] if checkpoint else 0)
        metrics = Metrics()
        metrics.read(record.metrics_file)
        record.log("resume", step=state.step, dropped_bytes=cut)
    threads = config.train.threads or _threads(checkpoint, events)
    replay, saved = live_changes(events)[state.sets :], checkpoint.path if checkpoint else None
    return Run(state, record, metrics, threads=threads, replay=replay, saved=saved)


def opened(data: str | Path | Store) -> Store:
    """The store, under a full path: a notebook may change its working directory while the run lives."""
    store = data if isinstance(data, Store) else load(data)
    return store if store.path.is_absolute() else Store(store.path.absolute())


def address(store: Store, data: str | Path | Store) -> str:
    """How the settings of a run name its data: by name where ``load`` knows it, else by a full path."""
    if isinstance(data, str) and data.partition(":")[0] in BUILT_IN:
        return data
    path = store.path.resolve()
    return path.name if path.parent == data_home().resolve() else str(path)


def live_changes(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The ``set`` events that still hold, in order: a ``rewind`` takes back all but the first so many."""
    made: list[dict[str, Any]] = []
    for event in events:
        if event["event"] == "set":
            made.append(event)
        elif event["event"] == "rewind":
            del made[event["sets"] :]
    return made


@dataclass(frozen=True, kw_only=True)
class Listed:
    """One row of ``list_runs``: what a run folder says of itself. ``state`` is ``trained``, ``going`` or what is wrong with it."""

    folder: Path
    method: str
    data: str
    preset: str
    step: int
    changed: datetime
    state: str


class Runs(list[Listed]):
    """Runs, newest first."""

    def _repr_html_(self) -> str:
        names = ("folder", "method", "data", "preset", "step", "changed", "state")
        head = "".join(f"<th>{name}</th>" for name in names)
        rows = (
            "".join(f"<td>{html.escape(f'{v:%Y-%m-%d %H:%M}' if isinstance(v, datetime) else str(v))}</td>" for v in cells)
            for cells in ([getattr(row, name) if name != "folder" else row.folder.name for name in names] for row in self)
        )
        return f"<table><tr>{head}</tr>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"


def list_runs(home: str | Path | None = None) -> Runs:
    """The runs in ``runs_home()`` or another folder, newest first; a damaged one is listed with what is wrong."""
    root = Path(home) if home else runs_home()
    folders = [p for p in root.iterdir() if p.is_dir() and not p.name.startswith(".")] if root.is_dir() else []
    return Runs(sorted((_listed(p) for p in folders), key=lambda row: row.changed, reverse=True))


def _listed(path: Path) -> Listed:
    table: Mapping[str, Any] = {}
    try:
        table = read_table(path / "config.json")
        take(path, patience=0).close()
        state = "trained" if Record(path).checkpoints.all() else "begun"
    except RunError as error:
        state = "going" if "being written" in str(error) else str(error)
    steps = [int(p.name.partition("-")[0]) for p in Record(path).checkpoints.all()]
    known = {name: str(table.get(name, "?")) for name in ("method", "data", "preset")}
    written = path / "metrics.jsonl"
    changed = datetime.fromtimestamp((written if written.exists() else path).stat().st_mtime)
    return Listed(folder=path, **known, step=steps[-1] if steps else 0, changed=changed, state=state)


def _settings(file: Path, method: type[Method] | None) -> RunConfig:
    table = read_table(file)
    try:
        if method is None and not known_method(str(table.get("method"))):
            raise ConfigError(f"method {table.get('method')!r} is none of skelbench's; open_run(folder, method=YourClass) knows it")
        return RunConfig.from_dict(table, method=method)
    except ConfigError as error:
        raise RunError(f"{file}: {error}. The newest checkpoints/*/state.json holds the settings too, under 'config'") from error


def _same_method(checkpoint: Checkpoint, first: RunConfig) -> RunConfig:
    about = checkpoint.about
    try:
        config = RunConfig.from_dict(about["config"])
    except SkelbenchError as error:
        raise RunError(f"{checkpoint.path}/state.json: {error}") from error
    if config.method != first.method:
        raise RunError(
            f"{checkpoint.path} is a checkpoint of {config.method!r}, this run trains {first.method!r}: move it to its own folder"
        )
    return config


def _same_data(store: Store, known: Mapping[str, Any], path: Path) -> None:
    topology = known.get("topology", store.topology.name)
    if (topology, known.get("joints", store.topology.V)) != (store.topology.name, store.topology.V):
        raise RunError(
            f"{path}: its checkpoint is of skeleton {topology!r} ({known.get('joints')} joints), {store.meta.name!r} has "
            f"{store.topology.name!r} ({store.topology.V}); give the data it was trained on as data="
        )
    if known.get("fingerprint", store.fingerprint) != store.fingerprint:
        raise DataError(
            f"{store.path}: the data changed since this run began ({known['fingerprint']} then, {store.fingerprint} now). "
            "Put the old data back, say where they are with open_run(folder, data=...), or start a new run"
        )


def _threads(checkpoint: Checkpoint | None, events: list[dict[str, Any]]) -> int:
    """CPU threads the run has been using: another number would sum in another order."""
    known = checkpoint.about["threads"] if checkpoint else next((e["threads"] for e in events if "threads" in e), 0)
    return int(known) or torch.get_num_threads()
